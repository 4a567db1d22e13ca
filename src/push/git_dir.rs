//! The path of the pushed repository.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Absolute path of the bare repository.
///
/// Git sets `GIT_DIR=.` and runs hooks in the repository (githooks(5)). That path is useless to a
/// process with another working directory, such as the detached deliverer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitDir(PathBuf);

impl GitDir {
    /// Makes `git_dir` absolute. Without `GIT_DIR`, the working directory is the repository.
    pub fn resolve(git_dir: Option<&OsStr>, working_dir: &Path) -> Self {
        let path = git_dir.filter(|dir| !dir.is_empty()).map_or(Path::new("."), Path::new);
        let joined = working_dir.join(path);
        // `components` drops the `.` that git passes.
        Self(joined.components().collect())
    }

    /// Returns the path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Returns the name of the directory without `.git`.
    pub fn repository_name(&self) -> String {
        let own = self.0.file_name().unwrap_or_default();
        let name =
            if own == ".git" { self.0.parent().and_then(Path::file_name).unwrap_or_default() } else { own };
        let name = name.to_string_lossy();
        name.strip_suffix(".git").unwrap_or(&name).to_string()
    }
}

/// A path as text if it is UTF-8, else as bytes, so that every path survives serialisation.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathForm {
    Text(String),
    Bytes(Vec<u8>),
}

impl Serialize for GitDir {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => PathForm::Text(text.into()),
            None => PathForm::Bytes(self.0.as_os_str().as_bytes().into()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for GitDir {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match PathForm::deserialize(deserializer)? {
            PathForm::Text(text) => text.into(),
            PathForm::Bytes(bytes) => OsString::from_vec(bytes).into(),
        }))
    }
}

#[cfg(test)]
mod tests;
