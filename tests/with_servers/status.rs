//! `status --openmetrics`, read by independent parsers.

use serde_json::Value;

use crate::support::{
    Sandbox, python,
    recorder::{Answer, Recorder},
};

/// ID of a push from 2020; the ID contains the time.
const OLD: &str = "016f5e66-e800-7000-8000-000000000000";

/// Returns the samples by name and labels, as an independent parser reads them.
fn samples(sandbox: &Sandbox, text: &str) -> Value {
    let ran = python::run(sandbox, "read_openmetrics.py", &[], text.as_bytes());
    serde_json::from_str(&ran.succeeded().stdout).expect("JSON")
}

#[test]
fn metrics_are_accepted_by_two_independent_parsers() {
    let sandbox = Sandbox::new();
    let untouched = sandbox.binary(&["status", "--openmetrics"]);
    let read = samples(&sandbox, &untouched.succeeded_or_found().stdout);
    assert_eq!(read["gitea_lightstep_inbox_files"], 0.0);
    assert_eq!(read["gitea_lightstep_needs_a_person"], 1.0, "there is no state directory");
    assert!(!sandbox.state().exists(), "status does not create the state directory");

    // A delivery, a rejection, a queued marker, and a foreign directory whose name needs escaping.
    let recorder = Recorder::start([Answer::status(200), Answer::status(401)]);
    sandbox.deliver_to(&recorder.endpoint(), "[delivery]\nmode = \"inline\"\n");
    for push in ["Taken", "Refused"] {
        sandbox.commit(push, &[]);
        sandbox.push(&["main"]).succeeded();
        sandbox.wait_for_delivery_to_end();
    }
    sandbox.write(&format!("state/outbox/a\"b\\c\nd/new/{OLD}.0"), "");
    sandbox.write(&format!("state/inbox/{OLD}.0.0"), "");
    let ran = sandbox.binary(&["status", "--openmetrics", "--older-than", "1h"]);
    assert_eq!(ran.code, Some(1));
    let read = samples(&sandbox, &ran.stdout);
    let of = |name: &str| read[format!("gitea_lightstep_{name}")].as_f64();
    let odd = |name: &str| of(&format!("{name}{{destination=a\"b\\c\nd}}"));
    assert_eq!(of("inbox_files"), Some(1.0));
    assert_eq!(of("inbox_too_old_files"), Some(1.0));
    assert_eq!(of("inbox_oldest_timestamp_seconds"), Some(1_577_836_800.0));
    assert_eq!(of("outbox_files{destination=collector}"), Some(0.0));
    assert_eq!(odd("outbox_files"), Some(1.0));
    assert_eq!(odd("outbox_oldest_timestamp_seconds"), Some(1_577_836_800.0));
    assert_eq!(of("outbox_oldest_timestamp_seconds{destination=collector}"), None, "nothing waits");
    assert_eq!(of("older_than_seconds"), Some(3600.0));
    assert_eq!(of("dead_letters{from=collector}"), Some(1.0));
    assert_eq!(of("dead_letters{from=inbox}"), Some(0.0));
    let (success, error) = (
        of("last_success_timestamp_seconds{destination=collector}").expect("a time"),
        of("last_error_timestamp_seconds{destination=collector}").expect("a time"),
    );
    assert!(1_577_836_800.0 < success && success <= error, "{success} {error}");
    assert!(of("journal_bytes") > Some(100.0));
    assert!(of("journal_last_write_timestamp_seconds") >= Some(success));
    assert_eq!(of("needs_a_person"), Some(1.0));
    assert_eq!(of(&format!("build_info{{version={}}}", env!("CARGO_PKG_VERSION"))), Some(1.0));
}
