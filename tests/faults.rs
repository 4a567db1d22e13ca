//! Faults of the system: a full or broken disk, no file descriptors, a removed state directory, a
//! clock that jumps. The push must succeed, and every captured push must be delivered after the
//! fault is gone.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    time::{Duration, SystemTime},
};

use crate::support::{
    backend::{Backend, Say},
    spool::{Ground, OUTBOX, Push, Spool, unsealed},
};

const ERRORS: [&str; 6] = ["ENOSPC", "EDQUOT", "EIO", "EMFILE", "EROFS", "short"];

/// Runs `run` with each error at each step, once and from that step on, each time in a new spool.
fn with_each_error(name: &str, run: impl Fn(&Ground, &Spool<'_>, &str)) {
    let (ground, backend) = (Ground::new(), Backend::start());
    for error in ERRORS {
        for goes_on in ["", "+"].into_iter().take(if error == "short" { 1 } else { 2 }) {
            for step in 1.. {
                backend.forget();
                backend.say([]);
                let fault = format!("{error}@{step}{goes_on}");
                let spool = ground.spool(&format!("{name}-{fault}"), &backend);
                run(&ground, &spool, &fault);
                spool.clear();
                if !STRUCK.replace(false) {
                    assert!(step > 2, "{fault}: too few such steps");
                    break;
                }
            }
        }
    }
}

/// Read errors that may be temporary.
const READ_ERRORS: [&str; 7] = ["EIO", "EMFILE", "ENFILE", "ESTALE", "ENOENT", "EACCES", "ENOMEM"];

/// Writes scripts next to the configuration of a spool.
fn with_scripts(spool: &Spool<'_>) {
    let dir = spool.dir().join("scripts");
    fs::create_dir_all(dir.join("lib")).expect("a directory");
    fs::write(dir.join("lib/x.rhai"), "fn f() { \"1\" }").expect("written");
    let site = "import \"lib/x\" as x;\n\
                fn enrich(marker, update) { marker.attributes[\"gitea_lightstep.x\"] = x::f(); marker }";
    fs::write(dir.join("site.rhai"), site).expect("written");
}

#[test]
fn read_error_loses_no_push() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for error in READ_ERRORS {
        for step in 1.. {
            backend.forget();
            let spool = ground.spool(&format!("read-{error}-{step}"), &backend);
            with_scripts(&spool);
            let push = ground.typical(0);
            let ended = spool.hook(&push, &format!("read:{error}@{step}"));
            ended.was_a_good_hook();
            let Some(struck) = spool.struck() else {
                assert!(step > 10, "{error}: too few such reads");
                break;
            };
            spool.healthy(&["deliver"]).was_a_good_delivery();
            assert_eq!(spool.files("dead"), BTreeMap::new(), "{error} at {struck}");
            assert_eq!(spool.files("failed"), BTreeMap::new(), "{error} at {struck}: {}", spool.describe());
            spool.holds_its_promise(&[push]);
            let report = spool.describe();
            assert!(
                report.contains("\"layer\":\"site\""),
                "{error} at {struck}: no layer may be skipped: {report}"
            );
            assert!(!report.contains("\"missing\""), "{error} at {struck}: no fact may be missing: {report}");
            spool.clear();
        }
    }
}

#[test]
fn read_error_in_a_decider_is_retried() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for error in ["EIO", "ENOENT", "EMFILE"] {
        for step in 1.. {
            backend.forget();
            let spool = ground.spool(&format!("decider-{error}-{step}"), &backend);
            with_scripts(&spool);
            let push = ground.typical(0);
            spool.hook(&push, "torn@2").was_a_good_hook();
            spool.deliver(&format!("decider:read:{error}@{step}")).was_a_good_delivery();
            let Some(struck) = spool.struck() else {
                assert!(step > 10, "{error}: too few such reads");
                break;
            };
            assert_eq!(spool.files("dead"), BTreeMap::new(), "{error} at {struck}");
            spool.holds_after_drain(&[push]);
            spool.clear();
        }
    }
}

