//! The outcome of a mark, as text and as JSON.

use serde::Serialize;

use super::{MarkArgs, marking::DecidedMark};
use crate::{
    cli::{Completion, place::below, reply, terminal::Terminal},
    config::Config,
    decide::Outcome,
    push::{ObjectId, PushId},
    settle::LastDecision,
    state::journal::Marked,
    text,
};

/// The outcome as JSON.
#[derive(Serialize)]
struct MarkJson<'a> {
    dry_run: bool,
    /// The push in the journal. `None` on a dry run, which is not in the journal.
    push: Option<PushId>,
    repository: String,
    r#ref: String,
    commit: ObjectId,
    outcome: &'static str,
    why: Option<&'a str>,
    by: Option<String>,
    missing: Option<&'a str>,
    markers: Vec<Marked<'a>>,
}

impl DecidedMark {
    /// Prints the outcome.
    pub fn report(
        &self,
        args: &MarkArgs,
        config: &Config,
        terminal: &Terminal,
    ) -> anyhow::Result<Completion> {
        if args.json {
            terminal.json(serde_json::to_string_pretty(&self.as_json(args.dry_run))?)?;
        } else {
            let is_marker = if args.dry_run { "would mark: " } else { "" };
            for line in reply::of_markers(&config.reply, &self.settled) {
                terminal.row(format_args!("{is_marker}{line}"))?;
            }
            self.explain(args.dry_run, config, terminal);
        }
        let is_marked = matches!(self.decision(), Some(LastDecision { outcome: Outcome::Marked, .. }))
            && self.settled.marked > 0;
        Ok(if is_marked { Completion::Done } else { Completion::Found })
    }

    /// Returns the decision, unless the system kept the mark from being decided.
    fn decision(&self) -> Option<&LastDecision> {
        self.settled.last.as_ref().filter(|_| !self.settled.is_left)
    }

    fn as_json(&self, is_dry_run: bool) -> MarkJson<'_> {
        let decision = self.decision();
        let why = match decision {
            Some(decision) => Some(decision.outcome.why()),
            None => self.settled.postponed.as_deref(),
        };
        let ref_name = self.push.updates().first().map(|update| update.ref_name().to_text());
        MarkJson {
            dry_run: is_dry_run,
            push: Some(self.push.id()).filter(|_| !is_dry_run),
            repository: self.push.source().repository.full_name(),
            r#ref: ref_name.unwrap_or_default(),
            commit: self.commit,
            outcome: decision.map_or("undecided", |decision| decision.outcome.as_str()),
            why: why.filter(|why| !why.is_empty()),
            by: decision.and_then(|decision| Some(decision.by.as_ref()?.to_string())),
            missing: decision.and_then(|decision| decision.missing.as_deref()),
            markers: self
                .settled
                .markers
                .iter()
                .map(|made| Marked::of(&made.marker, made.by.to_string()))
                .collect(),
        }
    }

    /// Prints why something is not marked, and by which rule.
    fn explain(&self, is_dry_run: bool, config: &Config, terminal: &Terminal) {
        let Some(LastDecision { outcome, by, missing }) = self.decision() else {
            let why = self.settled.postponed.as_deref().unwrap_or("the policy needs more time");
            return terminal.message(format_args!("the mark waits in the inbox: {}", text::line(why)));
        };
        let scripts = config.scripts.as_deref();
        let why = text::line(below(outcome.why(), scripts));
        let by = by.as_ref().map(|by| format!(" ({})", text::line(below(&by.to_string(), scripts))));
        let by = by.unwrap_or_default();
        match outcome {
            Outcome::Marked if self.settled.marked > 0 => {}
            Outcome::Marked => terminal.message("not marked: the policy asked for no marker"),
            Outcome::Skipped(_) if why.is_empty() => {
                terminal.message(format_args!("not marked: the policy asked for no marker{by}"));
            }
            Outcome::Skipped(_) => terminal.message(format_args!("not marked: {why}{by}")),
            Outcome::Refused(_) => terminal.message(format_args!("refused: {why}{by}")),
            Outcome::Failed(_) if is_dry_run => {
                terminal.message(format_args!("the policy failed: {why}"));
            }
            Outcome::Failed(_) => {
                terminal
                    .message(format_args!("the policy failed: {why}; the marker follows when it is fixed"));
            }
        }
        if let Some(missing) = missing {
            terminal.message(format_args!("note: {}", text::line(missing)));
        }
    }
}
