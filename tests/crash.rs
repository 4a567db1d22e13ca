//! Crash tests: a process that dies at any step must not lose a push. The tests cover each step of
//! a typical push, and thousands of random schedules.
//!
//! `GITEA_LIGHTSTEP_SEED=N` repeats the schedule that failed with seed N.

use std::time::{Instant, UNIX_EPOCH};

use fastrand::Rng;

use crate::support::{
    backend::{Backend, Say},
    is_long,
    spool::{Ended, Ground, Push, Spool},
};

/// Upper bound of the number of steps in a run, which detects endless runs.
const MAX_STEPS: usize = 200;

/// Calls `run` for each step, until the process exits before that step. Returns the number of
/// steps.
fn at_each_step(mut run: impl FnMut(usize) -> bool) -> usize {
    (1..MAX_STEPS).find(|step| !run(*step)).expect("the run reaches its end within the step limit") - 1
}

#[test]
fn hook_killed_at_any_step_loses_nothing() {
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
            // The next push processes whatever the first one left behind.
            let next = ground.typical(1);
            let noted = spool.whole_lines();
            let after = spool.hook(&next, "");
            after.was_a_good_hook();
            assert_eq!((after.code, &*after.stderr), (Some(0), ""));
            assert_eq!(
                spool.whole_lines() - noted,
                4,
                "the push, two decisions, and a note that no process was detached"
            );
            let mut accepted = vec![next];
            accepted.extend(is_accepted.then_some(push));
            spool.holds_after_drain(&accepted);
            // Journal lines after a torn line are complete.
            let is_torn = fault == "torn" && struck.is_some_and(|step| step.contains("/journal/"));
            assert_eq!(spool.torn_lines(), usize::from(is_torn));
            spool.verifies();
            ended.is_killed()
        });
        tell(&format!("{fault}: {steps} steps"));
        assert!(steps >= if fault == "kill" { 15 } else { 3 }, "only {steps} steps");
    }
}

/// Kills `deliver` at each step while the back end follows `script`, and then drains with a healthy
/// one.
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
            // The second write is that of the markers. A hook killed there leaves its push in the
            // inbox.
            let fault = if is_captured_only { "torn@2" } else { "" };
            spool.hook(push, fault).was_a_good_hook();
            assert!(spool.holds(push));
        }
        backend.say(script.iter().copied());
        let ended = spool.deliver(&format!("kill@{step}"));
        ended.was_a_good_delivery();
        spool.holds_after_drain(&pushes);
        assert_eq!(spool.torn_lines(), 0);
        spool.verifies();
        ended.is_killed()
    });
    tell(&format!("{name}: {steps} steps"));
    assert!(steps >= 15, "only {steps} steps");
}

#[test]
fn delivery_killed_at_any_step_loses_nothing() {
    deliveries_that_die("delivered", &[], false, false);
}

#[test]
fn delivery_killed_at_any_step_of_a_decision_loses_nothing() {
    deliveries_that_die("captured", &[], true, false);
}

#[test]
fn failing_delivery_killed_at_any_step_loses_nothing() {
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
fn failing_and_merging_delivery_killed_at_any_step_loses_nothing() {
    for (name, script) in [
        ("not-now", &[Say::NotNow][..]),
        ("spans-not-now", &[Say::Yes, Say::NotNow]),
        ("hang-up", &[Say::HangUpAfterReading]),
    ] {
        deliveries_that_die(name, script, false, true);
    }
}

/// Number of tests that share the schedules, so that they run in parallel.
const SHARDS: u64 = 8;

/// Returns the seeds for one test: always the same ones in a normal run, and new ones in each long
/// run.
fn seeds(shard: u64) -> impl ExactSizeIterator<Item = u64> {
    if let Ok(seed) = std::env::var("GITEA_LIGHTSTEP_SEED") {
        let seed: u64 = seed.parse().expect("GITEA_LIGHTSTEP_SEED is a number");
        return (0..usize::from(seed % SHARDS == shard)).map(move |_| seed).collect::<Vec<_>>().into_iter();
    }
    let now = UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs();
    let (from, count) = if is_long() { (now << 20, 100_000) } else { (0, 1_000) };
    (from + shard..from + count).step_by(SHARDS as usize).collect::<Vec<_>>().into_iter()
}

/// Scripts with which no push, or only a part of one, is decided.
const BROKEN: [&str; 4] = [
    "fn decide(update) {\n    let = 1\n}",
    "fn decide(update) { throw \"night\" }",
    "fn decide(update) { if update.is_tag { throw \"night\" } true }",
    "fn decide(update) { true }\nfn enrich(marker, update) { 1 }",
];

fn random_schedules(shard: u64, is_night: bool) {
    let seeds = seeds(shard);
    let count = seeds.len();
    let (ground, backend) = (Ground::new(), Backend::start());
    let start = Instant::now();
    for (nth, seed) in (1..).zip(seeds) {
        let _said_on_failure = Seed(seed);
        one_schedule(&ground, &backend, seed, is_night);
        if nth % 1000 == 0 || nth == count {
            tell(&format!("{nth} of {count} schedules, {:?} each", start.elapsed() / nth as u32));
        }
    }
}

/// Prints how to repeat a schedule when it fails.
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

/// Prints progress, which `cargo nextest run --no-capture` and failures show.
#[expect(clippy::print_stderr, reason = "a long run is watched by a person")]
fn tell(what: &str) {
    eprintln!("{what}");
}

/// Runs up to four pushes and the deliveries between them, most with a fault, against a back end
/// with random answers. With `is_night`, the policy is broken until all that is over.
fn one_schedule(ground: &Ground, backend: &Backend, seed: u64, is_night: bool) {
    let mut rng = Rng::with_seed(seed);
    backend.forget();
    let moods = [Say::Yes, Say::YesButOne, Say::NotNow, Say::Never, Say::HangUp, Say::HangUpAfterReading];
    let script: Vec<_> = (0..rng.usize(..10)).map(|_| *rng.choice(&moods).expect("a mood")).collect();
    backend.say(script);
    let spool = ground.spool(&format!("random-{seed}"), backend);
    if is_night {
        spool.set_policy(rng.choice(&BROKEN).copied());
    }
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
    if is_night {
        spool.set_policy(None);
    }
    spool.holds_after_drain(&accepted);
    assert!(spool.torn_lines() <= cuts, "{} lines are torn by {cuts} faults", spool.torn_lines());
    spool.verifies();
    spool.clear();
}

struct Schedule<'a> {
    spool: Spool<'a>,
    accepted: Vec<Push>,
    /// Number of deliveries that were killed or appear killed. After the third one, the capture
    /// that they had started on becomes a dead letter.
    deaths: usize,
    /// Number of faults that may have torn a journal line.
    cuts: usize,
}

