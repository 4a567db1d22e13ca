//! Markers that a destination does not have yet.
//!
//! `new/` holds one file for each decided slice of a push, named `<push id>.<first update>`. Its
//! first line says how many markers follow; then comes one marker per line, as JSON with a checksum
//! (`seal.rs`). Names sort by the time of the push. What remains of a file after a part of it was
//! sent is a new file. Its name also has the ID of its first marker, and the form if only that form
//! is to be sent. Files that have waited are merged ([`super::merge`]); the name of a merged file
//! has its oldest and its newest push.

use std::{fs::File, path::PathBuf, time::SystemTime};

pub use super::name::{Alone, OutboxFileName};
use super::{
    files::{self, StateError, WrittenFile},
    listing::{self, Weight},
    lock, merge,
    name::ParcelName,
    parcel_file::{self, OutboxFileContents},
};
use crate::{
    marker::{Marker, Signal},
    push::PushId,
    sys::regular_file,
    sys::time::Timestamp,
};

/// Maximum size of a file that [`Outbox::assign_to`] copies, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// The outbox of one destination.
#[derive(Clone, Debug)]
pub struct Outbox {
    dir: PathBuf,
    destination: String,
}

/// The content of an outbox file.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingMarkers {
    /// The only form in which the markers are to be sent, or `None` for all that the destination
    /// wants.
    pub only: Option<Signal>,
    /// The markers.
    pub markers: Vec<Marker>,
}

/// Markers in the form of an outbox file, serialised once for all destinations.
#[derive(Debug)]
pub struct EncodedBatch {
    name: ParcelName,
    only: Option<Signal>,
    count: usize,
    lines: Vec<u8>,
}

/// The lock of an outbox. Its holder may deliver; it ends with the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl EncodedBatch {
    /// Creates an empty parcel for the markers of a push's updates from `from` on.
    pub fn new(push_id: PushId, from: usize) -> Self {
        Self { name: ParcelName::new(push_id, from), only: None, count: 0, lines: Vec::new() }
    }

    /// Creates a parcel of some markers of the file `name`, or of that file and the ones after it,
    /// which are to be sent in the form `only` or in all forms.
    ///
    /// # Errors
    /// If a marker cannot be written as JSON.
    pub fn of_some(
        name: &OutboxFileName,
        only: Option<Signal>,
        markers: &[&Marker],
    ) -> Result<Self, serde_json::Error> {
        // A file with a foreign name may hold markers, too.
        let of = name.fields().unwrap_or_else(|| ParcelName::new(PushId::now(), 0));
        let mut parcel = Self { name: of.for_some(markers, only), only, count: 0, lines: Vec::new() };
        markers.iter().try_for_each(|marker| parcel.add(marker))?;
        Ok(parcel)
    }

    /// Creates a parcel of the markers of several pushes, which are in the order of their pushes.
    ///
    /// # Errors
    /// If a marker cannot be written as JSON.
    pub fn of_several(first: PushId, markers: &[Marker]) -> Result<Self, serde_json::Error> {
        let all: Vec<&Marker> = markers.iter().collect();
        let mut parcel = Self { name: ParcelName::new(first, 0).for_some(&all, None), ..Self::new(first, 0) };
        markers.iter().try_for_each(|marker| parcel.add(marker))?;
        Ok(parcel)
    }

    /// Adds a marker.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn add(&mut self, marker: &Marker) -> Result<(), serde_json::Error> {
        parcel_file::add(&mut self.lines, marker)?;
        self.count += 1;
        Ok(())
    }

    /// Returns true if the parcel holds no marker.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the file's name, without the number that [`Outbox::place`] adds if the name is
    /// taken.
    pub fn name(&self) -> ParcelName {
        self.name
    }

    pub(super) fn header(&self) -> Result<Vec<u8>, serde_json::Error> {
        parcel_file::first_line(self.count, self.only)
    }

    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }
}

impl Outbox {
    pub(super) fn at(dir: PathBuf, destination: &str) -> Self {
        Self { dir, destination: destination.to_string() }
    }