thread_local! {
    /// True if the last fault occurred, false if the run finished before it.
    static STRUCK: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[test]
fn error_at_any_step_of_a_hook_loses_nothing() {
    with_each_error("hook", |ground, spool, fault| {
        let push = ground.typical(0);
        let ended = spool.hook(&push, fault);
        STRUCK.set(spool.struck().is_some());
        ended.was_a_good_hook();
        assert_eq!(ended.code, Some(0));
        let is_accepted = spool.has_accepted(&push);
        if !is_accepted {
            let journal: String = spool.files("journal").into_values().collect();
            let report = journal + &*ended.stderr;
            assert!(report.contains("this push has no markers: failed to "), "{fault}: {report}");
        }
        if !fault.ends_with('+') {
            assert_eq!(spool.hidden(), [""; 0], "{fault}: a partly written file is left");
        }
        push_again(ground, spool, is_accepted.then_some(push));
    });
}

#[test]
fn error_at_any_step_of_a_delivery_loses_nothing() {
    with_each_error("delivery", |ground, spool, fault| {
        let pushes = [ground.typical(0), ground.typical(1)];
        // The first push waits for its decision, the second one for its delivery.
        spool.hook(&pushes[0], "torn@2").was_a_good_hook();
        spool.hook(&pushes[1], "").was_a_good_hook();
        // Run often enough to reach the limit for captures that kill their reader. Skip this for a
        // permanent error right after the claim's rename, which would look like a death each time.
        let is_broken_for_good = fault.starts_with("EIO") || fault.starts_with("EROFS");
        let times = if is_broken_for_good && fault.ends_with('+') { 1 } else { 4 };
        for _ in 0..times {
            spool.deliver(fault).was_a_good_delivery();
            STRUCK.set(STRUCK.get() || spool.struck().is_some());
        }
        assert_eq!(spool.files("dead"), BTreeMap::new(), "{fault}");
        let [first, second] = pushes;
        spool.holds_after_drain(&[first.clone(), second.clone()]);
        push_again(ground, spool, [first, second]);
    });
}

/// Asserts that the next push works normally, and that all pushes arrive.
fn push_again(ground: &Ground, spool: &Spool<'_>, before: impl IntoIterator<Item = Push>) {
    let push = ground.typical(7);
    let ended = spool.hook(&push, "");
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "", ""));
    assert!(spool.files(OUTBOX).len() + spool.files("inbox").len() > 0);
    let pushes: Vec<_> = before.into_iter().chain([push]).collect();
    spool.holds_after_drain(&pushes);
}

#[test]
fn full_disk_does_not_send_markers_twice() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("notes", &backend);
    push_again(&ground, &spool, []);
    backend.forget();
    let push = ground.typical(0);
    spool.hook(&push, "").was_a_good_hook();
    for _ in 0..3 {
        spool.deliver("ENOSPC@1+").was_a_good_delivery();
    }
    assert_eq!(backend.heard().len(), 2, "the log records once and the spans once");
    assert!(spool.files(OUTBOX).is_empty());
    spool.holds_its_promise(&[push]);
}

#[test]
fn undecidable_capture_does_not_delay_others() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("held-up", &backend);
    push_again(&ground, &spool, []);
    backend.forget();
    let pushes = [ground.typical(0), ground.typical(1)];
    spool.hook(&pushes[0], "torn@2").was_a_good_hook();
    spool.hook(&pushes[1], "").was_a_good_hook();
    let ended = spool.deliver("ENOSPC@1+");
    ended.was_a_good_delivery();
    assert!(ended.stderr.contains("No space left on device"), "{ended:?}");
    assert_eq!(backend.ids().len(), pushes[1].markers.len(), "the second push is delivered");
    spool.holds_after_drain(&pushes);
}

#[test]
fn killed_deciders_lose_no_push() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("deaths", &backend);
    let push = ground.typical(0);
    // The writes are the capture, the hash key, and the markers.
    spool.hook(&push, "torn@3").was_a_good_hook();
    for _ in 0..6 {
        // The decider's first write is that of the markers.
        let ended = spool.deliver("decider:torn@1");
        ended.was_a_good_delivery();
        assert!(spool.struck().is_some_and(|step| step.starts_with("Write")));
        assert_eq!(spool.files("inbox").len(), 1);
    }
    // A SIGKILL from outside does not count as a failure of the policy.
    assert!(spool.describe().contains("decider process killed by signal 9"), "{}", spool.describe());
    assert_eq!(spool.files("dead"), BTreeMap::new());
    assert_eq!(spool.files("failed"), BTreeMap::new());
    spool.holds_after_drain(&[push]);
}

#[test]
fn push_works_without_new_processes_and_threads() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("threads", &backend);
    let push = ground.typical(0);
    let ended = spool.hook(&push, "EAGAIN@1+");
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "", ""));
    assert!(spool.struck().is_some_and(|step| step.starts_with("Thread")));
    assert_eq!(
        (spool.files("inbox").len(), spool.files(OUTBOX).len()),
        (0, 1),
        "the push is decided and its markers are queued"
    );
    spool.holds_after_drain(&[push]);
}

