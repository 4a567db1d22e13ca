use std::fs;

use super::*;

/// Returns a span and its owner. All spans are in the same file.
fn entry(nth: u32) -> (SpanId, SpanOwner) {
    let span = format!("ab{nth:014x}").parse().expect("an id");
    let marker = format!("{nth:032x}").parse().expect("an id");
    let time = Timestamp::from_second(1_795_687_200 + i64::from(nth)).expect("a time");
    (span, SpanOwner { marker, time })
}

#[test]
fn first_owner_counts() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SpanStore::at(dir.path());
    let ((span, owner), (other, later)) = (entry(1), entry(2));
    assert_eq!(store.owner(span), None);
    store.remember(&[(span, owner), (span, later)]).expect("written");
    assert_eq!((store.owner(span), store.owner(other)), (Some(owner), None));
}

#[test]
fn damaged_line_affects_no_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SpanStore::at(dir.path());
    store.remember(&[entry(1), entry(2)]).expect("written");
    let path = dir.path().join(DIR).join("ab");
    let text = fs::read_to_string(&path).expect("text");
    let torn = format!("{}ab00\u{fffd}", text.replace("000001 ", "000003 "));
    fs::write(&path, torn).expect("written");
    store.remember(&[entry(4)]).expect("written");
    let known = [1, 2, 3, 4].map(|nth| store.owner(entry(nth).0).is_some());
    assert_eq!(known, [false, true, false, true]);
}

#[test]
fn file_is_bounded_and_keeps_newer_spans() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SpanStore::at(dir.path());
    let entries: Vec<_> = (0..4_000).map(entry).collect();
    store.remember(&entries).expect("written");
    assert!(fs::metadata(dir.path().join(DIR).join("ab")).expect("a file").len() <= MAX_FILE);
    assert_eq!(store.owner(entries[3_999].0), Some(entries[3_999].1));
    assert_eq!(store.owner(entries[0].0), None);
}
