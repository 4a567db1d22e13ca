//! What counts as delivered: every final status with each kind of body, as a table in
//! `tests/golden/answers.txt`.

use std::collections::BTreeMap;

use crate::support::{
    Sandbox, assert_as_it_is,
    recorder::{Answer, Recorder, Request},
};

const PAGE: &str = "<!DOCTYPE html>\n<title>Log in</title>\n";

/// Returns the answer for a path `/BODY/STATUS/v1/logs`. An error has a `google.rpc.Status`, as OTLP
/// requires.
fn answer(request: &Request) -> Answer {
    let mut parts = request.path.split('/').skip(1);
    let body = parts.next().expect("a kind of body");
    let status: u16 = parts.next().and_then(|status| status.parse().ok()).expect("a status");
    let is_error = status >= 300;
    let (content_type, bytes) = match body {
        "protobuf" if is_error => ("application/x-protobuf", &b"\x08\x03\x12\x04said"[..]),
        "protobuf" => ("application/x-protobuf", &b"\x0a\x00"[..]),
        "json" if is_error => ("application/json", &br#"{"code":3,"message":"said"}"#[..]),
        "json" => ("application/json", &br#"{"partialSuccess":{}}"#[..]),
        "html" => ("text/html; charset=utf-8", PAGE.as_bytes()),
        _ => return Answer::status(status),
    };
    Answer::status(status).header("content-type", content_type).body(bytes)
}

/// Delivers one marker to a destination for each status. Returns each one's outcome and reason.
fn outcomes(server: &Recorder, protocol: &str, body: &str) -> BTreeMap<u16, String> {
    let sandbox = Sandbox::new();
    sandbox.commit("Pay by card", &[]);
    sandbox.push(&["main"]).succeeded();
    let destinations = (200..600).map(|status| {
        format!(
            "[[destination]]\nname = \"s{status}\"\nkind = \"otlp\"\nendpoint = \"{}/{body}/{status}\"\n\
             protocol = \"{protocol}\"\n",
            server.endpoint()
        )
    });
    sandbox.configure(&destinations.collect::<String>());
    assert_eq!(sandbox.binary(&["deliver"]).code, Some(1), "{protocol} {body}");
    let (mut outcomes, letters) = (BTreeMap::new(), sandbox.files("dead"));
    for delivery in sandbox.deliveries() {
        let destination = delivery["destination"].as_str().expect("a name");
        let status = destination.trim_start_matches('s');
        let [outcome, why] = ["outcome", "why"].map(|key| delivery[key].as_str().unwrap_or_default());
        let (waiting, is_dead) = (sandbox.waiting(destination).len(), outcome == "refused");
        assert_eq!(waiting, usize::from(outcome == "retried"), "{protocol} {body} {status}");
        let why = why.replace(status, "STATUS");
        let line = format!("{outcome:<9}  {why}").trim_end().to_string();
        assert!(outcomes.insert(status.parse().expect("a status"), line).is_none(), "{status} twice");
        let has_letter = letters.iter().any(|file| file.starts_with(&format!("{destination}.")));
        assert_eq!(has_letter, is_dead, "{protocol} {body} {status}");
    }
    assert_eq!(outcomes.len(), 400, "{protocol} {body}");
    outcomes
}

#[test]
fn every_status_with_every_body_has_the_outcome_of_the_table() {
    let server = Recorder::judging(answer);
    let mut table = String::from("request        answer    status   outcome    reason\n");
    for protocol in ["http/protobuf", "http/json"] {
        for body in ["protobuf", "json", "html", "empty"] {
            let outcomes: Vec<(u16, String)> = outcomes(&server, protocol, body).into_iter().collect();
            for same in outcomes.chunk_by(|(_, one), (_, next)| one == next) {
                let (first, last) = (same[0].0, same[same.len() - 1].0);
                let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
                table += &format!("{protocol:<13}  {body:<8}  {range:<7}  {}\n", same[0].1);
            }
        }
    }
    assert_as_it_is(&Sandbox::new(), "answers.txt", &table);
}
