//! The report of `try`: a table of the markers, then the pushes without a marker, grouped by
//! reason.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::table::Table;
use crate::{
    cli::{
        Completion,
        place::below,
        reasons::{How, NoMarkerReasons},
        terminal::Terminal,
    },
    decide::{Made, Outcome, Verdict},
    facts::{History, Past},
    marker::{Kind, Marker},
    push::{ObjectId, RefKind, RepositoryIdentity, Source},
    sys::time::Timestamp,
    text,
};

/// Maximum length of the line about a marker that was asked for twice, in characters.
const MAX_REPEATED: usize = 1024;

/// Maximum number of rows of the table, which is printed at the end. A history can have a million.
const MAX_ROWS: usize = 50_000;

/// Maximum number of lines from scripts that are shown.
const MAX_PRINTED: usize = 100;

/// Note on the facts that history does not contain, and the values that a policy gets instead.
const UNKNOWN: &str = "\
history does not record who pushed, how, or with which options: `pusher` is {pusher}, `transport` is \"local\",
`options` is empty. Nor does it record which commits were pushed together (each is taken on its own), what was
deleted or rewound, or when a push was made (the time is the commit's or the tag's)";

/// The results of all pushes.
pub(in crate::cli) struct TrialReport<'a> {
    json: bool,
    terminal: &'a Terminal,
    scripts: Option<&'a Path>,
    table: Table<8>,
    /// Number of rows that were not kept.
    untabled: usize,
    tally: OutcomeCounts,
    reasons: NoMarkerReasons,
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
            untabled: 0,
            tally: OutcomeCounts::default(),
            reasons: NoMarkerReasons::default(),
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
            self.row([
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
            self.row([&time, &update, how.as_str(), "", "", "", &by, &why]);
        }
        self.reasons.add(how, &why, &by, &update);
        Ok(())
    }

    fn row(&mut self, cells: [&str; 8]) {
        match self.table.len() {
            MAX_ROWS.. => self.untabled += 1,
            _ => self.table.add(cells),
        }
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
            if self.untabled > 0 {
                self.terminal.say(format_args!("and {} more; --json prints all", self.untabled))?;
            }
            self.terminal.say("")?;
        }
        self.terminal.say(extent(repository, history))?;
        self.terminal.say(self.tally.marked())?;
        self.reasons.say(self.terminal, |how| self.tally.of(how), Some("-v"))?;
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
pub(in crate::cli) fn extent(repository: &RepositoryIdentity, history: &History) -> String {
    let tags = history.tag_count();
    let day =
        |past: Option<Past>| past.map(|past| past.time.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    let mut extent = format!(
        "{}: {} of {} and {}, from {} to {}",
        text::line(repository.full_name()),
        text::count(history.len() - tags, "commit"),
        text::line(&history.branch),
        text::count(tags, "tag"),
        day(history.first()),
        day(history.last()),
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
pub(in crate::cli) fn short(past: &Past) -> String {
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
