//! The bytes on the wire: encodings, headers, paths, connections, and what an answer means.

use std::process::Command;

use serde_json::Value;

use crate::support::{
    Sandbox, manifest_dir,
    recorder::{Answer, Recorder, Request},
    wait_until,
};

/// Decodes a body with the generated classes of PyPI's opentelemetry-proto, which shares no code with
/// ours and refuses what rotel lets pass.
fn decode(signal: &str, body: &[u8]) -> Vec<Value> {
    let python = match std::env::var_os("GITEA_LIGHTSTEP_TEST_ENV") {
        Some(dir) => std::path::PathBuf::from(dir).join("bin/python"),
        None => manifest_dir().join("target/test-env/bin/python"),
    };
    assert!(python.exists(), "{} is missing: run tests/run once", python.display());
    let sandbox = Sandbox::new();
    let mut command = Command::new(python);
    command.arg(manifest_dir().join("tests/support/decode_otlp.py")).arg(signal);
    let ran = sandbox.run(&mut command, body);
    ran.succeeded().stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn protobuf_is_what_an_independent_decoder_expects() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "");
    sandbox.write(
        "scripts/site.rhai",
        r#"fn enrich(marker, update) {
            marker.attributes["n"] = 7;
            marker.attributes["f"] = 0.5;
            marker.attributes["b"] = true;
            marker.attributes["l"] = ["x", "y"];
            marker.attributes["service.version"] = "mine";
            marker
        }"#,
    );
    let commit = sandbox.commit("Decoded elsewhere", &[]);
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    let requests = recorder.wait_for(2);
    assert_eq!([&*requests[0].path, &*requests[1].path], ["/v1/logs", "/v1/traces"]);
    for request in &requests {
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(request.header("content-encoding"), Some("gzip"));
        assert_eq!(
            request.header("user-agent"),
            Some(concat!("gitea-lightstep/", env!("CARGO_PKG_VERSION")))
        );
    }
    assert_eq!(requests[0].connection, requests[1].connection, "one connection is used again");

    let records = decode("logs", &requests[0].content());
    assert_eq!(records.len(), 2, "the change and the deployment");
    let change =
        records.iter().find(|record| record["event_name"] == "gitea_lightstep.change").expect("the change");
    assert_eq!(change["resource"]["service.name"], "shop");
    assert_eq!(change["resource"]["service.version"], *commit);
    assert_eq!(change["severity_number"], 9);
    assert_eq!(change["body"], "Decoded elsewhere");
    let attributes = &change["attributes"];
    assert_eq!(attributes["vcs.ref.head.revision"], *commit);
    assert_eq!(attributes["gitea_lightstep.repository.id"], 42);
    assert_eq!(
        (&attributes["n"], &attributes["f"], &attributes["b"]),
        (&7.into(), &0.5.into(), &true.into())
    );
    assert_eq!(attributes["l"], serde_json::json!(["x", "y"]));
    assert_eq!(attributes["service.version"], Value::Null, "a script cannot give a key twice");
    let time = change["time_unix_nano"].as_u64().expect("a time");
    let observed = change["observed_time_unix_nano"].as_u64().expect("a time");
    assert!(time > 0 && observed >= time, "{time} {observed}");

    let spans = decode("traces", &requests[1].content());
    assert_eq!(spans.len(), 1, "only the deployment is a span");
    assert_eq!(spans[0]["kind"], "SPAN_KIND_SERVER");
    assert_eq!(spans[0]["trace_id"], change["trace_id"]);
    assert_eq!(spans[0]["resource"]["deployment.environment.name"], "prod");
    assert_eq!(spans[0]["attributes"]["service.version"], *commit);
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
    assert_eq!(span["kind"], 2);
    assert!(span["startTimeUnixNano"].is_string());
}

#[test]
fn the_lightstep_preset_sends_the_token_where_lightstep_looks_for_it() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    sandbox.write("token", "s3cr3t-of-a-project\n");
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
    assert!(!sandbox.everything_written().contains("s3cr3t"), "the token is in no file of ours");
    assert!(!push.stderr.contains("s3cr3t"));
}

