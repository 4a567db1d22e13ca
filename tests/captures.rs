//! Hook inputs that were captured from running Gitea servers (`fixtures/captures`), with
//! hand-written expectations.

use std::{collections::BTreeMap, ffi::OsString, fs, path::Path};

use gitea_lightstep::internals::{Environment, MergeStep, RefKind, Source, Update, lines};
use serde_json::{Value, json};

use crate::support::{Sandbox, manifest_dir};

/// A captured hook run, and the expected interpretation.
struct Firing {
    place: String,
    stdin: String,
    cwd: String,
    env: BTreeMap<String, String>,
    expected: Value,
}

fn firings() -> Vec<Firing> {
    let dir = manifest_dir().join("tests/fixtures/captures");
    let mut firings = Vec::new();
    for name in ["gitea-1.22-dev.jsonl", "gitea-1.26.3.jsonl"] {
        let captured = fs::read_to_string(dir.join(name)).expect("the captures");
        let expected = fs::read_to_string(dir.join("expected").join(name)).expect("the expected decisions");
        assert_eq!(captured.lines().count(), expected.lines().count(), "{name}");
        for (nth, (captured, expected)) in captured.lines().zip(expected.lines()).enumerate() {
            let captured: Value = serde_json::from_str(captured).expect("JSON");
            let expected: Value = serde_json::from_str(expected).expect("JSON");
            assert_eq!(captured["event"], expected["event"], "{name}:{}", nth + 1);
            firings.push(Firing {
                place: format!("{name}:{} ({})", nth + 1, expected["says"]),
                stdin: captured["stdin"].as_str().expect("text").to_string(),
                cwd: captured["cwd"].as_str().expect("text").to_string(),
                env: serde_json::from_value(captured["env"].clone()).expect("names and values"),
                expected,
            });
        }
    }
    assert_eq!(firings.len(), 194);
    firings
}

#[test]
fn captured_hook_inputs_are_parsed_as_expected() {
    for firing in firings() {
        let env = Environment::from_fn(|name| firing.env.get(name).map(OsString::from));
        let source = Source::read(&env, Path::new(&firing.cwd));
        let lines = lines::parse(firing.stdin.as_bytes());
        assert_eq!(lines.malformed, [], "{}", firing.place);
        let merge = source.pull_request.map(|pull_request| pull_request.step);
        let understood = json!({
            "event": firing.expected["event"],
            "says": firing.expected["says"],
            "repository": source.repository.full_name(),
            "pusher": source.pusher.as_ref().map(|pusher| &pusher.name),
            "transport": source.transport.as_str(),
            "is_wiki": source.repository.is_wiki,
            "is_internal": source.is_internal,
            "is_deploy_key": source.deploy_key_id.is_some(),
            "pull_request": source.pull_request.and_then(|pull_request| pull_request.number),
            "is_merge": if merge == Some(MergeStep::Unknown) { None } else { Some(merge == Some(MergeStep::Merged)) },
            "options": source.options.iter().collect::<BTreeMap<_, _>>(),
            "updates": lines.updates.iter().map(said).collect::<Vec<_>>(),
            "markers": firing.expected["markers"],
        });
        assert_eq!(understood, firing.expected, "{}", firing.place);
        assert_eq!(source.git_dir.as_path(), Path::new(&firing.cwd), "{}", firing.place);
    }
}

/// The objects of the captured pushes do not exist here, so this also tests that markers are
/// created without them.
#[test]
fn captured_hook_inputs_create_the_expected_markers() {
    let mut sandbox = Sandbox::new();
    for format in ["sha1", "sha256"] {
        let init = ["init", "-q", "--bare", &format!("--object-format={format}"), format];
        sandbox.git_in(&sandbox.path(""), &init);
    }
    sandbox.unset("");
    for firing in firings() {
        let repository = if firing.stdin.find(' ') == Some(64) { "sha256" } else { "sha1" };
        let mut command = sandbox.command(crate::support::BINARY, &sandbox.path(repository));
        let own = ["PATH", "HOME", "GIT_EXEC_PATH", "PWD", "LANG", "LC_ALL"];
        command.envs(firing.env.iter().filter(|(name, _)| !own.contains(&name.as_str())));
        command.args(["hook", "--config"]).arg(sandbox.path("config.toml"));
        let before = sandbox.decisions().len();
        let ran = sandbox.run(&mut command, firing.stdin.as_bytes());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", firing.place);

        let decisions = sandbox.decisions().split_off(before);
        assert_eq!(
            decisions.len(),
            firing.expected["updates"].as_array().expect("a list").len(),
            "{}",
            firing.place
        );
        let markers: Vec<String> = decisions
            .iter()
            .flat_map(|decision| {
                let branch =
                    decision["ref"].as_str().expect("text").trim_start_matches("refs/heads/").to_string();
                let markers = decision["markers"].as_array().cloned().unwrap_or_default();
                markers.into_iter().map(move |marker| {
                    let kind = marker["kind"].as_str().expect("text");
                    match kind {
                        "change" => format!("change {branch}"),
                        "release" => {
                            format!("release {} {}", text(&marker["service"]), text(&marker["version"]))
                        }
                        _ => format!("{kind} {}", text(&marker["environment"])),
                    }
                })
            })
            .collect();
        assert_eq!(json!(markers), firing.expected["markers"], "{}", firing.place);
        assert_eq!(ran.remote_or_own().len(), markers.len(), "{}", firing.place);
    }
    assert_eq!(sandbox.troubles(), [""; 0]);
    let everything = sandbox.everything_written();
    for secret in ["LAB_OS_ENV", "from-service-env", "example.org"] {
        assert!(!everything.contains(secret), "`{secret}` was written to the state");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn said(update: &Update) -> String {
    let done = match (update.is_created(), update.is_deleted()) {
        (true, _) => "created",
        (_, true) => "deleted",
        _ => "moved",
    };
    match update.ref_name().kind() {
        RefKind::Branch(name) => format!("{done} branch {name}"),
        RefKind::Tag(name) => format!("{done} tag {name}"),
        RefKind::Other => format!("{done} {}", update.ref_name().as_bstr()),
    }
}
