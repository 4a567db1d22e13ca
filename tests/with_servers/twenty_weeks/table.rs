//! Reads the table of expected markers, and converts received markers to the same form.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use toml::{Table, Value};

use super::shop::{DAY, Shop};
use crate::support::{
    manifest_dir,
    rotel::{Record, Span},
};

/// A marker in the form of the table: keys and values.
pub type Said = BTreeMap<String, String>;

/// Keys of a push that are not inherited by its markers.
const OF_PUSH: [&str; 4] = ["name", "markers", "skipped", "missing"];

/// Attributes with a number or a string, and their keys in the table.
const PLAIN: [(&str, &str); 12] = [
    ("user.name", "by"),
    ("vcs.change.id", "pull_request"),
    ("gitea_lightstep.merged_by", "merged_by"),
    ("gitea_lightstep.commit.author.name", "author"),
    ("gitea_lightstep.tag.tagger", "tagger"),
    ("gitea_lightstep.range.relation", "relation"),
    ("gitea_lightstep.previous.version", "previous"),
    ("deployment.status", "status"),
    ("deployment.id", "deployment_id"),
    ("gitea_lightstep.service.owner", "owner"),
    ("gitea_lightstep.link.runbook", "runbook"),
    ("gitea_lightstep.link.page", "page"),
];

/// Attributes with a list, and their keys in the table.
const LISTS: [(&str, &str); 6] = [
    ("gitea_lightstep.commit.co_authors", "with"),
    ("gitea_lightstep.range.authors", "authors"),
    ("gitea_lightstep.range.co_authors", "range_with"),
    ("gitea_lightstep.range.pull_requests", "pull_requests"),
    ("gitea_lightstep.range.tickets", "tickets"),
    ("gitea_lightstep.range.reverts", "reverts"),
];

/// Attributes that are checked separately, or that repeat others.
const OTHERS: [&str; 9] = [
    "gitea_lightstep.range.commits",
    "gitea_lightstep.range.ai_commits",
    "gitea_lightstep.range.ai_share",
    "gitea_lightstep.range.first_commit.id",
    "gitea_lightstep.range.first_commit.time",
    "gitea_lightstep.range.lead_time",
    "gitea_lightstep.previous.known_from",
    "gitea_lightstep.previous.time",
    "gitea_lightstep.pusher.kind",
];

/// A push in the table.
pub struct Expected {
    pub name: String,
    pub markers: Vec<Said>,
    /// Expected entries in the journal.
    pub said: Vec<String>,
}

/// Reads the table and replaces each `<name>` with the ID of that commit.
pub fn read(shop: &Shop) -> Vec<Expected> {
    let path = manifest_dir().join("tests/fixtures/twenty-weeks.toml");
    let text = fs::read_to_string(path).expect("the table");
    let table: Table = toml::from_str(&text).expect("TOML");
    let services = table["services"].as_table().expect("services");
    let pushes = table["push"].as_array().expect("pushes");
    let read = |push: &Value| {
        let push = push.as_table().expect("a push");
        let shared: Vec<_> = push.iter().filter(|(key, _)| !OF_PUSH.contains(&key.as_str())).collect();
        let marker = |marker: &Value| {
            let own = marker.as_table().expect("a marker");
            let service = own["service"].as_str().expect("text");
            let of_service = services[service].as_table().expect("a service").iter();
            let all = of_service.chain(shared.iter().copied()).chain(own);
            all.map(|(key, value)| (key.clone(), word(value, shop))).collect()
        };
        Expected {
            name: push["name"].as_str().expect("text").into(),
            markers: push["markers"].as_array().expect("markers").iter().map(marker).collect(),
            said: ["skipped", "missing"]
                .iter()
                .filter_map(|key| Some(push.get(*key)?.as_str()?.into()))
                .collect(),
        }
    };
    pushes.iter().map(read).collect()
}

fn word(value: &Value, shop: &Shop) -> String {
    match value {
        Value::String(text) => filled(text, shop),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(|one| word(one, shop)).collect::<Vec<_>>().join(", "))
        }
        Value::Float(number) => format!("{number:.2}"),
        Value::Integer(number) => number.to_string(),
        other => panic!("the table cannot contain {other:?}"),
    }
}

fn filled(text: &str, shop: &Shop) -> String {
    let Some((before, rest)) = text.split_once('<') else { return text.into() };
    let (name, after) = rest.split_once('>').expect("`<` is closed by `>`");
    let (name, digits) = match name.split_once(':') {
        Some((name, digits)) => (name, digits.parse().expect("a number")),
        None => (name, 40),
    };
    format!("{before}{}{}", &shop.commits[name][..digits], filled(after, shop))
}

