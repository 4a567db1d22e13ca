//! A record of the last scan of all repositories, for `status` and `doctor`.

use std::{io::Read as _, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{State, StateError, files, seal};
use crate::sys::time::Timestamp;

/// Name of the file in the directory `refs`.
const FILE: &str = "last.json";

/// Maximum number of bytes read from the record.
const MAX_FILE: u64 = 64 << 10;

/// The outcome of the last scan of all repositories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastScan {
    /// Time of its end.
    pub time: Timestamp,
    /// Number of repositories that it looked at.
    pub repositories: usize,
    /// Number of repositories that it could not scan.
    pub failed: usize,
}

impl LastScan {
    /// Maximum age of the last scan. The timer runs one every minute.
    pub const MAX_AGE: Duration = Duration::from_secs(600);

    /// Returns true if another scan should have run since.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.checked_sub(Self::MAX_AGE).is_ok_and(|limit| self.time < limit)
    }
}

impl State {
    /// Returns true if a scan has run, so that hooks log ref changes for the next one.
    pub fn has_scanned(&self) -> bool {
        self.refs_dir().is_dir()
    }

    /// Returns the last scan of all repositories, or `None` if there was none or its record is
    /// unreadable.
    pub fn last_scan(&self) -> Option<LastScan> {
        let file = files::open(&self.refs_dir().join(FILE)).ok()?;
        seal::read(file.take(MAX_FILE)).ok()
    }

    /// Records a scan of all repositories.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub fn note_scan(&self, scan: &LastScan) -> Result<(), StateError> {
        let dir = self.refs_dir();
        let json = seal::line(scan).map_err(|err| StateError::in_dir(&dir, err))?;
        files::write_new(&dir, FILE, &[&json], false).map(drop)
    }

    fn refs_dir(&self) -> PathBuf {
        self.dir.join("refs")
    }
}
