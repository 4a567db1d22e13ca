//! What was refused for good or could not be read, kept with the reason.
//!
//! A letter is the file as it was, beside a `.why.json`. Its name is `<destination>.<name in the outbox>`, or
//! `inbox.<push id>` for a captured push; the name of a destination holds no dot.

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
    outbox::Parcel,
};
use crate::time::Timestamp;

/// The directory of dead letters.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    dir: PathBuf,
}

/// Why a letter is dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// When it was put away.
    pub time: Timestamp,
    /// `inbox`, or the destination that refused it.
    pub from: String,
    /// The reason; where a back end gave one, its own words.
    pub why: String,
    /// Of a captured push, the first update that was not decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<usize>,
}

/// What putting a letter back came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// It waits again.
    Waits,
    /// Something else waits under its name, and it stays a dead letter.
    IsTaken,
    /// It is not there any more.
    IsGone,
}

/// How the name of a reason ends, beside that of its letter.
pub const WHY: &str = ".why.json";

/// How much of a reason is read, in bytes.
const MAX_WHY: u64 = 1 << 20;

/// How old a reason without its letter is before it is swept up: a letter's reason is there before it is.
const STALE: Duration = Duration::from_secs(3600);

impl DeadLetters {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Puts a capture away.
    ///
    /// # Errors
    /// If a file cannot be written or moved.
    pub fn bury_capture(&self, capture: &Capture, why: &str) -> Result<(), StateError> {
        let name = format!("inbox.{}", capture.push_id());
        self.bury(&capture.path(), &name, "inbox", why, Some(capture.next()))
    }

    /// Puts a file of an outbox away.
    ///
    /// # Errors
    /// If a file cannot be written or moved.
    pub fn bury_markers(&self, outbox: &Outbox, name: &str, why: &str) -> Result<(), StateError> {
        let to = format!("{}.{name}", outbox.destination());
        self.bury(&outbox.new_dir().join(name), &to, outbox.destination(), why, None)
    }

    /// Puts some markers of a file of an outbox away; the file itself stays.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn bury_parcel(&self, outbox: &Outbox, parcel: &Parcel, why: &str) -> Result<(), StateError> {
        let to = format!("{}.{}", outbox.destination(), parcel.name());
        let header = parcel.header().map_err(|err| StateError::in_dir(&self.dir, err))?;
        self.note(&to, outbox.destination(), why, None)?;
        files::write_new(&self.dir, &to, &[&header, parcel.lines()], false)?.sync()
    }

    /// The reason is written first: a letter without one could not be told from a stray file.
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
        let why = Why { time: Timestamp::now(), from: from.to_string(), why: why.to_string(), next };
        let json = serde_json::to_vec(&why).map_err(|err| StateError::in_dir(&self.dir, err))?;
        files::write_new(&self.dir, &format!("{to}{WHY}"), &[&json], false)?.sync()
    }

    /// Returns why a letter is dead, `None` if that cannot be read.
    pub fn why(&self, name: &str) -> Option<Why> {
        let file = files::open(&self.reason(name)).ok()?;
        serde_json::from_reader(file.take(MAX_WHY)).ok()
    }

    /// Puts a letter into `dir` under the name `to`, where it waits again as if it had just come.
    ///
    /// It has its new name on disk before it loses the old one, and the reason goes last: a crash leaves both
    /// names, or a reason without its letter. Doing it again ends what a crash interrupted.
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
        file.set_modified(SystemTime::now()).map_err(|err| StateError::new("date", &letter, err))?;
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
        // A delivery may have found it and put it away again already, with a new reason.
        if reason.is_some() && inode(&self.reason(name)) == reason {
            files::remove(&self.reason(name))?;
        }
        Ok(PutBack::Waits)
    }

    /// Removes a letter and its reason for good.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        files::remove(&self.dir.join(name))?;
        files::remove(&self.reason(name))?;
        files::sync_dir(&self.dir)
    }

    /// Removes reasons whose letter is gone, which a crash left behind.
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

/// Returns which file it is that has this name, `None` if there is none.
fn inode(path: &Path) -> Option<(u64, u64)> {
    let file = path.symlink_metadata().ok()?;
    Some((file.dev(), file.ino()))
}
