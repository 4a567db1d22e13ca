//! Runs the git that Gitea uses, to find out its version and to check a configuration file.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use bstr::ByteSlice as _;
use rustix::fs::{Access, access};

use super::program::{self, ProgramOutput};
use crate::text;

/// Maximum time for one command.
const PATIENCE: Duration = Duration::from_secs(10);

/// A version of git.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

impl GitVersion {
    /// First version that supports hooks in the configuration.
    pub const WITH_CONFIG_HOOKS: Self = Self { major: 2, minor: 54, patch: 0 };

    /// Returns true if this version supports hooks in the configuration.
    pub fn has_config_hooks(self) -> bool {
        self >= Self::WITH_CONFIG_HOOKS
    }
}

impl fmt::Display for GitVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for GitVersion {
    type Err = ();

    /// Parses the output of `git version`. Ignores vendor suffixes after the numbers: `2.39.5
    /// (Apple Git-154)`, `2.45.1.windows.1`, `2.55.0-rc1`, `2.30.2.523.gabcdef`.
    fn from_str(said: &str) -> Result<Self, ()> {
        let number = said.strip_prefix("git version ").ok_or(())?;
        let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let mut parts = number[..end].split('.').take_while(|part| !part.is_empty());
        let mut next = || parts.next().map(|part| part.parse::<u32>().map_err(drop));
        let (major, minor) = (next().ok_or(())??, next().ok_or(())??);
        Ok(Self { major, minor, patch: next().transpose()?.unwrap_or(0) })
    }
}

/// A git executable.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
}

/// A git command that failed.
#[derive(Debug)]
pub struct GitError {
    program: PathBuf,
    what: String,
}

impl fmt::Display for GitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", text::path(&self.program), self.what)
    }
}

impl std::error::Error for GitError {}

impl Git {
    /// Uses the executable at this path.
    pub fn at(program: PathBuf) -> Self {
        Self { program }
    }

    /// Returns every executable called `name` in the directories of a `PATH`, as Gitea searches it.
    /// A `name` with a slash is used as a path.
    pub fn all(name: &Path, path: &OsStr) -> Vec<Self> {
        if name.components().nth(1).is_some() {
            // Make it absolute, because git runs in another working directory.
            return vec![Self::at(std::path::absolute(name).unwrap_or_else(|_| name.into()))];
        }
        let is_program = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
        let dirs = std::env::split_paths(path).filter(|dir| dir.is_absolute());
        dirs.map(|dir| dir.join(name)).filter(is_program).map(Self::at).collect()
    }

    /// Returns the path of the executable.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs `git version`.
    ///
    /// # Errors
    /// If git cannot be run, times out, or prints something else.
    pub fn version(&self) -> Result<GitVersion, GitError> {
        let said = self.run(&[OsStr::new("version")])?;
        let said = said.stdout.to_str_lossy();
        let line = said.lines().next().unwrap_or_default();
        line.parse().map_err(|()| {
            self.failed(format!(
                "expected it to print `git version 2.…`, found `{}`; name Gitea's git with --git",
                text::line(line)
            ))
        })
    }

    /// Returns git's error message for a configuration file, or `None` if git accepts it.
    ///
    /// # Errors
    /// If git cannot be run or times out.
    pub fn refuses(&self, file: &Path) -> Result<Option<String>, GitError> {
        // Values may be secret, so list only the names, and discard those too.
        let words = ["config", "--file"].map(OsStr::new);
        let said = self.run(&[
            words[0],
            words[1],
            file.as_os_str(),
            OsStr::new("--name-only"),
            OsStr::new("--list"),
        ])?;
        Ok((!said.is_success).then(|| text::line(said.stderr.trim_ascii())))
    }

    /// Runs git without configuration files, and with `PATH` as the only inherited variable.
    fn run(&self, args: &[&OsStr]) -> Result<ProgramOutput, GitError> {
        let mut command = program::bare(&self.program);
        command
            .args(args)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .current_dir("/");
        program::run(&mut command, PATIENCE).map_err(|err| self.failed(format!("failed to run it: {err}")))
    }

    fn failed(&self, what: String) -> GitError {
        GitError { program: self.program.clone(), what }
    }
}

#[cfg(test)]
mod tests;
