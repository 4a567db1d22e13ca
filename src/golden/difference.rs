//! Where what was found differs from what a test expects, line by line, in the words of the test file.

use std::fmt;

use super::{
    expect::{Expectation, ExpectedMarker, ExpectedValue, is_place},
    found::{Found, FoundMarker},
    names::Names,
};
use crate::{
    policy::{Kind, Value},
    state::journal::Verdict,
    text,
};

/// How long a line may be, in characters.
const MAX_LINE: usize = 1000;

/// What one update came to, beside what was expected of it.
#[derive(Debug)]
pub struct Difference {
    /// The full name of the update's ref, and where the policy spoke.
    pub subject: String,
    /// The lines, those that are as expected among them.
    pub lines: Vec<Line>,
}

/// A line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// It is as expected.
    Same(String),
    /// It is expected, and not so.
    Expected(String),
    /// It is so, and not expected.
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

/// Compares what was found with what is expected; `None` if nothing differs.
pub(super) fn compare(expectation: &Expectation, found: &Found) -> Option<Difference> {
    let mut lines = Lines { lines: Vec::new(), names: &found.names };
    let outcome = expectation.outcome();
    let is_same = outcome.is_none_or(|outcome| outcome == found.outcome);
    lines.key("outcome", outcome.map(outcome_text), Some(outcome_text(found.outcome)), is_same);
    let why = Some(&found.why).filter(|why| !why.is_empty());
    // Why it is something else is the first thing to be asked.
    let is_why_same = expectation.why.as_deref().map_or(is_same, |stated| found.is_why(stated));
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

/// Returns what was found of an update of which nothing is expected yet.
pub(super) fn unexpected(found: &Found) -> Difference {
    let mut lines = Lines { lines: Vec::new(), names: &found.names };
    lines.key("outcome", None, Some(outcome_text(found.outcome)), false);
    let why = Some(&found.why).filter(|why| !why.is_empty());
    lines.key("why", None, why.map(|why| lines.quoted(why)), false);
    lines.markers(&[], &found.markers);
    Difference { subject: subject(found), lines: lines.lines }
}

/// Returns whether a marker is as expected.
pub(super) fn is_as_expected(expected: &ExpectedMarker, found: &FoundMarker, names: &Names) -> bool {
    let mut lines = Lines { lines: Vec::new(), names };
    lines.marker(Some(expected), Some(found));
    lines.lines.iter().all(|line| matches!(line, Line::Same(_)))
}

fn subject(found: &Found) -> String {
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

struct Lines<'a> {
    lines: Vec<Line>,
    names: &'a Names,
}

impl Lines<'_> {
    /// Says one key. What is neither stated nor different is left out.
    fn key(&mut self, key: &str, expected: Option<String>, found: Option<String>, is_same: bool) {
        let line = |value: String| text::line_of(format!("{key} = {value}"), MAX_LINE);
        if is_same {
            self.lines.extend(expected.map(|value| Line::Same(line(value))));
        } else {
            self.lines.extend(expected.map(|value| Line::Expected(line(value))));
            self.lines.extend(found.map(|value| Line::Found(line(value))));
        }
    }

    /// Says the markers: those that are as expected keep their places, the others are held beside each other.
    fn markers(&mut self, expected: &[ExpectedMarker], found: &[FoundMarker]) {
        for (expected, found) in pair(expected, found, self.names) {
            self.marker(expected, found);
        }
    }

    fn marker(&mut self, expected: Option<&ExpectedMarker>, found: Option<&FoundMarker>) {
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
        // The one word that may be missing: where it is not stated, it must be.
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

/// Holds two lists beside each other: the longest run of markers that are as expected stays together, and what
/// stands between them is compared in order.
pub(super) fn pair<'a>(
    expected: &'a [ExpectedMarker],
    found: &'a [FoundMarker],
    names: &Names,
) -> Vec<(Option<&'a ExpectedMarker>, Option<&'a FoundMarker>)> {
    // The length of the longest common run from each pair of places on.
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
    let gap = |pairs: &mut Vec<_>, expected: &'a [ExpectedMarker], found: &'a [FoundMarker]| {
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

/// Returns whether an attribute is as stated. One that is `false` may also be missing.
pub(super) fn is_value(stated: &Value, found: Option<&Value>, names: &Names) -> bool {
    match (stated, found) {
        (Value::Bool(false), None) => true,
        (Value::Text(stated), Some(Value::Text(found))) => names.expand(stated) == *found,
        (Value::List(stated), Some(Value::List(found))) => {
            stated.iter().map(|text| names.expand(text)).eq(found.iter().cloned())
        }
        (stated, found) => found == Some(stated),
    }
}

pub(super) fn outcome_text(outcome: Verdict) -> String {
    quoted(outcome.as_str())
}

fn value_text(value: &Value, names: Option<&Names>) -> String {
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
