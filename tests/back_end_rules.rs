//! The rules by which back ends judge spans and log records: lengths, kinds, parents, severities.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, KeyValue, any_value},
    logs::v1::{LogRecord, SeverityNumber},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use serde_json::Value;

use crate::support::{
    BINARY, Sandbox,
    recorder::{Answer, Recorder},
    spool::unsealed,
};

/// Schema of the semantic conventions that docs/attributes.md names.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

fn spans(recorder: &Recorder) -> Vec<Span> {
    let requests = recorder.requests().into_iter().filter(|request| request.path.ends_with("/v1/traces"));
    let mut spans = Vec::new();
    for request in requests {
        let sent = ExportTraceServiceRequest::decode(&*request.content()).expect("traces");
        for group in sent.resource_spans {
            assert_eq!(group.schema_url, SCHEMA_URL);
            for scope in group.scope_spans {
                assert_eq!(scope.schema_url, SCHEMA_URL);
                spans.extend(scope.spans);
            }
        }
    }
    spans
}

fn records(recorder: &Recorder) -> Vec<LogRecord> {
    let requests = recorder.requests().into_iter().filter(|request| request.path.ends_with("/v1/logs"));
    let mut records = Vec::new();
    for request in requests {
        let sent = ExportLogsServiceRequest::decode(&*request.content()).expect("logs");
        for group in sent.resource_logs {
            assert_eq!(group.schema_url, SCHEMA_URL);
            records.extend(group.scope_logs.into_iter().flat_map(|scope| scope.log_records));
        }
    }
    records
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == name)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        other => panic!("{name}: {other:?}"),
    }
}

