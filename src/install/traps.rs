//! What in Gitea's git configuration keeps hooks from running, or every push from landing.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt as _, path::Path};

use bstr::BString;
use rustix::fs::{Access, access};

use super::{at, entries::Entries};
use crate::text;

/// How large a git configuration may be that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Something in a git configuration that people fall into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trap {
    /// git stops to read the file here.
    Malformed {
        /// The line.
        line: usize,
    },
    /// A hook has an event and no command: every push fails (git 2.54).
    EventAlone {
        /// How the hook is called.
        hook: String,
        /// The line of the event.
        line: usize,
    },
    /// The command of a hook is the bare path of what cannot be run: Gitea's own hook is not run then (git 2.54).
    BareCommand {
        /// How the hook is called.
        hook: String,
        /// The line of the command.
        line: usize,
    },
    /// The hooks of all repositories are looked for elsewhere, and Gitea's own are not run.
    HooksPath {
        /// The line.
        line: usize,
    },
}

/// Finds them in a file, of which git has the version that it has. A file that is not there has none.
///
/// # Errors
/// If it cannot be read.
pub fn traps(git_config: &Path, has_config_hooks: bool) -> io::Result<Vec<Trap>> {
    match at::read_file(git_config, MAX_FILE) {
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
    // An older git knows nothing of such hooks.
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
                traps.push(Trap::BareCommand { hook: shown, line: command.line });
            }
            _ => {}
        }
    }
    traps
}

/// Returns whether git starts a command itself, without a shell (run-command.c, `prepare_shell_cmd`).
fn is_bare(command: &[u8]) -> bool {
    !command.iter().any(|byte| b"|&;<>()$`\\\"' \t\n*?[#~=%".contains(byte))
}

fn may_run(command: &[u8]) -> bool {
    let path = Path::new(OsStr::from_bytes(command));
    // A name alone is looked for in git's own PATH.
    path.components().nth(1).is_none() || (path.is_file() && access(path, Access::EXEC_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_is_found_where_git_falls_into_it() {
        let ours = "[hook \"gitea-lightstep\"]\n\tcommand = \"test ! -x '/x' || '/x' hook; :\"\n\tevent = post-receive\n";
        assert_eq!(traps_in(ours.as_bytes(), true), []);
        let alone = "[user]\n\tname = x\n[hook \"a\"]\n\tevent = post-receive\n";
        assert_eq!(traps_in(alone.as_bytes(), true), [Trap::EventAlone { hook: "a".into(), line: 4 }]);
        assert_eq!(traps_in(alone.as_bytes(), false), [], "an older git does not look");
        let bare = "[hook \"a\"]\n\tcommand = /nonexistent/hook\n\tevent = update\n[hook \"b\"]\n\tcommand = /bin/sh\n\tevent = update\n";
        assert_eq!(traps_in(bare.as_bytes(), true), [Trap::BareCommand { hook: "a".into(), line: 2 }]);
        let path = "[Core]\n\thookspath = /srv/hooks\n";
        assert_eq!(traps_in(path.as_bytes(), false), [Trap::HooksPath { line: 2 }]);
        assert_eq!(traps_in(b"[user]\n\tname = x\n[oops\n", true), [Trap::Malformed { line: 3 }]);
    }
}
