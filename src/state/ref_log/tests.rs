use proptest::prelude::*;

use super::*;
use crate::push::{ObjectId, RefName, Source};

fn update(name: &[u8], value: u8) -> Update {
    let id = |value| ObjectId::from_raw(&[value; 20]).expect("20 bytes");
    Update::new(RefName::new(name).expect("a name"), id(value), id(value.wrapping_add(1))).expect("an update")
}

fn push(nth: u8, names: &[&[u8]]) -> Push {
    let git_dir = GitDir::resolve(None, std::path::Path::new("/srv/acme/shop.git"));
    let source = Source::unknown(git_dir.clone(), RepositoryIdentity::of_dir(&git_dir));
    let updates: Vec<Update> = names.iter().map(|name| update(name, nth)).collect();
    let time = Timestamp::from_second(1_700_000_000 + i64::from(nth)).expect("a time");
    Push::new(PushId::derived(time, "acme/shop", &updates), time, source, updates)
}

fn log() -> (tempfile::TempDir, RefLog) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = RefLog::at(dir.path().join("refs"));
    (dir, log)
}

fn read(log: &RefLog) -> Vec<RefLogEntry> {
    let mut entries = Vec::new();
    for name in log.moved().expect("the directory") {
        log.each(&name, |entry| entries.push(entry)).expect("the log");
    }
    entries
}

#[test]
fn nothing_is_logged_before_the_first_scan() {
    let (_dir, log) = log();
    log.append(&push(1, &[b"refs/heads/main"])).expect("no error");
    drop(log.lock_scans().expect("no error").expect("the lock"));
    log.append(&push(2, &[b"refs/heads/main"])).expect("no error");
    log.move_away(Timestamp::UNIX_EPOCH).expect("no error");
    assert_eq!(read(&log).len(), 1);
}

#[test]
fn entries_are_read_while_and_after_hooks_append() {
    let (_dir, log) = log();
    let _lock = log.lock_scans().expect("no error").expect("the lock");
    let pushes = [push(1, &[b"refs/heads/main"]), push(2, &[b"refs/tags/\xff", b"refs/tags/{\"a\":1}"])];
    let mut tail = log.tail();
    let mut seen = Vec::new();
    for push in &pushes {
        log.append(push).expect("no error");
        log.sync();
        tail.each_new(|entry| seen.push(entry)).expect("the log");
    }
    log.move_away(Timestamp::UNIX_EPOCH).expect("no error");
    let read = read(&log);
    assert_eq!(read, seen);
    assert_eq!(read.iter().map(|entry| entry.push).collect::<Vec<_>>(), pushes.each_ref().map(Push::id));
    assert_eq!(read[1].updates, pushes[1].updates());
    // What is kept for the next scan is the same.
    let moved = log.moved().expect("the directory");
    log.replace_moved(&moved, &read.iter().skip(1).collect::<Vec<_>>()).expect("no error");
    assert_eq!(super::tests::read(&log), read[1..]);
    log.replace_moved(&moved, &[]).expect("no error");
    assert_eq!(log.moved().expect("the directory"), [""; 0]);
}

proptest! {
    /// A process that dies while it appends costs no other entry.
    #[test]
    fn torn_entry_costs_no_other(cut in any::<prop::sample::Index>(), flip in any::<Option<u8>>()) {
        let (dir, log) = log();
        let _lock = log.lock_scans().expect("no error").expect("the lock");
        let path = dir.path().join("refs/log");
        log.append(&push(1, &[b"refs/heads/a"])).expect("no error");
        let start = std::fs::metadata(&path).expect("the log").len();
        log.append(&push(2, &[b"refs/heads/b", b"refs/heads/c"])).expect("no error");
        let mut bytes = std::fs::read(&path).expect("the log");
        let start = usize::try_from(start).expect("a small file");
        let at = start + cut.index(bytes.len() - start);
        match flip {
            Some(bit) => bytes[at] ^= 1 << (bit % 8),
            None => bytes.truncate(at),
        }
        std::fs::write(&path, bytes).expect("the log");
        log.append(&push(3, &[b"refs/heads/d"])).expect("no error");
        log.move_away(Timestamp::UNIX_EPOCH).expect("no error");
        let read = read(&log);
        let ids: Vec<PushId> = read.iter().map(|entry| entry.push).collect();
        let id = |nth, names| push(nth, names).id();
        prop_assert_eq!(ids.first(), Some(&id(1, &[b"refs/heads/a"])));
        prop_assert_eq!(ids.last(), Some(&id(3, &[b"refs/heads/d"])));
        // A bit in the empty line before an entry does not damage it.
        prop_assert!(ids.len() == 2 || read[1].updates == push(2, &[b"refs/heads/b", b"refs/heads/c"]).updates());
    }
}