fn body(record: &LogRecord) -> String {
    match record.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn length(span: &Span) -> u64 {
    span.end_time_unix_nano.checked_sub(span.start_time_unix_nano).expect("no negative duration")
}

/// Asserts what Jaeger checks: lengths, unique IDs, and parents that exist and start before their
/// children.
#[track_caller]
fn obeys_jaeger(spans: &[Span]) {
    let mut known = BTreeMap::new();
    for span in spans {
        assert!(length(span) > 0, "zero length: {span:?}");
        let twin = known.insert((span.trace_id.clone(), span.span_id.clone()), span);
        assert!(twin.is_none(), "two spans have one ID: {span:?} {twin:?}");
    }
    for span in spans.iter().filter(|span| !span.parent_span_id.is_empty()) {
        let parent = known.get(&(span.trace_id.clone(), span.parent_span_id.clone()));
        let parent = parent.unwrap_or_else(|| panic!("no parent: {span:?}"));
        assert!(parent.start_time_unix_nano <= span.start_time_unix_nano, "{parent:?} {span:?}");
        // Jaeger moves a child that is shorter than its parent and not inside it.
        assert!(length(span) > length(parent), "clock skew: {parent:?} {span:?}");
    }
}

/// Delivers everything and waits for the background.
fn deliver(sandbox: &Sandbox) {
    sandbox.binary(&["deliver"]).succeeded_or_found();
    sandbox.wait_for_deliverers_to_end();
}

fn otlp(name: &str, server: &Recorder, more: &str) -> String {
    let endpoint = server.endpoint();
    format!("[[destination]]\nname = \"{name}\"\nkind = \"otlp\"\nendpoint = \"{endpoint}\"\n{more}")
}

#[test]
fn span_kind_is_server_only_for_lightstep() {
    let sandbox = Sandbox::new();
    let [lightstep, all, some, none] = [(); 4].map(|()| Recorder::start([]));
    sandbox.write_secret("token", "t");
    sandbox.configure(&format!(
        "[lightstep]\ntoken = {{ file = \"token\" }}\nendpoint = \"{}\"\nspans = \"all\"\n{}{}{}",
        lightstep.endpoint(),
        otlp("all", &all, "spans = \"all\"\nlogs = \"none\"\n"),
        otlp("some", &some, ""),
        otlp("none", &none, "spans = \"none\"\n"),
    ));
    sandbox.commit("Pay by card", &[]);
    sandbox.git(&["tag", "v1.2.0"]);
    sandbox.push(&["-o", "deploy=production", "main", "v1.2.0"]).succeeded();
    deliver(&sandbox);
    for (server, kind, names) in [
        (&lightstep, SpanKind::Server, &["change", "deployment", "release"][..]),
        (&all, SpanKind::Internal, &["change", "deployment", "release"]),
        (&some, SpanKind::Internal, &["deployment"]),
        (&none, SpanKind::Internal, &[]),
    ] {
        let spans = spans(server);
        obeys_jaeger(&spans);
        let kinds: BTreeSet<i32> = spans.iter().map(|span| span.kind).collect();
        assert!(kinds.iter().all(|other| *other == i32::from(kind)), "{kinds:?}");
        let sent: BTreeSet<&str> =
            spans.iter().map(|span| span.name.trim_start_matches("gitea_lightstep.")).collect();
        assert_eq!(sent.into_iter().collect::<Vec<_>>(), names);
        for span in &spans {
            let microseconds = if span.name.ends_with("deployment") { 2 } else { 1 };
            assert_eq!(length(span), microseconds * 1_000, "{span:?}");
        }
    }
    assert_eq!(records(&all), [], "logs = \"none\"");
    assert!(!records(&none).is_empty());
}

#[test]
fn body_severity_and_status_say_what_happened() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    let deploy = |tag: &str, more: &[&str]| {
        let mut args = vec!["-o", "deploy=production", "-o", "deploy.service=checkout"];
        more.iter().for_each(|option| args.extend(["-o", option]));
        let to = format!("{tag}:refs/heads/run-{}", sandbox.decisions().len());
        args.push(&to);
        sandbox.push(&args).succeeded();
    };
    let first = sandbox.commit("Pay by card", &[("a", "1")]);
    sandbox.git(&["tag", "checkout/v1.2.0"]);
    sandbox.push(&["main"]).succeeded();
    sandbox.push(&["checkout/v1.2.0"]).succeeded();
    deploy("checkout/v1.2.0^{commit}", &[]);
    sandbox.commit("Round up", &[("a", "2")]);
    sandbox.git(&["tag", "checkout/v1.3.0"]);
    sandbox.push(&["checkout/v1.3.0"]).succeeded();
    deploy("checkout/v1.3.0^{commit}", &["deploy.status=failed"]);
    deploy("checkout/v1.3.0^{commit}", &["deploy.status=succeeded"]);
    deploy("checkout/v1.2.0^{commit}", &["deploy.status=failed"]);
    deploy("checkout/v1.2.0^{commit}", &[]);
    deliver(&sandbox);
    let (info, warn, error) =
        ((SeverityNumber::Info, "INFO"), (SeverityNumber::Warn, "WARN"), (SeverityNumber::Error, "ERROR"));
    let expected = [
        (format!("change shop {}: Pay by card", &first[..12]), info),
        ("release checkout 1.2.0: Pay by card".into(), info),
        ("deployment checkout 1.2.0 to production: Pay by card".into(), info),
        ("release checkout 1.3.0: Round up".into(), info),
        ("failed deployment checkout 1.3.0 to production: Round up".into(), error),
        ("deployment checkout 1.3.0 to production: Round up".into(), info),
        ("failed rollback checkout 1.2.0 to production: Pay by card".into(), error),
        ("rollback checkout 1.2.0 to production: Pay by card".into(), warn),
    ];
    let (records, spans) = (records(&server), spans(&server));
    obeys_jaeger(&spans);
    assert_eq!((records.len(), spans.len()), (expected.len(), expected.len()));
    for (record, (line, (severity, severity_text))) in records.iter().zip(expected) {
        assert_eq!(body(record), line);
        let found = (record.severity_number, record.severity_text.as_str());
        assert_eq!(found, (severity.into(), severity_text), "{line}");
        let span = spans.iter().find(|span| span.span_id == record.span_id).expect("its span");
        let status = span.status.as_ref().expect("a status");
        let code = if line.starts_with("failed") { StatusCode::Error } else { StatusCode::Unset };
        assert_eq!(status.code, i32::from(code), "{line}");
        assert_eq!(status.message.is_empty(), code == StatusCode::Unset, "{line}");
    }
}

