//! The health of a destination as its deliveries see it: the last success, the last error and the
//! back-off it asked for.

use std::{collections::BTreeMap, io::Read as _, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Outbox,
    files::{self, StateError},
    seal,
};
use crate::{
    marker::MarkerId,
    sys::time::{self, Timestamp},
};

const FILE: &str = "standing.json";

/// Maximum number of bytes read from the file.
const MAX_FILE: u64 = 1 << 20;

/// The health of a destination, kept from one process to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DestinationHealth {
    /// Time of the last request that it accepted.
    pub last_success: Option<Timestamp>,
    /// Time and message of the last error.
    pub last_error: Option<(Timestamp, String)>,
    /// Time before which it asked to get no request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_until: Option<Timestamp>,
    /// Number of consecutive requests that it answered with an error, since it last accepted one.
    #[serde(skip_serializing_if = "is_zero")]
    pub strikes: u32,
    /// Number of strikes at which the next search for a single bad marker begins; 0 for the usual
    /// number.
    #[serde(skip_serializing_if = "is_zero")]
    pub suspects_at: u32,
    /// Its last error for each marker that is retried alone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub alone: BTreeMap<MarkerId, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Number of strikes before the first search for a single bad marker.
const FEW: u32 = 3;

/// Maximum number of strikes between two searches.
const RARELY: u32 = 16;

/// Maximum number of markers whose error is kept. More should never be bad at once.
const MAX_ALONE: usize = 256;

/// Maximum back-off that a destination can ask for. After the clock was set back, markers must not
/// wait for years.
const MAX_WAIT: Duration = Duration::from_secs(3600);

impl DestinationHealth {
    /// Reads the health of a destination. An unreadable file counts as empty.
    pub fn read(outbox: &Outbox) -> Self {
        let file = files::open(&outbox.dir().join(FILE)).ok();
        file.and_then(|file| seal::read(file.take(MAX_FILE)).ok()).unwrap_or_default()
    }

    /// Records a success. Returns true if it is the first one after a failure, or the first of all.
    pub fn succeeded(&mut self) -> bool {
        let before = self.last_success.replace(time::now());
        self.wait_until = None;
        (self.strikes, self.suspects_at) = (0, 0);
        match &self.last_error {
            Some((failed, _)) => before.is_none_or(|before| before < *failed),
            None => before.is_none(),
        }
    }

    /// Records a failure, and the time before which the destination asked to get no request.
    pub fn failed(&mut self, why: &str, wait_until: Option<Timestamp>) {
        self.last_error = Some((time::now(), why.to_string()));
        self.wait_until = wait_until;
    }

    /// Records that the destination answered a request with an error.
    pub fn strike(&mut self) {
        self.strikes = self.strikes.saturating_add(1);
    }

    /// Returns true if it is time to search for a single bad marker.
    pub fn is_suspicious(&self) -> bool {
        self.strikes >= self.suspects_at.max(FEW)
    }

    /// Records that a search found no bad marker. The next one begins after twice as many strikes,
    /// but after 16 more at the latest, so that a destination that is down gets few requests from
    /// searches.
    pub fn suspected_in_vain(&mut self) {
        self.suspects_at = self.strikes.saturating_add(self.strikes.min(RARELY));
    }

    /// Records the destination's error for a marker that is retried alone.
    pub fn says_of(&mut self, marker: MarkerId, why: &str) {
        if self.alone.len() < MAX_ALONE || self.alone.contains_key(&marker) {
            self.alone.insert(marker, why.to_string());
        }
    }

    /// Returns the rest of the back-off that the destination asked for, an hour at most.
    pub fn asked_to_wait(&self, now: Timestamp) -> Option<Duration> {
        let wait = Duration::try_from(self.wait_until?.duration_since(now)).ok()?;
        (!wait.is_zero()).then_some(wait.min(MAX_WAIT))
    }

    /// Writes the health to the outbox's directory, for the next process. Does not synchronise it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, outbox: &Outbox) -> Result<(), StateError> {
        let json = seal::line(self).map_err(|err| StateError::new("write", outbox.dir(), err.into()))?;
        files::write_new(outbox.dir(), FILE, &[&json], false).map(drop)
    }
}