#[test]
fn every_source_of_a_secret_works_from_the_detached_process() {
    let mut sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    sandbox.set("OTEL_TOKEN", "from-env");
    sandbox.set("CREDENTIALS_DIRECTORY", &sandbox.path("credentials").display().to_string());
    sandbox.write("credentials/otel", "from-credential\n");
    sandbox.write("token", "from-file");
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
fn a_retryable_answer_is_tried_again_and_the_ids_stay() {
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
        decode("logs", &request.content())[0]["attributes"]["gitea_lightstep.marker.id"].clone()
    };
    let first = id(&requests[0]);
    assert!(requests.iter().all(|request| id(request) == first));
    sandbox.wait_for_delivery_to_end();
    let outcomes: Vec<Value> = sandbox.deliveries().iter().map(|entry| entry["outcome"].clone()).collect();
    assert_eq!(outcomes, ["retried", "retried", "retried", "retried", "delivered"]);
    assert_eq!(sandbox.files("outbox/collector/new").len(), 0);
}

#[test]
fn a_refused_batch_is_a_dead_letter_with_the_back_ends_own_words() {
    let sandbox = Sandbox::new();
    // google.rpc.Status: code 3 (field 1), message (field 2).
    let status = [&b"\x08\x03\x12\x0c"[..], b"no such team"].concat();
    let recorder =
        Recorder::start([Answer::status(400).header("content-type", "application/x-protobuf").body(status)]);
    sandbox.deliver_to(&recorder.endpoint(), "");
    sandbox.commit("Refused", &[]);
    sandbox.push(&["main"]).succeeded();
    wait_until("the batch is dead", || sandbox.files("dead").len() == 2);
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
fn one_bad_file_takes_no_neighbour_with_it() {
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
    // All four, the first two, the first, the second (refused), the last two.
    let answers = [400, 400, 200, 400, 200].map(Answer::status);
    let up = Recorder::start(answers);
    sandbox.deliver_to(&up.endpoint(), "");
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(
        (deliver.code, &*deliver.stdout),
        (Some(1), "3 markers delivered, 1 marker refused for good\n")
    );
    assert_eq!(up.requests().len(), 5);
    assert_eq!(sandbox.files("dead").len(), 2, "one letter and its reason");
}

#[test]
fn a_partial_success_is_recorded_and_never_sent_again() {
    let sandbox = Sandbox::new();
    let answer = r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"attribute too long"}}"#;
    let recorder =
        Recorder::start([Answer::status(200).header("content-type", "application/json").body(answer)]);
    sandbox.deliver_to(&recorder.endpoint(), "protocol = \"http/json\"\n");
    sandbox.commit("Half taken", &[]);
    sandbox.push(&["main"]).succeeded();
    wait_until("it is recorded", || sandbox.deliveries().len() == 1);
    sandbox.wait_for_delivery_to_end();
    let delivery = sandbox.deliveries().remove(0);
    assert_eq!(delivery["outcome"], "rejected");
    assert_eq!(delivery["why"], "1 rejected: attribute too long");
    assert_eq!(sandbox.files("outbox/collector/new").len(), 0);
    assert_eq!(recorder.requests().len(), 1);
}

#[test]
fn a_redirect_is_not_followed_with_the_token() {
    let sandbox = Sandbox::new();
    let elsewhere = Recorder::start([]);
    let recorder =
        Recorder::start(
            [Answer::status(307).header("location", format!("{}/v1/logs", elsewhere.endpoint()))],
        );
    sandbox.deliver_to(&recorder.endpoint(), "headers = { authorization = \"Bearer x\" }\n");
    sandbox.commit("Follow me", &[]);
    sandbox.push(&["main"]).succeeded();
    wait_until("it is refused", || sandbox.files("dead").len() == 2);
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn markers_of_before_there_was_a_destination_are_delivered_once_there_is_one() {
    let sandbox = Sandbox::new();
    sandbox.commit("Early", &[]);
    sandbox.push(&["main"]).succeeded();
    let status = sandbox.binary(&["status"]);
    assert!(status.stdout.contains("destination  none is set"), "{}", status.stdout);
    assert!(status.stdout.contains("unassigned   1 file waiting"), "{}", status.stdout);
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(
        (deliver.code, &*deliver.stdout),
        (
            Some(1),
            "no destination is set, so 1 file waits in the spool; add [lightstep] or a [[destination]] to the configuration\n"
        )
    );
    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "");
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "1 marker delivered\n");
    assert_eq!(decode("logs", &recorder.requests()[0].content())[0]["body"], "Early");
}