    /// Returns the name of the destination.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// Adds a file of markers to the outbox, where a delivery may find it at once. The markers are
    /// accepted once the file is synchronised.
    ///
    /// Never adds to or replaces another file of the same push. A delivery may have read that one,
    /// and removes it when its markers have arrived.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn place(&self, parcel: &EncodedBatch) -> Result<WrittenFile, StateError> {
        let header = parcel.header().map_err(|err| StateError::in_dir(&self.dir, err))?;
        files::write_beside(&self.new_dir(), parcel.name.and_others(), &[&header, &parcel.lines])
    }

    /// Adds a file of markers that come from other files, with the modification time `modified`.
    /// Synchronises the content before the rename and the directory after it.
    pub(super) fn place_durably(
        &self,
        parcel: &EncodedBatch,
        modified: SystemTime,
    ) -> Result<(), StateError> {
        let header = parcel.header().map_err(|err| StateError::in_dir(&self.dir, err))?;
        files::write_durable(
            &self.new_dir(),
            &parcel.name.to_string(),
            &[&header, &parcel.lines],
            Some(modified),
        )
    }

    /// Returns the names of the waiting files, oldest push first.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Vec<OutboxFileName>, StateError> {
        self.after("", usize::MAX)
    }

    /// Returns the names of the `most` oldest files, oldest push first. A long backlog is never
    /// held in memory as a whole.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn oldest(&self, most: usize) -> Result<Vec<OutboxFileName>, StateError> {
        self.after("", most)
    }

    /// Returns the first `most` names that sort after `name`.
    pub(super) fn after(&self, name: &str, most: usize) -> Result<Vec<OutboxFileName>, StateError> {
        let names = listing::first_after(&self.new_dir(), name, most)?;
        Ok(names.into_iter().map(Into::into).collect())
    }

    pub(super) fn weight(&self) -> Result<Weight, StateError> {
        listing::weigh_all(&self.new_dir())
    }

    pub(super) fn weight_of(&self, name: &str) -> Result<Weight, StateError> {
        listing::weigh(&self.new_dir().join(name))
    }

    /// Adds a file for a marker that is retried alone from now on, with the modification time
    /// `modified`. Synchronises the content before the rename and the directory after it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn set_aside(
        &self,
        parcel: &EncodedBatch,
        alone: Alone,
        modified: Timestamp,
    ) -> Result<(), StateError> {
        let header = parcel.header().map_err(|err| StateError::in_dir(&self.dir, err))?;
        let name = parcel.name.with_alone(Some(alone)).to_string();
        files::write_durable(&self.new_dir(), &name, &[&header, &parcel.lines], Some(modified.into()))
    }

    /// Returns the names of all files whose marker is retried alone, oldest push first.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn alone(&self) -> Result<Vec<(OutboxFileName, Alone)>, StateError> {
        let mut alone = Vec::new();
        listing::each(&self.new_dir(), |name| -> Result<_, StateError> {
            let name = OutboxFileName::from(name);
            alone.extend(name.alone().map(|alone| (name, alone)));
            Ok(())
        })?;
        alone.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(alone)
    }

    /// Returns true if a file is waiting that is sent together with others.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn has_common(&self) -> Result<bool, StateError> {
        let mut has_common = false;
        listing::each(&self.new_dir(), |name| -> Result<_, StateError> {
            has_common |= OutboxFileName::from(name).alone().is_none();
            Ok(())
        })?;
        Ok(has_common)
    }

    /// Returns true if no file is waiting.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn is_empty(&self) -> Result<bool, StateError> {
        Ok(self.oldest(1)?.is_empty())
    }

    /// Returns the capture time of the newest push that has a file here.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn newest(&self) -> Result<Option<Timestamp>, StateError> {
        let mut newest = None;
        listing::each(&self.new_dir(), |name| -> Result<_, StateError> {
            newest = newest.max(OutboxFileName::from(name).newest_push());
            Ok(())
        })?;
        Ok(newest.and_then(PushId::time))
    }

    /// Returns the number of waiting files.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn count(&self) -> Result<usize, StateError> {
        listing::count(&self.new_dir())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.new_dir().join(name).symlink_metadata().is_ok()
    }

    /// Returns the time since which a file has been waiting: when it was written, or when it was
    /// put back from the dead letters.
    pub fn waits_since(&self, name: &str) -> Option<Timestamp> {
        let written = self.new_dir().join(name).symlink_metadata().and_then(|file| file.modified()).ok()?;
        written.try_into().ok()
    }

    /// Reads the markers of a file.
    ///
    /// # Errors
    /// If the file is missing, is not a file of markers, or is damaged.
    pub fn read(&self, name: &str) -> Result<WaitingMarkers, StateError> {
        let path = self.new_dir().join(name);
        parcel_file::read(&path)
    }

    /// Returns the intact markers of a file, which may be damaged.
    pub fn intact_markers(&self, name: &str) -> Vec<Marker> {
        let contents = OutboxFileContents::read(&self.new_dir().join(name));
        contents.map(|contents| contents.markers).unwrap_or_default()
    }

    /// Removes a file. Does not synchronise the directory.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        files::remove(&self.new_dir().join(name))
    }

    /// Takes the lock of the outbox, or returns `None` if another process holds it. Finishes a
    /// merge that a dead process left.
    ///
    /// # Errors
    /// If the lock file cannot be created or locked.
    pub fn try_lock(&self) -> Result<Option<Lock>, StateError> {
        files::make_dir(&self.dir)?;
        let path = self.lock_path();
        let file = files::open_to_append(&path)?;
        if !lock::try_lock(&file, &path)? {
            return Ok(None);
        }
        // If this fails, some markers are sent twice, with the same IDs.
        let _ = merge::finish(self);
        Ok(Some(Lock { _file: file }))
    }

    /// Returns the path of the lock file.
    pub fn lock_path(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// Moves the files to the outboxes of `destinations`. The files were written while no
    /// destination was configured.
    ///
    /// # Errors
    /// If a file cannot be read, written or removed.
    pub fn assign_to(&self, destinations: &[Self]) -> Result<(), StateError> {
        for name in self.list()? {
            let path = self.new_dir().join(&*name);
            let content = regular_file::read_rest(files::open(&path)?, MAX_FILE)
                .map_err(|err| StateError::new("read", &path, err));
            let content = match content {
                // It stays here and does not hold up the other files.
                Err(err) if !err.may_pass() => continue,
                content => content?,
            };
            for destination in destinations {
                let dir = destination.new_dir();
                match name.fields() {
                    Some(name) => files::write_beside(&dir, name.and_others(), &[&content])?.sync()?,
                    // No other process writes a file with such a name.
                    None => files::write_new(&dir, &name, &[&content], false)?.sync()?,
                }
            }
            self.remove(&name)?;
        }
        Ok(())
    }

    pub(super) fn new_dir(&self) -> PathBuf {
        self.dir.join("new")
    }

    pub(super) fn dir(&self) -> &std::path::Path {
        &self.dir
    }
}
