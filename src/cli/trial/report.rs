//! The report of `try`: a table of the markers, then the pushes without a marker, grouped by
//! reason.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::table::Table;
use crate::{
    cli::{Completion, place::below, terminal::Terminal},
    decide::{Made, Outcome, Verdict},
    facts::{History, Past},
    marker::{Kind, Marker},
    push::{ObjectId, RefKind, RepositoryIdentity, Source},
    sys::time::Timestamp,
    text,
};

/// Maximum length of the line about a marker that was asked for twice, in characters.
const MAX_REPEATED: usize = 1024;

/// Maximum number of reasons that are counted separately, and of those that are listed.
const MAX_REASONS: usize = 1000;
const MAX_TOLD: usize = 20;

/// Maximum number of lines from scripts that are shown.
const MAX_PRINTED: usize = 100;

/// Note on the facts that history does not contain, and the values that a policy gets instead.
const UNKNOWN: &str = "\
history does not record who pushed, how, or with which options: `pusher` is {pusher}, `transport` is \"local\",
`options` is empty. Nor does it record which commits were pushed together (each is tried on its own), what was
deleted or rewound, or when a push was made (the time is the commit's or the tag's)";

/// The results of all pushes.
pub(super) struct TrialReport<'a> {
    json: bool,
    terminal: &'a Terminal,
    scripts: Option<&'a Path>,
    table: Table<8>,
    tally: OutcomeCounts,
    reasons: BTreeMap<NoMarkerReason, ReasonCount>,
    /// Number of pushes whose reason was not kept, because there were too many.
    others: usize,
    /// The first marker that was asked for twice, with its update.
    repeated: Option<String>,
    /// Lines that scripts printed, each with its update, and the number of lines that were not kept.
    printed: (Vec<String>, usize),
}

/// Number of pushes with each outcome.
#[derive(Debug, Default, Serialize)]
pub(super) struct OutcomeCounts {
    pushes: usize,
    marked: usize,
    skipped: usize,
    refused: usize,
    failed: usize,
    markers: usize,
    kinds: BTreeMap<&'static str, usize>,
}

/// The reason why a push has no marker. Failures sort first, because they need fixing.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct NoMarkerReason {
    how: How,
    why: String,
    by: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Failed,
    Refused,
    Skipped,
}

/// Number of pushes with a reason, and the first of them.
struct ReasonCount {
    times: usize,
    first: String,
}

/// The result of one push as JSON.
#[derive(Serialize)]
struct PushResultJson<'a> {
    time: Timestamp,
    #[serde(rename = "ref")]
    ref_name: String,
    old_id: ObjectId,
    new_id: ObjectId,
    outcome: &'static str,
    why: &'a str,
    by: Option<String>,
    markers: Vec<ToldMarker>,
    /// Lines that scripts printed.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    printed: &'a [String],
}

#[derive(Serialize)]
pub(super) struct ToldMarker {
    by: String,
    #[serde(flatten)]
    marker: Marker,
}

impl ToldMarker {
    pub fn of(made: &Made) -> Self {
        let mut marker = made.marker.clone();
        marker.attributes = marker.all_attributes();
        Self { by: made.by.to_string(), marker }
    }
}

impl<'a> TrialReport<'a> {
    pub fn new(json: bool, terminal: &'a Terminal, scripts: Option<&'a Path>) -> Self {
        let heads = ["time", "update", "kind", "service", "version", "environment", "by", "title"];
        Self {
            json,
            terminal,
            scripts,
            table: Table::new(heads),
            tally: OutcomeCounts::default(),
            reasons: BTreeMap::new(),
            others: 0,
            repeated: None,
            printed: (Vec::new(), 0),
        }
    }

