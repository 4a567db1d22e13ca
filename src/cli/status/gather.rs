//! What there is to say of the state: counted entry by entry, so that a backlog of any size needs no more
//! memory than a small one.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    config::{Config, INBOX, UNASSIGNED},
    state::{
        State, StateError,
        journal::Size,
        queue::{Entry, Place},
        standing::Standing,
    },
    text,
    time::Timestamp,
};

/// How many dead letters are shown one by one.
const MAX_SHOWN: usize = 10;

/// How the whole stands.
#[derive(Serialize)]
pub(super) struct Status {
    pub state_dir: String,
    pub config: Option<String>,
    /// The limit beyond which something waits too long.
    pub older_than_seconds: f64,
    /// Whether somebody should look; the exit status says the same.
    pub needs_a_person: bool,
    pub inbox: Backlog,
    pub destinations: Vec<DestinationStatus>,
    pub dead_letters: DeadStatus,
    pub journal: Size,
}

/// What waits in one place.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Backlog {
    pub files: usize,
    /// When the oldest push was captured, and the id of its entry.
    pub oldest: Option<Timestamp>,
    pub oldest_id: Option<String>,
    /// How many files wait longer than the limit.
    pub too_old: usize,
}

/// How a destination stands.
#[derive(Serialize)]
pub(super) struct DestinationStatus {
    pub name: String,
    /// Whether the configuration has it; otherwise nothing sends what waits.
    pub is_configured: bool,
    pub waiting: Backlog,
    pub last_success: Option<Timestamp>,
    pub last_error: Option<LastError>,
}

#[derive(Serialize)]
pub(super) struct LastError {
    pub time: Timestamp,
    pub why: String,
}

/// What was refused for good.
#[derive(Default, Serialize)]
pub(super) struct DeadStatus {
    pub files: usize,
    /// How many are from which destination, or from the inbox.
    pub from: BTreeMap<String, usize>,
    /// The newest of them.
    pub newest: Vec<Dead>,
}

#[derive(Serialize)]
pub(super) struct Dead {
    pub id: String,
    pub from: String,
    pub since: Option<Timestamp>,
    pub why: String,
}

impl Status {
    /// Looks at everything under the state directory.
    ///
    /// # Errors
    /// If something there cannot be read.
    pub fn gather(
        config: &Config,
        state: &State,
        older_than: Duration,
        now: Timestamp,
    ) -> Result<Self, StateError> {
        let limit = now.checked_sub(older_than).unwrap_or(Timestamp::MIN);
        let mut inbox = Backlog::default();
        let mut outboxes: BTreeMap<String, Backlog> = BTreeMap::new();
        let mut dead = DeadStatus::default();
        let mut newest = Vec::new();
        state.each_entry(&[Place::Inbox, Place::Outbox, Place::Dead], |entry| {
            match entry.place {
                Place::Inbox => inbox.add(&entry, limit),
                Place::Outbox => outboxes.entry(entry.from.clone()).or_default().add(&entry, limit),
                Place::Dead => {
                    let from = if entry.is_stray() { "unknown" } else { &entry.from };
                    *dead.from.entry(from.to_string()).or_insert(0) += 1;
                    dead.files += 1;
                    newest.push(entry);
                    if newest.len() > 2 * MAX_SHOWN {
                        keep_newest(&mut newest);
                    }
                }
            }
            Ok::<_, StateError>(())
        })?;
        keep_newest(&mut newest);
        dead.newest = newest.iter().map(|entry| Dead::of(state, entry)).collect();

        let configured = config.destinations.iter().map(|destination| destination.name.clone());
        let mut destinations: Vec<_> = configured
            .map(|name| {
                let waiting = outboxes.remove(&name).unwrap_or_default();
                DestinationStatus::of(state, name, true, waiting)
            })
            .collect();
        let others = outboxes.into_iter();
        destinations.extend(others.map(|(name, waiting)| DestinationStatus::of(state, name, false, waiting)));
        let mut status = Self {
            state_dir: state.dir().display().to_string(),
            config: config.path.as_ref().map(|path| path.display().to_string()),
            older_than_seconds: older_than.as_secs_f64(),
            needs_a_person: false,
            inbox,
            destinations,
            dead_letters: dead,
            journal: state.journal().size()?,
        };
        status.needs_a_person = status.dead_letters.files > 0
            || status.inbox.too_old > 0
            || status.destinations.iter().any(DestinationStatus::needs_a_person);
        Ok(status)
    }
}

fn keep_newest(entries: &mut Vec<Entry>) {
    entries.sort_by_key(|entry| Reverse(entry.push()));
    entries.truncate(MAX_SHOWN);
}

impl Backlog {
    fn add(&mut self, entry: &Entry, limit: Timestamp) {
        self.files += 1;
        let Some(time) = entry.time() else { return };
        self.too_old += usize::from(time < limit);
        if self.oldest.is_none_or(|oldest| time < oldest) {
            self.oldest = Some(time);
            self.oldest_id = Some(entry.id().to_string());
        }
    }
}

impl DestinationStatus {
    fn of(state: &State, name: String, is_configured: bool, waiting: Backlog) -> Self {
        let standing = Standing::read(&state.outbox(&name));
        Self {
            name,
            is_configured,
            waiting,
            last_success: standing.last_success,
            last_error: standing.last_error.map(|(time, why)| LastError { time, why: text::line(why) }),
        }
    }

    /// Returns whether markers are left by a destination that is gone from the configuration.
    pub fn is_abandoned(&self) -> bool {
        !self.is_configured && self.name != UNASSIGNED
    }

    fn needs_a_person(&self) -> bool {
        let is_failing = self
            .last_error
            .as_ref()
            .is_some_and(|err| self.last_success.is_none_or(|success| success < err.time));
        is_failing || self.waiting.too_old > 0 || self.is_abandoned()
    }
}

impl Dead {
    fn of(state: &State, entry: &Entry) -> Self {
        let why = state.dead_letters().why(&entry.name);
        Self {
            id: entry.id().to_string(),
            from: text::line(if entry.is_stray() { "unknown" } else { &entry.from }),
            since: why.as_ref().map(|why| why.time),
            why: why.map_or_else(|| "the reason cannot be read".into(), |why| text::line(why.why)),
        }
    }
}

/// Returns how a place is called in a sentence.
pub(super) fn place_of(destination: Option<&str>) -> String {
    destination.map_or_else(|| INBOX.to_string(), |name| format!("outbox {}", text::line(name)))
}
