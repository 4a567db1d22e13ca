//! The bytes on the wire: encodings, headers, paths, connections and the handling of answers.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest, common::v1::any_value, logs::v1::LogRecord,
};
use prost::Message as _;
use serde_json::Value;

use crate::support::{
    Sandbox,
    recorder::{Answer, Recorder, Request},
    wait_until,
};

fn first_record(request: &Request) -> LogRecord {
    let logs = ExportLogsServiceRequest::decode(&*request.content()).expect("logs");
    logs.resource_logs[0].scope_logs[0].log_records[0].clone()
}

#[test]
fn json_follows_the_rules_of_otlp() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "protocol = \"http/json\"\ncompression = \"none\"\n");
    sandbox.commit("In words", &[]);
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    let requests = recorder.wait_for(2);
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    assert_eq!(requests[0].header("content-encoding"), None);
    let logs: Value = serde_json::from_slice(&requests[0].body).expect("JSON");
    let record = &logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert!(record["timeUnixNano"].is_string(), "64-bit numbers are strings: {record}");
    assert_eq!(record["severityNumber"], 9, "enums are numbers");
    assert_eq!(record["traceId"].as_str().map(str::len), Some(32), "ids are hex");
    assert_eq!(record["spanId"].as_str().map(str::len), Some(16));
    let id = record["attributes"].as_array().expect("a list").iter();
    let id = id.clone().find(|a| a["key"] == "gitea_lightstep.repository.id").expect("the repository's id");
    assert_eq!(id["value"], serde_json::json!({ "intValue": "42" }));
    let traces: Value = serde_json::from_slice(&requests[1].body).expect("JSON");
    let span = &traces["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["kind"], 1, "INTERNAL");
    assert!(span["startTimeUnixNano"].is_string());
}

#[test]
fn lightstep_preset_sends_the_token_header() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    sandbox.write_secret("token", "s3cr3t-of-a-project\n");
    sandbox.configure(&format!(
        "[lightstep]\ntoken = {{ file = \"token\" }}\nendpoint = \"{}\"\n",
        recorder.endpoint()
    ));
    sandbox.commit("To Lightstep", &[]);
    let push = sandbox.push(&["-o", "deploy=prod", "main"]);
    push.succeeded();
    for (request, path) in recorder.wait_for(2).iter().zip(["/v1/logs", "/v1/traces"]) {
        assert_eq!(request.path, path);
        assert_eq!(request.header("lightstep-access-token"), Some("s3cr3t-of-a-project"));
    }
    sandbox.wait_for_delivery_to_end();
    assert!(!sandbox.everything_written().contains("s3cr3t"), "the token is written to no file");
    assert!(!push.stderr.contains("s3cr3t"));
}

#[test]
fn every_source_of_a_secret_works_from_the_detached_process() {
    let mut sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    sandbox.set("OTEL_TOKEN", "from-env");
    sandbox.set("CREDENTIALS_DIRECTORY", &sandbox.path("credentials").display().to_string());
    sandbox.write("credentials/otel", "from-credential\n");
    sandbox.write_secret("token", "from-file");
    sandbox.deliver_to(
        &recorder.endpoint(),
        "headers = { x-env = { env = \"OTEL_TOKEN\" }, x-file = { file = \"token\" }, x-text = \"plain\", \
         x-credential = { credential = \"otel\" }, X-Command = { command = [\"echo\", \"from-command\"] } }\n",
    );
    sandbox.commit("Many keys", &[]);
    sandbox.push(&["main"]).succeeded();
    let request = recorder.wait_for(1).remove(0);
    for (header, value) in [
        ("x-env", "from-env"),
        ("x-file", "from-file"),
        ("x-text", "plain"),
        ("x-credential", "from-credential"),
        ("x-command", "from-command"),
    ] {
        assert_eq!(request.header(header), Some(value), "{header}");
    }
}

#[test]
fn retryable_answer_is_retried_with_the_same_ids() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([
        Answer::status(503).header("retry-after", "0"),
        Answer::status(429),
        Answer::status(502),
        Answer::status(504),
    ]);
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nlinger = \"60s\"\n");
    sandbox.commit("Again and again", &[]);
    sandbox.push(&["main"]).succeeded();
    let requests = recorder.wait_for(5);
    let id = |request: &Request| {
        let attributes = first_record(request).attributes;
        let id = attributes.into_iter().find(|attribute| attribute.key == "gitea_lightstep.marker.id");
        id.expect("the marker's id").value
    };
    let first = id(&requests[0]);
    assert!(requests.iter().all(|request| id(request) == first));
    sandbox.wait_for_delivery_to_end();
    let outcomes: Vec<Value> = sandbox.deliveries().iter().map(|entry| entry["outcome"].clone()).collect();
    assert_eq!(outcomes, ["retried", "retried", "retried", "retried", "delivered"]);
    assert_eq!(sandbox.files("outbox/collector/new").len(), 0);
}

