//! Counts the updates without a marker, grouped by the reason.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;

use super::terminal::Terminal;

/// Maximum number of reasons that are counted separately, and of those that are listed.
const MAX_REASONS: usize = 1000;
const MAX_TOLD: usize = 20;

/// The outcome of an update without a marker. Failures sort first, because they need fixing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    Failed,
    Refused,
    Skipped,
}

/// The reason why an update has no marker.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct NoMarkerReason {
    how: How,
    why: String,
    by: String,
}

/// Number of updates with a reason, and the first of them.
struct ReasonCount {
    times: usize,
    first: String,
}

/// The reasons that were found, each with its count.
#[derive(Default)]
pub(super) struct NoMarkerReasons {
    counts: BTreeMap<NoMarkerReason, ReasonCount>,
    /// Number of updates whose reason was not kept, because there were too many.
    others: usize,
}

/// A reason as JSON.
#[derive(Serialize)]
pub(super) struct ReasonJson<'a> {
    outcome: How,
    why: &'a str,
    by: Option<&'a str>,
    updates: usize,
}

impl NoMarkerReasons {
    /// Counts an update. `why` and `by` are printable.
    pub fn add(&mut self, how: How, why: &str, by: &str, update: &str) {
        let reason = NoMarkerReason { how, why: why.into(), by: by.into() };
        if let Some(seen) = self.counts.get_mut(&reason) {
            seen.times += 1;
        } else if self.counts.len() < MAX_REASONS {
            self.counts.insert(reason, ReasonCount { times: 1, first: update.into() });
        } else {
            self.others += 1;
        }
    }

    /// Returns the reasons, equal outcomes together and the most common reason first.
    fn sorted(&self) -> Vec<(&NoMarkerReason, &ReasonCount)> {
        let mut sorted: Vec<_> = self.counts.iter().collect();
        sorted.sort_by_key(|(reason, seen)| (reason.how, Reverse(seen.times)));
        sorted
    }

    /// Returns the most common reasons for JSON.
    pub fn as_json(&self) -> Vec<ReasonJson<'_>> {
        self.sorted()
            .into_iter()
            .map(|(reason, seen)| ReasonJson {
                outcome: reason.how,
                why: &reason.why,
                by: Some(&*reason.by).filter(|by| !by.is_empty()),
                updates: seen.times,
            })
            .collect()
    }

    /// Prints the most common reasons below the number of updates with each outcome, and the number of
    /// the others. `verbose` is the option that lists each.
    pub fn say(
        &self,
        terminal: &Terminal,
        total: impl Fn(How) -> usize,
        verbose: Option<&str>,
    ) -> anyhow::Result<()> {
        let told = self.sorted();
        let mut last = None;
        for (reason, seen) in told.iter().take(MAX_TOLD) {
            if last.replace(reason.how) != Some(reason.how) {
                terminal.say(format_args!("{} {}", total(reason.how), reason.how.as_str()))?;
            }
            terminal.say(seen.line(reason))?;
        }
        let untold =
            told[told.len().min(MAX_TOLD)..].iter().map(|(_, seen)| seen.times).sum::<usize>() + self.others;
        if untold > 0 {
            let more = verbose.map(|option| format!("; {option} lists each")).unwrap_or_default();
            terminal.say(format_args!("{untold:>6}  for other reasons{more}"))?;
        }
        Ok(())
    }
}

impl How {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Skipped => "skipped",
        }
    }
}

impl ReasonCount {
    fn line(&self, reason: &NoMarkerReason) -> String {
        let why = if reason.why.is_empty() { "no reason given" } else { &reason.why };
        let by = if reason.by.is_empty() { String::new() } else { format!(" ({})", reason.by) };
        let first =
            if reason.how == How::Skipped { String::new() } else { format!(", first {}", self.first) };
        format!("{:>6}  {why}{by}{first}", self.times)
    }
}
