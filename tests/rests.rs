//! What is left of a file gets a name that tells of its first marker. Another file may have that name already: a push that
//! was decided again, update by update, lies beside what was left of it before. Neither may take the other's place.

use std::{collections::BTreeSet, fs};

use crate::support::{
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
