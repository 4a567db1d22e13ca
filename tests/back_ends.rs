//! Every configuration in docs/back-ends.md: pushes a deployment through it, and checks the
//! requests against the documentation of that back end.

use std::{collections::BTreeMap, fs};

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::any_value,
    resource::v1::Resource,
};
use prost::Message as _;

use crate::support::{
    Sandbox, manifest_dir,
    recorder::{Answer, Recorder, Request},
};

/// The documented OTLP endpoint of a back end.
struct BackEnd {
    /// Heading in the document.
    heading: &'static str,
    /// URL of the vendor's documentation.
    source: &'static str,
    /// Addresses for logs and traces, without the scheme.
    logs: Option<&'static str>,
    traces: Option<&'static str>,
    /// Required headers of every request.
    headers: &'static [(&'static str, &'static str)],
}

/// Values of the token and of Grafana's instance ID.
const TOKEN: &str = "t0ken-of-a-test";
const INSTANCE: &str = "123456";

const BACK_ENDS: [BackEnd; 12] = [
    BackEnd {
        heading: "OpenTelemetry Collector",
        source: "https://github.com/open-telemetry/opentelemetry-proto/blob/main/docs/specification.md",
        logs: Some("127.0.0.1:4318/v1/logs"),
        traces: Some("127.0.0.1:4318/v1/traces"),
        headers: &[],
    },
    BackEnd {
        heading: "Jaeger",
        source: "https://www.jaegertracing.io/docs/latest/apis/",
        logs: None,
        traces: Some("jaeger.example.com:4318/v1/traces"),
        headers: &[],
    },
    BackEnd {
        heading: "Grafana with Tempo and Loki",
        source: "https://grafana.com/docs/loki/latest/send-data/otel/",
        logs: Some("loki.example.com:3100/otlp/v1/logs"),
        traces: Some("tempo.example.com:4318/v1/traces"),
        headers: &[],
    },
    BackEnd {
        heading: "Grafana Cloud",
        source: "https://grafana.com/docs/grafana-cloud/send-data/otlp/send-data-otlp/",
        logs: Some("otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/logs"),
        traces: Some("otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/traces"),
        // Base64 of 123456:t0ken-of-a-test
        headers: &[("authorization", "Basic MTIzNDU2OnQwa2VuLW9mLWEtdGVzdA==")],
    },
    BackEnd {
        heading: "Honeycomb",
        source: "https://docs.honeycomb.io/send-data/opentelemetry",
        logs: Some("api.honeycomb.io/v1/logs"),
        traces: Some("api.honeycomb.io/v1/traces"),
        headers: &[("x-honeycomb-team", TOKEN)],
    },
    BackEnd {
        heading: "Datadog",
        source: "https://docs.datadoghq.com/opentelemetry/setup/otlp_ingest/logs/",
        logs: Some("otlp.datadoghq.com/v1/logs"),
        traces: None,
        headers: &[("dd-api-key", TOKEN)],
    },
    BackEnd {
        heading: "New Relic",
        source: "https://docs.newrelic.com/docs/opentelemetry/best-practices/opentelemetry-otlp/",
        logs: Some("otlp.nr-data.net/v1/logs"),
        traces: Some("otlp.nr-data.net/v1/traces"),
        headers: &[("api-key", TOKEN)],
    },
    BackEnd {
        heading: "Dynatrace",
        source: "https://docs.dynatrace.com/docs/ingest-from/opentelemetry/monitor",
        logs: Some("abc12345.live.dynatrace.com/api/v2/otlp/v1/logs"),
        traces: Some("abc12345.live.dynatrace.com/api/v2/otlp/v1/traces"),
        headers: &[("authorization", "Api-Token t0ken-of-a-test")],
    },
    BackEnd {
        heading: "Dash0",
        source: "https://www.dash0.com/hub/integrations/int_otlp/overview",
        logs: Some("ingress.eu-west-1.aws.dash0.com/v1/logs"),
        traces: Some("ingress.eu-west-1.aws.dash0.com/v1/traces"),
        headers: &[("authorization", "Bearer t0ken-of-a-test"), ("dash0-dataset", "default")],
    },
    BackEnd {
        heading: "SigNoz",
        source: "https://signoz.io/docs/ingestion/signoz-cloud/overview/",
        logs: Some("ingest.eu.signoz.cloud:443/v1/logs"),
        traces: Some("ingest.eu.signoz.cloud:443/v1/traces"),
        headers: &[("signoz-ingestion-key", TOKEN)],
    },
    BackEnd {
        heading: "Elastic",
        source: "https://www.elastic.co/docs/reference/managed-inputs/managed-otlp-endpoint",
        logs: Some("my-project-a1b2c3.ingest.eu-west-1.aws.elastic.cloud:443/v1/logs"),
        traces: Some("my-project-a1b2c3.ingest.eu-west-1.aws.elastic.cloud:443/v1/traces"),
        headers: &[("authorization", "ApiKey t0ken-of-a-test")],
    },
    BackEnd {
        heading: "VictoriaLogs and VictoriaTraces",
        source: "https://docs.victoriametrics.com/victorialogs/data-ingestion/opentelemetry/",
        logs: Some("victorialogs.example.com:9428/insert/opentelemetry/v1/logs"),
        traces: Some("victoriatraces.example.com:10428/insert/opentelemetry/v1/traces"),
        headers: &[],
    },
];

