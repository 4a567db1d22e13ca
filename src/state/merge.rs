//! Merges small files of an outbox into larger ones while its destination accepts nothing.
//!
//! Removing a file takes longer than sending one of its markers: 20 to 40 µs on ext4, in any order,
//! and more if the disk is told of each freed block. While nothing can be sent, this time delays no
//! delivery. When the destination is back, the backlog is in few files.
//!
//! A merge has four steps: write a note of the names, write the new file, remove the parts, remove
//! the note. The note and the new file are synchronised before the next step; the removals are not
//! synchronised. The next process that takes the outbox's lock finishes a merge whose note is still
//! there (`finish`).

use std::{
    collections::HashSet,
    io::{self, Read as _},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{
    Outbox, StateError, files,
    name::ParcelName,
    outbox::{EncodedBatch, OutboxFileName, WaitingMarkers},
    seal,
};
use crate::{
    marker::{Marker, MarkerId},
    push::PushId,
};

/// Maximum number of markers in a merged file, the same as in a slice of a push.
const MAX_MARKERS: usize = 2_000;

/// Maximum size of a merged file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Maximum size of a part, in bytes. Larger files are not rewritten for the sake of a few small
/// ones, so each marker is rewritten only a few times, however long the destination is down.
const SMALL: u64 = MAX_BYTES / 8;

/// Maximum time between the oldest and the newest push of a merged file, so that its name tells the
/// age of its markers. If fewer pushes arrive in this time than fill a file, there are few files
/// anyway.
const MAX_SPAN: Duration = Duration::from_secs(3600);

/// Number of names held in memory at once.
const LISTED: usize = 16_384;

/// Name of the note, beside `new/` in the outbox's directory.
const NOTE: &str = "merging";

/// Maximum number of bytes read from the note: the names of [`LISTED`] files.
const MAX_NOTE: u64 = 4 << 20;

/// The note: the name of the merged file and the names of its parts.
#[derive(Serialize, Deserialize)]
struct Note {
    into: String,
    parts: Vec<String>,
}

/// Merges small files of an outbox whose lock is held, and returns the number of files that this
/// saves.
///
/// A run of small files is merged if it has at least `fewest` files or fills a file. Only files
/// that follow each other in the order of their names are merged, so the markers keep their order.
///
/// # Errors
/// If the outbox cannot be read or written. No marker is lost then.
pub fn merge(outbox: &Outbox, fewest: usize) -> Result<usize, StateError> {
    merge_parts(outbox, SMALL, fewest)
}

/// Merges the files of an outbox whose lock is held into as few as possible, whatever their size.
///
/// # Errors
/// As for [`merge`].
pub(super) fn merge_all(outbox: &Outbox) -> Result<usize, StateError> {
    merge_parts(outbox, MAX_BYTES, 2)
}

fn merge_parts(outbox: &Outbox, largest: u64, fewest: usize) -> Result<usize, StateError> {
    // A merge that could not be finished before may be finished now.
    finish(outbox)?;
    let mut saved = 0;
    let mut run = MergeRun::default();
    let mut after = String::new();
    loop {
        let names = outbox.after(&after, LISTED)?;
        let Some(last) = names.last() else { break };
        if after.is_empty() && names.len() < fewest {
            return Ok(0);
        }
        after = last.to_string();
        for name in names {
            let part = MergePart::of(outbox, name, largest)?;
            if part.as_ref().is_none_or(|part| !run.is_followed_by(part)) {
                saved += run.end(outbox, fewest)?;
            }
            part.into_iter().for_each(|part| run.add(part));
        }
    }
    Ok(saved + run.end(outbox, fewest)?)
}

/// Finishes a merge that another process began.
///
/// # Errors
/// If the outbox cannot be read or written. Some markers may be sent twice then.
pub(super) fn finish(outbox: &Outbox) -> Result<(), StateError> {
    let path = outbox.dir().join(NOTE);
    let file = match files::open(&path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    // The note is synchronised before anything else happens, so if it cannot be read, nothing has
    // happened yet.
    if let Ok(Note { into, parts }) = seal::read(file.take(MAX_NOTE))
        && let Ok(whole) = outbox.read(&into)
    {
        let held: HashSet<MarkerId> = whole.markers.iter().map(|marker| marker.id).collect();
        for part in parts.iter().filter(|part| **part != into && !part.contains('/')) {
            // This name may belong to another file by now: of a push that was decided again, or of
            // a dead letter that was put back.
            let is_double = outbox.read(part).is_ok_and(|part| {
                part.only == whole.only && part.markers.iter().all(|marker| held.contains(&marker.id))
            });
            if is_double {
                outbox.remove(part)?;
            }
        }
    }
    files::remove(&path)
}

/// A file that may become a part of a merged one.
struct MergePart {
    file: OutboxFileName,
    name: ParcelName,
    size: u64,
    modified: SystemTime,
}

impl MergePart {
    fn of(outbox: &Outbox, file: OutboxFileName, largest: u64) -> Result<Option<Self>, StateError> {
        // A marker that is retried alone would hold up the others of its file.
        let Some(name) = file.fields().filter(|name| name.alone().is_none()) else {
            return Ok(None);
        };
        let path = outbox.new_dir().join(&*file);
        let metadata = match path.symlink_metadata() {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata.map_err(|err| StateError::new("examine", &path, err))?,
        };
        let modified = metadata.modified().map_err(|err| StateError::new("examine", &path, err))?;
        let size = metadata.len();
        Ok((metadata.is_file() && size <= largest).then_some(Self { file, name, size, modified }))
    }
}

/// Consecutive parts that fit into one file, as far as their sizes and names tell.
#[derive(Default)]
struct MergeRun {
    parts: Vec<MergePart>,
    size: u64,
    /// True if it ended because the next part does not fit.
    is_full: bool,
}

impl MergeRun {
    fn is_followed_by(&mut self, part: &MergePart) -> bool {
        let Some(first) = self.parts.first() else { return true };
        self.is_full = self.size + part.size > MAX_BYTES || self.parts.len() == MAX_MARKERS;
        let span = span(first.name.push(), part.name.newest());
        !self.is_full && first.name.only() == part.name.only() && span.is_some_and(|span| span <= MAX_SPAN)
    }

    fn add(&mut self, part: MergePart) {
        self.size += part.size;
        self.parts.push(part);
    }

    /// Merges the parts if there are enough of them, and starts an empty run.
    fn end(&mut self, outbox: &Outbox, fewest: usize) -> Result<usize, StateError> {
        let Self { parts, is_full, .. } = std::mem::take(self);
        let mut saved = 0;
        if parts.len() < 2 || (parts.len() < fewest && !is_full) {
            return Ok(saved);
        }
        let mut merged = Merged::default();
        for part in parts {
            match outbox.read(&part.file) {
                Ok(waiting) if waiting.only == part.name.only() => {
                    if merged.markers.len() + waiting.markers.len() > MAX_MARKERS {
                        saved += merged.write(outbox)?;
                    }
                    merged.add(part, waiting);
                }
                // The delivery knows how to handle such a file.
                _ => saved += merged.write(outbox)?,
            }
        }
        Ok(saved + merged.write(outbox)?)
    }
}

/// Returns the time between two pushes, or `None` if an ID has no time or they are in the wrong
/// order.
fn span(first: PushId, last: PushId) -> Option<Duration> {
    Duration::try_from(last.time()?.duration_since(first.time()?)).ok()
}

/// A merged file that is being put together.
#[derive(Default)]
struct Merged {
    parts: Vec<MergePart>,
    markers: Vec<Marker>,
    seen: HashSet<MarkerId>,
}

impl Merged {
    fn add(&mut self, part: MergePart, waiting: WaitingMarkers) {
        self.parts.push(part);
        // A crash may have left a marker in two files.
        self.markers.extend(waiting.markers.into_iter().filter(|marker| self.seen.insert(marker.id)));
    }

    /// Writes the merged file, removes its parts, and starts an empty one. Returns the number of
    /// files that this saves.
    fn write(&mut self, outbox: &Outbox) -> Result<usize, StateError> {
        let Self { parts, markers, .. } = std::mem::take(self);
        let ([first, _, ..], Some(modified)) = (&*parts, parts.iter().map(|part| part.modified).max()) else {
            return Ok(0);
        };
        let unwritable = |err| StateError::in_dir(outbox.dir(), err);
        let markers: Vec<_> = markers.iter().collect();
        let parcel = EncodedBatch::of_some(&first.file, first.name.only(), &markers).map_err(unwritable)?;
        let into = parcel.name().to_string();
        if outbox.has(&into) {
            return Ok(0);
        }
        let note = Note { into, parts: parts.into_iter().map(|part| part.file.to_string()).collect() };
        let json = seal::line(&note).map_err(unwritable)?;
        files::write_durable(outbox.dir(), NOTE, &[&json], None)?;
        // The merged file counts as waiting since the youngest of its parts was written.
        outbox.place_durably(&parcel, modified)?;
        note.parts.iter().try_for_each(|part| outbox.remove(part))?;
        files::remove(&outbox.dir().join(NOTE))?;
        Ok(note.parts.len() - 1)
    }
}
