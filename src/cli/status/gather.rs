//! Collects the status from the state directory. Entries are counted one at a time, so the memory
//! needed does not grow with the backlog.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    config::{Config, INBOX, UNASSIGNED},
    state::{
        ApiHealth, LastScan, State, StateError, Strays,
        destination_health::DestinationHealth,
        gap::Gap,
        journal::Size,
        queue::{QueueEntry, QueuePlace, QueueReason},
    },
    sys::time::Timestamp,
    text,
};

/// Maximum number of dead letters, and of undecided pushes, that are listed.
const MAX_SHOWN: usize = 10;

/// Maximum length of a reason, in characters. It may end with a command that fixes the cause.
const MAX_WHY: usize = 1000;

/// Maximum number of markers sent on their own that are listed.
const MAX_ALONE: usize = 100;

/// The status of the whole installation.
#[derive(Serialize)]
pub(super) struct InstallationStatus {
    pub state_dir: String,
    /// False if the state directory does not exist.
    pub state_exists: bool,
    pub config: Option<String>,
    /// Age limit of a waiting entry, in seconds.
    pub older_than_seconds: f64,
    /// True if something needs attention. The exit status says the same.
    pub needs_a_person: bool,
    /// Each reason for it, with the label of the line that tells more.
    pub causes: Vec<String>,
    pub inbox: Backlog,
    /// Pushes in the inbox that could not be decided at the last attempt.
    pub postponed: Undecided,
    /// Pushes whose policy failed.
    pub failed: Undecided,
    pub destinations: Vec<DestinationStatus>,
    pub dead_letters: DeadStatus,
    pub journal: Size,
    /// The last scan of all repositories.
    pub scan: Option<LastScan>,
    /// How Gitea's API answers, if a token for it is configured.
    pub gitea_api: Option<ApiStatus>,
    /// Contents of the default state directory, if it is not the configured one.
    pub default_state: Option<DefaultState>,
    /// Lines missing from the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_gap: Option<Gap>,
}

/// The waiting entries of one place.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Backlog {
    pub files: usize,
    /// Time since which the oldest entry has been waiting, and its ID.
    pub oldest: Option<Timestamp>,
    pub oldest_id: Option<String>,
    /// Number of files that have waited longer than the limit.
    pub too_old: usize,
}

/// Captured pushes that could not be decided.
#[derive(Default, Serialize)]
pub(super) struct Undecided {
    pub pushes: usize,
    /// The newest of them.
    pub newest: Vec<UndecidedPush>,
}

#[derive(Serialize)]
pub(super) struct UndecidedPush {
    pub id: String,
    /// Time of the last attempt.
    pub last: Option<Timestamp>,
    pub why: String,
}

/// The status of one destination.
#[derive(Serialize)]
pub(super) struct DestinationStatus {
    pub name: String,
    /// True if the destination is in the configuration. Otherwise nothing sends its backlog.
    pub is_configured: bool,
    pub waiting: Backlog,
    pub last_success: Option<Timestamp>,
    pub last_error: Option<LastError>,
    /// Markers that are sent on their own, because the destination fails on them.
    pub alone: Vec<AloneStatus>,
}

/// A marker that is sent on its own.
#[derive(Serialize)]
pub(super) struct AloneStatus {
    pub id: String,
    pub tries: u32,
    pub next_try: Option<Timestamp>,
    pub why: String,
}

/// The status of Gitea's API.
#[derive(Serialize)]
pub(super) struct ApiStatus {
    pub last_success: Option<Timestamp>,
    pub last_error: Option<LastError>,
    #[serde(skip)]
    is_failing: bool,
}

impl From<ApiHealth> for ApiStatus {
    fn from(health: ApiHealth) -> Self {
        Self {
            is_failing: health.is_failing(),
            last_success: health.last_success,
            last_error: health.last_error.map(LastError::from),
        }
    }
}

#[derive(Serialize)]
pub(super) struct LastError {
    pub time: Timestamp,
    pub why: String,
}

impl From<(Timestamp, String)> for LastError {
    fn from((time, why): (Timestamp, String)) -> Self {
        Self { time, why: text::line_of(why, MAX_WHY) }
    }
}

