//! The git that Gitea runs, and what it is able to.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use bstr::ByteSlice as _;
use rustix::fs::{Access, access};

use super::program::{self, Said};
use crate::text;

/// How long git may take to say its version, or what it thinks of a file.
const PATIENCE: Duration = Duration::from_secs(10);

/// A version of git's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

impl GitVersion {
    /// The first one that runs hooks which its configuration names.
    pub const WITH_CONFIG_HOOKS: Self = Self { major: 2, minor: 54, patch: 0 };

    /// Returns whether it runs hooks which its configuration names.
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

    /// Reads what `git version` prints. What comes after the numbers is a vendor's: `2.39.5 (Apple Git-154)`,
    /// `2.45.1.windows.1`, `2.55.0-rc1`, `2.30.2.523.gabcdef`.
    fn from_str(said: &str) -> Result<Self, ()> {
        let number = said.strip_prefix("git version ").ok_or(())?;
        let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let mut parts = number[..end].split('.').take_while(|part| !part.is_empty());
        let mut next = || parts.next().map(|part| part.parse::<u32>().map_err(drop));
        let (major, minor) = (next().ok_or(())??, next().ok_or(())??);
        Ok(Self { major, minor, patch: next().transpose()?.unwrap_or(0) })
    }
}

/// A git that can be run.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
}

/// Why git did not do what it was asked.
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
    /// Takes a program by its path.
    pub fn at(program: PathBuf) -> Self {
        Self { program }
    }

    /// Looks for a program in the directories of a `PATH`, as Gitea does; a path is taken as it is.
    pub fn find(name: &Path, path: &OsStr) -> Option<Self> {
        if name.components().nth(1).is_some() {
            return Some(Self::at(name.into()));
        }
        let is_program = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
        let dirs = std::env::split_paths(path).filter(|dir| dir.is_absolute());
        dirs.map(|dir| dir.join(name)).find(is_program).map(Self::at)
    }

    /// Returns what is run.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Asks for the version.
    ///
    /// # Errors
    /// If it cannot be run, does not answer, or says something else.
    pub fn version(&self) -> Result<GitVersion, GitError> {
        let said = self.run(&[OsStr::new("version")])?;
        let said = said.stdout.to_str_lossy();
        let line = said.lines().next().unwrap_or_default();
        line.parse().map_err(|()| {
            self.failed(format!(
                "expected it to say `git version 2.…`, and it said `{}`; name Gitea's git with --git",
                text::line(line)
            ))
        })
    }

    /// Returns what git has against a file of its configuration, `None` if it reads it.
    ///
    /// # Errors
    /// If it cannot be run or does not answer.
    pub fn refuses(&self, file: &Path) -> Result<Option<String>, GitError> {
        // What is in the file may be secret, so only the names of keys are asked for, and not even these are kept.
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

    /// Runs it with nothing of our environment but the way to other programs, and with no configuration.
    fn run(&self, args: &[&OsStr]) -> Result<Said, GitError> {
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
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_without_what_a_vendor_adds() {
        for (said, expected) in [
            ("git version 2.47.3", Some("2.47.3")),
            ("git version 2.54.0", Some("2.54.0")),
            ("git version 2.39.5 (Apple Git-154)", Some("2.39.5")),
            ("git version 2.45.1.windows.1", Some("2.45.1")),
            ("git version 2.55.0-rc1", Some("2.55.0")),
            ("git version 2.55.0.rc1.12.gabcdef", Some("2.55.0")),
            ("git version 2.30.2.523.gabcdef", Some("2.30.2")),
            ("git version 3.0", Some("3.0.0")),
            ("git version 2", None),
            ("git version x", None),
            ("git version 99999999999.1", None),
            ("gitea version 1.27.0", None),
            ("", None),
        ] {
            let version = said.parse::<GitVersion>().ok().map(|version| version.to_string());
            assert_eq!(version.as_deref(), expected, "{said}");
        }
    }

    #[test]
    fn config_hooks_came_with_2_54() {
        let has = |said: &str| said.parse::<GitVersion>().is_ok_and(GitVersion::has_config_hooks);
        assert!(has("git version 2.54.0") && has("git version 2.55.0-rc1") && has("git version 3.0.0"));
        assert!(!has("git version 2.53.9") && !has("git version 1.60.0"));
    }
}
