//! Failures of delivery: a bad marker, a request format that the back end rejects, or a destination
//! that is down must not affect anything else.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;

use crate::support::{
    Sandbox,
    recorder::{Answer, Recorder, Request},
    wait_until,
};

/// Address without a server: port 9 is reserved for the obsolete discard service (RFC 863).
const NOBODY: &str = "http://127.0.0.1:9";

/// Returns the number of markers in a request.
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

/// Pushes version tags in one push. They stay in the outbox, because the destination is down.
fn one_push_of_tags(sandbox: &Sandbox, versions: std::ops::Range<usize>) {
    sandbox.deliver_to(NOBODY, "[delivery]\nlinger = \"0s\"\n");
    sandbox.commit("One of many", &[]);
    let tags: Vec<String> = versions.map(|n| format!("v1.0.{n}")).collect();
    for tag in &tags {
        sandbox.git(&["tag", tag]);
    }
    sandbox.push(&tags.iter().map(String::as_str).collect::<Vec<_>>()).succeeded();
    wait_until("a delivery is attempted", || !sandbox.deliveries().is_empty());
    sandbox.wait_for_delivery_to_end();
    assert_eq!(sandbox.files("outbox/collector/new").len(), 1, "one file holds all markers");
}

#[test]
fn rejected_marker_is_isolated_from_its_push() {
    let sandbox = Sandbox::new();
    one_push_of_tags(&sandbox, 0..20);
    let bad = |request: &Request| says(request, "1.0.13");
    let recorder = Recorder::judging(move |request| match bad(request) {
        true => Answer::status(400).header("content-type", "text/plain").body("13 is bad"),
        false => Answer::status(200),
    });
    sandbox.deliver_to(&recorder.endpoint(), "");
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(
        (deliver.code, &*deliver.stdout),
        (Some(1), "19 markers delivered, 1 marker refused permanently\n")
    );
    let taken: usize = recorder.requests().iter().filter(|request| !bad(request)).map(count).sum();
    assert_eq!(taken, 19, "each other marker arrived exactly once");
    assert_eq!(sandbox.files("outbox/collector/new"), [""; 0]);
    let dead = sandbox.files("dead");
    assert_eq!(dead.len(), 2, "one dead letter and its reason: {dead:?}");
    let letter =
        std::fs::read_to_string(sandbox.state().join("dead").join(&dead[0])).expect("the dead letter");
    assert_eq!(letter.lines().count(), 2, "a header line and one marker");
    assert!(letter.contains("1.0.13"), "{letter}");
    let refused: Vec<_> =
        sandbox.deliveries().into_iter().filter(|delivery| delivery["outcome"] == "refused").collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["why"], "HTTP 400: 13 is bad");
    assert_eq!(refused[0]["markers"].as_array().expect("ids").len(), 1);
}

#[test]
fn markers_delivered_before_a_failure_are_not_sent_again() {
    let sandbox = Sandbox::new();
    one_push_of_tags(&sandbox, 0..8);
    // The full batch is rejected, its first half is accepted, and then the back end becomes
    // unavailable.
    let answers = [400, 200, 503].map(Answer::status);
    let recorder = Recorder::start(answers);
    sandbox.deliver_to(&recorder.endpoint(), "");
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(
        (deliver.code, &*deliver.stdout),
        (Some(1), "4 markers delivered, 1 file waits in the spool; `gitea-lightstep status` says why\n")
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
fn accepted_log_records_are_not_sent_again_when_spans_fail() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([200, 503, 503, 200].map(Answer::status));
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"30s\"\n");
    sandbox.commit("Deployed", &[]);
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    let requests = recorder.wait_for(4);
    let paths: Vec<_> = requests.iter().map(|request| &*request.path).collect();
    assert_eq!(paths, ["/v1/logs", "/v1/traces", "/v1/traces", "/v1/traces"]);
    wait_until("the spool is empty", || sandbox.files("outbox/collector/new").is_empty());
    assert_eq!(sandbox.files("dead"), [""; 0]);
}

#[test]
fn back_end_that_rejects_log_records_still_gets_spans() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::judging(|request| match &*request.path {
        "/v1/traces" => Answer::status(200),
        _ => Answer::status(404),
    });
    sandbox.deliver_to(&recorder.endpoint(), "");
    sandbox.commit("Deployed", &[]);
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    wait_until("the spool is empty", || sandbox.files("dead").len() == 2);
    sandbox.wait_for_delivery_to_end();
    let paths: Vec<_> = recorder.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v1/logs", "/v1/traces"]);
    let letter = sandbox.files("dead").remove(0);
    let letter = std::fs::read_to_string(sandbox.state().join("dead").join(letter)).expect("the dead letter");
    let header: serde_json::Value =
        serde_json::from_str(letter.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&header["markers"], &header["only"]), (&2.into(), &"logs".into()));
}

