//! The files of the spool and the dead letters as one queue of entries with IDs, for the `queue`
//! and `status` commands.
//!
//! Listing changes nothing and takes no lock, so a delivery may remove an entry while a command
//! still shows it.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use sha2::{Digest as _, Sha256};

use super::{
    State, StateError,
    dead::{self, PutBack},
    destination_health::DestinationHealth,
    files,
    inbox::{Claim, Inbox},
    listing,
    name::{Alone, OutboxFileName},
    outbox::Lock,
};
use crate::{
    config::INBOX,
    marker::{Marker, MarkerId},
    proposal,
    push::PushId,
    sys::time::Timestamp,
    text::{self, Hex},
};

/// The part of the state directory that holds an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueuePlace {
    /// A captured push that is not decided yet.
    Inbox,
    /// A captured push with updates on which the policy failed.
    Failed,
    /// Markers that a destination does not have yet.
    Outbox,
    /// A dead letter.
    Dead,
}

impl QueuePlace {
    /// All places, in the order in which an entry can pass through them.
    pub const ALL: [Self; 4] = [Self::Inbox, Self::Failed, Self::Outbox, Self::Dead];
}

/// The reason that an entry is waiting or dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueReason {
    /// Time of the last attempt, or of the move to this place, if known.
    pub time: Option<Timestamp>,
    /// The error message of the script, the system or the back end.
    pub why: String,
}

/// One file of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// The place that holds it.
    pub place: QueuePlace,
    /// The destination that it is for, or `inbox` for a captured push.
    pub from: String,
    /// The name of the file.
    pub name: String,
    /// The name that the entry has, or had, in the inbox or the outbox.
    in_place: OutboxFileName,
}

/// The ID that the `queue` commands show for an entry. It stays the same while the entry waits,
/// becomes a dead letter and is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId([u8; 6]);

/// The first digits of an ID, as an administrator typed them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdPrefix(String);

impl IdPrefix {
    /// Minimum number of digits.
    pub const MIN: usize = 4;
    /// Number of digits of a whole ID.
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
                "expected an id of {} to {} hexadecimal digits, found `{}`; \
                 `{}` shows the id at the start of each line",
                Self::MIN,
                Self::MAX,
                text::line(typed),
                proposal::command("queue list")
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

impl QueueEntry {
    fn new(place: QueuePlace, from: &str, name: &str) -> Self {
        let in_place = match place {
            QueuePlace::Dead => name.split_once('.').map_or("", |(_, name)| name),
            _ => name,
        };
        Self { place, from: from.to_string(), name: name.to_string(), in_place: in_place.into() }
    }

    /// Returns the ID.
    pub fn id(&self) -> EntryId {
        // The ID is made from the name that the entry has or would have as a dead letter. A
        // capture's own name changes while it is decided.
        let name = match (self.place, self.push()) {
            (QueuePlace::Dead, _) => self.name.clone(),
            (QueuePlace::Inbox | QueuePlace::Failed, Some(push)) if !self.is_stray() => {
                format!("{INBOX}.{push}")
            }
            _ => format!("{}.{}", self.from, self.in_place.without_alone()),
        };
        let mut id = [0; 6];
        for (byte, from) in id.iter_mut().zip(Sha256::digest(name)) {
            *byte = from;
        }
        EntryId(id)
    }

    /// Returns the push of the entry, the oldest one if there are several, or `None` for a file
    /// that this program did not name.
    pub fn push(&self) -> Option<PushId> {
        self.in_place.push()
    }

    /// Returns the newest push of the entry if there are several.
    pub fn last_push(&self) -> Option<PushId> {
        self.in_place.fields()?.last()
    }

    /// Returns the push of the entry if it is the only one.
    pub fn only_push(&self) -> Option<PushId> {
        self.push().filter(|_| self.last_push().is_none())
    }

    /// Returns the retry state of a marker that is sent alone.
    pub fn alone(&self) -> Option<Alone> {
        self.in_place.alone().filter(|_| self.place == QueuePlace::Outbox)
    }

    /// Returns the entry's first marker if the name has it.
    pub fn marker(&self) -> Option<MarkerId> {
        self.in_place.marker()
    }

    /// Returns the capture time of the push, of the oldest one if there are several.
    pub fn time(&self) -> Option<Timestamp> {
        self.push().and_then(PushId::time)
    }

    /// Returns true if the entry is, or was, a captured push, and false if it holds markers.
    pub fn is_capture(&self) -> bool {
        self.from == INBOX
    }

    /// Returns true if the file has a name that this program does not give: a person put it there.
    pub fn is_stray(&self) -> bool {
        if !self.is_capture() {
            return self.in_place.fields().is_none();
        }
        match self.place {
            QueuePlace::Dead => self.in_place.parse::<PushId>().is_err(),
            _ => !Inbox::gives(&self.in_place),
        }
    }
}

/// The outcome of removing an entry from the queue.
#[derive(Debug)]
pub enum Taken {
    /// The entry is removed.
    Dropped,
    /// Another process holds its lock.
    IsBusy,
    /// The entry does not exist any more.
    IsGone,
}

impl State {
    /// Calls `with` for every entry in `places`, and holds only a bounded number of names of most
    /// places in memory. Entries of one place come together, the oldest first unless there are
    /// many.
    ///
    /// # Errors
    /// If a directory cannot be read, or `with` fails.
    pub fn each_entry<E: From<StateError>>(
        &self,
        places: &[QueuePlace],
        mut with: impl FnMut(QueueEntry) -> Result<(), E>,
    ) -> Result<(), E> {
        if places.contains(&QueuePlace::Inbox) {
            listing::each(&self.dir_of(QueuePlace::Inbox, INBOX), |name| {
                with(QueueEntry::new(QueuePlace::Inbox, INBOX, name))
            })?;
        }
        if places.contains(&QueuePlace::Failed) {
            for name in self.failed().list()? {
                with(QueueEntry::new(QueuePlace::Failed, INBOX, &name))?;
            }
        }
        if places.contains(&QueuePlace::Outbox) {
            for destination in self.outboxes()? {
                listing::each(&self.dir_of(QueuePlace::Outbox, &destination), |name| {
                    with(QueueEntry::new(QueuePlace::Outbox, &destination, name))
                })?;
            }
        }
        if places.contains(&QueuePlace::Dead) {
            listing::each(self.dead_letters().dir(), |name| {
                if name.ends_with(dead::WHY) {
                    return Ok(());
                }
                let from = name.split_once('.').map_or(name, |(from, _)| from);
                with(QueueEntry::new(QueuePlace::Dead, from, name))
            })?;
        }
        Ok(())
    }

