//! What `tests/run` unpacks of Debian's unstable: a newer git, and a root file system that holds little else.

use std::path::PathBuf;

use super::python::test_env;

/// Returns a git that knows hooks in configurations (2.54 or newer).
#[track_caller]
pub fn git() -> PathBuf {
    there("bin/git")
}

/// Returns a directory with git, its libraries and a static busybox: a root file system to copy.
#[track_caller]
pub fn root() -> PathBuf {
    there("root")
}

#[track_caller]
fn there(name: &str) -> PathBuf {
    let path = test_env().join("sid").join(name);
    assert!(path.exists(), "{} is missing: run tests/run once", path.display());
    path
}
