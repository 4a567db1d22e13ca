//! How a destination stands: when it last took something, and what it last said against it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Outbox,
    files::{self, StateError},
};
use crate::time::Timestamp;

const FILE: &str = "standing.json";

/// What is known of a destination between two processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// When it last took a request.
    pub last_success: Option<Timestamp>,
    /// When it last failed to, and why.
    pub last_error: Option<(Timestamp, String)>,
    /// Until when it asked to be left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_until: Option<Timestamp>,
}

/// How long a destination is left alone at most: a clock that was set back must not keep markers for years.
const MAX_WAIT: Duration = Duration::from_secs(3600);

impl Standing {
    /// Reads how a destination stands; what cannot be read is not known.
    pub fn read(outbox: &Outbox) -> Self {
        let file = files::open(&outbox.dir().join(FILE)).ok();
        file.and_then(|file| serde_json::from_reader(file).ok()).unwrap_or_default()
    }

    /// Takes a success in, and returns whether it is news after a failure.
    pub fn succeeded(&mut self) -> bool {
        let before = self.last_success.replace(Timestamp::now());
        self.wait_until = None;
        match &self.last_error {
            Some((failed, _)) => before.is_none_or(|before| before < *failed),
            None => before.is_none(),
        }
    }

    /// Takes a failure in, and until when the destination asked to be left alone.
    pub fn failed(&mut self, why: &str, wait_until: Option<Timestamp>) {
        self.last_error = Some((Timestamp::now(), why.to_string()));
        self.wait_until = wait_until;
    }

    /// Returns for how long from `now` on the destination asked to be left alone, an hour at most.
    pub fn asked_to_wait(&self, now: Timestamp) -> Option<Duration> {
        let wait = Duration::try_from(self.wait_until?.duration_since(now)).ok()?;
        (!wait.is_zero()).then_some(wait.min(MAX_WAIT))
    }

    /// Writes it down for the next process.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, outbox: &Outbox) -> Result<(), StateError> {
        let json =
            serde_json::to_vec(self).map_err(|err| StateError::new("write", outbox.dir(), err.into()))?;
        files::write_new(outbox.dir(), FILE, &[&json], false).map(drop)
    }
}
