//! Which scripts there are to be checked, and which of them nobody will ever ask.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use super::problem::Problem;

/// How many directories below the one of scripts are looked into: imports may be as deep.
const MAX_DEPTH: usize = 8;

/// Finds every script below the directory.
pub(super) fn find(dir: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let mut scripts = Vec::new();
    let mut dirs = vec![(dir.to_path_buf(), 0)];
    while let Some((dir, depth)) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(err) => {
                let dir = Some(dir.display().to_string());
                problems.push(Problem::with(dir, format!("failed to list the scripts: {err}")));
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < MAX_DEPTH {
                    dirs.push((path, depth + 1));
                }
            } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("rhai")) {
                scripts.push(path);
            }
        }
    }
    scripts.sort();
    scripts
}

/// Returns the scripts below `dir` that speak for no repository, and that no other script imports.
pub(super) fn unreachable(dir: &Path, scripts: &[PathBuf], imported: &BTreeSet<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut by_name: BTreeMap<String, &Path> = BTreeMap::new();
    for script in scripts {
        let file = script.display().to_string();
        let Ok(inside) = script.strip_prefix(dir) else { continue };
        // The case of names does not matter, so two that differ in nothing else are one too many.
        if let Some(other) = by_name.insert(inside.to_string_lossy().to_lowercase(), script) {
            let message = format!("`{}` differs from it only in case", other.display());
            problems.push(Problem::with(Some(file.clone()), message).fixed_by("keep one"));
        }
        if imported.contains(&file) {
            continue;
        }
        let names: Vec<_> = inside.components().map(name).collect();
        if names.len() > 2 {
            let message = "no repository has a policy here, and no script imports it";
            let fix = "layers are `site.rhai`, `OWNER.rhai` and `OWNER/REPO.rhai`";
            problems.push(Problem::with(Some(file), message).fixed_by(fix));
        } else if let Some(wrong) = names.iter().find(|name| !is_possible(name)) {
            let message = format!("nobody in Gitea can be called `{wrong}`, so this script is never asked");
            problems.push(
                Problem::with(Some(file), message)
                    .fixed_by("names have letters, digits, `-`, `_` and `.` only"),
            );
        }
    }
    problems
}

fn name(component: Component<'_>) -> String {
    let name = component.as_os_str().to_string_lossy();
    name.strip_suffix(".rhai").unwrap_or(&name).to_string()
}

/// Returns whether Gitea allows the name of an owner or a repository (modules/validation/helpers.go, models/repo/repo.go).
fn is_possible(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
