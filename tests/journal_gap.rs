//! A journal that cannot be written: nothing is sent twice, the pusher gets a correct message, and
//! `status` and `doctor` report it.

use std::{fs, process::Command};

use crate::support::{
    backend::Backend,
    spool::{Ended, Ground, OUTBOX, Spool},
};

/// Replaces the journal's file with an object that cannot be written, or removes that object.
fn block(spool: &Spool<'_>, how: &str, is_blocked: bool) {
    let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
    let journal = spool.state().join("journal");
    let file = journal.join(format!("{month}.jsonl"));
    if !is_blocked {
        let _ = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
        let _ = fs::remove_file(&journal);
        return;
    }
    let _ = fs::remove_dir_all(&journal);
    match how {
        "a file for the directory" => fs::write(&journal, "").expect("a file"),
        _ => fs::create_dir_all(&journal).expect("a directory"),
    }
    match how {
        "a directory" => fs::create_dir(&file).expect("a directory"),
        "a named pipe" => {
            let made = Command::new("mkfifo").arg(&file).status().expect("mkfifo");
            assert!(made.success());
        }
        "a link" => std::os::unix::fs::symlink("/dev/full", &file).expect("a link"),
        _ => {}
    }
}

#[test]
fn unwritable_journal_loses_no_markers_and_sends_none_twice() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let ways =
        ["a directory", "a named pipe", "a link", "a file for the directory", "EACCES", "ENOSPC", "EROFS"];
    for how in ways {
        backend.forget();
        let spool = ground.spool(&how.replace(' ', "-"), &backend);
        let fault = if how.starts_with('E') { format!("{how}@/journal") } else { String::new() };
        spool.hook(&ground.typical(9), "").was_a_good_hook();
        spool.drain();
        backend.forget();
        block(&spool, how, true);
        let pushes: Vec<_> = (0..3).map(|nth| ground.typical(nth)).collect();
        for push in &pushes {
            let ended = spool.hook(push, &fault);
            ended.was_a_good_hook();
            // The faulty program cannot start a delivery. With a blocked journal, it can report
            // that only to the pusher.
            let is_told = ended.stderr.is_empty() || ended.stderr.contains("failed to start the delivery");
            assert!(ended.code == Some(0) && is_told, "{how}: {ended:?}");
            assert_eq!(spool.files("inbox").len(), 0, "{how}: the push is still in the inbox");
            for _ in 0..2 {
                spool.deliver(&fault).was_a_good_delivery();
            }
        }
        assert_eq!(backend.heard().len(), 2 * pushes.len(), "{how}: log records and spans, once each");
        assert!(spool.files(OUTBOX).is_empty(), "{how}");
        spool.holds_its_promise(&pushes);

        let status = spool.healthy(&["status"]);
        assert_eq!(status.code, Some(1), "{how}: {status:?}");
        assert!(status.stdout.contains("cannot be written since "), "{how}: {}", status.stdout);
        let doctor = spool.healthy(&["doctor", "--no-push"]);
        assert!(doctor.stdout.contains("the journal cannot be written since "), "{how}: {doctor:?}");

        block(&spool, how, false);
        spool.healthy(&["deliver"]).was_a_good_delivery();
        let status: Ended = spool.healthy(&["status"]);
        assert_eq!(status.code, Some(0), "{how}: {status:?}");
        let journal: String = spool.files("journal").into_values().collect();
        assert!(journal.contains("the journal could not be written since 2"), "{how}: {journal}");
    }
}

#[test]
fn queue_commands_work_without_a_journal() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("queue", &backend);
    spool.hook(&ground.typical(0), "").was_a_good_hook();
    backend.say([crate::support::backend::Say::Never; 8]);
    spool.healthy(&["deliver"]).was_a_good_delivery();
    assert!(!spool.files("dead").is_empty());
    let fault = "EACCES@/journal";
    let ended = spool.faulty(&["queue", "retry", "--all"], fault);
    assert_eq!((ended.code, spool.files("dead").len()), (Some(0), 0), "{ended:?}");
    backend.say([crate::support::backend::Say::Never; 8]);
    spool.healthy(&["deliver"]).was_a_good_delivery();
    let ended = spool.faulty(&["queue", "drop", "--all", "--dead", "--yes"], fault);
    assert_eq!((ended.code, spool.files("dead").len()), (Some(0), 0), "{ended:?}");
    assert_eq!(spool.healthy(&["status"]).code, Some(1), "the gap in the journal needs attention");
}
