//! A capture that a hook leaves behind is on disk before the hook returns. Remains of a processed
//! capture after a power cut do not become dead letters.

use std::fs;

use crate::support::{
    backend::{Backend, Say},
    spool::{Ground, OUTBOX, Push, Spool},
};

/// Asserts that the last hook left its push in the inbox, and that fsync of the file and then of
/// the directory follow the last change.
fn is_on_disk(spool: &Spool<'_>, cause: &str) {
    let captures = spool.files("inbox");
    assert_eq!(captures.len(), 1, "{cause}: {}", spool.describe());
    let steps = spool.steps();
    let is_change = |(step, path): &(String, String)| {
        path.starts_with("inbox/") && ["Write", "Rename", "Create"].contains(&step.as_str())
    };
    let last = steps.iter().rposition(is_change).expect("the capture is written");
    let after = &steps[last..];
    let content = after.iter().position(|(step, path)| step == "Sync" && path.starts_with("inbox/"));
    let name = after.iter().position(|(step, path)| step == "SyncDir" && path == "inbox");
    assert!(content.is_some() && content < name, "{cause}: {after:#?}");
}

#[test]
fn kept_capture_is_on_disk_before_the_hook_returns() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for cause in ["broken", "budget", "ENOSPC@/outbox/", "EIO@/outbox/", "EROFS@/outbox/", "stall@/outbox/"] {
        backend.forget();
        let name = cause.replace(['@', '/'], "-");
        let mut spool = ground.spool(&name, &backend);
        match cause {
            "broken" => fs::write(spool.dir().join("config.toml"), "state_dir = \"state\"\nnonsense = 1\n")
                .expect("the configuration"),
            "budget" => spool = spool.with_policy_time("0ms"),
            _ => spool = spool.with_policy_time("1s"),
        }
        let push = ground.typical(0);
        let ended = spool.hook(&push, if cause.contains('@') { cause } else { "" });
        ended.was_a_good_hook();
        assert_eq!(ended.code, Some(0), "{cause}: {ended:?}");
        is_on_disk(&spool, cause);
        let spool = spool.with_policy_time("20s");
        spool.holds_after_drain(&[push]);
    }
}

#[test]
fn failed_sync_of_a_capture_is_reported() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("unkept", &backend).with_policy_time("0ms");
    let ended = spool.hook(&ground.typical(0), "ENOSPC@/inbox/");
    ended.was_a_good_hook();
    let report = ended.stderr + &*spool.files("journal").into_values().collect::<String>();
    assert!(report.contains("this push has no markers: failed to "), "{report}");
    fs::write(spool.dir().join("config.toml"), "state_dir = \"state\"\nnonsense = 1\n").expect("a file");
    // The capture is written, but the fsync of its directory fails.
    for nth in 1..3 {
        spool.hook(&ground.typical(nth), "").was_a_good_hook();
    }
    let nth = 1 + spool
        .steps()
        .iter()
        .rposition(|(step, _)| step == "SyncDir")
        .expect("the directory is synchronised");
    let ended = spool.hook(&ground.typical(3), &format!("EIO@{nth}"));
    ended.was_a_good_hook();
    let report = ended.stderr + &*spool.files("journal").into_values().collect::<String>();
    assert!(report.contains("may be lost if the power fails now: failed to synchronise"), "{report}");
}

#[test]
fn normal_push_syncs_no_more_than_necessary() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("ordinary", &backend);
    for nth in 0..2 {
        spool.hook(&ground.plain(nth), "").was_a_good_hook();
    }
    let steps = spool.steps();
    let syncs: Vec<_> = steps.iter().filter(|(step, _)| step.starts_with("Sync")).collect();
    assert_eq!(syncs.len(), 2, "one sync for the outbox file and one for its directory: {syncs:?}");
    assert!(syncs.iter().all(|(_, path)| path.starts_with(OUTBOX)), "{syncs:?}");
}

/// Writes the remains of a capture after a power cut: its name, and the start of its content.
fn cut(spool: &Spool<'_>, push_id: &str, content: &str) {
    fs::write(spool.state().join(format!("inbox/{push_id}.0.0")), content).expect("a file");
}

