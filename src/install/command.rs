//! The command that an installed hook runs: our binary with a configuration and a state directory.
//! It is written as a file for `post-receive.d` (the wrapper) or as the command of a config hook,
//! and parsed from both. The hook for ref changes has the same two forms.
//!
//! The state directory is also in the configuration. The command names it too, so that the hook can
//! capture a push, for the next delivery to find, while the configuration is broken. Hooks of older
//! versions do not name it.

use std::{
    ffi::OsStr,
    fmt,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use bstr::ByteSlice as _;

use crate::text;

/// The wrapper as shipped, with the default paths.
const WRAPPER: &str = include_str!("../../hooks/gitea-lightstep");

/// Prefix of the lines that mark a file as ours. In a hook it starts the second line.
pub const MARK: &str = "# gitea-lightstep: ";

/// The first lines of the file for ref changes. The command follows.
const REF_HOOK_BEGINS: &str = "#!/bin/sh
# gitea-lightstep: notices ref changes that no push brings (install --ref-hook).
";

/// The line of the wrapper that runs our binary, with and without the state directory.
const WRAPPER_STARTS: &str = "exec \"$bin\" hook --config \"$config\" --state-dir \"$state\"";
const WRAPPER_STARTS_WITHOUT_STATE: &str = "exec \"$bin\" hook --config \"$config\"";

/// The paths with which an installed hook runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HookCommand {
    binary: PathBuf,
    config: PathBuf,
    state_dir: Option<PathBuf>,
}

/// A path that cannot be written into a hook.
#[derive(Debug)]
pub struct UnfitPath {
    path: PathBuf,
    why: &'static str,
}

impl fmt::Display for UnfitPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be used in a hook: {}", text::path(&self.path), self.why)
    }
}

impl std::error::Error for UnfitPath {}

impl HookCommand {
    /// Creates a command. `state_dir` may be unknown.
    ///
    /// # Errors
    /// If a path is relative or has a control character. A shell and git's configuration could
    /// quote control characters, but programs that read a hook line by line would misread them.
    pub fn new(binary: PathBuf, config: PathBuf, state_dir: Option<PathBuf>) -> Result<Self, UnfitPath> {
        for path in [&binary, &config].into_iter().chain(&state_dir) {
            let bytes = path.as_os_str().as_bytes();
            let why = if !path.is_absolute() {
                "it is relative, and hooks run in the repository's directory; give an absolute path"
            } else if bytes.iter().any(u8::is_ascii_control) {
                "it contains a control character; move the file to a path without one"
            } else {
                continue;
            };
            return Err(UnfitPath { path: path.clone(), why });
        }
        Ok(Self { binary, config, state_dir })
    }

    /// Returns the program.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Returns the configuration file passed to it.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Returns the state directory passed to it, if any.
    pub fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    /// Returns the text of the wrapper for this command.
    pub fn wrapper(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(WRAPPER.len() + 200);
        for line in WRAPPER.lines() {
            let paths = [
                ("bin=", Some(&self.binary)),
                ("config=", Some(&self.config)),
                ("state=", self.state_dir.as_ref()),
            ];
            match paths.into_iter().find(|(name, _)| line.starts_with(name)) {
                Some((name, Some(path))) => {
                    text.extend_from_slice(name.as_bytes());
                    text.extend_from_slice(&sh_quoted(path));
                }
                Some((_, None)) => continue,
                None if self.state_dir.is_none() => {
                    let line = line.replace(WRAPPER_STARTS, WRAPPER_STARTS_WITHOUT_STATE);
                    text.extend_from_slice(line.as_bytes());
                }
                None => text.extend_from_slice(line.as_bytes()),
            }
            text.push(b'\n');
        }
        text
    }

    /// Returns the command of the config hook. git passes it to a shell, and runs Gitea's own hook
    /// only if the command succeeds. It therefore always succeeds, even if the binary is missing.
    pub fn config_hook(&self) -> Vec<u8> {
        let (binary, config) = (sh_quoted(&self.binary), sh_quoted(&self.config));
        let state = self.state_dir.as_deref().map(|dir| [b" --state-dir ", &*sh_quoted(dir)].concat());
        let state = state.unwrap_or_default();
        [b"test ! -x ", &*binary, b" || ", &binary, b" hook --config ", &config, &state, b"; :"].concat()
    }

