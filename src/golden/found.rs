//! What the policy made of one update, in the words in which a test says what it expects.

use super::names::Names;
use crate::{
    decide::{Made, Verdict as Decided},
    marker::name,
    policy::{Attributes, Kind, Value},
    push::Update,
    state::journal::{Decision, Verdict},
};

/// What became of one update.
#[derive(Debug)]
pub(super) struct Found {
    pub ref_name: String,
    pub outcome: Verdict,
    /// The reason, which may be empty. A failure begins with its place in the script.
    pub why: String,
    /// The place in the policy that wants no marker, or refused one.
    pub by: Option<String>,
    pub markers: Vec<FoundMarker>,
    pub names: Names,
}

/// What a marker says.
#[derive(Debug)]
pub(super) struct FoundMarker {
    pub kind: Kind,
    pub service: String,
    pub version: String,
    pub environment: Option<String>,
    pub title: String,
    /// Whether the title is not just the commit's.
    pub has_own_title: bool,
    pub by: String,
    pub attributes: Attributes,
}

impl Found {
    /// Puts into words what was decided of `update`; places in scripts are told from `scripts` on.
    pub fn of(verdict: Decided, update: &Update, names: Names, scripts: &str) -> Self {
        // Elsewhere in a text, `./` need not be that directory.
        let from_scripts = |text: &str| match text.strip_prefix(scripts) {
            Some(rest) if scripts == "./" => rest.to_string(),
            _ if scripts == "./" => text.to_string(),
            _ => text.replace(scripts, ""),
        };
        Self {
            ref_name: update.ref_name().to_text(),
            outcome: Verdict::from(&verdict.outcome),
            why: from_scripts(verdict.outcome.why()),
            by: verdict.by.map(|by| from_scripts(&by.to_string())),
            markers: verdict.markers.into_iter().map(|made| marker(made, from_scripts)).collect(),
            names,
        }
    }

    /// Puts into words what the journal says was decided.
    pub fn noted(decision: &Decision<'_>, names: Names) -> Self {
        let markers = decision.markers.iter().map(|marked| FoundMarker {
            kind: marked.kind,
            service: marked.service.to_string(),
            version: marked.version.to_string(),
            environment: marked.environment.as_deref().map(ToString::to_string),
            title: String::new(),
            // The journal keeps neither titles nor attributes.
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

    /// Returns the reason without the place in the script that a failure begins with: lines move.
    pub fn why_alone(&self) -> &str {
        match (self.outcome, self.why.split_once(": ")) {
            (Verdict::Failed, Some((place, why))) if is_place_in_script(place) => why,
            _ => &self.why,
        }
    }

    /// Returns whether a reason that a test states is the one that was given, with or without that place.
    pub fn is_why(&self, stated: &str) -> bool {
        let stated = self.names.expand(stated);
        stated == self.why || stated == self.why_alone()
    }
}

fn marker(made: Made, from_scripts: impl Fn(&str) -> String) -> FoundMarker {
    let marker = made.marker;
    let commit_title = marker.attributes.get(name::COMMIT_TITLE);
    FoundMarker {
        has_own_title: commit_title.is_none_or(|title| *title != Value::Text(marker.title.clone())),
        kind: marker.kind,
        service: marker.service,
        version: marker.version,
        environment: marker.environment,
        title: marker.title,
        by: from_scripts(&made.by.to_string()),
        attributes: marker.attributes,
    }
}

/// Returns whether `text` is `FILE.rhai`, with a line or a line and a column.
fn is_place_in_script(text: &str) -> bool {
    let numbers = |c: char| c.is_ascii_digit() || c == ':';
    text.trim_end_matches(numbers).ends_with(".rhai")
}
