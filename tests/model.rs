//! Runs random sequences of operations on the spool, and compares it with a model.
//!
//! The model knows the place of each push: inbox, outbox, back end or dead letters. The test uses
//! only the binary. After a crash, the model accepts any later place for a push, but not an earlier
//! one.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use proptest::{prelude::*, test_runner::Config};

use crate::support::{
    backend::{Backend, Say},
    is_long,
    spool::{Ground, OUTBOX, Push, Spool},
};

/// An operation on the spool.
#[derive(Clone, Debug)]
enum Op {
    /// Pushes, and lets the hook finish.
    Accept,
    /// Pushes, and kills the hook at this step.
    Crash(u8),
    /// Delivers everything.
    Deliver,
    /// Kills a delivery at this step.
    CrashDelivery(u8),
    /// Delivers to a back end that is down.
    Fail,
    /// Delivers to a back end that rejects everything permanently.
    Refuse,
    /// Puts all dead letters back. If there is a step, the command is first killed there and then
    /// repeated.
    Retry(Option<u8>),
    /// Drops all dead letters, in the same way.
    Drop(Option<u8>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => Just(Op::Accept),
        2 => (1..24_u8).prop_map(Op::Crash),
        2 => Just(Op::Deliver),
        2 => (1..40_u8).prop_map(Op::CrashDelivery),
        2 => Just(Op::Fail),
        2 => Just(Op::Refuse),
        2 => prop::option::of(1..30_u8).prop_map(Op::Retry),
        1 => prop::option::of(1..30_u8).prop_map(Op::Drop),
    ];
    prop::collection::vec(op, 1..16)
}

/// The place of a push, in the order that it moves through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Inbox,
    Outbox,
    Arrived,
    Dead,
    /// Dropped by `queue drop`.
    Dropped,
}

/// The expected place of each push.
#[derive(Default)]
struct Model {
    places: BTreeMap<String, Place>,
    pushes: Vec<Push>,
    /// Number of killed deliveries. The third one would make a dead letter of a capture that it had
    /// started on.
    deaths: usize,
}

impl Model {
    /// Applies an operation to the spool and the model, and compares the results.
    fn step(&mut self, op: &Op, ground: &Ground, spool: &Spool<'_>) {
        let before = self.places.clone();
        match op {
            Op::Accept | Op::Crash(_) => {
                let push = ground.typical(self.pushes.len());
                let fault = if let Op::Crash(step) = op { format!("kill@{step}") } else { String::new() };
                let ended = spool.hook(&push, &fault);
                ended.was_a_good_hook();
                let is_killed = ended.is_killed();
                let place = found(spool, &push);
                // Without a delivery, the push cannot be further than the outbox.
                assert!(place <= Some(Place::Outbox), "{place:?}");
                assert!(is_killed || place == Some(Place::Outbox), "{place:?}, {ended:?}");
                assert_eq!(place.is_some(), spool.has_accepted(&push), "{place:?}, {:?}", spool.struck());
                if let Some(place) = place {
                    self.places.insert(push.pusher.clone(), place);
                }
                self.pushes.push(push);
            }
            Op::Retry(step) | Op::Drop(step) => {
                let args: &[&str] = match op {
                    Op::Retry(_) => &["queue", "retry", "--all"],
                    _ => &["queue", "drop", "--all", "--dead", "--yes"],
                };
                for fault in step.map(|step| format!("kill@{step}")).into_iter().chain([String::new()]) {
                    let ended = spool.faulty(args, &fault);
                    assert!(ended.is_killed() || ended.code == Some(0), "{ended:?}");
                    assert!(!(ended.is_killed() && fault.is_empty()), "{ended:?}");
                }
                self.places.values_mut().for_each(|place| *place = Self::after(op, *place));
            }
            Op::CrashDelivery(_) if self.deaths >= 2 => return,
            Op::Deliver | Op::CrashDelivery(_) | Op::Fail | Op::Refuse => {
                let fault =
                    if let Op::CrashDelivery(step) = op { format!("kill@{step}") } else { String::new() };
                match op {
                    Op::Fail => spool.backend.always_say(Say::NotNow),
                    Op::Refuse => spool.backend.always_say(Say::Never),
                    _ => spool.backend.say([]),
                }
                let ended = spool.deliver(&fault);
                ended.was_a_good_delivery();
                self.deaths += usize::from(ended.is_killed());
                for place in self.places.values_mut() {
                    *place = Self::after(op, *place);
                }
                if ended.is_killed() {
                    self.got_as_far_as_it_did(&before, spool);
                }
            }
        }
        self.agrees_with(spool);
    }

