//! Reads the journal line by line.

use std::io::{BufReader, Seek as _, SeekFrom};

use super::{
    contents,
    files::{self, StateError},
    journal::{Journal, JournalEntry},
    listing,
};
use crate::sys::time::Timestamp;

/// Size of the buffer for reading, in bytes.
const READ: usize = 64 << 10;

/// Maximum number of bytes kept of a line. This program writes no longer ones.
const MAX_LINE: usize = 1 << 20;

/// A place in the journal, at first its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalPosition {
    file: String,
    offset: u64,
}

impl Journal {
    /// Calls `with` for every entry, oldest first. Returns the number of lines that it skipped
    /// because they cannot be parsed, for example lines that a crash cut off.
    ///
    /// # Errors
    /// If a file of the journal cannot be read, or `with` fails.
    pub fn read(
        &self,
        mut with: impl FnMut(JournalEntry<'static>) -> anyhow::Result<()>,
    ) -> anyhow::Result<usize> {
        let mut broken = 0;
        self.each_line("", |_, line| match JournalEntry::read(line) {
            Some(entry) => with(entry),
            None => {
                broken += 1;
                Ok(())
            }
        })?;
        Ok(broken)
    }

    /// Returns the time of the oldest entry that can be read.
    pub fn begins(&self) -> Option<Timestamp> {
        let mut begins = None;
        // The error ends the reading.
        let _ = self.each_line("", |_, line| {
            begins = JournalEntry::read(line).map(|entry| entry.time);
            if begins.is_some() { anyhow::bail!("found") } else { Ok(()) }
        });
        begins
    }

    /// Calls `with` for every line and the name of its file, oldest first, from the beginning of
    /// the file named `from`. The lines are not parsed, so a caller can skip most of a long journal
    /// quickly.
    ///
    /// # Errors
    /// If a file of the journal cannot be read, or `with` fails.
    pub fn each_line(
        &self,
        from: &str,
        mut with: impl FnMut(&str, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut position = JournalPosition { file: from.to_string(), offset: 0 };
        self.each_named_line(&mut position, &mut with)
    }

    /// Calls `with` for every line after `position`, oldest first, and moves the position to the end.
    ///
    /// # Errors
    /// If a file of the journal cannot be read, or `with` fails.
    pub fn each_line_since(
        &self,
        position: &mut JournalPosition,
        mut with: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.each_named_line(position, &mut |_, line| with(line))
    }

    fn each_named_line(
        &self,
        position: &mut JournalPosition,
        with: &mut dyn FnMut(&str, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut names = listing::list(&self.dir)?;
        names.retain(|name| name.ends_with(".jsonl") && *name >= position.file);
        for name in &names {
            let path = self.dir.join(name);
            let failed = |err| StateError::new("read", &path, err);
            if *name != position.file {
                *position = JournalPosition { file: name.clone(), offset: 0 };
            }
            let mut file = files::open(&path)?;
            file.seek(SeekFrom::Start(position.offset)).map_err(failed)?;
            let mut reader = BufReader::with_capacity(READ, file);
            let mut line = Vec::new();
            while contents::read_line(&mut reader, &mut line, MAX_LINE).map_err(failed)? {
                // Two processes that append at once may both have ended a torn line.
                if line.trim_ascii().is_empty() {
                    continue;
                }
                with(name, &line)?;
            }
            position.offset = reader.stream_position().map_err(failed)?;
        }
        Ok(())
    }
}
