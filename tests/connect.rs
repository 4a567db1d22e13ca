//! `connect`: sends a test marker to each destination, creates the event query once, and prints the
//! manual steps.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;
use serde_json::{Value, json};

use crate::support::{
    Ran, Sandbox, assert_golden,
    recorder::{Answer, Recorder, Request},
    spool,
    tls::Authority,
};

const TOKEN: &str = "an-access-token-of-32-characters";
const KEY: &str = "an-api-key-that-nobody-may-see";
const QUERIES: &str = "/public/v0.2/acme/projects/shop/event_queries";
const DEFAULT_QUERY: &str = r#"logs | filter "gitea_lightstep.event_name" == "gitea_lightstep.deployment" || "gitea_lightstep.event_name" == "gitea_lightstep.rollback""#;

/// The event queries of a project, by ID.
type Queries = Arc<Mutex<BTreeMap<String, Value>>>;

/// A Lightstep server with ingest and API on one address, as described in reference/lightstep.md,
/// sections 1b to 1d.
struct Lightstep {
    recorder: Recorder,
    queries: Queries,
}

/// Overrides the answer to some requests.
type Quirk = Box<dyn Fn(&Request, &Queries) -> Option<Answer> + Send + Sync>;

impl Lightstep {
    fn start() -> Self {
        Self::with(Box::new(|_, _| None))
    }

    fn with(quirk: Quirk) -> Self {
        let queries = Queries::default();
        let serving = queries.clone();
        let recorder = Recorder::judging(move |request| {
            quirk(request, &serving).unwrap_or_else(|| lightstep(request, &serving))
        });
        Self { recorder, queries }
    }

    fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox::new();
        // Root does not create it.
        fs::create_dir(sandbox.state()).expect("a directory");
        sandbox.write_secret("token", format!("{TOKEN}\n"));
        sandbox.write_secret("api-key", format!("{KEY}\n"));
        self.configure(&sandbox, "");
        sandbox
    }

    fn configure(&self, sandbox: &Sandbox, more: &str) {
        sandbox.configure(&format!(
            "[lightstep]\ntoken = {{ file = \"token\" }}\nendpoint = \"{0}\"\norganization = \"acme\"\nproject = \"shop\"\n\
             api_key = {{ file = \"api-key\" }}\napi = \"{0}/\"\n{more}",
            self.recorder.endpoint()
        ));
    }

    /// Returns the API requests so far, as `METHOD path`.
    fn calls(&self) -> Vec<String> {
        let requests =
            self.recorder.requests().into_iter().filter(|request| request.path.starts_with("/public/"));
        requests.map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.queries.lock().expect("no panic").keys().cloned().collect()
    }
}

fn lightstep(request: &Request, queries: &Queries) -> Answer {
    if request.path == "/v1/logs" {
        let is_known = request.header("lightstep-access-token") == Some(TOKEN);
        return Answer::status(if is_known { 200 } else { 401 });
    }
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()), "{request:?}");
    if request.path == "/public/v0.2/acme/test" {
        return Answer::status(200).body("{}");
    }
    let mut queries = queries.lock().expect("no panic");
    let rest = request.path.strip_prefix(QUERIES).unwrap_or_else(|| panic!("{}", request.path));
    let attributes = || {
        assert_eq!(request.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        body["data"]["attributes"].clone()
    };
    match (request.method.as_str(), rest.strip_prefix('/')) {
        ("POST", None) => {
            let id = format!("eq-{}", queries.len() + 1);
            queries.insert(id.clone(), attributes());
            Answer::status(200).body(json!({ "data": { "id": id } }).to_string())
        }
        ("GET", Some(id)) => match queries.get(id) {
            Some(attributes) => {
                let mut attributes = attributes.clone();
                attributes["id"] = id.into();
                Answer::status(200).body(json!({ "data": { "attributes": attributes } }).to_string())
            }
            None => Answer::status(404).body(r#"{"errors":["event query not found"]}"#),
        },
        ("PUT", Some(id)) => {
            queries.insert(id.to_string(), attributes());
            Answer::status(200).body(json!({ "data": { "id": id } }).to_string())
        }
        other => panic!("{other:?}"),
    }
}

/// Runs `connect`, and checks that its output and the state do not contain the secrets.
#[track_caller]
fn connect(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let ran = sandbox.binary(&[&["connect"], args].concat());
    let written = if sandbox.state().exists() { sandbox.everything_written() } else { String::new() };
    for secret in [TOKEN, KEY] {
        let all = [&ran.stdout, &ran.stderr, &written];
        assert!(!all.iter().any(|text| text.contains(secret)), "{}{}{written}", ran.stdout, ran.stderr);
    }
    ran
}

#[track_caller]
fn describe(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr))
}

