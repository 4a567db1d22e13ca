//! Runs `resource` in clones without a configuration. Its output must match the markers from the
//! server, in every format.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use saphyr_parser::{Event, Parser};
use serde_json::Value;

use super::shop::Shop;
use crate::support::{BINARY, Sandbox, rotel::Record};

const FORMATS: [&str; 5] = ["shell", "dotenv", "json", "docker", "kubernetes"];

/// Identity of a build, from the output of `resource`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Identity {
    attributes: BTreeMap<String, String>,
    trace_id: String,
    span_id: String,
}

pub fn every_build_says_what_the_markers_say(shop: &Shop, records: &[Record]) {
    let sandbox = &shop.sandbox;
    let bare = sandbox.bare().display().to_string();
    sandbox.git_in(&sandbox.path(""), &["clone", "-q", &bare, "fresh"]);
    let fresh = sandbox.path("fresh");

    // Take the last marker of a kind: a tag may have moved, or a commit may be deployed again.
    let marker = |commit: &str, service: &str, kind: &str| {
        let mut of_commit = records.iter().rev().filter(|record| {
            record.attributes["vcs.ref.head.revision"] == shop.commits[commit]
                && record.resource["service.name"] == service
        });
        let event = format!("gitea_lightstep.{kind}");
        of_commit.find(|record| record.event_name == event).unwrap_or_else(|| panic!("no {kind} of {commit}"))
    };
    for (rev, commit, service) in [
        ("web/v1.0.0", "page", "web"),
        ("checkout/v1.1.0", "v1.1.0", "checkout"),
        ("search/v1.1.0", "fix", "search"),
        ("checkout/v1.2.0", "once", "checkout"),
        ("v2.0.0", "train", "checkout"),
        ("refs/tags/v2.0.0", "train", "search"),
        ("v2.0.0", "train", "web"),
    ] {
        holds(sandbox, &fresh, rev, marker(commit, service, "release"));
    }
    let tip = marker("whole", "checkout", "change");
    holds(sandbox, &fresh, "main", tip);
    holds(sandbox, &fresh, "HEAD", tip);
    // A deployed commit, selected by ID: the version is that of the deployment, and the span is
    // that of the change.
    for (commit, service) in [("receipt", "checkout"), ("greener", "web"), ("bump", "search")] {
        let (change, deployment) = (marker(commit, service, "change"), marker(commit, service, "deployment"));
        assert_eq!(
            (&change.trace_id, &change.resource["service.version"]),
            (&deployment.trace_id, &deployment.resource["service.version"])
        );
        holds(sandbox, &fresh, &shop.commits[commit], change);
    }
    // The hot-fix was deployed before it was merged.
    let hotfix = marker("hotfix", "checkout", "deployment");
    let short = &shop.commits["hotfix"][..12];
    let said = identity(sandbox, &fresh, short, "checkout", &["--environment", "production"], "shell");
    assert_eq!(said.trace_id, hotfix.trace_id);
    for name in ["service.name", "service.version", "deployment.environment.name"] {
        assert_eq!(said.attributes[name], hotfix.resource[name], "{name}");
    }

    let receipt = shop.commits["receipt"].as_str();
    sandbox.git_in(&fresh, &["checkout", "-q", "--detach", receipt]);
    holds(sandbox, &fresh, "HEAD", marker("receipt", "checkout", "change"));

    for (tag, commit, services) in
        [("v2.0.0", "train", &["checkout", "search", "web"][..]), ("search/v1.1.0", "fix", &["search"])]
    {
        let shallow = shallow(sandbox, tag);
        for service in services {
            holds(sandbox, &shallow, "HEAD", marker(commit, service, "release"));
            holds(sandbox, &shallow, tag, marker(commit, service, "release"));
        }
    }
    holds(sandbox, &shallow(sandbox, "main"), "HEAD", tip);
}

fn shallow(sandbox: &Sandbox, name: &str) -> PathBuf {
    let dir = format!("shallow-{}", name.replace('/', "-"));
    let url = format!("file://{}", sandbox.bare().display());
    sandbox.git_in(&sandbox.path(""), &["clone", "-q", "--depth", "1", "--branch", name, &url, &dir]);
    sandbox.path(&dir)
}

/// Asserts that the identity of `rev` equals that of the marker, in every format.
#[track_caller]
fn holds(sandbox: &Sandbox, clone: &Path, rev: &str, marker: &Record) {
    let mut attributes = BTreeMap::new();
    for name in ["service.name", "service.namespace", "service.version"] {
        attributes.insert(name.to_string(), marker.resource[name].clone());
    }
    for name in ["vcs.ref.head.revision", "vcs.repository.name"] {
        attributes.insert(name.to_string(), marker.attributes[name].clone());
    }
    let expected =
        Identity { attributes, trace_id: marker.trace_id.clone(), span_id: marker.span_id.clone() };
    for format in FORMATS {
        let said = identity(sandbox, clone, rev, &marker.resource["service.name"], &[], format);
        assert_eq!(said, expected, "{rev} as {format} in {}", clone.display());
    }
}

