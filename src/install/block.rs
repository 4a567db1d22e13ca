//! The block that `install` puts into Gitea's `.gitconfig`: what stands in it, and the file's text with and without it.
//! Everything else in that file stays as it is, byte for byte.

use std::{ffi::OsStr, fmt, ops::Range, os::unix::ffi::OsStrExt as _, path::PathBuf};

use bstr::{BString, ByteSlice as _};
use gix_config::{
    parse::{EventRef, Events},
    value::normalize,
};

use super::command::{HookCommand, MARK};

/// The first and the last line of the block.
const BEGIN: &str =
    "# gitea-lightstep: begin. Made by `gitea-lightstep install`; `gitea-lightstep uninstall` takes it out.";
const END: &str = "# gitea-lightstep: end.";

/// How the hook's section is called.
const HOOK: &str = "gitea-lightstep";

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
    fn text(&self) -> Vec<u8> {
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
    fn parse(lines: &[u8]) -> Option<Self> {
        let note = format!("{MARK}{JOINED}");
        if let Some(joined) = lines.lines().find_map(|line| line.strip_prefix(note.as_bytes())) {
            let (made, dir) = joined.split_once_str(", ")?;
            let made = made.to_str().ok()?.parse().ok()?;
            return Some(Self::Joined { dir: path_of(&normalize(dir.as_bstr())), made });
        }
        let entries = Entries::read(lines).ok()?;
        let hook = entries.0.iter().find(|entry| entry.is("hook", Some(HOOK), "command"));
        if let Some(hook) = hook {
            return HookCommand::of_config_hook(&hook.value).map(Self::Hook);
        }
        let template = entries.0.iter().find(|entry| entry.is("init", None, "templateDir"))?;
        Some(Self::Template(path_of(&template.value)))
    }
}

/// How the note of a template directory begins that was joined.
const JOINED: &str = "joined a template directory, directories made in it: ";

/// The text of a configuration file of git's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitConfig {
    text: Vec<u8>,
    /// Where our block is, without the newline after it.
    block: Option<Range<usize>>,
}

/// Why a configuration file of git's is left as it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// git could not read it either.
    Malformed {
        /// The line where it goes wrong.
        line: usize,
    },
    /// Our block has no end, or another beginning.
    Torn {
        /// The line of its beginning.
        line: usize,
    },
    /// Somebody else's section has the name of ours.
    Foreign {
        /// The line of the section.
        line: usize,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { .. } => f.write_str("git cannot read this line"),
            Self::Torn { .. } => write!(
                f,
                "the lines of gitea-lightstep begin here and have no end; take them out by hand, down to `{END}`"
            ),
            Self::Foreign { .. } => write!(
                f,
                "this [hook \"{HOOK}\"] was not made by `gitea-lightstep install`; take it out by hand, with all of its keys at once"
            ),
        }
    }
}

impl Unfit {
    /// Returns the line that it is about.
    pub fn line(&self) -> usize {
        match self {
            Self::Malformed { line } | Self::Torn { line } | Self::Foreign { line } => *line,
        }
    }
}

impl GitConfig {
    /// Reads a file; one that is not there is empty.
    ///
    /// # Errors
    /// If it is not fit to be changed.
    pub fn parse(text: Vec<u8>) -> Result<Self, Unfit> {
        let block = find_block(&text)?;
        let config = Self { text, block };
        for entry in &config.others()?.0 {
            if entry.section == "hook" && entry.is_below(Some(HOOK)) {
                return Err(Unfit::Foreign { line: config.line_in_file(entry.line) });
            }
        }
        Ok(config)
    }

    /// Returns the text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns what our block says, if there is one and it says what we could have written.
    pub fn block(&self) -> Option<Block> {
        let block = self.block.clone()?;
        Block::parse(&self.text[block])
    }

    /// Returns whether there is a block of ours, whatever it says.
    pub fn has_block(&self) -> bool {
        self.block.is_some()
    }