/// Returns the ID of the last push in the journal.
fn last_push(spool: &Spool<'_>) -> String {
    let journal: String = spool.files("journal").into_values().collect();
    let line = journal.lines().rfind(|line| line.contains("\"record\":\"push\"")).expect("a push");
    let line: serde_json::Value = serde_json::from_str(line).expect("an entry");
    line["push"].as_str().expect("an id").to_string()
}

#[test]
fn empty_capture_of_a_decided_push_is_not_a_dead_letter() {
    let (ground, backend) = (Ground::new(), Backend::start());
    type Before = fn(&Spool<'_>, &Backend);
    let delivered: Before = |spool, _| spool.drain();
    let waits: Before = |_, backend| backend.always_say(Say::NotNow);
    let is_dead: Before = |spool, backend| {
        backend.say([Say::Never; 8]);
        spool.healthy(&["deliver"]).was_a_good_delivery();
        fs::remove_dir_all(spool.state().join("journal")).expect("the journal can be removed");
    };
    let waits_unnoted: Before = |spool, backend| {
        backend.always_say(Say::NotNow);
        fs::remove_dir_all(spool.state().join("journal")).expect("the journal can be removed");
    };
    for (name, before) in
        [("delivered", delivered), ("waits", waits), ("dead", is_dead), ("waits-unnoted", waits_unnoted)]
    {
        for content in ["", "{\"format\":1,\"push_id\":\"01", "\0\0\0\0"] {
            backend.forget();
            let spool = ground.spool(&format!("{name}-{}", content.len()), &backend);
            spool.hook(&ground.typical(0), "").was_a_good_hook();
            let push = last_push(&spool);
            before(&spool, &backend);
            let dead = spool.files("dead");
            cut(&spool, &push, content);
            spool.healthy(&["deliver"]).was_a_good_delivery();
            assert_eq!(spool.files("dead").len(), dead.len(), "{name} {content}: {}", spool.describe());
            assert!(spool.files("inbox").is_empty());
            let journal: String = spool.files("journal").into_values().collect();
            assert!(journal.contains("removed a damaged capture of a push that was decided"), "{journal}");
            backend.always_say(Say::Yes);
        }
    }
}

#[test]
fn empty_capture_of_a_merged_push_is_not_a_dead_letter() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("merged", &backend).merging();
    let mut ids = Vec::new();
    for nth in 0..3 {
        spool.hook(&ground.typical(nth), "").was_a_good_hook();
        ids.push(last_push(&spool));
    }
    backend.always_say(Say::NotNow);
    spool.healthy(&["deliver"]).was_a_good_delivery();
    assert_eq!(spool.files(OUTBOX).len(), 1, "the three files are merged");
    fs::remove_dir_all(spool.state().join("journal")).expect("the journal can be removed");
    ids.iter().for_each(|id| cut(&spool, id, ""));
    spool.healthy(&["deliver"]).was_a_good_delivery();
    assert_eq!((spool.files("dead").len(), spool.files("inbox").len()), (0, 0), "{}", spool.describe());
}

#[test]
fn empty_capture_of_an_unmarked_push_is_found_in_the_journal() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("skipped", &backend);
    let mut push = ground.plain(0);
    push.stdin = push.stdin.replace("refs/heads/main", "refs/notes/x");
    spool.hook(&push, "").was_a_good_hook();
    cut(&spool, &last_push(&spool), "");
    spool.healthy(&["deliver"]).was_a_good_delivery();
    assert_eq!((spool.files("dead").len(), spool.files("inbox").len()), (0, 0), "{}", spool.describe());
}

#[test]
fn empty_capture_of_an_unknown_push_is_a_dead_letter() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("unknown", &backend);
    let push: Push = ground.typical(0);
    // The decision is in the journal, but the outbox could not be written.
    spool.hook(&push, "EIO@/outbox/").was_a_good_hook();
    spool.hook(&ground.typical(1), "").was_a_good_hook();
    let name = spool.files("inbox").into_keys().next().expect("the capture");
    fs::write(spool.state().join("inbox").join(name), "").expect("a file");
    cut(&spool, "01910000-0000-7000-8000-000000000000", "");
    spool.healthy(&["deliver"]).was_a_good_delivery();
    let reasons = spool.files("dead").into_keys().filter(|name| name.ends_with(".why.json")).count();
    assert_eq!((reasons, spool.files("inbox").len()), (2, 0), "{}", spool.describe());
}