/// Asserts the text output, without the port, which differs between runs.
#[track_caller]
fn assert_told(sandbox: &Sandbox, server: &Recorder, name: &str, ran: &Ran) {
    assert_eq!(ran.stderr, "");
    assert_golden(sandbox, name, &ran.stdout.replace(&server.endpoint(), "http://SERVER"));
}

#[test]
fn event_query_is_created_by_the_first_run_only() {
    let lightstep = Lightstep::start();
    let sandbox = lightstep.sandbox();
    let first = connect(&sandbox, &[]);
    assert_told(&sandbox, &lightstep.recorder, "connect-first.txt", first.succeeded());
    assert_eq!(lightstep.calls(), ["GET /public/v0.2/acme/test".into(), format!("POST {QUERIES}")]);
    let made = lightstep.queries.lock().expect("no panic")["eq-1"].clone();
    assert_eq!(made["query_string"], DEFAULT_QUERY);
    assert_eq!(
        (&made["type"], &made["source"], &made["id"]),
        (&json!("deployment"), &json!("gitea"), &json!(""))
    );
    assert!(made["tooltip_fields"].as_array().expect("a list").contains(&json!("service.version")));

    let again = connect(&sandbox, &[]);
    assert_told(&sandbox, &lightstep.recorder, "connect-again.txt", again.succeeded());
    let calls = lightstep.calls();
    assert_eq!(calls[2..], ["GET /public/v0.2/acme/test".to_string(), format!("GET {QUERIES}/eq-1")]);
    assert_eq!(lightstep.ids(), ["eq-1"]);
}

#[test]
fn test_marker_is_a_log_record_and_not_a_span() {
    let lightstep = Lightstep::start();
    let sandbox = lightstep.sandbox();
    connect(&sandbox, &[]).succeeded();
    let requests = lightstep.recorder.requests();
    let sent: Vec<_> = requests.iter().filter(|request| request.path.starts_with("/v1/")).collect();
    assert_eq!(sent.iter().map(|request| request.path.as_str()).collect::<Vec<_>>(), ["/v1/logs"]);
    let sent = ExportLogsServiceRequest::decode(&*sent[0].content()).expect("logs");
    let group = &sent.resource_logs[0];
    let service = &group.resource.as_ref().expect("a resource").attributes[0];
    assert_eq!(service.key, "service.name");
    assert!(format!("{:?}", service.value).contains("\"gitea-lightstep\""));
    assert_eq!(group.scope_logs[0].log_records[0].event_name, "gitea_lightstep.test");
    assert!(sandbox.journal().is_empty(), "a test marker is not journaled as a delivery");
    assert_eq!(sandbox.files("outbox/lightstep/new"), [""; 0]);
}

#[test]
fn missing_event_query_is_recreated_and_a_changed_one_updated() {
    let lightstep = Lightstep::start();
    let sandbox = lightstep.sandbox();
    connect(&sandbox, &[]).succeeded();
    lightstep.queries.lock().expect("no panic").get_mut("eq-1").expect("the query")["name"] =
        "Somebody's".into();
    let ran = connect(&sandbox, &["--json"]);
    assert_eq!(describe(ran.succeeded())["event_query"]["outcome"], "updated");
    assert_eq!(lightstep.queries.lock().expect("no panic")["eq-1"]["name"], "Deployments from Gitea");
    assert_eq!(lightstep.calls().last(), Some(&format!("PUT {QUERIES}/eq-1")));

    let mut taken = lightstep.queries.lock().expect("no panic");
    let query = taken.remove("eq-1").expect("the query");
    taken.insert("eq-0".into(), query);
    drop(taken);
    let ran = connect(&sandbox, &["--json"]);
    let answer_json = describe(ran.succeeded());
    assert_eq!(
        (&answer_json["event_query"]["outcome"], &answer_json["event_query"]["id"]),
        (&json!("created"), &json!("eq-2"))
    );
}

#[test]
fn custom_query_is_kept_by_later_runs() {
    let lightstep = Lightstep::start();
    let sandbox = lightstep.sandbox();
    connect(&sandbox, &[]).succeeded();
    let own = "logs | filter service == checkout";
    for (args, outcome) in [(&["--query", own, "--json"][..], "updated"), (&["--json"], "unchanged")] {
        let answer_json = describe(connect(&sandbox, args).succeeded());
        assert_eq!(
            (&answer_json["event_query"]["outcome"], &answer_json["event_query"]["query"]),
            (&json!(outcome), &json!(own))
        );
    }
    assert_eq!(lightstep.queries.lock().expect("no panic")["eq-1"]["query_string"], own);
}