/// Contents of the default state directory when another one is configured.
#[derive(Serialize)]
pub(super) struct DefaultState {
    pub state_dir: String,
    /// Number of captured pushes, which `deliver` moves to the configured directory.
    pub captures: usize,
    /// Number of other files, which nothing sends.
    pub others: usize,
}

impl DefaultState {
    fn of(strays: &Strays) -> Self {
        let state_dir = strays.state.dir().display().to_string();
        Self { state_dir, captures: strays.captures, others: strays.others }
    }
}

/// The dead letters.
#[derive(Default, Serialize)]
pub(super) struct DeadStatus {
    pub files: usize,
    /// Number of dead letters of each destination and of the inbox.
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

impl InstallationStatus {
    /// Examines everything in the state directory.
    ///
    /// # Errors
    /// If a part of it cannot be read.
    pub fn gather(
        config: &Config,
        state: &State,
        older_than: Duration,
        now: Timestamp,
    ) -> Result<Self, StateError> {
        let limit = now.checked_sub(older_than).unwrap_or(Timestamp::MIN);
        let mut inbox = Backlog::default();
        let (mut postponed, mut failed) = (Undecided::default(), Undecided::default());
        let mut outboxes: BTreeMap<String, Backlog> = BTreeMap::new();
        let mut dead = DeadStatus::default();
        let (mut newest, mut alone) = (Vec::new(), Vec::new());
        state.each_entry(&QueuePlace::ALL, |entry| {
            match entry.place {
                QueuePlace::Inbox => {
                    inbox.add(state, &entry, limit);
                    if let Some(reason) = state.reason(&entry) {
                        postponed.add(&entry, Some(reason));
                    }
                }
                QueuePlace::Failed => failed.add(&entry, state.reason(&entry)),
                QueuePlace::Outbox => {
                    outboxes.entry(entry.from.clone()).or_default().add(state, &entry, limit);
                    if entry.alone().is_some() && alone.len() < MAX_ALONE {
                        alone.push(entry);
                    }
                }
                QueuePlace::Dead => {
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
                DestinationStatus::of(state, name, true, waiting, &alone)
            })
            .collect();
        let others = outboxes.into_iter();
        destinations
            .extend(others.map(|(name, waiting)| DestinationStatus::of(state, name, false, waiting, &alone)));
        let mut status = Self {
            state_dir: state.dir().display().to_string(),
            // A directory that may not be examined is reported by what reads it.
            state_exists: state.dir().try_exists().unwrap_or(true),
            config: config.path.as_ref().map(|path| path.display().to_string()),
            older_than_seconds: older_than.as_secs_f64(),
            needs_a_person: false,
            causes: Vec::new(),
            inbox,
            postponed,
            failed,
            destinations,
            dead_letters: dead,
            journal: state.journal().size()?,
            scan: state.last_scan(),
            gitea_api: config.gitea.as_ref().map(|_| state.api_health().into()),
            default_state: Strays::find(config).map(|strays| DefaultState::of(&strays)),
            journal_gap: state.journal_gap(),
        };
        status.causes = status.find_causes(now);
        status.needs_a_person = !status.causes.is_empty();
        Ok(status)
    }

    /// Returns why a person is needed, in the order of the lines of `status`.
    fn find_causes(&self, now: Timestamp) -> Vec<String> {
        let mut causes = Vec::new();
        let mut add = |label: &str, is_cause: bool, why: String| {
            if is_cause {
                causes.push(format!("{label}: {why}"));
            }
        };
        add("state", !self.state_exists, "the state directory does not exist".into());
        add("elsewhere", self.default_state.is_some(), "files wait in another state directory".into());
        let waits = |backlog: &Backlog| format!("{} too old", text::count(backlog.too_old, "file"));
        add("inbox", self.inbox.too_old > 0, waits(&self.inbox));
        let pushes = |undecided: &Undecided| text::count(undecided.pushes, "push");
        let postponed = &self.postponed;
        add("inbox", postponed.pushes > 0, format!("{} could not be decided", pushes(postponed)));
        add("failed", self.failed.pushes > 0, format!("the policy failed on {}", pushes(&self.failed)));
        for it in &self.destinations {
            let name = text::line(&it.name);
            add(&name, it.is_abandoned(), "it is not configured, so nothing sends its markers".into());
            add(&name, it.waiting.too_old > 0, waits(&it.waiting));
            add(&name, !it.alone.is_empty(), format!("{} alone", waits_of(it.alone.len())));
            add(&name, it.is_failing(), "the last delivery failed".into());
        }
        let dead = self.dead_letters.files;
        add("dead letters", dead > 0, text::count(dead, "dead letter"));
        add("journal", self.journal_gap.is_some(), "it cannot be written".into());
        if let Some(scan) = &self.scan {
            let failed = text::count(scan.failed, "repository");
            add("scan", scan.failed > 0, format!("{failed} could not be scanned"));
            add("scan", scan.is_stale(now), "the last one is more than 10 minutes old".into());
        }
        let is_api_failing = self.gitea_api.as_ref().is_some_and(|api| api.is_failing);
        add("gitea api", is_api_failing, "the last question failed".into());
        causes
    }
}

fn waits_of(markers: usize) -> String {
    format!("{} {}", text::count(markers, "marker"), if markers == 1 { "waits" } else { "wait" })
}

fn keep_newest(entries: &mut Vec<QueueEntry>) {
    entries.sort_by_key(|entry| Reverse(entry.push()));
    entries.truncate(MAX_SHOWN);
}

impl Backlog {
    fn add(&mut self, state: &State, entry: &QueueEntry, limit: Timestamp) {
        self.files += 1;
        let Some(time) = state.waits_since(entry) else { return };
        self.too_old += usize::from(time < limit);
        if self.oldest.is_none_or(|oldest| time < oldest) {
            self.oldest = Some(time);
            self.oldest_id = Some(entry.id().to_string());
        }
    }
}

impl Undecided {
    fn add(&mut self, entry: &QueueEntry, reason: Option<QueueReason>) {
        self.pushes += 1;
        // Entries come oldest first, except from an inbox of more than 1,024, which is sorted in
        // parts only.
        if self.newest.len() == MAX_SHOWN {
            self.newest.remove(0);
        }
        self.newest.push(UndecidedPush {
            id: entry.id().to_string(),
            last: reason.as_ref().and_then(|reason| reason.time),
            why: reason.map_or_else(
                || "the reason cannot be read".into(),
                |reason| text::line_of(reason.why, MAX_WHY),
            ),
        });
    }
}

impl DestinationStatus {
    fn of(state: &State, name: String, is_configured: bool, waiting: Backlog, alone: &[QueueEntry]) -> Self {
        let health = DestinationHealth::read(&state.outbox(&name));
        let alone = alone.iter().filter(|entry| entry.from == name);
        Self {
            alone: alone.filter_map(|entry| AloneStatus::of(&health, entry)).collect(),
            name,
            is_configured,
            waiting,
            last_success: health.last_success,
            last_error: health.last_error.map(LastError::from),
        }
    }

    /// Returns true if the markers belong to a destination that was removed from the configuration.
    pub fn is_abandoned(&self) -> bool {
        !self.is_configured && self.name != UNASSIGNED
    }

    /// Returns true if the destination has failed since it last accepted something.
    fn is_failing(&self) -> bool {
        let failed = self.last_error.as_ref().map(|err| err.time);
        failed.is_some_and(|failed| self.last_success.is_none_or(|success| success < failed))
    }
}

impl AloneStatus {
    fn of(health: &DestinationHealth, entry: &QueueEntry) -> Option<Self> {
        let alone = entry.alone()?;
        let why = entry.marker().and_then(|marker| health.alone.get(&marker));
        Some(Self {
            id: entry.id().to_string(),
            tries: alone.tries,
            next_try: Timestamp::from_second(alone.until).ok(),
            why: why.map_or_else(|| "the destination fails on it".into(), |why| text::line_of(why, MAX_WHY)),
        })
    }
}

impl Dead {
    fn of(state: &State, entry: &QueueEntry) -> Self {
        let why = state.dead_letters().why(&entry.name);
        Self {
            id: entry.id().to_string(),
            from: text::line(if entry.is_stray() { "unknown" } else { &entry.from }),
            since: why.as_ref().map(|why| why.time),
            why: why
                .map_or_else(|| "the reason cannot be read".into(), |why| text::line_of(why.why, MAX_WHY)),
        }
    }
}

/// Returns the name of a place, for use in a sentence.
pub(super) fn place_of(destination: Option<&str>) -> String {
    destination.map_or_else(|| INBOX.to_string(), |name| format!("outbox {}", text::line(name)))
}