/// Converts a received marker to the form of the table.
pub fn say(record: &Record, spans: &[Span], shop: &Shop) -> Said {
    let attribute = |name: &str| record.attributes.get(name).map(String::as_str);
    let age = Duration::from_nanos(record.time_unix_nano).as_secs_f64() - shop.start as f64;
    assert!(
        (0.0..=shop.took().as_secs_f64() + 1.0).contains(&age),
        "the record is not from this run: {record:?}"
    );
    let mut said = Said::new();
    let mut add = |key: &str, value: Option<String>| said.extend(value.map(|value| (key.into(), value)));
    add("kind", record.event_name.strip_prefix("gitea_lightstep.").map(Into::into));
    add("service", record.resource.get("service.name").cloned());
    add("version", record.resource.get("service.version").cloned());
    add("to", record.resource.get("deployment.environment.name").cloned());
    // The line for people follows the kind, the service, the version and the environment.
    add("says", record.body.split_once(": ").map(|(_, title)| title.into()));
    for (name, key) in PLAIN {
        add(key, attribute(name).map(Into::into));
    }
    for (name, key) in LISTS {
        add(key, attribute(name).map(|list| format!("[{}]", items(list).join(", "))));
    }
    let pusher = match attribute("gitea_lightstep.pusher.kind").expect("a marker has a pusher kind") {
        "user" => None,
        kind => {
            Some(format!("{kind} {}", number(attribute(&format!("gitea_lightstep.{kind}.id")).unwrap_or(""))))
        }
    };
    add("pusher", pusher);
    add("commits", attribute("gitea_lightstep.range.commits").map(|said| number(said).to_string()));
    let share = attribute("gitea_lightstep.range.ai_share").map(|said| inner(said, "Double("));
    add("ai_share", share.map(|share| format!("{:.2}", share.parse::<f64>().expect("a number"))));
    add(
        "known_from",
        attribute("gitea_lightstep.previous.known_from").filter(|from| *from != "state").map(Into::into),
    );
    let lead = attribute("gitea_lightstep.range.lead_time").map(number);
    add("lead", lead.map(|seconds| days(Duration::from_secs(seconds.unsigned_abs()), shop)));

    let id = attribute("gitea_lightstep.marker.id");
    let mut own = spans
        .iter()
        .filter(|span| span.attributes.get("gitea_lightstep.marker.id").map(String::as_str) == id);
    let span = own.next().expect("every marker is a span");
    assert!(own.next().is_none(), "{span:?} arrived twice");
    assert_eq!((&span.trace_id, &span.span_id), (&record.trace_id, &record.span_id), "{record:?}");
    let took = Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano);
    if took >= Duration::from_secs(1) {
        said.insert("took".into(), took.as_secs().to_string());
    }
    let first = attribute("gitea_lightstep.range.first_commit.time");
    if let Some(first) = first.filter(|_| said["kind"] == "change") {
        let first: jiff::Timestamp = first.parse().expect("a time");
        let pushed = i64::try_from(record.time_unix_nano / 1_000_000_000).expect("a number");
        let age = u64::try_from(pushed - first.as_second()).expect("the commit is older than the push");
        said.insert("since".into(), days(Duration::from_secs(age), shop));
    }
    if !span.parent_span_id.is_empty() {
        let above = spans.iter().find(|other| {
            (&other.trace_id, &other.span_id) == (&span.trace_id, &span.parent_span_id)
                && other.resource["service.name"] == span.resource["service.name"]
        });
        let name =
            above.map_or("nothing that arrived", |above| above.name.trim_start_matches("gitea_lightstep."));
        said.insert("parent".into(), name.into());
    }
    let known: BTreeSet<&str> = PLAIN.iter().chain(&LISTS).map(|(name, _)| *name).chain(OTHERS).collect();
    for name in record.attributes.keys().filter(|name| !known.contains(name.as_str())) {
        if ["gitea_lightstep.range.", "gitea_lightstep.previous.", "gitea_lightstep.link."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            said.insert(name.clone(), record.attributes[name].clone());
        }
    }
    said
}

/// Returns a duration in days, or in seconds if it is not a whole number of days. The time that
/// this test has taken is tolerated.
fn days(time: Duration, shop: &Shop) -> String {
    let seconds = i64::try_from(time.as_secs()).expect("a number");
    let more = Duration::from_secs((seconds % DAY).unsigned_abs());
    if more <= shop.took() + Duration::from_secs(1) {
        (seconds / DAY).to_string()
    } else {
        format!("{seconds} s")
    }
}

fn inner<'a>(said: &'a str, kind: &str) -> &'a str {
    said.strip_prefix(kind).and_then(|rest| rest.strip_suffix(')')).unwrap_or(said)
}

fn number(said: &str) -> i64 {
    inner(said, "Int(").parse().unwrap_or_else(|_| panic!("`{said}` is not a number"))
}

/// Returns the items of a list, as rotel prints it.
fn items(list: &str) -> Vec<&str> {
    inner(list, "Slice(").split(", ").map(|item| inner(item, "Str(")).collect()
}
