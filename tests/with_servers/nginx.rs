//! An nginx in front of the receiver, as at many sites: whatever it answers temporarily, every
//! marker arrives in the end.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use crate::support::{Ran, Sandbox, nginx::Nginx, recorder::Recorder, rotel::Rotel, wait_until};

/// Returns a directive that passes requests on to a receiver.
fn pass_to(endpoint: &str) -> String {
    format!("proxy_pass {endpoint};")
}

/// Returns directives that answer with a status and a `Retry-After` header.
fn refuse(status: u16, retry_after: &str) -> String {
    format!("add_header Retry-After \"{retry_after}\" always;\nreturn {status};")
}

/// Returns the HTTP date `seconds` from now.
fn http_date(seconds: i64) -> String {
    let date = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).expect("a date")
}

fn push(sandbox: &Sandbox, title: &str) {
    sandbox.commit(title, &[]);
    sandbox.push(&["main"]).succeeded();
}

/// Runs `deliver` until the background deliverer of the last push no longer holds the lock.
#[track_caller]
fn deliver(sandbox: &Sandbox) -> Ran {
    let mut ran = sandbox.binary(&["deliver"]);
    wait_until("the spool is free", || {
        let is_busy = ran.stdout.contains("another process is delivering");
        if is_busy {
            ran = sandbox.binary(&["deliver"]);
        }
        !is_busy
    });
    ran
}

/// Asserts that a delivery fails: nothing arrives, everything stays queued, and the journal has the
/// reason.
#[track_caller]
fn deliver_in_vain(sandbox: &Sandbox, waiting: usize, why: &str) {
    let ran = deliver(sandbox);
    let files = if waiting == 1 { "1 file waits" } else { &format!("{waiting} files wait") };
    let report = format!("0 markers delivered, {files} in the spool; `gitea-lightstep status` says why\n");
    assert_eq!((ran.code, &*ran.stdout), (Some(1), &*report));
    let last = sandbox.deliveries().pop().expect("an entry");
    assert_eq!(last["outcome"], "retried");
    assert!(last["why"].as_str().expect("text").contains(why), "{last}");
}

#[test]
fn every_push_arrives_despite_nginx_failures() {
    let sandbox = Sandbox::new();
    let mut rotel = Rotel::start(&sandbox.path("tmp"));
    let mut nginx = Nginx::start(&sandbox.path("nginx"), &pass_to(&rotel.endpoint()));
    sandbox.deliver_to(&nginx.endpoint(), "");
    push(&sandbox, "All is well");
    rotel.wait_for_records(1);

    nginx.stop();
    push(&sandbox, "While nginx is down");
    deliver_in_vain(&sandbox, 1, "refused");

    rotel.stop();
    nginx.restart(&pass_to(&rotel.endpoint()));
    push(&sandbox, "While the receiver is down");
    deliver_in_vain(&sandbox, 2, "HTTP 502");

    nginx.restart(&refuse(503, "1"));
    push(&sandbox, "While nginx is busy");
    deliver_in_vain(&sandbox, 3, "HTTP 503");

    nginx.restart(&refuse(429, &http_date(2)));
    push(&sandbox, "While this is too much for nginx");
    deliver_in_vain(&sandbox, 4, "HTTP 429");

    rotel.restart();
    nginx.restart(&pass_to(&rotel.endpoint()));
    deliver(&sandbox).succeeded();
    let records = rotel.wait_for_records(5);
    let titles: BTreeSet<_> = records.iter().map(|record| record.body.as_str()).collect();
    assert_eq!((records.len(), titles.len()), (5, 5), "each record arrives once: {titles:?}");
    assert_eq!(sandbox.files("dead"), [""; 0]);
    let statuses: BTreeSet<_> = nginx.statuses().into_iter().collect();
    assert_eq!(
        statuses.into_iter().collect::<Vec<_>>(),
        [200, 429, 502, 503],
        "the statuses come from nginx"
    );
}

#[test]
fn follow_honours_retry_after_in_seconds() {
    follow_through(|| refuse(503, "2"));
}

#[test]
fn follow_honours_retry_after_as_a_date() {
    follow_through(|| refuse(429, &http_date(3)));
}

/// Runs `deliver --follow` while nginx refuses requests and later accepts them.
fn follow_through(refusal: impl FnOnce() -> String) {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    push(&sandbox, "Later");
    let mut nginx = Nginx::start(&sandbox.path("nginx"), &refusal());
    sandbox.deliver_to(&nginx.endpoint(), "");
    std::thread::scope(|scope| {
        let following = scope.spawn(|| sandbox.binary(&["deliver", "--follow", "--for", "25s"]));
        wait_until("the delivery was refused", || !sandbox.deliveries().is_empty());
        nginx.restart(&pass_to(&recorder.endpoint()));
        let ran = following.join().expect("no panic");
        assert_eq!(ran.succeeded().stdout, "1 marker delivered\n");
    });
    let deliveries = sandbox.deliveries();
    let time =
        |entry: &Value| -> jiff::Timestamp { entry["time"].as_str().expect("text").parse().expect("a time") };
    let waited = Duration::try_from(time(&deliveries[1]).duration_since(time(&deliveries[0])));
    assert!(waited.expect("forwards") > Duration::from_secs(1), "{deliveries:?}");
    assert_eq!(recorder.requests().len(), 1);
    assert_eq!(sandbox.files("dead"), [""; 0]);
}

#[test]
fn too_large_request_is_split_or_becomes_a_dead_letter() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "compression = \"none\"\n");
    push(&sandbox, "Measured");
    let size = recorder.wait_for(1)[0].body.len();
    sandbox.wait_for_delivery_to_end();

    let limit = |bytes| format!("client_max_body_size {bytes};\n{}", pass_to(&recorder.endpoint()));
    let mut nginx = Nginx::start(&sandbox.path("nginx"), &limit(size * 3 / 2));
    sandbox.configure("");
    for nth in 0..4 {
        push(&sandbox, &format!("Part {nth}"));
    }
    sandbox.deliver_to(&nginx.endpoint(), "compression = \"none\"\n");
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "4 markers delivered\n");
    assert_eq!(recorder.requests().len(), 5);
    assert!(nginx.statuses().contains(&413));
    assert_eq!(sandbox.files("dead"), [""; 0]);

    nginx.restart(&limit(size / 2));
    push(&sandbox, "Too large");
    wait_until("the marker is a dead letter", || sandbox.files("dead").len() == 2);
    sandbox.wait_for_delivery_to_end();
    let last = sandbox.deliveries().pop().expect("an entry");
    assert_eq!(last["outcome"], "refused");
    assert!(last["why"].as_str().expect("text").starts_with("HTTP 413: <html>"), "{last}");
    assert_eq!(recorder.requests().len(), 5);
}
