//! `status`: what it finds, and the same as JSON and as OpenMetrics.

use std::fs;

use serde_json::Value;

use crate::support::{
    Sandbox, python,
    recorder::{Answer, Recorder},
};

/// A push of 2020, whose id says so.
const OLD: &str = "016f5e66-e800-7000-8000-000000000000";

fn json(sandbox: &Sandbox, args: &[&str]) -> Value {
    let ran = sandbox.binary(&[&["status", "--json"], args].concat());
    serde_json::from_str(&ran.succeeded_or_found().stdout).expect("JSON")
}

#[test]
fn what_waits_longer_than_the_limit_is_found_and_named() {
    let sandbox = Sandbox::new();
    sandbox.commit("Fresh", &[]);
    sandbox.push(&["main"]).succeeded();
    sandbox.binary(&["status"]).succeeded();
    let id = {
        let ran = sandbox.binary(&["queue", "list"]);
        ran.succeeded().stdout[..12].to_string()
    };
    let ran = sandbox.binary(&["status", "--older-than", "1ms"]);
    assert_eq!(ran.code, Some(1));
    let line = ran.stdout.lines().find(|line| line.contains("too old")).expect("it is named");
    assert!(
        line.starts_with(&format!("             too old: {id} in outbox unassigned has waited "))
            && line.ends_with(", more than 1ms"),
        "{line}"
    );

    // The configuration has a limit too, and the command's own goes before it.
    let waiting = sandbox.files("outbox/unassigned/new").remove(0);
    let new = sandbox.state().join("outbox/unassigned/new");
    for from in [0, 2000] {
        fs::copy(new.join(&waiting), new.join(format!("{OLD}.{from}"))).expect("copied");
    }
    let ran = sandbox.binary(&["status"]);
    assert_eq!(ran.code, Some(1), "the limit is 15 minutes unless the configuration says otherwise");
    assert!(ran.stdout.contains(", more than 15m, and 1 more\n"), "{}", ran.stdout);
    sandbox.configure("[status]\nolder_than = \"36500d\"\n");
    sandbox.binary(&["status"]).succeeded();
    let status = json(&sandbox, &["--older-than", "1h"]);
    let waiting = &status["destinations"][0]["waiting"];
    assert_eq!((&waiting["files"], &waiting["too_old"]), (&3.into(), &2.into()));
    assert_eq!(waiting["oldest"], "2020-01-01T00:00:00Z");
    assert_eq!((&status["needs_a_person"], &status["older_than_seconds"]), (&true.into(), &3600.0.into()));
    assert_eq!(sandbox.binary(&["status", "--older-than", "soon"]).code, Some(2));
}

#[test]
fn markers_of_a_destination_that_is_not_configured_any_more_are_found() {
    let sandbox = Sandbox::new();
    let down = Recorder::start(std::iter::repeat_n(Answer::status(503), 100));
    sandbox.deliver_to(&down.endpoint(), "[delivery]\nlinger = \"0s\"\n");
    sandbox.commit("Left", &[]);
    sandbox.push(&["main"]).succeeded();
    sandbox.wait_for_delivery_to_end();
    sandbox.configure("");
    let ran = sandbox.binary(&["status"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("collector    1 file waiting, "), "{}", ran.stdout);
    assert!(ran.stdout.contains("; it is not configured, so nothing sends them\n"), "{}", ran.stdout);
}

/// Returns every sample as an independent parser reads it, by its name and labels.
fn samples(sandbox: &Sandbox, text: &str) -> Value {
    let ran = python::run(sandbox, "read_openmetrics.py", &[], text.as_bytes());
    serde_json::from_str(&ran.succeeded().stdout).expect("JSON")
}

#[test]
fn the_metrics_are_what_two_independent_parsers_expect() {
    let sandbox = Sandbox::new();
    let untouched = sandbox.binary(&["status", "--openmetrics"]);
    let read = samples(&sandbox, &untouched.succeeded().stdout);
    assert_eq!(read["gitea_lightstep_inbox_files"], 0.0);
    assert_eq!(read["gitea_lightstep_needs_a_person"], 0.0);
    assert!(!sandbox.state().exists(), "looking makes nothing");

    // A delivery, a refusal, something that waits, and a directory of somebody else's with a name to be escaped.
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

#[test]
fn a_file_of_metrics_is_replaced_as_a_whole() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("textfile")).expect("a directory");
    let file = sandbox.path("textfile/gitea_lightstep.prom");
    let write = || sandbox.binary(&["status", "--openmetrics", "--output", "textfile/gitea_lightstep.prom"]);
    write().said_nothing();
    let first = fs::metadata(&file).expect("it is there");
    assert_eq!(first.permissions().mode() & 0o777, 0o644, "the collector is another user");
    write().said_nothing();
    assert_ne!(fs::metadata(&file).expect("it is there").ino(), first.ino(), "it was not written into");
    assert!(fs::read_to_string(&file).expect("text").ends_with("# EOF\n"));
    assert_eq!(fs::read_dir(sandbox.path("textfile")).expect("a directory").count(), 1);

    fs::remove_file(&file).expect("removed");
    fs::create_dir(&file).expect("in its way");
    let ran = write();
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        "gitea-lightstep: failed to write `textfile/gitea_lightstep.prom`: Is a directory (os error 21)\n"
    );
    assert_eq!(fs::read_dir(sandbox.path("textfile")).expect("a directory").count(), 1, "no litter");
    assert_eq!(sandbox.binary(&["status", "--output", "x"]).code, Some(2));
    assert_eq!(sandbox.binary(&["status", "--openmetrics", "--json"]).code, Some(2));
}

#[test]
fn many_dead_letters_are_counted_and_the_newest_shown() {
    let sandbox = Sandbox::new();
    for n in 0..30 {
        let name = format!("collector.016f5e66-e8{n:02}-7000-8000-000000000000.0");
        sandbox.write(&format!("state/dead/{name}"), "");
        let why = format!("{{\"time\":\"2026-11-22T10:00:00Z\",\"from\":\"collector\",\"why\":\"no {n}\"}}");
        sandbox.write(&format!("state/dead/{name}.why.json"), why);
    }
    let ran = sandbox.binary(&["status"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("dead letters 30\n"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains(" from collector: no 29\n") && !ran.stdout.contains(": no 19\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("and 20 older; `gitea-lightstep queue list --dead` shows all\n"),
        "{}",
        ran.stdout
    );
    let dead = &json(&sandbox, &[])["dead_letters"];
    assert_eq!((&dead["files"], &dead["from"]["collector"]), (&30.into(), &30.into()));
    assert_eq!(dead["newest"].as_array().map(Vec::len), Some(10));
}
