//! What a policy would have marked, and why: a table of markers, then everything else by its reason.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::table::Table;
use crate::{
    cli::{Ending, place::below, terminal::Terminal},
    decide::{Made, Outcome, Verdict},
    facts::{History, Past},
    marker::Marker,
    policy::Kind,
    push::{ObjectId, RefKind, Repository},
    text,
    time::Timestamp,
};

/// How many reasons are told apart, and how many of them are told.
const MAX_REASONS: usize = 1000;
const MAX_TOLD: usize = 20;

/// What history cannot say, and what a policy gets instead.
const UNKNOWN: &str = "\
history does not tell who pushed, how, and with which options: `pusher` is `()`, `transport` is \"local\",
`options` is empty. Nor does it tell which commits came in together (each is tried alone), what was deleted or
rewound, and when a push was made (the time is the commit's or the tagger's)";

/// Everything that became of the pushes, as far as it is told.
pub(super) struct Account<'a> {
    json: bool,
    terminal: &'a Terminal,
    scripts: Option<&'a Path>,
    table: Table<8>,
    tally: Tally,
    reasons: BTreeMap<Reason, Seen>,
    /// How many pushes had a reason that is told by nobody.
    others: usize,
}

/// How many pushes ended how.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    pushes: usize,
    marked: usize,
    skipped: usize,
    refused: usize,
    failed: usize,
    markers: usize,
    kinds: BTreeMap<&'static str, usize>,
}

/// Why a push has no marker. Failures come first: somebody has to do something about them.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reason {
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

/// How often a reason was given, and for what first.
struct Seen {
    times: usize,
    first: String,
}

/// A push of the past in the form for programs.
#[derive(Serialize)]
struct Told<'a> {
    time: Timestamp,
    #[serde(rename = "ref")]
    ref_name: String,
    old_id: ObjectId,
    new_id: ObjectId,
    outcome: &'static str,
    why: &'a str,
    by: Option<String>,
    markers: Vec<ToldMarker<'a>>,
}

#[derive(Serialize)]
pub(super) struct ToldMarker<'a> {
    by: String,
    #[serde(flatten)]
    marker: &'a Marker,
}

impl<'a> ToldMarker<'a> {
    pub fn of(made: &'a Made) -> Self {
        Self { by: made.by.to_string(), marker: &made.marker }
    }
}

impl<'a> Account<'a> {
    pub fn new(json: bool, terminal: &'a Terminal, scripts: Option<&'a Path>) -> Self {
        let heads = ["time", "update", "kind", "service", "version", "environment", "by", "title"];
        Self {
            json,
            terminal,
            scripts,
            table: Table::new(heads),
            tally: Tally::default(),
            reasons: BTreeMap::new(),
            others: 0,
        }
    }

    /// Takes what the policy said of a push.
    pub fn add(&mut self, past: &Past, verdict: &Verdict) -> anyhow::Result<()> {
        self.tally.add(verdict);
        if self.json {
            self.terminal.answer(serde_json::to_string(&Told::of(past, verdict))?)?;
            return Ok(());
        }
        let (time, update) = (when(past), short(past));
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
            Outcome::Failed(why) => (How::Failed, why),
            Outcome::Refused(why) => (How::Refused, why),
            Outcome::Skipped(why) => (How::Skipped, why),
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
        let reason = Reason { how, why, by };
        if let Some(seen) = self.reasons.get_mut(&reason) {
            seen.times += 1;
        } else if self.reasons.len() < MAX_REASONS {
            self.reasons.insert(reason, Seen { times: 1, first: update });
        } else {
            self.others += 1;
        }
        Ok(())
    }

    /// Tells the whole, and returns whether a person should look.
    pub fn end(self, repository: &Repository, history: &History) -> anyhow::Result<Ending> {
        let ending = if self.tally.failed == 0 { Ending::Done } else { Ending::Found };
        if self.json {
            let summary = serde_json::json!({ "repository": repository.full_name(), "summary": self.tally });
            self.terminal.answer(summary)?;
            return Ok(ending);
        }
        let mut lines = self.table.lines();
        if !self.table.is_empty() {
            let heads = lines.next().unwrap_or_default();
            self.terminal.answer(self.terminal.bold(&heads))?;
            lines.try_for_each(|line| self.terminal.answer(line))?;
            self.terminal.say("")?;
        }
        self.terminal.say(extent(repository, history))?;
        self.terminal.say(self.tally.marked())?;
        let mut told: Vec<_> = self.reasons.iter().collect();
        // The commonest first, of those that ended alike.
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
        self.terminal.say(format_args!("\n{UNKNOWN}"))?;
        Ok(ending)
    }
}

impl Tally {
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

impl Seen {
    fn line(&self, reason: &Reason) -> String {
        let why = if reason.why.is_empty() { "no reason given" } else { &reason.why };
        let by = if reason.by.is_empty() { String::new() } else { format!(" ({})", reason.by) };
        let first =
            if reason.how == How::Skipped { String::new() } else { format!(", first {}", self.first) };
        format!("{:>6}  {why}{by}{first}", self.times)
    }
}

impl<'a> Told<'a> {
    fn of(past: &Past, verdict: &'a Verdict) -> Self {
        Self {
            time: past.time,
            ref_name: past.update.ref_name().to_text(),
            old_id: past.update.raw_old_id(),
            new_id: past.update.raw_new_id(),
            outcome: verdict.outcome.as_str(),
            why: verdict.outcome.why(),
            by: verdict.by.as_ref().map(ToString::to_string),
            markers: verdict.markers.iter().map(ToldMarker::of).collect(),
        }
    }
}

/// Returns which pushes were tried.
pub(super) fn extent(repository: &Repository, history: &History) -> String {
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
        extent.push_str("; older ones are tried with --last N or --all");
    }
    if history.is_shallow {
        extent.push_str("; the clone is shallow, so older commits are not there");
    }
    extent
}

/// Returns when a push was made, as far as anybody knows.
pub(super) fn when(past: &Past) -> String {
    past.time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Returns what a person calls an update: a tag by its name, a commit by its id.
pub(super) fn short(past: &Past) -> String {
    match past.update.ref_name().kind() {
        RefKind::Tag(tag) => text::line(tag),
        RefKind::Branch(_) | RefKind::Other => past.update.raw_new_id().short(),
    }
}

/// Returns a version; one that is a commit's id is as short as elsewhere.
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
