//! The decision on one update: its markers, or the reason that there are none.

use super::{Deployed, DeploymentTarget, Failure};
use crate::{
    facts::FactError,
    marker::Marker,
    policy::{self, Rule, TraceStep},
};

/// The decision on one update, with its reasons.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Index of the update in its push.
    pub update: usize,
    /// Rule that skipped the update or refused a marker.
    pub by: Option<Rule>,
    /// Outcome, as recorded in the journal.
    pub outcome: Outcome,
    /// The markers that passed every guard.
    pub markers: Vec<Made>,
    /// Facts missing from the markers, with the reasons.
    pub missing: Option<FactError>,
    /// Explanation of a marker that was left out because the update already has one with its id.
    pub repeated: Option<String>,
    /// Steps of each policy layer. Empty unless the decider is traced.
    pub steps: Vec<TraceStep>,
    /// Lines that scripts printed. Empty unless the decider is listening.
    pub printed: Vec<String>,
    /// Lines for the pusher about what is not marked, each once.
    pub replies: Vec<String>,
}

/// A marker, and the rule that asked for it.
#[derive(Clone, Debug)]
pub struct Made {
    /// The marker.
    pub marker: Marker,
    /// Rule that asked for the marker.
    pub by: Rule,
    /// Entry for the deployment history, if the marker is a successful deployment.
    pub deployed: Option<(DeploymentTarget, Deployed)>,
}

/// The outcome of deciding an update.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The update became markers.
    Marked,
    /// The policy skipped the update.
    Skipped(String),
    /// A guard refused a marker, or its service belongs to another repository.
    Refused(String),
    /// The update could not be decided.
    Failed(Failure),
}

impl Outcome {
    /// Returns the outcome's name in the journal.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Marked => "marked",
            Self::Skipped(_) => "skipped",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }

    /// Returns the reason, which may be empty.
    pub fn why(&self) -> &str {
        match self {
            Self::Marked => "",
            Self::Skipped(why) | Self::Refused(why) => why,
            Self::Failed(failure) => failure.why(),
        }
    }
}

impl Verdict {
    /// Creates the verdict on an update that could not be decided.
    pub fn failed(update: usize, failure: Failure) -> Self {
        Self::without(update, Outcome::Failed(failure))
    }

    /// Adds a line for the pusher.
    pub(super) fn reply(&mut self, line: String) {
        if !self.replies.contains(&line) {
            self.replies.push(line);
        }
    }

    /// Records that a marker is refused, and why, also for the pusher.
    pub(super) fn refuse(&mut self, by: Rule, what: &str, why: String) {
        self.reply(format!("no {what}: {why}"));
        self.by = Some(by);
        self.outcome = Outcome::Refused(why);
    }

    /// Adds a marker. Returns an explanation if the update already has one with the same id.
    pub(super) fn add(&mut self, made: Made) -> Option<String> {
        let Some(first) = self.markers.iter().find(|known| known.marker.id == made.marker.id) else {
            self.markers.push(made);
            return None;
        };
        let marker = &made.marker;
        let environment = marker.environment.as_deref();
        let why = policy::same_marker([&first.by, &made.by], marker.kind, &marker.service, environment);
        self.repeated.get_or_insert_with(|| why.clone());
        Some(why)
    }

    /// Creates the verdict on an update without a marker.
    pub fn without(update: usize, outcome: Outcome) -> Self {
        Self {
            update,
            by: None,
            outcome,
            markers: Vec::new(),
            missing: None,
            repeated: None,
            steps: Vec::new(),
            printed: Vec::new(),
            replies: Vec::new(),
        }
    }
}
