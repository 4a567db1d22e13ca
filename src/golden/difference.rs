//! Compares results with expectations, and shows the difference line by line in the syntax of the
//! test file.

use std::fmt;

use super::{
    actual::{ActualMarker, ActualUpdate},
    expect::{Expectation, ExpectedMarker, ExpectedValue, is_place},
    placeholders::Placeholders,
};
use crate::{
    marker::{Kind, Value},
    state::journal::RecordedOutcome,
    text,
};

/// Maximum length of a line, in characters.
const MAX_LINE: usize = 1000;

/// The difference between the result of one update and its expectation.
#[derive(Debug)]
pub struct Difference {
    /// Full name of the update's ref, and the places in the policy that decided it.
    pub subject: String,
    /// Lines of the difference, including the lines that match.
    pub lines: Vec<Line>,
}

/// A line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Expected and found.
    Same(String),
    /// Expected but not found.
    Expected(String),
    /// Found but not expected.
    Found(String),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(line) => write!(f, "  {line}"),
            Self::Expected(line) => write!(f, "- {line}"),
            Self::Found(line) => write!(f, "+ {line}"),
        }
    }
}

/// Compares a result with an expectation. Returns `None` if they match.
pub(super) fn compare(expectation: &Expectation, found: &ActualUpdate) -> Option<Difference> {
    let mut lines = DiffLines { lines: Vec::new(), names: &found.names };
    let outcome = expectation.outcome();
    let is_same = outcome.is_none_or(|outcome| outcome == found.outcome);
    lines.key("outcome", outcome.map(outcome_text), Some(outcome_text(found.outcome)), is_same);
    let why = Some(&found.why).filter(|why| !why.is_empty());
    // If the outcome or the number of markers differs, show the reason even if the test does not state
    // one.
    let is_count_same =
        expectation.markers.as_ref().is_none_or(|markers| markers.len() == found.markers.len());
    let is_why_same =
        expectation.why.as_deref().map_or(is_same && is_count_same, |stated| found.is_why(stated));
    lines.key("why", expectation.why.as_deref().map(quoted), why.map(|why| lines.quoted(why)), is_why_same);
    let is_by_same = expectation
        .by
        .as_deref()
        .map_or(is_same, |stated| found.by.as_deref().is_some_and(|found| is_place(stated, found)));
    lines.key("by", expectation.by.as_deref().map(quoted), found.by.as_deref().map(quoted), is_by_same);
    if let Some(markers) = &expectation.markers {
        lines.markers(markers, &found.markers);
    } else if !is_same {
        lines.markers(&[], &found.markers);
    }
    let lines = lines.lines;
    if lines.iter().all(|line| matches!(line, Line::Same(_))) {
        return None;
    }
    Some(Difference { subject: subject(found), lines })
}

/// Returns the result of an update that has no expectation yet, as a difference.
pub(super) fn unexpected(found: &ActualUpdate) -> Difference {
    let mut lines = DiffLines { lines: Vec::new(), names: &found.names };
    lines.key("outcome", None, Some(outcome_text(found.outcome)), false);
    let why = Some(&found.why).filter(|why| !why.is_empty());
    lines.key("why", None, why.map(|why| lines.quoted(why)), false);
    lines.markers(&[], &found.markers);
    Difference { subject: subject(found), lines: lines.lines }
}

/// Returns true if a marker matches its expectation.
pub(super) fn is_as_expected(expected: &ExpectedMarker, found: &ActualMarker, names: &Placeholders) -> bool {
    let mut lines = DiffLines { lines: Vec::new(), names };
    lines.marker(Some(expected), Some(found));
    lines.lines.iter().all(|line| matches!(line, Line::Same(_)))
}

fn subject(found: &ActualUpdate) -> String {
    let mut places: Vec<&str> = found.by.as_deref().into_iter().collect();
    for marker in &found.markers {
        if !places.contains(&marker.by.as_str()) {
            places.push(&marker.by);
        }
    }
    if places.is_empty() {
        return found.ref_name.clone();
    }
    format!("{}, decided by {}", found.ref_name, places.join(", "))
}

struct DiffLines<'a> {
    lines: Vec<Line>,
    names: &'a Placeholders,
}