    /// Returns the template directory that somebody else set, as it is written, and the line.
    pub fn template_dir(&self) -> Option<(BString, usize)> {
        let others = self.others().ok()?;
        let entry = others.0.into_iter().rfind(|entry| entry.is("init", None, "templateDir"))?;
        Some((entry.value, self.line_in_file(entry.line)))
    }

    /// Returns the text with this block in it, where the old one was or at the end.
    pub fn with(&self, block: &Block) -> Vec<u8> {
        let new = block.text();
        match &self.block {
            Some(range) => {
                let kept = self.kept_of_block();
                // What came into the block by git's own doing goes behind it.
                let kept = if kept.is_empty() { kept } else { [b"\n", &*kept].concat() };
                [&self.text[..range.start], &new, &kept, &self.text[range.end..]].concat()
            }
            // A file that does not end with a newline is one that still does not: so it can be told at removal.
            None if self.text.ends_with(b"\n") => [&self.text[..], &new, b"\n"].concat(),
            None if self.text.is_empty() => new,
            None => [&self.text[..], b"\n", &new].concat(),
        }
    }

    /// Returns the text of a file that was not there before.
    pub fn new_with(block: &Block) -> Vec<u8> {
        [&block.text()[..], b"\n"].concat()
    }

    /// Returns the text without our block.
    pub fn without(&self) -> Vec<u8> {
        let Some(range) = &self.block else { return self.text.clone() };
        let kept = self.kept_of_block();
        let (before, after) = (&self.text[..range.start], &self.text[range.end..]);
        match after.strip_prefix(b"\n") {
            Some(after) if kept.is_empty() => [before, after].concat(),
            Some(after) => [before, &kept, b"\n", after].concat(),
            // The block ends the file, and the file ends without a newline, as it did before.
            None if kept.is_empty() => before.strip_suffix(b"\n").unwrap_or(before).to_vec(),
            None => [before, &kept].concat(),
        }
    }

    /// Returns the lines of the block that are none of ours, without the newline at their end: `git config` puts a new
    /// key behind the last one of its section, and that may be ours.
    fn kept_of_block(&self) -> Vec<u8> {
        let Some(range) = &self.block else { return Vec::new() };
        let lines: Vec<&[u8]> = self.text[range.clone()].lines().collect();
        let own = Block::parse(&self.text[range.clone()]).map(|block| block.text());
        let own: Vec<&[u8]> = own.as_deref().unwrap_or_default().lines().collect();
        let is_ours =
            |line: &&&[u8]| own.contains(*line) || line.starts_with(MARK.as_bytes()) || is_line_of_hook(line);
        let kept: Vec<&[u8]> = lines.iter().filter(|line| !is_ours(line)).copied().collect();
        if kept.iter().all(|line| line.trim_ascii().is_empty()) {
            return Vec::new();
        }
        let is_section = |line: &&[u8]| line.trim_ascii_start().starts_with(b"[");
        // Keys need the header that they stood under.
        let header = own.iter().copied().filter(is_section).filter(|_| !is_section(&kept[0]));
        header.chain(kept.iter().copied()).collect::<Vec<_>>().join(&b'\n')
    }

    /// Reads everything outside of our block.
    fn others(&self) -> Result<Entries, Unfit> {
        let Some(range) = &self.block else { return Entries::read(&self.text) };
        let outside = [&self.text[..range.start], &self.text[range.end..]].concat();
        Entries::read(&outside).map_err(|unfit| match unfit {
            Unfit::Malformed { line } => Unfit::Malformed { line: self.line_in_file(line) },
            other => other,
        })
    }

    /// Returns the line of the file that is this line of what is outside of our block.
    fn line_in_file(&self, line: usize) -> usize {
        let Some(range) = &self.block else { return line };
        let before = line_of(&self.text, range.start);
        if line < before { line } else { line + line_of(&self.text[range.clone()], range.len()) - 1 }
    }
}

