//! Pushes and markers that were given up, each with the reason.
//!
//! A letter is the file as it was, or the markers of a file that were given up. A `.why.json`
//! beside it holds the reason. Its name is `<destination>.<name in the outbox>`, or
//! `inbox.<push id>` for a captured push. Names of destinations hold no dots.

use std::{
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{
    Capture, Outbox,
    files::{self, StateError},
    listing,
    outbox::{EncodedBatch, OutboxFileName},
    seal,
};
use crate::sys::time::{self, Timestamp};

/// The directory of dead letters.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    dir: PathBuf,
}

/// The reason of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Time of the move to the dead letters.
    pub time: Timestamp,
    /// The destination of the markers, or `inbox` for a captured push.
    pub from: String,
    /// The reason. If a back end gave one, this is its message.
    pub why: String,
    /// For a captured push, the first update that was not decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<usize>,
}

/// The outcome of putting a letter back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// It is in the queue again.
    Waits,
    /// Another file has its name in the queue, so it stays a dead letter.
    IsTaken,
    /// The letter does not exist any more.
    IsGone,
}

/// Suffix of a reason's name, after the name of its letter.
pub const WHY: &str = ".why.json";

/// Maximum number of bytes read from a reason.
const MAX_WHY: u64 = 1 << 20;

/// Minimum age of a reason without a letter before it is removed. A reason is written before its
/// letter.
const STALE: Duration = Duration::from_secs(3600);

impl DeadLetters {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes a dead letter of a capture.
    ///
    /// # Errors
    /// If a file cannot be written or moved.
    pub fn bury_capture(&self, capture: &Capture, why: &str) -> Result<(), StateError> {
        let name = format!("inbox.{}", capture.push_id());
        self.bury(&capture.path(), &name, "inbox", why, Some(capture.next()))
    }

    /// Makes a dead letter of an outbox file.
    ///
    /// # Errors
    /// If a file cannot be written or moved.
    pub fn bury_markers(&self, outbox: &Outbox, name: &OutboxFileName, why: &str) -> Result<(), StateError> {
        let to = format!("{}.{}", outbox.destination(), name.without_alone());
        self.bury(&outbox.new_dir().join(&**name), &to, outbox.destination(), why, None)
    }

    /// Makes a dead letter of some markers of an outbox file, which stays.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn bury_batch(&self, outbox: &Outbox, parcel: &EncodedBatch, why: &str) -> Result<(), StateError> {
        let to = format!("{}.{}", outbox.destination(), parcel.name());
        let header = parcel.header().map_err(|err| StateError::in_dir(&self.dir, err))?;
        self.note(&to, outbox.destination(), why, None)?;
        files::write_new(&self.dir, &to, &[&header, parcel.lines()], false)?.sync()
    }

    /// Makes a dead letter of the broken lines of an outbox file, which stays.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) fn bury_lines(
        &self,
        outbox: &Outbox,
        name: &str,
        lines: &[Vec<u8>],
        why: &str,
    ) -> Result<(), StateError> {
        let to = format!("{}.{name}", outbox.destination());
        self.note(&to, outbox.destination(), why, None)?;
        let ended: Vec<&[u8]> = lines.iter().flat_map(|line| [line, &b"\n"[..]]).collect();
        files::write_new(&self.dir, &to, &ended, false)?.sync()
    }

    /// Writes the reason and then moves the file. A letter without a reason would look like a stray
    /// file.
    fn bury(
        &self,
        path: &Path,
        to: &str,
        from: &str,
        why: &str,
        next: Option<usize>,
    ) -> Result<(), StateError> {
        self.note(to, from, why, next)?;
        files::rename(path, &self.dir.join(to))?;
        files::sync_dir(&self.dir)
    }

    fn note(&self, to: &str, from: &str, why: &str, next: Option<usize>) -> Result<(), StateError> {
        let why = Why { time: time::now(), from: from.to_string(), why: why.to_string(), next };
        let json = seal::line(&why).map_err(|err| StateError::in_dir(&self.dir, err))?;
        files::write_new(&self.dir, &format!("{to}{WHY}"), &[&json], false)?.sync()
    }

    /// Returns the reason of a letter, or `None` if it cannot be read.
    pub fn why(&self, name: &str) -> Option<Why> {
        let file = files::open(&self.reason(name)).ok()?;
        seal::read(file.take(MAX_WHY)).ok()
    }

    /// Moves a letter to `dir` under the name `to`, as if it had just been written there.
    ///
    /// The new name is synchronised before the old one is removed, and the reason goes last. A
    /// crash leaves both names or a reason without a letter. Putting it back again finishes that.
    ///
    /// # Errors
    /// If a file cannot be linked or removed.
    pub(super) fn put_back(&self, name: &str, dir: &Path, to: &str) -> Result<PutBack, StateError> {
        let letter = self.dir.join(name);
        let reason = inode(&self.reason(name));
        let file = match files::open(&letter) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(PutBack::IsGone),
            opened => opened?,
        };
        file.set_modified(SystemTime::now())
            .map_err(|err| StateError::new("set the time of", &letter, err))?;
        files::make_dir(dir)?;
        let waiting = dir.join(to);
        match files::link(&letter, &waiting) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(PutBack::IsGone),
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                if inode(&letter) != inode(&waiting) {
                    return Ok(PutBack::IsTaken);
                }
            }
            linked => linked?,
        }
        files::sync_dir(dir)?;
        files::remove(&letter)?;
        files::sync_dir(&self.dir)?;
        // A delivery may have made it a dead letter again already, with a new reason.
        if reason.is_some() && inode(&self.reason(name)) == reason {
            files::remove(&self.reason(name))?;
        }
        Ok(PutBack::Waits)
    }

    /// Removes a letter and its reason.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        files::remove(&self.dir.join(name))?;
        files::remove(&self.reason(name))?;
        files::sync_dir(&self.dir)
    }

    /// Removes reasons without a letter that a crash left behind.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn sweep(&self) -> Result<(), StateError> {
        listing::each(&self.dir, |name| {
            let Some(letter) = name.strip_suffix(WHY) else { return Ok(()) };
            let path = self.dir.join(name);
            let age = path.symlink_metadata().and_then(|file| file.modified()).ok();
            let is_stale = age.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > STALE);
            if is_stale && inode(&self.dir.join(letter)).is_none() {
                files::remove(&path)?;
            }
            Ok(())
        })
    }

    fn reason(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}{WHY}"))
    }
}

/// Returns the device and the inode of a file, or `None` if it cannot be examined.
fn inode(path: &Path) -> Option<(u64, u64)> {
    let file = path.symlink_metadata().ok()?;
    Some((file.dev(), file.ino()))
}
