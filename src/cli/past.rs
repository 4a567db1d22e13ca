//! Plays a policy over the history of a repository, as if each ref change had been pushed alone. `try`
//! and `backfill --dry-run` show what it says.

use std::{
    io,
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use anyhow::Context as _;

use super::{
    progress::{HowFar, while_working},
    terminal::Terminal,
};
use crate::{
    config::Config,
    decide::{Budget, Decider, DeploymentHistory, Verdict},
    facts::{History, Past, Repository},
    policy::ScriptLocations,
    push::{Push, Source},
    text,
};

/// A repository's history, and the settings with which it is decided.
pub(super) struct PastPushes<'a> {
    pub config: &'a Config,
    pub repository: Rc<Repository>,
    pub source: Source,
    pub history: History,
}

impl PastPushes<'_> {
    /// Calls `judge` for every past push, and shows the progress on a terminal unless the output is
    /// JSON. `judge` returns the number of markers or changes that it found.
    pub fn play(
        &self,
        is_json: bool,
        terminal: &Terminal,
        mut judge: impl FnMut(&Past) -> anyhow::Result<usize>,
    ) -> anyhow::Result<()> {
        let (done, found) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let pushes = self.history.len();
        let how_far = || HowFar {
            done: done.load(Relaxed),
            of: pushes,
            what: format!("pushes tried, {}", text::count(found.load(Relaxed), "marker")),
        };
        let mut work = || {
            for past in self.history.iter() {
                found.fetch_add(judge(&past)?, Relaxed);
                done.fetch_add(1, Relaxed);
            }
            Ok(())
        };
        if !is_json && terminal.is_watched() { while_working(how_far, work) } else { work() }
    }

    /// Compiles the policy, and returns the decider of these pushes.
    pub fn decider<'d>(
        &'d self,
        scripts: &ScriptLocations,
        memory: &'d dyn DeploymentHistory,
    ) -> anyhow::Result<Decider<'d>> {
        let first = self.history.first().context("there is nothing to try")?;
        Ok(Decider::over(self.config, self.repository.clone(), scripts, self.push(first), memory)?
            .listening())
    }

    /// Decides one of the pushes.
    pub fn judge(&self, decider: &mut Decider<'_>, past: &Past) -> io::Result<Verdict> {
        decider.turn_to(self.push(past.clone()));
        let verdict = decider.decide(0, Budget::Update);
        verdict.ok_or_else(|| io::Error::other("a push of one update was not decided"))
    }

    /// Returns a push that could have made this ref change.
    pub fn push(&self, past: Past) -> Push {
        Push::of_past(&self.source, past.time, past.update)
    }
}
