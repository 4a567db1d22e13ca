//! Formats and parses the block that `install` adds to Gitea's `.gitconfig`.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::PathBuf};

use bstr::ByteSlice as _;
use gix_config::value::normalize;

use super::{
    command::{HookCommand, MARK},
    entries::Entries,
};

/// First and last line of the block.
pub(super) const BEGIN: &str =
    "# gitea-lightstep: begin. Made by `gitea-lightstep install`; `gitea-lightstep uninstall` takes it out.";
pub(super) const END: &str = "# gitea-lightstep: end.";

/// Names of the sections of our hooks: for pushes, and for other ref changes.
pub(super) const HOOK: &str = "gitea-lightstep";
pub(super) const REF_HOOK: &str = "gitea-lightstep-refs";

/// The content of the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigBlock {
    /// git runs this command for every push in every repository (git 2.54).
    Hook {
        /// The command.
        command: HookCommand,
        /// True if git also runs it for ref changes that no push brings.
        has_ref_hook: bool,
    },
    /// git creates new repositories from our template in this directory.
    Template(PathBuf),
    /// The wrapper was added to a foreign template directory.
    Joined {
        /// Template directory.
        dir: PathBuf,
        /// Number of the directories `hooks` and `hooks/post-receive.d` that we created, counted
        /// from the innermost.
        made: u8,
    },
}

impl ConfigBlock {
    /// Returns the text of the block without the final newline.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::from(BEGIN);
        match self {
            Self::Hook { command, has_ref_hook } => {
                text.extend_from_slice(&section(HOOK, &command.config_hook(), "post-receive"));
                if *has_ref_hook {
                    text.extend_from_slice(&section(REF_HOOK, &command.ref_hook(), REF_EVENT));
                }
            }
            Self::Template(dir) => {
                text.extend_from_slice(b"\n[init]\n\ttemplateDir = ");
                text.extend_from_slice(&quoted(dir.as_os_str().as_bytes()));
            }
            Self::Joined { dir, made } => {
                text.extend_from_slice(format!("\n{MARK}{JOINED}{made}, ").as_bytes());
                text.extend_from_slice(&quoted(dir.as_os_str().as_bytes()));
            }
        }
        text.push(b'\n');
        text.extend_from_slice(END.as_bytes());
        text
    }

    /// Parses the lines between the first and the last line of the block.
    pub(super) fn parse(lines: &[u8]) -> Option<Self> {
        let note = format!("{MARK}{JOINED}");
        if let Some(joined) = lines.lines().find_map(|line| line.strip_prefix(note.as_bytes())) {
            let (made, dir) = joined.split_once_str(", ")?;
            let made = made.to_str().ok()?.parse().ok()?;
            return Some(Self::Joined { dir: path_of(&normalize(dir.as_bstr())), made });
        }
        let entries = Entries::read(lines).ok()?;
        let hook = entries.iter().find(|entry| entry.is("hook", Some(HOOK), "command"));
        if let Some(hook) = hook {
            let command = HookCommand::of_config_hook(&hook.value)?;
            let has = |key: &str, value: &[u8]| {
                let of_ref_hook = entries.iter().find(|entry| entry.is("hook", Some(REF_HOOK), key));
                of_ref_hook.is_some_and(|entry| entry.value == value)
            };
            let has_ref_hook = has("command", &command.ref_hook()) && has("event", REF_EVENT.as_bytes());
            return Some(Self::Hook { command, has_ref_hook });
        }
        let template = entries.iter().find(|entry| entry.is("init", None, "templateDir"))?;
        Some(Self::Template(path_of(&template.value)))
    }
}

/// Start of the comment that records a joined template directory.
const JOINED: &str = "joined a template directory, directories made in it: ";

/// Event of the hook for ref changes.
const REF_EVENT: &str = "reference-transaction";

/// Returns true if a line is the section header of one of our hooks.
pub(super) fn is_section_of_hook(line: &[u8]) -> bool {
    [HOOK, REF_HOOK].iter().any(|name| line == section_header(name).as_bytes())
}

fn section_header(name: &str) -> String {
    format!("[hook \"{name}\"]")
}

/// Returns the section of a hook. The command comes first: an event without a command makes every push
/// fail.
fn section(name: &str, command: &[u8], event: &str) -> Vec<u8> {
    let (header, event) = (section_header(name), format!("\n\tevent = {event}"));
    [b"\n", header.as_bytes(), b"\n\tcommand = ", &*quoted(command), event.as_bytes()].concat()
}

/// Quotes a value for git's configuration.
fn quoted(value: &[u8]) -> Vec<u8> {
    [b"\"", &*value.replace("\\", "\\\\").replace("\"", "\\\""), b"\""].concat()
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}
