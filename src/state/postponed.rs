//! Back-off for captured pushes that the system kept from being decided.
//!
//! The files are only advice. If one is lost, its push is decided at once, and its attempts are
//! counted from one again.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::files::{self, StateError};
use crate::{push::PushId, sys::time::Timestamp, text};

pub(super) const END: &str = ".json";

/// Maximum number of bytes read from a file.
const MAX_FILE: u64 = 64 << 10;

/// Maximum length of a reason, in characters.
const MAX_WHY: usize = 1000;

/// Back-off after the first attempt, and the longest one.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);

/// The directory of failed attempts.
#[derive(Clone, Debug)]
pub struct PostponedPushes {
    dir: PathBuf,
}

/// The failed attempts at one push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postponed {
    /// Time of the first failed attempt.
    pub since: Timestamp,
    /// Time of the last failed attempt.
    pub last: Timestamp,
    /// Number of failed attempts.
    pub attempts: u32,
    /// Time at which the next attempt is due.
    pub next: Timestamp,
    /// The error of the last attempt.
    pub why: String,
}

impl Postponed {
    /// Adds a failed attempt. Each attempt doubles the back-off, up to an hour.
    fn after(before: Option<Self>, why: &str, now: Timestamp) -> Self {
        let attempts = before.as_ref().map_or(1, |before| before.attempts.saturating_add(1));
        let wait = FIRST.saturating_mul(1 << (attempts - 1).min(16)).min(LONGEST);
        Self {
            since: before.map_or(now, |before| before.since.min(now)),
            last: now,
            attempts,
            next: now.checked_add(wait).unwrap_or(now),
            why: text::line_of(why, MAX_WHY),
        }
    }

    /// Sets the next attempt without counting one.
    fn delayed(before: Option<Self>, why: &str, now: Timestamp, wait: Duration) -> Self {
        Self {
            since: before.as_ref().map_or(now, |before| before.since.min(now)),
            last: now,
            attempts: before.map_or(0, |before| before.attempts),
            next: now.checked_add(wait).unwrap_or(now),
            why: text::line_of(why, MAX_WHY),
        }
    }

    /// Returns the remaining back-off at `now`.
    pub fn wait(&self, now: Timestamp) -> Duration {
        // If the clock was set back since the last attempt, the push does not wait.
        let wait = Duration::try_from(self.next.duration_since(now)).unwrap_or_default();
        if now < self.last { Duration::ZERO } else { wait }
    }
}

impl PostponedPushes {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Returns the failed attempts at a push, or `None` if there are none or they cannot be read.
    pub fn read(&self, push: PushId) -> Option<Postponed> {
        let file = files::open(&self.path(push)).ok()?;
        let mut json = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut json).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// Records a failed attempt at a push, and returns all of them.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&self, push: PushId, why: &str, now: Timestamp) -> Result<Postponed, StateError> {
        let postponed = Postponed::after(self.read(push), why, now);
        self.write(push, &postponed)?;
        Ok(postponed)
    }

    fn write(&self, push: PushId, postponed: &Postponed) -> Result<(), StateError> {
        let json = serde_json::to_vec(postponed).map_err(|err| StateError::in_dir(&self.dir, err))?;
        files::write_new(&self.dir, &format!("{push}{END}"), &[&json, b"\n"], false).map(drop)
    }

    /// Delays a push that waits for something else. This does not count as a failed attempt.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn delay(&self, push: PushId, why: &str, now: Timestamp, wait: Duration) -> Result<(), StateError> {
        self.write(push, &Postponed::delayed(self.read(push), why, now, wait))
    }

    /// Removes the record of a push.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn forget(&self, push: PushId) -> Result<(), StateError> {
        files::remove(&self.path(push))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn path(&self, push: PushId) -> PathBuf {
        self.dir.join(format!("{push}{END}"))
    }
}

#[cfg(test)]
mod tests;