    /// Returns the place of a push after an operation.
    fn after(op: &Op, place: Place) -> Place {
        match (op, place) {
            (Op::Retry(_), Place::Dead) => Place::Outbox,
            (Op::Drop(_), Place::Dead) => Place::Dropped,
            (Op::Accept | Op::Crash(_) | Op::Retry(_) | Op::Drop(_), place)
            | (_, place @ (Place::Arrived | Place::Dead | Place::Dropped)) => place,
            (Op::Deliver | Op::CrashDelivery(_), Place::Inbox | Place::Outbox) => Place::Arrived,
            (Op::Fail, Place::Inbox | Place::Outbox) => Place::Outbox,
            (Op::Refuse, Place::Inbox | Place::Outbox) => Place::Dead,
        }
    }

    /// Updates the model after a killed delivery: each push is between its old place and the place
    /// after a complete delivery.
    fn got_as_far_as_it_did(&mut self, before: &BTreeMap<String, Place>, spool: &Spool<'_>) {
        for push in &self.pushes {
            let Some(place) = self.places.get_mut(&push.pusher) else { continue };
            if *place == Place::Dropped {
                continue;
            }
            let found =
                found(spool, push).unwrap_or_else(|| panic!("{} is lost\n{}", push.pusher, spool.describe()));
            assert!((before[&push.pusher]..=*place).contains(&found), "{} is in {found:?}", push.pusher);
            *place = found;
        }
    }

    fn agrees_with(&self, spool: &Spool<'_>) {
        for push in &self.pushes {
            let (expected, found) = (self.places.get(&push.pusher).copied(), found(spool, push));
            if expected == Some(Place::Dropped) {
                // The back end may have accepted it before it rejected a later attempt.
                assert!(matches!(found, None | Some(Place::Arrived)), "{found:?}\n{}", spool.describe());
            } else {
                assert_eq!(found, expected, "{}\n{}", push.pusher, spool.describe());
            }
        }
        let ids = spool.backend.ids();
        assert!(ids.values().all(|ids| ids.len() == 1), "a marker has several ids: {ids:?}");
        let (accepted, dropped) = self.accepted();
        let made: BTreeSet<_> = accepted.into_iter().chain(dropped).flat_map(|push| push.markers).collect();
        assert!(ids.keys().all(|key| made.contains(key)), "received a marker that no push made: {ids:?}");
    }

    /// Returns the accepted pushes: those that still exist, and those that were dropped.
    fn accepted(&self) -> (Vec<Push>, Vec<Push>) {
        let accepted = self.pushes.iter().filter(|push| self.places.contains_key(&push.pusher)).cloned();
        accepted.partition(|push| self.places[&push.pusher] != Place::Dropped)
    }
}

/// Returns the place of a push. After a crash it may be in two places, and this returns the one
/// from which it is processed next.
fn found(spool: &Spool<'_>, push: &Push) -> Option<Place> {
    let said = format!("\"{}\"", push.pusher);
    let lies_in = |dir: &str| spool.files(dir).values().any(|text| text.contains(&said));
    let taken = spool.backend.ids_told(false, &[Say::Yes]);
    let ids = spool.backend.ids();
    let has_arrived = push.markers.iter().all(|key| ids.get(key).is_some_and(|ids| ids.is_subset(&taken)));
    if lies_in("inbox") {
        Some(Place::Inbox)
    } else if lies_in(OUTBOX) {
        Some(Place::Outbox)
    } else if lies_in("dead") {
        Some(Place::Dead)
    } else {
        has_arrived.then_some(Place::Arrived)
    }
}

#[test]
fn spool_matches_its_model() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let cases = if is_long() { 5_000 } else { 100 };
    // Counterexamples become regular tests instead of a regression file.
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let nth = Cell::new(0);
    proptest!(config, |(ops in ops(), merges in prop::bool::ANY)| {
        nth.set(nth.get() + 1);
        backend.forget();
        let spool = ground.spool(&format!("model-{}", nth.get()), &backend);
        let spool = if merges { spool.merging() } else { spool };
        let mut model = Model::default();
        for op in &ops {
            model.step(op, &ground, &spool);
        }
        spool.drain();
        let (accepted, dropped) = model.accepted();
        spool.holds_its_promise_beside(&accepted, &dropped);
        assert_eq!(spool.torn_lines(), 0);
        spool.verifies();
        spool.clear();
    });
}
