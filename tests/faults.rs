//! A full disk, a broken disk, no descriptors left, a state directory that goes away, a clock that jumps:
//! the push succeeds, and once the cause is gone everything that was captured arrives.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    time::{Duration, SystemTime},
};

use crate::support::{
    backend::{Backend, Say},
    spool::{Ground, OUTBOX, Push, Spool},
};

const ERRORS: [&str; 6] = ["ENOSPC", "EDQUOT", "EIO", "EMFILE", "EROFS", "short"];

/// Runs something with each error at each step, once and from there on, in a spool of its own.
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
                    assert!(step > 2, "{fault}: there are no such steps");
                    break;
                }
            }
        }
    }
}

thread_local! {
    /// Whether the last fault struck, or the run was over before.
    static STRUCK: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[test]
fn an_error_at_any_step_of_a_hook() {
    with_each_error("hook", |ground, spool, fault| {
        let push = ground.typical(0);
        let ended = spool.hook(&push, fault);
        STRUCK.set(spool.struck().is_some());
        ended.was_a_good_hook();
        assert_eq!(ended.code, Some(0));
        let is_accepted = spool.has_accepted(&push);
        if !is_accepted {
            let journal: String = spool.files("journal").into_values().collect();
            let told = journal + &*ended.stderr;
            assert!(told.contains("this push has no markers: failed to "), "{fault}: {told}");
        }
        if !fault.ends_with('+') {
            assert_eq!(spool.hidden(), [""; 0], "{fault}: half a file is left behind");
        }
        push_again(ground, spool, is_accepted.then_some(push));
    });
}

#[test]
fn an_error_at_any_step_of_a_delivery() {
    with_each_error("delivery", |ground, spool, fault| {
        let pushes = [ground.typical(0), ground.typical(1)];
        // The first waits to be decided, the second to be sent.
        spool.hook(&pushes[0], "torn@2").was_a_good_hook();
        spool.hook(&pushes[1], "").was_a_good_hook();
        // Often enough to make a dead letter of what kills its reader; but no disk fails for ever just after
        // the capture has got its new name, time and again.
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

/// Asserts that the next push works as if nothing had been, and that all arrive.
fn push_again(ground: &Ground, spool: &Spool<'_>, before: impl IntoIterator<Item = Push>) {
    let push = ground.typical(7);
    let ended = spool.hook(&push, "");
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "", ""));
    assert!(spool.files(OUTBOX).len() + spool.files("inbox").len() > 0);
    let pushes: Vec<_> = before.into_iter().chain([push]).collect();
    spool.holds_after_drain(&pushes);
}

#[test]
fn a_disk_that_takes_no_note_does_not_have_markers_sent_twice() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("notes", &backend);
    push_again(&ground, &spool, []);
    backend.forget();
    let push = ground.typical(0);
    spool.hook(&push, "").was_a_good_hook();
    for _ in 0..3 {
        spool.deliver("ENOSPC@1+").was_a_good_delivery();
    }
    assert_eq!(backend.heard().len(), 2, "the records and the spans, once each");
    assert!(spool.files(OUTBOX).is_empty());
    spool.holds_its_promise(&[push]);
}

#[test]
fn a_capture_that_cannot_be_decided_does_not_hold_up_what_is() {
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
    assert_eq!(backend.ids().len(), pushes[1].markers.len(), "the second is not held up");
    spool.holds_after_drain(&pushes);
}

#[test]
fn a_reader_that_dies_three_times_makes_a_dead_letter() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("deaths", &backend);
    let push = ground.typical(0);
    // The capture, the key of hashes, the markers.
    spool.hook(&push, "torn@3").was_a_good_hook();
    for _ in 0..3 {
        // The first write is that of the markers.
        assert!(spool.deliver("torn@1").is_killed());
        assert_eq!(spool.files("inbox").len(), 1);
    }
    spool.healthy(&["deliver"]).was_a_good_delivery();
    assert_eq!(spool.files("inbox").len(), 0);
    let letters = spool.files("dead");
    assert!(letters.values().any(|text| text.contains("its reader died 3 times")), "{letters:?}");
    assert!(letters.values().any(|text| text.contains(&push.stdin)), "{letters:?}");
}

#[test]
fn a_machine_that_starts_neither_process_nor_thread() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("threads", &backend);
    let push = ground.typical(0);
    let ended = spool.hook(&push, "EAGAIN@1+");
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "", ""));
    assert!(spool.struck().is_some_and(|step| step.starts_with("Thread")));
    assert_eq!((spool.files("inbox").len(), spool.files(OUTBOX).len()), (0, 1), "it is settled");
    spool.holds_after_drain(&[push]);
}

#[test]
fn a_delivery_that_gets_no_thread_goes_to_one_destination_after_the_other() {
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
fn a_state_directory_that_goes_away_between_two_pushes() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("gone", &backend);
    spool.hook(&ground.typical(0), "").was_a_good_hook();
    fs::remove_dir_all(spool.state()).expect("the state goes");
    push_again(&ground, &spool, []);
}

#[test]
fn a_state_directory_that_goes_away_during_a_delivery() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for nth in 1..=2 {
        backend.forget();
        let spool = ground.spool(&format!("going-{nth}"), &backend);
        let push = ground.typical(0);
        spool.hook(&push, "").was_a_good_hook();
        let state = spool.state();
        backend.before_answer(nth, move || fs::remove_dir_all(state).expect("the state goes"));
        spool.healthy(&["deliver"]).was_a_good_delivery();
        push_again(&ground, &spool, [push]);
    }
}

