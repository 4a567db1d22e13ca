//! A process that dies at any step loses nothing: first at each step of a typical push, one by one, then
//! in thousands of random schedules.
//!
//! `GITEA_LIGHTSTEP_SEED=N` runs the one schedule that failed with that seed.

use std::time::{Instant, UNIX_EPOCH};

use fastrand::Rng;

use crate::support::{
    backend::{Backend, Say},
    is_long,
    spool::{Ended, Ground, Push, Spool},
};

/// More steps than any run here takes; a run that never ends is found by it.
const MAX_STEPS: usize = 200;

/// Tries something at each step, until the step is one that is never reached.
fn at_each_step(mut run: impl FnMut(usize) -> bool) -> usize {
    (1..MAX_STEPS).find(|step| !run(*step)).expect("the run takes fewer steps") - 1
}

#[test]
fn a_hook_that_dies_at_any_step() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for fault in ["kill", "torn"] {
        let steps = at_each_step(|step| {
            backend.forget();
            let spool = ground.spool(&format!("{fault}-{step}"), &backend);
            let push = ground.typical(0);
            let ended = spool.hook(&push, &format!("{fault}@{step}"));
            ended.was_a_good_hook();
            let struck = spool.struck();
            assert_eq!(ended.is_killed(), struck.is_some());
            let is_accepted = spool.has_accepted(&push);
            assert!(is_accepted || ended.is_killed(), "{ended:?}");
            // Another push finds what the first left.
            let next = ground.typical(1);
            let noted = spool.whole_lines();
            let after = spool.hook(&next, "");
            after.was_a_good_hook();
            assert_eq!((after.code, &*after.stderr), (Some(0), ""));
            assert_eq!(
                spool.whole_lines() - noted,
                4,
                "the push, two verdicts, and that nothing was detached"
            );
            let mut accepted = vec![next];
            accepted.extend(is_accepted.then_some(push));
            spool.holds_after_drain(&accepted);
            // What was written after half a line is whole.
            let is_torn = fault == "torn" && struck.is_some_and(|step| step.contains("/journal/"));
            assert_eq!(spool.torn_lines(), usize::from(is_torn));
            ended.is_killed()
        });
        tell(&format!("{fault}: {steps} steps"));
        assert!(steps >= if fault == "kill" { 15 } else { 3 }, "{steps} steps only");
    }
}

/// Kills `deliver` at each step while the back end says `script`, and then has a healthy one drain.
fn deliveries_that_die(name: &str, script: &[Say], is_captured_only: bool, merges: bool) {
    let (ground, backend) = (Ground::new(), Backend::start());
    let steps = at_each_step(|step| {
        backend.forget();
        let mut spool = ground.spool(&format!("{name}-{step}"), &backend);
        if merges {
            spool = spool.merging();
        }
        let pushes = [ground.typical(0), ground.typical(1), ground.typical(2)];
        for push in &pushes {
            // Killed at the write of the markers, the push stays in the inbox.
            let fault = if is_captured_only { "torn@2" } else { "" };
            spool.hook(push, fault).was_a_good_hook();
            assert!(spool.holds(push));
        }
        backend.say(script.iter().copied());
        let ended = spool.deliver(&format!("kill@{step}"));
        ended.was_a_good_delivery();
        spool.holds_after_drain(&pushes);
        assert_eq!(spool.torn_lines(), 0);
        ended.is_killed()
    });
    tell(&format!("{name}: {steps} steps"));
    assert!(steps >= 15, "{steps} steps only");
}

#[test]
fn a_delivery_that_dies_at_any_step() {
    deliveries_that_die("delivered", &[], false, false);
}

#[test]
fn a_delivery_that_dies_at_any_step_of_deciding() {
    deliveries_that_die("captured", &[], true, false);
}

