//! Compares two policies: markers that are gained, lost or changed.

use std::path::Path;

use serde::Serialize;

use super::report::{ToldMarker, extent, short, version, when};
use crate::{
    cli::{Completion, place::below, terminal::Terminal},
    decide::{Made, Outcome, Verdict},
    facts::{History, Past},
    marker::{Marker, name},
    policy::{Draft, Field, differences, shown},
    push::{ObjectId, RepositoryIdentity},
    sys::time::Timestamp,
    text,
};

/// A running comparison, which prints differences as it finds them.
pub(super) struct Comparison<'a> {
    json: bool,
    terminal: &'a Terminal,
    scripts: Option<&'a Path>,
    tally: DifferenceCounts,
}

/// Number of compared pushes, and of the differences of each kind.
#[derive(Debug, Default, Serialize)]
struct DifferenceCounts {
    pushes: usize,
    gained: usize,
    lost: usize,
    changed: usize,
    /// Number of pushes on which exactly one policy fails and no marker differs.
    failures: usize,
}

/// A difference in one marker, or in the outcome of a push.
enum MarkerDifference<'a> {
    Gained(&'a Made),
    Lost(&'a Made),
    Changed { old: &'a Made, new: &'a Made, fields: Vec<Field> },
    Failure,
}

/// A difference as JSON.
#[derive(Serialize)]
struct DifferenceJson<'a> {
    time: Timestamp,
    #[serde(rename = "ref")]
    ref_name: String,
    new_id: ObjectId,
    change: &'static str,
    old: Side<'a>,
    new: Side<'a>,
    fields: Vec<ToldField<'a>>,
}

/// The result of one of the two policies.
#[derive(Serialize)]
struct Side<'a> {
    outcome: &'static str,
    why: &'a str,
    by: Option<String>,
    marker: Option<ToldMarker>,
}

#[derive(Serialize)]
struct ToldField<'a> {
    name: &'a str,
    old: Option<&'a crate::marker::Value>,
    new: Option<&'a crate::marker::Value>,
}

impl<'a> Comparison<'a> {
    pub fn new(json: bool, terminal: &'a Terminal, scripts: Option<&'a Path>) -> Self {
        Self { json, terminal, scripts, tally: DifferenceCounts::default() }
    }

    /// Compares two verdicts on a push, the old policy's first. Returns the number of differences.
    pub fn add(&mut self, past: &Past, verdicts: &[Verdict; 2]) -> anyhow::Result<usize> {
        self.tally.pushes += 1;
        let changes = changes(verdicts);
        for change in &changes {
            *match change {
                MarkerDifference::Gained(_) => &mut self.tally.gained,
                MarkerDifference::Lost(_) => &mut self.tally.lost,
                MarkerDifference::Changed { .. } => &mut self.tally.changed,
                MarkerDifference::Failure => &mut self.tally.failures,
            } += 1;
            if self.json {
                self.terminal.json(serde_json::to_string(&DifferenceJson::of(past, change, verdicts))?)?;
            } else {
                self.tell(past, change, verdicts)?;
            }
        }
        Ok(changes.len())
    }

    fn tell(
        &self,
        past: &Past,
        change: &MarkerDifference<'_>,
        [old, new]: &[Verdict; 2],
    ) -> anyhow::Result<()> {
        let head = format!("{}  {}", when(past), short(past));
        match change {
            MarkerDifference::Gained(made) => {
                self.terminal.row(format_args!("+ {head}  {}", self.marker(made, past)))?;
                self.terminal.row(format_args!("    was {}", self.otherwise(old)))?;
            }
            MarkerDifference::Lost(made) => {
                self.terminal.row(format_args!("- {head}  {}", self.marker(made, past)))?;
                self.terminal.row(format_args!("    now {}", self.otherwise(new)))?;
            }
            MarkerDifference::Changed { new, fields, .. } => {
                self.terminal.row(format_args!("~ {head}  {}", self.marker(new, past)))?;
                for field in fields {
                    let side =
                        |value: &Option<_>| value.as_ref().map_or_else(|| "nothing".to_string(), shown);
                    let (old, new) = (side(&field.old), side(&field.new));
                    self.terminal.row(format_args!("    {}: {old} -> {new}", text::line(&field.name)))?;
                }
            }
            MarkerDifference::Failure => {
                self.terminal.row(format_args!("! {head}"))?;
                self.terminal.row(format_args!("    was {}", self.otherwise(old)))?;
                self.terminal.row(format_args!("    now {}", self.otherwise(new)))?;
            }
        }
        Ok(())
    }

    fn marker(&self, made: &Made, past: &Past) -> String {
        let marker = &made.marker;
        let environment =
            marker.environment.as_ref().map(|name| format!(" in {}", text::line(name))).unwrap_or_default();
        format!(
            "{} {} {}{environment} ({})",
            marker.kind.as_str(),
            text::line(&marker.service),
            text::line(version(&marker.version, past)),
            below(&made.by.to_string(), self.scripts)
        )
    }

