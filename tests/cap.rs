//! A full spool: the hook drops the oldest changes first, and records them in the journal.

use crate::support::{Sandbox, wait_until};

/// Address without a server: port 9 is reserved for the obsolete discard service (RFC 863).
const DOWN: &str =
    "[[destination]]\nname = \"collector\"\nkind = \"otlp\"\nendpoint = \"http://127.0.0.1:9\"\n";

/// Runs the hook for `count` pushes to the default branch, every third one with a version tag.
fn pushes(sandbox: &Sandbox, count: usize) {
    let commit = sandbox.commit("One of many", &[]);
    sandbox.push(&["HEAD:refs/heads/elsewhere"]).succeeded();
    let zeros = "0".repeat(commit.len());
    for n in 0..count {
        let mut lines = format!("{zeros} {commit} refs/heads/main\n");
        if n % 3 == 0 {
            lines.push_str(&format!("{zeros} {commit} refs/tags/v1.{n}.0\n"));
        }
        sandbox.hook(lines.as_bytes()).succeeded();
    }
}

fn kinds(sandbox: &Sandbox, destination: &str) -> (usize, usize) {
    let markers = sandbox.waiting(destination);
    let releases = markers.iter().filter(|marker| marker["kind"] == "release").count();
    (markers.len() - releases, releases)
}

#[test]
fn oldest_changes_are_dropped_before_releases() {
    let sandbox = Sandbox::new();
    pushes(&sandbox, 30);
    assert_eq!(kinds(&sandbox, "unassigned"), (30, 10));
    let newest = sandbox.files("outbox/unassigned/new").pop().expect("files");

    sandbox.configure(&format!("[spool]\nfiles = 20\n{DOWN}"));
    let deliver = sandbox.binary(&["deliver"]);
    assert_eq!(
        (deliver.code, &*deliver.stdout),
        (
            Some(1),
            "0 markers delivered, 11 markers dropped to make room, 19 files wait in the spool; \
             `gitea-lightstep status` says why\n"
        )
    );
    let (changes, releases) = kinds(&sandbox, "collector");
    assert_eq!(releases, 10, "no release was dropped");
    let left = sandbox.files("outbox/collector/new");
    assert_eq!(left.len(), 19, "5 % below the cap");
    assert!(left.contains(&newest), "the newest file is kept");

    let dropped: Vec<_> =
        sandbox.deliveries().into_iter().filter(|delivery| delivery["outcome"] == "dropped").collect();
    let ids: usize = dropped.iter().map(|delivery| delivery["markers"].as_array().expect("ids").len()).sum();
    assert_eq!(ids, 30 - changes);
    assert_eq!(dropped[0]["why"], "the spool is over its cap of 20 files or 1024 MiB ([spool])");
    let log = sandbox.binary(&["log"]);
    assert!(log.succeeded().stdout.contains("dropped   1 marker to collector"), "{}", log.stdout);
}

#[test]
fn releases_are_dropped_last() {
    let sandbox = Sandbox::new();
    pushes(&sandbox, 9);
    sandbox.configure(&format!("[spool]\nfiles = 2\n{DOWN}"));
    assert_eq!(sandbox.binary(&["deliver"]).code, Some(1));
    assert_eq!(kinds(&sandbox, "collector"), (2, 2), "the oldest of three releases is dropped");
    let waiting = sandbox.waiting("collector");
    let releases = waiting.iter().filter(|marker| marker["kind"] == "release");
    let versions: Vec<_> = releases.map(|marker| marker["version"].as_str().expect("text")).collect();
    assert_eq!(versions, ["1.3.0", "1.6.0"]);
}

#[test]
fn bytes_are_capped_even_without_a_destination() {
    let sandbox = Sandbox::new();
    pushes(&sandbox, 12);
    let bytes = |sandbox: &Sandbox| -> u64 {
        let dir = sandbox.state().join("outbox/unassigned/new");
        let files = std::fs::read_dir(dir).expect("the outbox");
        files.map(|file| file.expect("an entry").metadata().expect("a file").len()).sum()
    };
    let before = bytes(&sandbox);
    sandbox.configure(&format!("[spool]\nbytes = \"{}B\"\n", before / 2));
    assert_eq!(sandbox.binary(&["deliver"]).code, Some(1));
    assert!(bytes(&sandbox) <= before / 2, "the spool went from {before} to {} bytes", bytes(&sandbox));
    assert_eq!(kinds(&sandbox, "unassigned").1, 4, "no release was dropped");
}

