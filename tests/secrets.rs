//! Tokens: read once a delivery, anew when a back end refuses them, and shown to nobody.

use std::{fs, time::Duration};

use crate::support::{
    Sandbox,
    recorder::{Answer, Recorder},
};

/// A command that counts how often it was run and prints a token with that number.
const COUNTING: &str = "#!/bin/sh\nprintf x >>\"$0.runs\"\necho \"Bearer s3cr3t-$(wc -c <\"$0.runs\")\"\n";

/// Makes a sandbox in which a deployment waits, which is two requests, and a token has to be fetched.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.commit("Secret", &[]);
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    sandbox.executable("fetch", COUNTING);
    sandbox
}

fn fetch_for(sandbox: &Sandbox, recorder: &Recorder, more: &str) {
    let fetch = sandbox.path("fetch").display().to_string();
    let headers =
        format!("headers = {{ authorization = {{ command = [\"{fetch}\"] }}, x-team = \"shop\" }}\n{more}");
    sandbox.deliver_to(&recorder.endpoint(), &headers);
}

fn tokens(recorder: &Recorder) -> Vec<String> {
    let token =
        |request: &crate::support::recorder::Request| request.header("authorization").map(str::to_string);
    recorder.requests().iter().filter_map(token).collect()
}

#[test]
fn a_command_is_run_once_for_all_requests() {
    let sandbox = sandbox();
    let recorder = Recorder::start([]);
    fetch_for(&sandbox, &recorder, "");
    sandbox.binary(&["deliver"]).succeeded();
    assert_eq!(tokens(&recorder), ["Bearer s3cr3t-1"; 2]);
    assert_eq!(fs::read_to_string(sandbox.path("fetch.runs")).expect("runs"), "x");
}

#[test]
fn a_token_that_was_rotated_is_read_anew() {
    for status in [401, 403] {
        let sandbox = sandbox();
        let recorder = Recorder::start([Answer::status(200), Answer::status(status)]);
        fetch_for(&sandbox, &recorder, "");
        assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "2 markers delivered\n");
        assert_eq!(tokens(&recorder), ["Bearer s3cr3t-1", "Bearer s3cr3t-1", "Bearer s3cr3t-2"]);
    }
}

#[test]
fn a_token_that_stays_wrong_is_tried_twice_and_shown_nowhere() {
    for status in [401, 403] {
        let sandbox = sandbox();
        let echo = |nth| {
            let message = format!("{}Bearer s3cr3t-{nth} and s3cr3t-{nth}", "no ".repeat(50));
            Answer::status(status).body(message)
        };
        // The log records with one token and the next, then the span with that one and the next.
        let recorder = Recorder::start([echo(1), echo(2), echo(2), echo(3)]);
        fetch_for(&sandbox, &recorder, "");
        let ran = sandbox.binary(&["deliver"]);
        assert_eq!((ran.code, &*ran.stdout), (Some(1), "0 markers delivered, 2 markers refused for good\n"));
        assert_eq!(tokens(&recorder), [1, 2, 2, 3].map(|nth| format!("Bearer s3cr3t-{nth}")));
        let why = sandbox.deliveries()[0]["why"].to_string();
        assert!(why.contains(&format!("HTTP {status}: no no")), "{why}");
        assert!(why.contains("no [redacted] and [redacted]"), "{why}");
        let status = sandbox.binary(&["status"]);
        for text in [sandbox.everything_written(), status.stdout, status.stderr, ran.stderr] {
            assert!(!text.contains("s3cr3t"), "{text}");
        }
    }
}

#[test]
fn without_a_secret_there_is_nothing_to_read_anew() {
    let sandbox = sandbox();
    let recorder = Recorder::start([401, 401].map(Answer::status));
    sandbox.deliver_to(&recorder.endpoint(), "headers = { x-team = \"shop\" }\n");
    assert_eq!(sandbox.binary(&["deliver"]).code, Some(1));
    let paths: Vec<_> = recorder.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v1/logs", "/v1/traces"], "once each");
}

#[test]
fn a_secret_that_cannot_be_read_keeps_the_marker_waiting() {
    let sandbox = sandbox();
    let recorder = Recorder::start([]);
    for (script, more, why) in [
        ("#!/bin/sh\nexit 7\n", "", "the command ended with exit status: 7"),
        ("#!/bin/sh\n", "", "the secret is empty"),
        ("#!/bin/sh\nprintf 's3cr3t\\001'\n", "", "the secret has characters that no header can hold"),
        ("#!/bin/sh\nwhile echo s3cr3t; do :; done\n", "", "the secret is larger than 16384 bytes"),
        ("#!/bin/sh\nexec sleep 600\n", "[delivery]\ntimeout = \"200ms\"\n", "the command ran on for "),
    ] {
        sandbox.executable("fetch", script);
        fetch_for(&sandbox, &recorder, more);
        let ran = sandbox.binary(&["deliver"]);
        assert_eq!(ran.code, Some(1), "{script}");
        assert!(ran.took < Duration::from_secs(10), "{script}: {:?}", ran.took);
        let entry = sandbox.deliveries().pop().expect("an entry");
        assert_eq!(entry["outcome"], "retried", "{script}");
        let told = entry["why"].as_str().expect("text").to_string();
        let from =
            format!("failed to read the secret from command `{}`: {why}", sandbox.path("fetch").display());
        assert!(told.starts_with(&from), "{told}");
    }
    assert_eq!(recorder.requests().len(), 0);
    assert!(!sandbox.everything_written().contains("s3cr3t"));
    sandbox.executable("fetch", COUNTING);
    fetch_for(&sandbox, &recorder, "");
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "2 markers delivered\n");
}
