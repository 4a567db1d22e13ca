//! The Python interpreter with the packages of `tests/requirements.txt`.

use std::path::{Path, PathBuf};

use super::{Ran, Sandbox, manifest_dir};

/// Returns the interpreter of the environment that `tests/run` creates.
pub fn python() -> PathBuf {
    let python = test_env().join("bin/python");
    assert!(python.exists(), "{} is missing: run tests/run once", python.display());
    python
}

/// Returns the directory in which `tests/run` installs tools for the tests.
pub fn test_env() -> PathBuf {
    let named = std::env::var_os("GITEA_LIGHTSTEP_TEST_ENV").map(PathBuf::from);
    named.unwrap_or_else(|| manifest_dir().join("target/test-env"))
}

/// Runs a script of this directory.
pub fn run(sandbox: &Sandbox, script: &str, args: &[&str], stdin: &[u8]) -> Ran {
    let mut command = sandbox.command(python().to_str().expect("text"), &sandbox.path(""));
    sandbox.run(command.arg(script_path(script)).args(args), stdin)
}

fn script_path(name: &str) -> PathBuf {
    Path::new(manifest_dir()).join("tests/with_servers/support").join(name)
}