/// Returns whether a line is one of the hook that we write, of whatever version: an `event` that was left without
/// its `command` would fail every push.
fn is_line_of_hook(line: &[u8]) -> bool {
    line == format!("[hook \"{HOOK}\"]").as_bytes()
        || line.starts_with(b"\tcommand = ")
        || line.starts_with(b"\tevent = ")
}

/// Finds our block by its first and last line.
fn find_block(text: &[u8]) -> Result<Option<Range<usize>>, Unfit> {
    let begins = format!("{MARK}begin");
    let ends = format!("{MARK}end");
    let mut block: Option<Range<usize>> = None;
    let mut open = None;
    let mut at = 0;
    for (nth, line) in text.lines_with_terminator().enumerate() {
        if line.starts_with(begins.as_bytes()) {
            if open.is_some() || block.is_some() {
                return Err(Unfit::Torn { line: nth + 1 });
            }
            open = Some((at, nth + 1));
        } else if let Some((start, _)) = open.filter(|_| line.starts_with(ends.as_bytes())) {
            block = Some(start..at + line.strip_suffix(b"\n").unwrap_or(line).len());
            open = None;
        }
        at += line.len();
    }
    match open {
        Some((_, line)) => Err(Unfit::Torn { line }),
        None => Ok(block),
    }
}

/// What is set in a file, in order.
struct Entries(Vec<Entry>);

struct Entry {
    section: String,
    subsection: Option<BString>,
    key: String,
    value: BString,
    line: usize,
}

impl Entry {
    fn is(&self, section: &str, subsection: Option<&str>, key: &str) -> bool {
        self.section == section && self.is_below(subsection) && self.key.eq_ignore_ascii_case(key)
    }

    fn is_below(&self, subsection: Option<&str>) -> bool {
        self.subsection.as_ref().map(|name| name.as_bstr()) == subsection.map(Into::into)
    }
}

impl Entries {
    fn read(text: &[u8]) -> Result<Self, Unfit> {
        let events =
            Events::from_bytes(text, None).map_err(|err| Unfit::Malformed { line: err.line_number() })?;
        let mut entries = Vec::new();
        // Where in the text an event is follows from the length of those before.
        let mut line = 1;
        let mut raw = Vec::new();
        let mut section = (String::new(), None);
        let mut key = String::new();
        let mut key_line = 0;
        let mut value = Vec::new();
        for event in events.iter() {
            match &event {
                EventRef::SectionHeader { name, subsection_name, .. } => {
                    section =
                        (name.to_str_lossy().to_ascii_lowercase(), subsection_name.map(ToOwned::to_owned));
                    // A section without a key is one too.
                    entries.push(Entry {
                        section: section.0.clone(),
                        subsection: section.1.clone(),
                        key: String::new(),
                        value: BString::default(),
                        line,
                    });
                }
                EventRef::SectionValueName(name) => {
                    key = name.to_str_lossy().into_owned();
                    key_line = line;
                    value.clear();
                }
                EventRef::ValueNotDone(part) => value.extend_from_slice(part),
                EventRef::Value(part) | EventRef::ValueDone(part) => {
                    value.extend_from_slice(part);
                    entries.push(Entry {
                        section: section.0.clone(),
                        subsection: section.1.clone(),
                        key: key.clone(),
                        value: normalize(value.as_bstr()).into_owned(),
                        line: key_line,
                    });
                }
                _ => {}
            }
            raw.clear();
            // A vector takes everything.
            let _ = event.write_to(&mut raw);
            line += raw.find_iter("\n").count();
        }
        Ok(Self(entries))
    }
}

/// Returns the line of a place in a text, from 1.
fn line_of(text: &[u8], at: usize) -> usize {
    text[..at].find_iter("\n").count() + 1
}

/// Quotes a value as git's configuration has it.
fn quoted(value: &[u8]) -> Vec<u8> {
    [b"\"", &*value.replace("\\", "\\\\").replace("\"", "\\\""), b"\""].concat()
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}
