//! A file in an outbox must never replace another one. After its reader died, a push is decided
//! again, and the new files may have the same names with different content. The remaining part of a
//! file is named after its first marker, and another file may already have that name. A reader
//! removes the files that it has read by name.

use std::{collections::BTreeSet, fs, process::Command};

use crate::support::{
    BINARY,
    backend::{Backend, Say},
    spool::{Ground, OUTBOX, Push, Spool},
};

/// A push that is in the spool twice: the rest of its first files, and the result of a second
/// decision.
struct Twice<'a> {
    spool: Spool<'a>,
    push: Push,
    /// IDs of its two deployments.
    deployments: [String; 2],
}

impl<'a> Twice<'a> {
    /// Decides a push and keeps only its two spans, then decides it again into two files. With
    /// `others` in the first file, the second one is not written yet.
    fn new(ground: &'a Ground, backend: &'a Backend, name: &str, others: usize) -> Self {
        let (spool, push) = (ground.spool(name, backend), ground.of_two_services(0));
        spool.hook(&push, "").was_a_good_hook();
        let files = spool.files(OUTBOX);
        let (whole, text) = files.first_key_value().expect("the push waits");
        let markers: Vec<&str> = text.lines().skip(1).collect();
        let [change, first, release, second] = markers[..] else { panic!("{text}") };
        let id = |marker: &str| {
            let marker: serde_json::Value = serde_json::from_str(marker).expect("JSON");
            marker["id"].as_str().expect("an id").to_string()
        };
        let deployments = [id(first), id(second)];
        let others = (0..others).map(|nth| change.replace(&id(change), &format!("{nth:032x}")));
        let others: Vec<String> = others.chain([change.to_string()]).collect();
        let mut decided_anew: Vec<&str> = others.iter().map(String::as_str).collect();
        decided_anew.push(first);

        let push_id = whole.strip_suffix(".0").expect("the name of the first slice");
        let write = |name: String, only: &str, markers: &[&str]| {
            let header = format!("{{\"format\":1,\"markers\":{}{only}}}\n", markers.len());
            let text = markers.iter().fold(header, |text, marker| text + *marker + "\n");
            fs::write(spool.state().join(OUTBOX).join(name), text).expect("a file");
        };
        write(whole.clone(), "", &decided_anew);
        if others.len() == 1 {
            write(format!("{push_id}.1"), "", &[release, second]);
        }
        write(format!("{whole}.{}.traces", deployments[0]), ",\"only\":\"traces\"", &[first, second]);
        Self { spool, push, deployments }
    }
}

#[test]
fn rest_of_a_file_does_not_replace_another_file_of_the_same_name() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let mut steps = 0;
    loop {
        backend.forget();
        let twice = Twice::new(&ground, &backend, &format!("same-load-{steps}"), 0);
        backend.say([Say::Yes, Say::Never, Say::NotNow]);
        let ended = twice.spool.deliver(&format!("kill@{}", steps + 1));
        ended.was_a_good_delivery();
        twice.spool.holds_after_drain(&[twice.push]);
        if !ended.is_killed() {
            break;
        }
        steps += 1;
    }
    assert!(steps >= 10, "only {steps} steps");
}

#[test]
fn repeated_decision_does_not_replace_files_in_delivery() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let (spool, push) = (ground.spool("on-its-way", &backend), ground.typical(0));
    // Killed after its markers were written and before its capture was removed.
    let died = (1..100).find(|step| {
        let is_killed = spool.hook(&push, &format!("kill@{step}")).is_killed();
        assert!(is_killed, "the hook ended before the capture and the markers existed together");
        let is_it = (spool.files("inbox").len(), spool.files(OUTBOX).len()) == (1, 1);
        if !is_it {
            let _ = fs::remove_dir_all(spool.state());
        }
        is_it
    });
    died.expect("a step at which the capture and the markers both exist");
    // The file of a reader that wrote the updates one by one.
    let (name, text) = spool.files(OUTBOX).pop_first().expect("its markers");
    let first: String = text.lines().skip(1).take(2).map(|marker| format!("{marker}\n")).collect();
    let header = "{\"format\":1,\"markers\":2}\n";
    fs::write(spool.state().join(OUTBOX).join(name), format!("{header}{first}")).expect("a file");

    let capture = spool.files("inbox").pop_first().expect("its capture").0;
    let (inbox, aside) = (spool.state().join("inbox").join(capture), spool.dir().join("capture"));
    fs::rename(&inbox, &aside).expect("the capture can be moved away");
    let config = spool.dir().join("config.toml");
    backend.before_answer(1, move || {
        fs::rename(&aside, &inbox).expect("the capture can be moved back");
        let other = Command::new(BINARY).args(["deliver", "--config"]).arg(config).output();
        assert!(other.expect("it runs").status.code().is_some());
    });
    spool.deliver("").was_a_good_delivery();
    spool.holds_after_drain(&[push]);
}

#[test]
fn rest_of_a_file_does_not_replace_an_unread_file() {
    let (ground, backend) = (Ground::new(), Backend::start());
    // With this many markers, the next file is part of the next batch.
    let twice = Twice::new(&ground, &backend, "next-load", 510);
    backend.say([Say::Yes, Say::NotNow]);
    twice.spool.deliver("").was_a_good_delivery();
    twice.spool.drain();
    let arrived = backend.ids_told(true, &[Say::Yes]);
    assert_eq!(arrived, twice.deployments.into_iter().collect::<BTreeSet<_>>());
}
