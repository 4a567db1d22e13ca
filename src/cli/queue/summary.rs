//! Descriptions of queue entries, as text and JSON.

use std::{collections::BTreeMap, io};

use serde::Serialize;

use crate::{
    cli::age::age,
    push::PushId,
    state::{
        State,
        contents::{self, Glance},
        queue::{QueueEntry, QueuePlace, QueueReason},
    },
    sys::time::Timestamp,
    text,
};

/// Maximum number of marker groups shown on a line.
const MAX_GROUPS: usize = 3;

/// Maximum length of a service name on a line, in characters.
const MAX_SERVICE: usize = 60;

/// Maximum length of a reason, in characters.
const MAX_WHY: usize = 1000;

/// Summary of an entry.
pub(super) struct EntrySummary {
    pub entry: QueueEntry,
    /// Time since which it has been waiting.
    time: Option<Timestamp>,
    glance: Glance,
    reason: Option<QueueReason>,
}

/// An entry as JSON.
#[derive(Serialize)]
pub(super) struct QueueEntryJson {
    id: String,
    place: &'static str,
    /// Destination, or `inbox`.
    from: String,
    name: String,
    /// ID of the oldest push, and of the newest if there are several.
    push: Option<PushId>,
    last_push: Option<PushId>,
    /// Time at which the oldest push was captured.
    time: Option<Timestamp>,
    /// Number of markers according to the file's header, or `null` for a captured push.
    markers: Option<usize>,
    /// Number of examined markers of each kind and of each service.
    kinds: BTreeMap<&'static str, usize>,
    services: BTreeMap<String, usize>,
    /// True if all markers were examined and match the header.
    is_whole: bool,
    /// Full name (`owner/name`) of a captured push's repository.
    repository: Option<String>,
    pusher: Option<String>,
    /// Error if the file cannot be read.
    unreadable: Option<String>,
    /// Reason why the entry is dead, is sent on its own, has a failed policy, or could not be
    /// decided yet.
    why: Option<String>,
    /// Time of that event.
    why_since: Option<Timestamp>,
    /// Time at which a dead letter was put aside.
    dead_since: Option<Timestamp>,
    /// Number of attempts, for a marker that is sent on its own.
    tries_alone: Option<u32>,
}

impl EntrySummary {
    /// Reads a summary of an entry, or returns `None` if the entry is gone.
    ///
    /// # Errors
    /// If the entry exists and cannot be read at all.
    pub fn of(state: &State, entry: QueueEntry) -> anyhow::Result<Option<Self>> {
        let glance = match contents::glance(&state.path_of(&entry), entry.is_capture()) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => Glance::Unreadable(err.to_string()),
            Ok(glance) => glance,
        };
        let reason = state.reason(&entry);
        let time = state.waits_since(&entry);
        Ok(Some(Self { entry, time, glance, reason }))
    }

    /// Returns the entry's line in a list.
    pub fn line(&self, now: Timestamp) -> String {
        let age = self.time.map_or_else(|| "?".into(), |time| age(time, now));
        let mut line =
            format!("{}  {:<19} {age:>7}  {}", self.entry.id(), place(&self.entry), self.contents());
        if let Some(alone) = self.entry.alone() {
            line.push_str(&format!(", waits alone, tried {}", text::count(alone.tries as usize, "time")));
        }
        match &self.reason {
            Some(reason) => line.push_str(&format!(": {}", text::line_of(&reason.why, MAX_WHY))),
            None if self.entry.place == QueuePlace::Dead => line.push_str(": the reason cannot be read"),
            None => {}
        }
        line
    }

    fn contents(&self) -> String {
        match &self.glance {
            _ if self.entry.is_stray() && self.entry.place != QueuePlace::Dead => {
                format!("not a file of gitea-lightstep, never read: {}", text::line(&self.entry.name))
            }
            Glance::Unreadable(why) => format!("unreadable: {}", text::line(why)),
            Glance::Push { repository, pusher } => {
                let pusher = pusher.as_ref().map(|name| format!(" by {}", text::line(name)));
                let state = match (self.entry.place, &self.reason) {
                    (QueuePlace::Failed, _) => "the policy failed",
                    (QueuePlace::Inbox, Some(_)) => "not decided yet, will be retried",
                    _ => "not decided yet",
                };
                format!("a push to {}{}, {state}", text::line(repository), pusher.unwrap_or_default())
            }
            Glance::Markers { count, groups, .. } => {
                let mut named: Vec<_> = groups
                    .iter()
                    .take(MAX_GROUPS)
                    .map(|((kind, service), n)| {
                        let service = text::line_of(service, MAX_SERVICE);
                        if *n == 1 { format!("{kind} {service}") } else { format!("{n} {kind} {service}") }
                    })
                    .collect();
                if groups.values().take(MAX_GROUPS).sum::<usize>() < *count {
                    named.push("…".into());
                }
                let of = if self.entry.last_push().is_some() { " of several pushes" } else { "" };
                format!("{}{of}: {}", text::count(*count, "marker"), named.join(", "))
            }
        }
    }

    /// Converts the summary to JSON.
    pub fn json(self) -> QueueEntryJson {
        let mut json = QueueEntryJson {
            id: self.entry.id().to_string(),
            place: match self.entry.place {
                QueuePlace::Inbox => "inbox",
                QueuePlace::Failed => "failed",
                QueuePlace::Outbox => "outbox",
                QueuePlace::Dead => "dead",
            },
            push: self.entry.push(),
            last_push: self.entry.last_push(),
            time: self.time,
            markers: None,
            kinds: BTreeMap::new(),
            services: BTreeMap::new(),
            is_whole: true,
            repository: None,
            pusher: None,
            unreadable: None,
            dead_since: self
                .reason
                .as_ref()
                .filter(|_| self.entry.place == QueuePlace::Dead)
                .and_then(|it| it.time),
            why_since: self.reason.as_ref().and_then(|reason| reason.time),
            why: self.reason.map(|reason| reason.why),
            tries_alone: self.entry.alone().map(|alone| alone.tries),
            from: self.entry.from,
            name: self.entry.name,
        };
        match self.glance {
            Glance::Markers { count, groups, is_whole } => {
                json.markers = Some(count);
                json.is_whole = is_whole;
                for ((kind, service), n) in groups {
                    *json.kinds.entry(kind).or_insert(0) += n;
                    *json.services.entry(service).or_insert(0) += n;
                }
            }
            Glance::Push { repository, pusher } => {
                json.repository = Some(repository);
                json.pusher = pusher;
            }
            Glance::Unreadable(why) => {
                json.is_whole = false;
                json.unreadable = Some(why);
            }
        }
        json
    }
}

/// Returns the place of an entry, such as `inbox`, `outbox NAME` or `dead NAME`.
pub(super) fn place(entry: &QueueEntry) -> String {
    match entry.place {
        QueuePlace::Inbox => "inbox".into(),
        QueuePlace::Failed => "failed".into(),
        QueuePlace::Outbox => format!("outbox {}", text::line(&entry.from)),
        QueuePlace::Dead => format!("dead {}", text::line(&entry.from)),
    }
}
