//! Push ids.

use std::{fmt, str::FromStr};

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Update;
use crate::sys::time::{self, Timestamp};

/// Prefix of the hash input for a derived id.
const DERIVED: &[u8] = b"gitea-lightstep/push/1\0";

/// A UUIDv7 that is generated when the push is captured.
///
/// The capture stores the id, so a push that is decided twice keeps it. Ids sort by time of
/// capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PushId(Uuid);

impl PushId {
    /// Returns a new id for the current time.
    pub fn now() -> Self {
        Self::at(time::now())
    }

    /// Returns a new id for the given time. Times before 1970, from a machine without a working
    /// clock, count as 1970.
    pub fn at(time: Timestamp) -> Self {
        let mut random = [0; 10];
        if getrandom(&mut random, GetRandomFlags::empty()) != Ok(random.len()) {
            // Without system randomness, the process id and the time have to tell two pushes apart.
            let nanos = time.as_nanosecond().unsigned_abs();
            random[..4].copy_from_slice(&std::process::id().to_be_bytes());
            random[4..].copy_from_slice(&nanos.to_be_bytes()[10..]);
        }
        Self::of_parts(time, &random)
    }

    fn of_parts(time: Timestamp, random: &[u8; 10]) -> Self {
        let millis = u64::try_from(time.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid())
    }

    /// Returns the id of a push that no hook captured.
    ///
    /// The same ref changes in the same repository at the same time always gives the same id. The id
    /// is a UUIDv7 like that of [`Self::now`], so it sorts by time as well. A hash of the ref
    /// change takes the place of the random bits.
    pub fn derived(time: Timestamp, repository: &str, updates: &[Update]) -> Self {
        let mut hash = Sha256::new_with_prefix(DERIVED);
        hash.update(repository.to_lowercase().as_bytes());
        hash.update([0]);
        for update in updates {
            hash.update(update.ref_name().as_bstr());
            hash.update([0]);
            hash.update(update.raw_old_id().as_bytes());
            hash.update(update.raw_new_id().as_bytes());
        }
        let mut random = [0; 10];
        random.copy_from_slice(&hash.finalize()[..10]);
        Self::of_parts(time, &random)
    }

    /// Returns the time in the id, to the millisecond, or `None` if the UUID does not hold one.
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

#[cfg(test)]
mod tests;