/// Runs `resource` with one format, and parses the output with a consumer of that format.
#[track_caller]
fn identity(
    sandbox: &Sandbox,
    clone: &Path,
    rev: &str,
    service: &str,
    more: &[&str],
    format: &str,
) -> Identity {
    let mut command = sandbox.command(BINARY, clone);
    command.args(["resource", ".", rev, "--service", service, "--repository", "acme/shop", "--as-parent"]);
    let ran = sandbox.run(command.args(more).args(["--format", format, "-v"]), b"");
    ran.succeeded();
    assert!(
        ran.stderr.contains("found no configuration"),
        "a configuration beside the binary or in /etc would be used: {}",
        ran.stderr
    );
    let sh = |script: &str| {
        let mut sh = sandbox.command("sh", clone);
        let ran = sandbox.run(sh.args(["-c", script, "sh"]).arg(ran.stdout.trim_end()), b"");
        ran.succeeded();
        ran.stdout
    };
    match format {
        // Evaluate the output in a shell, and read the environment of a program that it starts.
        "shell" => of_variables(sh("eval \"$1\"; env").lines()),
        "dotenv" => of_variables(ran.stdout.lines()),
        "docker" => {
            let words = sh("set -f; printf '%s\\n' $1");
            let words: Vec<&str> = words.lines().collect();
            assert!(words.chunks(2).all(|pair| pair[0] == "--build-arg" && pair.len() == 2), "{words:?}");
            of_variables(words.chunks(2).map(|pair| pair[1]))
        }
        "json" => {
            let said: Value = serde_json::from_str(&ran.stdout).expect("JSON");
            let text = |value: &Value| value.as_str().expect("text").to_string();
            let variables = ["OTEL_RESOURCE_ATTRIBUTES", "TRACEPARENT"]
                .map(|name| format!("{name}={}", text(&said[name])));
            let identity = of_variables(variables.iter().map(String::as_str));
            let attributes = said["attributes"].as_object().expect("an object").iter();
            let attributes = attributes.map(|(name, value)| (name.clone(), text(value))).collect();
            let same =
                Identity { attributes, trace_id: text(&said["trace_id"]), span_id: text(&said["span_id"]) };
            assert_eq!(identity, same, "the variables and the fields agree");
            same
        }
        _ => of_patch(&ran.stdout),
    }
}

/// Parses `NAME=value` lines like the OpenTelemetry SDKs.
fn of_variables<'a>(lines: impl Iterator<Item = &'a str>) -> Identity {
    let variables: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once('=')).collect();
    let attributes = variables["OTEL_RESOURCE_ATTRIBUTES"].split(',').map(|pair| {
        let (name, value) = pair.split_once('=').expect("a name and a value");
        (name.to_string(), decoded(value))
    });
    with(attributes.collect(), variables["TRACEPARENT"])
}

/// Parses the annotations in a Kubernetes patch.
fn of_patch(yaml: &str) -> Identity {
    let mut path = Vec::new();
    let mut key: Option<String> = None;
    let mut annotations = BTreeMap::new();
    for event in Parser::new_from_str(yaml) {
        match event.expect("YAML").0 {
            Event::Scalar(value, ..) => match key.take() {
                None => key = Some(value.into_owned()),
                Some(name) => {
                    assert_eq!(path, ["spec", "template", "metadata", "annotations"]);
                    annotations.insert(name, value.into_owned());
                }
            },
            Event::MappingStart(..) => path.extend(key.take()),
            Event::MappingEnd => drop(path.pop()),
            _ => {}
        }
    }
    let traceparent = annotations.remove("gitea-lightstep/traceparent").expect("a traceparent");
    let attributes = annotations.into_iter().map(|(name, value)| {
        let name = name
            .strip_prefix("resource.opentelemetry.io/")
            .expect("an annotation that the OpenTelemetry operator reads");
        (name.to_string(), value)
    });
    with(attributes.collect(), &traceparent)
}

fn with(attributes: BTreeMap<String, String>, traceparent: &str) -> Identity {
    let parts: Vec<&str> = traceparent.split('-').collect();
    let [version, trace_id, span_id, _flags] = parts[..] else {
        panic!("`{traceparent}` does not have four parts")
    };
    assert_eq!(version, "00");
    Identity { attributes, trace_id: trace_id.into(), span_id: span_id.into() }
}

/// Decodes percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex: Vec<u8> = rest.by_ref().take(2).collect();
            let hex = std::str::from_utf8(&hex).expect("digits");
            bytes.push(u8::from_str_radix(hex, 16).expect("two digits"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
