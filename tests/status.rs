//! `status`: its findings as text, JSON and OpenMetrics.

use std::fs;

use serde_json::Value;

use crate::support::{
    Sandbox,
    recorder::{Answer, Recorder},
};

/// ID of a push from 2020; the ID contains the time.
const OLD: &str = "016f5e66-e800-7000-8000-000000000000";

fn json(sandbox: &Sandbox, args: &[&str]) -> Value {
    let ran = sandbox.binary(&[&["status", "--json"], args].concat());
    serde_json::from_str(&ran.succeeded_or_found().stdout).expect("JSON")
}

#[test]
fn overdue_entries_are_reported() {
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
    let line = ran.stdout.lines().find(|line| line.contains("too old")).expect("status names the old entry");
    assert!(
        line.starts_with(&format!("             too old: {id} in outbox unassigned has waited "))
            && line.ends_with(", more than 1ms"),
        "{line}"
    );

    // The command line option overrides the limit in the configuration.
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
fn markers_of_a_removed_destination_are_reported() {
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

#[test]
fn metrics_file_is_replaced_atomically() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.state()).expect("a directory");
    fs::create_dir(sandbox.path("textfile")).expect("a directory");
    let file = sandbox.path("textfile/gitea_lightstep.prom");
    let write = || sandbox.binary(&["status", "--openmetrics", "--output", "textfile/gitea_lightstep.prom"]);
    write().said_nothing();
    let first = fs::metadata(&file).expect("the metrics file exists");
    assert_eq!(
        first.permissions().mode() & 0o777,
        0o644,
        "the collector runs as another user and must read the file"
    );
    write().said_nothing();
    assert_ne!(
        fs::metadata(&file).expect("the metrics file exists").ino(),
        first.ino(),
        "the file is replaced, not rewritten in place"
    );
    assert!(fs::read_to_string(&file).expect("text").ends_with("# EOF\n"));
    assert_eq!(fs::read_dir(sandbox.path("textfile")).expect("a directory").count(), 1);

    fs::remove_file(&file).expect("removed");
    fs::create_dir(&file).expect("a directory in place of the file");
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
fn dead_letters_are_counted_and_the_newest_shown() {
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

#[test]
fn last_scan_is_shown() {
    let sandbox = Sandbox::new();
    sandbox.commit("Fresh", &[]);
    sandbox.push(&["main"]).succeeded();
    assert_eq!(json(&sandbox, &[])["scan"], Value::Null);
    let git = sandbox.path("git").display().to_string();
    sandbox.binary(&["scan", "--root", &git, "--run-user", "root"]).succeeded();
    let ran = sandbox.binary(&["status"]);
    let line = ran.succeeded().stdout.lines().find(|line| line.starts_with("scan ")).expect("the line");
    assert!(line.starts_with("scan         1 repository "), "{line}");
    let scan = &json(&sandbox, &[])["scan"];
    assert_eq!((&scan["repositories"], &scan["failed"]), (&1.into(), &0.into()));

    // A scan of one repository says nothing about all of them.
    let last = sandbox.state().join("refs/last.json");
    let before = fs::read(&last).expect("the record");
    let bare = sandbox.bare().display().to_string();
    sandbox.binary(&["scan", &bare]).succeeded();
    assert_eq!(fs::read(&last).expect("the record"), before);

    fs::write(&last, r#"{"time":"2026-01-01T00:00:00Z","repositories":3,"failed":2}"#).expect("written");
    let status = json(&sandbox, &[]);
    assert_eq!(
        status["causes"],
        serde_json::json!([
            "scan: 2 repositories could not be scanned",
            "scan: the last one is more than 10 minutes old"
        ])
    );
    let ran = sandbox.binary(&["status"]);
    assert!(ran.code == Some(1) && ran.stdout.contains(", but 2 could not be scanned; "), "{}", ran.stdout);
}
