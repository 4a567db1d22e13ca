//! What changes from one policy to another: markers that come, that go, and that say something else.

use std::path::Path;

use serde::Serialize;

use super::account::{ToldMarker, extent, short, version, when};
use crate::{
    cli::{Ending, place::below, terminal::Terminal},
    decide::{Made, Outcome, Verdict},
    facts::{History, Past},
    marker::{Marker, name},
    policy::{Draft, Field, differences, shown},
    push::{ObjectId, Repository},
    text,
    time::Timestamp,
};

/// The differences, told as they are found.
pub(super) struct Comparison<'a> {
    json: bool,
    terminal: &'a Terminal,
    scripts: Option<&'a Path>,
    tally: Tally,
}

/// How many pushes were looked at, and how many markers differ.
#[derive(Debug, Default, Serialize)]
struct Tally {
    pushes: usize,
    gained: usize,
    lost: usize,
    changed: usize,
    /// Pushes of which one policy fails and the other does not, or otherwise.
    failures: usize,
}

/// What became of one marker, or of the whole push.
enum Change<'a> {
    Gained(&'a Made),
    Lost(&'a Made),
    Changed { old: &'a Made, new: &'a Made, fields: Vec<Field> },
    Failure,
}

/// A difference in the form for programs.
#[derive(Serialize)]
struct Told<'a> {
    time: Timestamp,
    #[serde(rename = "ref")]
    ref_name: String,
    new_id: ObjectId,
    change: &'static str,
    old: Side<'a>,
    new: Side<'a>,
    fields: Vec<ToldField<'a>>,
}

/// What one of the two policies says.
#[derive(Serialize)]
struct Side<'a> {
    outcome: &'static str,
    why: &'a str,
    by: Option<String>,
    marker: Option<ToldMarker<'a>>,
}

#[derive(Serialize)]
struct ToldField<'a> {
    name: &'a str,
    old: Option<&'a crate::policy::Value>,
    new: Option<&'a crate::policy::Value>,
}

impl<'a> Comparison<'a> {
    pub fn new(json: bool, terminal: &'a Terminal, scripts: Option<&'a Path>) -> Self {
        Self { json, terminal, scripts, tally: Tally::default() }
    }

    /// Takes what the two policies say of a push, the old one's first, and returns how much differs.
    pub fn add(&mut self, past: &Past, verdicts: &[Verdict; 2]) -> anyhow::Result<usize> {
        self.tally.pushes += 1;
        let changes = changes(verdicts);
        for change in &changes {
            *match change {
                Change::Gained(_) => &mut self.tally.gained,
                Change::Lost(_) => &mut self.tally.lost,
                Change::Changed { .. } => &mut self.tally.changed,
                Change::Failure => &mut self.tally.failures,
            } += 1;
            if self.json {
                self.terminal.answer(serde_json::to_string(&Told::of(past, change, verdicts))?)?;
            } else {
                self.tell(past, change, verdicts)?;
            }
        }
        Ok(changes.len())
    }

    fn tell(&self, past: &Past, change: &Change<'_>, [old, new]: &[Verdict; 2]) -> anyhow::Result<()> {
        let head = format!("{}  {}", when(past), short(past));
        match change {
            Change::Gained(made) => {
                self.terminal.answer(format_args!("+ {head}  {}", self.marker(made, past)))?;
                self.terminal.answer(format_args!("    was {}", self.otherwise(old)))?;
            }
            Change::Lost(made) => {
                self.terminal.answer(format_args!("- {head}  {}", self.marker(made, past)))?;
                self.terminal.answer(format_args!("    now {}", self.otherwise(new)))?;
            }
            Change::Changed { new, fields, .. } => {
                self.terminal.answer(format_args!("~ {head}  {}", self.marker(new, past)))?;
                for field in fields {
                    let side =
                        |value: &Option<_>| value.as_ref().map_or_else(|| "nothing".to_string(), shown);
                    let (old, new) = (side(&field.old), side(&field.new));
                    self.terminal.answer(format_args!("    {}: {old} -> {new}", text::line(&field.name)))?;
                }
            }
            Change::Failure => {
                self.terminal.answer(format_args!("! {head}"))?;
                self.terminal.answer(format_args!("    was {}", self.otherwise(old)))?;
                self.terminal.answer(format_args!("    now {}", self.otherwise(new)))?;
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

    /// Returns what a policy made of the push, where that is not the marker.
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

    /// Tells the sum, and returns whether anything differs.
    pub fn end(self, repository: &Repository, history: &History) -> anyhow::Result<Ending> {
        let Tally { gained, lost, changed, failures, .. } = self.tally;
        let is_same = gained + lost + changed + failures == 0;
        if self.json {
            let summary = serde_json::json!({ "repository": repository.full_name(), "summary": self.tally });
            self.terminal.answer(summary)?;
        } else if is_same {
            self.terminal.say("nothing changes")?;
            self.terminal.say(extent(repository, history))?;
        } else {
            self.terminal.say(format_args!(
                "\n{gained} gained (+), {lost} lost (-), {changed} changed (~), {} (!)",
                text::count(failures, "failure")
            ))?;
            self.terminal.say(extent(repository, history))?;
        }
        Ok(if is_same { Ending::Done } else { Ending::Found })
    }
}

impl<'a> Told<'a> {
    fn of(past: &Past, change: &'a Change<'a>, [old, new]: &'a [Verdict; 2]) -> Self {
        let (word, markers, fields): (_, [Option<&Made>; 2], &[Field]) = match change {
            Change::Gained(made) => ("gained", [None, Some(*made)], &[]),
            Change::Lost(made) => ("lost", [Some(*made), None], &[]),
            Change::Changed { old, new, fields } => ("changed", [Some(*old), Some(*new)], fields),
            Change::Failure => ("failure", [None, None], &[]),
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

/// Returns what differs between the markers of two policies.
fn changes([old, new]: &[Verdict; 2]) -> Vec<Change<'_>> {
    let mut olds: Vec<&Made> = old.markers.iter().collect();
    let mut pairs = Vec::new();
    let mut gained = Vec::new();
    // The nearest find each other first: the same marker, then one that says much of the same.
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
    let mut changes: Vec<_> = olds.into_iter().map(Change::Lost).collect();
    for (old, new) in pairs {
        let fields = differences(&said(&old.marker), &said(&new.marker));
        if !fields.is_empty() {
            changes.push(Change::Changed { old, new, fields });
        }
    }
    changes.extend(gained.into_iter().map(Change::Gained));
    if changes.is_empty() && is_failure_new(&old.outcome, &new.outcome) {
        changes.push(Change::Failure);
    }
    changes
}

/// How alike two markers can be.
const MAX_NEARNESS: usize = 4;

/// Returns how alike two markers of one update are: 4 if they are the same one, 0 if they have nothing in common.
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

/// Returns what a marker says beside its id, which follows from the rest, and the scripts, which differ of course.
fn said(marker: &Marker) -> Draft {
    let mut attributes = marker.attributes.clone();
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
