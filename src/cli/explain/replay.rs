//! Decides an update again with today's policy and the repository itself, and records what each
//! layer says.

use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;

use super::{history::Story, scripts::LoadedScripts};
use crate::{
    config::Config,
    decide::{Budget, Decider, Verdict},
    policy::{Level, PolicyFunction, TraceStep},
    push::{GitDir, Push, RefName, RepositoryIdentity, Source, Update},
    state::{DeploymentStore, State},
    sys::time,
    text,
};

/// Today's decision for the update.
pub(super) struct Replay {
    /// The scripts of today's policy.
    pub scripts: LoadedScripts,
    /// True if these scripts made the recorded decision, or `None` if the journal has no record of
    /// that policy.
    pub is_same_policy: Option<bool>,
    /// The verdict, with what each layer said.
    pub verdict: Verdict,
}

/// A step of one layer, as JSON.
#[derive(Serialize)]
pub(super) struct ReplayedStep {
    pub layer: Level,
    pub function: PolicyFunction,
    pub by: String,
    /// Line of the script.
    pub source: Option<String>,
    /// Index of the marker that the step is about, counted from 0.
    pub marker: Option<usize>,
    pub said: String,
}

/// The reason why the update cannot be decided again.
#[derive(Debug, Error)]
pub(super) enum ReplayError {
    #[error("the journal does not record where the repository is; give its path instead of its name")]
    UnknownDirectory,
    #[error("`{}` does not exist or cannot be read", text::path(.0))]
    NoDirectory(PathBuf),
    #[error("the journal has no valid ref name or object IDs for it")]
    InvalidUpdate,
    #[error("the policy returned no decision")]
    NoDecision,
}

/// Decides the update again.
///
/// # Errors
/// If the update cannot be decided.
pub(super) fn decide(
    config: &Config,
    state: &State,
    memory: &DeploymentStore,
    story: &Story,
    git_dir: Option<GitDir>,
) -> Result<Replay, ReplayError> {
    let decision = &story.hit.decision;
    let known = story.push.as_ref();
    let git_dir = git_dir.or_else(|| known.and_then(|push| Some(push.git_dir.clone()?.into_owned())));
    let git_dir = git_dir.ok_or(ReplayError::UnknownDirectory)?;
    if !git_dir.as_path().is_dir() {
        return Err(ReplayError::NoDirectory(git_dir.as_path().into()));
    }
    let source = match known {
        Some(push) => push.source(git_dir),
        None => Source::unknown(git_dir, RepositoryIdentity::of_full_name(&decision.repository)),
    };
    let update = RefName::new(decision.ref_name.as_bytes())
        .and_then(|name| Update::new(name, decision.old_id, decision.new_id))
        .ok_or(ReplayError::InvalidUpdate)?;
    let captured = known.map_or(story.hit.time, |push| push.captured);
    // Deployments depend on the other updates of the push.
    let at = story.updates.iter().position(|known| *known == update);
    let (index, updates) = at.map_or_else(|| (0, vec![update]), |at| (at, story.updates.clone()));
    let access = state.access().for_push(config, &source, time::now());
    let push = Push::new(decision.push, captured, source, updates).with_access(access);
    let hook_page = known.and_then(|push| push.hook_page.as_deref()).map(PathBuf::from);
    let decider = Decider::new(config, push, hook_page, memory).traced();
    let verdict = decider.decide(index, Budget::Update).ok_or(ReplayError::NoDecision)?;
    let scripts = decider.policy().map(LoadedScripts::of).unwrap_or_default();
    let is_same_policy = story.scripts().map(|then| then == scripts);
    Ok(Replay { scripts, is_same_policy, verdict })
}

impl Replay {
    /// Returns the steps of all layers, each with its line of the script.
    pub fn steps(&self) -> impl Iterator<Item = ReplayedStep> + '_ {
        self.verdict.steps.iter().map(|step| ReplayedStep {
            layer: step.level,
            function: step.function,
            by: step.by.to_string(),
            source: self.source(step),
            marker: step.marker,
            said: step.said.to_string(),
        })
    }

    fn source(&self, step: &TraceStep) -> Option<String> {
        if !step.said.has_line() {
            return None;
        }
        self.scripts.quote(&step.by.to_string())
    }

    /// Returns true if the outcome and the markers equal those in the journal.
    pub fn is_same_outcome(&self, story: &Story) -> bool {
        let decision = &story.hit.decision;
        let outcome = &self.verdict.outcome;
        let markers = self.verdict.markers.iter().map(|made| made.marker.id);
        outcome.as_str() == decision.outcome.as_str()
            && outcome.why() == &*decision.why
            && markers.eq(story.markers())
    }
}