    /// Returns the destinations that have an outbox, whether or not they are still configured.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn outboxes(&self) -> Result<Vec<String>, StateError> {
        listing::list(&self.dir.join("outbox"))
    }

    /// Returns the time since which an entry has been waiting: the capture time of its oldest push. The
    /// push of a marker that `backfill` made is as old as its commit, so its file counts from when it
    /// was written.
    pub fn waits_since(&self, entry: &QueueEntry) -> Option<Timestamp> {
        let outbox = self.outbox(&entry.from);
        // The files of `backfill` have the ID of their first marker in the name, and of the others only
        // those that were merged or sent in part.
        let is_past = entry.place == QueuePlace::Outbox
            && entry.marker().is_some()
            && outbox.read(&entry.name).is_ok_and(|waiting| waiting.markers.iter().any(Marker::is_past));
        if is_past { outbox.waits_since(&entry.name) } else { entry.time() }
    }

    /// Returns the reason that an entry is waiting or dead, or `None` if nothing went wrong or the
    /// reason cannot be read.
    pub fn reason(&self, entry: &QueueEntry) -> Option<QueueReason> {
        match entry.place {
            QueuePlace::Outbox => {
                entry.alone()?;
                let why =
                    DestinationHealth::read(&self.outbox(&entry.from)).alone.remove(&entry.marker()?)?;
                Some(QueueReason { time: None, why })
            }
            QueuePlace::Inbox => {
                let postponed = self.postponed().read(entry.push()?)?;
                Some(QueueReason { time: Some(postponed.last), why: postponed.why })
            }
            QueuePlace::Failed => {
                let failed = self.failed().read(entry.push()?).ok()??;
                Some(QueueReason { time: Some(failed.time), why: failed.why })
            }
            QueuePlace::Dead => {
                let dead = self.dead_letters().why(&entry.name)?;
                Some(QueueReason { time: Some(dead.time), why: dead.why })
            }
        }
    }

    /// Returns the path of an entry's file.
    pub fn path_of(&self, entry: &QueueEntry) -> PathBuf {
        self.dir_of(entry.place, &entry.from).join(&entry.name)
    }

    fn dir_of(&self, place: QueuePlace, from: &str) -> PathBuf {
        match place {
            QueuePlace::Inbox => self.dir.join("inbox"),
            QueuePlace::Failed => self.failed().dir().into(),
            QueuePlace::Outbox => self.outbox(from).new_dir(),
            QueuePlace::Dead => self.dir.join("dead"),
        }
    }

    /// Puts a dead letter back into the inbox or the outbox that it came from.
    ///
    /// # Errors
    /// If a file cannot be linked or removed.
    pub fn put_back(&self, letter: &QueueEntry) -> Result<PutBack, StateError> {
        let dead = self.dead_letters();
        if letter.is_capture() {
            let next = dead.why(&letter.name).and_then(|why| why.next).unwrap_or(0);
            let to = format!("{}.{next}.0", &*letter.in_place);
            return dead.put_back(&letter.name, &self.dir_of(QueuePlace::Inbox, INBOX), &to);
        }
        let dir = self.dir_of(QueuePlace::Outbox, &letter.from);
        dead.put_back(&letter.name, &dir, &letter.in_place)
    }

    /// Removes an entry, after `note` has recorded that. An entry of an outbox needs `lock`, the
    /// lock of that outbox.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn drop_entry(
        &self,
        entry: &QueueEntry,
        lock: Option<&Lock>,
        note: impl FnOnce(),
    ) -> Result<Taken, StateError> {
        let path = self.path_of(entry);
        if !is_there(&path) {
            return Ok(Taken::IsGone);
        }
        match entry.place {
            QueuePlace::Dead => {
                note();
                self.dead_letters().remove(&entry.name)?;
            }
            QueuePlace::Outbox if lock.is_none() => return Ok(Taken::IsBusy),
            QueuePlace::Inbox | QueuePlace::Failed if !entry.is_stray() => {
                let captures =
                    if entry.place == QueuePlace::Inbox { self.inbox() } else { self.failed().captures() };
                let Claim::Ours(capture) = captures.claim(&entry.name)? else {
                    return Ok(if is_there(&path) { Taken::IsBusy } else { Taken::IsGone });
                };
                note();
                capture.done()?;
                self.failed().forget(capture.push_id())?;
                self.postponed().forget(capture.push_id())?;
            }
            QueuePlace::Outbox | QueuePlace::Inbox | QueuePlace::Failed => {
                note();
                files::remove(&path)?;
                path.parent().map_or(Ok(()), files::sync_dir)?;
            }
        }
        Ok(Taken::Dropped)
    }

    /// Returns true if a file was added to an outbox at or after `time`.
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
