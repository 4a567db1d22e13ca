//! What was refused for good or could not be read, kept with the reason.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Capture, Outbox,
    files::{self, StateError},
    outbox::Parcel,
};
use crate::time::Timestamp;

/// The directory of dead letters: each is the file as it was, beside a `.why.json`.
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
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The name of the file.
    pub name: String,
    /// Why it is here, `None` if that cannot be read.
    pub why: Option<Why>,
}

const WHY: &str = ".why.json";

impl DeadLetters {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Puts a capture away.
    ///
    /// # Errors
    /// If a file cannot be written or moved.
    pub fn bury_capture(&self, capture: &Capture, why: &str) -> Result<(), StateError> {
        let path = capture.path();
        self.bury(&path, &format!("inbox.{}", capture.push_id()), "inbox", why)
    }

    /// Puts a file of an outbox away.
    ///
    /// # Errors
    /// If a file cannot be written or moved.
    pub fn bury_markers(&self, outbox: &Outbox, name: &str, why: &str) -> Result<(), StateError> {
        let to = format!("{}.{name}", outbox.destination());
        self.bury(&outbox.new_dir().join(name), &to, outbox.destination(), why)
    }

    /// Puts some markers of a file of an outbox away; the file itself stays.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn bury_parcel(&self, outbox: &Outbox, parcel: &Parcel, why: &str) -> Result<(), StateError> {
        let to = format!("{}.{}", outbox.destination(), parcel.name());
        let header = parcel.header().map_err(|err| StateError::in_dir(&self.dir, err))?;
        self.note(&to, outbox.destination(), why)?;
        files::write_new(&self.dir, &to, &[&header, parcel.lines()], false)?.sync()
    }

    /// The reason is written first: a letter without one could not be told from a stray file.
    fn bury(&self, path: &std::path::Path, to: &str, from: &str, why: &str) -> Result<(), StateError> {
        self.note(to, from, why)?;
        files::rename(path, &self.dir.join(to))?;
        files::sync_dir(&self.dir)
    }

    fn note(&self, to: &str, from: &str, why: &str) -> Result<(), StateError> {
        let why = Why { time: Timestamp::now(), from: from.to_string(), why: why.to_string() };
        let json = serde_json::to_vec(&why).map_err(|err| StateError::in_dir(&self.dir, err))?;
        files::write_new(&self.dir, &format!("{to}{WHY}"), &[&json], false)?.sync()
    }

    /// Returns the dead letters, in order of their names.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Vec<DeadLetter>, StateError> {
        let names = files::list(&self.dir)?;
        let letters = names.into_iter().filter(|name| !name.ends_with(WHY));
        Ok(letters.map(|name| DeadLetter { why: self.why(&name), name }).collect())
    }

    fn why(&self, name: &str) -> Option<Why> {
        let file = files::open(&self.dir.join(format!("{name}{WHY}"))).ok()?;
        serde_json::from_reader(file).ok()
    }
}
