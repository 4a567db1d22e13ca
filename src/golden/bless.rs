//! Updates the expectations of failed tests in a test file to the actual results. The rest of the
//! file keeps its comments, order and formatting.

use anyhow::{Context as _, ensure};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use super::{
    actual::{ActualMarker, ActualUpdate},
    difference::{is_value, pair},
    edit::{TomlTable, blocks, remove, spread},
    expect::{Expectation, ExpectedMarker, ExpectedValue, is_place},
    load::{self, Suite},
    run::{TestOutcome, TestResult, judge},
};
use crate::{marker, state::journal::RecordedOutcome};

/// A test file with updated expectations.
#[derive(Debug)]
pub struct Blessed {
    /// Full text of the file, unchanged if no test was blessed.
    pub text: String,
    /// Names of the blessed tests, in order.
    pub names: Vec<String>,
    /// Names of the failed tests that were not blessed, with the reason.
    pub refused: Vec<(String, String)>,
}

impl Suite {
    /// Returns the text of the file with the expectations of failed tests set to their actual
    /// results.
    ///
    /// # Errors
    /// If the new text cannot be written, or would not pass.
    pub fn bless(&self, tested: &[TestResult]) -> anyhow::Result<Blessed> {
        let mut document: DocumentMut = self.source.parse().context("failed to read the file again")?;
        let mut blessed = Blessed { text: String::new(), names: Vec::new(), refused: Vec::new() };
        for (test, tested) in self.tests.iter().zip(tested) {
            match blessing(test.expectations.as_slice(), tested) {
                Blessing::Needless => {}
                Blessing::Refused(why) => blessed.refused.push((test.name.clone(), why)),
                Blessing::Given => {
                    let all = document.get_mut("test").map(blocks).unwrap_or_default();
                    let is_it = |block: &TomlTable<'_>| block.text("name") == Some(&test.name);
                    let mut block =
                        all.into_iter().find(is_it).context("the test is no longer in its file")?;
                    expect(&mut block, &test.expectations, &tested.found);
                    blessed.names.push(test.name.clone());
                }
            }
        }
        blessed.text = if blessed.names.is_empty() { self.source.clone() } else { document.to_string() };
        verify(self, tested, &blessed)?;
        Ok(blessed)
    }
}

/// What happens to the expectations of a test.
enum Blessing {
    /// The test passed.
    Needless,
    /// They are set to the results.
    Given,
    /// They stay, for this reason.
    Refused(String),
}

/// Decides whether to bless a test.
fn blessing(expectations: &[Expectation], tested: &TestResult) -> Blessing {
    match &tested.ending {
        TestOutcome::Passed => return Blessing::Needless,
        TestOutcome::Broken(why) => return Blessing::Refused(why.clone()),
        TestOutcome::Differs(_) | TestOutcome::Unexpecting(_) => {}
    }
    // Refuse: the policy itself failed, which is rarely intended.
    let surprise = tested.found.iter().enumerate().find(|(nth, found)| {
        let stated = expectations.get(*nth).and_then(Expectation::outcome);
        found.outcome == RecordedOutcome::Failed && stated != Some(RecordedOutcome::Failed)
    });
    match surprise {
        Some((_, found)) => Blessing::Refused(format!(
            "the policy fails: {}; set `outcome = \"failed\"` if it should",
            found.why
        )),
        None => Blessing::Given,
    }
}

/// Parses the new text as a test run would, and checks it against the results.
fn verify(suite: &Suite, tested: &[TestResult], blessed: &Blessed) -> anyhow::Result<()> {
    let reread = load::parse(suite.place.clone(), blessed.text.clone());
    let reread = reread
        .map_err(|problems| anyhow::anyhow!("the new text is not a valid test file: {}", problems[0]))?;
    for tested in tested.iter().filter(|tested| blessed.names.contains(&tested.name)) {
        let test = reread.tests.iter().find(|test| test.name == tested.name);
        let is_right =
            test.is_some_and(|test| matches!(judge(&test.expectations, &tested.found), TestOutcome::Passed));
        ensure!(is_right, "the test `{}` would still fail", tested.name);
    }
    Ok(())
}