#[test]
fn inbox_that_cannot_be_decided_is_capped() {
    let sandbox = Sandbox::new();
    sandbox.configure("[spool]\nfiles = 5\n");
    // A file in place of the directory prevents all writes to the outbox.
    sandbox.write("state/outbox", "");
    pushes(&sandbox, 12);
    let waiting = sandbox.files("inbox");
    assert!(waiting.len() <= 5, "{waiting:?}");
    let with_tag = |name: &String| {
        let capture = std::fs::read_to_string(sandbox.state().join("inbox").join(name)).expect("a capture");
        capture.contains("refs/tags/")
    };
    assert_eq!(
        waiting.iter().filter(|name| with_tag(name)).count(),
        4,
        "pushes without tags are dropped first"
    );
    let dropped =
        sandbox.troubles().iter().filter(|what| what.starts_with("dropped a captured push")).count();
    assert_eq!(waiting.len() + dropped, 12);

    // After the cause is removed, the remaining captures are decided and reach the outbox.
    std::fs::remove_file(sandbox.state().join("outbox")).expect("remove the file");
    assert_eq!(sandbox.binary(&["deliver"]).code, Some(1));
    assert_eq!(sandbox.files("inbox"), [""; 0]);
    assert_eq!(kinds(&sandbox, "unassigned").1, 4);
}

#[test]
fn spool_without_a_destination_is_capped_by_a_push() {
    let sandbox = Sandbox::new();
    sandbox.configure("[spool]\nfiles = 5\n");
    pushes(&sandbox, 6);
    wait_until("the spool is capped", || sandbox.files("outbox/unassigned/new").len() == 5);
    assert_eq!(kinds(&sandbox, "unassigned"), (5, 2), "the oldest change is dropped, and no release");
}

#[test]
fn bytes_without_a_destination_are_capped_by_a_push() {
    let sandbox = Sandbox::new();
    sandbox.configure("[spool]\nbytes = \"4KiB\"\n");
    pushes(&sandbox, 9);
    let bytes = || -> u64 {
        let files = std::fs::read_dir(sandbox.state().join("outbox/unassigned/new")).expect("the outbox");
        // The deliverer may remove a file at any moment.
        files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum()
    };
    wait_until("the spool is capped", || bytes() <= 4 << 10);
    let is_dropped = |delivery: &serde_json::Value| delivery["outcome"] == "dropped";
    wait_until("the journal says so", || sandbox.deliveries().iter().any(is_dropped));
}

#[test]
fn capture_left_without_a_destination_is_decided_by_the_next_push() {
    let sandbox = Sandbox::new();
    // A file in place of the directory prevents all writes to the outbox.
    sandbox.write("state/outbox", "");
    pushes(&sandbox, 1);
    sandbox.wait_for_deliverers_to_end();
    assert_ne!(sandbox.files("inbox"), [""; 0]);
    std::fs::remove_file(sandbox.state().join("outbox")).expect("remove the file");
    // This push makes no marker of its own.
    sandbox.push(&["HEAD:refs/heads/topic"]).succeeded();
    wait_until("the capture is decided", || sandbox.files("inbox").is_empty());
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(kinds(&sandbox, "unassigned"), (1, 1));
}

#[test]
fn what_waits_without_a_destination_is_merged_by_a_push() {
    for mode in ["", "[delivery]\nmode = \"inline\"\n"] {
        let sandbox = Sandbox::new();
        sandbox.configure(&format!("{mode}[spool]\nmerge_at = 4\n"));
        let waiting = || sandbox.files("outbox/unassigned/new").len();
        let commit = sandbox.commit("One of four", &[]);
        sandbox.push(&["HEAD:refs/heads/elsewhere"]).succeeded();
        let line = format!("{} {commit} refs/heads/main\n", "0".repeat(commit.len()));
        for nth in 1..=3 {
            sandbox.hook(line.as_bytes()).succeeded();
            assert_eq!((waiting(), sandbox.deliverer()), (nth, None), "{mode}: nothing to do");
        }
        sandbox.hook(line.as_bytes()).succeeded();
        wait_until("the files are merged", || waiting() == 1);
        sandbox.wait_for_deliverers_to_end();
        assert_eq!(kinds(&sandbox, "unassigned"), (4, 0), "{mode}");
    }
}
