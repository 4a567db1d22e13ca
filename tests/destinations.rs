//! Destinations with `kind = "http"`: each shipped script produces the documented request of its
//! vendor, failures are retried or become dead letters individually, and secrets never leak.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    Sandbox, manifest_dir,
    recorder::{Answer, Recorder, Request},
    tls::Authority,
    wait_until,
};

const ZERO: &str = "0000000000000000000000000000000000000000";
const TOKEN: &str = "s3cr3t-t0ken-0f-n0b0dy";

/// Configures one destination with this script and one secret from a file.
fn configure(sandbox: &Sandbox, endpoint: &str, render: &str, secret: &str, more: &str) {
    sandbox.write_secret("the-secret", format!("{TOKEN}\n"));
    let secrets = if secret.is_empty() {
        String::new()
    } else {
        format!("secrets = {{ {secret} = {{ file = \"the-secret\" }} }}\n")
    };
    sandbox.configure(&format!(
        "[[destination]]\nname = \"there\"\nkind = \"http\"\nendpoint = \"{endpoint}\"\nrender = \"{render}\"\n{secrets}{more}"
    ));
}

/// Pushes a commit with the push option for a deployment to production, and returns its ID.
fn deploy(sandbox: &Sandbox, title: &str) -> String {
    let commit = sandbox.commit(title, &[("file", title)]);
    sandbox.push(&["-q", "-o", "deploy=production", "HEAD:refs/heads/live"]).succeeded();
    commit
}

/// Pushes a deployment through a shipped script, and returns the requests.
fn shipped(
    render: &str,
    secret: &str,
    more: &str,
    count: usize,
    answer: &str,
) -> (Vec<Request>, Sandbox, String) {
    let answer = answer.to_string();
    let recorder = Recorder::judging(move |_| Answer::status(200).body(answer.clone()));
    let sandbox = Sandbox::new();
    configure(&sandbox, &recorder.endpoint(), render, secret, more);
    let commit = deploy(&sandbox, "Take the discount before the tax");
    let requests = recorder.wait_for(count);
    sandbox.wait_for_delivery_to_end();
    assert_eq!(recorder.requests().len(), count, "no further request");
    assert_eq!(outcomes(&sandbox), ["delivered"], "{:?}", sandbox.journal());
    is_told_nowhere(&sandbox);
    (requests, sandbox, commit)
}

fn outcomes(sandbox: &Sandbox) -> Vec<String> {
    let outcome = |delivery: Value| delivery["outcome"].as_str().expect("text").to_string();
    sandbox.deliveries().into_iter().map(outcome).collect()
}

/// Returns the outcomes without `passed_over`, which the change markers of the same pushes have.
fn outcomes_but_passed_over(sandbox: &Sandbox) -> Vec<String> {
    outcomes(sandbox).into_iter().filter(|outcome| outcome != "passed_over").collect()
}

