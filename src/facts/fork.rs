//! Finds the repository that another one is a fork of.
//!
//! Gitea forks with `git clone --bare` (`ForkRepository` in modules/gitrepo), which leaves the path
//! of the first repository as the remote `origin`. A fork that shares its objects names them in
//! `objects/info/alternates`.

use std::path::{Component, Path, PathBuf};

use bstr::ByteSlice as _;

use super::layout::Layout;
use crate::push::{GitDir, RepositoryIdentity};

/// Returns the full name of the repository that this one is a fork of, `None` if it is not a fork.
/// `object_dirs` are the directories that it reads objects from.
pub(super) fn parent(layout: &Layout, object_dirs: &[PathBuf]) -> Option<String> {
    let borrowed = object_dirs.iter().skip(1).map(|objects| plain(objects));
    let borrowed = borrowed.filter_map(|objects| objects.parent().map(Path::to_path_buf));
    let origin = layout.origin.as_ref().map(|url| PathBuf::from(url.to_path_lossy()));
    // Gitea's directory may also hold a clone of a repository from elsewhere.
    let is_beside = |path: &PathBuf| path.is_absolute() && root(path) == root(&layout.dir);
    let mut candidates = borrowed.chain(origin.filter(is_beside));
    let parent =
        candidates.find(|path| path.extension().is_some_and(|end| end == "git") && *path != layout.dir)?;
    Some(RepositoryIdentity::of_dir(&GitDir::resolve(Some(parent.as_os_str()), Path::new("/"))).full_name())
}

/// Returns the directory that holds the directories of all owners.
fn root(repository: &Path) -> Option<&Path> {
    repository.parent()?.parent()
}

/// Removes `.` and `..` from a path, without looking at the disk.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}
