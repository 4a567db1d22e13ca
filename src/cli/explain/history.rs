//! The history of an update after its decision, from the journal and the spool.

use std::collections::{BTreeMap, HashSet};

use bstr::Finder;
use serde::Serialize;

use super::{query::Hit, scripts::LoadedScripts};
use crate::{
    marker::MarkerId,
    push::{PushId, RefName, Update},
    state::{
        State, contents,
        journal::{DeliveryRecord, JournalEntry, PushRecord, Queue, Record, Sent, Trouble},
        queue::QueuePlace,
    },
    sys::time::Timestamp,
};

/// Maximum number of records of each kind kept for one update.
const MAX_KEPT: usize = 200;

/// Maximum number of updates kept of a push. Deployments of larger pushes are not compared.
const MAX_UPDATES: usize = 20_000;

/// Maximum number of IDs searched for by their bytes. With more, every delivery record is parsed.
const MAX_NEEDLES: usize = 64;

/// The history of one update.
pub(super) struct Story {
    /// The recorded decision.
    pub hit: Hit,
    /// The push, or `None` if the journal has no record of it.
    pub push: Option<PushRecord<'static>>,
    /// All updates of the push in the order of the journal, which is that of the push.
    pub updates: Vec<Update>,
    /// Refs of `updates`, because a push that was decided again is in the journal twice.
    refs: HashSet<RefName>,
    /// Deliveries that name one of the update's markers.
    pub sent: Vec<(Timestamp, DeliveryRecord<'static>)>,
    /// Requests to each destination that failed after the decision and before the last marker was
    /// delivered. The journal does not record which markers they contained.
    pub retries: BTreeMap<String, Retries>,
    /// Actions of a person on the update's markers, with `queue retry` or `queue drop`.
    pub acts: Vec<(Timestamp, Queue<'static>)>,
    /// Errors recorded for the push.
    pub troubles: Vec<(Timestamp, Trouble<'static>)>,
    /// Queue entries that contain markers of the update, waiting or dead.
    pub places: Vec<QueuedMarkers>,
}

/// Failed requests to one destination that were to be retried.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Retries {
    pub times: usize,
    pub first: Timestamp,
    pub last: Timestamp,
    /// Error of the last request.
    pub why: String,
}

/// A queue entry that contains something of the update.
#[derive(Clone, Debug, Serialize)]
pub(super) struct QueuedMarkers {
    /// ID for `queue show`.
    pub id: String,
    pub place: &'static str,
    /// Destination, or `inbox`.
    pub from: String,
    /// Markers of the update in this entry.
    pub markers: Vec<MarkerId>,
    /// Reason for the entry's state, if one is recorded, and the time at which a dead letter was
    /// put aside.
    pub why: Option<String>,
    pub dead_since: Option<Timestamp>,
}

impl Story {
    fn new(hit: Hit) -> Self {
        Self {
            hit,
            push: None,
            updates: Vec::new(),
            refs: HashSet::new(),
            sent: Vec::new(),
            retries: BTreeMap::new(),
            acts: Vec::new(),
            troubles: Vec::new(),
            places: Vec::new(),
        }
    }

    fn push_id(&self) -> PushId {
        self.hit.decision.push
    }

    /// Returns the IDs of the update's markers.
    pub fn markers(&self) -> impl Iterator<Item = MarkerId> + '_ {
        self.hit.decision.markers.iter().map(|marker| marker.id)
    }

    /// Returns the scripts that decided the update, if the journal has its push.
    pub fn scripts(&self) -> Option<LoadedScripts> {
        self.push.as_ref().map(LoadedScripts::of_push)
    }

    fn has(&self, markers: &[MarkerId]) -> bool {
        self.markers().any(|id| markers.contains(&id))
    }

    /// Returns true if every marker has a final result at `destination`.
    fn is_settled_at(&self, destination: &str) -> bool {
        let is_end =
            |sent: &DeliveryRecord<'_>| sent.outcome != Sent::Retried && *sent.destination == *destination;
        let ended = self.sent.iter().filter(|(_, sent)| is_end(sent));
        let ended: HashSet<MarkerId> = ended.flat_map(|(_, sent)| sent.markers.iter().copied()).collect();
        self.markers().all(|id| ended.contains(&id))
    }

    fn take(&mut self, entry: &JournalEntry<'static>) {
        let time = entry.time;
        match &entry.record {
            Record::Push(push) if push.push == self.push_id() && time <= self.hit.time => {
                self.push = Some((**push).clone());
            }
            Record::Decision(decision) if decision.push == self.push_id() => {
                let update = RefName::new(decision.ref_name.as_bytes())
                    .and_then(|name| Update::new(name, decision.old_id, decision.new_id));
                if let Some(update) = update
                    && self.updates.len() < MAX_UPDATES
                    && self.refs.insert(update.ref_name().clone())
                {
                    self.updates.push(update);
                }
            }
            Record::Delivery(delivery)
                if delivery.outcome == Sent::Retried && delivery.markers.is_empty() =>
            {
                let is_after = time >= self.hit.time && self.markers().next().is_some();
                if is_after && !self.is_settled_at(&delivery.destination) {
                    let why = delivery.why.to_string();
                    let retries = self.retries.entry(delivery.destination.to_string()).or_insert(Retries {
                        times: 0,
                        first: time,
                        last: time,
                        why: String::new(),
                    });
                    *retries = Retries { times: retries.times + 1, first: retries.first, last: time, why };
                }
            }
            Record::Delivery(delivery) if self.has(&delivery.markers) && self.sent.len() < MAX_KEPT => {
                self.sent.push((time, delivery.clone()));
            }
            Record::Queue(queue) if self.has(&queue.markers) && self.acts.len() < MAX_KEPT => {
                self.acts.push((time, queue.clone()));
            }
            Record::Trouble(trouble)
                if trouble.push == Some(self.push_id()) && self.troubles.len() < MAX_KEPT =>
            {
                self.troubles.push((time, trouble.clone()));
            }
            _ => {}
        }
    }
}

/// Collects the history of updates from the journal and the spool.
///
/// # Errors
/// If the journal or a directory of the state cannot be read.
pub(super) fn follow(state: &State, hits: impl IntoIterator<Item = Hit>) -> anyhow::Result<Vec<Story>> {
    let mut stories: Vec<_> = hits.into_iter().map(Story::new).collect();
    let Some(from) = stories.iter().map(|story| story.hit.file.clone()).min() else { return Ok(stories) };
    let sieve = RecordFilter::of(&stories);
    state.journal().each_line(&from, |_, line| {
        if sieve.lets_through(line)
            && let Some(entry) = JournalEntry::read(line)
        {
            stories.iter_mut().for_each(|story| story.take(&entry));
        }
        Ok(())
    })?;
    look_into_spool(state, &mut stories)?;
    Ok(stories)
}

fn look_into_spool(state: &State, stories: &mut [Story]) -> anyhow::Result<()> {
    state.each_entry(&QueuePlace::ALL, |entry| {
        let is_of = |story: &Story| match (entry.push(), entry.last_push()) {
            (Some(first), Some(last)) => (first..=last).contains(&story.push_id()),
            (first, _) => first == Some(story.push_id()),
        };
        if !stories.iter().any(is_of) {
            return anyhow::Ok(());
        }
        let there =
            if entry.is_capture() { Vec::new() } else { contents::marker_ids(&state.path_of(&entry)) };
        let reason = state.reason(&entry);
        for story in stories.iter_mut().filter(|story| is_of(story)) {
            let markers: Vec<_> = story.markers().filter(|id| there.contains(id)).collect();
            if markers.is_empty() && !entry.is_capture() {
                continue;
            }
            story.places.push(QueuedMarkers {
                id: entry.id().to_string(),
                place: match entry.place {
                    QueuePlace::Inbox => "inbox",
                    QueuePlace::Failed => "failed",
                    QueuePlace::Outbox => "outbox",
                    QueuePlace::Dead => "dead",
                },
                from: entry.from.clone(),
                markers,
                why: reason.as_ref().map(|reason| reason.why.clone()),
                dead_since: reason
                    .as_ref()
                    .filter(|_| entry.place == QueuePlace::Dead)
                    .and_then(|reason| reason.time),
            });
        }
        Ok(())
    })
}

/// Byte patterns that select the journal lines about the updates. A line must contain one of them.
struct RecordFilter {
    ids: Vec<Finder<'static>>,
    /// Patterns for records that may concern an update without naming an ID in `ids`.
    unnamed: Vec<Finder<'static>>,
}

impl RecordFilter {
    fn of(stories: &[Story]) -> Self {
        let markers: Vec<_> = stories.iter().flat_map(Story::markers).map(|id| id.to_string()).collect();
        let mut unnamed = vec![Finder::new(b"\"outcome\":\"retried\"")];
        let mut ids: Vec<_> = stories.iter().map(|story| story.push_id().to_string()).collect();
        if markers.len() > MAX_NEEDLES {
            unnamed = vec![Finder::new(b"\"record\":\"delivery\""), Finder::new(b"\"record\":\"queue\"")];
        } else {
            ids.extend(markers);
        }
        Self { ids: ids.iter().map(|id| Finder::new(id.as_bytes()).into_owned()).collect(), unnamed }
    }

    fn lets_through(&self, line: &[u8]) -> bool {
        self.ids.iter().chain(&self.unnamed).any(|finder| finder.find(line).is_some())
    }
}
