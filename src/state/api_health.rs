//! How Gitea's API answered the last questions about changes that a scan found, for `status`.

use std::io::Read as _;

use serde::{Deserialize, Serialize};

use super::{State, StateError, files, seal};
use crate::sys::time::Timestamp;

/// Name of the file in the state directory.
pub(super) const FILE: &str = "gitea-api.json";

/// Maximum number of bytes read from the record.
const MAX_FILE: u64 = 64 << 10;

/// The last answer of Gitea's API and its last failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiHealth {
    /// Time of the last questions that it answered.
    pub last_success: Option<Timestamp>,
    /// Time and message of the last failure.
    pub last_error: Option<(Timestamp, String)>,
}

impl ApiHealth {
    /// Records the outcome of the questions about one push.
    pub fn note(&mut self, now: Timestamp, failure: Option<&str>) {
        match failure {
            Some(why) => self.last_error = Some((now, why.to_string())),
            None => self.last_success = Some(now),
        }
    }

    /// Returns true if it has not answered since its last failure.
    pub fn is_failing(&self) -> bool {
        let failed = self.last_error.as_ref().map(|(time, _)| *time);
        failed.is_some_and(|failed| self.last_success.is_none_or(|success| success < failed))
    }
}

impl State {
    /// Returns the health of Gitea's API. An unreadable record counts as empty.
    pub fn api_health(&self) -> ApiHealth {
        let file = files::open(&self.dir.join(FILE)).ok();
        file.and_then(|file| seal::read(file.take(MAX_FILE)).ok()).unwrap_or_default()
    }

    /// Records how Gitea's API answered. Does not synchronise it.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub fn note_api(&self, now: Timestamp, failure: Option<&str>) -> Result<(), StateError> {
        let mut health = self.api_health();
        health.note(now, failure);
        let json = seal::line(&health).map_err(|err| StateError::in_dir(&self.dir, err))?;
        files::write_new(&self.dir, FILE, &[&json], false).map(drop)
    }
}