    /// Adds the verdict on a push.
    pub fn add(&mut self, past: &Past, verdict: &Verdict) -> anyhow::Result<()> {
        self.tally.add(verdict);
        if self.json {
            self.terminal.json(serde_json::to_string(&PushResultJson::of(past, verdict))?)?;
            return Ok(());
        }
        let (time, update) = (when(past), short(past));
        if let Some(why) = &verdict.repeated {
            self.repeated.get_or_insert_with(|| format!("{update}: {why}"));
        }
        for line in &verdict.printed {
            match self.printed.0.len() {
                MAX_PRINTED.. => self.printed.1 += 1,
                _ => self.printed.0.push(format!("{update}  {}", below(line, self.scripts))),
            }
        }
        for made in &verdict.markers {
            let marker = &made.marker;
            self.table.add([
                &time,
                &update,
                marker.kind.as_str(),
                &marker.service,
                &version(&marker.version, past),
                marker.environment.as_deref().unwrap_or_default(),
                below(&made.by.to_string(), self.scripts),
                &marker.title,
            ]);
        }
        let (how, why) = match &verdict.outcome {
            Outcome::Marked => return Ok(()),
            Outcome::Failed(failure) => (How::Failed, failure.why()),
            Outcome::Refused(why) => (How::Refused, why.as_str()),
            Outcome::Skipped(why) => (How::Skipped, why.as_str()),
        };
        let by = verdict
            .by
            .as_ref()
            .map(|by| below(&by.to_string(), self.scripts).to_string())
            .unwrap_or_default();
        let why = text::line(if how == How::Failed { below(why, self.scripts) } else { why });
        if self.terminal.is_verbose() {
            self.table.add([&time, &update, how.as_str(), "", "", "", &by, &why]);
        }
        let reason = NoMarkerReason { how, why, by };
        if let Some(seen) = self.reasons.get_mut(&reason) {
            seen.times += 1;
        } else if self.reasons.len() < MAX_REASONS {
            self.reasons.insert(reason, ReasonCount { times: 1, first: update });
        } else {
            self.others += 1;
        }
        Ok(())
    }

    /// Prints the report. The ending is `Found` if the policy failed on any push.
    pub fn end(
        self,
        source: &Source,
        history: &History,
        hints: impl Iterator<Item = String>,
    ) -> anyhow::Result<Completion> {
        let repository = &source.repository;
        let ending = if self.tally.failed == 0 { Completion::Done } else { Completion::Found };
        if self.json {
            let summary = serde_json::json!({ "repository": repository.full_name(), "summary": self.tally });
            self.terminal.json(summary)?;
            return Ok(ending);
        }
        let lines = self.table.lines(self.terminal.width());
        let mut lines = lines.into_iter();
        if !self.table.is_empty() {
            let heads = lines.next().unwrap_or_default();
            self.terminal.answer(self.terminal.bold(&heads))?;
            lines.try_for_each(|line| self.terminal.answer(line))?;
            self.terminal.say("")?;
        }
        self.terminal.say(extent(repository, history))?;
        self.terminal.say(self.tally.marked())?;
        let mut told: Vec<_> = self.reasons.iter().collect();
        // Sort equal outcomes by frequency, the most common reason first.
        told.sort_by_key(|(reason, seen)| (reason.how, std::cmp::Reverse(seen.times)));
        let mut last = None;
        for (reason, seen) in told.iter().take(MAX_TOLD) {
            if last.replace(reason.how) != Some(reason.how) {
                self.terminal.say(format_args!("{} {}", self.tally.of(reason.how), reason.how.as_str()))?;
            }
            self.terminal.say(seen.line(reason))?;
        }
        let untold =
            told[told.len().min(MAX_TOLD)..].iter().map(|(_, seen)| seen.times).sum::<usize>() + self.others;
        if untold > 0 {
            self.terminal.say(format_args!("{untold:>6}  for other reasons; -v lists each"))?;
        }
        if let Some(why) = self.repeated {
            self.terminal.say(format_args!("\n{}", text::line_of(why, MAX_REPEATED)))?;
        }
        let (printed, more) = self.printed;
        if !printed.is_empty() {
            self.terminal.say("\nprinted by scripts")?;
            printed.iter().try_for_each(|line| self.terminal.say(format_args!("  {line}")))?;
        }
        if more > 0 {
            self.terminal.say(format_args!("  and {} more", text::count(more, "line")))?;
        }
        for hint in hints {
            self.terminal.say(format_args!("\n{hint}"))?;
        }
        let pusher = source.pusher.as_ref().map_or("`()`".into(), |pusher| text::line(&pusher.name));
        let unknown = UNKNOWN.replace("{pusher}", &pusher);
        let unknown = if self.terminal.width().is_some() { unknown.replace('\n', " ") } else { unknown };
        self.terminal.say(format_args!("\n{unknown}"))?;
        Ok(ending)
    }
}