#[test]
fn change_span_is_an_instant_and_names_its_first_commit() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    let services = "[[service]]\nrepository = \"acme/shop\"\nname = \"pay\"\npaths = [\"pay/**\"]\n\
                    [[service]]\nrepository = \"acme/shop\"\nname = \"web\"\npaths = [\"web/**\"]\n";
    sandbox.deliver_to(&server.endpoint(), &format!("spans = \"all\"\n{services}"));
    sandbox.commit("Before all", &[("pay/a", "0"), ("web/a", "0")]);
    sandbox.push(&["main"]).succeeded();
    let now = jiff::Timestamp::now().as_second();
    let commit_at = |age: i64, file: &str| {
        sandbox.write(&format!("clone/{file}"), age.to_string());
        sandbox.git(&["add", "-A"]);
        let mut commit = sandbox.command("git", &sandbox.path("clone"));
        commit
            .args(["commit", "-q", "-m", "A step"])
            .env("GIT_COMMITTER_DATE", format!("{} +0000", now - age));
        sandbox.run(&mut commit, b"").succeeded();
        let time = jiff::Timestamp::from_second(now - age).expect("a time").to_string();
        (sandbox.git(&["rev-parse", "HEAD"]), time)
    };
    // Three weeks ago: back ends drop a span of that length.
    let of_web = commit_at(21 * 86_400, "web/a");
    let of_pay = commit_at(20 * 86_400, "pay/a");
    commit_at(86_400, "web/a");
    sandbox.push(&["main"]).succeeded();
    let ahead = commit_at(-3_600, "pay/a");
    sandbox.push(&["main"]).succeeded();
    sandbox.push(&["--force", "main~1:main"]).succeeded();
    deliver(&sandbox);
    let spans = spans(&server);
    assert!(spans.iter().all(|span| length(span) == 1_000), "{spans:?}");
    let first = |span: &Span| {
        let get = |name| text(&span.attributes, name);
        get("gitea_lightstep.range.first_commit.id").zip(get("gitea_lightstep.range.first_commit.time"))
    };
    let found: Vec<_> = spans.iter().map(first).collect();
    assert_eq!(found.len(), 6, "{spans:?}");
    assert_eq!(found[..2], [None, None], "a new branch has no range");
    assert!(found[2..4].contains(&Some(of_web)) && found[2..4].contains(&Some(of_pay)), "{found:?}");
    assert_eq!(found[4], Some(ahead), "a clock that is ahead");
    assert_eq!(found[5], None, "a range that goes back adds no commits");
}

#[test]
fn deployment_span_never_ends_before_it_starts() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    let now = jiff::Timestamp::now().as_second();
    let minute = 60_000_000_000;
    let cases: [(&[String], Option<u64>); 6] = [
        (&[format!("deploy.started={}", now - 120), format!("deploy.finished={}", now - 60)], Some(minute)),
        (&[format!("deploy.started={}", now - 60), format!("deploy.finished={}", now - 60)], Some(2_000)),
        (&[format!("deploy.started={}", now - 60), format!("deploy.finished={}", now - 120)], Some(2_000)),
        (&[format!("deploy.finished={}", now - 60)], Some(2_000)),
        (&["deploy.started=1969-12-31T23:00:00Z".into()], Some(2_000)),
        // Until the push, which is a moment later than `now`.
        (&[format!("deploy.started={}", now - 600)], None),
    ];
    for (nth, (options, _)) in cases.iter().enumerate() {
        sandbox.commit(&format!("Number {nth}"), &[("n", &nth.to_string())]);
        let tag = format!("v1.{nth}.0");
        sandbox.git(&["tag", &tag]);
        let mut args = vec!["-o", "deploy=production"];
        options.iter().for_each(|option| args.extend(["-o", option.as_str()]));
        args.push(&tag);
        sandbox.push(&args).succeeded();
    }
    deliver(&sandbox);
    let spans = spans(&server);
    let deployments: Vec<&Span> = spans.iter().filter(|span| span.name.ends_with(".deployment")).collect();
    assert_eq!(deployments.len(), cases.len());
    for (span, (options, expected)) in deployments.iter().zip(cases) {
        match expected {
            Some(nanos) => assert_eq!(length(span), nanos, "{options:?}"),
            None => assert!(length(span) >= 10 * minute, "{options:?}"),
        }
    }
}

