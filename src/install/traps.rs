//! Finds settings in Gitea's git configuration that keep hooks from running or make every push
//! fail.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt as _, path::Path};

use bstr::BString;
use rustix::fs::{Access, access};

use super::{dirfd, entries::Entries};
use crate::text;

/// Maximum size of a git configuration that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A harmful setting in a git configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trap {
    /// git fails to parse the file at this line.
    Malformed {
        /// Line number.
        line: usize,
    },
    /// A hook has an event but no command, so every push fails (git 2.54).
    EventAlone {
        /// Name of the hook.
        hook: String,
        /// Line of the event.
        line: usize,
    },
    /// The command of a hook is a bare path that is not executable, so Gitea's own hook does not
    /// run (git 2.54).
    BareCommand {
        /// Name of the hook.
        hook: String,
        /// Line of the command.
        line: usize,
        /// The command.
        command: String,
    },
    /// `core.hooksPath` points elsewhere for all repositories, so Gitea's own hooks do not run.
    HooksPath {
        /// Line number.
        line: usize,
    },
}

/// Finds harmful settings in a file. `has_config_hooks` is true if git supports config hooks. A
/// missing file has none.
///
/// # Errors
/// If it cannot be read.
pub fn traps(git_config: &Path, has_config_hooks: bool) -> io::Result<Vec<Trap>> {
    match dirfd::read_file(git_config, MAX_FILE) {
        Ok(text) => Ok(traps_in(&text, has_config_hooks)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(err),
    }
}

fn traps_in(text: &[u8], has_config_hooks: bool) -> Vec<Trap> {
    let entries = match Entries::read(text) {
        Ok(entries) => entries,
        Err(unreadable) => return vec![Trap::Malformed { line: unreadable.line }],
    };
    let mut traps = Vec::new();
    if let Some(entry) = entries.iter().rfind(|entry| entry.is("core", None, "hooksPath")) {
        traps.push(Trap::HooksPath { line: entry.line });
    }
    // Older versions of git ignore such hooks.
    if !has_config_hooks {
        return traps;
    }
    let mut hooks: Vec<&BString> = entries.iter().filter_map(|entry| entry.hook()).collect();
    hooks.sort();
    hooks.dedup();
    for hook in hooks {
        let last = |key: &str| entries.iter().rfind(|entry| entry.hook() == Some(hook) && entry.has_key(key));
        let shown = text::line(hook);
        match (last("event"), last("command")) {
            (Some(event), None) if !event.value.is_empty() => {
                traps.push(Trap::EventAlone { hook: shown, line: event.line });
            }
            (Some(_), Some(command)) if is_bare(&command.value) && !may_run(&command.value) => {
                let line = command.line;
                traps.push(Trap::BareCommand { hook: shown, line, command: text::line(&command.value) });
            }
            _ => {}
        }
    }
    traps
}

/// Returns true if git runs a command directly, without a shell (run-command.c,
/// `prepare_shell_cmd`).
fn is_bare(command: &[u8]) -> bool {
    !command.iter().any(|byte| b"|&;<>()$`\\\"' \t\n*?[#~=%".contains(byte))
}

fn may_run(command: &[u8]) -> bool {
    let path = Path::new(OsStr::from_bytes(command));
    // git searches its `PATH` for a bare name. That is not known here, so assume that git finds it.
    path.components().nth(1).is_none() || (path.is_file() && access(path, Access::EXEC_OK).is_ok())
}

#[cfg(test)]
mod tests;