#[test]
fn unavailable_destination_does_not_delay_others() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    let destination =
        |name, url| format!("[[destination]]\nname = \"{name}\"\nkind = \"otlp\"\nendpoint = \"{url}\"\n");
    let both = [destination("down", NOBODY), destination("up", &recorder.endpoint())].concat();
    sandbox.configure(&both);
    sandbox.commit("For both", &[]);
    sandbox.push(&["main"]).succeeded();
    recorder.wait_for(1);
    wait_until("the spool of `up` is empty", || sandbox.files("outbox/up/new").is_empty());
    assert_eq!(sandbox.waiting("down").len(), 1);
}

#[test]
fn retry_after_is_honoured_by_the_next_push() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([Answer::status(429).header("retry-after", "600")]);
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"2s\"\n");
    for n in 0..2 {
        sandbox.commit(&format!("Push {n}"), &[]);
        sandbox.push(&["main"]).succeeded();
        recorder.wait_for(1);
        sandbox.wait_for_deliverers_to_end();
    }
    assert_eq!(recorder.requests().len(), 1, "the request is not repeated");
    let retried: Vec<_> =
        sandbox.deliveries().into_iter().filter(|delivery| delivery["outcome"] == "retried").collect();
    assert_eq!(retried.len(), 1);
    assert_eq!((&retried[0]["waiting"], &retried[0]["why"]), (&1.into(), &"HTTP 429".into()));
    // A manual `deliver` does not wait for the requested time.
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "2 markers delivered\n");
}

#[test]
fn last_attempt_is_at_the_end_of_the_time_for_retries() {
    let sandbox = Sandbox::new();
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = times.clone();
    let recorder = Recorder::judging(move |_| {
        seen.lock().expect("no panic").push(Instant::now());
        Answer::status(503)
    });
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"2s\"\n");
    // The waits are random, so an attempt at the end by chance is improbable.
    let tries = || {
        let tries = std::mem::take(&mut *times.lock().expect("no panic"));
        let [first, .., last] = tries[..] else { panic!("{} attempts", tries.len()) };
        assert!(tries.len() < 100, "{} attempts", tries.len());
        last - first
    };
    let expected = Duration::from_millis(1800)..Duration::from_millis(3500);
    for n in 0..2 {
        sandbox.commit(&format!("Push {n}"), &[]);
        sandbox.push(&["main"]).succeeded();
        recorder.wait_for(1);
        sandbox.wait_for_deliverers_to_end();
        let last = tries();
        assert!(expected.contains(&last), "a push: {last:?}");
        assert_eq!(sandbox.binary(&["deliver", "--follow", "--for", "2s"]).code, Some(1));
        let last = tries();
        assert!(expected.contains(&last), "--follow: {last:?}");
    }
}

#[test]
fn answer_is_parsed_by_its_content_type() {
    use opentelemetry_proto::tonic::collector::logs::v1::{
        ExportLogsPartialSuccess, ExportLogsServiceResponse,
    };
    let message = || "too old".to_string();
    let partial = ExportLogsPartialSuccess { rejected_log_records: 1, error_message: message() };
    let protobuf = ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let json = r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#;
    for (protocol, content_type, body) in [
        ("http/protobuf", "application/json; charset=utf-8", json.as_bytes().to_vec()),
        ("http/json", "Application/X-Protobuf", protobuf),
    ] {
        let sandbox = Sandbox::new();
        let recorder = Recorder::start([Answer::status(200).header("Content-Type", content_type).body(body)]);
        sandbox.deliver_to(&recorder.endpoint(), &format!("protocol = \"{protocol}\"\n"));
        sandbox.commit("Too old", &[]);
        sandbox.push(&["main"]).succeeded();
        recorder.wait_for(1);
        sandbox.wait_for_delivery_to_end();
        let delivery = sandbox.deliveries().remove(0);
        assert_eq!(
            (&delivery["outcome"], &delivery["why"]),
            (&"rejected".into(), &"1 rejected: too old".into())
        );
    }
}

/// Starts a receiver that answers 500 to every request that contains this text.
fn failing_on(text: &'static str) -> Recorder {
    Recorder::judging(move |request| Answer::status(if says(request, text) { 500 } else { 200 }))
}

#[test]
fn failing_marker_is_isolated_and_others_are_delivered() {
    let sandbox = Sandbox::new();
    one_push_of_tags(&sandbox, 0..20);
    let recorder = failing_on("1.0.13");
    sandbox.deliver_to(&recorder.endpoint(), "");
    let runs: Vec<_> = (0..4).map(|_| sandbox.binary(&["deliver"])).collect();
    assert!(runs[..2].iter().all(|ran| ran.stdout.starts_with("0 markers delivered")), "{runs:?}");
    let taken: usize = recorder.requests().iter().filter(|request| !says(request, "1.0.13")).map(count).sum();
    assert_eq!(taken, 19, "each other marker arrived exactly once: {runs:?}");
    let waiting = sandbox.waiting("collector");
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["version"], "1.0.13");
    assert_eq!(sandbox.files("dead"), [""; 0], "no dead letter before give_up_after");

    // The commands report it, with the same ID on each attempt.
    let status = sandbox.binary(&["status"]);
    assert_eq!(status.code, Some(1));
    assert!(status.stdout.contains(" waits alone: HTTP 500"), "{}", status.stdout);
    let list = sandbox.binary(&["queue", "list"]).succeeded().stdout.clone();
    assert!(list.contains("1 marker: release shop, waits alone, tried "), "{list}");
    let id = list.split_whitespace().next().expect("an id").to_string();
    let show = sandbox.binary(&["queue", "show", &id]).succeeded().stdout.clone();
    assert!(show.contains("waits alone") && show.contains("HTTP 500"), "{show}");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    let list = sandbox.binary(&["queue", "list"]).succeeded().stdout.clone();
    assert!(list.starts_with(&id), "{list}");

    // Later pushes are delivered, and do not retry the marker before it is due.
    let before = recorder.requests().len();
    sandbox.commit("Later", &[]);
    sandbox.push(&["main"]).succeeded();
    recorder.wait_for(before + 1);
    sandbox.wait_for_delivery_to_end();
    let later = recorder.requests().split_off(before);
    assert_eq!(later.iter().map(|request| says(request, "1.0.13")).collect::<Vec<_>>(), [false]);

    // When the destination works again, the marker is delivered normally.
    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "");
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "1 marker delivered\n");
    assert!(!sandbox.binary(&["status"]).stdout.contains("alone"));
}

