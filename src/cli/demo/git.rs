//! The real git, run so that nothing of this machine's or this user's configuration has a say.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Instant,
};

use anyhow::{Context as _, bail};

use crate::text;

/// The first git with push options that a server may advertise.
const OLDEST: (u32, u32) = (2, 10);

/// The width that what git says is folded to.
const WIDTH: usize = 96;

/// git with a home of its own.
#[derive(Debug)]
pub(super) struct Git {
    home: PathBuf,
}

/// A push that git brought to its end.
pub(super) struct Pushed {
    pub began: Instant,
    pub ended: Instant,
    /// What git said to the pusher, line by line.
    pub said: Vec<String>,
}

impl Pushed {
    /// Returns what the server's hooks said, folded to lines that fit a terminal.
    pub fn remote_lines(&self) -> Vec<String> {
        self.said.iter().filter(|line| line.starts_with("remote: ")).flat_map(|line| folded(line)).collect()
    }
}

impl Git {
    /// Makes sure that there is a git, and that it is not too old.
    pub fn find(home: &Path) -> anyhow::Result<Self> {
        let git = Self { home: home.into() };
        let output = git.output(Path::new("/"), ["--version"], &[]).map_err(|err| match err.kind() {
            io::ErrorKind::NotFound => {
                anyhow::anyhow!("failed to find `git` on the PATH; the demo needs it, and nothing else")
            }
            _ => anyhow::Error::new(err).context("failed to run `git --version`"),
        })?;
        let said = String::from_utf8_lossy(&output.stdout);
        if let Some((major, minor)) = version(&said)
            && (major, minor) < OLDEST
        {
            bail!(
                "git is {major}.{minor}, the demo needs {}.{} or newer for push options",
                OLDEST.0,
                OLDEST.1
            );
        }
        Ok(git)
    }

    /// Runs git in `dir`, where it must succeed.
    pub fn run<'a>(&self, dir: &Path, args: impl AsRef<[&'a str]>) -> anyhow::Result<()> {
        let args = args.as_ref();
        let output =
            self.output(dir, args, &[]).with_context(|| format!("failed to run `{}`", typed(args)))?;
        check(args, &output)
    }

    /// Pushes from `dir` to a server that hands `environment` to its hooks: git runs the other end of
    /// a push to a path itself, as sshd does for Gitea, and its environment is the hook's.
    pub fn push(
        &self,
        dir: &Path,
        args: &[&str],
        environment: &[(&'static str, String)],
    ) -> anyhow::Result<Pushed> {
        let began = Instant::now();
        let output = self
            .output(dir, args, environment)
            .with_context(|| format!("failed to run `{}`", typed(args)))?;
        let ended = Instant::now();
        check(args, &output)?;
        // git fills up lines of the other end with spaces, to cover what may stand there.
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().map(|line| text::line(line.trim_end())).collect();
        Ok(Pushed { began, ended, said })
    }

    fn output<'a>(
        &self,
        dir: &Path,
        args: impl AsRef<[&'a str]>,
        environment: &[(&'static str, String)],
    ) -> io::Result<Output> {
        Command::new("git")
            .args(args.as_ref())
            .current_dir(dir)
            .env_clear()
            .env(
                "PATH",
                std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin:/bin")),
            )
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
    }
}

/// Returns a command as a person would type it; no argument of the demo has a quote in it.
pub(super) fn typed(args: &[&str]) -> String {
    let quoted =
        args.iter().map(|arg| if arg.contains(' ') { format!(" '{arg}'") } else { format!(" {arg}") });
    format!("git{}", quoted.collect::<String>())
}

fn check(args: &[&str], output: &Output) -> anyhow::Result<()> {
    if !output.status.success() {
        let said = text::line(output.stderr.trim_ascii());
        bail!("failed to run `{}`: {}: {said}", typed(args), output.status);
    }
    Ok(())
}

/// Reads `git version 2.47.3`, which vendors extend in their own ways; `None` is for what cannot be
/// read, which is no reason to stop.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_whitespace().nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Folds a line at spaces; what follows is set under its first word after `remote:`.
fn folded(line: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() <= WIDTH => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) => lines.push(format!("        {word}")),
            None => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_whatever_the_vendor_adds() {
        assert_eq!(version("git version 2.47.3\n"), Some((2, 47)));
        assert_eq!(version("git version 2.39.5 (Apple Git-154)\n"), Some((2, 39)));
        assert_eq!(version("git version 2.10.0.windows.1\n"), Some((2, 10)));
        assert_eq!(version("what?"), None);
    }

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        assert_eq!(typed(&["tag", "-m", "two words", "v1"]), "git tag -m 'two words' v1");
    }

    #[test]
    fn a_long_line_is_folded_and_loses_nothing() {
        let long = format!("remote: gitea-lightstep: {} {}", "a".repeat(60), "b".repeat(90));
        let lines = folded(&long);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.chars().count() <= 98), "{lines:?}");
        assert_eq!(folded("remote: short"), ["remote: short"]);
    }
}
