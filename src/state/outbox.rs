//! Markers that a destination does not have yet.
//!
//! `new/` holds one file for each decided slice of a push, `<push id>.<first update>`: a line that
//! says how many markers follow, then one marker a line, as JSON. Names sort by the time of the push.
//! What is left of a file once a part of it went out is a file of its own, whose name goes on with the id of
//! its first marker and, if the markers are to go out in one form alone, with that form. Markers of several pushes lie
//! in one file once they have waited ([`super::merge`]): its name has the oldest push, and then the newest.

use std::{
    fs::{File, OpenOptions},
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{
    files::{self, StateError, Written},
    listing::{self, Weight},
    merge,
    name::ParcelName,
};
use crate::{
    fault::{self, Step},
    marker::{Marker, Signal},
    push::PushId,
    time::Timestamp,
};

const FORMAT: u32 = 1;

/// The directory of one destination.
#[derive(Clone, Debug)]
pub struct Outbox {
    dir: PathBuf,
    destination: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    markers: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    only: Option<Signal>,
}

/// What a file of an outbox holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The one form in which the markers are still to go out, `None` for all that the destination wants.
    pub only: Option<Signal>,
    /// The markers.
    pub markers: Vec<Marker>,
}

/// Markers in the form in which they are kept, made once for all destinations.
#[derive(Debug)]
pub struct Parcel {
    name: ParcelName,
    only: Option<Signal>,
    count: usize,
    lines: Vec<u8>,
}

