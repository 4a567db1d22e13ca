//! Bit flips in the spool: a damaged entry becomes a dead letter, and intact entries in the same
//! file are delivered. `deliver` finishes whatever a header claims.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::support::{
    backend::Backend,
    is_long,
    spool::{Ground, OUTBOX, Push, Spool, unsealed},
};

/// Returns the name and content of the only file in a directory of the spool.
fn only(spool: &Spool<'_>, dir: &str) -> (String, Vec<u8>) {
    let name = spool.files(dir).into_keys().next().expect("a file");
    let content = fs::read(spool.state().join(dir).join(&name)).expect("a file");
    (name, content)
}

/// Returns the bits to flip: a sample of the whole file, denser in a long run.
fn bits(len: usize) -> impl Iterator<Item = usize> {
    (0..len * 8).step_by(if is_long() { 7 } else { (len / 12) | 1 })
}

/// Returns the contents of the dead letters, and of their reason files.
fn letters(spool: &Spool<'_>) -> (Vec<String>, Vec<String>) {
    let (reasons, letters): (Vec<_>, Vec<_>) =
        spool.bytes("dead").into_iter().partition(|(name, _)| name.ends_with(".why.json"));
    let text = |files: Vec<(String, Vec<u8>)>| {
        files.into_iter().map(|(_, content)| String::from_utf8_lossy(&content).into_owned()).collect()
    };
    (text(letters), text(reasons))
}

/// Delivers everything, and returns the IDs of the received markers. Panics if the delivery does
/// not finish.
fn deliver(spool: &Spool<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let ended = spool.healthy_within(30, &["deliver"]);
    assert!(matches!(ended.code, Some(0 | 1)), "deliver failed: {ended:?}");
    assert!(spool.bytes(OUTBOX).is_empty() && spool.bytes("inbox").is_empty(), "{ended:?}");
    spool.backend.ids()
}

#[test]
fn bit_flip_in_the_outbox_loses_one_marker_and_is_reported() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("outbox", &backend);
    let push = ground.typical(0);
    spool.hook(&push, "").was_a_good_hook();
    let (name, content) = only(&spool, OUTBOX);
    let true_ids = {
        backend.forget();
        deliver(&spool)
    };
    assert_eq!(true_ids.len(), push.markers.len());
    let first_line = content.iter().position(|byte| *byte == b'\n').expect("a line");
    for bit in bits(content.len()) {
        backend.forget();
        let mut flipped = content.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(spool.state().join(OUTBOX).join(&name), &flipped).expect("a file");
        let ids = deliver(&spool);
        for (key, id) in &ids {
            assert_eq!(true_ids.get(key), Some(id), "bit {bit}: a damaged marker was delivered");
        }
        // A flip of a line break joins or splits lines, so it may damage two entries.
        let lost = push.markers.len() - ids.len();
        assert!(lost <= 2 && (lost > 0) != (bit / 8 < first_line), "bit {bit}: {lost} markers are lost");
        let (letters, reasons) = letters(&spool);
        assert_eq!((letters.len(), reasons.len()), (1, 1), "bit {bit}: {}", spool.told_bytes());
        assert!(
            reasons[0].contains("corrupt") || reasons[0].contains("first line is incomplete"),
            "{reasons:?}"
        );
        fs::remove_dir_all(spool.state().join("dead")).expect("the letters go");
    }
}

#[test]
fn bit_flip_in_the_inbox_creates_no_marker() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("inbox", &backend).with_policy_time("0ms");
    spool.hook(&ground.typical(0), "").was_a_good_hook();
    let spool = spool.with_policy_time("20s");
    let (name, content) = only(&spool, "inbox");
    for bit in bits(content.len()) {
        backend.forget();
        let mut flipped = content.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(spool.state().join("inbox").join(&name), &flipped).expect("a file");
        assert_eq!(deliver(&spool), BTreeMap::new(), "bit {bit}");
        let (letters, reasons) = letters(&spool);
        assert_eq!((letters.len(), reasons.len()), (1, 1), "bit {bit}: {}", spool.told_bytes());
        fs::remove_dir_all(spool.state().join("dead")).expect("remove the dead letters");
    }
    fs::write(spool.state().join("inbox").join(&name), &content).expect("a file");
    assert_eq!(deliver(&spool).len(), 3, "the undamaged file is delivered");
}

#[test]
fn bit_flip_in_a_dead_letter_is_detected_on_retry() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("dead", &backend);
    spool.hook(&ground.typical(0), "").was_a_good_hook();
    backend.always_say(crate::support::backend::Say::Never);
    spool.healthy(&["deliver"]).was_a_good_delivery();
    backend.say([]);
    backend.forget();
    let dead = spool.state().join("dead");
    for (name, mut content) in spool.bytes("dead") {
        let flipped = content.len() * 2 / 3;
        content[flipped] ^= 4;
        fs::write(dead.join(name), content).expect("a file");
    }
    let list = spool.healthy(&["queue", "list", "--dead"]);
    assert_eq!(list.code, Some(0), "{list:?}");
    assert_eq!(spool.healthy(&["queue", "retry", "--all"]).code, Some(0));
    let ids = deliver(&spool);
    assert!(ids.len() < 4 && !letters(&spool).0.is_empty(), "{ids:?} {}", spool.told_bytes());
}