#[test]
fn span_ids_are_unique_when_a_commit_is_marked_again() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    let push = |args: &[&str]| {
        sandbox.push(args).succeeded();
    };
    sandbox.commit("One", &[("a", "1")]);
    push(&["main"]);
    sandbox.commit("Two", &[("a", "2")]);
    push(&["main"]);
    // The commit is pushed again, after the branch went back.
    push(&["--force", "main~1:main"]);
    push(&["main"]);
    // Two versions of one commit.
    for tag in ["v1.0.0-rc1", "v1.0.0", "1.0.0"] {
        sandbox.git(&["tag", tag]);
    }
    push(&["v1.0.0-rc1"]);
    // Two tags of one version, in one push.
    push(&["v1.0.0", "1.0.0"]);
    // The tag is removed and pushed again, twice.
    for _ in 0..2 {
        push(&[":v1.0.0"]);
        push(&["v1.0.0"]);
    }
    push(&["-o", "deploy=production", "main:refs/heads/live"]);
    push(&["-o", "deploy=production", "main:refs/heads/again"]);
    deliver(&sandbox);
    let spans = spans(&server);
    obeys_jaeger(&spans);
    let count = |kind: &str| spans.iter().filter(|span| span.name.ends_with(kind)).count();
    assert_eq!(["change", "release", "deployment"].map(count), [4, 5, 2], "{spans:?}");

    // The spans that a build computes are among them.
    let clone = sandbox.path("clone").display().to_string();
    let first = sandbox.git(&["rev-parse", "main~1"]);
    for rev in [&first, "v1.0.0-rc1", "v1.0.0", "1.0.0"] {
        let identity = sandbox.binary(&["resource", &clone, rev, "--repository", "acme/shop", "--json"]);
        let identity: Value = serde_json::from_str(&identity.succeeded().stdout).expect("JSON");
        let id = identity["span_id"].as_str().expect("an ID");
        let is_it = |span: &&Span| span.span_id.iter().map(|b| format!("{b:02x}")).collect::<String>() == id;
        assert_eq!(spans.iter().filter(is_it).count(), 1, "{rev}");
    }
}

