//! The bytes on the wire, decoded by the classes of PyPI's opentelemetry-proto.

use serde_json::Value;

use crate::support::{Sandbox, python, recorder::Recorder};

/// Decodes a body with generated classes that share no code with ours, and that are stricter than
/// rotel.
fn decode(signal: &str, body: &[u8]) -> Vec<Value> {
    let ran = python::run(&Sandbox::new(), "decode_otlp.py", &[signal], body);
    ran.succeeded().stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn protobuf_is_accepted_by_an_independent_decoder() {
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
    assert_eq!(requests[0].connection, requests[1].connection, "both requests use one connection");

    let records = decode("logs", &requests[0].content());
    assert_eq!(records.len(), 2, "the change and the deployment");
    let change =
        records.iter().find(|record| record["event_name"] == "gitea_lightstep.change").expect("the change");
    assert_eq!(change["resource"]["service.name"], "shop");
    assert_eq!(change["resource"]["service.version"], *commit);
    assert_eq!(change["severity_number"], 9);
    assert_eq!(change["body"], format!("change shop {}: Decoded elsewhere", &commit[..12]));
    let attributes = &change["attributes"];
    assert_eq!(attributes["vcs.ref.head.revision"], *commit);
    assert_eq!(attributes["gitea_lightstep.repository.id"], 42);
    assert_eq!(
        (&attributes["n"], &attributes["f"], &attributes["b"]),
        (&7.into(), &0.5.into(), &true.into())
    );
    assert_eq!(attributes["l"], serde_json::json!(["x", "y"]));
    assert_eq!(attributes["service.version"], Value::Null, "a script cannot set a resource attribute again");
    let time = change["time_unix_nano"].as_u64().expect("a time");
    let observed = change["observed_time_unix_nano"].as_u64().expect("a time");
    assert!(time > 0 && observed >= time, "{time} {observed}");

    let spans = decode("traces", &requests[1].content());
    assert_eq!(spans.len(), 1, "only the deployment is a span");
    assert_eq!(spans[0]["kind"], "SPAN_KIND_INTERNAL");
    assert_eq!(spans[0]["trace_id"], change["trace_id"]);
    assert_eq!(spans[0]["resource"]["deployment.environment.name"], "prod");
    assert_eq!(spans[0]["attributes"]["service.version"], *commit);
}