#[test]
fn delivery_without_threads_serves_destinations_in_turn() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("one-by-one", &backend);
    let second = format!(
        "[[destination]]\nname = \"second\"\nkind = \"otlp\"\nendpoint = \"{}\"\ncompression = \"none\"\n",
        backend.endpoint()
    );
    spool.configure(&second);
    let push = ground.typical(0);
    spool.hook(&push, "EAGAIN@1+").was_a_good_hook();
    let ended = spool.faulty(&["deliver"], "EAGAIN@1+");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(spool.struck().is_some_and(|step| step.starts_with("Thread")));
    for outbox in [OUTBOX, "outbox/second/new"] {
        assert_eq!(spool.files(outbox).len(), 0, "{outbox}");
    }
    spool.holds_after_drain(&[push]);
}

#[test]
fn state_directory_removed_between_pushes_is_recreated() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("gone", &backend);
    spool.hook(&ground.typical(0), "").was_a_good_hook();
    fs::remove_dir_all(spool.state()).expect("remove the state");
    push_again(&ground, &spool, []);
}

#[test]
fn state_directory_removed_during_a_delivery_does_no_harm() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for nth in 1..=2 {
        backend.forget();
        let spool = ground.spool(&format!("going-{nth}"), &backend);
        let push = ground.typical(0);
        spool.hook(&push, "").was_a_good_hook();
        let state = spool.state();
        backend.before_answer(nth, move || fs::remove_dir_all(state).expect("remove the state"));
        spool.healthy(&["deliver"]).was_a_good_delivery();
        push_again(&ground, &spool, [push]);
    }
}

#[test]
fn clock_set_back_loses_nothing() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("clock", &backend);
    let pushes = [ground.typical(0), ground.typical(1), ground.typical(2)];
    spool.hook(&pushes[0], "torn@2").was_a_good_hook();
    spool.hook(&pushes[1], "").was_a_good_hook();
    // Rename these two to the year 2100. A push ID starts with the time in milliseconds.
    for (dir, nth) in [("inbox", 1), (OUTBOX, 2)] {
        let (name, text) = spool.files(dir).pop_first().expect("a file");
        let id = name.split('.').next().expect("an id");
        let text = unsealed(&text);
        let later = format!("03bb2cc3-d8{nth:02}{}", &id[13..]);
        let year = text.find("\"time\":\"20").expect("a time");
        let year = &text[year..year + "\"time\":\"2026".len()];
        let text = text.replace(year, "\"time\":\"2100").replace(id, &later);
        fs::write(spool.state().join(dir).join(name.replace(id, &later)), text).expect("a file");
        fs::remove_file(spool.state().join(dir).join(name)).expect("remove the file");
    }
    spool.hook(&pushes[2], "").was_a_good_hook();
    // Back-off must not depend on the wall clock.
    backend.say([Say::NotNow]);
    spool.healthy(&["deliver", "--follow", "--for", "20s"]).was_a_good_delivery();
    assert_eq!(spool.files("dead"), BTreeMap::new(), "an entry from the future is not too old");
    spool.holds_after_drain(&pushes);
}

#[test]
fn files_of_dead_processes_are_removed() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("swept", &backend);
    let push = ground.typical(0);
    assert!(spool.hook(&push, "torn@1").is_killed());
    assert!(spool.hook(&push, "torn@2").is_killed());
    let left = spool.hidden();
    assert_eq!(left.len(), 2, "{left:?}");
    spool.healthy(&["deliver"]).was_a_good_delivery();
    assert_eq!(spool.hidden(), left, "another process may be writing these files");

    let age = |name: &str| {
        let file = File::options().write(true).open(spool.state().join(name)).expect("the file");
        file.set_modified(SystemTime::now() - Duration::from_secs(3700)).expect("an age");
        file
    };
    // A suspended hook may still hold one of these files.
    let held = age(&left[0]);
    held.lock().expect("a lock");
    age(&left[1]);
    spool.healthy(&["deliver"]).was_a_good_delivery();
    assert_eq!(spool.hidden(), left[..1]);
    drop(held);
    spool.healthy(&["deliver"]).was_a_good_delivery();
    assert_eq!(spool.hidden(), [""; 0]);
    push_again(&ground, &spool, [push]);
}

#[test]
fn temporary_files_of_a_reused_process_id_do_no_harm() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("ids", &backend);
    let push = ground.typical(0);
    spool.hook(&push, "").was_a_good_hook();
    // Create the temporary files that earlier processes with the next process IDs may have left
    // behind.
    let dir = spool.state().join("outbox/collector");
    let mut child = std::process::Command::new("true").spawn().expect("a process");
    child.wait().expect("wait for the process");
    let last = child.id();
    for pid in last..last + 400 {
        for nth in 0..4 {
            fs::write(dir.join(format!(".standing.json.{pid}.{nth}")), "").expect("a file");
        }
    }
    let ended = spool.healthy(&["deliver"]);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    assert!(dir.join("standing.json").exists());
    spool.holds_after_drain(&[push]);
}