#[test]
fn isolated_marker_becomes_a_dead_letter_alone() {
    let sandbox = Sandbox::new();
    one_push_of_tags(&sandbox, 0..3);
    let recorder = failing_on("1.0.1");
    sandbox.deliver_to(&recorder.endpoint(), "");
    for _ in 0..3 {
        sandbox.binary(&["deliver"]).succeeded_or_found();
    }
    assert_eq!(sandbox.waiting("collector").len(), 1);
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\ngive_up_after = \"1ms\"\n");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(sandbox.waiting("collector").len(), 0);
    let dead = sandbox.files("dead");
    assert_eq!(dead.len(), 2, "{dead:?}");
    assert!(!dead[0].contains("alone"), "{dead:?}");
    let list = sandbox.binary(&["queue", "list", "--dead"]).succeeded().stdout.clone();
    assert!(
        list.contains("older than [delivery] give_up_after; last error when retried alone: HTTP 500"),
        "{list}"
    );
    // A dead letter that is put back is retried like a new marker.
    let good = Recorder::start([]);
    sandbox.deliver_to(&good.endpoint(), "");
    sandbox.binary(&["queue", "retry", "--all"]).succeeded();
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "1 marker delivered\n");
}

#[test]
fn several_bad_markers_do_not_delay_others() {
    let sandbox = Sandbox::new();
    one_push_of_tags(&sandbox, 0..40);
    // In both halves, at both ends, and next to each other.
    let bad = ["1.0.0", "1.0.20", "1.0.21", "1.0.39"];
    let is_bad = move |request: &Request| bad.iter().any(|version| says(request, &format!("\"v{version}\"")));
    let recorder = Recorder::judging(move |request| Answer::status(if is_bad(request) { 502 } else { 200 }));
    sandbox.deliver_to(&recorder.endpoint(), "protocol = \"http/json\"\n");
    // The two markers of an attempt may both be bad, which takes one more attempt.
    let left = || sandbox.waiting("collector").len();
    for _ in 0..40 {
        sandbox.binary(&["deliver"]).succeeded_or_found();
        let names = sandbox.files("outbox/collector/new");
        if names.iter().all(|name| name.contains(".alone-")) {
            break;
        }
    }
    assert_eq!(left(), 4, "{:?}", sandbox.files("outbox/collector/new"));
    let requests = recorder.requests().len();
    assert!(requests < 200, "{requests} requests");
}

#[test]
fn unavailable_destination_gets_few_requests_and_no_marker_is_isolated() {
    let sandbox = Sandbox::new();
    one_push_of_tags(&sandbox, 0..64);
    let recorder = Recorder::judging(|_| Answer::status(500));
    sandbox.deliver_to(&recorder.endpoint(), "");
    for _ in 0..12 {
        sandbox.binary(&["deliver"]).succeeded_or_found();
    }
    let requests = recorder.requests().len();
    assert!((12..=12 + 6).contains(&requests), "{requests} requests for 12 tries");
    assert_eq!(sandbox.waiting("collector").len(), 64);
    assert_eq!(sandbox.files("outbox/collector/new").len(), 1, "no marker was isolated");
    assert_eq!(sandbox.files("dead"), [""; 0]);
    let good = Recorder::start([]);
    sandbox.deliver_to(&good.endpoint(), "");
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "64 markers delivered\n");
}

#[test]
fn no_marker_is_isolated_without_an_answer_or_with_retry_after() {
    for answer in [Answer::status(503).header("retry-after", "1"), Answer::status(429), Answer::status(408)] {
        let sandbox = Sandbox::new();
        one_push_of_tags(&sandbox, 0..16);
        let recorder = Recorder::judging(move |_| answer.clone());
        sandbox.deliver_to(&recorder.endpoint(), "");
        for _ in 0..6 {
            sandbox.binary(&["deliver"]).succeeded_or_found();
        }
        assert_eq!(recorder.requests().len(), 6);
        assert_eq!(sandbox.waiting("collector").len(), 16);
    }
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
