//! Finds test files, and the scripts directory that each belongs to.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// Suffix of test files.
const ENDING: &str = ".test.toml";

/// Suffix of scripts.
const SCRIPT: &str = ".rhai";

/// Script of the site.
const SITE: &str = "site.rhai";

/// Maximum depth of the directory search.
const MAX_DEPTH: usize = 8;

/// A test file and the scripts directory that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TestFilePath {
    /// Path of the file, as it was given.
    pub(super) path: PathBuf,
    /// Directory that holds `site.rhai`, `OWNER.rhai` and `OWNER/REPO.rhai`.
    pub(super) scripts: PathBuf,
    /// Path of the file below that directory.
    relative: PathBuf,
}

impl TestFilePath {
    /// Returns the subject of the tests for messages, such as `site` or `acme/shop`.
    pub fn label(&self) -> String {
        let relative = self.relative.display().to_string();
        relative.strip_suffix(ENDING).map(ToString::to_string).unwrap_or(relative)
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the script next to the file, relative to the scripts directory.
    pub(super) fn script(&self) -> PathBuf {
        format!("{}{SCRIPT}", self.label()).into()
    }

    /// Returns the directory that contains the file.
    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Creates a place from a path relative to `scripts`.
    fn below(scripts: &Path, relative: PathBuf) -> Self {
        let path = if scripts == Path::new(".") { relative.clone() } else { scripts.join(&relative) };
        Self { path, scripts: scripts.into(), relative }
    }

    /// Creates the place of a file that the user named. Its scripts directory is `scripts` if the
    /// file is in it. Otherwise it is the file's own directory, or the parent directory if that has
    /// a script of the site or of the owner.
    pub fn of_file(path: &Path, scripts: Option<&Path>) -> Self {
        if let Some(place) = scripts.and_then(|scripts| Self::inside(path, scripts)) {
            return place;
        }
        let file = path.file_name().unwrap_or_default();
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        match owner_dir(dir) {
            Some((scripts, owner)) => Self { path: path.into(), scripts, relative: owner.join(file) },
            None => Self { path: path.into(), scripts: dir.into(), relative: file.into() },
        }
    }

    fn inside(path: &Path, scripts: &Path) -> Option<Self> {
        let relative =
            path.canonicalize().ok()?.strip_prefix(scripts.canonicalize().ok()?).ok()?.to_path_buf();
        Some(Self { path: path.into(), scripts: scripts.into(), relative })
    }
}

/// Finds test files: the files in `named`, those below the directories in `named`, or all below
/// `scripts` if `named` is empty.
///
/// # Errors
/// If a named path does not exist or is not a test, or if a directory cannot be listed.
pub fn find(named: &[PathBuf], scripts: Option<&Path>) -> anyhow::Result<Vec<TestFilePath>> {
    let mut places = Vec::new();
    for path in named {
        let name = path.to_string_lossy();
        if path.is_dir() {
            match scripts.and_then(|scripts| TestFilePath::inside(path, scripts)) {
                Some(place) => walk(&place.scripts, &place.relative, MAX_DEPTH, &mut places)?,
                None => {
                    let (scripts, owner) = owner_dir(path).unwrap_or((path.clone(), PathBuf::new()));
                    walk(&scripts, &owner, MAX_DEPTH, &mut places)?;
                }
            }
        } else if let Some(stem) = name.strip_suffix(SCRIPT) {
            let beside = PathBuf::from(format!("{stem}{ENDING}"));
            if !beside.is_file() {
                bail!("`{name}` has no tests; write them in `{}`", beside.display());
            }
            places.push(TestFilePath::of_file(&beside, scripts));
        } else if name.ends_with(ENDING) {
            path.metadata().with_context(|| format!("failed to read `{name}`"))?;
            places.push(TestFilePath::of_file(path, scripts));
        } else if path.exists() {
            bail!("`{name}` is not a test; expected a directory, a script `*{SCRIPT}` or a file `*{ENDING}`");
        } else {
            bail!(
                "`{name}` does not exist; expected a directory, a script `*{SCRIPT}` or a file `*{ENDING}`"
            );
        }
    }
    if named.is_empty() {
        let Some(scripts) = scripts else {
            bail!("no scripts directory is configured; name one as an argument, or set `[policy] scripts`");
        };
        walk(scripts, Path::new(""), MAX_DEPTH, &mut places)?;
    }
    places.sort();
    places.dedup();
    Ok(places)
}

/// Returns the scripts directory above `dir`, and the name of `dir`, if it has the scripts of an
/// owner: the directory above is called `scripts`, or has a script of the site or of the owner.
fn owner_dir(dir: &Path) -> Option<(PathBuf, PathBuf)> {
    let absolute = std::path::absolute(dir).ok()?;
    let owner = absolute.file_name()?;
    let above = match dir.parent() {
        Some(above) if !above.as_os_str().is_empty() => above.to_path_buf(),
        _ if dir.is_absolute() || dir == Path::new(".") => dir.join(".."),
        _ => PathBuf::from("."),
    };
    let is_scripts = absolute.parent()?.ends_with("scripts") && !dir.join(SITE).is_file();
    let has = |name: &str| above.join(name).is_file();
    (is_scripts || has(SITE) || has(&format!("{}{SCRIPT}", owner.display()))).then(|| (above, owner.into()))
}

fn walk(scripts: &Path, relative: &Path, depth: usize, places: &mut Vec<TestFilePath>) -> anyhow::Result<()> {
    let dir = scripts.join(relative);
    let failed = || format!("failed to list `{}`", dir.display());
    for entry in fs::read_dir(&dir).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        let relative = relative.join(&name);
        if shown.starts_with('.') {
            continue;
        }
        if entry.file_type().with_context(failed)?.is_dir() {
            if depth > 0 {
                walk(scripts, &relative, depth - 1, places)?;
            }
        } else if shown.ends_with(ENDING) {
            places.push(TestFilePath::below(scripts, relative));
        }
    }
    Ok(())
}
