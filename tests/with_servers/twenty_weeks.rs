//! Pushes twenty weeks of a repository with three services and two environments through the real
//! hook. The test compares the markers with a hand-written table (`fixtures/twenty-weeks.toml`),
//! and then checks the output of `resource` in a fresh clone.

mod history;
mod identity;
mod rules;
mod shop;
mod table;

use std::fmt::Write as _;

use self::{
    shop::Shop,
    table::{Expected, Said},
};
use crate::support::{Sandbox, rotel::Rotel};

#[test]
fn twenty_weeks_match_the_hand_written_table() {
    let sandbox = Sandbox::new();
    let mut rotel = Rotel::start(&sandbox.path("tmp"));
    sandbox.deliver_to(&rotel.endpoint(), &format!("spans = \"all\"\n{}", history::SITE));
    let mut shop = Shop::new(sandbox);
    history::play(&mut shop);
    shop.sandbox.wait_for_deliverers_to_end();
    shop.sandbox.binary(&["deliver"]).succeeded();
    rotel.stop();
    let (records, spans) = (rotel.records(), rotel.spans());
    assert_eq!(shop.sandbox.files("outbox/collector/new"), [""; 0]);
    assert_eq!(shop.sandbox.troubles(), [""; 0]);
    assert_eq!(records.len(), spans.len(), "with spans = \"all\" every marker is a log record and a span");

    let table = table::read(&shop);
    let names = |pushes: &mut dyn Iterator<Item = &str>| pushes.map(Into::into).collect::<Vec<String>>();
    assert_eq!(
        names(&mut shop.pushed.iter().map(|push| push.name.as_str())),
        names(&mut table.iter().map(|push| push.name.as_str())),
        "the table has a row for each push"
    );
    let mut differences = String::new();
    let mut n_told = 0;
    for (pushed, expected) in shop.pushed.iter().zip(&table) {
        let id = &pushed.id;
        let of_push = records.iter().filter(|record| record.attributes["gitea_lightstep.push.id"] == *id);
        let arrived: Vec<Said> = of_push.map(|record| table::say(record, &spans, &shop)).collect();
        n_told += arrived.len();
        compare(expected, arrived, &pushed.said, &mut differences);
    }
    assert!(differences.is_empty(), "- is expected by the table, + arrived\n{differences}");
    assert_eq!(n_told, records.len(), "every marker belongs to one of the pushes");

    rules::are_obeyed(&records, &spans);
    identity::every_build_says_what_the_markers_say(&shop, &records);
}

/// Appends the differences between the table and the received markers.
fn compare(expected: &Expected, mut arrived: Vec<Said>, said: &[String], differences: &mut String) {
    let before = differences.len();
    let mut wanted = expected.markers.clone();
    wanted.retain(|marker| match arrived.iter().position(|other| other == marker) {
        Some(at) => {
            arrived.remove(at);
            false
        }
        None => true,
    });
    for marker in &wanted {
        // Compare with a marker of the same service and kind, if there is one.
        let is_like =
            |other: &Said, keys: &[&str]| keys.iter().all(|key| other.get(*key) == marker.get(*key));
        let like = [&["service", "to", "kind"][..], &["service", "to"]]
            .iter()
            .find_map(|keys| arrived.iter().position(|other| is_like(other, keys)));
        let other = like.map(|at| arrived.remove(at)).unwrap_or_default();
        write!(differences, "  {} {}:", marker["kind"], marker["service"]).expect("a string");
        for key in marker.keys().chain(other.keys().filter(|key| !marker.contains_key(*key))) {
            let (left, right) = (marker.get(key), other.get(key));
            if left != right {
                let none = String::from("nothing");
                let (left, right) = (left.unwrap_or(&none), right.unwrap_or(&none));
                write!(differences, "\n    {key}: - {left} + {right}").expect("a string");
            }
        }
        differences.push('\n');
    }
    for marker in &arrived {
        writeln!(differences, "  + {marker:?}").expect("a string");
    }
    for line in &expected.said {
        if !said.iter().any(|said| said.contains(line)) {
            writeln!(differences, "  the journal: - {line} + {said:?}").expect("a string");
        }
    }
    if differences.len() > before {
        differences.insert_str(before, &format!("{}\n", expected.name));
    }
}
