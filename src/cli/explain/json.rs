//! An explained update as JSON.

use serde::Serialize;

use super::{
    history::{QueuedMarkers, Retries, Story},
    replay::{Anew, ToldStep},
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
    not_today: Option<&'a str>,
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
    steps: Vec<ToldStep>,
}

impl<'a> ExplanationJson<'a> {
    pub fn of(story: &'a Story, anew: Result<&'a Anew, &'a String>) -> Self {
        let scripts = story.scripts().unwrap_or_default();
        let today = anew.ok().map(|anew| Today {
            is_same_policy: anew.is_same_policy,
            is_same_outcome: anew.is_same_outcome(story),
            layers: &anew.scripts.layers,
            imports: &anew.scripts.imports,
            outcome: anew.verdict.outcome.as_str(),
            why: anew.verdict.outcome.why(),
            steps: anew.steps().collect(),
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
            not_today: anew.err().map(String::as_str),
        }
    }
}

fn timed<T>(records: &[(Timestamp, T)]) -> Vec<Timed<&T>> {
    records.iter().map(|(time, what)| Timed { time: *time, what }).collect()
}
