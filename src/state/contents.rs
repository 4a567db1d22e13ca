//! What is in a file of the queue, read without trusting it: as much of it as is asked for, broken lines and all.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use serde::Deserialize;

use super::files::{self, StateError};
use crate::{marker::MarkerId, policy::Kind, push::Source};

/// How much of a file a glance reads, in bytes.
const GLANCE: u64 = 256 << 10;

/// How much of one line is read, in bytes.
const MAX_LINE: usize = 1 << 20;

/// How many groups of markers a glance tells apart.
const MAX_GROUPS: usize = 64;

/// What the beginning of a file says of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Glance {
    /// Markers for a destination.
    Markers {
        /// How many its first line promises.
        count: usize,
        /// How many are of which kind and service, among those that were looked at.
        groups: BTreeMap<(&'static str, String), usize>,
        /// Whether all were looked at, and as many as were promised.
        is_whole: bool,
    },
    /// A captured push.
    Push {
        /// `owner/name`.
        repository: String,
        /// Who pushed.
        pusher: Option<String>,
    },
    /// Neither.
    Unreadable(String),
}

/// The first line of an outbox file, as far as a glance needs it.
#[derive(Deserialize)]
struct MarkersLine {
    markers: usize,
}

/// The first line of a capture, as far as a glance needs it.
#[derive(Deserialize)]
struct PushLine {
    source: Source,
}

/// What a glance wants of a marker.
#[derive(Deserialize)]
struct Seen {
    kind: Kind,
    service: String,
}

/// Looks at the beginning of a file, which is a captured push or else holds markers.
///
/// # Errors
/// If it cannot be opened or read.
pub fn glance(path: &Path, is_capture: bool) -> Result<Glance, StateError> {
    let file = files::open(path)?;
    let mut head = Vec::new();
    file.take(GLANCE).read_to_end(&mut head).map_err(|err| StateError::new("read", path, err))?;
    let is_cut = head.len() as u64 == GLANCE;
    let Some(end) = head.iter().position(|byte| *byte == b'\n') else {
        return Ok(Glance::Unreadable("it has no whole first line".into()));
    };
    let (first, rest) = (&head[..end], &head[end + 1..]);
    let broken = |err: serde_json::Error| Glance::Unreadable(format!("its first line is broken: {err}"));
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
        let Ok(Seen { kind, service }) = serde_json::from_slice(line) else { continue };
        seen += 1;
        let group = (kind.as_str(), service);
        if groups.len() < MAX_GROUPS || groups.contains_key(&group) {
            *groups.entry(group).or_insert(0) += 1;
        }
    }
    Ok(Glance::Markers { count, groups, is_whole: seen == count && !is_cut })
}

/// Calls `with` for every line of a file, without its end and no more than the first MiB of it.
///
/// # Errors
/// If the file cannot be read, or `with` fails.
pub fn each_line<E: From<StateError>>(
    path: &Path,
    mut with: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = BufReader::new(files::open(path)?);
    let mut line = Vec::new();
    while read_line(&mut reader, &mut line).map_err(|err| StateError::new("read", path, err))? {
        with(&line)?;
    }
    Ok(())
}

/// Reads a line, and returns whether there was one.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
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
        let end = part.iter().position(|byte| *byte == b'\n');
        let content = &part[..end.unwrap_or(part.len())];
        line.extend_from_slice(&content[..content.len().min(MAX_LINE - line.len())]);
        let used = end.map_or(part.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Returns the ids of the markers in a file, as far as it can be read.
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
    // A file that cannot be read to its end has the ids that it has.
    drop(read);
    ids
}
