//! An explained update as JSON.

use serde::Serialize;

use super::{
    history::{QueuedMarkers, Retries, Story},
    replay::{Replay, ReplayError, ReplayedStep},
};
use crate::{
    policy::{Import, Origin},
    state::journal::{DecisionRecord, DeliveryRecord, PushRecord, Queue, Trouble},
    sys::time::Timestamp,
};

#[derive(Serialize)]
pub(super) struct ExplanationJson<'a> {
    /// Time of the decision's record.
    decided: Timestamp,
    /// The decision as recorded in the journal.
    decision: &'a DecisionRecord<'static>,
    /// Line of the script at `decision.by`, if the script is unchanged since.
    source: Option<String>,
    push: Option<&'a PushRecord<'static>>,
    deliveries: Vec<Timed<&'a DeliveryRecord<'static>>>,
    /// Requests to each destination that failed in the meantime. The journal does not record which
    /// markers they contained.
    retries: &'a std::collections::BTreeMap<String, Retries>,
    acts: Vec<Timed<&'a Queue<'static>>>,
    troubles: Vec<Timed<&'a Trouble<'static>>>,
    waits: &'a [QueuedMarkers],
    today: Option<Today<'a>>,
    /// Reason why `today` is missing.
    not_today: Option<String>,
}

#[derive(Serialize)]
struct Timed<T> {
    time: Timestamp,
    #[serde(flatten)]
    what: T,
}

/// The current policy's decision.
#[derive(Serialize)]
struct Today<'a> {
    is_same_policy: Option<bool>,
    is_same_outcome: bool,
    layers: &'a [Origin],
    imports: &'a [Import],
    outcome: &'static str,
    why: &'a str,
    steps: Vec<ReplayedStep>,
}

impl<'a> ExplanationJson<'a> {
    pub fn of(story: &'a Story, replayed: Result<&'a Replay, &'a ReplayError>) -> Self {
        let scripts = story.scripts().unwrap_or_default();
        let today = replayed.ok().map(|replayed| Today {
            is_same_policy: replayed.is_same_policy,
            is_same_outcome: replayed.is_same_outcome(story),
            layers: &replayed.scripts.layers,
            imports: &replayed.scripts.imports,
            outcome: replayed.verdict.outcome.as_str(),
            why: replayed.verdict.outcome.why(),
            steps: replayed.steps().collect(),
        });
        Self {
            decided: story.hit.time,
            decision: &story.hit.decision,
            source: story.hit.decision.by.as_ref().and_then(|by| scripts.quote(by)),
            push: story.push.as_ref(),
            deliveries: timed(&story.sent),
            retries: &story.retries,
            acts: timed(&story.acts),
            troubles: timed(&story.troubles),
            waits: &story.places,
            today,
            not_today: replayed.err().map(ToString::to_string),
        }
    }
}

fn timed<T>(records: &[(Timestamp, T)]) -> Vec<Timed<&T>> {
    records.iter().map(|(time, what)| Timed { time: *time, what }).collect()
}