#[test]
fn a_delivery_that_dies_at_any_step_of_a_failure() {
    for (name, script) in [
        ("not-now", &[Say::NotNow][..]),
        ("spans-not-now", &[Say::Yes, Say::NotNow]),
        ("hang-up", &[Say::HangUpAfterReading]),
        ("partial", &[Say::YesButOne, Say::YesButOne]),
        ("refused-in-part", &[Say::Never, Say::Yes, Say::Yes, Say::Never, Say::Never, Say::Yes]),
        ("spans-refused", &[Say::Yes, Say::Never, Say::Yes, Say::Never]),
    ] {
        deliveries_that_die(name, script, false, false);
    }
}

#[test]
fn a_delivery_that_dies_at_any_step_of_a_failure_and_what_it_merges() {
    for (name, script) in [
        ("not-now", &[Say::NotNow][..]),
        ("spans-not-now", &[Say::Yes, Say::NotNow]),
        ("hang-up", &[Say::HangUpAfterReading]),
    ] {
        deliveries_that_die(name, script, false, true);
    }
}

/// How many tests share the schedules, so that they share the processors.
const SHARDS: u64 = 8;

/// Returns the seeds of the schedules that one test runs: in a normal run the same ones every time, in a
/// long run others each time.
fn seeds(shard: u64) -> impl ExactSizeIterator<Item = u64> {
    if let Ok(seed) = std::env::var("GITEA_LIGHTSTEP_SEED") {
        let seed: u64 = seed.parse().expect("GITEA_LIGHTSTEP_SEED is a number");
        return (0..usize::from(seed % SHARDS == shard)).map(move |_| seed).collect::<Vec<_>>().into_iter();
    }
    let now = UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs();
    let (from, count) = if is_long() { (now << 20, 100_000) } else { (0, 1_000) };
    (from + shard..from + count).step_by(SHARDS as usize).collect::<Vec<_>>().into_iter()
}

fn random_schedules(shard: u64) {
    let seeds = seeds(shard);
    let count = seeds.len();
    let (ground, backend) = (Ground::new(), Backend::start());
    let start = Instant::now();
    for (nth, seed) in (1..).zip(seeds) {
        let _said_on_failure = Seed(seed);
        one_schedule(&ground, &backend, seed);
        if nth % 1000 == 0 || nth == count {
            tell(&format!("{nth} of {count} schedules, {:?} each", start.elapsed() / nth as u32));
        }
    }
}

/// Says how to run a schedule again, if it fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tell(&format!(
                "again: GITEA_LIGHTSTEP_SEED={} cargo nextest run -E 'test(random_schedules)'",
                self.0
            ));
        }
    }
}

/// Says how far a run got: `cargo nextest run --no-capture` shows it, and so does a failure.
#[expect(clippy::print_stderr, reason = "a long run is watched by a person")]
fn tell(what: &str) {
    eprintln!("{what}");
}

/// Up to four pushes and the deliveries between them, most of them with a fault, and a back end of moods.
fn one_schedule(ground: &Ground, backend: &Backend, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    backend.forget();
    let moods = [Say::Yes, Say::YesButOne, Say::NotNow, Say::Never, Say::HangUp, Say::HangUpAfterReading];
    let script: Vec<_> = (0..rng.usize(..10)).map(|_| *rng.choice(&moods).expect("one")).collect();
    backend.say(script);
    let spool = ground.spool(&format!("random-{seed}"), backend);
    let mut schedule = Schedule {
        spool: if rng.bool() { spool.merging() } else { spool },
        accepted: vec![],
        deaths: 0,
        cuts: 0,
    };
    for nth in 0..rng.usize(1..=4) {
        let push = ground.any(nth, &mut rng);
        match rng.u8(..5) {
            0 => schedule.push_beside_a_delivery(push, &mut rng),
            _ => schedule.push(push, &mut rng),
        }
        match rng.u8(..6) {
            0..3 => schedule.deliver(&mut rng),
            3 => schedule.deliver_twice(&mut rng),
            _ => {}
        }
    }
    let Schedule { spool, accepted, cuts, .. } = schedule;
    spool.holds_after_drain(&accepted);
    assert!(spool.torn_lines() <= cuts, "{} lines are torn by {cuts} faults", spool.torn_lines());
    spool.clear();
}

