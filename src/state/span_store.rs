//! The markers that have a span whose id is computed from a commit.
//!
//! One file for each first byte of such an id has a line for each marker: the span's id, the marker's
//! id, the time in nanoseconds and a checksum. The files are not synchronised: what a power cut loses
//! only lets a commit that is pushed again get a span id a second time.

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{IoSlice, Read as _},
    path::{Path, PathBuf},
};

use bstr::ByteSlice as _;

use super::{
    files::{self, StateError},
    lock, seal,
};
use crate::{decide::SpanOwner, marker::SpanId, sys::time::Timestamp};

/// Size at which a file loses its older half, in bytes. It holds about 800 spans then.
const MAX_FILE: u64 = 64 << 10;

pub(super) const DIR: &str = "spans";
const LOCK: &str = "lock";

/// The files of spans.
pub(super) struct SpanStore {
    dir: PathBuf,
    /// The text of each file that was read since the last write, because a push of many tags asks
    /// for a span per tag. At most 256 files of [`MAX_FILE`] bytes.
    texts: RefCell<HashMap<u8, String>>,
}

impl SpanStore {
    pub fn at(state_dir: &Path) -> Self {
        Self { dir: state_dir.join(DIR), texts: RefCell::default() }
    }

    /// Returns the first marker that was recorded for a span. Damaged lines are skipped, and an
    /// unreadable file counts as empty.
    pub fn owner(&self, span: SpanId) -> Option<SpanOwner> {
        let mut texts = self.texts.borrow_mut();
        let text = texts
            .entry(span.as_bytes()[0])
            .or_insert_with(|| self.read(&file_name(span)).unwrap_or_default());
        if text.is_empty() {
            return None;
        }
        let line = format!("\n{span} ");
        let mut places = text.as_bytes().find_iter(&line);
        places.find_map(|at| parse(text[at + 1..].lines().next()?)).map(|(_, owner)| owner)
    }

    /// Appends lines for these spans.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn remember(&self, spans: &[(SpanId, SpanOwner)]) -> Result<(), StateError> {
        if spans.is_empty() {
            return Ok(());
        }
        self.texts.borrow_mut().clear();
        files::make_dir(&self.dir)?;
        let path = self.dir.join(LOCK);
        let lock = files::open_to_append(&path)?;
        lock::lock_soon(&lock, &path)?;
        for (span, owner) in spans {
            let name = file_name(*span);
            let path = self.dir.join(&name);
            let mut file = files::open_to_append(&path)?;
            let line = line(*span, *owner);
            files::write_all(&mut file, vec![IoSlice::new(line.as_bytes())], &path)?;
            let len = file.metadata().map_err(|err| StateError::new("read", &path, err))?.len();
            if len > MAX_FILE {
                self.halve(&name)?;
            }
        }
        Ok(())
    }

    fn halve(&self, name: &str) -> Result<(), StateError> {
        let text = self.read(name)?;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let newer = lines[lines.len() / 2..].concat();
        files::write_durable(&self.dir, name, &[newer.as_bytes()], None)?;
        Ok(())
    }

    fn read(&self, name: &str) -> Result<String, StateError> {
        let path = self.dir.join(name);
        let mut bytes = Vec::new();
        let read = files::open(&path)?.take(2 * MAX_FILE).read_to_end(&mut bytes);
        read.map_err(|err| StateError::new("read", &path, err))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Returns the name of the file for a span: the first byte of its id in hex.
fn file_name(span: SpanId) -> String {
    format!("{:02x}", span.as_bytes()[0])
}

/// Returns a line. It starts with a line break, so that a line that a dead process left incomplete
/// damages no other.
fn line(span: SpanId, owner: SpanOwner) -> String {
    let content = format!("{span} {} {}", owner.marker, owner.time.as_nanosecond());
    let sum = seal::sum(content.as_bytes());
    format!("\n{content} {}\n", String::from_utf8_lossy(&sum))
}

fn parse(line: &str) -> Option<(SpanId, SpanOwner)> {
    let (content, sum) = line.rsplit_once(' ')?;
    if sum.as_bytes() != seal::sum(content.as_bytes()) {
        return None;
    }
    let mut parts = content.split(' ');
    let (span, marker) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let time = Timestamp::from_nanosecond(parts.next()?.parse().ok()?).ok()?;
    Some((span, SpanOwner { marker, time }))
}

#[cfg(test)]
mod tests;