#[test]
fn release_of_a_later_update_is_a_parent_if_it_is_marked() {
    for (script, expected) in [
        ("", [true, true]),
        (r#"fn guard(marker, update) { if marker.kind == "release" { refuse("not yet") } }"#, [false, false]),
        (
            r#"fn decide(update) {
                if update.tag == "v1.0.0" { return skip("no"); }
                if update.branch == "main" { return mark(#{ kind: "deployment", environment: "staging" }); }
                true
            }"#,
            [false, true],
        ),
    ] {
        let sandbox = Sandbox::new();
        let server = Recorder::start([]);
        let services = "[[service]]\nrepository = \"acme/shop\"\nname = \"shop\"\n\
                        [service.environments]\nstaging = \"main\"\nproduction = [\"v2*\"]\n";
        sandbox.deliver_to(&server.endpoint(), &format!("spans = \"all\"\n{services}"));
        if !script.is_empty() {
            sandbox.write("scripts/site.rhai", script);
        }
        // git passes the branch to the hook before its tag.
        sandbox.commit("One", &[("a", "1")]);
        sandbox.git(&["tag", "-a", "-m", "One", "v1.0.0"]);
        sandbox.push(&["main", "v1.0.0"]).succeeded();
        sandbox.commit("Two", &[("a", "2")]);
        sandbox.git(&["tag", "v2.0.0"]);
        sandbox.push(&["main", "v2.0.0"]).succeeded();
        deliver(&sandbox);
        let spans = spans(&server);
        obeys_jaeger(&spans);
        let mut parents = BTreeMap::new();
        for span in spans.iter().filter(|span| span.name.ends_with(".deployment")) {
            let version = text(&span.attributes, "service.version").expect("a version");
            let has_parent = !span.parent_span_id.is_empty();
            let all = parents.entry(version).or_insert(true);
            *all &= has_parent;
        }
        let found: Vec<bool> = parents.into_values().collect();
        assert_eq!(found, expected, "{script}: {spans:?}");
    }
}

#[test]
fn parent_of_a_deployment_is_a_span_that_was_sent() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    // The releases before this were pushed while no destination took their spans.
    sandbox.deliver_to(&server.endpoint(), "spans = \"deployments\"\n");
    sandbox.commit("Old", &[("a", "1")]);
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.push(&["main", "v1.0.0"]).succeeded();
    deliver(&sandbox);
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    let deploy = |from: &str, to: &str, more: &[&str]| {
        let mut args = vec!["-o", "deploy=production"];
        more.iter().for_each(|option| args.extend(["-o", option]));
        let update = format!("{from}:refs/heads/{to}");
        args.push(&update);
        sandbox.push(&args).succeeded();
    };
    deploy("main", "one", &[]);
    sandbox.commit("New", &[("a", "2")]);
    sandbox.git(&["tag", "v2.0.0"]);
    sandbox.push(&["main", "v2.0.0"]).succeeded();
    deploy("main", "two", &[]);
    let hour_ago = jiff::Timestamp::now().as_second() - 3_600;
    deploy("main", "three", &[&format!("deploy.started={hour_ago}")]);
    // A guard refuses the release, so its span does not exist.
    sandbox.write(
        "scripts/site.rhai",
        r#"fn guard(marker, update) { if marker.kind == "release" { refuse("not yet") } }"#,
    );
    sandbox.commit("Newer", &[("a", "3")]);
    sandbox.git(&["tag", "v3.0.0"]);
    sandbox.push(&["main", "v3.0.0"]).succeeded();
    deploy("main", "four", &[]);
    // The record of sent spans is lost.
    std::fs::remove_dir_all(sandbox.state().join("spans")).expect("removed");
    deploy("v2.0.0^{commit}", "five", &[]);
    deliver(&sandbox);
    let spans = spans(&server);
    obeys_jaeger(&spans);
    let of_deployments = spans.iter().filter(|span| !span.name.ends_with("change"));
    let of_deployments = of_deployments.filter(|span| !span.name.ends_with("release"));
    let parents: Vec<bool> = of_deployments.map(|span| !span.parent_span_id.is_empty()).collect();
    assert_eq!(parents, [false, true, false, false, false], "{spans:?}");
}

/// Runs `resource` in a clone without a configuration, as on a runner.
fn resource(sandbox: &Sandbox, clone: &str, more: &[&str]) -> (Value, String) {
    let mut command = sandbox.command(BINARY, &sandbox.path(clone));
    command.args(["resource", ".", "--repository", "acme/shop", "--json"]);
    let ran = sandbox.run(command.args(more), b"");
    let said = serde_json::from_str(&ran.succeeded().stdout).expect("JSON");
    (said, ran.stderr)
}

#[test]
fn build_is_a_child_only_of_a_span_that_is_sent() {
    let sandbox = Sandbox::new();
    sandbox.commit("One", &[]);
    sandbox.git(&["tag", "v1.4.2"]);
    let (said, _) = resource(&sandbox, "clone", &[]);
    let context = format!(
        "00-{}-{}-01",
        said["trace_id"].as_str().expect("text"),
        said["span_id"].as_str().expect("text")
    );
    assert_eq!(
        (&said["TRACEPARENT"], &said["GITEA_LIGHTSTEP_LINK"]),
        (&Value::Null, &context.clone().into())
    );
    let (said, _) = resource(&sandbox, "clone", &["--as-parent"]);
    assert_eq!((&said["TRACEPARENT"], &said["GITEA_LIGHTSTEP_LINK"]), (&context.into(), &Value::Null));

    // With the site's configuration, the destinations decide.
    let clone = sandbox.path("clone").display().to_string();
    for (destinations, is_parent) in [
        ("", false),
        ("[[destination]]\nname = \"a\"\nkind = \"otlp\"\nendpoint = \"http://127.0.0.1:1\"\n", false),
        (
            "[[destination]]\nname = \"a\"\nkind = \"otlp\"\nendpoint = \"http://127.0.0.1:1\"\nspans = \"all\"\n",
            true,
        ),
    ] {
        sandbox.configure(destinations);
        for (format, parent, link) in [
            ("shell", "export TRACEPARENT='", "export GITEA_LIGHTSTEP_LINK='"),
            ("dotenv", "\nTRACEPARENT=", "\nGITEA_LIGHTSTEP_LINK="),
            ("docker", "--build-arg TRACEPARENT=", "--build-arg GITEA_LIGHTSTEP_LINK="),
            ("kubernetes", "gitea-lightstep/traceparent:", "gitea-lightstep/link:"),
        ] {
            let ran = sandbox.binary(&["resource", &clone, "--format", format]);
            let found = (ran.succeeded().stdout.contains(parent), ran.stdout.contains(link));
            assert_eq!(found, (is_parent, !is_parent), "{destinations} {format}: {}", ran.stdout);
        }
    }
}

#[test]
fn resource_says_when_the_server_may_know_another_version() {
    let sandbox = Sandbox::new();
    sandbox.commit("One", &[("a", "1")]);
    let file = "[[service]]\nname = \"till\"\nversion = \"describe\"\n[[service]]\nname = \"web\"\n\
                version = { option = \"version\" }\n";
    sandbox.commit("Two", &[(".gitea/lightstep.toml", file)]);
    sandbox.git(&["tag", "v1.4.2"]);
    sandbox.push(&["main", "v1.4.2"]).succeeded();
    let url = format!("file://{}", sandbox.bare().display());
    let clone = |name: &str, args: &[&str]| {
        sandbox.git_in(&sandbox.path(""), &[&["clone", "-q"], args, &[&url, name]].concat());
    };
    clone("full", &[]);
    clone("shallow", &["--depth", "1", "--no-tags"]);
    clone("tagged", &["--depth", "1", "--branch", "v1.4.2"]);
    let version = |said: &Value| said["attributes"]["service.version"].as_str().expect("text").to_string();
    for (dir, service, expected, warning) in [
        ("full", "till", Some("1.4.2"), None),
        ("tagged", "till", Some("1.4.2"), None),
        ("tagged", "web", Some("1.4.2"), None),
        ("shallow", "till", None, Some("the clone is shallow and has no tags")),
        ("shallow", "web", None, Some("takes the version from the push option `version`")),
    ] {
        let (said, stderr) = resource(&sandbox, dir, &["--service", service]);
        assert!(stderr.contains("found no configuration"), "{stderr}");
        assert_eq!(expected.is_some(), version(&said) == "1.4.2", "{dir} {service}: {said}");
        match warning {
            Some(warning) => assert!(stderr.contains(warning), "{dir} {service}: {stderr}"),
            None => assert!(!stderr.contains("shallow") && !stderr.contains("push option"), "{stderr}"),
        }
    }
    // Another commit was deployed since: `describe` needs the history.
    sandbox.commit("Three", &[("a", "3")]);
    sandbox.git(&["tag", "unrelated"]);
    sandbox.push(&["main", "unrelated"]).succeeded();
    clone("late", &["--depth", "1", "--branch", "unrelated"]);
    let (said, stderr) = resource(&sandbox, "late", &["--service", "till"]);
    assert!(stderr.contains("so its version may differ from the server's"), "{said} {stderr}");
    // With a configuration of the site, nothing is in doubt.
    sandbox.configure("");
    let full = sandbox.path("full").display().to_string();
    let ran = sandbox.binary(&["resource", &full, "--repository", "acme/shop"]);
    assert_eq!(ran.succeeded().stderr, "");
}

#[test]
fn empty_values_are_left_out() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    sandbox.write(
        "scripts/site.rhai",
        r#"fn enrich(marker, update) {
            marker.attributes["empty"] = "";
            marker.attributes["none"] = [];
            marker.attributes["hollow"] = ["", ""];
            marker.attributes["some"] = ["", "x"];
            marker.attributes["service.namespace"] = "";
            marker.title = "";
            marker
        }"#,
    );
    sandbox.git(&["commit", "-q", "--allow-empty", "--allow-empty-message", "-m", ""]);
    sandbox.push(&["-o", "deploy=production", "-o", "deploy.id=", "main"]).succeeded();
    deliver(&sandbox);
    let (records, spans) = (records(&server), spans(&server));
    assert_eq!((records.len(), spans.len()), (2, 2));
    let of_records = records.iter().map(|record| &record.attributes);
    for attributes in of_records.chain(spans.iter().map(|span| &span.attributes)) {
        for KeyValue { key, value, .. } in attributes {
            match value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(any_value::Value::StringValue(text)) => assert_ne!(text, "", "{key}"),
                Some(any_value::Value::ArrayValue(list)) => {
                    assert!(!list.values.is_empty(), "{key}");
                    let is_empty =
                        |value: &AnyValue| value.value == Some(any_value::Value::StringValue(String::new()));
                    assert!(!list.values.iter().any(is_empty), "{key}: {list:?}");
                }
                None => panic!("{key} has no value"),
                Some(_) => {}
            }
        }
        assert!(["empty", "none", "hollow"].iter().all(|name| attributes.iter().all(|a| a.key != *name)));
        assert!(attributes.iter().any(|attribute| attribute.key == "some"));
    }
    let commit = sandbox.git(&["rev-parse", "--short=12", "HEAD"]);
    let bodies: Vec<String> = records.iter().map(body).collect();
    assert_eq!(bodies, [format!("change shop {commit}"), format!("deployment shop {commit} to production")]);
}

