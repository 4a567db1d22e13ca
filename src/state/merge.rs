//! Small files of an outbox become larger ones while a destination takes nothing, so that what has piled up by the
//! time it is back is in few files.
//!
//! To remove a file takes longer than to send a marker that is in it: 20 to 40 µs on ext4, in whatever order, and
//! more where the disk is told of each block that is free again. While nothing can be sent anyway, that time costs nobody anything.
//!
//! A merge is four steps: a note of what becomes what, the new file, the parts go, the note goes. Each is on disk before the
//! next. Whoever takes the outbox's lock ends what a process that died in between had begun (`finish`).

use std::{
    collections::HashSet,
    io,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{
    Outbox, StateError, files,
    name::ParcelName,
    outbox::{Parcel, Waiting},
};
use crate::{
    marker::{Marker, MarkerId},
    push::PushId,
};

/// How many markers a merged file holds at most: as many as a slice of a push.
const MAX_MARKERS: usize = 2_000;

/// How large it is at most, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// How large a part is at most. A larger file is not written anew for the sake of a few others, so that
/// each marker is written a few times only, however long the destination is away.
const SMALL: u64 = MAX_BYTES / 8;

/// How much time lies between the oldest and the newest push of a file at most, so that its age says how long its
/// markers have waited. Where fewer pushes come than make a file in that time, there are few anyway.
const MAX_SPAN: Duration = Duration::from_secs(3600);

/// How many names are held at once.
const LISTED: usize = 16_384;

/// The file beside the outbox that says what is being merged.
const NOTE: &str = "merging";

/// What becomes what.
#[derive(Serialize, Deserialize)]
struct Note {
    into: String,
    parts: Vec<String>,
}

/// Merges small files of an outbox whose lock is held, wherever `fewest` of them or more make one or those there are fill
/// one, and returns how many files fewer there are.
///
/// Only files that follow each other become one, so markers keep their order.
///
/// # Errors
/// If the outbox cannot be read or written. Nothing is lost by that.
pub fn merge(outbox: &Outbox, fewest: usize) -> Result<usize, StateError> {
    merge_parts(outbox, SMALL, fewest)
}

/// Makes as few files as there can be of an outbox whose lock is held, whatever has to be written anew for it.
///
/// # Errors
/// As for [`merge`].
pub(super) fn merge_all(outbox: &Outbox) -> Result<usize, StateError> {
    merge_parts(outbox, MAX_BYTES, 2)
}

fn merge_parts(outbox: &Outbox, largest: u64, fewest: usize) -> Result<usize, StateError> {
    // One that failed before may work now.
    finish(outbox)?;
    let mut saved = 0;
    let mut run = Run::default();
    let mut after = String::new();
    loop {
        let names = outbox.after(&after, LISTED)?;
        let Some(last) = names.last() else { break };
        if after.is_empty() && names.len() < fewest {
            return Ok(0);
        }
        after.clone_from(last);
        for name in names {
            let part = Part::of(outbox, name, largest)?;
            if part.as_ref().is_none_or(|part| !run.is_followed_by(part)) {
                saved += run.end(outbox, fewest)?;
            }
            part.into_iter().for_each(|part| run.add(part));
        }
    }
    Ok(saved + run.end(outbox, fewest)?)
}

/// Ends a merge that a process which died had begun.
///
/// # Errors
/// If the outbox cannot be read or written. Some markers may then be delivered twice.
pub(super) fn finish(outbox: &Outbox) -> Result<(), StateError> {
    let path = outbox.dir().join(NOTE);
    let file = match files::open(&path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    // A note that cannot be read was being written when the machine died: nothing had been done then.
    if let Ok(Note { into, parts }) = serde_json::from_reader(io::BufReader::new(file))
        && let Ok(whole) = outbox.read(&into)
    {
        let held: HashSet<MarkerId> = whole.markers.iter().map(|marker| marker.id).collect();
        for part in parts.iter().filter(|part| **part != into && !part.contains('/')) {
            // Something else may have come under this name: a push that was decided again, or a dead letter.
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

/// A file that may become a part of a larger one.
struct Part {
    file: String,
    name: ParcelName,
    size: u64,
    modified: SystemTime,
}

impl Part {
    fn of(outbox: &Outbox, file: String, largest: u64) -> Result<Option<Self>, StateError> {
        let Ok(name) = file.parse() else { return Ok(None) };
        let path = outbox.new_dir().join(&file);
        let metadata = match path.symlink_metadata() {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata.map_err(|err| StateError::new("look at", &path, err))?,
        };
        let modified = metadata.modified().map_err(|err| StateError::new("look at", &path, err))?;
        let size = metadata.len();
        Ok((metadata.is_file() && size <= largest).then_some(Self { file, name, size, modified }))
    }
}

/// Parts that follow each other and fit into one file, as far as can be told without reading them.
#[derive(Default)]
struct Run {
    parts: Vec<Part>,
    size: u64,
    /// Whether it ended because nothing more fits in.
    is_full: bool,
}

impl Run {
    fn is_followed_by(&mut self, part: &Part) -> bool {
        let Some(first) = self.parts.first() else { return true };
        self.is_full = self.size + part.size > MAX_BYTES || self.parts.len() == MAX_MARKERS;
        let span = span(first.name.push(), part.name.newest());
        !self.is_full && first.name.only() == part.name.only() && span.is_some_and(|span| span <= MAX_SPAN)
    }

    fn add(&mut self, part: Part) {
        self.size += part.size;
        self.parts.push(part);
    }

    /// Makes files of the parts if they are worth it, and begins anew.
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
                // Whoever delivers knows what is to be done with it.
                _ => saved += merged.write(outbox)?,
            }
        }
        Ok(saved + merged.write(outbox)?)
    }
}

/// Returns the time between two pushes, `None` if one says no time or they are in the wrong order.
fn span(first: PushId, last: PushId) -> Option<Duration> {
    Duration::try_from(last.time()?.duration_since(first.time()?)).ok()
}

/// A file in the making.
#[derive(Default)]
struct Merged {
    parts: Vec<Part>,
    markers: Vec<Marker>,
    seen: HashSet<MarkerId>,
}

impl Merged {
    fn add(&mut self, part: Part, waiting: Waiting) {
        self.parts.push(part);
        // What a crash left twice is there once again.
        self.markers.extend(waiting.markers.into_iter().filter(|marker| self.seen.insert(marker.id)));
    }

    /// Writes the file, removes its parts, begins anew, and returns how many files fewer there are.
    fn write(&mut self, outbox: &Outbox) -> Result<usize, StateError> {
        let Self { parts, markers, .. } = std::mem::take(self);
        let ([first, _, ..], Some(modified)) = (&*parts, parts.iter().map(|part| part.modified).max()) else {
            return Ok(0);
        };
        let unwritable = |err| StateError::in_dir(outbox.dir(), err);
        let markers: Vec<_> = markers.iter().collect();
        let parcel = Parcel::of_some(&first.file, first.name.only(), &markers).map_err(unwritable)?;
        let into = parcel.name().to_string();
        if outbox.has(&into) {
            return Ok(0);
        }
        let note = Note { into, parts: parts.into_iter().map(|part| part.file).collect() };
        let json = serde_json::to_vec(&note).map_err(unwritable)?;
        files::write_durable(outbox.dir(), NOTE, &[&json], None)?;
        // It has waited as long as the part that has waited least.
        outbox.place_durably(&parcel, modified)?;
        note.parts.iter().try_for_each(|part| outbox.remove(part))?;
        files::remove(&outbox.dir().join(NOTE))?;
        Ok(note.parts.len() - 1)
    }
}
