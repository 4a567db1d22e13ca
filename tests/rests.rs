//! No file of an outbox ever takes the place of another. A push that is decided again, after its reader died, gives files of the
//! same names with more or less in them; and what is left of a file gets a name that tells of its first marker, which another may
//! have. Whoever has read the one removes it by its name.

use std::{collections::BTreeSet, fs, process::Command};

use crate::support::{
    BINARY,
    backend::{Backend, Say},
    spool::{Ground, OUTBOX, Push, Spool},
};

/// A push that lies in the spool twice: what is left of it, and what came of deciding it once more.
struct Twice<'a> {
    spool: Spool<'a>,
    push: Push,
    /// The ids of its two deployments.
    deployments: [String; 2],
}

impl<'a> Twice<'a> {
    /// Has a push decided whose two spans are left, and once more in two files. With `others` in the first of them, the second
    /// is not there yet.
    fn new(ground: &'a Ground, backend: &'a Backend, name: &str, others: usize) -> Self {
        let (spool, push) = (ground.spool(name, backend), ground.typical(0));
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

        let push_id = whole.strip_suffix(".0").expect("its first slice");
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
fn of_two_files_the_rest_of_one_may_have_the_name_of_the_other() {
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
    assert!(steps >= 10, "{steps} steps only");
}

#[test]
fn a_push_that_is_decided_again_replaces_nothing_that_is_on_its_way() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let (spool, push) = (ground.spool("on-its-way", &backend), ground.typical(0));
    // Dead when its markers were written and its capture not yet gone.
    let died = (1..50).find(|step| {
        let is_killed = spool.hook(&push, &format!("kill@{step}")).is_killed();
        assert!(is_killed, "the hook ends before both are there");
        let is_it = (spool.files("inbox").len(), spool.files(OUTBOX).len()) == (1, 1);
        if !is_it {
            let _ = fs::remove_dir_all(spool.state());
        }
        is_it
    });
    died.expect("a step between");
    // What a reader wrote that took the updates one by one.
    let (name, text) = spool.files(OUTBOX).pop_first().expect("its markers");
    let first: String = text.lines().skip(1).take(2).map(|marker| format!("{marker}\n")).collect();
    let header = "{\"format\":1,\"markers\":2}\n";
    fs::write(spool.state().join(OUTBOX).join(name), format!("{header}{first}")).expect("a file");

    let capture = spool.files("inbox").pop_first().expect("its capture").0;
    let (inbox, aside) = (spool.state().join("inbox").join(capture), spool.dir().join("capture"));
    fs::rename(&inbox, &aside).expect("the capture is hidden");
    let config = spool.dir().join("config.toml");
    backend.before_answer(1, move || {
        fs::rename(&aside, &inbox).expect("the capture is back");
        let other = Command::new(BINARY).args(["deliver", "--config"]).arg(config).output();
        assert!(other.expect("it runs").status.code().is_some());
    });
    spool.deliver("").was_a_good_delivery();
    spool.holds_after_drain(&[push]);
}

#[test]
fn a_rest_never_takes_the_place_of_a_file_that_was_not_read() {
    let (ground, backend) = (Ground::new(), Backend::start());
    // So many that what follows is read with the next load.
    let twice = Twice::new(&ground, &backend, "next-load", 510);
    backend.say([Say::Yes, Say::NotNow]);
    twice.spool.deliver("").was_a_good_delivery();
    twice.spool.drain();
    let arrived = backend.ids_told(true, &[Say::Yes]);
    assert_eq!(arrived, twice.deployments.into_iter().collect::<BTreeSet<_>>());
}
