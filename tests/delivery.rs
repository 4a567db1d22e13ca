//! One bad marker, one form that a back end does not take, one destination that is down: each costs itself
//! and nothing else.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;

use crate::support::{
    Sandbox,
    recorder::{Answer, Recorder, Request},
    wait_until,
};

/// Where nobody listens: the port is reserved for a service that is long gone (RFC 863).
const NOBODY: &str = "http://127.0.0.1:9";

/// Returns how many markers a request carries.
fn count(request: &Request) -> usize {
    let body = &request.content()[..];
    if request.path == "/v1/logs" {
        let request = ExportLogsServiceRequest::decode(body).expect("log records");
        request
            .resource_logs
            .iter()
            .flat_map(|logs| &logs.scope_logs)
            .map(|logs| logs.log_records.len())
            .sum()
    } else {
        let request = ExportTraceServiceRequest::decode(body).expect("spans");
        request
            .resource_spans
            .iter()
            .flat_map(|spans| &spans.scope_spans)
            .map(|spans| spans.spans.len())
            .sum()
    }
}

fn says(request: &Request, text: &str) -> bool {
    request.content().windows(text.len()).any(|window| window == text.as_bytes())
}

/// Pushes version tags in one push, which waits in the outbox because nobody listens.
fn one_push_of_tags(sandbox: &Sandbox, versions: std::ops::Range<usize>) {
    sandbox.deliver_to(NOBODY, "[delivery]\nlinger = \"0s\"\n");
    sandbox.commit("One of many", &[]);
    let tags: Vec<String> = versions.map(|n| format!("v1.0.{n}")).collect();
    for tag in &tags {
        sandbox.git(&["tag", tag]);
    }
    sandbox.push(&tags.iter().map(String::as_str).collect::<Vec<_>>()).succeeded();
    wait_until("the delivery was tried", || !sandbox.deliveries().is_empty());
    sandbox.wait_for_delivery_to_end();
    assert_eq!(sandbox.files("outbox/collector/new").len(), 1, "one file holds them all");
}

#[test]
fn one_bad_marker_of_a_push_stands_alone_in_the_end() {
    let sandbox = Sandbox::new();
    one_push_of_tags(&sandbox, 0..20);
    let bad = |request: &Request| says(request, "1.0.13");
    let recorder = Recorder::judging(move |request| match bad(request) {
        true => Answer::status(400).header("content-type", "text/plain").body("13 is no good"),
        false => Answer::status(200),
    });
    sandbox.deliver_to(&recorder.endpoint(), "");
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(
        (deliver.code, &*deliver.stdout),
        (Some(1), "19 markers delivered, 1 marker refused for good\n")
    );
    let taken: usize = recorder.requests().iter().filter(|request| !bad(request)).map(count).sum();
    assert_eq!(taken, 19, "every other one arrived, and only once");
    assert_eq!(sandbox.files("outbox/collector/new"), [""; 0]);
    let dead = sandbox.files("dead");
    assert_eq!(dead.len(), 2, "one letter and its reason: {dead:?}");
    let letter = std::fs::read_to_string(sandbox.state().join("dead").join(&dead[0])).expect("the letter");
    assert_eq!(letter.lines().count(), 2, "a first line and one marker");
    assert!(letter.contains("1.0.13"), "{letter}");
    let refused: Vec<_> =
        sandbox.deliveries().into_iter().filter(|delivery| delivery["outcome"] == "refused").collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["why"], "HTTP 400: 13 is no good");
    assert_eq!(refused[0]["markers"].as_array().expect("ids").len(), 1);
}

#[test]
fn what_went_out_before_a_failure_is_not_sent_again() {
    let sandbox = Sandbox::new();
    one_push_of_tags(&sandbox, 0..8);
    // The whole push is too much, its first half is taken, and then the back end goes away.
    let answers = [400, 200, 503].map(Answer::status);
    let recorder = Recorder::start(answers);
    sandbox.deliver_to(&recorder.endpoint(), "");
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(
        (deliver.code, &*deliver.stdout),
        (Some(1), "4 markers delivered, 1 file waits still; `gitea-lightstep status` says why\n")
    );
    assert_eq!(sandbox.waiting("collector").len(), 4);
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "4 markers delivered\n");
    let counts: Vec<_> = recorder.requests().iter().map(count).collect();
    assert_eq!(counts, [8, 4, 4, 4]);
    let delivered = sandbox.deliveries().into_iter().filter(|delivery| delivery["outcome"] == "delivered");
    let ids: Vec<String> = delivered
        .flat_map(|delivery| delivery["markers"].as_array().expect("ids").clone())
        .map(|id| id.to_string())
        .collect();
    assert_eq!(ids.len(), 8);
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 8);
}