#[test]
fn delivered_markers_can_be_counted_on_both_sides() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([Answer::status(503), Answer::status(503)]);
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    for nth in 0..3 {
        sandbox.commit(&format!("Number {nth}"), &[("n", &nth.to_string())]);
        sandbox.push(&["-o", "deploy=production", "main"]).succeeded();
    }
    deliver(&sandbox);
    let stored: BTreeSet<String> = records(&server)
        .iter()
        .map(|record| text(&record.attributes, "gitea_lightstep.marker.id").expect("an ID"))
        .collect();
    // The filter of docs/back-ends.md.
    let log = sandbox.binary(&["log", "--json", "--since", "24h"]);
    let entries = log.succeeded().stdout.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let delivered = entries
        .filter(|entry: &Value| entry["outcome"] == "delivered" && entry["destination"] == "collector");
    let delivered: BTreeSet<String> = delivered
        .flat_map(|entry| entry["markers"].as_array().expect("IDs").clone())
        .map(|id| id.as_str().expect("an ID").to_string())
        .collect();
    assert_eq!((delivered.len(), &delivered), (6, &stored));
}

#[test]
fn list_that_was_cut_says_so() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    sandbox.write(
        "scripts/site.rhai",
        r#"fn enrich(marker, update) {
            let list = [];
            for n in 0..129 { list.push("x" + n); }
            marker.attributes["long"] = list;
            list.pop();
            marker.attributes["whole"] = list;
            // Reading and setting an attribute again keeps the note.
            marker.attributes["later"] = 1;
            marker
        }"#,
    );
    let deploy = |to: &str| sandbox.push(&["-o", "deploy=production", &format!("main:refs/heads/{to}")]);
    sandbox.commit("First", &[("a", "0")]);
    deploy("one").succeeded();
    for nth in 0..65 {
        sandbox.commit(&format!("SHOP-{} is done", nth + 1), &[("a", &format!("{nth}!"))]);
    }
    deploy("two").succeeded();
    sandbox.commit("SHOP-1 again", &[("a", "last")]);
    deploy("three").succeeded();
    deliver(&sandbox);
    let records = records(&server);
    let list = |record: &LogRecord, name: &str| -> Vec<AnyValue> {
        let attribute = record.attributes.iter().find(|attribute| attribute.key == name);
        match attribute.and_then(|attribute| attribute.value.clone()?.value) {
            Some(any_value::Value::ArrayValue(list)) => list.values,
            None => Vec::new(),
            Some(other) => panic!("{name}: {other:?}"),
        }
    };
    let is_cut = |record: &LogRecord| {
        record.attributes.iter().any(|attribute| attribute.key == "gitea_lightstep.range.lists_are_cut")
    };
    assert_eq!(records.len(), 3);
    for (record, tickets, range_is_cut) in
        [(&records[0], 0, false), (&records[1], 64, true), (&records[2], 1, false)]
    {
        assert_eq!((list(record, "long").len(), list(record, "whole").len()), (128, 128));
        let cut = any_value::Value::StringValue("long".into());
        assert_eq!(list(record, "gitea_lightstep.cut_lists"), [AnyValue { value: Some(cut) }]);
        assert_eq!(list(record, "gitea_lightstep.range.tickets").len(), tickets);
        assert_eq!(is_cut(record), range_is_cut);
    }
}

