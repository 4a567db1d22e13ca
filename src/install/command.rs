//! What an installed hook starts: our binary with our configuration, written as a file for `post-receive.d` (the
//! wrapper) and as the command of a config hook, and read back from both.

use std::{
    ffi::OsStr,
    fmt,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use bstr::ByteSlice as _;

use crate::text;

/// The wrapper as it is shipped, with the paths of a usual installation.
const WRAPPER: &str = include_str!("../../hooks/gitea-lightstep");

/// How each line of ours that makes a file ours begins; in a wrapper it is the second.
pub const MARK: &str = "# gitea-lightstep: ";

/// How the wrapper starts us.
const WRAPPER_STARTS: &str = "exec \"$bin\" hook --config \"$config\"";

/// The binary and the configuration that an installed hook is to run with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HookCommand {
    binary: PathBuf,
    config: PathBuf,
}

/// Why a path cannot stand in a hook.
#[derive(Debug)]
pub struct UnfitPath {
    path: PathBuf,
    why: &'static str,
}

impl fmt::Display for UnfitPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot stand in a hook: {}", text::path(&self.path), self.why)
    }
}

impl std::error::Error for UnfitPath {}

impl HookCommand {
    /// Takes the two paths.
    ///
    /// # Errors
    /// If one is relative, or has a control character in it: no shell and no configuration of git's would be in the
    /// way, but what reads lines would.
    pub fn new(binary: PathBuf, config: PathBuf) -> Result<Self, UnfitPath> {
        for path in [&binary, &config] {
            let bytes = path.as_os_str().as_bytes();
            let why = if !path.is_absolute() {
                "it is relative, and a hook runs in the repository"
            } else if bytes.iter().any(u8::is_ascii_control) {
                "it has a control character in it; move the file to a path without"
            } else {
                continue;
            };
            return Err(UnfitPath { path: path.clone(), why });
        }
        Ok(Self { binary, config })
    }

    /// Returns what is run.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Returns the configuration that it is given.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Returns the wrapper that starts this.
    pub fn wrapper(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(WRAPPER.len() + 200);
        for line in WRAPPER.lines() {
            let name = ["bin=", "config="].into_iter().find(|name| line.starts_with(name));
            match name {
                Some(name) => {
                    text.extend_from_slice(name.as_bytes());
                    let path = if name == "bin=" { &self.binary } else { &self.config };
                    text.extend_from_slice(&sh_quoted(path));
                }
                None => text.extend_from_slice(line.as_bytes()),
            }
            text.push(b'\n');
        }
        text
    }

    /// Returns the command of the config hook that starts this. git runs it with a shell, and as long as it succeeds Gitea's own
    /// hook is run after it: so it does, also without the binary.
    pub fn config_hook(&self) -> Vec<u8> {
        let (binary, config) = (sh_quoted(&self.binary), sh_quoted(&self.config));
        [b"test ! -x ", &*binary, b" || ", &binary, b" hook --config ", &config, b"; :"].concat()
    }

    /// Finds the two paths in a wrapper. One that was edited to start us in another way is none.
    pub fn of_wrapper(text: &[u8]) -> Option<Self> {
        if !text.lines().any(|line| line.ends_with(WRAPPER_STARTS.as_bytes())) {
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
        Some(Self { binary: value("bin=")?, config: value("config=")? })
    }

    /// Finds the two paths in the command of a config hook, if it is the one that [`HookCommand::config_hook`] makes.
    pub fn of_config_hook(command: &[u8]) -> Option<Self> {
        let (binary, _) = sh_unquoted(command.strip_prefix(b"test ! -x ")?)?;
        // The binary's own name may hold these words, and comes twice.
        let (_, config) = command.rsplit_once_str("' hook --config ")?;
        let (config, _) = sh_unquoted(config)?;
        Some(Self { binary, config }).filter(|read| read.config_hook() == command)
    }
}

/// Returns whether the text of a file is a wrapper of ours, of whatever version.
pub fn is_wrapper(text: &[u8]) -> bool {
    text.lines().nth(1).is_some_and(|line| line.starts_with(MARK.as_bytes()))
}

/// Finds what Gitea's own hook starts, in the text of `post-receive.d/gitea`: `'/usr/local/bin/gitea' hook --config=...`.
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

/// Quotes a path so that a shell takes every byte of it as it is.
fn sh_quoted(path: &Path) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    quoted.extend_from_slice(&path.as_os_str().as_bytes().replace("'", r"'\''"));
    quoted.push(b'\'');
    quoted
}

