//! The id of a push.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

/// A UUIDv7 that is given at capture and kept in the capture, so that a push decided twice has
/// the same id. Sorting by it sorts by time of capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PushId(Uuid);

impl PushId {
    /// Returns a new id for the present moment.
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }

    /// Returns when the id was given, to the millisecond; `None` for an id that says no time.
    pub fn time(self) -> Option<Timestamp> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Timestamp::new(seconds.try_into().ok()?, nanos.try_into().ok()?).ok()
    }

    /// Returns the 16 bytes of the id.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for PushId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PushId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}
