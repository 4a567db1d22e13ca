//! The block that `install` puts into Gitea's `.gitconfig`: what stands in it, written and read.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::PathBuf};

use bstr::ByteSlice as _;
use gix_config::value::normalize;

use super::{
    command::{HookCommand, MARK},
    entries::Entries,
};

/// The first and the last line of the block.
pub(super) const BEGIN: &str =
    "# gitea-lightstep: begin. Made by `gitea-lightstep install`; `gitea-lightstep uninstall` takes it out.";
pub(super) const END: &str = "# gitea-lightstep: end.";

/// How the hook's section is called.
pub(super) const HOOK: &str = "gitea-lightstep";

/// What the block says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// git runs this for each push, in every repository (git 2.54).
    Hook(HookCommand),
    /// New repositories are made with what is in this directory of ours.
    Template(PathBuf),
    /// The wrapper is in this template directory of somebody else, of which we made the last few.
    Joined {
        /// The directory.
        dir: PathBuf,
        /// How many of `hooks` and `post-receive.d`, from the end, are of our making.
        made: u8,
    },
}

impl Block {
    /// Returns the lines of the block, without the newline at its end.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::from(BEGIN);
        match self {
            // The command first, the event last: an event without a command fails every push.
            Self::Hook(command) => {
                text.extend_from_slice(format!("\n[hook \"{HOOK}\"]\n\tcommand = ").as_bytes());
                text.extend_from_slice(&quoted(&command.config_hook()));
                text.extend_from_slice(b"\n\tevent = post-receive");
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

    /// Reads a block's lines, without the first and the last.
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
            return HookCommand::of_config_hook(&hook.value).map(Self::Hook);
        }
        let template = entries.iter().find(|entry| entry.is("init", None, "templateDir"))?;
        Some(Self::Template(path_of(&template.value)))
    }
}

/// How the note of a template directory begins that was joined.
const JOINED: &str = "joined a template directory, directories made in it: ";

/// Returns whether a line begins the section of our hook.
pub(super) fn is_section_of_hook(line: &[u8]) -> bool {
    line == format!("[hook \"{HOOK}\"]").as_bytes()
}

/// Quotes a value as git's configuration has it.
fn quoted(value: &[u8]) -> Vec<u8> {
    [b"\"", &*value.replace("\\", "\\\\").replace("\"", "\\\""), b"\""].concat()
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}
