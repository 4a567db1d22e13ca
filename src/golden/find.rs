//! Which files of golden tests are meant, and whose scripts they are for.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// How the name of a file of tests ends.
const ENDING: &str = ".test.toml";

/// How the name of a script ends.
const SCRIPT: &str = ".rhai";

/// How deep a directory is searched.
const MAX_DEPTH: usize = 8;

/// A file of tests, and the directory of scripts that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub(super) path: PathBuf,
    /// The directory of `site.rhai`, `OWNER.rhai` and `OWNER/REPO.rhai`.
    pub(super) scripts: PathBuf,
    /// Where the file is below that directory.
    relative: PathBuf,
}

impl Place {
    /// Returns what the tests are of, for people: `site`, `acme/shop`.
    pub fn label(&self) -> String {
        let relative = self.relative.display().to_string();
        relative.strip_suffix(ENDING).map(ToString::to_string).unwrap_or(relative)
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the script beside it, below the directory of scripts.
    pub(super) fn script(&self) -> PathBuf {
        format!("{}{SCRIPT}", self.label()).into()
    }

    /// Returns the directory that the file is in.
    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Takes a file by its place below `scripts`.
    fn below(scripts: &Path, relative: PathBuf) -> Self {
        let path = if scripts == Path::new(".") { relative.clone() } else { scripts.join(&relative) };
        Self { path, scripts: scripts.into(), relative }
    }

    /// Takes a file that was named by itself. Its scripts are those of `scripts` if it is in there, else those of
    /// the directory that it is in; or of the one above, if that has a script of the site or of the owner.
    pub fn of_file(path: &Path, scripts: Option<&Path>) -> Self {
        if let Some(place) = scripts.and_then(|scripts| Self::inside(path, scripts)) {
            return place;
        }
        let file = path.file_name().unwrap_or_default();
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let owner = std::path::absolute(dir).ok().and_then(|dir| Some(dir.file_name()?.to_owned()));
        let above = match dir.parent() {
            Some(above) if !above.as_os_str().is_empty() => above.to_path_buf(),
            _ => dir.join(".."),
        };
        if let Some(owner) = owner
            && (above.join("site.rhai").is_file()
                || above.join(format!("{}{SCRIPT}", owner.display())).is_file())
        {
            let relative = Path::new(&owner).join(file);
            return Self { path: path.into(), scripts: above, relative };
        }
        Self { path: path.into(), scripts: dir.into(), relative: file.into() }
    }

    fn inside(path: &Path, scripts: &Path) -> Option<Self> {
        let relative =
            path.canonicalize().ok()?.strip_prefix(scripts.canonicalize().ok()?).ok()?.to_path_buf();
        Some(Self { path: path.into(), scripts: scripts.into(), relative })
    }
}

/// Finds the files of tests: those that are named, those below the directories that are named, else those below the
/// directory of scripts.
///
/// # Errors
/// If something that was named is not there or no test, or a directory cannot be listed.
pub fn find(named: &[PathBuf], scripts: Option<&Path>) -> anyhow::Result<Vec<Place>> {
    let mut places = Vec::new();
    for path in named {
        let name = path.to_string_lossy();
        if path.is_dir() {
            match scripts.and_then(|scripts| Place::inside(path, scripts)) {
                Some(place) => walk(&place.scripts, &place.relative, MAX_DEPTH, &mut places)?,
                None => walk(path, Path::new(""), MAX_DEPTH, &mut places)?,
            }
        } else if let Some(stem) = name.strip_suffix(SCRIPT) {
            let beside = PathBuf::from(format!("{stem}{ENDING}"));
            if !beside.is_file() {
                bail!("there is no test of `{name}`; it would be in `{}`", beside.display());
            }
            places.push(Place::of_file(&beside, scripts));
        } else if name.ends_with(ENDING) {
            path.metadata().with_context(|| format!("failed to read `{name}`"))?;
            places.push(Place::of_file(path, scripts));
        } else if path.exists() {
            bail!("`{name}` is no test; expected a directory, a script `*{SCRIPT}` or a file `*{ENDING}`");
        } else {
            bail!("there is no `{name}`; expected a directory, a script `*{SCRIPT}` or a file `*{ENDING}`");
        }
    }
    if named.is_empty() {
        let Some(scripts) = scripts else {
            bail!("no directory of scripts is configured; name one, or set `[policy] scripts`");
        };
        walk(scripts, Path::new(""), MAX_DEPTH, &mut places)?;
    }
    places.sort();
    places.dedup();
    Ok(places)
}

fn walk(scripts: &Path, relative: &Path, depth: usize, places: &mut Vec<Place>) -> anyhow::Result<()> {
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
            places.push(Place::below(scripts, relative));
        }
    }
    Ok(())
}
