//! How a destination stands: when it last took something, and what it last said against it.

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
}

impl Standing {
    /// Reads how a destination stands; what cannot be read is not known.
    pub fn read(outbox: &Outbox) -> Self {
        let file = files::open(&outbox.dir().join(FILE)).ok();
        file.and_then(|file| serde_json::from_reader(file).ok()).unwrap_or_default()
    }

    /// Notes a success.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn succeeded(outbox: &Outbox) -> Result<(), StateError> {
        Self { last_success: Some(Timestamp::now()), ..Self::read(outbox) }.write(outbox)
    }

    /// Notes a failure.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn failed(outbox: &Outbox, why: &str) -> Result<(), StateError> {
        Self { last_error: Some((Timestamp::now(), why.to_string())), ..Self::read(outbox) }.write(outbox)
    }

    fn write(&self, outbox: &Outbox) -> Result<(), StateError> {
        let json =
            serde_json::to_vec(self).map_err(|err| StateError::new("write", outbox.dir(), err.into()))?;
        files::write_new(outbox.dir(), FILE, &[&json], false).map(drop)
    }
}