/// Reads what [`sh_quoted`] wrote at the beginning of a text, and returns the rest.
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
pub(super) mod tests {
    use std::{
        ffi::OsString,
        io::Write as _,
        os::unix::ffi::OsStringExt as _,
        process::{Command, Stdio},
    };

    use proptest::{collection::vec, prelude::*};

    use super::*;

    const BINARY: &str = "/usr/local/bin/gitea-lightstep";
    const CONFIG: &str = "/etc/gitea-lightstep/config.toml";

    fn read(wrapper: &str) -> Option<(String, String)> {
        let command = HookCommand::of_wrapper(wrapper.as_bytes())?;
        Some((command.binary().display().to_string(), command.config().display().to_string()))
    }

    #[test]
    fn a_wrapper_is_recognised_as_it_is_installed() {
        assert_eq!(read(WRAPPER), Some((BINARY.into(), CONFIG.into())));
        assert!(is_wrapper(WRAPPER.as_bytes()));
        let with_binary = |written: &str| read(&WRAPPER.replace(&format!("bin={BINARY}"), written));
        assert_eq!(with_binary("bin='/opt/my bin/x'"), Some(("/opt/my bin/x".into(), CONFIG.into())));
        assert_eq!(with_binary(r"bin='/opt/ann'\''s'\'''"), Some(("/opt/ann's'".into(), CONFIG.into())));
        for wrong in ["bin=$HOME/x", "bin='/opt'/x", "bin='/opt", "bin=/other\nbin=/x", "BIN=/x"] {
            assert_eq!(with_binary(wrong), None, "{wrong}");
        }
        assert_eq!(read(&WRAPPER.replace("exec \"$bin\"", "exec nice \"$bin\"")), None);
        assert!(!is_wrapper(b"#!/bin/sh\n\n# gitea-lightstep: not in the second line\n"));
    }

    #[test]
    fn a_path_that_no_line_can_hold_is_refused() {
        for path in ["relative", "", "/with\nnewline", "/with\ttab", "/with\u{7f}"] {
            let unfit = HookCommand::new(BINARY.into(), path.into()).expect_err("refused").to_string();
            assert!(unfit.contains("cannot stand in a hook"), "{unfit}");
        }
    }

    /// Absolute paths of every byte that one may have, and often of those that shells and git's configuration care for.
    pub(in crate::install) fn path() -> impl Strategy<Value = PathBuf> {
        let byte = prop_oneof![
            1 => (0x20u8..=0xff).prop_filter("no control character", |byte| *byte != 0x7f),
            2 => prop::sample::select(&b"'\"\\$`;#! *~%&|<>(){}[]=-"[..]),
        ];
        vec(byte, 1..20).prop_map(|bytes| OsString::from_vec([b"/".to_vec(), bytes].concat()).into())
    }

    proptest! {
        #[test]
        fn both_forms_give_the_paths_back(binary in path(), config in path()) {
            let command = HookCommand::new(binary, config).expect("fit");
            prop_assert_eq!(HookCommand::of_wrapper(&command.wrapper()), Some(command.clone()));
            prop_assert_eq!(HookCommand::of_config_hook(&command.config_hook()), Some(command));
        }

        #[test]
        fn a_shell_takes_every_byte_as_it_is(path in path()) {
            let script = [b"printf %s ", &*sh_quoted(&path)].concat();
            let mut shell = Command::new("sh")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a shell");
            shell.stdin.take().expect("a pipe").write_all(&script).expect("written");
            let printed = shell.wait_with_output().expect("ends").stdout;
            prop_assert_eq!(printed.as_bstr(), path.as_os_str().as_bytes().as_bstr());
        }
    }
}
