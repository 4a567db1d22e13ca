//! Where the repository is.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The absolute path of the bare repository. Git hands hooks `GIT_DIR=.` and the repository as
/// working directory (githooks(5)), which is of no use to a process that has left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitDir(PathBuf);

impl GitDir {
    /// Returns `git_dir` (from `GIT_DIR`, else the working directory itself) made absolute.
    pub fn resolve(git_dir: Option<&OsStr>, working_dir: &Path) -> Self {
        let path = git_dir.filter(|dir| !dir.is_empty()).map_or(Path::new("."), Path::new);
        let joined = working_dir.join(path);
        // `components` drops the `.` that git sends.
        Self(joined.components().collect())
    }

    /// Returns the path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Returns what the directory calls the repository: its name without `.git`.
    pub fn repository_name(&self) -> String {
        let own = self.0.file_name().unwrap_or_default();
        let name =
            if own == ".git" { self.0.parent().and_then(Path::file_name).unwrap_or_default() } else { own };
        let name = name.to_string_lossy();
        name.strip_suffix(".git").unwrap_or(&name).to_string()
    }
}

/// A path is written as text where it is text, else as its bytes, so that none is lost.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

impl Serialize for GitDir {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => Written::Text(text.into()),
            None => Written::Bytes(self.0.as_os_str().as_bytes().into()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for GitDir {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text.into(),
            Written::Bytes(bytes) => OsString::from_vec(bytes).into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_git_dir_becomes_absolute() {
        let cwd = Path::new("/data/git/acme/shop.git");
        assert_eq!(GitDir::resolve(Some(OsStr::new(".")), cwd).as_path(), cwd);
        assert_eq!(GitDir::resolve(None, cwd).as_path(), cwd);
        assert_eq!(GitDir::resolve(Some(OsStr::new("/x/y.git")), cwd).as_path(), Path::new("/x/y.git"));
    }

    #[test]
    fn the_directory_names_the_repository() {
        for (path, name) in [("/srv/shop.git", "shop"), ("/srv/shop", "shop"), ("/home/me/shop/.git", "shop")]
        {
            assert_eq!(GitDir::resolve(None, Path::new(path)).repository_name(), name);
        }
    }

    #[test]
    fn a_path_that_is_no_text_survives_the_capture() {
        let dir = GitDir(OsString::from_vec(b"/srv/caf\xe9.git".to_vec()).into());
        let json = serde_json::to_string(&dir).expect("serialises");
        assert_eq!(serde_json::from_str::<GitDir>(&json).expect("parses"), dir);
    }
}
