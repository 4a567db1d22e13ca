//! Pushes with the real `git` through a delegate like Gitea's, received by rotel.

use std::{collections::BTreeMap, time::Duration};

use crate::support::{
    Sandbox,
    rotel::{Record, Rotel},
    wait_until,
};

#[test]
fn branch_tag_and_deployment_arrive() {
    let sandbox = Sandbox::new();
    let rotel = Rotel::start(&sandbox.path("tmp"));
    sandbox.deliver_to(&rotel.endpoint(), "");

    let commit = sandbox.commit("Show the basket\n\nIt was empty.\n\nReviewed-by: Bob", &[("a.txt", "1")]);
    let push = sandbox.push(&["main"]);
    let trace = trace_id(&commit);
    assert_eq!(
        push.succeeded().remote(),
        [format!("gitea-lightstep: change shop {}, trace {trace}", &commit[..12])]
    );
    let records = rotel.wait_for_records(1);
    let record = &records[0];
    assert_eq!(record.event_name, "gitea_lightstep.change");
    assert_eq!(record.body, format!("change shop {}: Show the basket", &commit[..12]));
    assert_eq!(
        record.resource,
        map(&[("service.name", "shop"), ("service.namespace", "acme"), ("service.version", &commit)])
    );
    assert_eq!((record.trace_id.as_str(), record.span_id.len()), (trace.as_str(), 16));
    assert_eq!(record.severity, "SEVERITY_NUMBER_INFO(9)");
    let expected = [
        ("vcs.provider.name", "gitea"),
        ("vcs.owner.name", "acme"),
        ("vcs.repository.name", "shop"),
        ("vcs.repository.url.full", "https://git.example.com/acme/shop"),
        ("vcs.ref.head.name", "main"),
        ("vcs.ref.head.type", "branch"),
        ("vcs.ref.head.revision", &commit),
        ("user.name", "ann"),
        ("user.id", "7"),
        ("gitea_lightstep.event_name", "gitea_lightstep.change"),
        ("gitea_lightstep.transport", "ssh"),
        ("gitea_lightstep.commit.title", "Show the basket"),
        ("gitea_lightstep.commit.author.name", "Ann Author"),
    ];
    for (name, value) in expected {
        assert_eq!(record.attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(record.attributes.get("vcs.ref.base.revision"), None, "the branch was created");

    sandbox.git(&["tag", "-a", "v1.4.2", "-m", "The autumn release"]);
    let push = sandbox.push(&["v1.4.2"]);
    assert_eq!(push.succeeded().remote(), [format!("gitea-lightstep: release shop 1.4.2, trace {trace}")]);
    let record = rotel.wait_for_records(2).remove(1);
    assert_eq!(record.event_name, "gitea_lightstep.release");
    assert_eq!(
        record.resource,
        map(&[("service.name", "shop"), ("service.namespace", "acme"), ("service.version", "1.4.2")])
    );
    assert_eq!(record.attributes["vcs.ref.head.revision"], commit, "the tag is peeled");
    assert_eq!(record.attributes["vcs.ref.head.type"], "tag");
    assert_eq!(record.attributes["gitea_lightstep.tag.tagger"], "Ann Author");
    assert_eq!(record.trace_id, trace, "the commit determines the trace id");
    assert_eq!(rotel.spans().len(), 0, "only deployments are spans");

    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let second = sandbox.commit("Count the basket", &[("a.txt", "2")]);
    let push = sandbox.push(&[
        "-o",
        "deploy=prod",
        "-o",
        &format!("traceparent={traceparent}"),
        "HEAD:refs/heads/hotfix",
    ]);
    let short = &second[..12];
    let trace = trace_id(&second);
    assert_eq!(
        push.succeeded().remote(),
        [format!("gitea-lightstep: deployment shop {short} to prod, trace {trace}")]
    );
    let record = rotel.wait_for_records(3).remove(2);
    assert_eq!(record.event_name, "gitea_lightstep.deployment");
    assert_eq!(record.resource["deployment.environment.name"], "prod");
    let span = rotel.wait_for_spans(1).remove(0);
    assert_eq!(
        (span.name.as_str(), span.kind.as_str()),
        ("gitea_lightstep.deployment", "SPAN_KIND_INTERNAL")
    );
    assert_eq!((&span.trace_id, &span.span_id), (&record.trace_id, &record.span_id));
    assert_eq!(span.parent_span_id, "", "the span has no parent");
    assert_eq!(span.attributes["service.version"], second);
    assert_eq!(span.resource["service.version"], second);
    assert_eq!(span.links.len(), 1);
    assert_eq!(span.links[0].trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span.links[0].span_id, "00f067aa0ba902b7");

    sandbox.wait_for_delivery_to_end();
    assert_eq!(sandbox.files("inbox"), [""; 0], "nothing is left in the inbox");
    assert_eq!(sandbox.files("outbox/collector/new"), [""; 0], "nothing is left in the outbox");
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn markers_arrive_as_json() {
    let sandbox = Sandbox::new();
    let rotel = Rotel::start(&sandbox.path("tmp"));
    sandbox
        .deliver_to(&rotel.endpoint(), "protocol = \"http/json\"\ncompression = \"none\"\nspans = \"all\"\n");
    let commit = sandbox.commit("Größe \"zwei\"\\n", &[]);
    sandbox.push(&["main"]).succeeded();
    let record = rotel.wait_for_records(1).remove(0);
    assert_eq!(record.event_name, "gitea_lightstep.change");
    assert_eq!(record.body, format!("change shop {}: Größe \"zwei\"\\n", &commit[..12]));
    assert_eq!(record.attributes["vcs.ref.head.revision"], commit);
    assert_eq!(rotel.wait_for_spans(1).remove(0).trace_id, record.trace_id);
}

#[test]
fn markers_of_a_sha256_repository_arrive() {
    let sandbox = Sandbox::with_object_format("sha256");
    let rotel = Rotel::start(&sandbox.path("tmp"));
    sandbox.deliver_to(&rotel.endpoint(), "");
    let commit = sandbox.commit("A longer id", &[("a", "1")]);
    assert_eq!(commit.len(), 64);
    sandbox.git(&["tag", "-a", "checkout/v2.0.0", "-m", "Two"]);
    let push = sandbox.push(&["main", "checkout/v2.0.0"]);
    let trace = trace_id(&commit);
    let expected = [
        format!("gitea-lightstep: change shop {}, trace {trace}", &commit[..12]),
        format!("gitea-lightstep: release checkout 2.0.0, trace {trace}"),
    ];
    assert_eq!(push.succeeded().remote(), expected);
    let records = by_event(rotel.wait_for_records(2));
    assert_eq!(records["gitea_lightstep.change"].attributes["vcs.ref.head.revision"], commit);
    assert_eq!(records["gitea_lightstep.release"].resource["service.name"], "checkout");
    assert_eq!(records["gitea_lightstep.release"].trace_id, trace);

    let second = sandbox.commit("Deployed", &[("a", "2")]);
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    assert_eq!(rotel.wait_for_spans(1)[0].trace_id, trace_id(&second));
}

#[test]
fn forced_push_is_marked_and_deletion_is_not() {
    let sandbox = Sandbox::new();
    let rotel = Rotel::start(&sandbox.path("tmp"));
    sandbox.deliver_to(&rotel.endpoint(), "");
    sandbox.write(
        "scripts/site.rhai",
        "fn enrich(marker, update) { marker.attributes[\"acme.rewind\"] = update.is_rewind; marker }",
    );
    let first = sandbox.commit("One", &[("a", "1")]);
    let second = sandbox.commit("Two", &[("a", "2")]);
    sandbox.push(&["main"]).succeeded();
    sandbox.git(&["reset", "-q", "--hard", &first]);
    let third = sandbox.commit("Two, but better", &[("a", "3")]);
    sandbox.push(&["--force", "main"]).succeeded();
    let records = rotel.wait_for_records(2);
    assert_eq!(records[0].attributes["acme.rewind"], "Bool(false)");
    assert_eq!(records[1].attributes["acme.rewind"], "Bool(true)");
    assert_eq!(records[1].attributes["vcs.ref.head.revision"], third);
    assert_eq!(records[1].attributes["vcs.ref.base.revision"], second);

    sandbox.push(&["HEAD:refs/heads/old", "HEAD:refs/tags/v9.9.9"]).succeeded();
    let push = sandbox.push(&["--delete", "old", "v9.9.9"]);
    assert_eq!(push.succeeded().remote(), [""; 0]);
    let last = sandbox.decisions().split_off(4);
    assert_eq!(last.len(), 2);
    for decision in last {
        assert_eq!(decision["outcome"], "skipped");
        assert_eq!(decision["why"], "a deletion changes nothing that runs");
    }
}

#[test]
fn three_thousand_refs_arrive_once_each() {
    let sandbox = Sandbox::new();
    let rotel = Rotel::start(&sandbox.path("tmp"));
    sandbox.deliver_to(&rotel.endpoint(), "");
    let commit = sandbox.commit("One of many", &[]);
    let tags: String = (0..3000).map(|n| format!("create refs/tags/v1.0.{n} {commit}\n")).collect();
    let mut update = sandbox.command("git", &sandbox.path("clone"));
    sandbox.run(update.args(["update-ref", "--stdin"]), tags.as_bytes()).succeeded();
    let push = sandbox.push(&["--tags"]);
    let said = push.succeeded().remote();
    assert_eq!(said.len(), 4);
    assert_eq!(said[3], "gitea-lightstep: and 2997 more markers");

    let records = rotel.wait_for_records(3000);
    let distinct: std::collections::BTreeSet<_> =
        records.iter().map(|r| &r.resource["service.version"]).collect();
    assert_eq!((records.len(), distinct.len()), (3000, 3000));
    let ids: std::collections::BTreeSet<_> =
        records.iter().map(|r| &r.attributes["gitea_lightstep.marker.id"]).collect();
    assert_eq!(ids.len(), 3000);
}

#[test]
fn receiver_that_was_down_gets_everything_later() {
    let sandbox = Sandbox::new();
    let mut rotel = Rotel::start(&sandbox.path("tmp"));
    sandbox.deliver_to(&rotel.endpoint(), "");
    rotel.stop();

    let commit = sandbox.commit("While the receiver is down", &[]);
    let push = sandbox.push(&["main"]);
    assert_eq!(push.succeeded().remote().len(), 1, "the pusher sees the marker but not the delivery failure");
    wait_for_a_failed_attempt(&sandbox, 0);
    assert_eq!(sandbox.waiting("collector").len(), 1);
    let status = sandbox.binary(&["status"]);
    assert_eq!(status.code, Some(1), "a failed delivery needs attention");
    assert!(status.stdout.contains("1 file waiting"), "{}", status.stdout);
    assert!(status.stdout.contains("Connection refused"), "{}", status.stdout);

    // The next push also delivers the earlier one.
    let pushed_at = sandbox.waiting("collector")[0]["time"].clone();
    rotel.restart();
    sandbox.commit("When it is up", &[]);
    sandbox.push(&["main"]).succeeded();
    let records = rotel.wait_for_records(2);
    let late = records
        .iter()
        .find(|record| record.attributes["vcs.ref.head.revision"] == commit)
        .expect("the first");
    let time: jiff::Timestamp = pushed_at.as_str().expect("text").parse().expect("a time");
    assert_eq!(
        i128::from(late.time_unix_nano),
        time.as_nanosecond(),
        "a late marker has the time of its push"
    );

    // `deliver` does so too, without a push.
    sandbox.wait_for_delivery_to_end();
    rotel.stop();
    sandbox.commit("Down again", &[]);
    let before = failed_attempts(&sandbox);
    sandbox.push(&["main"]).succeeded();
    wait_for_a_failed_attempt(&sandbox, before);
    rotel.restart();
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(deliver.succeeded().stdout, "1 marker delivered\n");
    assert_eq!(rotel.wait_for_records(3).len(), 3);
}

#[test]
fn push_does_not_wait_for_a_silent_receiver() {
    let sandbox = Sandbox::new();
    // The kernel accepts connections up to the backlog, but no process reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("an address"));
    sandbox.deliver_to(&endpoint, "[delivery]\ntimeout = \"5s\"\nlinger = \"1s\"\n");
    sandbox.commit("Hello?", &[]);
    let push = sandbox.push(&["main"]);
    push.succeeded();
    assert!(push.took < Duration::from_secs(4), "the push took {:?}", push.took);
    assert_eq!(sandbox.waiting("collector").len(), 1);
}

#[test]
fn plain_bare_repository_outside_gitea_works() {
    let mut sandbox = Sandbox::new();
    sandbox.unset("GITEA_");
    sandbox.unset("SSH_ORIGINAL_COMMAND");
    let rotel = Rotel::start(&sandbox.path("tmp"));
    sandbox.deliver_to(&rotel.endpoint(), "");
    sandbox.commit("No forge at all", &[]);
    sandbox.push(&["main"]).succeeded();
    let record = rotel.wait_for_records(1).remove(0);
    assert_eq!(record.resource["service.name"], "shop");
    assert_eq!(record.attributes["gitea_lightstep.transport"], "local");
    for absent in ["user.name", "vcs.owner.name", "vcs.repository.url.full"] {
        assert_eq!(record.attributes.get(absent), None, "{absent}");
    }
}

fn failed_attempts(sandbox: &Sandbox) -> usize {
    sandbox.deliveries().iter().filter(|delivery| delivery["outcome"] == "retried").count()
}

/// Waits until the background deliverer has tried, failed and exited.
#[track_caller]
fn wait_for_a_failed_attempt(sandbox: &Sandbox, before: usize) {
    wait_until("the delivery was tried", || failed_attempts(sandbox) > before);
    sandbox.wait_for_delivery_to_end();
}

/// Computes the trace ID of a commit in the way that the documentation recommends to build tools.
fn trace_id(commit: &str) -> String {
    let script = "printf 'gitea-lightstep/trace/1\\0%s' \"$1\" | sha256sum | cut -c1-32";
    let output =
        std::process::Command::new("sh").args(["-c", script, "sh", commit]).output().expect("a shell");
    String::from_utf8(output.stdout).expect("text").trim().to_string()
}

fn by_event(records: Vec<Record>) -> BTreeMap<String, Record> {
    records.into_iter().map(|record| (record.event_name.clone(), record)).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}
