//! The result of deciding one update, in the form in which tests state expectations.

use super::placeholders::Placeholders;
use crate::{
    decide::{Made, Verdict as Decided},
    marker::{Attributes, Kind, Value, name},
    push::Update,
    state::journal::{DecisionRecord, RecordedOutcome},
};

/// The result of one update.
#[derive(Debug)]
pub(super) struct ActualUpdate {
    pub ref_name: String,
    pub outcome: RecordedOutcome,
    /// Reason, possibly empty. The reason of a failure starts with its place in the script. Of a
    /// marked update, the reason of a marker that was left out.
    pub why: String,
    /// Place in the policy that skipped or refused the update.
    pub by: Option<String>,
    pub markers: Vec<ActualMarker>,
    pub names: Placeholders,
}

/// A marker in the result.
#[derive(Debug)]
pub(super) struct ActualMarker {
    pub kind: Kind,
    pub service: String,
    pub version: String,
    pub environment: Option<String>,
    pub title: String,
    /// True if the title differs from the commit's title.
    pub has_own_title: bool,
    pub by: String,
    pub attributes: Attributes,
}

impl ActualUpdate {
    /// Converts a verdict on `update`. Places in scripts become relative to `scripts`.
    pub fn of(verdict: Decided, update: &Update, names: Placeholders, scripts: &str) -> Self {
        // Strip `./` at the start only; elsewhere in the text it may be part of something else.
        let from_scripts = |text: &str| match text.strip_prefix(scripts) {
            Some(rest) if scripts == "./" => rest.to_string(),
            _ if scripts == "./" => text.to_string(),
            _ => text.replace(scripts, ""),
        };
        Self {
            ref_name: update.ref_name().to_text(),
            outcome: RecordedOutcome::from(&verdict.outcome),
            why: from_scripts(verdict.repeated.as_deref().unwrap_or(verdict.outcome.why())),
            by: verdict.by.map(|by| from_scripts(&by.to_string())),
            markers: verdict.markers.into_iter().map(|made| marker(made, from_scripts)).collect(),
            names,
        }
    }

    /// Converts a decision from the journal.
    pub fn noted(decision: &DecisionRecord<'_>, names: Placeholders) -> Self {
        let markers = decision.markers.iter().map(|marked| ActualMarker {
            kind: marked.kind,
            service: marked.service.to_string(),
            version: marked.version.to_string(),
            environment: marked.environment.as_deref().map(ToString::to_string),
            title: String::new(),
            // The journal stores neither titles nor attributes.
            has_own_title: false,
            by: marked.by.to_string(),
            attributes: Attributes::new(),
        });
        Self {
            ref_name: decision.ref_name.to_string(),
            outcome: decision.outcome,
            why: decision.why.to_string(),
            by: decision.by.as_deref().map(ToString::to_string),
            markers: markers.collect(),
            names,
        }
    }

    /// Returns the reason without the leading place of a failure, because line numbers change.
    pub fn why_alone(&self) -> &str {
        match (self.outcome, self.why.split_once(": ")) {
            (RecordedOutcome::Failed, Some((place, why))) if is_place_in_script(place) => why,
            _ => &self.why,
        }
    }

    /// Returns true if the reason equals the stated one, with or without the leading place.
    pub fn is_why(&self, stated: &str) -> bool {
        let stated = self.names.expand(stated);
        stated == self.why || stated == self.why_alone()
    }
}

fn marker(made: Made, from_scripts: impl Fn(&str) -> String) -> ActualMarker {
    let marker = made.marker;
    let attributes = marker.all_attributes();
    let commit_title = attributes.get(name::COMMIT_TITLE);
    ActualMarker {
        has_own_title: commit_title.is_none_or(|title| *title != Value::Text(marker.title.clone())),
        kind: marker.kind,
        service: marker.service,
        version: marker.version,
        environment: marker.environment,
        title: marker.title,
        by: from_scripts(&made.by.to_string()),
        attributes,
    }
}

/// Returns true if `text` is `FILE.rhai`, optionally with a line and a column.
fn is_place_in_script(text: &str) -> bool {
    let numbers = |c: char| c.is_ascii_digit() || c == ':';
    text.trim_end_matches(numbers).ends_with(".rhai")
}
