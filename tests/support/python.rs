//! Python with what `tests/requirements.txt` names.

use std::path::{Path, PathBuf};

use super::{BINARY, Ran, Sandbox, manifest_dir};

/// Returns the interpreter of the environment that `tests/run` makes.
pub fn python() -> PathBuf {
    let python = test_env().join("bin/python");
    assert!(python.exists(), "{} is missing: run tests/run once", python.display());
    python
}

/// Returns the directory that `tests/run` fills with what it installs for the tests.
pub fn test_env() -> PathBuf {
    let named = std::env::var_os("GITEA_LIGHTSTEP_TEST_ENV").map(PathBuf::from);
    named.unwrap_or_else(|| manifest_dir().join("target/test-env"))
}

/// Runs a script of `tests/support`.
pub fn run(sandbox: &Sandbox, script: &str, args: &[&str], stdin: &[u8]) -> Ran {
    let mut command = sandbox.command(python().to_str().expect("text"), &sandbox.path(""));
    sandbox.run(command.arg(script_path(script)).args(args), stdin)
}

/// Returns a command that runs the binary with a terminal as its standard input, output and error. What
/// the terminal shows is its output; what it is given it types when it is asked.
pub fn on_terminal(sandbox: &Sandbox, args: &[&str], typed: &str) -> std::process::Command {
    let mut command = sandbox.command(python().to_str().expect("text"), &sandbox.path(""));
    command.arg(script_path("on_terminal.py")).arg(typed).arg(BINARY).args(args);
    command.arg("--config").arg(sandbox.path("config.toml"));
    command
}

fn script_path(name: &str) -> PathBuf {
    Path::new(manifest_dir()).join("tests/support").join(name)
}
