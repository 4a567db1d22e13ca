//! An explained update in the form for programs.

use serde::Serialize;

use super::{
    anew::{Anew, ToldStep},
    story::{Retries, Story, Waiting},
};
use crate::{
    policy::{Import, Origin},
    state::journal::{Decision, Delivery, Pushed, Queue, Trouble},
    time::Timestamp,
};

#[derive(Serialize)]
pub(super) struct Told<'a> {
    /// When the decision was noted.
    decided: Timestamp,
    /// The journal's record.
    decision: &'a Decision<'static>,
    /// The line of the script at `decision.by`, if the script is still what it was.
    source: Option<String>,
    push: Option<&'a Pushed<'static>>,
    deliveries: Vec<Timed<&'a Delivery<'static>>>,
    /// Requests to a destination that failed meanwhile; whose markers were in them, the journal does not say.
    retries: &'a std::collections::BTreeMap<String, Retries>,
    acts: Vec<Timed<&'a Queue<'static>>>,
    troubles: Vec<Timed<&'a Trouble<'static>>>,
    waits: &'a [Waiting],
    today: Option<Today<'a>>,
    /// Why there is no `today`.
    not_today: Option<&'a str>,
}

#[derive(Serialize)]
struct Timed<T> {
    time: Timestamp,
    #[serde(flatten)]
    what: T,
}

/// What the policy says now.
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

impl<'a> Told<'a> {
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