#[test]
fn spool_of_an_older_version_obeys_the_rules() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    sandbox.commit("Old", &[("a", "1")]);
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.push(&["-o", "deploy=production", "main", "v1.0.0"]).succeeded();
    let name = sandbox.files("outbox/unassigned/new").remove(0);
    let path = sandbox.state().join("outbox/unassigned/new").join(name);
    let text = unsealed(&std::fs::read_to_string(&path).expect("a file"));
    let lines = text.lines().map(|line| {
        let mut marker: Value = serde_json::from_str(line).expect("JSON");
        let Some(kind) = marker["kind"].as_str() else { return line.to_string() };
        // Changes began at their first commit, and parents had no version.
        let time = marker["time"].clone();
        match kind {
            "change" => {
                marker["interval"] = serde_json::json!({ "start": "2026-01-01T00:00:00Z", "end": time });
            }
            "deployment" => {
                marker["parent"] = "00f067aa0ba902b7".into();
                marker["interval"] = serde_json::json!({ "start": time, "end": time });
            }
            _ => {}
        }
        marker.to_string()
    });
    let edited: String = lines.map(|line| line + "\n").collect();
    std::fs::write(&path, edited).expect("written");
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    deliver(&sandbox);
    let spans = spans(&server);
    obeys_jaeger(&spans);
    let lengths: BTreeSet<u64> = spans.iter().map(length).collect();
    assert_eq!(lengths, [1_000, 2_000].into());
    let children = spans.iter().filter(|span| !span.parent_span_id.is_empty()).count();
    let deployments = spans.iter().filter(|span| span.name.ends_with(".deployment")).count();
    assert!(children == deployments && deployments > 0, "{spans:?}");
    assert_eq!(sandbox.files("dead"), [""; 0]);
}

