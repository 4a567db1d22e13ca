//! Adds our block to the text of Gitea's `.gitconfig` and removes it again. All other bytes are
//! preserved.

use std::{fmt, ops::Range};

use bstr::{BString, ByteSlice as _};

use super::{
    block::{ConfigBlock, END, HOOK, REF_HOOK, is_section_of_hook},
    command::MARK,
    entries::{Entries, GitConfigSyntaxError},
};

/// The text of a git configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitConfig {
    text: Vec<u8>,
    /// Range of our block, without the final newline.
    block: Option<Range<usize>>,
}

/// A reason not to change a git configuration file.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// git cannot parse the file.
    Malformed {
        /// Line of the syntax error.
        line: usize,
    },
    /// Our block has no end, or there is a second one.
    Torn {
        /// Line of its start.
        line: usize,
    },
    /// A section outside of our block has the name of one of our hooks.
    Foreign {
        /// Name of the hook.
        hook: &'static str,
        /// Line of the section.
        line: usize,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { .. } => f.write_str("git cannot read this line"),
            Self::Torn { .. } => write!(
                f,
                "the lines of gitea-lightstep begin here, and their end `{END}` is missing; remove them by \
                 hand"
            ),
            Self::Foreign { hook, .. } => write!(
                f,
                "this [hook \"{hook}\"] was not written by gitea-lightstep; remove it by hand, \
                 with all its keys at once"
            ),
        }
    }
}

impl Unfit {
    /// Returns the line of the problem.
    pub fn line(&self) -> usize {
        match self {
            Self::Malformed { line } | Self::Torn { line } | Self::Foreign { line, .. } => *line,
        }
    }
}

impl GitConfig {
    /// Parses a file. Use an empty text for a file that does not exist.
    ///
    /// # Errors
    /// If it must not be changed.
    pub fn parse(text: Vec<u8>) -> Result<Self, Unfit> {
        let block = find_block(&text)?;
        let config = Self { text, block };
        for hook in [HOOK, REF_HOOK] {
            if let Some(foreign) = config.others()?.iter().find(|entry| entry.is_in("hook", Some(hook))) {
                return Err(Unfit::Foreign { hook, line: config.line_in_file(foreign.line) });
            }
        }
        Ok(config)
    }

    /// Returns the text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the content of our block, if there is one that this program could have written.
    pub fn block(&self) -> Option<ConfigBlock> {
        let block = self.block.clone()?;
        ConfigBlock::parse(&self.text[block])
    }

    /// Returns true if there is a block of ours, even if it cannot be parsed.
    pub fn has_block(&self) -> bool {
        self.block.is_some()
    }

    /// Returns the template directory that is set outside of our block, as written, and its line.
    pub fn template_dir(&self) -> Option<(BString, usize)> {
        let others = self.others().ok()?;
        let entry = others.iter().rfind(|entry| entry.is("init", None, "templateDir"))?;
        Some((entry.value.clone(), self.line_in_file(entry.line)))
    }

    /// Returns the text with this block in place of the old one, or at the end.
    pub fn with(&self, block: &ConfigBlock) -> Vec<u8> {
        let new = block.text();
        match &self.block {
            Some(range) => {
                let kept = self.kept_of_block();
                // Keep entries that git added inside our block by moving them behind it.
                let kept = if kept.is_empty() { kept } else { [b"\n", &*kept].concat() };
                [&self.text[..range.start], &new, &kept, &self.text[range.end..]].concat()
            }
            // Do not add a final newline if there was none, so that `without` can restore the
            // original text.
            None if self.text.ends_with(b"\n") => [&self.text[..], &new, b"\n"].concat(),
            None if self.text.is_empty() => new,
            None => [&self.text[..], b"\n", &new].concat(),
        }
    }

    /// Returns the text of a new file with this block.
    pub fn new_with(block: &ConfigBlock) -> Vec<u8> {
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
            // The block is at the end of a file without a final newline, so remove the newline
            // before it.
            None if kept.is_empty() => before.strip_suffix(b"\n").unwrap_or(before).to_vec(),
            None => [before, &kept].concat(),
        }
    }

    /// Returns the lines in our block that we did not write, without the final newline. There may
    /// be some because `git config` adds a key behind the last one in its section, which may be in
    /// our block.
    fn kept_of_block(&self) -> Vec<u8> {
        let Some(range) = &self.block else { return Vec::new() };
        let own = ConfigBlock::parse(&self.text[range.clone()]).map(|block| block.text());
        let own: Vec<&[u8]> = own.as_deref().unwrap_or_default().lines().collect();
        let is_section = |line: &[u8]| line.trim_ascii_start().starts_with(b"[");
        let mut kept = Vec::new();
        let mut is_in_hook = false;
        for line in self.text[range.clone()].lines() {
            if is_section(line) {
                // Drop the whole section of our hook. A remaining `event` without `command` would
                // make every push fail.
                is_in_hook = is_section_of_hook(line);
            }
            if !is_in_hook && !own.contains(&line) && !line.starts_with(MARK.as_bytes()) {
                kept.push(line);
            }
        }
        if kept.iter().all(|line| line.trim_ascii().is_empty()) {
            return Vec::new();
        }
        // Keys need the section header above them.
        let header = own.iter().copied().filter(|line| is_section(line) && !is_section(kept[0]));
        header.chain(kept.iter().copied()).collect::<Vec<_>>().join(&b'\n')
    }

    /// Parses everything outside of our block.
    fn others(&self) -> Result<Entries, Unfit> {
        let outside = match &self.block {
            Some(range) => [&self.text[..range.start], &self.text[range.end..]].concat(),
            None => self.text.clone(),
        };
        Entries::read(&outside)
            .map_err(|GitConfigSyntaxError { line }| Unfit::Malformed { line: self.line_in_file(line) })
    }

    /// Converts a line number in the text outside of our block to a line number in the file.
    fn line_in_file(&self, line: usize) -> usize {
        let Some(range) = &self.block else { return line };
        let before = line_of(&self.text, range.start);
        if line < before { line } else { line + line_of(&self.text[range.clone()], range.len()) - 1 }
    }
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

/// Returns the line of an offset, counted from 1.
fn line_of(text: &[u8], at: usize) -> usize {
    text[..at].find_iter("\n").count() + 1
}

#[cfg(test)]
mod tests;
