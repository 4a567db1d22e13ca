//! Files that `tests/run` unpacks from Debian unstable: a newer git, and a minimal root file
//! system.

use std::path::PathBuf;

use super::python::test_env;

/// Returns a git that supports config hooks (2.54 or newer).
#[track_caller]
pub fn git() -> PathBuf {
    there("bin/git")
}

/// Returns a root file system with git, its libraries and a static busybox, to be copied.
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
