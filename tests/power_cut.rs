//! Simulates a power cut at any moment: whatever state the disk is in afterwards, every push whose
//! hook had exited arrives.
//!
//! `GITEA_LIGHTSTEP_LONG=1` tests many more states per moment, different ones in each run.
//! `GITEA_LIGHTSTEP_SEED=N` tests those of one seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::UNIX_EPOCH,
};

use fastrand::Rng;

use crate::support::{
    self,
    backend::{Backend, Heard, Say},
    cut::{Log, Order},
    is_long,
    spool::{Ground, OUTBOX, Push, Spool},
};

/// Recorded events before the power cut.
struct History<'a> {
    ground: &'a Ground,
    backend: &'a Backend,
    name: &'a str,
    /// The spool in which they were recorded.
    spool: Spool<'a>,
    log: Log,
    /// Pushes, each with the moment at which its hook had exited.
    pushes: Vec<(Push, usize)>,
    merges: bool,
    refuses: bool,
    /// True if the refs are scanned after the power cut.
    scans: bool,
}

impl<'a> History<'a> {
    fn begin(ground: &'a Ground, backend: &'a Backend, name: &'a str) -> Self {
        backend.forget();
        backend.say([]);
        let spool = ground.spool(name, backend).recording();
        Self {
            ground,
            backend,
            name,
            spool,
            log: Log::default(),
            pushes: vec![],
            merges: false,
            refuses: false,
            scans: false,
        }
    }

    fn push(&mut self, fault: &str) {
        self.run_hook(self.ground.typical(self.pushes.len()), fault);
    }

    fn run_hook(&mut self, push: Push, fault: &str) {
        let ended = self.spool.hook(&push, fault);
        ended.was_a_good_hook();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        self.spool.add_to(&mut self.log);
        self.pushes.push((push, self.log.len() - 1));
    }

    fn deliver(&mut self, script: &[Say]) {
        self.backend.say(script.iter().copied());
        self.spool.deliver("").was_a_good_delivery();
        self.spool.add_to(&mut self.log);
    }

    /// Scans the refs, which captures the changes of `found`.
    fn scan(&mut self, found: impl IntoIterator<Item = Push>) {
        self.spool.scan();
        self.spool.add_to(&mut self.log);
        let moment = self.log.len() - 1;
        self.pushes.extend(found.into_iter().map(|push| (push, moment)));
    }

    /// Simulates a power cut at every moment, and delivers what is on the disk.
    fn holds(self) {
        let heard = self.backend.heard();
        self.backend.say([]);
        let (seed, states) = match std::env::var("GITEA_LIGHTSTEP_SEED") {
            Ok(seed) => (seed.parse().expect("GITEA_LIGHTSTEP_SEED is a number"), 4),
            Err(_) if is_long() => (UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs(), 10),
            Err(_) => (0, 1),
        };
        let ends: BTreeSet<usize> = self.pushes.iter().map(|(_, end)| *end).collect();
        let mut tried = 0;
        for moment in 0..self.log.len() {
            // The state after a hook has exited is the most important one, so test more variants of
            // it.
            let more = if ends.contains(&moment) { 12 } else { 1 };
            for nth in 0..states * more {
                let order = if nth % 2 == moment % 2 { Order::Journaled } else { Order::Any };
                let mut rng = Rng::with_seed(seed ^ ((moment as u64) << 32) ^ ((nth as u64) << 16));
                let spool = self.ground.spool(&format!("{}-{moment}-{nth}", self.name), self.backend);
                let spool = if self.merges { spool.merging() } else { spool };
                self.log.cut(moment, order, &mut rng, &spool.state());
                let before = spool.told_bytes();
                self.backend.forget();
                if self.scans {
                    support::start_again(&spool.state());
                    spool.scan();
                }
                let ended = spool.healthy_within(60, &["deliver"]);
                let report = || {
                    format!(
                        "seed {seed}, moment {moment}, state {nth}, {order:?}, after\n{}on disk was\n{before}\n{ended:?}\nthen\n{}",
                        self.log.describe(moment),
                        spool.told_bytes()
                    )
                };
                assert!(
                    matches!(ended.code, Some(0 | 1)),
                    "the delivery ended with an unexpected status: {}",
                    report()
                );
                assert!(
                    spool.bytes("inbox").is_empty() && spool.bytes(OUTBOX).is_empty(),
                    "the drain left files behind: {}",
                    report()
                );
                let arrived = self.log.answered(moment).into_iter().filter_map(|nth| heard.get(nth).cloned());
                let arrived: Vec<Heard> = arrived.chain(self.backend.heard()).collect();
                for (push, _) in self.pushes.iter().filter(|(_, end)| *end <= moment) {
                    self.has_arrived(push, &arrived, &spool, &report);
                }
                if self.scans {
                    once_for_each_change(&arrived, &report);
                }
                // Other files may belong to a hook that was still running.
                let is_at_work = !ends.contains(&moment) && ends.iter().any(|end| *end > moment);
                if !is_at_work && !self.refuses {
                    assert!(spool.bytes("dead").is_empty(), "a false dead letter: {}", report());
                }
                spool.clear();
                tried += 1;
            }
        }
        assert!(tried >= self.log.len() && !self.pushes.is_empty());
    }