/// Returns the sections of the document that contain a configuration, by heading.
fn sections() -> BTreeMap<String, String> {
    let document = fs::read_to_string(manifest_dir().join("docs/back-ends.md")).expect("the document");
    let sections = document.split("\n## ").skip(1).filter(|section| section.contains("```toml\n"));
    let sections = sections.map(|section| {
        let (heading, rest) = section.split_once('\n').expect("a line");
        (heading.to_string(), rest.to_string())
    });
    sections.collect()
}

/// Returns the code block of a section in this language, if there is one. Panics if there are
/// several.
fn block<'s>(section: &'s str, language: &str) -> Option<&'s str> {
    let begin = format!("```{language}\n");
    assert!(section.matches(&begin).count() <= 1, "{section}");
    section.split_once(&begin)?.1.split_once("\n```").map(|(block, _)| block)
}

/// Points every endpoint of a configuration to a server. The original host becomes the first part
/// of the path, so that the test can tell the endpoints apart.
fn redirected(toml: &str, server: &Recorder) -> String {
    let lines = toml.lines().map(|line| match line.strip_prefix("endpoint = \"") {
        Some(rest) => {
            let (_, address) = rest.split_once("://").expect("a scheme");
            let address = address.strip_suffix('"').expect("a quote").replace(':', "%3A");
            format!("endpoint = \"{}/{address}\"\n", server.endpoint())
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// Returns the original address of a redirected request.
fn meant(request: &Request) -> String {
    request.path.trim_start_matches('/').replace("%3A", ":")
}

fn text<'r>(resource: &'r Resource, name: &str) -> &'r str {
    let found = resource.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_documented_back_end_gets_valid_requests() {
    let sections = sections();
    let known: Vec<&str> = BACK_ENDS.iter().map(|back_end| back_end.heading).collect();
    for heading in sections.keys() {
        assert!(known.contains(&heading.as_str()), "tests/back_ends.rs has no row for `{heading}`");
    }
    for back_end in &BACK_ENDS {
        let section =
            sections.get(back_end.heading).unwrap_or_else(|| panic!("no section `{}`", back_end.heading));
        arrives(back_end, section);
    }
}

/// Pushes a deployment through the configuration of a section.
fn arrives(back_end: &BackEnd, section: &str) {
    let heading = back_end.heading;
    assert!(
        section.contains("**Where:**") || heading == "OpenTelemetry Collector",
        "{heading} does not say where"
    );
    assert!(
        section.contains(back_end.source) || heading == "OpenTelemetry Collector",
        "{heading} does not name {}",
        back_end.source
    );
    let server = Recorder::start([]);
    let sandbox = Sandbox::new();
    let secrets = sandbox.path("secrets");
    fs::create_dir(&secrets).expect("a directory");
    let here = |text: &str| text.replace("/etc/gitea-lightstep", &secrets.display().to_string());
    if let Some(script) = block(section, "sh") {
        let mut shell = sandbox.command("bash", &secrets);
        shell
            .env("token", TOKEN)
            .env("instance_id", INSTANCE)
            .args(["-euc", &format!("umask 027\n{}", here(script))]);
        sandbox.run(&mut shell, b"").succeeded();
    }
    sandbox.configure(&here(&redirected(block(section, "toml").expect("a configuration"), &server)));
    sandbox.binary(&["check"]).succeeded();
    let commit = sandbox.commit("Pay by card", &[]);
    sandbox.push(&["-o", "deploy=production", "main"]).succeeded();
    sandbox.binary(&["deliver"]).succeeded_or_found();
    sandbox.wait_for_deliverers_to_end();

    let requests = server.requests();
    let is_there = |resource: Option<&Resource>| {
        let resource = resource.expect("a resource");
        assert_eq!(text(resource, "service.name"), "shop", "{heading}");
        assert_eq!(text(resource, "service.version"), commit, "{heading}");
        assert_eq!(text(resource, "service.namespace"), "acme", "{heading}");
        resource.attributes.len() == 4 && text(resource, "deployment.environment.name") == "production"
    };
    let (mut logs, mut traces) = (0, 0);
    for request in &requests {
        assert_eq!(request.method, "POST");
        // All of these back ends accept protobuf, and some accept only protobuf.
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"), "{heading}");
        if meant(request).starts_with("victorialogs") {
            assert_eq!(request.header("vl-stream-fields"), Some("service.name,deployment.environment.name"));
        }
        for (name, value) in back_end.headers {
            assert_eq!(request.header(name), Some(*value), "{heading}: {name}");
        }
        let content = request.content();
        if request.path.ends_with("/v1/logs") {
            assert_eq!(Some(&*meant(request)), back_end.logs, "{heading}");
            let sent = ExportLogsServiceRequest::decode(&*content).expect("logs");
            logs += sent.resource_logs.iter().filter(|group| is_there(group.resource.as_ref())).count();
        } else {
            assert_eq!(Some(&*meant(request)), back_end.traces, "{heading}");
            let sent = ExportTraceServiceRequest::decode(&*content).expect("traces");
            traces += sent.resource_spans.iter().filter(|group| is_there(group.resource.as_ref())).count();
        }
    }
    let expected = (usize::from(back_end.logs.is_some()), usize::from(back_end.traces.is_some()));
    assert_eq!((logs, traces), expected, "{heading}: {requests:?}");
    assert_eq!(sandbox.files("dead"), [""; 0], "{heading}");
}

#[test]
fn destination_without_logs_gets_the_spans_it_asks_for() {
    for (more, kinds) in [
        ("logs = \"none\"\n", &["gitea_lightstep.deployment"][..]),
        ("logs = \"none\"\nspans = \"all\"\n", &["gitea_lightstep.change", "gitea_lightstep.deployment"]),
    ] {
        let server = Recorder::start([]);
        let sandbox = Sandbox::new();
        sandbox.deliver_to(&server.endpoint(), more);
        sandbox.commit("One", &[]);
        sandbox.push(&["-o", "deploy=production", "main"]).succeeded();
        sandbox.binary(&["deliver"]).succeeded_or_found();
        sandbox.wait_for_deliverers_to_end();
        let mut names = Vec::new();
        for request in server.requests() {
            assert_eq!(request.path, "/v1/traces");
            let sent = ExportTraceServiceRequest::decode(&*request.content()).expect("traces");
            let scopes = sent.resource_spans.iter().flat_map(|group| &group.scope_spans);
            names.extend(scopes.flat_map(|scope| &scope.spans).map(|span| span.name.clone()));
        }
        names.sort();
        assert_eq!(names, kinds, "{more}");
        assert_eq!(sandbox.files("outbox/collector/new"), [""; 0], "{more}");
        assert_eq!(sandbox.files("dead"), [""; 0], "{more}");
    }
}

#[test]
fn destination_without_logs_is_tested_without_a_span() {
    let server = Recorder::start([]);
    let sandbox = Sandbox::new();
    sandbox.deliver_to(&server.endpoint(), "logs = \"none\"\n");
    let ran = sandbox.binary(&["connect"]);
    let said = "collector    accepts requests (logs = \"none\" gets no test marker)";
    assert!(ran.succeeded().stdout.contains(said), "{}", ran.stdout);
    assert!(!ran.stdout.contains("gitea_lightstep.test"), "{}", ran.stdout);
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.binary(&["connect", "--json"]).succeeded().stdout).expect("JSON");
    assert_eq!(json["destinations"][0]["answer"], "accepts");
    for request in server.requests() {
        assert_eq!(request.path, "/v1/traces");
        let sent = ExportTraceServiceRequest::decode(&*request.content()).expect("traces");
        assert_eq!(sent, ExportTraceServiceRequest::default());
    }
}

#[test]
fn connect_advises_against_logs_for_a_back_end_of_traces() {
    for (logs, traces, is_advised) in [
        (404, 200, true),
        (400, 200, true),
        (404, 404, false),
        (400, 400, false),
        (401, 200, false),
        (503, 200, false),
    ] {
        let server = Recorder::judging(move |request| {
            Answer::status(if request.path == "/v1/logs" { logs } else { traces })
        });
        let sandbox = Sandbox::new();
        sandbox.deliver_to(&server.endpoint(), "");
        let ran = sandbox.binary(&["connect"]);
        assert_eq!(ran.code, Some(1), "{}", ran.stdout);
        let advice = "-> it accepts /v1/traces but not /v1/logs: set `logs = \"none\"`";
        assert_eq!(ran.stdout.contains(advice), is_advised, "{logs} {traces}: {}", ran.stdout);
        for request in server.requests().iter().filter(|request| request.path == "/v1/traces") {
            assert!(is_advised || traces != 200, "{logs}: traces are tried only if logs do not exist");
            let sent = ExportTraceServiceRequest::decode(&*request.content()).expect("traces");
            assert_eq!(sent.resource_spans.len(), 0, "a test marker is never a span");
        }
    }
}

#[test]
fn connect_names_no_key_that_lightstep_does_not_have() {
    let server =
        Recorder::judging(|request| Answer::status(if request.path == "/v1/logs" { 404 } else { 200 }));
    let sandbox = Sandbox::new();
    sandbox.write_secret("token", TOKEN);
    sandbox.configure(&format!(
        "[lightstep]\ntoken = {{ file = \"token\" }}\nendpoint = \"{}\"\n",
        server.endpoint()
    ));
    let ran = sandbox.binary(&["connect"]);
    assert!(ran.code == Some(1) && !ran.stdout.contains("logs = "), "{}", ran.stdout);
}

#[test]
fn destination_without_logs_and_spans_is_rejected() {
    let sandbox = Sandbox::new();
    sandbox.deliver_to("http://127.0.0.1:1", "logs = \"none\"\nspans = \"none\"\n");
    assert!(sandbox.problems()[0].contains("this destination gets nothing"), "{:?}", sandbox.problems());
}
