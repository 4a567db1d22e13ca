//! A real nginx stands before the receiver, as it does at many sites: whatever it does for a while, every
//! marker arrives in the end.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use crate::support::{Ran, Sandbox, nginx::Nginx, recorder::Recorder, rotel::Rotel, wait_until};

/// Hands requests on to a receiver.
fn pass_to(endpoint: &str) -> String {
    format!("proxy_pass {endpoint};")
}

/// Answers with a status and the time to come back, in either form.
fn refuse(status: u16, retry_after: &str) -> String {
    format!("add_header Retry-After \"{retry_after}\" always;\nreturn {status};")
}

/// Returns the date that is `seconds` from now, as HTTP writes it.
fn http_date(seconds: i64) -> String {
    let date = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).expect("a date")
}

fn push(sandbox: &Sandbox, title: &str) {
    sandbox.commit(title, &[]);
    sandbox.push(&["main"]).succeeded();
}

/// Runs `deliver` until it need not leave the spool to the process that the last push left behind.
#[track_caller]
fn deliver(sandbox: &Sandbox) -> Ran {
    let mut ran = sandbox.binary(&["deliver"]);
    wait_until("the spool is free", || {
        let is_busy = ran.stdout.contains("another process is at it");
        if is_busy {
            ran = sandbox.binary(&["deliver"]);
        }
        !is_busy
    });
    ran
}

/// Delivers in vain: nothing arrives, all of it waits, and the journal says why.
#[track_caller]
fn deliver_in_vain(sandbox: &Sandbox, waiting: usize, why: &str) {
    let ran = deliver(sandbox);
    let files = if waiting == 1 { "1 file waits" } else { &format!("{waiting} files wait") };
    let told = format!("0 markers delivered, {files} still; `gitea-lightstep status` says why\n");
    assert_eq!((ran.code, &*ran.stdout), (Some(1), &*told));
    let last = sandbox.deliveries().pop().expect("an entry");
    assert_eq!(last["outcome"], "retried");
    assert!(last["why"].as_str().expect("text").contains(why), "{last}");
}

#[test]
fn every_push_arrives_however_nginx_was_in_between() {
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
    assert_eq!((records.len(), titles.len()), (5, 5), "each once: {titles:?}");
    assert_eq!(sandbox.files("dead"), [""; 0]);
    let statuses: BTreeSet<_> = nginx.statuses().into_iter().collect();
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 429, 502, 503], "it was nginx who said so");
}

#[test]
fn who_follows_stays_away_for_the_seconds_that_nginx_asked_for() {
    follow_through(&refuse(503, "2"));
}

#[test]
fn who_follows_stays_away_until_the_date_that_nginx_asked_for() {
    follow_through(&refuse(429, &http_date(3)));
}

/// Follows while nginx refuses and then does not any more.
fn follow_through(refusal: &str) {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    push(&sandbox, "Later");
    let mut nginx = Nginx::start(&sandbox.path("nginx"), refusal);
    sandbox.deliver_to(&nginx.endpoint(), "");
    std::thread::scope(|scope| {
        let following = scope.spawn(|| sandbox.binary(&["deliver", "--follow", "--for", "25s"]));
        wait_until("it was refused", || !sandbox.deliveries().is_empty());
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
fn what_is_too_large_for_nginx_goes_in_parts_or_is_a_dead_letter() {
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
    wait_until("it is a dead letter", || sandbox.files("dead").len() == 2);
    sandbox.wait_for_delivery_to_end();
    let last = sandbox.deliveries().pop().expect("an entry");
    assert_eq!(last["outcome"], "refused");
    assert!(last["why"].as_str().expect("text").starts_with("HTTP 413: <html>"), "{last}");
    assert_eq!(recorder.requests().len(), 5);
}