impl Schedule<'_> {
    fn push(&mut self, push: Push, rng: &mut Rng) {
        let fault = fault(rng, true);
        let ended = self.spool.hook(&push, &fault);
        ended.was_a_good_hook();
        self.note(&fault, 1);
        if !ended.is_killed() && self.spool.struck().is_none() {
            assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
        }
        if self.spool.has_accepted(&push) {
            self.accepted.push(push);
        }
    }

    /// Pushes while a delivery runs. The hook does not get a fault, so its push is certainly
    /// accepted.
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
        // The fault occurs in the delivery and in each decider that it starts, also for a push that came
        // meanwhile.
        self.note(fault, 2 + self.accepted.len());
    }

    fn note(&mut self, fault: &str, processes: usize) {
        // Killing the process while another thread writes may truncate that write at a page
        // boundary.
        if ["torn", "short", "kill"].iter().any(|cut| fault.starts_with(cut)) {
            self.cuts += processes;
        }
    }
}

/// Returns true if a fault may prevent the release of a claim, because no rename works after it.
/// The claim then looks as if its process had died.
fn may_look_dead(fault: &str) -> bool {
    fault.ends_with('+') && (fault.starts_with("EIO") || fault.starts_with("EROFS"))
}

/// Returns a random fault, which is usually effective.
fn fault(rng: &mut Rng, may_kill: bool) -> String {
    let goes_on = if rng.bool() && may_kill { "+" } else { "" };
    match rng.u8(..10) {
        0..2 => String::new(),
        2..6 if may_kill => format!("kill@{}", rng.u8(1..=24)),
        6 if may_kill => format!("torn@{}", rng.u8(1..=4)),
        7 => format!("short@{}", rng.u8(1..=4)),
        _ => {
            let errno = rng.choice(&["ENOSPC", "EIO", "EMFILE", "EROFS"]).expect("an error");
            format!("{errno}@{}{goes_on}", rng.u8(1..=12))
        }
    }
}

#[test]
fn random_schedules_0() {
    random_schedules(0, false);
}

#[test]
fn random_schedules_1() {
    random_schedules(1, false);
}

#[test]
fn random_schedules_2() {
    random_schedules(2, false);
}

#[test]
fn random_schedules_3() {
    random_schedules(3, false);
}

#[test]
fn random_schedules_4() {
    random_schedules(4, false);
}

#[test]
fn random_schedules_5() {
    random_schedules(5, false);
}

#[test]
fn random_schedules_6() {
    random_schedules(6, false);
}

#[test]
fn random_schedules_7() {
    random_schedules(7, false);
}

#[test]
fn nights_with_a_broken_policy_0() {
    random_schedules(0, true);
}

#[test]
fn nights_with_a_broken_policy_1() {
    random_schedules(1, true);
}

#[test]
fn nights_with_a_broken_policy_2() {
    random_schedules(2, true);
}

#[test]
fn nights_with_a_broken_policy_3() {
    random_schedules(3, true);
}

#[test]
fn nights_with_a_broken_policy_4() {
    random_schedules(4, true);
}

#[test]
fn nights_with_a_broken_policy_5() {
    random_schedules(5, true);
}

#[test]
fn nights_with_a_broken_policy_6() {
    random_schedules(6, true);
}

#[test]
fn nights_with_a_broken_policy_7() {
    random_schedules(7, true);
}
