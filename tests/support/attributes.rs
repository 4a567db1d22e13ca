//! The attributes in docs/attributes.md, and those on the wire.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value as Any},
};
use prost::Message as _;

use super::{Sandbox, manifest_dir, recorder::Recorder};

/// Prefix of our own attribute names.
pub const OURS: &str = "gitea_lightstep.";

/// A row of a table in the document.
#[derive(Debug)]
pub struct Row {
    /// Attribute name; `<...>` in it matches any text.
    pub name: String,
    pub kind: String,
    pub stability: String,
    pub from: String,
    pub on: Vec<String>,
}

impl Row {
    pub fn is_of(&self, name: &str) -> bool {
        match self.name.split_once('<') {
            None => self.name == name,
            Some((before, rest)) => {
                let after = rest.split_once('>').expect("a closing `>`").1;
                name.len() > before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
            }
        }
    }

    pub fn is_from_script(&self) -> bool {
        self.from.contains(".rhai")
    }
}

pub fn rows() -> Vec<Row> {
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

/// Observations of one attribute on the wire: its types, its places and its string values.
#[derive(Debug, Default)]
pub struct Seen {
    pub kinds: BTreeSet<&'static str>,
    pub on: BTreeSet<&'static str>,
    pub texts: BTreeSet<String>,
}

pub type Wire = BTreeMap<String, Seen>;

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

/// Pushes every kind of update, with or without a site script, and returns the attributes on the
/// wire.
pub fn wire_of(script: Option<&str>) -> Wire {
    let server = Recorder::start([]);
    let mut sandbox = Sandbox::new();
    // This destination makes the hook compute one more attribute.
    let statuses = Recorder::start([]);
    sandbox.write_secret("token", "t");
    let asking = format!(
        "spans = \"all\"\n[[destination]]\nname = \"gitea\"\nkind = \"http\"\nendpoint = \"{}\"\nrender = \"gitea\"\n\
         secrets = {{ token = {{ file = \"token\" }} }}\n",
        statuses.endpoint()
    );
    sandbox.deliver_to(&server.endpoint(), &asking);
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