struct Schedule<'a> {
    spool: Spool<'a>,
    accepted: Vec<Push>,
    /// How many deliveries were killed, or look so: at the third, a capture that they began with is a dead letter.
    deaths: usize,
    /// How many faults may have torn a line of the journal.
    cuts: usize,
}

impl Schedule<'_> {
    fn push(&mut self, push: Push, rng: &mut Rng) {
        let fault = fault(rng, true);
        let ended = self.spool.hook(&push, &fault);
        ended.was_a_good_hook();
        self.note(&fault);
        if !ended.is_killed() && self.spool.struck().is_none() {
            assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
        }
        if self.spool.has_accepted(&push) {
            self.accepted.push(push);
        }
    }

    /// The hook has no fault here, so that there is no doubt that its push is accepted.
    fn push_beside_a_delivery(&mut self, push: Push, rng: &mut Rng) {
        let fault = fault(rng, self.deaths < 2);
        let delivery = self.spool.begin_deliver(&fault);
        let hook = self.spool.begin_hook(&push, "").end();
        assert_eq!((hook.code, &*hook.stdout, &*hook.stderr), (Some(0), "", ""));
        self.delivered(&delivery.end(), &fault);
        self.accepted.push(push);
    }

    fn deliver(&mut self, rng: &mut Rng) {
        let fault = fault(rng, self.deaths < 2);
        let ended = self.spool.deliver(&fault);
        self.delivered(&ended, &fault);
    }

    fn deliver_twice(&mut self, rng: &mut Rng) {
        let fault = fault(rng, self.deaths < 2);
        let first = self.spool.begin_deliver(&fault);
        self.spool.begin_deliver("").end().was_a_good_delivery();
        self.delivered(&first.end(), &fault);
    }

    fn delivered(&mut self, ended: &Ended, fault: &str) {
        ended.was_a_good_delivery();
        self.deaths += usize::from(ended.is_killed() || may_look_dead(fault));
        self.note(fault);
    }

    fn note(&mut self, fault: &str) {
        // A thread that is killed while another one writes may cut that off at the end of a page.
        self.cuts += usize::from(["torn", "short", "kill"].iter().any(|cut| fault.starts_with(cut)));
    }
}

/// Returns whether a fault may keep a reader from giving a claim back, which then looks as if it had died: after
/// the claim nothing gets another name any more.
fn may_look_dead(fault: &str) -> bool {
    fault.ends_with('+') && (fault.starts_with("EIO") || fault.starts_with("EROFS"))
}

/// Returns a fault, most often one that strikes.
fn fault(rng: &mut Rng, may_kill: bool) -> String {
    let goes_on = if rng.bool() && may_kill { "+" } else { "" };
    match rng.u8(..10) {
        0..2 => String::new(),
        2..6 if may_kill => format!("kill@{}", rng.u8(1..=24)),
        6 if may_kill => format!("torn@{}", rng.u8(1..=4)),
        7 => format!("short@{}", rng.u8(1..=4)),
        _ => {
            let errno = rng.choice(&["ENOSPC", "EIO", "EMFILE", "EROFS"]).expect("one");
            format!("{errno}@{}{goes_on}", rng.u8(1..=12))
        }
    }
}

#[test]
fn random_schedules_0() {
    random_schedules(0);
}

#[test]
fn random_schedules_1() {
    random_schedules(1);
}

#[test]
fn random_schedules_2() {
    random_schedules(2);
}

#[test]
fn random_schedules_3() {
    random_schedules(3);
}

#[test]
fn random_schedules_4() {
    random_schedules(4);
}

#[test]
fn random_schedules_5() {
    random_schedules(5);
}

#[test]
fn random_schedules_6() {
    random_schedules(6);
}

#[test]
fn random_schedules_7() {
    random_schedules(7);
}
