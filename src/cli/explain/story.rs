//! What became of an update after its decision, from the journal and the spool.

use std::collections::{BTreeMap, HashSet};

use bstr::Finder;
use serde::Serialize;

use super::{scripts::Scripts, wanted::Hit};
use crate::{
    marker::MarkerId,
    push::PushId,
    state::{
        State, contents,
        journal::{Delivery, Entry, Pushed, Queue, Record, Sent, Trouble},
        queue::Place,
    },
    time::Timestamp,
};

/// How many records of each sort are kept for one update.
const MAX_KEPT: usize = 200;

/// How many ids are looked for by their bytes; with more of them, every delivery is read.
const MAX_NEEDLES: usize = 64;

/// Everything that is known of an update.
pub(super) struct Story {
    /// The decision.
    pub hit: Hit,
    /// The push, `None` if it was noted before the journal knew pushes.
    pub push: Option<Pushed<'static>>,
    /// The deliveries that name a marker of it.
    pub sent: Vec<(Timestamp, Delivery<'static>)>,
    /// Requests that failed between the decision and the end, by destination. The journal does not say whose markers
    /// were in them.
    pub retries: BTreeMap<String, Retries>,
    /// What a person did to its markers.
    pub acts: Vec<(Timestamp, Queue<'static>)>,
    /// What went wrong with its push.
    pub troubles: Vec<(Timestamp, Trouble<'static>)>,
    /// Where markers of it wait, or are dead.
    pub places: Vec<Waiting>,
}

/// Requests to one destination that were to be sent again.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Retries {
    pub times: usize,
    pub first: Timestamp,
    pub last: Timestamp,
    /// What the last one was answered.
    pub why: String,
}

/// A file of the queue that has something of the update in it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Waiting {
    /// The id in `queue show`.
    pub id: String,
    pub place: &'static str,
    /// The destination, or `inbox`.
    pub from: String,
    /// The markers of the update that are in it.
    pub markers: Vec<MarkerId>,
    /// Of a dead letter: why, and since when.
    pub why: Option<String>,
    pub dead_since: Option<Timestamp>,
}

impl Story {
    fn new(hit: Hit) -> Self {
        Self {
            hit,
            push: None,
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

    /// Returns the ids of its markers.
    pub fn markers(&self) -> impl Iterator<Item = MarkerId> + '_ {
        self.hit.decision.markers.iter().map(|marker| marker.id)
    }

    /// Returns the scripts that decided it, as far as the journal tells.
    pub fn scripts(&self) -> Option<Scripts> {
        self.push.as_ref().map(Scripts::of_push)
    }

    fn has(&self, markers: &[MarkerId]) -> bool {
        self.markers().any(|id| markers.contains(&id))
    }

    /// Returns whether nothing of it goes to `destination` any more.
    fn is_settled_at(&self, destination: &str) -> bool {
        let is_end = |sent: &Delivery<'_>| sent.outcome != Sent::Retried && *sent.destination == *destination;
        let ended = self.sent.iter().filter(|(_, sent)| is_end(sent));
        let ended: HashSet<MarkerId> = ended.flat_map(|(_, sent)| sent.markers.iter().copied()).collect();
        self.markers().all(|id| ended.contains(&id))
    }

    fn take(&mut self, entry: &Entry<'static>) {
        let time = entry.time;
        match &entry.record {
            Record::Push(push) if push.push == self.push_id() && time <= self.hit.time => {
                self.push = Some((**push).clone());
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

/// Follows updates through the journal, and into the spool.
///
/// # Errors
/// If the journal or a directory of the state cannot be read.
pub(super) fn follow(state: &State, hits: impl IntoIterator<Item = Hit>) -> anyhow::Result<Vec<Story>> {
    let mut stories: Vec<_> = hits.into_iter().map(Story::new).collect();
    let Some(from) = stories.iter().map(|story| story.hit.file.clone()).min() else { return Ok(stories) };
    let sieve = Sieve::of(&stories);
    state.journal().each_line(&from, |_, line| {
        if sieve.lets_through(line)
            && let Some(entry) = Entry::read(line)
        {
            stories.iter_mut().for_each(|story| story.take(&entry));
        }
        Ok(())
    })?;
    look_into_spool(state, &mut stories)?;
    Ok(stories)
}

fn look_into_spool(state: &State, stories: &mut [Story]) -> anyhow::Result<()> {
    state.each_entry(&[Place::Inbox, Place::Outbox, Place::Dead], |entry| {
        let is_of = |story: &Story| entry.push() == Some(story.push_id());
        if !stories.iter().any(is_of) {
            return anyhow::Ok(());
        }
        let there =
            if entry.is_capture() { Vec::new() } else { contents::marker_ids(&state.path_of(&entry)) };
        let why = (entry.place == Place::Dead).then(|| state.dead_letters().why(&entry.name)).flatten();
        for story in stories.iter_mut().filter(|story| is_of(story)) {
            let markers: Vec<_> = story.markers().filter(|id| there.contains(id)).collect();
            if markers.is_empty() && !entry.is_capture() {
                continue;
            }
            story.places.push(Waiting {
                id: entry.id().to_string(),
                place: match entry.place {
                    Place::Inbox => "inbox",
                    Place::Outbox => "outbox",
                    Place::Dead => "dead",
                },
                from: entry.from.clone(),
                markers,
                why: why.as_ref().map(|why| why.why.clone()),
                dead_since: why.as_ref().map(|why| why.time),
            });
        }
        Ok(())
    })
}

/// What a line must have in it, as bytes, to be of any of the updates.
struct Sieve {
    ids: Vec<Finder<'static>>,
    /// Records without any id that we know.
    unnamed: Vec<Finder<'static>>,
}

impl Sieve {
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