    /// Describes the verdict of the policy that does not have the marker.
    fn otherwise(&self, verdict: &Verdict) -> String {
        let why = verdict.outcome.why();
        let mut said = if matches!(verdict.outcome, Outcome::Marked) {
            text::count(verdict.markers.len(), "other marker")
        } else {
            verdict.outcome.as_str().to_string()
        };
        if !why.is_empty() {
            said.push_str(&format!(": {}", text::line(below(why, self.scripts))));
        }
        if let Some(by) = &verdict.by {
            said.push_str(&format!(" ({})", below(&by.to_string(), self.scripts)));
        }
        said
    }

    /// Prints the totals. The ending is `Found` if anything differs.
    pub fn end(self, repository: &RepositoryIdentity, history: &History) -> anyhow::Result<Completion> {
        let DifferenceCounts { gained, lost, changed, failures, .. } = self.tally;
        let is_same = gained + lost + changed + failures == 0;
        if self.json {
            let summary = serde_json::json!({ "repository": repository.full_name(), "summary": self.tally });
            self.terminal.json(summary)?;
        } else if is_same {
            self.terminal.say("no differences")?;
            self.terminal.say(extent(repository, history))?;
        } else {
            self.terminal.say(format_args!(
                "\n{gained} gained (+), {lost} lost (-), {changed} changed (~), {} (!)",
                text::count(failures, "failure")
            ))?;
            self.terminal.say(extent(repository, history))?;
        }
        Ok(if is_same { Completion::Done } else { Completion::Found })
    }
}

impl<'a> DifferenceJson<'a> {
    fn of(past: &Past, change: &'a MarkerDifference<'a>, [old, new]: &'a [Verdict; 2]) -> Self {
        let (word, markers, fields): (_, [Option<&Made>; 2], &[Field]) = match change {
            MarkerDifference::Gained(made) => ("gained", [None, Some(*made)], &[]),
            MarkerDifference::Lost(made) => ("lost", [Some(*made), None], &[]),
            MarkerDifference::Changed { old, new, fields } => ("changed", [Some(*old), Some(*new)], fields),
            MarkerDifference::Failure => ("failure", [None, None], &[]),
        };
        let side = |verdict: &'a Verdict, made: Option<&'a Made>| {
            let by = verdict.by.as_ref().map(ToString::to_string);
            let (outcome, why) = (verdict.outcome.as_str(), verdict.outcome.why());
            Side { outcome, why, by, marker: made.map(ToldMarker::of) }
        };
        Self {
            time: past.time,
            ref_name: past.update.ref_name().to_text(),
            new_id: past.update.raw_new_id(),
            change: word,
            old: side(old, markers[0]),
            new: side(new, markers[1]),
            fields: fields
                .iter()
                .map(|field| ToldField {
                    name: &field.name,
                    old: field.old.as_ref(),
                    new: field.new.as_ref(),
                })
                .collect(),
        }
    }
}

/// Returns the differences between the verdicts of two policies.
fn changes([old, new]: &[Verdict; 2]) -> Vec<MarkerDifference<'_>> {
    let mut olds: Vec<&Made> = old.markers.iter().collect();
    let mut pairs = Vec::new();
    let mut gained = Vec::new();
    // Pair identical markers first, then the most similar ones.
    let mut news: Vec<&Made> = new.markers.iter().collect();
    for nearness in (1..=MAX_NEARNESS).rev() {
        news.retain(|new| {
            let at = olds.iter().position(|old| likeness(&old.marker, &new.marker) >= nearness);
            at.is_none_or(|at| {
                pairs.push((olds.remove(at), *new));
                false
            })
        });
    }
    gained.append(&mut news);
    let mut changes: Vec<_> = olds.into_iter().map(MarkerDifference::Lost).collect();
    for (old, new) in pairs {
        let fields = differences(&said(&old.marker), &said(&new.marker));
        if !fields.is_empty() {
            changes.push(MarkerDifference::Changed { old, new, fields });
        }
    }
    changes.extend(gained.into_iter().map(MarkerDifference::Gained));
    if changes.is_empty() && is_failure_new(&old.outcome, &new.outcome) {
        changes.push(MarkerDifference::Failure);
    }
    changes
}

/// Highest similarity of two markers.
const MAX_NEARNESS: usize = 4;

/// Returns the similarity of two markers of one update: 4 for the same kind, service and
/// environment, 0 for nothing in common.
fn likeness(old: &Marker, new: &Marker) -> usize {
    let (kind, service) = (old.kind == new.kind, old.service == new.service);
    match (kind, service, old.environment == new.environment) {
        (true, true, true) => 4,
        (true, true, false) => 3,
        (false, true, _) => 2,
        (true, false, _) => 1,
        (false, false, _) => 0,
    }
}

fn is_failure_new(old: &Outcome, new: &Outcome) -> bool {
    matches!(old, Outcome::Failed(_)) != matches!(new, Outcome::Failed(_))
}

/// Returns the content to compare. It excludes the ID, which follows from the rest, and the names
/// of the scripts, which differ by design.
fn said(marker: &Marker) -> Draft {
    let mut attributes = marker.all_attributes();
    attributes.remove(name::MARKER_ID);
    attributes.remove(name::POLICY);
    Draft {
        kind: marker.kind,
        service: marker.service.clone(),
        version: marker.version.clone(),
        environment: marker.environment.clone(),
        title: marker.title.clone(),
        attributes,
    }
}