/// Writes the results into a test.
pub(super) fn expect(test: &mut TomlTable<'_>, expectations: &[Expectation], found: &[ActualUpdate]) {
    if let Some(stated) = test.table_mut().get_mut("expect")
        && !expectations.is_empty()
    {
        for (mut block, (expectation, found)) in
            blocks(stated).into_iter().zip(expectations.iter().zip(found))
        {
            change(&mut block, expectation, found);
        }
        return;
    }
    let is_under_headers = test.table().get("update").is_some_and(|update| match update {
        Item::Table(table) => !table.is_dotted(),
        Item::ArrayOfTables(_) => true,
        Item::None | Item::Value(_) => false,
    });
    let new = match (found, test) {
        ([found], TomlTable::Table(test)) => {
            let mut table = Table::new();
            table.set_dotted(!is_under_headers);
            change(&mut TomlTable::Table(&mut table), &Expectation::default(), found);
            test.insert("expect", Item::Table(table));
            return;
        }
        (found, TomlTable::Table(test)) if is_under_headers => {
            let mut tables = ArrayOfTables::new();
            for found in found {
                let mut table = Table::new();
                change(&mut TomlTable::Table(&mut table), &Expectation::default(), found);
                tables.push(table);
            }
            test.insert("expect", Item::ArrayOfTables(tables));
            return;
        }
        (found, test) => (found, test),
    };
    let (found, test) = new;
    let mut all = Array::new();
    for found in found {
        let mut table = InlineTable::new();
        change(&mut TomlTable::Inline(&mut table), &Expectation::default(), found);
        all.push(table);
    }
    spread(&mut all);
    test.set("expect", all);
}

/// Updates an expectation where it differs from the result.
fn change(block: &mut TomlTable<'_>, stated: &Expectation, found: &ActualUpdate) {
    let is_new_outcome = stated.outcome() != Some(found.outcome);
    if is_new_outcome {
        block.set("outcome", found.outcome.as_str());
    }
    let why = found.names.abbreviate(found.why_alone());
    match &stated.why {
        Some(stated) if found.is_why(stated) => {}
        None if !is_new_outcome || why.is_empty() => {}
        Some(_) if why.is_empty() => block.remove("why"),
        Some(_) | None => block.set("why", why),
    }
    if let Some(by) = &stated.by {
        match &found.by {
            Some(found) if is_place(by, found) => {}
            Some(found) => block.set("by", place(by, found)),
            None => block.remove("by"),
        }
    }
    if stated.markers.is_none() && !is_new_outcome {
        return;
    }
    if found.markers.is_empty() {
        if stated.markers.as_ref().is_some_and(|markers| !markers.is_empty()) {
            block.remove("markers");
        }
        return;
    }
    let mut list = stated.markers.clone().unwrap_or_default();
    list.retain(|_| block.table().contains_key("markers"));
    if !block.table().contains_key("markers") {
        block.set("markers", Array::new());
    }
    let Some(item) = block.table_mut().get_mut("markers") else { return };
    markers(item, &list, found);
}

/// Updates the list of markers. Changes the markers that differ in place, removes those that are
/// gone, and inserts new ones.
fn markers(item: &mut Item, stated: &[ExpectedMarker], found: &ActualUpdate) {
    let mut at = 0;
    let mut is_changed = false;
    for pair in pair(stated, &found.markers, &found.names) {
        match pair {
            (Some(expected), Some(marker)) => {
                if let Some(mut block) = blocks(item).into_iter().nth(at) {
                    change_marker(&mut block, expected, marker, found);
                }
                at += 1;
            }
            (Some(_), None) => {
                is_changed = true;
                match item {
                    Item::ArrayOfTables(tables) => drop(tables.remove(at)),
                    Item::Value(Value::Array(array)) => remove(array, at),
                    _ => {}
                }
            }
            (None, Some(marker)) => {
                is_changed = true;
                match item {
                    Item::ArrayOfTables(tables) => {
                        let mut table = Table::new();
                        new_marker(&mut TomlTable::Table(&mut table), marker, found);
                        tables.insert(at, table);
                    }
                    Item::Value(Value::Array(array)) => {
                        let mut table = InlineTable::new();
                        new_marker(&mut TomlTable::Inline(&mut table), marker, found);
                        array.insert(at, table);
                    }
                    _ => {}
                }
                at += 1;
            }
            (None, None) => {}
        }
    }
    if let Item::Value(Value::Array(array)) = item
        && is_changed
    {
        spread(array);
    }
}

