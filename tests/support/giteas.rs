//! Processes that look like a running Gitea, and what `install` finds out about it.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::{Ran, estate::Estate, wait_until};

/// A process that looks like a running Gitea.
pub struct Running(Child);

impl Running {
    /// Starts a program under Gitea's name. It blocks until its output is read.
    pub fn start(estate: &Estate, words: &[&str], env: &[(&str, String)]) -> Self {
        let mut yes = estate.command("yes");
        Self::run(&mut yes, "/opt/gitea/gitea", words, env)
    }

    /// Starts a program under this name.
    pub fn run(yes: &mut Command, name: &str, words: &[&str], env: &[(&str, String)]) -> Self {
        let child = yes
            .arg0(name)
            .args(words)
            // With POSIXLY_CORRECT, `yes` does not parse the words after the first as options.
            .env("POSIXLY_CORRECT", "1")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the process");
        let cmdline = format!("/proc/{}/cmdline", child.id());
        wait_until("the process has its name", || {
            fs::read(&cmdline).is_ok_and(|read| read.starts_with(format!("{name}\0").as_bytes()))
        });
        Self(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `install --dry-run --json`.
pub fn dry_run(estate: &Estate, words: &[&str]) -> Ran {
    let mut install = estate.lightstep(&["install", "--dry-run", "--json", "--config"]);
    install.arg(estate.path("config.toml")).args(words);
    estate.sandbox.run(&mut install, b"")
}

/// Parses the standard output.
pub fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|err| panic!("{err}: {}{}", ran.stdout, ran.stderr))
}
