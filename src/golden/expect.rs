//! The expectations of a test for one update. Keys that are not stated are not compared.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    marker::{Kind, Value},
    state::journal::RecordedOutcome,
};

/// The expected result of one update.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Expectation {
    pub outcome: Option<RecordedOutcome>,
    pub why: Option<String>,
    pub by: Option<String>,
    pub markers: Option<Vec<ExpectedMarker>>,
}

/// An expected marker.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExpectedMarker {
    pub kind: Option<Kind>,
    pub service: Option<String>,
    pub version: Option<String>,
    /// If left out, the marker must not have an environment.
    pub environment: Option<String>,
    pub title: Option<String>,
    pub by: Option<String>,
    pub attributes: BTreeMap<String, ExpectedValue>,
}

/// The expected value of an attribute. `false` also matches a missing attribute.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a string, a number, a bool or an array of strings")]
pub(super) enum ExpectedValue {
    Value(Value),
}

impl Expectation {
    /// Returns the stated outcome, or the outcome that stated markers imply.
    pub fn outcome(&self) -> Option<RecordedOutcome> {
        let implied =
            || self.markers.as_ref().filter(|markers| !markers.is_empty()).map(|_| RecordedOutcome::Marked);
        self.outcome.or_else(implied)
    }
}

/// Returns true if the place `found` (`site.rhai:12`) is the stated one. The line may be left out,
/// so that edits of a script do not break its tests.
pub(super) fn is_place(stated: &str, found: &str) -> bool {
    found == stated || found.strip_prefix(stated).is_some_and(|rest| rest.starts_with(':'))
}