fn change_marker(
    block: &mut TomlTable<'_>,
    stated: &ExpectedMarker,
    marker: &ActualMarker,
    found: &ActualUpdate,
) {
    let names = &found.names;
    if stated.kind.is_some_and(|kind| kind != marker.kind) {
        block.set("kind", marker.kind.as_str());
    }
    for (key, stated, found) in [
        ("service", &stated.service, &marker.service),
        ("version", &stated.version, &marker.version),
        ("title", &stated.title, &marker.title),
    ] {
        if stated.as_ref().is_some_and(|stated| names.expand(stated) != *found) {
            block.set(key, names.abbreviate(found));
        }
    }
    match (&stated.environment, &marker.environment) {
        (Some(_), None) => block.remove("environment"),
        (stated, Some(found))
            if stated.as_ref().map(|stated| names.expand(stated)).as_ref() != Some(found) =>
        {
            block.set("environment", names.abbreviate(found));
        }
        _ => {}
    }
    if let Some(by) = stated.by.as_ref().filter(|by| !is_place(by, &marker.by)) {
        block.set("by", place(by, &marker.by));
    }
    for (key, ExpectedValue::Value(value)) in &stated.attributes {
        let found = marker.attributes.get(key.as_str());
        if is_value(value, found, names) {
            continue;
        }
        let Some(item) = block.table_mut().get_mut("attributes") else { continue };
        let Some(mut attributes) = blocks(item).pop() else { continue };
        match found {
            Some(found) => attributes.set(key, attribute(found, |text| names.abbreviate(text))),
            None => attributes.remove(key),
        }
    }
}

fn new_marker(block: &mut TomlTable<'_>, marker: &ActualMarker, found: &ActualUpdate) {
    let names = &found.names;
    block.set("kind", marker.kind.as_str());
    block.set("service", names.abbreviate(&marker.service));
    block.set("version", names.abbreviate(&marker.version));
    if let Some(environment) = &marker.environment {
        block.set("environment", names.abbreviate(environment));
    }
    if marker.has_own_title {
        block.set("title", names.abbreviate(&marker.title));
    }
    let mut own = InlineTable::new();
    for (key, value) in marker.attributes.iter().filter(|(key, _)| is_of_script(key)) {
        own.insert(key.as_ref(), attribute(value, |text| names.abbreviate(text)));
    }
    if !own.is_empty() {
        block.set("attributes", own);
    }
}

/// Returns true for attributes that only a script can set.
fn is_of_script(key: &str) -> bool {
    !["service.", "vcs.", "user.", "gitea_lightstep."].iter().any(|prefix| key.starts_with(prefix))
}

fn attribute(value: &marker::Value, text: impl Fn(&str) -> String) -> Value {
    match value {
        marker::Value::Bool(bool) => (*bool).into(),
        marker::Value::Int(int) => (*int).into(),
        marker::Value::Float(float) => (*float).into(),
        marker::Value::Text(value) => text(value).into(),
        marker::Value::List(list) => list.iter().map(|item| text(item)).collect::<Array>().into(),
    }
}

/// Returns the place `found`, with its line only if `stated` has a line.
fn place(stated: &str, found: &str) -> String {
    let file = found.split(':').next().unwrap_or(found);
    if stated.contains(':') { found.to_string() } else { file.to_string() }
}