#[test]
fn each_project_has_its_own_event_query() {
    let lightstep = Lightstep::with(Box::new(|request, queries| {
        let ours = request.path.replace("/projects/two%20words/", "/projects/shop/");
        (ours != request.path).then(|| lightstep(&Request { path: ours, ..request.clone() }, queries))
    }));
    let sandbox = lightstep.sandbox();
    connect(&sandbox, &[]).succeeded();
    let config = fs::read_to_string(sandbox.path("config.toml")).expect("text");
    sandbox.write("config.toml", config.replace("project = \"shop\"", "project = \"two words\""));
    assert_eq!(describe(connect(&sandbox, &["--json"]).succeeded())["event_query"]["id"], "eq-2");
    sandbox.write("config.toml", config);
    assert_eq!(describe(connect(&sandbox, &["--json"]).succeeded())["event_query"]["id"], "eq-1");
}

#[test]
fn concurrent_runs_create_one_event_query() {
    let lightstep = Lightstep::start();
    let sandbox = lightstep.sandbox();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(sandbox.binary(&["connect"]).code, Some(0)));
        }
    });
    assert_eq!(lightstep.ids(), ["eq-1"]);
}

#[test]
fn lost_answer_does_not_create_a_second_event_query() {
    for lost in
        [Answer::status(502), Answer::status(200).body("<html>"), Answer::status(200).body("{\"data\":{}}")]
    {
        let lost = Mutex::new(Some(lost));
        let lightstep = Lightstep::with(Box::new(move |request, queries| {
            let lost = lost
                .lock()
                .expect("no panic")
                .take_if(|_| request.method == "POST" && request.path == QUERIES)?;
            // The server creates the query although its answer is lost.
            lightstep(request, queries);
            Some(lost)
        }));
        let sandbox = lightstep.sandbox();
        for _ in 0..2 {
            let ran = connect(&sandbox, &["--json"]);
            assert_eq!(ran.code, Some(1), "{}", ran.stdout);
            let answer_json = describe(&ran);
            assert_eq!(answer_json["event_query"]["outcome"], "uncertain", "{answer_json}");
            assert!(answer_json["event_query"]["fix"].as_str().expect("text").contains("--event-query ID"));
        }
        assert_eq!(lightstep.ids(), ["eq-1"]);
        let taken = describe(connect(&sandbox, &["--json", "--event-query", "eq-1"]).succeeded());
        assert_eq!(taken["event_query"]["outcome"], "unchanged");
        assert_eq!(
            describe(connect(&sandbox, &["--json"]).succeeded())["event_query"]["outcome"],
            "unchanged"
        );
        let wrong = connect(&sandbox, &["--json", "--event-query", "nobody's"]);
        assert_eq!((wrong.code, &describe(&wrong)["event_query"]["status"]), (Some(1), &json!(404)));
        assert_eq!(lightstep.ids(), ["eq-1"]);
        connect(&sandbox, &["--again"]).succeeded();
        assert_eq!(lightstep.ids(), ["eq-1", "eq-2"]);
    }
}

#[test]
fn run_killed_at_any_step_does_not_create_a_second_event_query() {
    let mut outcomes = BTreeMap::new();
    for step in 1.. {
        let lightstep = Lightstep::start();
        let sandbox = lightstep.sandbox();
        let report = sandbox.path("report");
        let mut faulty = sandbox.command(&spool::faulty(), &sandbox.path(""));
        faulty.arg("connect").arg("--config").arg(sandbox.path("config.toml"));
        faulty
            .env("GITEA_LIGHTSTEP_FAULT", format!("kill@{step}"))
            .env("GITEA_LIGHTSTEP_FAULT_REPORT", &report);
        let ran = sandbox.run(&mut faulty, b"");
        let died = ran.code.is_none();
        let before = lightstep.ids();
        let answer_json = describe(&connect(&sandbox, &["--json"]));
        let outcome = answer_json["event_query"]["outcome"].as_str().expect("text").to_string();
        match outcome.as_str() {
            "created" => assert_eq!((before.len(), lightstep.ids().len()), (0, 1), "step {step}"),
            "unchanged" => assert_eq!((before.len(), lightstep.ids().len()), (1, 1), "step {step}"),
            "uncertain" => assert_eq!(lightstep.ids(), before, "step {step}"),
            other => panic!("step {step}: {other}"),
        }
        *outcomes.entry(outcome).or_insert(0) += 1;
        if !died {
            ran.succeeded();
            break;
        }
    }
    assert_eq!(
        outcomes.keys().map(String::as_str).collect::<Vec<_>>(),
        ["created", "uncertain", "unchanged"]
    );
    assert!(outcomes["created"] > 5, "{outcomes:?}");
}

