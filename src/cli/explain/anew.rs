//! The decision once more, on the repository itself, with every layer heard.

use std::path::PathBuf;

use serde::Serialize;

use super::{scripts::Scripts, story::Story};
use crate::{
    config::Config,
    decide::{Budget, Decider, Verdict},
    policy::{Function, Level, Step},
    push::{GitDir, Push, RefName, Repository, Source, Update},
    state::Remembered,
};

/// What today's policy says of the update.
pub(super) struct Anew {
    /// Today's scripts.
    pub scripts: Scripts,
    /// Whether they are those that decided it, `None` if the journal does not tell which those were.
    pub is_same_policy: Option<bool>,
    /// The verdict, with what each layer said.
    pub verdict: Verdict,
}

/// What one layer said, in the form for programs.
#[derive(Serialize)]
pub(super) struct ToldStep {
    pub layer: Level,
    pub function: Function,
    pub by: String,
    /// The line of the script.
    pub source: Option<String>,
    /// Which of the update's markers it is about, counted from 0.
    pub marker: Option<usize>,
    pub said: String,
}

/// Decides the update again. The error says why that cannot be.
pub(super) fn decide(
    config: &Config,
    memory: &Remembered,
    story: &Story,
    git_dir: Option<GitDir>,
) -> Result<Anew, String> {
    let decision = &story.hit.decision;
    let known = story.push.as_ref();
    let git_dir = git_dir.or_else(|| known.and_then(|push| Some(push.git_dir.clone()?.into_owned())));
    let git_dir = git_dir.ok_or("the journal does not say where the repository is; name its path instead")?;
    if !git_dir.as_path().is_dir() {
        return Err(format!("`{}` is not there, or may not be read", git_dir.as_path().display()));
    }
    let source = match known {
        Some(push) => push.source(git_dir),
        None => Source::unknown(git_dir, Repository::of_full_name(&decision.repository)),
    };
    let update = RefName::new(decision.ref_name.as_bytes())
        .and_then(|name| Update::new(name, decision.old_id, decision.new_id))
        .ok_or("its ref cannot be written as text")?;
    let captured = known.map_or(story.hit.time, |push| push.captured);
    let push = Push::new(decision.push, captured, source, vec![update]);
    let hook_page = known.and_then(|push| push.hook_page.as_deref()).map(PathBuf::from);
    let decider = Decider::new(config, push, hook_page, memory).traced();
    let mut decided = decider.decide(0..1, Budget::Update);
    let verdict = decided.verdicts.pop().ok_or("it was not decided")?;
    let scripts = decider.policy().map(Scripts::of).unwrap_or_default();
    let is_same_policy = story.scripts().map(|then| then == scripts);
    Ok(Anew { scripts, is_same_policy, verdict })
}

impl Anew {
    /// Returns what each layer said, with the line of the script that said it.
    pub fn steps(&self) -> impl Iterator<Item = ToldStep> + '_ {
        self.verdict.steps.iter().map(|step| ToldStep {
            layer: step.level,
            function: step.function,
            by: step.by.to_string(),
            source: self.source(step),
            marker: step.marker,
            said: step.said.to_string(),
        })
    }

    fn source(&self, step: &Step) -> Option<String> {
        if !step.said.has_line() {
            return None;
        }
        self.scripts.quote(&step.by.to_string())
    }

    /// Returns whether the outcome and the markers are those of the journal.
    pub fn is_same_outcome(&self, story: &Story) -> bool {
        let decision = &story.hit.decision;
        let outcome = &self.verdict.outcome;
        let markers = self.verdict.markers.iter().map(|made| made.marker.id);
        outcome.as_str() == decision.outcome.as_str()
            && outcome.why() == &*decision.why
            && markers.eq(story.markers())
    }
}
