//! The spool and the dead letters as one queue that a person can look into: every file of it is an entry with an id.
//! Looking changes nothing and takes no lock, so an entry may be delivered while somebody looks at it.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use sha2::{Digest as _, Sha256};

use super::{
    State, StateError,
    dead::{self, PutBack},
    files,
    inbox::Claim,
    listing,
    name::ParcelName,
    outbox::Lock,
};
use crate::{
    config::INBOX,
    push::PushId,
    text::{self, Hex},
    time::Timestamp,
};

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A captured push that is not decided yet.
    Inbox,
    /// Markers that a destination does not have yet.
    Outbox,
    /// A dead letter.
    Dead,
}

/// One file of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub place: Place,
    /// The destination that it is for, or `inbox` for a captured push.
    pub from: String,
    /// The name of the file.
    pub name: String,
}

/// What a person calls an entry: the same while it waits, is dead and is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId([u8; 6]);

/// The beginning of an id, as a person typed it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdPrefix(String);

impl IdPrefix {
    /// How many digits are the fewest.
    pub const MIN: usize = 4;
    /// How many digits a whole id has.
    pub const MAX: usize = 12;

    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdPrefix {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, Self::Err> {
        let is_id = (Self::MIN..=Self::MAX).contains(&typed.len())
            && typed.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !is_id {
            return Err(format!(
                "expected {} to {} hexadecimal digits, such as `gitea-lightstep queue list` shows at the \
                 beginning of each line, found `{}`",
                Self::MIN,
                Self::MAX,
                text::line(typed)
            ));
        }
        Ok(Self(typed.to_ascii_lowercase()))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl Entry {
    /// Returns the id.
    pub fn id(&self) -> EntryId {
        // The name of a dead letter, whether it is one or not yet. That of a capture changes as it is decided.
        let name = match (self.place, self.push()) {
            (Place::Dead, _) => self.name.clone(),
            (Place::Inbox, Some(push)) if !self.is_stray() => format!("{INBOX}.{push}"),
            _ => format!("{}.{}", self.from, self.name),
        };
        let mut id = [0; 6];
        for (byte, from) in id.iter_mut().zip(Sha256::digest(name)) {
            *byte = from;
        }
        EntryId(id)
    }

    /// Returns the push that it comes from, the oldest one if there are several; `None` for a file that somebody else
    /// put there.
    pub fn push(&self) -> Option<PushId> {
        self.name_in_place().split('.').next()?.parse().ok()
    }

    /// Returns the newest push that it comes from if there are several.
    pub fn last_push(&self) -> Option<PushId> {
        let name: ParcelName = self.name_in_place().parse().ok()?;
        name.last()
    }

    /// Returns the push that it comes from if there is no other.
    pub fn only_push(&self) -> Option<PushId> {
        self.push().filter(|_| self.last_push().is_none())
    }

    /// Returns when the push was captured, the oldest one if there are several.
    pub fn time(&self) -> Option<Timestamp> {
        self.push().and_then(PushId::time)
    }

    /// Returns whether it is, or was, a captured push and not markers.
    pub fn is_capture(&self) -> bool {
        self.from == INBOX
    }

    /// Returns whether no reader will ever take it: somebody else put it there.
    pub fn is_stray(&self) -> bool {
        let name = self.name_in_place();
        if !self.is_capture() {
            return name.parse::<ParcelName>().is_err();
        }
        let mut fields = name.split('.');
        let has_push = fields.next().is_some_and(|push| push.parse::<PushId>().is_ok());
        let rest: Vec<&str> = fields.collect();
        let is_number = |field: &str| field.parse::<u64>().is_ok();
        let is_ours = match (self.place, &*rest) {
            (Place::Dead, rest) => rest.is_empty(),
            (_, [next, tries]) => is_number(next) && is_number(tries),
            _ => false,
        };
        !(has_push && is_ours)
    }

    /// The name that it has, or had, in the inbox or the outbox.
    fn name_in_place(&self) -> &str {
        match self.place {
            Place::Dead => self.name.split_once('.').map_or("", |(_, name)| name),
            _ => &self.name,
        }
    }
}

/// What taking an entry out of the queue came to.
#[derive(Debug)]
pub enum Taken {
    /// It is gone for good.
    Dropped,
    /// Somebody works on it.
    IsBusy,
    /// It is not there any more.
    IsGone,
}

impl State {
    /// Calls `with` for every entry in these places, and holds few of them at a time: those of one place
    /// come together, the oldest first unless there are many.
    ///
    /// # Errors
    /// If a directory cannot be read, or `with` fails.
    pub fn each_entry<E: From<StateError>>(
        &self,
        places: &[Place],
        mut with: impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        if places.contains(&Place::Inbox) {
            listing::each(&self.dir_of(Place::Inbox, INBOX), |name| {
                with(Entry { place: Place::Inbox, from: INBOX.into(), name: name.into() })
            })?;
        }
        if places.contains(&Place::Outbox) {
            for destination in self.outboxes()? {
                listing::each(&self.dir_of(Place::Outbox, &destination), |name| {
                    with(Entry { place: Place::Outbox, from: destination.clone(), name: name.into() })
                })?;
            }
        }
        if places.contains(&Place::Dead) {
            listing::each(self.dead_letters().dir(), |name| {
                if name.ends_with(dead::WHY) {
                    return Ok(());
                }
                let from = name.split_once('.').map_or(name, |(from, _)| from);
                with(Entry { place: Place::Dead, from: from.into(), name: name.into() })
            })?;
        }
        Ok(())
    }

    /// Returns the destinations that there is an outbox of, whether or not they are still configured.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn outboxes(&self) -> Result<Vec<String>, StateError> {
        listing::list(&self.dir.join("outbox"))
    }

    /// Returns the file of an entry.
    pub fn path_of(&self, entry: &Entry) -> PathBuf {
        self.dir_of(entry.place, &entry.from).join(&entry.name)
    }

    fn dir_of(&self, place: Place, from: &str) -> PathBuf {
        match place {
            Place::Inbox => self.dir.join("inbox"),
            Place::Outbox => self.outbox(from).new_dir(),
            Place::Dead => self.dir.join("dead"),
        }
    }

    /// Puts a dead letter back to where it came from.
    ///
    /// # Errors
    /// If a file cannot be linked or removed.
    pub fn put_back(&self, letter: &Entry) -> Result<PutBack, StateError> {
        let dead = self.dead_letters();
        if letter.is_capture() {
            let next = dead.why(&letter.name).and_then(|why| why.next).unwrap_or(0);
            let to = format!("{}.{next}.0", letter.name_in_place());
            return dead.put_back(&letter.name, &self.dir_of(Place::Inbox, INBOX), &to);
        }
        let dir = self.dir_of(Place::Outbox, &letter.from);
        dead.put_back(&letter.name, &dir, letter.name_in_place())
    }

    /// Drops an entry for good, once `note` has noted that. One of an outbox needs `lock`, the right to deliver
    /// from it.
    ///
    /// # Errors
    /// If a file cannot be removed, or `note` fails.
    pub fn drop_entry(
        &self,
        entry: &Entry,
        lock: Option<&Lock>,
        note: impl FnOnce() -> Result<(), StateError>,
    ) -> Result<Taken, StateError> {
        let path = self.path_of(entry);
        if !is_there(&path) {
            return Ok(Taken::IsGone);
        }
        match entry.place {
            Place::Dead => {
                note()?;
                self.dead_letters().remove(&entry.name)?;
            }
            Place::Outbox if lock.is_none() => return Ok(Taken::IsBusy),
            Place::Inbox if !entry.is_stray() => {
                let Claim::Ours(capture) = self.inbox().claim(&entry.name)? else {
                    return Ok(if is_there(&path) { Taken::IsBusy } else { Taken::IsGone });
                };
                note()?;
                capture.done()?;
            }
            Place::Outbox | Place::Inbox => {
                note()?;
                files::remove(&path)?;
                path.parent().map_or(Ok(()), files::sync_dir)?;
            }
        }
        Ok(Taken::Dropped)
    }

    /// Returns whether something has come to an outbox since `time`.
    ///
    /// # Errors
    /// If the outbox cannot be read.
    pub fn has_come_since(&self, destination: &str, time: Timestamp) -> Result<bool, StateError> {
        let outbox = self.outbox(destination);
        let mut has_come = false;
        listing::each(&outbox.new_dir(), |name| {
            has_come |= outbox.waits_since(name).is_some_and(|since| since >= time);
            Ok::<_, StateError>(())
        })?;
        Ok(has_come)
    }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
