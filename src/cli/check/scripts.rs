//! Finds the scripts to check, and reports those that no repository ever uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use super::problem::Problem;

/// Reports the scripts below `dir` that no repository uses and no script imports, and names that
/// differ only in case.
pub(super) fn unreachable(dir: &Path, scripts: &[PathBuf], imported: &BTreeSet<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut by_name: BTreeMap<String, &Path> = BTreeMap::new();
    for script in scripts {
        let file = script.display().to_string();
        let Ok(inside) = script.strip_prefix(dir) else { continue };
        // Names are matched without regard to case, so names that differ only in case are
        // duplicates.
        if let Some(other) = by_name.insert(inside.to_string_lossy().to_lowercase(), script) {
            let message = format!("its name differs from `{}` only in case", other.display());
            problems.push(Problem::with(Some(file.clone()), message).fixed_by("keep only one of them"));
        }
        if imported.contains(&file) {
            continue;
        }
        let names: Vec<_> = inside.components().map(name).collect();
        if names.len() > 2 {
            let message = "no repository uses a script at this path, and no script imports it";
            let fix = "name it `site.rhai`, `OWNER.rhai` or `OWNER/REPO.rhai`";
            problems.push(Problem::with(Some(file), message).fixed_by(fix));
        } else if let Some(wrong) = names.iter().find(|name| !is_possible(name)) {
            let message = format!("Gitea does not allow the name `{wrong}`, so this script is never used");
            problems.push(
                Problem::with(Some(file), message).fixed_by("use only letters, digits, `-`, `_` and `.`"),
            );
        }
    }
    problems
}

fn name(component: Component<'_>) -> String {
    let name = component.as_os_str().to_string_lossy();
    name.strip_suffix(".rhai").unwrap_or(&name).to_string()
}

/// Returns true if Gitea allows the name for an owner or a repository
/// (modules/validation/helpers.go, models/repo/repo.go).
fn is_possible(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
