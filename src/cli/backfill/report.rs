//! The summary of `backfill`: the markers that were made, and the ref changes without one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::known::Passed;
use crate::{
    cli::{
        Completion,
        place::below,
        reasons::{How, NoMarkerReasons, ReasonJson},
        terminal::Terminal,
        trial,
    },
    config::Config,
    facts::{History, Past},
    marker::Kind,
    proposal,
    push::RepositoryIdentity,
    state::journal::{DecisionRecord, RecordedOutcome},
    sys::{signals, time::Timestamp},
    text,
};

/// The result of a run so far.
#[derive(Default)]
pub(super) struct BackfillReport {
    /// Number of ref changes that were looked at.
    pub done: usize,
    /// Number of those that this run decided.
    decided: usize,
    /// Number of those that this run captured, but for which no decision was recorded.
    lost: usize,
    markers: usize,
    kinds: BTreeMap<Kind, usize>,
    outcomes: BTreeMap<How, usize>,
    reasons: NoMarkerReasons,
    /// Times of the oldest and of the newest marker.
    span: Option<(Timestamp, Timestamp)>,
    /// The error that kept a batch of ref changes from being decided and ended the run.
    pub postponed: Option<String>,
}

/// The summary as JSON.
#[derive(Serialize)]
struct SummaryJson<'a> {
    repository: String,
    branch: String,
    updates: usize,
    done: usize,
    decided: usize,
    markers: usize,
    kinds: BTreeMap<&'static str, usize>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    without_marker: Vec<ReasonJson<'a>>,
    stopped: Option<String>,
}

impl BackfillReport {
    /// Counts a ref change that is not marked.
    pub fn pass(&mut self, past: &Past, passed: Passed) {
        self.done += 1;
        self.count(How::Skipped, passed.why(), "", &trial::short(past));
    }

    /// Counts a decision of this run. Returns the number of its markers.
    pub fn add(&mut self, past: &Past, decision: &DecisionRecord<'_>, config: &Config) -> usize {
        self.done += 1;
        self.decided += 1;
        for marked in &decision.markers {
            self.markers += 1;
            *self.kinds.entry(marked.kind).or_default() += 1;
            let (from, to) = self.span.unwrap_or((past.time, past.time));
            self.span = Some((from.min(past.time), to.max(past.time)));
        }
        let how = match decision.outcome {
            RecordedOutcome::Marked => return decision.markers.len(),
            RecordedOutcome::Skipped => How::Skipped,
            RecordedOutcome::Refused => How::Refused,
            RecordedOutcome::Failed => How::Failed,
        };
        let scripts = config.scripts.as_deref();
        let by = decision.by.as_deref().map(|by| text::line(below(by, scripts))).unwrap_or_default();
        let why = text::line(below(&decision.why, scripts));
        self.count(how, &why, &by, &trial::short(past));
        decision.markers.len()
    }

    /// Counts ref changes that were captured, but for which no decision was recorded.
    pub fn lose(&mut self, count: usize) {
        self.done += count;
        self.lost += count;
    }

    fn count(&mut self, how: How, why: &str, by: &str, update: &str) {
        *self.outcomes.entry(how).or_default() += 1;
        self.reasons.add(how, why, by, update);
    }

    /// Returns the number of markers.
    pub fn markers(&self) -> usize {
        self.markers
    }

    /// Prints the summary. The ending is `Found` if the run has not reached its end, or if the policy
    /// failed.
    pub fn end(
        &self,
        is_json: bool,
        terminal: &Terminal,
        repository: &RepositoryIdentity,
        history: &History,
    ) -> anyhow::Result<Completion> {
        let stopped = match &self.postponed {
            Some(why) => Some(text::line(why)),
            None if self.done == history.len() => None,
            None => signals::stop().map(|signal| signals::name(signal).to_string()),
        };
        let total = |how: How| self.outcomes.get(&how).copied().unwrap_or_default();
        let is_clear = stopped.is_none() && total(How::Failed) == 0 && self.lost == 0;
        let ending = if is_clear { Completion::Done } else { Completion::Found };
        if is_json {
            let kinds = self.kinds.iter().map(|(kind, count)| (kind.as_str(), *count));
            terminal.json(serde_json::to_string(&SummaryJson {
                repository: repository.full_name(),
                branch: text::line(&history.branch),
                updates: history.len(),
                done: self.done,
                decided: self.decided,
                markers: self.markers,
                kinds: kinds.collect(),
                from: self.span.map(|(from, _)| from),
                to: self.span.map(|(_, to)| to),
                without_marker: self.reasons.as_json(),
                stopped,
            })?)?;
            return Ok(ending);
        }
        terminal.say(trial::extent(repository, history))?;
        terminal.say(self.marked())?;
        self.reasons.say(terminal, total, None)?;
        let status = proposal::command("status");
        if self.lost > 0 {
            let lost = text::count(self.lost, "ref change");
            terminal.say(format_args!("{lost} without a record of the decision; `{status}` says why"))?;
        }
        if let Some(why) = stopped {
            let left = history.len() - self.done;
            terminal.say(format_args!("\nstopped: {why}"))?;
            terminal.say(format_args!(
                "{left} of the commits and tags are left; run the same command again to go on"
            ))?;
        } else if self.markers > 0 {
            let log =
                proposal::command(&format!("log --repo {} --follow", text::line(repository.full_name())));
            terminal.say(format_args!("\n`{status}` shows what waits, `{log}` the delivery"))?;
        }
        Ok(ending)
    }

    fn marked(&self) -> String {
        let Some((from, to)) = self.span else { return "no new markers".into() };
        let kinds: Vec<_> =
            self.kinds.iter().map(|(kind, count)| format!("{count} {}", kind.as_str())).collect();
        let day = |time: Timestamp| time.strftime("%Y-%m-%d");
        format!(
            "{}: {}, from {} to {}",
            text::count(self.markers, "new marker"),
            kinds.join(", "),
            day(from),
            day(to)
        )
    }
}