#[test]
fn log_records_that_were_taken_are_not_sent_again_because_spans_were_not() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([200, 503, 503, 200].map(Answer::status));
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"30s\"\n");
    sandbox.commit("Deployed", &[]);
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    let requests = recorder.wait_for(4);
    let paths: Vec<_> = requests.iter().map(|request| &*request.path).collect();
    assert_eq!(paths, ["/v1/logs", "/v1/traces", "/v1/traces", "/v1/traces"]);
    wait_until("it is off the spool", || sandbox.files("outbox/collector/new").is_empty());
    assert_eq!(sandbox.files("dead"), [""; 0]);
}

#[test]
fn a_back_end_that_takes_no_log_records_gets_its_spans() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::judging(|request| match &*request.path {
        "/v1/traces" => Answer::status(200),
        _ => Answer::status(404),
    });
    sandbox.deliver_to(&recorder.endpoint(), "");
    sandbox.commit("Deployed", &[]);
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    wait_until("it is off the spool", || sandbox.files("dead").len() == 2);
    sandbox.wait_for_delivery_to_end();
    let paths: Vec<_> = recorder.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v1/logs", "/v1/traces"]);
    let letter = sandbox.files("dead").remove(0);
    let letter = std::fs::read_to_string(sandbox.state().join("dead").join(letter)).expect("the letter");
    let header: serde_json::Value =
        serde_json::from_str(letter.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&header["markers"], &header["only"]), (&2.into(), &"logs".into()));
}

#[test]
fn a_destination_that_is_down_holds_no_other_up() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    let destination =
        |name, url| format!("[[destination]]\nname = \"{name}\"\nkind = \"otlp\"\nendpoint = \"{url}\"\n");
    let both = [destination("down", NOBODY), destination("up", &recorder.endpoint())].concat();
    sandbox.configure(&both);
    sandbox.commit("For both", &[]);
    sandbox.push(&["main"]).succeeded();
    recorder.wait_for(1);
    wait_until("it is off one spool", || sandbox.files("outbox/up/new").is_empty());
    assert_eq!(sandbox.waiting("down").len(), 1);
}

#[test]
fn a_back_end_that_asks_for_time_gets_it_from_the_next_push_too() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([Answer::status(429).header("retry-after", "600")]);
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"2s\"\n");
    for n in 0..2 {
        sandbox.commit(&format!("Push {n}"), &[]);
        sandbox.push(&["main"]).succeeded();
        recorder.wait_for(1);
        sandbox.wait_for_deliverers_to_end();
    }
    assert_eq!(recorder.requests().len(), 1, "nobody asked again");
    let retried: Vec<_> =
        sandbox.deliveries().into_iter().filter(|delivery| delivery["outcome"] == "retried").collect();
    assert_eq!(retried.len(), 1);
    assert_eq!((&retried[0]["waiting"], &retried[0]["why"]), (&1.into(), &"HTTP 429".into()));
    // Who calls `deliver` wants it now.
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "2 markers delivered\n");
}

#[test]
fn requests_have_a_bounded_size() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "scripts/site.rhai",
        r#"fn enrich(marker, update) {
            let text = "x";
            while text.len < 4000 { text += text; }
            for n in 0..20 { marker.attributes[`acme.n${n}`] = text; }
            marker
        }"#,
    );
    one_push_of_tags(&sandbox, 0..40);
    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "compression = \"none\"\n");
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "40 markers delivered\n");
    let requests = recorder.requests();
    assert_eq!(requests.iter().map(count).sum::<usize>(), 40);
    assert!(requests.len() > 2, "{} requests for {} KiB", requests.len(), 40 * 20 * 4);
    assert!(requests.iter().all(|request| request.body.len() < 1100 << 10));
}