#[test]
fn files_without_checksums_are_read() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("before", &backend).with_policy_time("0ms");
    let pushes = [ground.typical(0), ground.typical(1)];
    spool.hook(&pushes[0], "").was_a_good_hook();
    let spool = spool.with_policy_time("20s");
    spool.hook(&pushes[1], "").was_a_good_hook();
    for dir in ["inbox", OUTBOX, "deployed"] {
        for (name, text) in spool.files(dir) {
            let before = unsealed(&text);
            assert!(text.contains("crc32\":") || name.starts_with("lock"), "{dir}/{name} has no checksum");
            fs::write(spool.state().join(dir).join(name), before).expect("a file");
        }
    }
    spool.holds_after_drain(&pushes);
    assert!(spool.files("dead").is_empty(), "{}", spool.describe());
}

/// Queues a push in the format without checksums, and returns the file's name and its marker lines.
fn lines(spool: &Spool<'_>, push: &Push) -> (String, Vec<String>) {
    spool.hook(push, "").was_a_good_hook();
    let (name, content) = only(spool, OUTBOX);
    let text = unsealed(&String::from_utf8(content).expect("text"));
    (name, text.lines().skip(1).map(str::to_string).collect())
}

#[test]
fn delivery_finishes_whatever_a_file_header_claims() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("odd", &backend);
    let push = ground.typical(0);
    let (name, lines) = lines(&spool, &push);
    let all = lines.join("\n");
    let one = &lines[0];
    // Each case: the content, the number of delivered markers, and true if there is a dead letter.
    let header = |count: &str| format!("{{\"format\":1,\"markers\":{count}}}");
    let odd: Vec<(String, usize, bool)> = vec![
        (format!("{}\n", header("0")), 0, true),
        (header("0"), 0, true),
        (format!("{}\n{all}\n", header("0")), 3, false),
        (format!("{}\n{all}\n", header("2")), 3, false),
        (format!("{}\n{all}\n", header("4")), 3, true),
        (format!("{}\n{all}\n", header("18446744073709551615")), 3, true),
        (format!("{}\n{all}\n", header("18446744073709551616")), 0, true),
        (format!("{}\n{all}\n", header("-1")), 0, true),
        (format!("{}\n{all}\n", header("1e2")), 0, true),
        (format!("{}\n{all}\n", header("\"4\"")), 0, true),
        (format!("{}\n\n{all}\n\n\n", header("3")), 3, false),
        (format!("{}\n \t\n\r\n{all}\n", header("3")), 3, false),
        (format!("{}\n{all}\n{all}\n", header("6")), 3, false),
        (format!("{}\n{one}\n{one}\n", header("1")), 1, false),
        (format!("{}\n{all}\ngarbage\n", header("3")), 3, true),
        (format!("{}\n{all}\n{{\"id\":", header("3")), 3, true),
        (format!("{}\n{all}\n\0\0\0\0\0\0", header("3")), 3, true),
        (format!("{}\n{one}\n{}", header("3"), &lines[1][..40]), 1, true),
        (format!("{}\n", header("3")), 0, true),
        (String::new(), 0, true),
        ("\n".into(), 0, true),
        ("\n\n\n".into(), 0, true),
        ("\0".repeat(4096), 0, true),
        (format!("{{\"format\":2,\"markers\":3}}\n{all}\n"), 0, true),
        (format!("{{\"format\":3,\"markers\":3}}\n{all}\n"), 0, true),
        (format!("{{\"format\":4,\"markers\":3}}\n{all}\n"), 0, true),
        (format!("{{\"format\":0,\"markers\":3}}\n{all}\n"), 0, true),
        (format!("{{\"format\":1,\"markers\":3,\"only\":\"metrics\"}}\n{all}\n"), 0, true),
        ("[]\n".into(), 0, true),
        (all.clone(), 0, true),
    ];
    deliver(&spool);
    for (content, arrive, is_dead) in odd {
        backend.forget();
        let _ = fs::remove_dir_all(spool.state().join("dead"));
        fs::write(spool.state().join(OUTBOX).join(&name), &content).expect("a file");
        let ids = deliver(&spool);
        assert_eq!(ids.len(), arrive, "{content}");
        let (letters, reasons) = letters(&spool);
        let is_one = (letters.len(), reasons.len()) == (1, 1);
        assert!(is_one == is_dead && letters.len() == reasons.len(), "{content}: {}", spool.told_bytes());
    }
}

#[test]
fn half_written_file_is_recreated_from_its_capture() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for (nth, keep) in [0.0, 0.3, 0.7, 0.99].into_iter().enumerate() {
        backend.forget();
        let spool = ground.spool(&format!("half-{nth}"), &backend).with_policy_time("0ms");
        let push = ground.typical(0);
        spool.hook(&push, "").was_a_good_hook();
        let capture = only(&spool, "inbox");
        let spool = spool.with_policy_time("20s");
        spool.deliver("EIO@/collector/lock").was_a_good_delivery();
        let (name, content) = only(&spool, OUTBOX);
        let cut = &content[..(content.len() as f64 * keep) as usize];
        fs::write(spool.state().join(OUTBOX).join(name), cut).expect("a file");
        fs::write(spool.state().join("inbox").join(capture.0), capture.1).expect("a file");
        spool.holds_after_drain(&[push]);
        assert!(spool.files("dead").is_empty(), "{}", spool.describe());
    }
}
