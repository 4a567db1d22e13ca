//! docs/attributes.md beside what is sent, and beside the registry of the OpenTelemetry semantic conventions: its tables are the one
//! place where attributes are listed, and these tests read them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value as Any},
};
use prost::Message as _;
use serde_json::Value;

use crate::support::{Sandbox, manifest_dir, python, recorder::Recorder};

/// What our own names begin with.
const OURS: &str = "gitea_lightstep.";

/// The version of the conventions that the document names.
const VERSION: &str = "1.44.0";

/// A row of the document.
#[derive(Debug)]
struct Row {
    /// The name; `<...>` in it stands for any text.
    name: String,
    kind: String,
    stability: String,
    from: String,
    on: Vec<String>,
}

impl Row {
    fn is_of(&self, name: &str) -> bool {
        match self.name.split_once('<') {
            None => self.name == name,
            Some((before, rest)) => {
                let after = rest.split_once('>').expect("the end of what varies").1;
                name.len() > before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
            }
        }
    }

    fn is_from_script(&self) -> bool {
        self.from.contains(".rhai")
    }
}

fn rows() -> Vec<Row> {
    let document = fs::read_to_string(manifest_dir().join("docs/attributes.md")).expect("the document");
    let lines = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<Row> = lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_end_matches(" |").splitn(6, " | ").collect();
            let [name, kind, stability, from, on, meaning] = cells[..] else { panic!("six cells: {line}") };
            assert!(!meaning.is_empty(), "{line}");
            Row {
                name: name.trim_end_matches('`').into(),
                kind: kind.into(),
                stability: stability.into(),
                from: from.into(),
                on: on.split(", ").map(Into::into).collect(),
            }
        })
        .collect();
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len(), "docs/attributes.md has a row twice");
    rows
}