    fn has_arrived(&self, push: &Push, arrived: &[Heard], spool: &Spool<'_>, report: &dyn Fn() -> String) {
        let dead: String = spool
            .bytes("dead")
            .iter()
            .map(|(_, content)| String::from_utf8_lossy(content).into_owned())
            .collect();
        for key in &push.markers {
            let of = |is_traces: bool| {
                let taken = arrived.iter().filter(move |heard| {
                    heard.is_traces == is_traces && matches!(heard.said, Say::Yes | Say::YesButOne)
                });
                taken.flat_map(|heard| &heard.markers).filter(|(_, it)| *it == key).map(|(id, _)| id.clone())
            };
            let (logs, traces): (BTreeSet<_>, BTreeSet<_>) = (of(false).collect(), of(true).collect());
            let ids: BTreeSet<_> = logs.union(&traces).collect();
            assert!(ids.len() <= 1, "{key} arrived under several ids: {}", report());
            let has_arrived = !logs.is_empty() && (!key.contains(" deployment ") || !traces.is_empty());
            let refused =
                arrived.iter().filter(|heard| heard.said == Say::Never).flat_map(|heard| &heard.markers);
            let is_dead =
                self.refuses && refused.clone().any(|(id, it)| it == key && dead.contains(id.as_str()));
            assert!(has_arrived || is_dead, "{key} is lost: {}", report());
        }
    }
}

/// Asserts that no change was marked by its push and by a scan too.
fn once_for_each_change(arrived: &[Heard], report: &dyn Fn() -> String) {
    let mut ids: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (id, key) in arrived.iter().flat_map(|heard| &heard.markers) {
        let (_, change) = key.split_once(' ').expect("a pusher");
        ids.entry(change).or_default().insert(id);
    }
    for (change, ids) in ids {
        assert_eq!(ids.len(), 1, "{change} was marked twice: {}", report());
    }
}

fn history(name: &str, happens: impl FnOnce(&mut History<'_>)) {
    let (ground, backend) = (Ground::new(), Backend::start());
    let mut history = History::begin(&ground, &backend, name);
    happens(&mut history);
    history.holds();
}

#[test]
fn power_cut_after_pushes_and_their_delivery() {
    history("ordinary", |history| {
        history.push("");
        history.push("");
        history.deliver(&[]);
    });
}

#[test]
fn power_cut_after_a_push_with_a_broken_configuration() {
    history("broken", |history| {
        let config = history.spool.dir().join("config.toml");
        let whole = fs::read(&config).expect("the configuration");
        fs::write(&config, "state_dir = \"state\"\nnonsense = 1\n").expect("a file");
        history.push("");
        history.push("");
        fs::write(&config, whole).expect("a file");
        history.deliver(&[]);
    });
}

#[test]
fn power_cut_after_a_push_without_time() {
    history("no-time", |history| {
        history.spool.set_policy_time("0ms");
        history.push("");
        history.spool.set_policy_time("20s");
        history.push("");
        history.deliver(&[]);
    });
}

#[test]
fn power_cut_after_pushes_with_an_unwritable_outbox() {
    for error in ["ENOSPC@/outbox/", "EIO@/outbox/"] {
        history(&error.replace(['@', '/'], "-"), |history| {
            history.push("");
            history.push(error);
            history.push("");
            history.deliver(&[]);
        });
    }
}

#[test]
fn power_cut_after_merged_pushes() {
    history("merged", |history| {
        history.merges = true;
        history.spool.set_merging();
        (0..3).for_each(|_| history.push(""));
        history.deliver(&[Say::NotNow]);
        history.deliver(&[]);
    });
}

#[test]
fn power_cut_after_rejected_markers() {
    history("refused", |history| {
        history.refuses = true;
        history.push("");
        history.push("");
        history.deliver(&[Say::Never; 16]);
    });
}

#[test]
fn power_cut_after_a_partial_delivery() {
    history("some", |history| {
        history.push("");
        history.deliver(&[Say::Yes, Say::NotNow]);
        history.push("");
        history.deliver(&[]);
    });
}

#[test]
fn power_cut_after_a_blocked_hook() {
    history("hung", |history| {
        history.spool.set_policy_time("1s");
        history.push("stall@/outbox/");
        history.spool.set_policy_time("20s");
        history.deliver(&[]);
    });
}

#[test]
fn power_cut_after_pushes_and_scans() {
    history("scans", |history| {
        history.scans = true;
        // Root does not create it for a scan.
        fs::create_dir(history.spool.state()).expect("the state");
        history.ground.begin_landing();
        history.scan([]);
        let push = history.ground.landed(0);
        history.run_hook(push, "");
        let unseen = history.ground.unseen("v2.0.0");
        history.scan([unseen]);
        history.deliver(&[]);
        let push = history.ground.landed(1);
        history.run_hook(push, "");
        history.scan([]);
        let push = history.ground.landed(2);
        history.run_hook(push, "");
        history.deliver(&[]);
    });
}