    /// Returns the command of the hook for ref changes that no push brings. git passes it to a shell
    /// several times for each transaction, with the state as the first argument, and aborts the
    /// transaction if it fails before the end. It therefore does nothing but succeed until the
    /// transaction is committed, and in a push, which Gitea's variables show.
    pub fn ref_hook(&self) -> Vec<u8> {
        let (binary, config) = (sh_quoted(&self.binary), sh_quoted(&self.config));
        let is_not_ours = b"test \"$1$GITEA_REPO_ID\" != committed || test ! -x ";
        let (run, quietly) = (b" hook --reference-transaction --config ", b" >/dev/null 2>&1; :");
        [is_not_ours, &*binary, b" || ", &binary, run, &config, quietly].concat()
    }

    /// Returns the text of the file with the command of [`HookCommand::ref_hook`].
    pub fn ref_hook_file(&self) -> Vec<u8> {
        [REF_HOOK_BEGINS.as_bytes(), &*self.ref_hook(), b"\n"].concat()
    }

    /// Parses the paths from a wrapper. Returns `None` if it was edited so that they cannot be
    /// determined.
    pub fn of_wrapper(text: &[u8]) -> Option<Self> {
        let starts_with = |how: &str| text.lines().any(|line| line.ends_with(how.as_bytes()));
        let has_state = starts_with(WRAPPER_STARTS);
        if !has_state && !starts_with(WRAPPER_STARTS_WITHOUT_STATE) {
            return None;
        }
        let value = |name: &str| {
            let mut values = text.lines().filter_map(|line| line.strip_prefix(name.as_bytes()));
            let value = values.next().filter(|_| values.next().is_none())?;
            let is_bare = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@:,".contains(byte);
            match sh_unquoted(value) {
                Some((path, b"")) => Some(path),
                Some(_) => None,
                None => Some(value).filter(|value| value.iter().all(is_bare)).map(path_of),
            }
        };
        let state_dir = if has_state { Some(value("state=")?) } else { None };
        Some(Self { binary: value("bin=")?, config: value("config=")?, state_dir })
    }

    /// Parses the paths from the command of a config hook. Returns `None` if it differs from what
    /// [`HookCommand::config_hook`] writes.
    pub fn of_config_hook(command: &[u8]) -> Option<Self> {
        let (binary, rest) = sh_unquoted(command.strip_prefix(b"test ! -x ")?)?;
        let (_, rest) = sh_unquoted(rest.strip_prefix(b" || ")?)?;
        let (config, rest) = sh_unquoted(rest.strip_prefix(b" hook --config ")?)?;
        let state_dir = match rest.strip_prefix(b" --state-dir ") {
            Some(rest) => Some(sh_unquoted(rest)?.0),
            None => None,
        };
        Some(Self { binary, config, state_dir }).filter(|read| read.config_hook() == command)
    }
}

/// Returns true if a hook's text was written by any version of this program.
pub fn is_ours(text: &[u8]) -> bool {
    text.lines().nth(1).is_some_and(|line| line.starts_with(MARK.as_bytes()))
}

/// Finds the program that Gitea's own hook runs, in the text of `post-receive.d/gitea`:
/// `'/usr/local/bin/gitea' hook --config=...`.
pub(super) fn program_of(text: &[u8]) -> Option<PathBuf> {
    text.lines().find_map(|line| {
        let (program, rest) = match sh_unquoted(line) {
            Some(quoted) => quoted,
            None => {
                let end = line.find_byte(b' ')?;
                let bare = line[..end].trim_with(|c| c == '"');
                (path_of(bare), &line[end..])
            }
        };
        (rest.starts_with(b" hook ") && program.is_absolute()).then_some(program)
    })
}

/// Quotes a path for a shell, so that every byte is taken literally.
pub(super) fn sh_quoted(path: &Path) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    quoted.extend_from_slice(&path.as_os_str().as_bytes().replace("'", r"'\''"));
    quoted.push(b'\'');
    quoted
}

/// Parses a path quoted by [`sh_quoted`] at the start of `text`, and returns it with the rest.
fn sh_unquoted(text: &[u8]) -> Option<(PathBuf, &[u8])> {
    let mut path = Vec::new();
    let mut rest = text.strip_prefix(b"'")?;
    loop {
        let (part, after) = rest.split_once_str("'")?;
        path.extend_from_slice(part);
        match after.strip_prefix(br"\''") {
            Some(next) => {
                path.push(b'\'');
                rest = next;
            }
            None => return Some((path_of(&path), after)),
        }
    }
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

#[cfg(test)]
pub(super) mod tests;
