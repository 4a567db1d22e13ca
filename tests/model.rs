//! The spool beside a model of it, over random sequences of what may happen to both.
//!
//! The model knows of each push where it must be: in the inbox, in the outbox, at the back end, in a dead
//! letter. Everything goes through the binary; where a crash leaves it open how far a push got, the model
//! accepts each place that is further on, and none that is further back.

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

/// What happens to the spool.
#[derive(Clone, Debug)]
enum Op {
    /// A push comes and is settled.
    Accept,
    /// A push comes, and its hook dies at this step.
    Crash(u8),
    /// Everything is delivered.
    Deliver,
    /// A delivery dies at this step.
    CrashDelivery(u8),
    /// A delivery finds the back end down.
    Fail,
    /// A delivery finds a back end that refuses everything for good.
    Refuse,
    /// A person puts all dead letters back; if there is a step, it dies there first and is done again.
    Retry(Option<u8>),
    /// A person drops all dead letters, in the same way.
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

/// Where a push is, in the order of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Inbox,
    Outbox,
    Arrived,
    Dead,
    /// Nowhere: a person wanted it so.
    Dropped,
}

/// Where everything must be.
#[derive(Default)]
struct Model {
    places: BTreeMap<String, Place>,
    pushes: Vec<Push>,
    /// How many deliveries died: the third would make a dead letter of what it had begun with.
    deaths: usize,
}

impl Model {
    /// Does to the spool what `op` says, and checks that it did to it what it does to the model.
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
                // Nobody delivered, so it went no further than to the outbox.
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

    /// Returns where a push is after `op`.
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

    /// A delivery that died did some of what it should have: each push is somewhere between where it was
    /// and where it should be.
    fn got_as_far_as_it_did(&mut self, before: &BTreeMap<String, Place>, spool: &Spool<'_>) {
        for push in &self.pushes {
            let Some(place) = self.places.get_mut(&push.pusher) else { continue };
            if *place == Place::Dropped {
                continue;
            }
            let found =
                found(spool, push).unwrap_or_else(|| panic!("{} is lost\n{}", push.pusher, spool.told()));
            assert!((before[&push.pusher]..=*place).contains(&found), "{} is in {found:?}", push.pusher);
            *place = found;
        }
    }

    fn agrees_with(&self, spool: &Spool<'_>) {
        for push in &self.pushes {
            let (expected, found) = (self.places.get(&push.pusher).copied(), found(spool, push));
            if expected == Some(Place::Dropped) {
                // The back end may have had it before it refused it the next time.
                assert!(matches!(found, None | Some(Place::Arrived)), "{found:?}\n{}", spool.told());
            } else {
                assert_eq!(found, expected, "{}\n{}", push.pusher, spool.told());
            }
        }
        let ids = spool.backend.ids();
        assert!(ids.values().all(|ids| ids.len() == 1), "one marker, several ids: {ids:?}");
        let (accepted, dropped) = self.accepted();
        let made: BTreeSet<_> = accepted.into_iter().chain(dropped).flat_map(|push| push.markers).collect();
        assert!(ids.keys().all(|key| made.contains(key)), "nobody made some of {ids:?}");
    }

    /// Returns the pushes that were accepted: those that are there still, and those that a person dropped.
    fn accepted(&self) -> (Vec<Push>, Vec<Push>) {
        let accepted = self.pushes.iter().filter(|push| self.places.contains_key(&push.pusher)).cloned();
        accepted.partition(|push| self.places[&push.pusher] != Place::Dropped)
    }
}

/// Returns where a push is. One that is in two places, because a process died between, is in the place
/// that it will be taken from next.
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
fn the_spool_does_what_its_model_does() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let cases = if is_long() { 5_000 } else { 100 };
    // What is found is written into a test of its own, not into a file beside this one.
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
        spool.clear();
    });
}
