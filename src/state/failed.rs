//! Captured pushes with updates on which the policy failed, each with the reason.
//!
//! A capture moves here once every other update of its push is decided. `PUSH.why.json` beside it
//! holds the remaining updates, the reason, and a fingerprint of the scripts and the configuration
//! that failed. These updates are decided again when the fingerprint changes, or after
//! `queue retry`. The reason is written as soon as the first update of a push fails, before the
//! capture's name counts that update as decided, so that a crash loses no update.

use std::{
    io::{self, Read as _},
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Inbox,
    files::{self, StateError},
    listing,
};
use crate::{policy::Fingerprint, push::PushId, sys::time::Timestamp};

/// Suffix of a reason's name.
pub(super) const WHY: &str = ".why.json";

/// Maximum number of bytes read from a reason. A push can have 600,000 updates, and each may be a
/// range.
const MAX_WHY: u64 = 32 << 20;

/// The directory of captured pushes that the policy could not decide.
#[derive(Clone, Debug)]
pub struct Failed {
    dir: PathBuf,
}

/// The failed updates of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedPush {
    /// Time of the last failure.
    pub time: Timestamp,
    /// The error of the first update that failed in the last slice with a failure.
    pub why: String,
    /// The script of Gitea's Git Hooks page, which is part of the policy for this push only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_page: Option<PathBuf>,
    /// Fingerprint of the scripts and the configuration that failed. Without one, the push is
    /// decided again as soon as possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Fingerprint>,
    /// Fingerprint of the attempt that is under way, if the capture's name says how far it got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Fingerprint>,
    /// The updates that are not decided.
    pub updates: Updates,
}

/// Positions of updates in their push, as sorted ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Updates(Vec<(usize, usize)>);

impl Updates {
    /// Returns all updates of a push that has `count` of them.
    pub fn all(count: usize) -> Self {
        Self(if count == 0 { Vec::new() } else { vec![(0, count)] })
    }

    /// Returns true if there are no updates.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the parts of the ranges that are in `within`, in order.
    pub fn within(&self, within: &Range<usize>) -> Vec<Range<usize>> {
        let cut = self.0.iter().map(|(start, end)| (*start).max(within.start)..(*end).min(within.end));
        cut.filter(|range| range.start < range.end).collect()
    }

    /// Replaces the updates in `range` by those in `failed`, which are sorted and in the range.
    /// Returns true if that changed anything.
    pub fn replace(&mut self, range: &Range<usize>, failed: &[usize]) -> bool {
        let before = self.within(&(0..range.start));
        let after = self.within(&(range.end..usize::MAX));
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        let failed = failed.iter().map(|update| *update..update + 1);
        for Range { start, end } in before.into_iter().chain(failed).chain(after) {
            match ranges.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => ranges.push((start, end)),
            }
        }
        let is_new = ranges != self.0;
        self.0 = ranges;
        is_new
    }
}

impl Failed {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Returns the captures, which are claimed like those of the inbox.
    pub fn captures(&self) -> Inbox {
        Inbox::at(self.dir.clone())
    }

    /// Returns the names of all captures, oldest first.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Vec<String>, StateError> {
        let mut names = listing::list(&self.dir)?;
        names.retain(|name| !name.ends_with(WHY));
        Ok(names)
    }

    /// Returns the failed updates of a push, or `None` if none are recorded.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn read(&self, push: PushId) -> Result<Option<FailedPush>, StateError> {
        let path = self.path(push);
        let file = match files::open(&path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut json = Vec::new();
        file.take(MAX_WHY).read_to_end(&mut json).map_err(|err| StateError::new("read", &path, err))?;
        serde_json::from_slice(&json).map(Some).map_err(|err| StateError::new("read", &path, err.into()))
    }

    /// Writes the failed updates of a push, and synchronises the file and its directory.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, push: PushId, failure: &FailedPush) -> Result<(), StateError> {
        let json = serde_json::to_vec(failure).map_err(|err| StateError::in_dir(&self.dir, err))?;
        files::write_durable(&self.dir, &format!("{push}{WHY}"), &[&json, b"\n"], None)
    }

    /// Removes the record of a push.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn forget(&self, push: PushId) -> Result<(), StateError> {
        files::remove(&self.path(push))
    }

    /// Has a push decided again as soon as possible. Returns false if no failure of it is recorded.
    ///
    /// # Errors
    /// If the reason cannot be read or written.
    pub fn retry(&self, push: PushId) -> Result<bool, StateError> {
        let Some(failure) = self.read(push)? else { return Ok(false) };
        self.write(push, &FailedPush { policy: None, attempt: None, ..failure })?;
        Ok(true)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn path(&self, push: PushId) -> PathBuf {
        self.dir.join(format!("{push}{WHY}"))
    }
}

#[cfg(test)]
mod tests;
