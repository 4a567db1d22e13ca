//! The id of a push.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Update;
use crate::time::Timestamp;

/// What is hashed in front of a ref change that nobody captured.
const DERIVED: &[u8] = b"gitea-lightstep/push/1\0";

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

    /// Returns the id of a push that nobody captured, of one update: whoever finds the same ref change in the same
    /// repository gets the same id. It is of the form that [`Self::now`] gives, so that it sorts by time as
    /// well; what is random there is the hash of what was found.
    pub fn derived(time: Timestamp, repository: &str, update: &Update) -> Self {
        let mut hash = Sha256::new_with_prefix(DERIVED);
        for part in [repository.to_lowercase().as_bytes(), update.ref_name().as_bstr()] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(update.raw_old_id().as_bytes());
        hash.update(update.raw_new_id().as_bytes());
        let mut random = [0; 10];
        random.copy_from_slice(&hash.finalize()[..10]);
        let millis = u64::try_from(time.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::{ObjectId, RefName};

    #[test]
    fn a_derived_id_is_of_version_7_tells_its_time_and_names_one_ref_change() {
        let id = |digit: &str| ObjectId::from_hex(digit.repeat(40).as_bytes()).expect("an id");
        let update = |name: &str, new| {
            Update::new(RefName::new(name.as_bytes()).expect("a name"), id("1"), id(new)).expect("an update")
        };
        let time: Timestamp = "2026-11-22T10:00:00.123Z".parse().expect("a time");
        let main = PushId::derived(time, "acme/shop", &update("refs/heads/main", "2"));
        // Computed once by another program, from the words above.
        assert_eq!(main.to_string(), "01a202b2-c57b-74e9-a135-ec070becf157");
        assert_eq!(main.time(), Some(time));
        assert_eq!(PushId::derived(time, "Acme/Shop", &update("refs/heads/main", "2")), main);
        for other in [
            PushId::derived(time, "acme/other", &update("refs/heads/main", "2")),
            PushId::derived(time, "acme/shop", &update("refs/heads/prod", "2")),
            PushId::derived(time, "acme/shop", &update("refs/heads/main", "3")),
        ] {
            assert_ne!(other, main);
        }
        let before_all_time = PushId::derived(Timestamp::MIN, "a", &update("refs/heads/main", "2"));
        assert_eq!(before_all_time.time(), Some(Timestamp::UNIX_EPOCH));
    }
}
