//! What a test expects of one update, in the words of the test file. What is not stated is not compared.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    policy::{Kind, Value},
    state::journal::Verdict,
};

/// What should become of one update.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Expectation {
    pub outcome: Option<Verdict>,
    pub why: Option<String>,
    pub by: Option<String>,
    pub markers: Option<Vec<ExpectedMarker>>,
}

/// What one marker should say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExpectedMarker {
    pub kind: Option<Kind>,
    pub service: Option<String>,
    pub version: Option<String>,
    /// Left out, it means that the marker has none.
    pub environment: Option<String>,
    pub title: Option<String>,
    pub by: Option<String>,
    pub attributes: BTreeMap<String, ExpectedValue>,
}

/// The value of an attribute; `false` stands also for one that is not there.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a string, a number, a bool or an array of strings")]
pub(super) enum ExpectedValue {
    Value(Value),
}

impl Expectation {
    /// Returns the outcome that is stated or follows from the markers.
    pub fn outcome(&self) -> Option<Verdict> {
        let implied = || self.markers.as_ref().filter(|markers| !markers.is_empty()).map(|_| Verdict::Marked);
        self.outcome.or_else(implied)
    }
}

/// Returns whether the place `found` (`site.rhai:12`) is what is stated; the line may be left out, because lines
/// move.
pub(super) fn is_place(stated: &str, found: &str) -> bool {
    found == stated || found.strip_prefix(stated).is_some_and(|rest| rest.starts_with(':'))
}