/// Returns every name that the source gives to an attribute; one that ends with a dot is the beginning of several.
fn constants() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(manifest_dir().join("src/marker")).expect("a directory") {
        let source = fs::read_to_string(entry.expect("an entry").path()).expect("text");
        for line in source.lines().filter(|line| line.trim_start().starts_with("pub const ")) {
            let value = line.split_once(": &str = \"").and_then(|(_, rest)| rest.strip_suffix("\";"));
            found.extend(value.filter(|value| value.contains('.')).map(ToString::to_string));
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// What was seen on the wire of each attribute: its types, where, and its texts.
#[derive(Debug, Default)]
struct Seen {
    kinds: BTreeSet<&'static str>,
    on: BTreeSet<&'static str>,
    texts: BTreeSet<String>,
}

type Wire = BTreeMap<String, Seen>;

fn note(wire: &mut Wire, on: &'static str, attributes: &[KeyValue]) {
    for KeyValue { key, value, .. } in attributes {
        let seen = wire.entry(key.clone()).or_default();
        seen.on.insert(on);
        seen.kinds.insert(match value.as_ref().and_then(|value| value.value.as_ref()).expect("a value") {
            Any::StringValue(text) => {
                assert!(!text.is_empty(), "{key} is empty");
                seen.texts.insert(text.clone());
                "string"
            }
            Any::BoolValue(_) => "boolean",
            Any::IntValue(_) => "int",
            Any::DoubleValue(_) => "double",
            Any::ArrayValue(_) => "string[]",
            other => panic!("{key}: {other:?}"),
        });
    }
}

/// Pushes all that there is to push, with a script of the site or without one, and returns what came of it.
fn wire_of(script: Option<&str>) -> Wire {
    let server = Recorder::start([]);
    let mut sandbox = Sandbox::new();
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    if let Some(script) = script {
        sandbox.write("scripts/site.rhai", script);
    }
    let push = |sandbox: &mut Sandbox, set: &[(&str, &str)], args: &[&str]| {
        for (name, value) in set {
            sandbox.set(name, value);
        }
        sandbox.push(args).succeeded();
        for (name, _) in set {
            sandbox.unset(name);
        }
    };
    sandbox.commit("feat(till): take cards", &[("environments/production/shop/values.yaml", "tag: 1.0.0\n")]);
    push(&mut sandbox, &[], &["-o", "deploy=production", "main", "main:production"]);
    sandbox.git(&["tag", "-a", "-m", "First", "v1.0.0"]);
    push(&mut sandbox, &[], &["v1.0.0"]);
    let one = sandbox.commit(
        "fix!: round\n\nAssisted-by: Claude\nTicket: SHOP-1\n",
        &[("environments/production/shop/values.yaml", "tag: 1.0.1\n")],
    );
    let merged = [("GITEA_PR_INDEX", "7"), ("GITEA_PUSH_TRIGGER", "pr-merge-to-base")];
    push(&mut sandbox, &merged, &["main", "main:production"]);
    push(
        &mut sandbox,
        &[("GITEA_DEPLOY_KEY_ID", "9")],
        &["main:release/26.11", "main:hotfix/1.0.1", "main:refs/tags/v1.1.0"],
    );
    push(
        &mut sandbox,
        &[("GITEA_ACTIONS_TASK_ID", "5")],
        &["main:refs/tags/v1.0.1", "main:refs/tags/v26.11.0"],
    );
    sandbox.git(&["revert", "--no-edit", &one]);
    push(&mut sandbox, &[], &["main", "main:production", "main:release/26.11"]);
    push(&mut sandbox, &[], &["--force", &format!("{one}:production"), &format!("{one}:main")]);
    sandbox.binary(&["deliver"]).succeeded_or_found();
    sandbox.wait_for_deliverers_to_end();

    let mut wire = Wire::new();
    for request in server.requests() {
        if request.path.ends_with("/logs") {
            let sent = ExportLogsServiceRequest::decode(&*request.content()).expect("logs");
            for group in &sent.resource_logs {
                note(&mut wire, "resource", &group.resource.as_ref().expect("a resource").attributes);
                let records = group.scope_logs.iter().flat_map(|scope| &scope.log_records);
                records.for_each(|record| note(&mut wire, "log", &record.attributes));
            }
        } else {
            let sent = ExportTraceServiceRequest::decode(&*request.content()).expect("traces");
            for group in &sent.resource_spans {
                note(&mut wire, "resource", &group.resource.as_ref().expect("a resource").attributes);
                let spans = group.scope_spans.iter().flat_map(|scope| &scope.spans);
                spans.for_each(|span| note(&mut wire, "span", &span.attributes));
            }
        }
    }
    assert!(wire.contains_key("service.name"), "{wire:?}");
    wire
}

/// The row that is to be added for a name.
fn missing(name: &str, seen: Option<&Seen>) -> String {
    let list = |words: Option<&BTreeSet<&'static str>>| {
        words.map(|words| words.iter().copied().collect::<Vec<_>>().join(", "))
    };
    let (stability, from) =
        if name.starts_with(OURS) { ("ours", "ours") } else { ("AS IN THE REGISTRY", "registry") };
    let name = if name.ends_with('.') { format!("{name}<name>") } else { name.to_string() };
    format!(
        "docs/attributes.md has no row for it; add:\n| `{name}` | {} | {stability} | {from} | {} | WHAT IT SAYS |",
        list(seen.map(|seen| &seen.kinds)).unwrap_or_else(|| "TYPE".into()),
        list(seen.map(|seen| &seen.on)).unwrap_or_else(|| "log, span".into()),
    )
}

#[test]
fn every_attribute_has_its_row_and_nothing_else_has() {
    let rows = rows();
    let constants = constants();
    let wire = wire_of(None);
    let mut wrong = Vec::new();
    for name in &constants {
        // What begins several names has a row in which the rest varies.
        let is_there = if name.ends_with('.') {
            rows.iter().any(|row| row.name.starts_with(&format!("{name}<")))
        } else {
            rows.iter().any(|row| row.is_of(name))
        };
        if !is_there {
            wrong.push(format!("{name}: {}", missing(name, wire.get(name))));
        }
    }
    for (name, seen) in wire.iter().filter(|(name, _)| !constants.contains(*name)) {
        if !rows.iter().any(|row| row.is_of(name)) {
            wrong.push(format!("{name}: {}", missing(name, Some(seen))));
        }
    }
    wrong.extend(rows.iter().flat_map(|row| differs(row, &wire)));
    for row in rows.iter().filter(|row| !row.is_from_script()) {
        let is_sent = match row.name.split_once('<') {
            None => constants.contains(&row.name),
            Some((before, _)) => constants.contains(before) || wire.keys().any(|name| row.is_of(name)),
        };
        if !is_sent {
            wrong.push(format!("{}: nothing sends it; take its row out of docs/attributes.md", row.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Returns what the wire says of a row's attribute that the row does not.
fn differs(row: &Row, wire: &Wire) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, seen) in wire.iter().filter(|(name, _)| row.is_of(name)) {
        if seen.kinds.iter().any(|kind| row.kind != *kind) {
            wrong.push(format!(
                "{name}: docs/attributes.md has type {}, and sent is {:?}",
                row.kind, seen.kinds
            ));
        }
        let on: BTreeSet<&str> = row.on.iter().map(String::as_str).collect();
        if on != seen.on {
            wrong.push(format!(
                "{name}: docs/attributes.md has it on {on:?}, and it is sent on {:?}",
                seen.on
            ));
        }
    }
    wrong
}

/// Returns what reference/lightstep.md, section 4.1, has of the registry and its package does not say: what is about to be
/// stable.
fn is_release_candidate(name: &str) -> bool {
    ["vcs.", "cicd."].iter().any(|namespace| name.starts_with(namespace))
}

#[test]
fn every_name_that_is_not_ours_is_the_registrys_own() {
    let sandbox = Sandbox::new();
    let registry: Value =
        serde_json::from_str(&python::run(&sandbox, "semconv.py", &[], b"").succeeded().stdout)
            .expect("JSON");
    assert_eq!(registry["version"], VERSION, "tests/requirements.txt has another version of the conventions");
    let attributes = registry["attributes"].as_object().expect("attributes");
    let wire = wire_of(None);
    let mut wrong = Vec::new();
    for row in rows() {
        let known = attributes.get(&row.name);
        let expected = match known {
            _ if row.name.starts_with(OURS) => {
                let is_ours = row.stability == "ours" && (row.from == "ours" || row.is_from_script());
                if !is_ours {
                    wrong.push(format!("{}: it is ours, and its row says otherwise", row.name));
                }
                continue;
            }
            None => {
                wrong.push(format!(
                    "{}: the registry {VERSION} has no such name; ours begin with {OURS}",
                    row.name
                ));
                continue;
            }
            Some(known) if known["stable"] == true => "stable",
            Some(_) if is_release_candidate(&row.name) => "release candidate",
            Some(_) => "development",
        };
        if known.is_some_and(|known| known["deprecated"] == true) {
            wrong.push(format!("{}: the registry {VERSION} has deprecated it", row.name));
        }
        if row.stability != expected || row.from != "registry" {
            wrong.push(format!(
                "{}: docs/attributes.md has it as {} from {}, and it is {expected} from registry",
                row.name, row.stability, row.from
            ));
        }
        // Where the registry has a list of values, ours are among them; environments are named by the site.
        let values: Vec<&str> = known
            .and_then(|known| known["values"].as_array())
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if let Some(seen) = wire.get(&row.name).filter(|_| !values.is_empty()) {
            for text in seen.texts.iter().filter(|text| !values.contains(&text.as_str())) {
                wrong.push(format!(
                    "{}: `{text}` is not among the values of the registry: {values:?}",
                    row.name
                ));
            }
        }
    }
    for name in attributes.keys().filter(|name| name.starts_with("gitea_lightstep")) {
        wrong.push(format!("{name}: the registry has taken our namespace"));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Returns the names of attributes that a script has in its text.
fn names_in(script: &str) -> BTreeSet<String> {
    let code = script.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut found = BTreeSet::new();
    for line in code {
        let pieces: Vec<&str> = line.split('"').collect();
        for (nth, text) in pieces.iter().enumerate().skip(1).step_by(2) {
            let before = pieces[nth - 1].trim_end();
            let after = pieces.get(nth + 1).map_or("", |after| after.trim_start());
            let is_key =
                after.starts_with(':') || (before.ends_with("attributes[") && after.starts_with(']'));
            if is_key && text.contains('.') {
                found.insert((*text).to_string());
            }
        }
    }
    found
}

#[test]
fn a_row_may_stand_for_several_names() {
    let row = |name: &str| Row {
        name: name.into(),
        kind: "string".into(),
        stability: "ours".into(),
        from: "ours".into(),
        on: Vec::new(),
    };
    let link = row("gitea_lightstep.link.<name>");
    assert!(link.is_of("gitea_lightstep.link.runbook"));
    assert!(!link.is_of("gitea_lightstep.link.") && !link.is_of("gitea_lightstep.links"));
    let middle = row("gitea_lightstep.service.<name>.owner");
    assert!(
        middle.is_of("gitea_lightstep.service.till.owner") && !middle.is_of("gitea_lightstep.service.till")
    );
    assert!(row("service.name").is_of("service.name") && !row("service.name").is_of("service.names"));
}

#[test]
fn the_reader_of_scripts_finds_the_names() {
    let script = "// attributes[\"not.this\"]\nmarker.attributes[\"a.b\"] = 1;\nlet x = #{ \"c.d\": \"e.f\", g: 1 };\n";
    assert_eq!(names_in(script), ["a.b", "c.d"].map(ToString::to_string).into());
}

#[test]
fn what_the_shipped_scripts_set_is_ours_and_has_its_row() {
    let rows = rows();
    let mut set: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in fs::read_dir(manifest_dir().join("scripts")).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "rhai") {
            continue;
        }
        let file = path.file_name().and_then(|name| name.to_str()).expect("text").to_string();
        let script = fs::read_to_string(&path).expect("text");
        let names = names_in(&script);
        let wire = wire_of(Some(&script));
        for (name, seen) in wire.iter().filter(|(name, _)| !rows.iter().any(|row| row.is_of(name))) {
            wrong.push(format!("{file}: {name}: {}", missing(name, Some(seen))));
        }
        wrong.extend(rows.iter().flat_map(|row| differs(row, &wire)).map(|why| format!("{file}: {why}")));
        for name in names {
            if !name.starts_with(OURS) {
                wrong.push(format!(
                    "{file}: `{name}` has to begin with {OURS}, for no other name is ours to give"
                ));
            }
            set.entry(name).or_default().insert(format!("`{file}`"));
        }
    }
    for (name, files) in &set {
        let from = files.iter().cloned().collect::<Vec<_>>().join(", ");
        match rows.iter().find(|row| row.is_of(name)) {
            None => wrong.push(format!("{name}: {}, from {from}", missing(name, None))),
            Some(row) if row.from != from => {
                wrong.push(format!(
                    "{name}: docs/attributes.md has it from {}, and it is from {from}",
                    row.from
                ));
            }
            Some(_) => {}
        }
    }
    for row in rows.iter().filter(|row| row.is_from_script() && !set.contains_key(&row.name)) {
        wrong.push(format!("{}: no script sets it; take its row out of docs/attributes.md", row.name));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