impl DiffLines<'_> {
    /// Adds the lines for one key. Skips a key that is not stated and does not differ.
    fn key(&mut self, key: &str, expected: Option<String>, found: Option<String>, is_same: bool) {
        let line = |value: String| text::line_of(format!("{key} = {value}"), MAX_LINE);
        if is_same {
            self.lines.extend(expected.map(|value| Line::Same(line(value))));
        } else {
            self.lines.extend(expected.map(|value| Line::Expected(line(value))));
            self.lines.extend(found.map(|value| Line::Found(line(value))));
        }
    }

    /// Adds the lines for the markers.
    fn markers(&mut self, expected: &[ExpectedMarker], found: &[ActualMarker]) {
        for (expected, found) in pair(expected, found, self.names) {
            self.marker(expected, found);
        }
    }

    fn marker(&mut self, expected: Option<&ExpectedMarker>, found: Option<&ActualMarker>) {
        let heading = "[[markers]]".to_string();
        self.lines.push(match (expected, found) {
            (Some(_), Some(_)) => Line::Same(heading),
            (Some(_), None) => Line::Expected(heading),
            (None, _) => Line::Found(heading),
        });
        let nothing = ExpectedMarker::default();
        let is_new = expected.is_none();
        let expected = expected.unwrap_or(&nothing);
        let kind = |kind: Kind| quoted(kind.as_str());
        let is_kind = |stated: Kind| found.is_some_and(|found| found.kind == stated);
        let is_same = expected.kind.map_or(!is_new, is_kind);
        self.key("kind", expected.kind.map(kind), found.map(|found| kind(found.kind)), is_same);
        self.word("service", expected.service.as_deref(), found.map(|found| &*found.service), is_new);
        self.word("version", expected.version.as_deref(), found.map(|found| &*found.version), is_new);
        // Unlike the other keys, an environment that is not stated must be absent.
        let environment = found.and_then(|found| found.environment.as_deref());
        self.word("environment", expected.environment.as_deref(), environment, environment.is_some());
        self.word("title", expected.title.as_deref(), found.map(|found| &*found.title), false);
        let by = found.map(|found| &*found.by);
        let is_by = |stated: &str| by.is_some_and(|by| is_place(stated, by));
        let is_same = expected.by.as_deref().is_none_or(is_by);
        self.key("by", expected.by.as_deref().map(quoted), by.map(quoted), is_same);
        for (name, stated) in &expected.attributes {
            let found = found.and_then(|found| found.attributes.get(name.as_str()));
            let key = format!("attributes.{}", key_text(name));
            let ExpectedValue::Value(stated) = stated;
            let is_same = is_value(stated, found, self.names);
            self.key(
                &key,
                Some(value_text(stated, None)),
                found.map(|found| value_text(found, Some(self.names))),
                is_same,
            );
        }
    }

    fn word(&mut self, key: &str, expected: Option<&str>, found: Option<&str>, is_wanted: bool) {
        let is_same = match expected {
            Some(stated) => found.is_some_and(|found| self.names.expand(stated) == found),
            None => !is_wanted,
        };
        let found = found.map(|found| self.quoted(found));
        self.key(key, expected.map(quoted), found, is_same);
    }

    fn quoted(&self, text: &str) -> String {
        quoted(&self.names.abbreviate(text))
    }
}

/// Aligns two lists of markers. The markers of a longest common subsequence are paired with each
/// other, and those in between are paired in order.
pub(super) fn pair<'a>(
    expected: &'a [ExpectedMarker],
    found: &'a [ActualMarker],
    names: &Placeholders,
) -> Vec<(Option<&'a ExpectedMarker>, Option<&'a ActualMarker>)> {
    // Length of the longest common subsequence of the rests of both lists.
    let mut longest = vec![vec![0; found.len() + 1]; expected.len() + 1];
    for e in (0..expected.len()).rev() {
        for f in (0..found.len()).rev() {
            longest[e][f] = if is_as_expected(&expected[e], &found[f], names) {
                longest[e + 1][f + 1] + 1
            } else {
                longest[e + 1][f].max(longest[e][f + 1])
            };
        }
    }
    let mut pairs = Vec::new();
    let (mut e, mut f) = (0, 0);
    let (mut from_e, mut from_f) = (0, 0);
    let gap = |pairs: &mut Vec<_>, expected: &'a [ExpectedMarker], found: &'a [ActualMarker]| {
        for nth in 0..expected.len().max(found.len()) {
            pairs.push((expected.get(nth), found.get(nth)));
        }
    };
    while e < expected.len() && f < found.len() {
        if is_as_expected(&expected[e], &found[f], names) {
            gap(&mut pairs, &expected[from_e..e], &found[from_f..f]);
            pairs.push((Some(&expected[e]), Some(&found[f])));
            (e, f) = (e + 1, f + 1);
            (from_e, from_f) = (e, f);
        } else if longest[e + 1][f] >= longest[e][f + 1] {
            e += 1;
        } else {
            f += 1;
        }
    }
    gap(&mut pairs, &expected[from_e..], &found[from_f..]);
    pairs
}

/// Returns true if an attribute has the stated value. A stated `false` also matches a missing
/// attribute.
pub(super) fn is_value(stated: &Value, found: Option<&Value>, names: &Placeholders) -> bool {
    match (stated, found) {
        (Value::Bool(false), None) => true,
        (Value::Text(stated), Some(Value::Text(found))) => names.expand(stated) == *found,
        (Value::List(stated), Some(Value::List(found))) => {
            stated.iter().map(|text| names.expand(text)).eq(found.iter().cloned())
        }
        (stated, found) => found == Some(stated),
    }
}

pub(super) fn outcome_text(outcome: RecordedOutcome) -> String {
    quoted(outcome.as_str())
}

fn value_text(value: &Value, names: Option<&Placeholders>) -> String {
    let text = |text: &str| names.map_or_else(|| quoted(text), |names| quoted(&names.abbreviate(text)));
    match value {
        Value::Bool(bool) => bool.to_string(),
        Value::Int(int) => int.to_string(),
        Value::Float(float) => toml_edit::Value::from(*float).to_string(),
        Value::Text(value) => text(value),
        Value::List(list) => {
            format!("[{}]", list.iter().map(|item| text(item)).collect::<Vec<_>>().join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

fn key_text(name: &str) -> String {
    toml_edit::Key::new(name).display_repr().into_owned()
}
