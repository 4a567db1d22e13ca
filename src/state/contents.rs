//! Reads as much of a queue file as a command shows, and tolerates broken lines.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use bstr::ByteSlice as _;
use serde::Deserialize;

use super::files::{self, StateError};
use crate::{
    marker::{Kind, MarkerId},
    push::Source,
};

/// Name of the JSON member that holds a checksum, for readers that leave it out.
pub const CHECKSUM: &str = "crc32";

/// Maximum number of bytes that [`glance`] reads.
const GLANCE: u64 = 256 << 10;

/// Maximum number of bytes kept of one line.
const MAX_LINE: usize = 1 << 20;

/// Maximum number of groups of markers that [`glance`] distinguishes.
const MAX_GROUPS: usize = 64;

/// A summary of a file, made from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Glance {
    /// Markers for a destination.
    Markers {
        /// Number of markers that the first line promises.
        count: usize,
        /// Number of markers of each kind and service, among those that were read.
        groups: BTreeMap<(&'static str, String), usize>,
        /// True if all markers were read, and their number is the promised one.
        is_whole: bool,
    },
    /// A captured push.
    Push {
        /// `owner/name`.
        repository: String,
        /// Name of the user who pushed.
        pusher: Option<String>,
    },
    /// Neither of these, and the error.
    Unreadable(String),
}

/// The members of an outbox file's first line that [`glance`] needs.
#[derive(Deserialize)]
struct MarkersLine {
    markers: usize,
}

/// The members of a capture's first line that [`glance`] needs.
#[derive(Deserialize)]
struct PushLine {
    source: Source,
}

/// The members of a marker that [`glance`] needs.
#[derive(Deserialize)]
struct MarkerHeader {
    kind: Kind,
    service: String,
}

/// Summarises a file from its beginning. The file is a captured push or holds markers.
///
/// # Errors
/// If it cannot be opened or read.
pub fn glance(path: &Path, is_capture: bool) -> Result<Glance, StateError> {
    let file = files::open(path)?;
    let mut head = Vec::new();
    file.take(GLANCE).read_to_end(&mut head).map_err(|err| StateError::new("read", path, err))?;
    let is_cut = head.len() as u64 == GLANCE;
    let Some(end) = head.iter().position(|byte| *byte == b'\n') else {
        return Ok(Glance::Unreadable("its first line is incomplete".into()));
    };
    let (first, rest) = (&head[..end], &head[end + 1..]);
    let broken = |err: serde_json::Error| Glance::Unreadable(format!("its first line is corrupt: {err}"));
    if is_capture {
        return Ok(match serde_json::from_slice(first) {
            Ok(PushLine { source }) => Glance::Push {
                repository: source.repository.full_name(),
                pusher: source.pusher.map(|pusher| pusher.name),
            },
            Err(err) => broken(err),
        });
    }
    let count = match serde_json::from_slice(first) {
        Ok(MarkersLine { markers }) => markers,
        Err(err) => return Ok(broken(err)),
    };
    let mut groups = BTreeMap::new();
    let mut seen = 0;
    for line in rest.split(|byte| *byte == b'\n') {
        let Ok(MarkerHeader { kind, service }) = serde_json::from_slice(line) else { continue };
        seen += 1;
        let group = (kind.as_str(), service);
        if groups.len() < MAX_GROUPS || groups.contains_key(&group) {
            *groups.entry(group).or_insert(0) += 1;
        }
    }
    Ok(Glance::Markers { count, groups, is_whole: seen == count && !is_cut })
}

/// Calls `with` for every line of a file, without its line break and cut after 1 MiB.
///
/// # Errors
/// If the file cannot be read, or `with` fails.
pub fn each_line<E: From<StateError>>(
    path: &Path,
    mut with: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = BufReader::new(files::open(path)?);
    let mut line = Vec::new();
    while read_line(&mut reader, &mut line, MAX_LINE).map_err(|err| StateError::new("read", path, err))? {
        with(&line)?;
    }
    Ok(())
}

/// Reads a line without its line break and keeps up to `most` bytes of it. Returns false at the end
/// of the file.
pub(super) fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>, most: usize) -> io::Result<bool> {
    line.clear();
    let mut has_any = false;
    loop {
        let part = match reader.fill_buf() {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            part => part?,
        };
        if part.is_empty() {
            return Ok(has_any);
        }
        has_any = true;
        let end = part.find_byte(b'\n');
        let content = &part[..end.unwrap_or(part.len())];
        line.extend_from_slice(&content[..content.len().min(most - line.len())]);
        let used = end.map_or(part.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Returns the IDs of the markers in a file, as far as it can be read.
pub fn marker_ids(path: &Path) -> Vec<MarkerId> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: MarkerId,
    }
    let mut ids = Vec::new();
    let read = each_line(path, |line| {
        ids.extend(serde_json::from_slice(line).map(|OnlyId { id }| id));
        Ok::<_, StateError>(())
    });
    // If the file cannot be read to its end, the IDs so far are returned.
    drop(read);
    ids
}
