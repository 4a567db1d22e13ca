//! `connect`: a test marker to each destination, the event query that is made once, and what is left to a person.

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

/// The event queries of a project, by id.
type Queries = Arc<Mutex<BTreeMap<String, Value>>>;

/// A Lightstep as reference/lightstep.md, sections 1b to 1d, has it: ingest and API on one address.
struct Lightstep {
    recorder: Recorder,
    queries: Queries,
}

/// What is answered in place of what a Lightstep would.
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
        sandbox.write("token", format!("{TOKEN}\n"));
        sandbox.write("api-key", format!("{KEY}\n"));
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

    /// Returns what was asked of the API since the last time, as `METHOD path`.
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

/// Runs it, and looks for the secrets in everything that comes of it.
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
fn told(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr))
}

/// Asserts what a person reads, where the port differs from run to run.
#[track_caller]
fn assert_told(sandbox: &Sandbox, server: &Recorder, name: &str, ran: &Ran) {
    assert_eq!(ran.stderr, "");
    assert_golden(sandbox, name, &ran.stdout.replace(&server.endpoint(), "http://SERVER"));
}

#[test]
fn the_first_run_makes_the_event_query_and_the_second_makes_nothing() {
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
fn the_test_marker_is_a_log_record_of_our_own_service_and_never_a_span() {
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
    assert!(sandbox.journal().is_empty(), "a test is no delivery");
    assert_eq!(sandbox.files("outbox/lightstep/new"), [""; 0]);
}

#[test]
fn what_is_gone_is_made_anew_and_what_differs_is_put_right() {
    let lightstep = Lightstep::start();
    let sandbox = lightstep.sandbox();
    connect(&sandbox, &[]).succeeded();
    lightstep.queries.lock().expect("no panic").get_mut("eq-1").expect("it")["name"] = "Somebody's".into();
    let ran = connect(&sandbox, &["--json"]);
    assert_eq!(told(ran.succeeded())["event_query"]["outcome"], "updated");
    assert_eq!(lightstep.queries.lock().expect("no panic")["eq-1"]["name"], "Deployments from Gitea");
    assert_eq!(lightstep.calls().last(), Some(&format!("PUT {QUERIES}/eq-1")));

    let mut taken = lightstep.queries.lock().expect("no panic");
    let query = taken.remove("eq-1").expect("it");
    taken.insert("eq-0".into(), query);
    drop(taken);
    let ran = connect(&sandbox, &["--json"]);
    let told = told(ran.succeeded());
    assert_eq!(
        (&told["event_query"]["outcome"], &told["event_query"]["id"]),
        (&json!("created"), &json!("eq-2"))
    );
}

#[test]
fn a_query_of_ones_own_is_kept_for_later_runs() {
    let lightstep = Lightstep::start();
    let sandbox = lightstep.sandbox();
    connect(&sandbox, &[]).succeeded();
    let own = "logs | filter service == checkout";
    for (args, outcome) in [(&["--query", own, "--json"][..], "updated"), (&["--json"], "unchanged")] {
        let told = told(connect(&sandbox, args).succeeded());
        assert_eq!(
            (&told["event_query"]["outcome"], &told["event_query"]["query"]),
            (&json!(outcome), &json!(own))
        );
    }
    assert_eq!(lightstep.queries.lock().expect("no panic")["eq-1"]["query_string"], own);
}

#[test]
fn another_project_has_an_event_query_of_its_own() {
    let lightstep = Lightstep::with(Box::new(|request, queries| {
        let ours = request.path.replace("/projects/two%20words/", "/projects/shop/");
        (ours != request.path).then(|| lightstep(&Request { path: ours, ..request.clone() }, queries))
    }));
    let sandbox = lightstep.sandbox();
    connect(&sandbox, &[]).succeeded();
    let config = fs::read_to_string(sandbox.path("config.toml")).expect("text");
    sandbox.write("config.toml", config.replace("project = \"shop\"", "project = \"two words\""));
    assert_eq!(told(connect(&sandbox, &["--json"]).succeeded())["event_query"]["id"], "eq-2");
    sandbox.write("config.toml", config);
    assert_eq!(told(connect(&sandbox, &["--json"]).succeeded())["event_query"]["id"], "eq-1");
}

#[test]
fn two_runs_at_once_make_one() {
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
fn an_answer_that_got_lost_is_not_asked_for_again() {
    for lost in
        [Answer::status(502), Answer::status(200).body("<html>"), Answer::status(200).body("{\"data\":{}}")]
    {
        let lost = Mutex::new(Some(lost));
        let lightstep = Lightstep::with(Box::new(move |request, queries| {
            let lost = lost
                .lock()
                .expect("no panic")
                .take_if(|_| request.method == "POST" && request.path == QUERIES)?;
            // It is made all the same.
            lightstep(request, queries);
            Some(lost)
        }));
        let sandbox = lightstep.sandbox();
        for _ in 0..2 {
            let ran = connect(&sandbox, &["--json"]);
            assert_eq!(ran.code, Some(1), "{}", ran.stdout);
            let told = told(&ran);
            assert_eq!(told["event_query"]["outcome"], "uncertain", "{told}");
            assert!(told["event_query"]["fix"].as_str().expect("text").contains("--event-query ID"));
        }
        assert_eq!(lightstep.ids(), ["eq-1"]);
        let taken = told(connect(&sandbox, &["--json", "--event-query", "eq-1"]).succeeded());
        assert_eq!(taken["event_query"]["outcome"], "unchanged");
        assert_eq!(told(connect(&sandbox, &["--json"]).succeeded())["event_query"]["outcome"], "unchanged");
        let wrong = connect(&sandbox, &["--json", "--event-query", "nobody's"]);
        assert_eq!((wrong.code, &told(&wrong)["event_query"]["status"]), (Some(1), &json!(404)));
        assert_eq!(lightstep.ids(), ["eq-1"]);
        connect(&sandbox, &["--again"]).succeeded();
        assert_eq!(lightstep.ids(), ["eq-1", "eq-2"]);
    }
}

#[test]
fn a_run_that_dies_at_any_step_leads_to_no_second_event_query() {
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
        let told = told(&connect(&sandbox, &["--json"]));
        let outcome = told["event_query"]["outcome"].as_str().expect("text").to_string();
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
fn a_refusal_is_told_with_what_to_do_and_leaves_nothing_behind() {
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
        let told = told(&ran);
        let query = &told["event_query"];
        assert_eq!((&query["outcome"], &query["status"]), (&json!("failed"), &json!(status)), "{told}");
        let why = query["why"].as_str().expect("text");
        assert!(
            why.chars().count() < 600 && (status == 307 || why.contains("no [redacted] here; x")),
            "{why}"
        );
        assert!(query["fix"].as_str().expect("text").contains(hint), "{told}");
        // The next run is the first again.
        connect(&sandbox, &[]).succeeded();
        assert_eq!(lightstep.ids(), ["eq-1"]);
    }
}

#[test]
fn who_asks_for_a_moment_gets_it_and_who_asks_for_long_is_named() {
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
fn a_token_that_is_refused_is_told_of_and_shown_to_nobody() {
    let lightstep = Lightstep::with(Box::new(|request, _| {
        (request.path == "/v1/logs").then(|| {
            let token = request.header("lightstep-access-token").expect("a token").to_string();
            Answer::status(401).body(format!("who is {token}?"))
        })
    }));
    let sandbox = lightstep.sandbox();
    sandbox.write("token", "short-token");
    lightstep.configure(&sandbox, "spans = \"none\"\n");
    let config = fs::read_to_string(sandbox.path("config.toml")).expect("text");
    let without: Vec<_> = config.lines().filter(|line| !line.starts_with(['o', 'p', 'a'])).collect();
    sandbox.write("config.toml", without.join("\n"));
    let ran = connect(&sandbox, &[]);
    assert_eq!(ran.code, Some(1));
    assert!(!ran.stdout.contains("short-token"), "{}", ran.stdout);
    assert_told(&sandbox, &lightstep.recorder, "connect-refused.txt", &ran);
    assert!(!sandbox.state().exists(), "nothing was made that would have to be remembered");
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

    let told = told(connect(&sandbox, &["--destination", "taking", "--json"]).succeeded());
    assert_eq!(told["destinations"].as_array().expect("a list").len(), 1);
    assert_eq!((&told["destinations"][0]["answer"], &told["register"]), (&json!("taken"), &Value::Null));
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
fn a_marker_that_is_taken_and_rejected_has_not_arrived() {
    let rejecting = Recorder::judging(|_| {
        Answer::status(200)
            .body(r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"no such project"}}"#)
    });
    let sandbox = Sandbox::new();
    sandbox.deliver_to(&rejecting.endpoint(), "protocol = \"http/json\"\n");
    let ran = connect(&sandbox, &["--json"]);
    assert_eq!(ran.code, Some(1));
    let test = &told(&ran)["destinations"][0];
    assert_eq!((&test["answer"], &test["why"]), (&json!("rejected"), &json!("1 rejected: no such project")));
}

#[test]
fn no_answer_in_time_and_a_ca_of_nobody_are_told_for_what_they_are() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let stranger = Recorder::with_tls(&Authority::new("Somebody's CA").issue(&["localhost"]));
    for (endpoint, why, fix) in [
        (
            format!("http://{}", silent.local_addr().expect("an address")),
            "no answer within 300ms",
            "the back end is up",
        ),
        (
            format!("https://localhost:{}", stranger.port()),
            "from a CA that is not trusted here; name a file with that CA",
            "before that is right",
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.deliver_to(&endpoint, "[delivery]\ntimeout = \"300ms\"\n");
        let ran = connect(&sandbox, &["--json"]);
        assert_eq!(ran.code, Some(1));
        let test = &told(&ran)["destinations"][0];
        assert!(test["why"].as_str().expect("text").contains(why), "{test}");
        assert!(test["fix"].as_str().expect("text").contains(fix), "{test}");
    }
}

#[test]
fn what_the_configuration_may_not_say_is_told() {
    let lightstep = Lightstep::start();
    let sandbox = lightstep.sandbox();
    let config = fs::read_to_string(sandbox.path("config.toml")).expect("text");
    for (from, to, said) in [
        ("project = \"shop\"\n", "", "`project` is missing"),
        ("project = \"shop\"\n", "project = \"a/b\"\n", "such as \"shop\""),
        (
            &*format!("api = \"{}/\"", lightstep.recorder.endpoint()),
            "api = \"http://api.example.com\"",
            "in the clear",
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
    assert_eq!(told(&ran)["event_query"]["outcome"], "failed");
}