fn is_told_nowhere(sandbox: &Sandbox) {
    assert!(!sandbox.everything_written().contains(TOKEN), "the secret was written to the state directory");
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

fn time(sandbox: &Sandbox) -> jiff::Timestamp {
    let push = sandbox.journal().into_iter().find(|entry| entry["record"] == "push").expect("a push");
    let decided: jiff::Timestamp = push["time"].as_str().expect("text").parse().expect("a time");
    decided
}

#[track_caller]
fn is_near(sandbox: &Sandbox, found: jiff::Timestamp) {
    let apart = time(sandbox).duration_since(found).as_secs().abs();
    assert!(apart < 120, "{found} differs by {apart} s");
}

#[track_caller]
fn has_keys(value: &Value, allowed: &[&str]) {
    for key in value.as_object().expect("an object").keys() {
        assert!(allowed.contains(&key.as_str()), "`{key}` is not documented");
    }
}

/// Source: https://grafana.com/docs/grafana/latest/developers/http_api/annotations/ ("Create
/// Annotation")
#[test]
fn grafana_gets_an_annotation() {
    let settings = "settings = { dashboard = \"jcIIG-07z\", panel = \"2\" }\n";
    let (requests, sandbox, commit) =
        shipped("grafana", "token", settings, 1, r#"{"message":"Annotation added","id":1}"#);
    let request = &requests[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/annotations"));
    assert_eq!(request.header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let body = body(request);
    has_keys(&body, &["dashboardUID", "panelId", "time", "timeEnd", "tags", "text"]);
    // Milliseconds since 1970.
    is_near(
        &sandbox,
        jiff::Timestamp::from_millisecond(body["time"].as_i64().expect("a number")).expect("a time"),
    );
    assert_eq!((&body["dashboardUID"], &body["panelId"]), (&json!("jcIIG-07z"), &json!(2)));
    let text = body["text"].as_str().expect("required");
    let url = format!("https://git.example.com/acme/shop/commit/{commit}");
    assert_eq!(text, format!("shop {commit}: Take the discount before the tax\n{url}"));
    assert_eq!(
        body["tags"],
        json!([
            "gitea-lightstep",
            "deployment",
            "service:shop",
            format!("version:{commit}"),
            "environment:production"
        ])
    );
}

/// Source: https://docs.honeycomb.io/api/tag/Markers/ ("Create a Marker")
#[test]
fn honeycomb_gets_a_marker() {
    let (requests, sandbox, commit) =
        shipped("honeycomb", "key", "settings = { dataset = \"my shop\" }\n", 1, r#"{"id":"a"}"#);
    let request = &requests[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/1/markers/my%20shop"));
    assert_eq!(request.header("x-honeycomb-team"), Some(TOKEN));
    let body = body(request);
    has_keys(&body, &["start_time", "end_time", "message", "type", "url"]);
    // Seconds since 1970.
    is_near(
        &sandbox,
        jiff::Timestamp::from_second(body["start_time"].as_i64().expect("a number")).expect("a time"),
    );
    assert_eq!(body["type"], "deploy");
    assert_eq!(body["message"], format!("shop {commit} in production: Take the discount before the tax"));
    assert_eq!(body["url"], format!("https://git.example.com/acme/shop/commit/{commit}"));
    let (requests, ..) = shipped("honeycomb", "key", "", 1, "");
    assert_eq!(requests[0].path, "/1/markers/__all__", "a marker for the whole environment");
}

/// Source: https://docs.sentry.io/api/releases/create-a-new-release-for-an-organization/ and
/// .../create-a-deploy/
#[test]
fn sentry_gets_a_release_then_its_deploy() {
    let settings = "settings = { organization = \"acme\", projects = \"shop, shop-web\" }\n";
    let (requests, sandbox, commit) = shipped("sentry", "token", settings, 2, "{}");
    let version = format!("shop@{commit}");
    assert_eq!(requests[0].path, "/api/0/organizations/acme/releases/");
    assert_eq!(requests[1].path, format!("/api/0/organizations/acme/releases/shop%40{commit}/deploys/"));
    for request in &requests {
        assert_eq!((request.method.as_str(), request.connection), ("POST", 0));
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    }
    let (release, deploy) = (body(&requests[0]), body(&requests[1]));
    has_keys(&release, &["version", "projects", "ref", "url", "dateReleased", "commits", "refs", "status"]);
    assert_eq!((&release["version"], &release["projects"]), (&json!(version), &json!(["shop", "shop-web"])));
    assert_eq!(release["ref"], commit);
    // Sentry rejects these characters in a version, and versions of more than 200 characters
    // (getsentry/sentry, src/sentry/constants.py).
    assert!(!version.contains(['/', '\n', '\t', '\r', '\u{c}']) && version.len() <= 200);
    has_keys(&deploy, &["environment", "name", "url", "dateStarted", "dateFinished", "projects"]);
    assert_eq!(deploy["environment"], "production");
    assert!(deploy["name"].as_str().expect("text").chars().count() <= 64);
    for date in [&release["dateReleased"], &deploy["dateFinished"]] {
        is_near(&sandbox, date.as_str().expect("ISO 8601").parse().expect("ISO 8601"));
    }
}

/// Source: https://docs.datadoghq.com/api/latest/events/post-an-event/ (v1)
#[test]
fn datadog_gets_an_event() {
    let (requests, sandbox, commit) = shipped("datadog", "api_key", "", 1, r#"{"status":"ok"}"#);
    let request = &requests[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v1/events"));
    assert_eq!(request.header("dd-api-key"), Some(TOKEN));
    let body = body(request);
    has_keys(
        &body,
        &[
            "aggregation_key",
            "alert_type",
            "date_happened",
            "device_name",
            "host",
            "priority",
            "related_event_id",
            "source_type_name",
            "tags",
            "text",
            "title",
        ],
    );
    // Seconds since 1970, as a number.
    is_near(
        &sandbox,
        jiff::Timestamp::from_second(body["date_happened"].as_i64().expect("a number")).expect("a time"),
    );
    let (title, text) = (body["title"].as_str().expect("required"), body["text"].as_str().expect("required"));
    assert!(title.starts_with("deployment: shop ") && title.chars().count() <= 100, "{title}");
    assert!(
        text.starts_with("Take the discount before the tax\nann\nhttps://") && text.chars().count() <= 4000
    );
    assert!(["error", "warning", "info", "success"].contains(&body["alert_type"].as_str().expect("text")));
    assert!(body["aggregation_key"].as_str().expect("text").chars().count() <= 100);
    let tags: Vec<_> =
        body["tags"].as_array().expect("a list").iter().map(|tag| tag.as_str().expect("text")).collect();
    for tag in ["service:shop", "env:production", "kind:deployment", "repository:acme/shop"] {
        assert!(tags.contains(&tag), "{tags:?}");
    }
    assert!(tags.contains(&&*format!("git.commit.sha:{commit}")));
}

/// Source: https://docs.newrelic.com/docs/change-tracking/config/nerdgraph
/// (`changeTrackingCreateEvent`)
#[test]
fn new_relic_gets_a_change_event() {
    let answer = r#"{"data":{"changeTrackingCreateEvent":{"changeTrackingEvent":{"changeTrackingId":"x"},"messages":[]}}}"#;
    let (requests, sandbox, commit) = shipped("newrelic", "key", "", 1, answer);
    let request = &requests[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/graphql"));
    assert_eq!(request.header("api-key"), Some(TOKEN));
    let body = body(request);
    has_keys(&body, &["query", "variables"]);
    let query = body["query"].as_str().expect("text");
    assert!(query.starts_with(
        "mutation($event: ChangeTrackingEventInput!) { changeTrackingCreateEvent(changeTrackingEvent: $event)"
    ));
    assert_eq!(query.matches('{').count(), query.matches('}').count());
    let event = &body["variables"]["event"];
    has_keys(
        event,
        &[
            "categoryAndTypeData",
            "customAttributes",
            "description",
            "entitySearch",
            "groupId",
            "shortDescription",
            "timestamp",
            "user",
        ],
    );
    // Required: the category and type, the version of a deployment, and the entity.
    let data = &event["categoryAndTypeData"];
    assert_eq!(data["kind"], json!({ "category": "Deployment", "type": "Basic" }));
    let deployment = &data["categoryFields"]["deployment"];
    has_keys(deployment, &["version", "commit", "changelog", "deepLink"]);
    assert_eq!((&deployment["version"], &deployment["commit"]), (&json!(commit), &json!(commit)));
    assert_eq!(event["entitySearch"], json!({ "query": "name = 'shop' AND domain = 'APM'" }));
    // Milliseconds since 1970.
    is_near(
        &sandbox,
        jiff::Timestamp::from_millisecond(event["timestamp"].as_i64().expect("a number")).expect("a time"),
    );
    assert_eq!(event["user"], "ann");
}

/// Source: https://docs.gitea.com/api/ (`repoCreateStatus`, `CreateStatusOption`)
#[test]
fn gitea_gets_a_commit_status_with_the_link() {
    let recorder = Recorder::judging(|_| Answer::status(201).body("{}"));
    let sandbox = Sandbox::new();
    let settings = "settings = { trace_link = \"https://jaeger.example.com/trace/{trace_id}?x=1\" }\n";
    configure(&sandbox, &recorder.endpoint(), "gitea", "token", settings);
    // The change and the release do not create statuses, because they are not deployments.
    let commit = sandbox.commit("Take the discount before the tax", &[]);
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.push(&["-q", "main", "v1.0.0"]).succeeded();
    sandbox.push(&["-q", "-o", "deploy=production", "HEAD:refs/heads/live"]).succeeded();
    let request = recorder.wait_for(1).remove(0);
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(recorder.requests().len(), 1);
    is_told_nowhere(&sandbox);
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, format!("/api/v1/repos/acme/shop/statuses/{commit}"));
    assert_eq!(request.header("authorization"), Some(&*format!("token {TOKEN}")));
    let body = body(&request);
    has_keys(&body, &["context", "description", "state", "target_url"]);
    assert_eq!((&body["state"], &body["context"]), (&json!("success"), &json!("gitea-lightstep/production")));
    assert_eq!(body["description"], "deployment: shop 1.0.0");
    let hash = sha2_of(&format!("gitea-lightstep/trace/1\0{commit}"));
    assert_eq!(body["target_url"], format!("https://jaeger.example.com/trace/{}?x=1", &hash[..32]));

    // Without a version, the description shows the abbreviated commit ID.
    let commit = sandbox.commit("Untagged", &[]);
    sandbox.push(&["-q", "-o", "deploy=production", "main"]).succeeded();
    let request = recorder.wait_for(2).remove(1);
    assert_eq!(self::body(&request)["description"], format!("deployment: shop {}", &commit[..12]));
}

/// A status counts as a successful check, and Gitea may merge a pull request that waits for its
/// checks.
#[test]
fn a_commit_outside_of_the_default_branch_gets_no_status() {
    let recorder = Recorder::judging(|_| Answer::status(201).body("{}"));
    let sandbox = Sandbox::new();
    configure(&sandbox, &recorder.endpoint(), "gitea", "token", "");
    sandbox.commit("Landed", &[]);
    sandbox.push(&["-q", "main"]).succeeded();
    sandbox.git(&["checkout", "-q", "-b", "topic"]);
    sandbox.commit("Of a pull request", &[]);
    sandbox.git(&["tag", "preview"]);
    sandbox.push(&["-q", "-o", "deploy=staging", "topic", "preview", "HEAD:refs/heads/live"]).succeeded();
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(recorder.requests().len(), 0, "{:?}", sandbox.deliveries());
    assert_eq!(sandbox.files("outbox/there/new"), [""; 0]);
    // Each push has its own deliverer, so their entries can be in any order.
    let deliveries = sandbox.deliveries();
    let why = |delivery: &Value| delivery["why"].as_str().unwrap_or_default().to_string();
    let skipped =
        deliveries.iter().filter(|delivery| why(delivery).contains("not known to be on the default"));
    let markers: usize = skipped.map(|delivery| delivery["markers"].as_array().expect("IDs").len()).sum();
    assert_eq!(markers, 1, "one deployment for three refs: {deliveries:?}");

    // After the merge, deployments of the commit get a status, even an old commit or one deployed
    // by tag.
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.git(&["merge", "-q", "--no-ff", "-m", "Merge", "topic"]);
    sandbox.push(&["-q", "main"]).succeeded();
    sandbox.push(&["-q", "-o", "deploy=staging", "topic:refs/heads/again"]).succeeded();
    recorder.wait_for(1);

    // With other destinations, the hook does not compute this attribute.
    sandbox.deliver_to("http://127.0.0.1:9", "");
    sandbox.push(&["-q", "-o", "deploy=qa", "topic:refs/heads/once-more"]).succeeded();
    let marker = sandbox.waiting("collector").remove(0);
    assert!(marker["attributes"].get("gitea_lightstep.commit.on_default_branch").is_none(), "{marker}");
}

#[test]
fn check_warns_about_statuses_that_may_merge_pull_requests() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "https://git.example.com", "gitea", "token", "");
    let ran = sandbox.binary(&["check"]);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""));
    for kind in ["change", "release"] {
        configure(
            &sandbox,
            "https://git.example.com",
            "gitea",
            "token",
            &format!("kinds = [\"deployment\", \"{kind}\"]\n"),
        );
        let ran = sandbox.binary(&["check"]);
        assert_eq!(ran.code, Some(0), "a warning is not an error");
        let said = format!("a commit status for a `{kind}` counts as a successful check");
        assert!(ran.stderr.contains("warning: ") && ran.stderr.contains(&said), "{}", ran.stderr);
        let json: Value = serde_json::from_str(&sandbox.binary(&["check", "--json"]).stdout).expect("JSON");
        assert_eq!(json["warnings"].as_array().expect("a list").len(), 1);
    }
    configure(&sandbox, "https://x.example.com", "grafana", "token", "kinds = [\"change\"]\n");
    assert_eq!(sandbox.binary(&["check"]).stderr, "");
}

/// Gitea answers like this for the former name of a repository.
#[test]
fn renamed_repository_gets_its_status() {
    for (status, location) in [
        (301, "/api/v1/repos/acme/till"),
        (307, "HOST/api/v1/repos/acme/till"),
        (308, "/api/v1/repos/acme/till"),
    ] {
        let elsewhere = Recorder::start([]);
        let recorder = Recorder::judging(move |request| match request.path.contains("/acme/shop/") {
            true => {
                let host = format!("http://{}", request.header("host").expect("a host"));
                let to = request.path.replace("/api/v1/repos/acme/shop", &location.replace("HOST", &host));
                Answer::status(status).header("Location", to)
            }
            false => Answer::status(201).body("{}"),
        });
        let sandbox = Sandbox::new();
        configure(&sandbox, &recorder.endpoint(), "gitea", "token", "");
        let commit = sandbox.commit("Renamed", &[]);
        sandbox.push(&["-q", "-o", "deploy=production", "main"]).succeeded();
        let requests = recorder.wait_for(2);
        sandbox.wait_for_deliverers_to_end();
        assert_eq!(requests[1].path, format!("/api/v1/repos/acme/till/statuses/{commit}"));
        assert_eq!((&requests[0].method, &requests[0].body), (&requests[1].method, &requests[1].body));
        assert_eq!(requests[1].header("authorization"), Some(&*format!("token {TOKEN}")));
        assert_eq!(outcomes_but_passed_over(&sandbox), ["delivered"]);
        assert_eq!(elsewhere.requests().len(), 0);
    }
}

#[test]
fn token_is_not_sent_to_another_host_on_redirect() {
    let elsewhere = Recorder::start([]);
    for to in [
        format!("{}/api/v1/repos/acme/till/statuses/x", elsewhere.endpoint()),
        "/api/v1/user/tokens".into(),
        "/user/login".into(),
        "/api/v1/repos/../user/tokens".into(),
        format!("//{}/api/v1/repos/a/b", elsewhere.endpoint().trim_start_matches("http://")),
    ] {
        let answer = Answer::status(301).header("Location", to.clone());
        let recorder = Recorder::judging(move |_| answer.clone());
        let sandbox = Sandbox::new();
        configure(&sandbox, &recorder.endpoint(), "gitea", "token", "");
        sandbox.commit("Redirected", &[]);
        sandbox.push(&["-q", "-o", "deploy=production", "main"]).succeeded();
        recorder.wait_for(1);
        sandbox.wait_for_deliverers_to_end();
        assert_eq!(recorder.requests().len(), 1, "{to}");
        assert_eq!(outcomes_but_passed_over(&sandbox), ["refused"], "{to}");
    }
    assert_eq!(elsewhere.requests().len(), 0);
    // A redirect loop is followed only once.
    let recorder = Recorder::judging(|request| Answer::status(301).header("Location", request.path.clone()));
    let sandbox = Sandbox::new();
    configure(&sandbox, &recorder.endpoint(), "gitea", "token", "");
    sandbox.commit("In a circle", &[]);
    sandbox.push(&["-q", "-o", "deploy=production", "main"]).succeeded();
    wait_until("the marker is a dead letter", || sandbox.files("dead").len() == 2);
    assert_eq!(recorder.requests().len(), 2);
}

#[test]
fn doctor_and_connect_report_a_read_only_token() {
    for (scope, is_well) in [("write", true), ("read", false)] {
        // Like Gitea: check the scope first, then the repository.
        let recorder = Recorder::judging(move |request| match (&*request.method, scope) {
            ("GET", _) => Answer::status(200).body(r#"{"ok":true,"data":[]}"#),
            (_, "write") => Answer::status(404).body(r#"{"message":"user redirect does not exist"}"#),
            _ => Answer::status(403).body(
                r#"{"message":"token does not have at least one of required scope(s): [write:repository]"}"#,
            ),
        });
        let sandbox = Sandbox::new();
        configure(&sandbox, &recorder.endpoint(), "gitea", "token", "");
        for command in ["doctor", "connect"] {
            let ran = sandbox.binary(&[command]);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert_eq!(said.contains("write:repository"), !is_well, "{command}: {said}");
        }
        let posts = recorder.requests().into_iter().filter(|request| request.method == "POST");
        for post in posts {
            let nowhere = format!("/api/v1/repos/gitea-lightstep-probe/no-such-repository/statuses/{ZERO}");
            assert_eq!(post.path, nowhere, "the probe names a commit that does not exist");
        }
    }
}

fn sha2_of(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
/// https://docs.slack.dev/reference/block-kit/blocks
#[test]
fn slack_gets_a_message_and_the_webhook_url_stays_secret() {
    let recorder = Recorder::judging(|_| Answer::status(200).body("ok"));
    let sandbox = Sandbox::new();
    // The webhook URL as copied from Slack, with the host.
    configure(&sandbox, &recorder.endpoint(), "slack", "webhook", "");
    sandbox.write_secret("the-secret", format!("{}/services/T00/B00/{TOKEN}\n", recorder.endpoint()));
    let commit = deploy(&sandbox, "Discounts <before> tax & more");
    let request = recorder.wait_for(1).remove(0);
    sandbox.wait_for_delivery_to_end();
    let path = format!("/services/T00/B00/{TOKEN}");
    assert_eq!((request.method.as_str(), &*request.path), ("POST", &*path));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    has_keys(&body, &["text", "blocks", "thread_ts", "mrkdwn"]);
    assert_eq!(body["text"], format!("deployment: *shop* {commit} in *production*"));
    let blocks = body["blocks"].as_array().expect("a list");
    assert!(blocks.len() <= 50);
    assert_eq!((&blocks[0]["type"], &blocks[0]["text"]["type"]), (&json!("section"), &json!("mrkdwn")));
    let text = blocks[0]["text"]["text"].as_str().expect("text");
    assert!((1..=3000).contains(&text.chars().count()));
    assert!(
        text.contains("*\n<https://") && text.ends_with("|Discounts &lt;before&gt; tax &amp; more>"),
        "{text}"
    );
    assert_eq!(blocks[1]["type"], "context");
    let elements = blocks[1]["elements"].as_array().expect("a list");
    assert!((1..=10).contains(&elements.len()) && elements.iter().all(|element| element["type"] == "mrkdwn"));
    is_told_nowhere(&sandbox);
}

#[test]
fn rejected_slack_message_is_a_dead_letter_without_the_webhook_url() {
    let recorder =
        Recorder::judging(|request| Answer::status(200).body(format!("no_service {}", request.path)));
    let sandbox = Sandbox::new();
    configure(&sandbox, &recorder.endpoint(), "slack", "webhook", "");
    sandbox.write_secret("the-secret", format!("/services/T00/B00/{TOKEN}\n"));
    deploy(&sandbox, "x");
    recorder.wait_for(1);
    sandbox.wait_for_delivery_to_end();
    let delivery = sandbox.deliveries().pop().expect("a delivery");
    assert_eq!(
        (&delivery["outcome"], &delivery["why"]),
        (&json!("refused"), &json!("HTTP 200, but: no_service [redacted]"))
    );
    is_told_nowhere(&sandbox);
}

/// Source: https://api-docs.lightstep.com/reference (POST .../snapshots;
/// lightstep/lightstep-api-js, src/api-swagger.json)
#[test]
fn lightstep_gets_a_snapshot_request() {
    let settings = "settings = { organization = \"acme\", project = \"shop-prod\" }\n";
    let answer = r#"{"data":{"id":"abc"}}"#;
    let (requests, ..) = shipped("lightstep-snapshot", "api_key", settings, 1, answer);
    let request = &requests[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/public/v0.2/acme/projects/shop-prod/snapshots")
    );
    assert_eq!(request.header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    assert_eq!(body(request), json!({ "data": { "attributes": { "query": "service IN (\"shop\")" } } }));
}

/// Source: https://github.com/cdevents/spec/blob/v0.5.1/cloudevents-binding.md,
/// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
///
/// The CDEvents project generates `cdevents-sdk` from its JSON schemas, and the SDK rejects
/// everything that the schemas do not allow. The schemas are not in a package registry. These
/// events were also validated manually against those of 0.5.0 (2026-11-26, Python's jsonschema with
/// format checks).
#[test]
fn cdevents_are_accepted_by_the_official_sdk() {
    let recorder = Recorder::start([]);
    let sandbox = Sandbox::new();
    let more =
        "headers = { authorization = { file = \"the-secret\" } }\nsettings = { path = \"/cdevents\" }\n";
    configure(&sandbox, &recorder.endpoint(), "cdevents", "", more);
    sandbox.write(
        "scripts/site.rhai",
        r#"fn decide(update) {
            ["change", "release", "deployment", "rollback"].map(|kind| mark(#{
                kind: kind,
                service: "shop " + kind,
                environment: if kind == "deployment" || kind == "rollback" { "production" } else { () },
            }))
        }"#,
    );
    let commit = sandbox.commit("Take the discount before the tax", &[]);
    sandbox.push(&["-q", "HEAD:refs/heads/live"]).succeeded();
    let requests = recorder.wait_for(4);
    sandbox.wait_for_delivery_to_end();
    let mut types = Vec::new();
    for request in &requests {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/cdevents"));
        assert_eq!(request.header("content-type"), Some("application/cloudevents+json; charset=utf-8"));
        assert_eq!(request.header("authorization"), Some(TOKEN));
        let event = body(request);
        has_keys(
            &event,
            &["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data"],
        );
        let data = &event["data"];
        let context = &data["context"];
        assert_eq!((&event["specversion"], &context["specversion"]), (&json!("1.0"), &json!("0.5.1")));
        for (outer, inner) in [("id", "id"), ("source", "source"), ("type", "type"), ("time", "timestamp")] {
            assert_eq!(event[outer], context[inner], "{outer}");
        }
        assert_eq!(event["subject"], data["subject"]["id"]);
        is_near(&sandbox, event["time"].as_str().expect("RFC 3339").parse().expect("RFC 3339"));
        let known: cdevents_sdk::CDEvent = serde_json::from_value(data.clone()).expect("a CDEvents event");
        assert_eq!(serde_json::to_value(&known).expect("JSON"), *data, "the event survives the round trip");
        let kind = event["subject"].as_str().expect("text").trim_start_matches("shop ").to_string();
        let purl = data["subject"]["content"]["artifactId"].as_str().expect("a package URL");
        assert_eq!(
            purl,
            format!(
                "pkg:generic/shop%20{kind}@{commit}?vcs_url=git%2Bhttps%3A%2F%2Fgit.example.com%2Facme%2Fshop%40{commit}"
            )
        );
        let environment = &data["subject"]["content"]["environment"];
        let has_environment = matches!(kind.as_str(), "deployment" | "rollback");
        assert_eq!(*environment, if has_environment { json!({ "id": "production" }) } else { Value::Null });
        types.push(event["type"].as_str().expect("text").to_string());
    }
    types.sort();
    assert_eq!(
        types,
        [
            "dev.cdevents.service.deployed.0.3.0",
            "dev.cdevents.service.rolledback.0.3.0",
            "dev.cdeventsx.gitealightstep-change.landed.0.1.0",
            "dev.cdeventsx.gitealightstep-release.created.0.1.0",
        ]
    );
    // Check that the SDK rejects events that violate the schema.
    let mut wrong = body(&requests[0])["data"].clone();
    wrong["context"]["type"] = json!("dev.cdevents.service.deployed.0.3.0");
    wrong["subject"]["content"] = json!({ "artifactId": "pkg:generic/shop@1" });
    serde_json::from_value::<cdevents_sdk::CDEvent>(wrong)
        .expect_err("an event without an environment is rejected");
    is_told_nowhere(&sandbox);
}

/// Configures a destination with this script, and a receiver with these answers.
fn own(script: &str, answers: impl IntoIterator<Item = Answer>) -> (Recorder, Sandbox) {
    let recorder = Recorder::start(answers);
    let sandbox = Sandbox::new();
    configure(&sandbox, &recorder.endpoint(), "render/own.rhai", "token", "[delivery]\nlinger = \"20s\"\n");
    sandbox.write("render/own.rhai", script);
    (recorder, sandbox)
}

const SIMPLE: &str = r#"fn render(marker) {
    #{ path: "/m/" + marker.id, headers: #{ "X-Key": secret("token") }, body: #{ title: marker.title, key: secret("token") } }
}"#;

#[test]
fn temporary_failure_is_retried_with_the_same_id() {
    let retried = [408, 425, 429, 500, 502, 503, 504];
    let answers = retried.map(|status| Answer::status(status).header("retry-after", "0").body("not now"));
    let (recorder, sandbox) = own(SIMPLE, answers);
    deploy(&sandbox, "Patience");
    let requests = recorder.wait_for(retried.len() + 1);
    sandbox.wait_for_delivery_to_end();
    assert!(requests.iter().all(|request| request.path == requests[0].path), "{requests:?}");
    let expected: Vec<_> = retried.iter().map(|_| "retried").chain(["delivered"]).collect();
    assert_eq!(outcomes(&sandbox), expected);
    let report =
        |(delivery, status): (&Value, u16)| assert_eq!(delivery["why"], format!("HTTP {status}: not now"));
    sandbox.deliveries().iter().zip(retried).for_each(report);
    assert_eq!(sandbox.files("dead"), [""; 0]);
}

#[test]
fn web_page_as_answer_is_not_a_success() {
    for accepts in ["", "fn accepts(answer) { true }", "fn accepts(answer) { \"no JSON\" }"] {
        let page = Answer::status(200).body(" \n<!doctype HTML><title>Log in</title>");
        let (recorder, sandbox) = own(&format!("{SIMPLE}\n{accepts}"), [page]);
        deploy(&sandbox, "x");
        recorder.wait_for(1);
        sandbox.wait_for_delivery_to_end();
        let delivery = sandbox.deliveries().remove(0);
        assert_eq!(
            (&delivery["outcome"], &delivery["why"]),
            (
                &json!("retried"),
                &json!("HTTP 200, but the response is a web page, perhaps from a proxy or a login page")
            )
        );
    }
}

#[test]
fn failing_marker_is_isolated() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::judging(|request| {
        let is_bad = String::from_utf8_lossy(&request.body).contains("Bad");
        Answer::status(if is_bad { 500 } else { 200 })
    });
    configure(&sandbox, "http://127.0.0.1:9", "render/own.rhai", "token", "[delivery]\nlinger = \"0s\"\n");
    sandbox.write("render/own.rhai", SIMPLE);
    for title in ["Bad", "Good", "Better"] {
        deploy(&sandbox, title);
        sandbox.wait_for_deliverers_to_end();
    }
    configure(&sandbox, &recorder.endpoint(), "render/own.rhai", "token", "");
    // A background deliverer may still hold the lock.
    for _ in 0..10 {
        assert_eq!(sandbox.binary(&["deliver"]).code, Some(1));
        if sandbox.files("outbox/there/new").len() == 1 {
            break;
        }
    }
    let titles: Vec<_> = recorder.requests().iter().map(|request| body(request)["title"].clone()).collect();
    for title in ["Good", "Better"] {
        assert_eq!(titles.iter().filter(|sent| **sent == title).count(), 1, "{titles:?}");
    }
    assert_eq!(sandbox.waiting("there").len(), 1);
    assert!(sandbox.binary(&["status"]).stdout.contains(" waits alone: HTTP 500"));
}

#[test]
fn retry_after_is_honoured() {
    let (recorder, sandbox) = own(SIMPLE, [Answer::status(429).header("retry-after", "600")]);
    sandbox.write("scripts/site.rhai", "fn decide(update) { true }");
    configure(&sandbox, &recorder.endpoint(), "render/own.rhai", "token", "");
    deploy(&sandbox, "One");
    recorder.wait_for(1);
    sandbox.wait_for_deliverers_to_end();
    deploy(&sandbox, "Two");
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(recorder.requests().len(), 1, "the next push respects the back-off");
    assert_eq!(sandbox.waiting("there").len(), 2);
    sandbox.binary(&["deliver"]).succeeded();
    assert_eq!(recorder.requests().len(), 3, "`deliver` ignores the back-off");
}

#[test]
fn rejected_marker_is_a_dead_letter_and_can_be_put_back() {
    let echo = |request: &Request| {
        let said: Value = serde_json::from_slice(&request.body).expect("JSON");
        let is_bad = said["title"] == "Bad";
        Answer::status(if is_bad { 422 } else { 201 }).body(format!("no: {said}"))
    };
    let recorder = Recorder::judging(echo);
    let sandbox = Sandbox::new();
    configure(&sandbox, &recorder.endpoint(), "own.rhai", "token", "");
    sandbox.write("own.rhai", SIMPLE);
    for title in ["Good", "Bad", "Better"] {
        deploy(&sandbox, title);
    }
    recorder.wait_for(3);
    sandbox.wait_for_deliverers_to_end();
    let mut said = outcomes(&sandbox);
    said.sort();
    said.dedup();
    assert_eq!(said, ["delivered", "refused"]);
    let refused = sandbox
        .deliveries()
        .into_iter()
        .find(|delivery| delivery["outcome"] == "refused")
        .expect("a refused delivery");
    assert_eq!(refused["why"], "HTTP 422: no: {\"key\":\"[redacted]\",\"title\":\"Bad\"}");
    assert_eq!(sandbox.files("dead").len(), 2, "the dead letter and its reason");
    is_told_nowhere(&sandbox);
    let status = sandbox.binary(&["status"]);
    assert_eq!(status.code, Some(1));
    assert!(status.stdout.contains("there"), "{}", status.stdout);
    let before = recorder.requests().len();
    sandbox.binary(&["queue", "retry", "--all"]).succeeded_or_found();
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(recorder.requests().len(), before + 1, "`queue retry` sends it once");
    for line in ["status", "log", "check"] {
        let ran = sandbox.binary(&[line]);
        assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN), "{line}");
    }
}

#[test]
fn failing_script_affects_only_its_marker_and_names_the_position() {
    let script = "fn render(marker) {\n    if marker.title == \"Bad\" {\n        return #{ path: marker.titel };\n    }\n    #{ path: \"/ok\" }\n}";
    let (recorder, sandbox) = own(script, []);
    configure(&sandbox, &recorder.endpoint(), "render/own.rhai", "", "");
    for title in ["Good", "Bad", "Better"] {
        deploy(&sandbox, title);
    }
    recorder.wait_for(2);
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(recorder.requests().len(), 2);
    let refused = sandbox
        .deliveries()
        .into_iter()
        .find(|delivery| delivery["outcome"] == "refused")
        .expect("a refused delivery");
    let place = sandbox.path("render/own.rhai:3:31").display().to_string();
    assert_eq!(refused["why"], format!("{place}: `marker` has no property `titel`; did you mean `title`?"));
}

#[test]
fn marker_is_kept_while_its_script_does_not_compile() {
    let (recorder, sandbox) = own("fn render(marker) { let x = ; }", []);
    configure(&sandbox, &recorder.endpoint(), "render/own.rhai", "", "");
    deploy(&sandbox, "Waits");
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(sandbox.waiting("there").len(), 1, "the marker stays queued until the script is fixed");
    let why = sandbox.deliveries().pop().expect("a delivery")["why"].as_str().expect("text").to_string();
    assert!(why.contains("render/own.rhai:1:29: Unexpected ';'"), "{why}");
    sandbox.write("render/own.rhai", SIMPLE.replace("secret(\"token\")", "\"none\""));
    sandbox.binary(&["deliver"]).succeeded();
    assert_eq!(recorder.requests().len(), 1);
}

#[test]
fn endless_script_is_stopped() {
    for script in ["fn render(marker) { loop {} }", "fn render(marker) { let a = [0]; loop { a += a; } }"] {
        let (recorder, sandbox) = own(script, []);
        sandbox.write("own.rhai", "");
        let config = fs::read_to_string(sandbox.path("config.toml")).expect("the configuration");
        sandbox.write("config.toml", config.replace("time = \"20s\"", "time = \"1s\""));
        deploy(&sandbox, "Ended");
        sandbox.wait_for_deliverers_to_end();
        assert_eq!(outcomes(&sandbox), ["refused"], "{script}");
        assert_eq!(recorder.requests().len(), 0);
    }
}

#[test]
fn unwanted_marker_is_recorded_as_passed_over() {
    let script = "fn render(marker) { if marker.environment == \"production\" { skip(\"not production\") } }";
    let (recorder, sandbox) = own(script, []);
    configure(
        &sandbox,
        &recorder.endpoint(),
        "render/own.rhai",
        "",
        "kinds = [\"deployment\", \"rollback\"]\n",
    );
    deploy(&sandbox, "Passed over");
    sandbox.wait_for_deliverers_to_end();
    let commit = sandbox.git(&["rev-parse", "HEAD"]);
    sandbox.hook(format!("{ZERO} {commit} refs/tags/v1.0.0\n").as_bytes()).succeeded();
    sandbox.wait_for_deliverers_to_end();
    let deliveries = sandbox.deliveries();
    let report: Vec<_> = deliveries.iter().map(|delivery| (&delivery["outcome"], &delivery["why"])).collect();
    let passed = json!("passed_over");
    assert_eq!(
        report,
        [
            (&passed, &json!("not production")),
            (&passed, &json!("its kind is not one of the destination's `kinds`")),
        ]
    );
    assert_eq!((recorder.requests().len(), sandbox.waiting("there").len()), (0, 0));
    let log = sandbox.binary(&["log"]).succeeded().stdout.clone();
    assert!(log.contains("passed") && log.contains("not production"), "{log}");
}

#[test]
fn failed_request_is_named_and_later_ones_are_not_sent() {
    let script = r#"fn render(marker) { [#{ path: "/one" }, #{ path: "/two" }, #{ path: "/three" }] }"#;
    let (recorder, sandbox) = own(script, [Answer::status(200), Answer::status(400).body("bad")]);
    configure(&sandbox, &recorder.endpoint(), "render/own.rhai", "", "");
    deploy(&sandbox, "x");
    sandbox.wait_for_deliverers_to_end();
    let paths: Vec<_> = recorder.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/one", "/two"]);
    assert_eq!(sandbox.deliveries()[0]["why"], "request 2 of 3: HTTP 400: bad");
}

#[test]
fn graphql_error_with_status_200_is_a_rejection() {
    let recorder = Recorder::judging(|_| {
        Answer::status(200).body(r#"{"errors":[{"message":"No entity found"}],"data":null}"#)
    });
    let sandbox = Sandbox::new();
    configure(&sandbox, &recorder.endpoint(), "newrelic", "key", "");
    deploy(&sandbox, "x");
    sandbox.wait_for_deliverers_to_end();
    let delivery = sandbox.deliveries().pop().expect("a delivery");
    assert_eq!(delivery["outcome"], "refused");
    assert!(delivery["why"].as_str().expect("text").contains("No entity found"), "{delivery}");
}

#[test]
fn redirect_is_not_followed_and_a_rejected_secret_is_read_again() {
    let (recorder, sandbox) =
        own(SIMPLE, [Answer::status(307).header("location", "https://evil.example.com/take-it")]);
    deploy(&sandbox, "Redirected");
    recorder.wait_for(1);
    sandbox.wait_for_deliverers_to_end();
    let why = &sandbox.deliveries()[0]["why"];
    assert_eq!(*why, "HTTP 307: redirects to https://evil.example.com/take-it, which is not followed");

    let secret = sandbox.path("the-secret");
    let rotated = std::sync::atomic::AtomicBool::new(false);
    let recorder = Recorder::judging(move |request| {
        if request.header("x-key") == Some("the-new-one") {
            return Answer::status(200);
        }
        if !rotated.swap(true, std::sync::atomic::Ordering::SeqCst) {
            fs::write(&secret, "the-new-one").expect("write a new secret");
        }
        Answer::status(401)
    });
    let sandbox_two = &sandbox;
    configure(sandbox_two, &recorder.endpoint(), "render/own.rhai", "token", "");
    deploy(sandbox_two, "Rotated");
    let requests = recorder.wait_for(2);
    sandbox.wait_for_deliverers_to_end();
    let body: Value = serde_json::from_slice(&requests[1].body).expect("JSON");
    assert_eq!(body["key"], "the-new-one", "the body has the new secret too");
    assert_eq!(outcomes(&sandbox).last().map(String::as_str), Some("delivered"));
}

#[test]
fn http_and_otlp_destinations_work_together() {
    let (there, collector) = (Recorder::start([]), Recorder::start([]));
    let sandbox = Sandbox::new();
    sandbox.write("own.rhai", SIMPLE.replace("secret(\"token\")", "\"none\""));
    sandbox.configure(&format!(
        "[[destination]]\nname = \"there\"\nkind = \"http\"\nendpoint = \"{}/base\"\nrender = \"./own.rhai\"\n\
         [[destination]]\nname = \"collector\"\nkind = \"otlp\"\nendpoint = \"{}\"\n",
        there.endpoint(),
        collector.endpoint()
    ));
    deploy(&sandbox, "Both");
    let request = there.wait_for(1).remove(0);
    assert!(request.path.starts_with("/base/m/"), "{}", request.path);
    let paths: Vec<_> = collector.wait_for(2).into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v1/logs", "/v1/traces"]);
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(there.requests().len(), 1, "no span is sent to this destination");
}

#[test]
fn invalid_configurations_name_the_expected_value() {
    let sandbox = Sandbox::new();
    sandbox.write_secret("token", "t0ken");
    let start = "[[destination]]\nname = \"there\"\nendpoint = \"https://x.example.com\"\n";
    let config = sandbox.path("config.toml").display().to_string();
    let shipped = "`cdevents`, `datadog`, `gitea`, `grafana`, `honeycomb`, `lightstep-snapshot`, `newrelic`, `sentry`, `slack`";
    let kinds = "kind = \"http\"\n";
    for (more, expected) in [
        (
            format!("{kinds}render = \"grafana\"\nprotocol = \"http/json\"\n"),
            ":11:12: `protocol` is for kind = \"otlp\"; kind = \"http\" takes `render`, `secrets`, \
             `settings` and `kinds` instead"
                .to_string(),
        ),
        (
            "kind = \"otlp\"\nrender = \"grafana\"\n".into(),
            ":10:10: `render` is for kind = \"http\"; kind = \"otlp\" takes `protocol`, `compression`, \
             `logs` and `spans` instead"
                .into(),
        ),
        (
            kinds.into(),
            format!(
                ":9:8: kind = \"http\" needs `render`: the path of a script, or one of {}",
                shipped.replace('`', "\"")
            ),
        ),
        (
            format!("{kinds}render = \"graphana\"\n"),
            ":10:10: unknown script `graphana`; did you mean `grafana`?".into(),
        ),
        (
            format!("{kinds}render = \"zabbix\"\n"),
            format!(":10:10: unknown script `zabbix`, expected a path that ends in `.rhai`, or one of \
                     {shipped}"),
        ),
        (
            format!("{kinds}render = \"grafana\"\nsecrets = {{ token = \"t0ken\" }}\n"),
            ":11:21: expected a table with one of `file`, `command`, `credential`, `env`; the configuration \
             must not contain the secret itself"
                .into(),
        ),
        (
            format!("{kinds}render = \"grafana\"\nkinds = [\"deploy\"]\n"),
            ":11:10: unknown variant `deploy`, expected one of `change`, `release`, `deployment`, `rollback`; did you mean \
             `deployment`?"
                .into(),
        ),
        (
            format!("{kinds}render = \"grafana\"\nsettings = {{ \"my-board\" = \"x\" }}\n"),
            ":11:14: the name of a setting must be 1 to 64 characters from a-z, 0-9 and `_`".into(),
        ),
    ] {
        sandbox.configure(&format!("{start}{more}"));
        assert_eq!(sandbox.problems(), [format!("{config}{expected}")], "{more}");
    }
    sandbox.configure(
        "[[destination]]\nname = \"there\"\nkind = \"http\"\nendpoint = \"http://x.example.com\"\nrender = \"grafana\"\n\
         secrets = { token = { file = \"token\" } }\n",
    );
    let expected = format!(
        "{config}:9:12: `token` would cross the network unencrypted; use https://, or set `insecure = \
         true` in this destination if you trust the network"
    );
    assert_eq!(sandbox.problems(), [expected]);
}

#[test]
fn check_compiles_and_runs_render_scripts() {
    let sandbox = Sandbox::new();
    sandbox.write_secret("token", "t0ken");
    let config = sandbox.path("config.toml").display().to_string();
    let own = sandbox.path("own.rhai").display().to_string();
    let destination = |render: &str, more: &str| {
        sandbox.configure(&format!(
            "[[destination]]\nname = \"there\"\nkind = \"http\"\nendpoint = \"https://x.example.com\"\nrender = \"{render}\"\n{more}"
        ));
    };
    destination("grafana", "");
    assert_eq!(
        sandbox.problems(),
        ["shipped/grafana.rhai:29:35: unknown secret `token`: the destination has none; define it, \
          as in `secrets = { token = { file = \"/etc/...\" } }`"]
    );
    destination("grafana", "secrets = { tokn = { file = \"token\" } }\n");
    assert_eq!(
        sandbox.problems(),
        [
            "shipped/grafana.rhai:29:35: unknown secret `token`: the destination's `secrets` are `tokn`"
                .to_string(),
            format!("{config}:11:13: destination `there`: its script never uses the secret `tokn`"),
        ]
    );
    destination("grafana", "secrets = { token = { file = \"token\" } }\nsettings = { dashbord = \"x\" }\n");
    assert_eq!(
        sandbox.problems(),
        [format!("{config}:12:14: destination `there`: its script never uses the setting `dashbord`")]
    );
    destination("own.rhai", "");
    for (script, expected) in [
        (
            "fn render(marker) { #{ path: \"/\" + marker.servce } }",
            ":1:43: `marker` has no property `servce`; did you mean `service`?",
        ),
        (
            "fn rendr(marker) { () }",
            ": the script does not define `render(marker)`, which returns the request to send",
        ),
        (
            "fn render(marker) {\n    #{ path: \"/a b\" }\n}",
            ":1:19: in `render`, which starts here: `render` returned a wrong value: `path` has a character \
             that is not allowed in a path: escape its parts with url_encode(text), found `/a b`",
        ),
        // Only kinds without an environment fail.
        (
            "fn render(marker) {\n    #{ path: \"/\" + marker.environment.len() }\n}",
            ":2:39: unknown function `len (())`",
        ),
    ] {
        sandbox.write("own.rhai", script);
        assert_eq!(sandbox.problems(), [format!("{own}{expected}")], "{script}");
    }
    fs::remove_file(sandbox.path("own.rhai")).expect("removed");
    assert!(sandbox.problems()[0].starts_with(&format!("{own}: failed to read the script: ")));
    for (render, secret, settings) in [
        ("cdevents", "", ""),
        ("datadog", "api_key", ""),
        ("gitea", "token", "trace_link = \"https://t/{trace_id}\""),
        ("grafana", "token", "dashboard = \"a\", panel = \"1\""),
        ("honeycomb", "key", "dataset = \"a\""),
        ("lightstep-snapshot", "api_key", "organization = \"a\", project = \"b\""),
        ("newrelic", "key", "entity = \"id = 'x'\""),
        ("sentry", "token", "organization = \"a\", projects = \"b\", release = \"{version}\""),
        ("slack", "webhook", ""),
    ] {
        let secrets =
            if secret.is_empty() { String::new() } else { format!("{secret} = {{ file = \"token\" }}") };
        destination(render, &format!("secrets = {{ {secrets} }}\nsettings = {{ {settings} }}\n"));
        sandbox.binary(&["check"]).succeeded();
    }
}

#[test]
fn doctor_sends_the_probe_of_the_script() {
    let recorder = Recorder::judging(|request| {
        let is_known = request.header("authorization") == Some(&*format!("Bearer {TOKEN}"));
        Answer::status(if is_known { 200 } else { 401 }).body("[]")
    });
    let sandbox = Sandbox::new();
    configure(&sandbox, &recorder.endpoint(), "grafana", "token", "");
    let report = |sandbox: &Sandbox| {
        let ran = sandbox.binary(&["doctor"]);
        assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN));
        format!("{}{}", ran.stdout, ran.stderr)
    };
    let said = report(&sandbox);
    assert!(said.contains("there accepts markers"), "{said}");
    let request = recorder.requests().remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/api/annotations?limit=1"));
    sandbox.write_secret("the-secret", "wrong");
    let said = report(&sandbox);
    assert!(said.contains("HTTP 401") && said.contains("the token is wrong"), "{said}");

    configure(&sandbox, &recorder.endpoint(), "slack", "webhook", "");
    let before = recorder.requests().len();
    let said = report(&sandbox);
    assert!(said.contains("there answers"), "{said}");
    let request = recorder.requests().remove(before);
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("GET", "/"),
        "the probe does not send the secret"
    );
    configure(&sandbox, "http://127.0.0.1:1", "slack", "webhook", "");
    let said = report(&sandbox);
    assert!(said.contains("Connection refused"), "{said}");
}