#[test]
fn push_that_is_decided_again_has_the_same_spans() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    let commit = sandbox.commit("Once", &[("a", "1")]);
    sandbox.push(&["HEAD:refs/heads/other"]).succeeded();
    sandbox.clear_state();
    // With a broken configuration, the hook only captures the push.
    sandbox.write("config.toml", "state_dir = \"state\"\nbroken");
    let zero = "0".repeat(40);
    let stdin = format!("{zero} {commit} refs/heads/main\n{zero} {commit} refs/tags/v1.0.0\n");
    sandbox.hook(stdin.as_bytes()).said_nothing();
    let name = sandbox.files("inbox").remove(0);
    let capture = std::fs::read(sandbox.state().join("inbox").join(&name)).expect("a capture");
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    deliver(&sandbox);
    let ids = |spans: &[Span]| -> BTreeSet<_> {
        spans.iter().map(|span| (span.trace_id.clone(), span.span_id.clone(), span.name.clone())).collect()
    };
    let first = ids(&spans(&server));
    assert_eq!(first.len(), 2);
    // A power cut brings the capture back.
    sandbox.write(&format!("state/inbox/{name}"), capture);
    deliver(&sandbox);
    let all = spans(&server);
    assert_eq!((all.len(), ids(&all)), (4, first));
}

#[test]
fn one_commit_in_two_repositories_has_different_spans() {
    let mut sandbox = Sandbox::new();
    let server = Recorder::start([]);
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    sandbox.commit("Shared", &[("a", "1")]);
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.push(&["-o", "deploy=production", "main", "v1.0.0"]).succeeded();
    let (first, second) = (sandbox.bare(), sandbox.path("git/casey/shop.git"));
    sandbox.git_in(&sandbox.path(""), &["init", "-q", "--bare", "-b", "main", &second.display().to_string()]);
    sandbox.git_in(&second, &["config", "receive.advertisePushOptions", "true"]);
    std::fs::remove_dir_all(second.join("hooks")).expect("removed");
    std::os::unix::fs::symlink(first.join("hooks"), second.join("hooks")).expect("a link");
    sandbox.git(&["remote", "set-url", "origin", &second.display().to_string()]);
    sandbox.set("GITEA_REPO_USER_NAME", "casey");
    sandbox.set("GITEA_REPO_ID", "43");
    sandbox.push(&["-o", "deploy=production", "main", "v1.0.0"]).succeeded();
    deliver(&sandbox);
    let spans = spans(&server);
    obeys_jaeger(&spans);
    let releases = spans.iter().filter(|span| span.name.ends_with(".release")).count();
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!((releases, traces.len()), (2, 1), "{spans:?}");
}

#[test]
fn status_of_a_script_counts_for_deployments_only() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\n");
    sandbox.write(
        "scripts/site.rhai",
        r#"fn enrich(marker, update) { marker.attributes["deployment.status"] = "failed"; marker }"#,
    );
    sandbox.commit("One", &[]);
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.push(&["-o", "deploy=production", "main", "v1.0.0"]).succeeded();
    deliver(&sandbox);
    let spans = spans(&server);
    obeys_jaeger(&spans);
    for record in records(&server) {
        let is_failed = body(&record).starts_with("failed deployment");
        assert_eq!(is_failed, record.event_name == "gitea_lightstep.deployment", "{record:?}");
        assert_eq!(record.severity_text == "ERROR", is_failed, "{record:?}");
        let span = spans.iter().find(|span| span.span_id == record.span_id).expect("its span");
        let code = span.status.as_ref().expect("a status").code;
        assert_eq!(code == i32::from(StatusCode::Error), is_failed, "{span:?}");
    }
}

#[test]
fn json_contains_no_null() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    sandbox.deliver_to(&server.endpoint(), "spans = \"all\"\nprotocol = \"http/json\"\n");
    sandbox.commit("In words", &[]);
    sandbox.push(&["-o", "deploy=production", "-o", "deploy.status=failed", "main"]).succeeded();
    deliver(&sandbox);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        let sent: Value = serde_json::from_slice(&request.content()).expect("JSON");
        has_no_null(&sent, &request.path);
    }
}

fn has_no_null(value: &Value, place: &str) {
    match value {
        Value::Null => panic!("{place} is null"),
        Value::Array(list) => list.iter().for_each(|one| has_no_null(one, place)),
        Value::Object(object) => {
            object.iter().for_each(|(key, one)| has_no_null(one, &format!("{place}.{key}")));
        }
        _ => {}
    }
}