#[test]
fn rejected_request_is_reported_with_a_fix_and_leaves_nothing_behind() {
    let errors = format!(r#"{{"errors":["no {KEY} here", {{"detail":"{}"}}]}}"#, "x".repeat(5000));
    for (status, at, hint) in [
        (401, "GET /public/v0.2/acme/test", "API key"),
        (403, "POST /public/v0.2/acme/projects/shop/event_queries", "role"),
        (404, "POST /public/v0.2/acme/projects/shop/event_queries", "`project`"),
        (400, "POST /public/v0.2/acme/projects/shop/event_queries", "`--query`"),
        (307, "GET /public/v0.2/acme/test", "`api`"),
    ] {
        let refused = Mutex::new(Some(
            Answer::status(status).header("location", "https://elsewhere/").body(errors.clone()),
        ));
        let lightstep = Lightstep::with(Box::new(move |request, _| {
            let is_it = format!("{} {}", request.method, request.path) == at;
            refused.lock().expect("no panic").take_if(|_| is_it)
        }));
        let sandbox = lightstep.sandbox();
        let ran = connect(&sandbox, &["--json"]);
        assert_eq!(ran.code, Some(1), "{}", ran.stdout);
        let answer_json = describe(&ran);
        let query = &answer_json["event_query"];
        assert_eq!(
            (&query["outcome"], &query["status"]),
            (&json!("failed"), &json!(status)),
            "{answer_json}"
        );
        let why = query["why"].as_str().expect("text");
        assert!(
            why.chars().count() < 600 && (status == 307 || why.contains("no [redacted] here; x")),
            "{why}"
        );
        assert!(query["fix"].as_str().expect("text").contains(hint), "{answer_json}");
        // The next run behaves like the first one.
        connect(&sandbox, &[]).succeeded();
        assert_eq!(lightstep.ids(), ["eq-1"]);
    }
}

#[test]
fn short_retry_after_is_honoured_and_a_long_one_reported() {
    let answers = Mutex::new(vec![
        Answer::status(429).header("retry-after", "1"),
        Answer::status(503).header("retry-after", "0"),
    ]);
    let lightstep = Lightstep::with(Box::new(move |request, _| {
        let is_it = request.method == "POST" && request.path == QUERIES;
        if is_it { answers.lock().expect("no panic").pop() } else { None }
    }));
    let sandbox = lightstep.sandbox();
    let ran = connect(&sandbox, &[]);
    assert!(ran.succeeded().took.as_millis() >= 1000);
    assert_eq!(lightstep.ids(), ["eq-1"]);

    let busy = Lightstep::with(Box::new(|request, _| {
        (request.path == "/public/v0.2/acme/test")
            .then(|| Answer::status(429).header("retry-after", "3600").body(r#"{"errors":["rate limit"]}"#))
    }));
    let sandbox = busy.sandbox();
    let ran = connect(&sandbox, &[]);
    assert_eq!(ran.code, Some(1));
    assert_told(&sandbox, &busy.recorder, "connect-busy.txt", &ran);
    assert_eq!(busy.calls().len(), 1);
}

#[test]
fn rejected_token_is_reported_but_not_shown() {
    let lightstep = Lightstep::with(Box::new(|request, _| {
        (request.path == "/v1/logs").then(|| {
            let token = request.header("lightstep-access-token").expect("a token").to_string();
            Answer::status(401).body(format!("who is {token}?"))
        })
    }));
    let sandbox = lightstep.sandbox();
    sandbox.write_secret("token", "short-token");
    lightstep.configure(&sandbox, "spans = \"none\"\n");
    let config = fs::read_to_string(sandbox.path("config.toml")).expect("text");
    let without: Vec<_> = config.lines().filter(|line| !line.starts_with(['o', 'p', 'a'])).collect();
    sandbox.write("config.toml", without.join("\n"));
    fs::remove_dir(sandbox.state()).expect("removed");
    let ran = connect(&sandbox, &[]);
    assert_eq!(ran.code, Some(1));
    assert!(!ran.stdout.contains("short-token"), "{}", ran.stdout);
    assert_told(&sandbox, &lightstep.recorder, "connect-refused.txt", &ran);
    assert!(!sandbox.state().exists(), "no state is created");
}

#[test]
fn each_destination_is_tested_and_one_can_be_chosen() {
    let taking = Recorder::start([]);
    let refusing = Recorder::judging(|_| Answer::status(404));
    let sandbox = Sandbox::new();
    let destination = |name: &str, endpoint: &str| {
        format!("[[destination]]\nname = \"{name}\"\nkind = \"otlp\"\nendpoint = \"{endpoint}\"\n")
    };
    sandbox.configure(&format!(
        "{}protocol = \"http/json\"\n{}{}headers = {{ x-key = {{ file = \"missing\" }} }}\n{}",
        destination("taking", &taking.endpoint()),
        destination("refusing", &refusing.endpoint()),
        destination("unready", &taking.endpoint()),
        destination("away", "http://127.0.0.1:1"),
    ));
    let ran = connect(&sandbox, &[]);
    assert_eq!(ran.code, Some(1));
    let told_text = ran.stdout.replace(&taking.endpoint(), "http://TAKING");
    assert_golden(
        &sandbox,
        "connect-destinations.txt",
        &told_text.replace(&refusing.endpoint(), "http://REFUSING"),
    );
    let sent: Value = serde_json::from_slice(&taking.requests()[0].content()).expect("JSON");
    assert_eq!(sent["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["eventName"], "gitea_lightstep.test");

    let answer_json = describe(connect(&sandbox, &["--destination", "taking", "--json"]).succeeded());
    assert_eq!(answer_json["destinations"].as_array().expect("a list").len(), 1);
    assert_eq!(
        (&answer_json["destinations"][0]["answer"], &answer_json["register"]),
        (&json!("taken"), &Value::Null)
    );
    for (args, said) in [
        (&["--destination", "takng"][..], "did you mean `taking`?"),
        (&["--query", "logs"], "organization"),
        (&["--event-query", "x", "--again"], "cannot be used with"),
    ] {
        let ran = connect(&sandbox, args);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn rejected_test_marker_counts_as_a_failure() {
    let rejecting = Recorder::judging(|_| {
        Answer::status(200)
            .body(r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"no such project"}}"#)
    });
    let sandbox = Sandbox::new();
    sandbox.deliver_to(&rejecting.endpoint(), "protocol = \"http/json\"\n");
    let ran = connect(&sandbox, &["--json"]);
    assert_eq!(ran.code, Some(1));
    let test = &describe(&ran)["destinations"][0];
    assert_eq!((&test["answer"], &test["why"]), (&json!("rejected"), &json!("1 rejected: no such project")));
}

#[test]
fn timeout_and_untrusted_ca_are_reported() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let stranger = Recorder::with_tls(&Authority::new("A private CA").issue(&["localhost"]));
    for (endpoint, why, fix) in [
        (
            format!("http://{}", silent.local_addr().expect("an address")),
            "no response within 300ms",
            "the back end is up",
        ),
        (
            format!("https://localhost:{}", stranger.port()),
            "is not signed by a trusted CA; set the destination's `ca_file`",
            "nothing is sent until this is fixed",
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.deliver_to(&endpoint, "[delivery]\ntimeout = \"300ms\"\n");
        let ran = connect(&sandbox, &["--json"]);
        assert_eq!(ran.code, Some(1));
        let test = &describe(&ran)["destinations"][0];
        assert!(test["why"].as_str().expect("text").contains(why), "{test}");
        assert!(test["fix"].as_str().expect("text").contains(fix), "{test}");
    }
}

#[test]
fn invalid_connect_configuration_is_reported() {
    let lightstep = Lightstep::start();
    let sandbox = lightstep.sandbox();
    let config = fs::read_to_string(sandbox.path("config.toml")).expect("text");
    for (from, to, said) in [
        ("project = \"shop\"\n", "", "`project` is missing"),
        ("project = \"shop\"\n", "project = \"a/b\"\n", "such as \"shop\""),
        (
            &*format!("api = \"{}/\"", lightstep.recorder.endpoint()),
            "api = \"http://api.example.com\"",
            "the API key would cross the network unencrypted",
        ),
    ] {
        assert!(config.contains(from), "{config}");
        sandbox.write("config.toml", config.replace(from, to));
        let problems = sandbox.problems();
        assert!(problems.iter().any(|problem| problem.contains(said)), "{problems:?}");
        assert_eq!(connect(&sandbox, &[]).code, Some(1));
    }
    sandbox.write("config.toml", &config);
    fs::remove_file(sandbox.path("api-key")).expect("removed");
    assert!(sandbox.problems()[0].contains("`api_key`"));
    let ran = connect(&sandbox, &["--json"]);
    assert_eq!(describe(&ran)["event_query"]["outcome"], "failed");
}