#[test]
fn rejected_batch_is_a_dead_letter_with_the_back_ends_message() {
    let sandbox = Sandbox::new();
    // google.rpc.Status: code 3 (field 1), and a message (field 2).
    let status = [&b"\x08\x03\x12\x0c"[..], b"no such team"].concat();
    let recorder =
        Recorder::start([Answer::status(400).header("content-type", "application/x-protobuf").body(status)]);
    sandbox.deliver_to(&recorder.endpoint(), "");
    sandbox.commit("Refused", &[]);
    sandbox.push(&["main"]).succeeded();
    wait_until("the batch is a dead letter", || sandbox.files("dead").len() == 2);
    sandbox.wait_for_delivery_to_end();
    let status = sandbox.binary(&["status"]);
    assert_eq!(status.code, Some(1));
    assert!(status.stdout.contains("HTTP 400: no such team"), "{}", status.stdout);
    let delivery = sandbox.deliveries().pop().expect("an entry");
    assert_eq!(
        (&delivery["outcome"], &delivery["why"]),
        (&"refused".into(), &"HTTP 400: no such team".into())
    );
    assert_eq!(sandbox.files("outbox/collector/new").len(), 0);
}

#[test]
fn rejected_file_does_not_affect_others() {
    let sandbox = Sandbox::new();
    let down = Recorder::start(std::iter::repeat_n(Answer::status(503), 20));
    sandbox.deliver_to(&down.endpoint(), "[delivery]\nlinger = \"0s\"\n");
    for n in 0..4 {
        sandbox.commit(&format!("Push {n}"), &[]);
        sandbox.push(&["main"]).succeeded();
        wait_until("the delivery was tried", || sandbox.deliveries().len() > n);
        sandbox.wait_for_delivery_to_end();
    }
    assert_eq!(sandbox.waiting("collector").len(), 4);
    // The requests: all four, the first two, the first, the second (rejected), and the last two.
    let answers = [400, 400, 200, 400, 200].map(Answer::status);
    let up = Recorder::start(answers);
    sandbox.deliver_to(&up.endpoint(), "");
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(
        (deliver.code, &*deliver.stdout),
        (Some(1), "3 markers delivered, 1 marker refused permanently\n")
    );
    assert_eq!(up.requests().len(), 5);
    assert_eq!(sandbox.files("dead").len(), 2, "one dead letter and its reason");
}

#[test]
fn partial_success_is_recorded_and_not_sent_again() {
    let sandbox = Sandbox::new();
    let answer = r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"attribute too long"}}"#;
    let recorder =
        Recorder::start([Answer::status(200).header("content-type", "application/json").body(answer)]);
    sandbox.deliver_to(&recorder.endpoint(), "protocol = \"http/json\"\n");
    sandbox.commit("Half taken", &[]);
    sandbox.push(&["main"]).succeeded();
    wait_until("the delivery is recorded", || sandbox.deliveries().len() == 1);
    sandbox.wait_for_delivery_to_end();
    let delivery = sandbox.deliveries().remove(0);
    assert_eq!(delivery["outcome"], "rejected");
    assert_eq!(delivery["why"], "1 rejected: attribute too long");
    assert_eq!(sandbox.files("outbox/collector/new").len(), 0);
    assert_eq!(recorder.requests().len(), 1);
}

#[test]
fn redirect_is_not_followed_with_a_token() {
    let sandbox = Sandbox::new();
    let elsewhere = Recorder::start([]);
    let recorder =
        Recorder::start(
            [Answer::status(307).header("location", format!("{}/v1/logs", elsewhere.endpoint()))],
        );
    sandbox.deliver_to(&recorder.endpoint(), "headers = { authorization = \"Bearer x\" }\n");
    sandbox.commit("Follow me", &[]);
    sandbox.push(&["main"]).succeeded();
    wait_until("the batch is refused", || sandbox.files("dead").len() == 2);
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn markers_are_delivered_to_a_destination_added_later() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Early", &[]);
    sandbox.push(&["main"]).succeeded();
    let status = sandbox.binary(&["status"]);
    assert!(status.stdout.contains("destination  none is configured"), "{}", status.stdout);
    assert!(status.stdout.contains("unassigned   1 file waiting"), "{}", status.stdout);
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(
        (deliver.code, &*deliver.stdout),
        (
            Some(1),
            "no destination is configured, so 1 file waits in the spool; add [lightstep] or a \
             [[destination]] to the configuration\n"
        )
    );
    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "");
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "1 marker delivered\n");
    let body = first_record(&recorder.requests()[0]).body.and_then(|body| body.value);
    assert_eq!(body, Some(any_value::Value::StringValue(format!("change shop {}: Early", &commit[..12]))));
}