/// The right to deliver from an outbox, which dies with its holder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Parcel {
    /// Begins a parcel for the markers of the updates of a push from `from` on.
    pub fn new(push_id: PushId, from: usize) -> Self {
        Self { name: ParcelName::new(push_id, from), only: None, count: 0, lines: Vec::new() }
    }

    /// Makes a parcel of some markers of the file `name`, or of it and those that follow it, which are left to go out in
    /// one form or in all.
    ///
    /// # Errors
    /// If a marker cannot be written as JSON.
    pub fn of_some(name: &str, only: Option<Signal>, markers: &[&Marker]) -> Result<Self, serde_json::Error> {
        // Markers in a file that somebody else named are markers all the same.
        let of = name.parse().unwrap_or_else(|_| ParcelName::new(PushId::now(), 0));
        let mut parcel = Self { name: of.for_some(markers, only), only, count: 0, lines: Vec::new() };
        markers.iter().try_for_each(|marker| parcel.add(marker))?;
        Ok(parcel)
    }

    /// Adds a marker.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn add(&mut self, marker: &Marker) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut self.lines, marker)?;
        self.lines.push(b'\n');
        self.count += 1;
        Ok(())
    }

    /// Returns whether there is no marker in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the name of the file that it becomes, unless another has that.
    pub fn name(&self) -> ParcelName {
        self.name
    }

    pub(super) fn header(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = serde_json::to_vec(&Header { format: FORMAT, markers: self.count, only: self.only })?;
        line.push(b'\n');
        Ok(line)
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

    /// Puts markers where a deliverer sees them. They are accepted once the file is synchronised.
    ///
    /// It is a file of its own, whatever there is already of the same push: a deliverer may have read that one, and removes it
    /// when its markers have arrived.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn place(&self, parcel: &Parcel) -> Result<Written, StateError> {
        let header = parcel.header().map_err(|err| StateError::in_dir(&self.dir, err))?;
        files::write_beside(&self.new_dir(), parcel.name.and_others(), &[&header, &parcel.lines])
    }

    /// Puts markers that lie in other files into one, dated `modified`. It has its name once it is on disk.
    pub(super) fn place_durably(&self, parcel: &Parcel, modified: SystemTime) -> Result<(), StateError> {
        let header = parcel.header().map_err(|err| StateError::in_dir(&self.dir, err))?;
        files::write_durable(
            &self.new_dir(),
            &parcel.name.to_string(),
            &[&header, &parcel.lines],
            Some(modified),
        )
    }

    /// Returns the names of the files that wait, oldest push first.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Vec<String>, StateError> {
        listing::list(&self.new_dir())
    }

    /// Returns the names of the `most` files that have waited longest, oldest push first: a long backlog is
    /// not held in memory.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn oldest(&self, most: usize) -> Result<Vec<String>, StateError> {
        self.after("", most)
    }

    /// Returns the names of the first `most` files after the one named `name`.
    pub(super) fn after(&self, name: &str, most: usize) -> Result<Vec<String>, StateError> {
        listing::first_after(&self.new_dir(), name, most)
    }

    pub(super) fn weight(&self) -> Result<Weight, StateError> {
        listing::weigh_all(&self.new_dir())
    }

    pub(super) fn weight_of(&self, name: &str) -> Result<Weight, StateError> {
        listing::weigh(&self.new_dir().join(name))
    }

    /// Returns whether nothing waits.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn is_empty(&self) -> Result<bool, StateError> {
        Ok(self.oldest(1)?.is_empty())
    }

    /// Returns when the newest push was captured of which something waits.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn newest(&self) -> Result<Option<Timestamp>, StateError> {
        let mut newest = None;
        listing::each(&self.new_dir(), |name| -> Result<_, StateError> {
            newest = newest.max(Self::newest_push_of(name));
            Ok(())
        })?;
        Ok(newest.and_then(PushId::time))
    }

    /// Returns how many files wait.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn count(&self) -> Result<usize, StateError> {
        listing::count(&self.new_dir())
    }

    /// Returns the push of a file, the oldest one if there are several.
    pub fn push_of(name: &str) -> Option<PushId> {
        name.split('.').next()?.parse().ok()
    }

    /// Returns the push of a file, the newest one if there are several.
    pub fn newest_push_of(name: &str) -> Option<PushId> {
        name.parse().map_or_else(|_| Self::push_of(name), |name: ParcelName| Some(name.newest()))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.new_dir().join(name).symlink_metadata().is_ok()
    }

    /// Returns since when a file waits: it was written then, or a person put it back.
    pub fn waits_since(&self, name: &str) -> Option<Timestamp> {
        let written = self.new_dir().join(name).symlink_metadata().and_then(|file| file.modified()).ok()?;
        written.try_into().ok()
    }

    /// Reads the markers of a file.
    ///
    /// # Errors
    /// If the file is gone, no file of markers, or not all of one.
    pub fn read(&self, name: &str) -> Result<Waiting, StateError> {
        let path = self.new_dir().join(name);
        let unreadable = |err: std::io::Error| StateError::new("read", &path, err);
        let wrong = |why: String| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
        let mut content = String::new();
        let mut file = files::open(&path)?;
        fault::point(Step::Read, &path)
            .and_then(|()| file.read_to_string(&mut content))
            .map_err(unreadable)?;
        let (header, body) =
            content.split_once('\n').ok_or_else(|| wrong("it has no whole first line".into()))?;
        let header: Header =
            serde_json::from_str(header).map_err(|err| wrong(format!("its first line is broken: {err}")))?;
        if header.format != FORMAT {
            return Err(wrong(format!("it has format {}, this version reads {FORMAT}", header.format)));
        }
        let mut markers = Vec::with_capacity(header.markers.min(4096));
        for (nth, line) in body.lines().enumerate() {
            markers.push(
                serde_json::from_str(line)
                    .map_err(|err| wrong(format!("line {} is broken: {err}", nth + 2)))?,
            );
        }
        if markers.len() != header.markers {
            return Err(wrong(format!("it has {} of {} markers", markers.len(), header.markers)));
        }
        Ok(Waiting { only: header.only, markers })
    }

    /// Drops a file whose markers have arrived.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        files::remove(&self.new_dir().join(name))
    }

    /// Takes the right to deliver, `None` if another process has it. What one that died was merging is brought to its
    /// end first.
    ///
    /// # Errors
    /// If the lock file cannot be made.
    pub fn try_lock(&self) -> Result<Option<Lock>, StateError> {
        files::make_dir(&self.dir)?;
        let path = self.lock_path();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = fault::point(Step::Create, &path)
            .and_then(|()| options.open(&path))
            .map_err(|err| StateError::new("open", &path, err))?;
        if !files::try_lock(&file, &path)? {
            return Ok(None);
        }
        // Where that cannot be done, some markers are there twice, with the same ids.
        let _ = merge::finish(self);
        Ok(Some(Lock { _file: file }))
    }

    /// Returns the file whose lock is that right.
    pub fn lock_path(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// Moves what was accepted before there was a destination to `destinations`.
    ///
    /// # Errors
    /// If a file cannot be read, written or removed.
    pub fn assign_to(&self, destinations: &[Self]) -> Result<(), StateError> {
        for name in self.list()? {
            let path = self.new_dir().join(&name);
            let mut content = Vec::new();
            files::open(&path)?
                .read_to_end(&mut content)
                .map_err(|err| StateError::new("read", &path, err))?;
            for destination in destinations {
                let dir = destination.new_dir();
                match name.parse::<ParcelName>() {
                    Ok(name) => files::write_beside(&dir, name.and_others(), &[&content])?.sync()?,
                    // Nobody makes another file of a name that is not ours.
                    Err(_) => files::write_new(&dir, &name, &[&content], false)?.sync()?,
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