/// Render scripts are limited like policies. Above all, they must not kill the deliverer.
#[test]
fn hostile_scripts_affect_only_their_own_markers() {
    let recorder = Recorder::start([]);
    let sandbox = Sandbox::new();
    let fixtures = manifest_dir().join("tests/fixtures/hostile");
    let mut config = String::from("[policy.limits]\ntime = \"2s\"\n");
    let mut hostile = 0;
    for entry in fs::read_dir(fixtures).expect("the fixtures") {
        let path = entry.expect("an entry").path();
        let script = fs::read_to_string(&path).expect("a script");
        // Reuse the scripts with a hostile `decide`, and rename the function to `render`.
        if !script.contains("fn decide(update)") || script.contains("import ") {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        sandbox
            .write(&format!("render/{name}.rhai"), script.replace("fn decide(update)", "fn render(update)"));
        config.push_str(&format!(
            "[[destination]]\nname = \"{name}\"\nkind = \"http\"\nendpoint = \"{}\"\nrender = \"render/{name}.rhai\"\n",
            recorder.endpoint()
        ));
        hostile += 1;
    }
    assert!(hostile > 30, "{hostile}");
    sandbox.configure(&config);
    deploy(&sandbox, "Whatever they do");
    sandbox.wait_for_deliverers_to_end();
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(recorder.requests().len(), 0);
    let deliveries = sandbox.deliveries();
    let report = |outcome: &str| deliveries.iter().filter(|delivery| delivery["outcome"] == outcome).count();
    assert!(report("refused") > 20, "{deliveries:#?}");
    assert_eq!(report("delivered"), 0);
    for delivery in deliveries.iter().filter(|delivery| delivery["outcome"] == "refused") {
        let why = delivery["why"].as_str().expect("text");
        assert!(why.contains("render/") && why.contains(".rhai"), "{why}");
    }
}

#[test]
fn inline_delivery_does_not_wait_for_the_backlog() {
    let slow = |_: &Request| {
        std::thread::sleep(Duration::from_millis(400));
        Answer::status(200)
    };
    let recorder = Recorder::judging(slow);
    let sandbox = Sandbox::new();
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) { [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|n| mark(#{ service: `s${n}` })) }",
    );
    configure(
        &sandbox,
        &recorder.endpoint(),
        "own.rhai",
        "token",
        "[delivery]\nmode = \"inline\"\ntimeout = \"1s\"\n",
    );
    sandbox.write("own.rhai", SIMPLE);
    sandbox.commit("Ten", &[]);
    let ran = sandbox.push(&["-q", "main"]);
    ran.succeeded();
    let sent = recorder.requests().len();
    assert!((1..10).contains(&sent) && ran.took < Duration::from_secs(4), "{sent} in {:?}", ran.took);
    sandbox.wait_for_deliverers_to_end();
    let retried = sandbox.deliveries().iter().filter(|delivery| delivery["outcome"] == "retried").count();
    assert_eq!(retried, 0, "no delivery was retried");
    sandbox.binary(&["deliver"]).succeeded();
    let mut paths: Vec<_> = recorder.requests().into_iter().map(|request| request.path).collect();
    paths.sort();
    paths.dedup();
    assert_eq!((paths.len(), recorder.requests().len()), (10, 10), "each marker is sent once");
}

#[test]
fn environment_secrets_and_network_options_work_for_http_destinations() {
    let authority = Authority::new("Internal CA");
    let server = Recorder::with_tls(&authority.issue(&["localhost"]));
    let mut sandbox = Sandbox::new();
    sandbox.set("THE_TOKEN", TOKEN);
    sandbox.write("ca.pem", authority.pem());
    sandbox.write("own.rhai", SIMPLE);
    sandbox.configure(&format!(
        "[[destination]]\nname = \"there\"\nkind = \"http\"\nendpoint = \"https://localhost:{}\"\nrender = \"own.rhai\"\n\
         ca_file = \"ca.pem\"\nsecrets = {{ token = {{ env = \"THE_TOKEN\" }} }}\nheaders = {{ x-team = \"shop\", x-key = \"no\" }}\n",
        server.port()
    ));
    deploy(&sandbox, "Over TLS, from a process that the hook left behind");
    let request = server.wait_for(1).remove(0);
    sandbox.wait_for_deliverers_to_end();
    assert_eq!((request.header("x-key"), request.header("x-team")), (Some(TOKEN), Some("shop")));
    assert_eq!(
        request.headers.iter().filter(|(name, _)| name == "x-key").count(),
        1,
        "the script's header replaces the configured one"
    );
    assert_eq!(outcomes(&sandbox), ["delivered"]);
    is_told_nowhere(&sandbox);
}

#[test]
fn check_distinguishes_render_scripts_from_policies() {
    let sandbox = Sandbox::new();
    sandbox.write("scripts/there.rhai", "fn render(marker) { () }");
    let stray = sandbox.path("scripts/there.rhai").display().to_string();
    assert_eq!(
        sandbox.problems(),
        [format!(
            "{stray}: this is a render script, not a policy; name it in `render` of a destination with \
             kind = \"http\""
        )]
    );
    configure(&sandbox, "https://x.example.com", "scripts/there.rhai", "", "");
    sandbox.binary(&["check"]).succeeded();
    sandbox.binary(&["check", &stray]).succeeded();
    // `check` shows the output of a custom script.
    fs::remove_file(&stray).expect("removed");
    configure(&sandbox, "https://x.example.com", "own.rhai", "token", "kinds = [\"change\", \"rollback\"]\n");
    sandbox.write(
        "own.rhai",
        r#"fn render(marker) {
            if marker.environment != () { #{ path: "/a", headers: #{ b: secret("token") }, body: [1] } }
        }"#,
    );
    let ran = sandbox.binary(&["check", "-v"]);
    let expected = "gitea-lightstep: there, a change: nothing\ngitea-lightstep: there, a rollback:\n    POST /a\n    \
                    b: [redacted]\n    content-type: application/json\n    [1]\n";
    assert!(ran.succeeded().stderr.contains(expected), "{}", ran.stderr);
    // A shipped script is shown like a local one.
    configure(&sandbox, "https://x.example.com", "grafana", "", "");
    let ran = sandbox.binary(&["check"]);
    assert!(ran.stdout.contains("Authorization: \"Bearer \" + secret(\"token\")"), "{}", ran.stdout);
}