impl OutcomeCounts {
    fn add(&mut self, verdict: &Verdict) {
        self.pushes += 1;
        *match verdict.outcome {
            Outcome::Marked => &mut self.marked,
            Outcome::Skipped(_) => &mut self.skipped,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Failed(_) => &mut self.failed,
        } += 1;
        self.markers += verdict.markers.len();
        for made in &verdict.markers {
            *self.kinds.entry(made.marker.kind.as_str()).or_insert(0) += 1;
        }
    }

    fn of(&self, how: How) -> usize {
        match how {
            How::Failed => self.failed,
            How::Refused => self.refused,
            How::Skipped => self.skipped,
        }
    }

    fn marked(&self) -> String {
        let kinds =
            Kind::ALL.iter().filter_map(|kind| Some((kind.as_str(), *self.kinds.get(kind.as_str())?)));
        let kinds: Vec<_> = kinds.map(|(kind, n)| format!("{n} {kind}")).collect();
        match self.markers {
            0 => "no markers".to_string(),
            n => format!("{}: {}", text::count(n, "marker"), kinds.join(", ")),
        }
    }
}

impl How {
    fn as_str(self) -> &'static str {
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

impl<'a> PushResultJson<'a> {
    fn of(past: &Past, verdict: &'a Verdict) -> Self {
        Self {
            time: past.time,
            ref_name: past.update.ref_name().to_text(),
            old_id: past.update.raw_old_id(),
            new_id: past.update.raw_new_id(),
            outcome: verdict.outcome.as_str(),
            why: verdict.repeated.as_deref().unwrap_or(verdict.outcome.why()),
            by: verdict.by.as_ref().map(ToString::to_string),
            markers: verdict.markers.iter().map(ToldMarker::of).collect(),
            printed: &verdict.printed,
        }
    }
}

/// Describes the pushes that were tried.
pub(super) fn extent(repository: &RepositoryIdentity, history: &History) -> String {
    let pushes = history.past.len();
    let is_tag = |past: &&Past| matches!(past.update.ref_name().kind(), RefKind::Tag(_));
    let tags = history.past.iter().filter(is_tag).count();
    let day =
        |past: Option<&Past>| past.map(|past| past.time.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    let mut extent = format!(
        "{}: {} of {} and {}, from {} to {}",
        text::line(repository.full_name()),
        text::count(pushes - tags, "commit"),
        text::line(&history.branch),
        text::count(tags, "tag"),
        day(history.past.first()),
        day(history.past.last()),
    );
    if history.is_cut {
        extent.push_str("; --last N or --all tries older ones");
    }
    if history.is_shallow {
        extent.push_str("; the clone is shallow, so older commits are missing");
    }
    extent
}

/// Formats the assumed time of a push.
pub(super) fn when(past: &Past) -> String {
    past.time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Returns a short name for an update: the tag's name, or the abbreviated commit ID.
pub(super) fn short(past: &Past) -> String {
    match past.update.ref_name().kind() {
        RefKind::Tag(tag) => text::line(tag),
        RefKind::Branch(_) | RefKind::Other => past.update.raw_new_id().short(),
    }
}

/// Returns a version, abbreviated if it is a commit ID.
pub(super) fn version(version: &str, past: &Past) -> String {
    if version.len() >= 40 && version.parse::<ObjectId>().is_ok() {
        return if version == past.update.raw_new_id().to_string() {
            past.update.raw_new_id().short()
        } else {
            version[..12].to_string()
        };
    }
    version.to_string()
}