#[test]
fn a_clock_that_was_set_back() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("clock", &backend);
    let pushes = [ground.typical(0), ground.typical(1), ground.typical(2)];
    spool.hook(&pushes[0], "torn@2").was_a_good_hook();
    spool.hook(&pushes[1], "").was_a_good_hook();
    // As if these two had come in the year 2100: push ids begin with the time in milliseconds.
    for (dir, nth) in [("inbox", 1), (OUTBOX, 2)] {
        let (name, text) = spool.files(dir).pop_first().expect("a file");
        let id = name.split('.').next().expect("an id");
        let later = format!("03bb2cc3-d8{nth:02}{}", &id[13..]);
        let year = text.find("\"time\":\"20").expect("a time");
        let year = &text[year..year + "\"time\":\"2026".len()];
        let text = text.replace(year, "\"time\":\"2100").replace(id, &later);
        fs::write(spool.state().join(dir).join(name.replace(id, &later)), text).expect("a file");
        fs::remove_file(spool.state().join(dir).join(name)).expect("the file goes");
    }
    spool.hook(&pushes[2], "").was_a_good_hook();
    // A wait is not measured on the clock that jumped.
    backend.say([Say::NotNow]);
    spool.healthy(&["deliver", "--follow", "--for", "20s"]).was_a_good_delivery();
    assert_eq!(spool.files("dead"), BTreeMap::new(), "what is from the future is not old");
    spool.holds_after_drain(&pushes);
}

#[test]
fn what_a_dead_process_left_behind_is_swept_away() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("swept", &backend);
    let push = ground.typical(0);
    assert!(spool.hook(&push, "torn@1").is_killed());
    assert!(spool.hook(&push, "torn@2").is_killed());
    let left = spool.hidden();
    assert_eq!(left.len(), 2, "{left:?}");
    spool.healthy(&["deliver"]).was_a_good_delivery();
    assert_eq!(spool.hidden(), left, "they may be being written");

    let age = |name: &str| {
        let file = File::options().write(true).open(spool.state().join(name)).expect("the file");
        file.set_modified(SystemTime::now() - Duration::from_secs(3700)).expect("an age");
        file
    };
    // One of them is held by a hook that was halted for an hour.
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
fn a_process_with_the_id_of_one_that_died() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("ids", &backend);
    let push = ground.typical(0);
    spool.hook(&push, "").was_a_good_hook();
    // What processes with every id that the next one may have left behind of the same file.
    let dir = spool.state().join("outbox/collector");
    let mut child = std::process::Command::new("true").spawn().expect("a process");
    child.wait().expect("it ends");
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

/// A file system of its own for the state: full but for some pages, then read-only, then well again.
const REAL: &str = r#"
    bin=$0 config=$1 dir=$2 free=$3
    mount -t tmpfs -o size=256k,mode=700 state "$dir/state"
    hook() { GITEA_PUSHER_NAME=pusher-$1 "$bin" hook --config "$config" <"$dir/pusher-$1.stdin" 2>"$dir/said-$1"; }
    hook 0
    dd if=/dev/zero of="$dir/state/filler" bs=4096 2>/dev/null || :
    truncate -s -"$((free * 4096))" "$dir/state/filler"
    hook 1
    "$bin" deliver --config "$config" >"$dir/full" 2>&1 || :
    rm "$dir/state/filler"
    mount -o remount,ro "$dir/state"
    hook 2
    "$bin" deliver --config "$config" >"$dir/read-only" 2>&1 && exit 9
    mount -o remount,rw "$dir/state"
    hook 3
    "$bin" deliver --config "$config"
    # Outside of this mount nobody sees it.
    cp -r "$dir/state" "$dir/seen"
"#;

#[test]
fn a_real_disk_that_is_full_and_then_read_only() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for free in 0..6 {
        backend.forget();
        let spool = ground.spool(&format!("real-{free}"), &backend);
        let pushes: Vec<_> = (0..4).map(|nth| ground.typical(nth)).collect();
        let Some(ended) = spool.with_own_mounts(REAL, &pushes, &free.to_string()) else {
            // Neither root nor user namespaces: the tests above do without.
            return;
        };
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let said = |name: &str| fs::read_to_string(spool.dir().join(name)).expect("what was said");
        assert_eq!((&*said("said-0"), &*said("said-3")), ("", ""));
        for (nth, why) in [(1, "No space left on device"), (2, "Read-only file system")] {
            let said = said(&format!("said-{nth}"));
            assert!(said.lines().count() <= 1 && (said.is_empty() || said.contains(why)), "{said}");
        }
        assert!(said("read-only").contains("Read-only file system"), "{}", said("read-only"));
        assert!(!said("full").contains("panic"), "{}", said("full"));
        let ids = backend.ids();
        let is_there = |nth: usize| pushes[nth].markers.iter().all(|key| ids.contains_key(key));
        assert!(
            is_there(0) && !is_there(2) && is_there(3),
            "{free} pages: {}\n{ids:#?}\n{}",
            said("said-1"),
            said("full")
        );
        // Room for a capture is room enough. The last page of the journal may have room for the reason.
        let journal = fs::read_dir(spool.dir().join("seen/journal")).expect("the journal");
        let mut told = said("said-1");
        for month in journal {
            told += &fs::read_to_string(month.expect("an entry").path()).expect("text");
        }
        let is_refused = told.contains("this push has no markers: failed to ");
        assert!(is_there(1) != is_refused && (is_there(1) || free == 0), "{free} pages: {told}");
    }
}
