//! `--only limits`: measures how far hostile scripts exceed their limits.

use std::{fs, path::Path, time::Duration};

use crate::support::{
    build,
    git::Git,
    launcher::{self, Measured},
    verdict::{Verdict, mib},
};

/// Default of `[policy.limits] time`.
const TIME: Duration = Duration::from_millis(250);

/// Minimum and default of `[policy.limits] memory`, in MiB.
const MEMORY: [u32; 2] = [16, 64];

/// Maximum ratio of the measured use to the limit.
const FACTOR: f64 = 1.5;

/// Directory of the hostile scripts, which the tests use too.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hostile");

/// A harmless script, which gives the cost of a push without a hostile one.
const HARMLESS: &str = "fn decide(update) { true }";

/// The largest values over several runs of a script.
#[derive(Default)]
struct Worst {
    /// Time that the pusher waits, in milliseconds.
    wall: f64,
    /// CPU time of the background process, in milliseconds.
    background: f64,
    /// Peak memory of the larger process, in MiB.
    peak: f64,
}

impl Worst {
    fn add(&mut self, run: &Measured) {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        self.wall = self.wall.max(milliseconds(run.hook.wall));
        let (cpu, peak) = run.background.map_or((Duration::ZERO, 0), |used| (used.cpu, used.peak));
        self.background = self.background.max(milliseconds(cpu));
        self.peak = self.peak.max(mib(peak.max(run.hook.peak)));
    }
}

pub fn run(runs: usize, verdict: &mut Verdict) {
    let temp = tempfile::tempdir().expect("a temporary directory for the repository");
    let git = Git::new(temp.path());
    let bare = temp.path().join("acme/shop.git");
    let commits = git.packed_history(&bare, 3);
    let stdin = temp.path().join("updates");
    fs::write(&stdin, format!("{} {} refs/heads/main\n", commits[1], commits[0]))
        .expect("the disk has space");
    let config = temp.path().join("config.toml");
    let mut hook = git.command(build::installed(), &bare);
    hook.env("GIT_DIR", ".").arg("hook").arg("--config").arg(&config);

    let worst = |script: &str| {
        fs::create_dir_all(temp.path().join("scripts")).expect("the disk has space");
        fs::write(temp.path().join("scripts/site.rhai"), script).expect("the disk has space");
        let mut worst = Worst::default();
        for _ in 0..runs {
            worst.add(&launcher::measure(&hook, &stdin));
            check(&temp.path().join("state"));
            fs::remove_dir_all(temp.path().join("state")).expect("the old state can be removed");
        }
        worst
    };
    for memory in MEMORY {
        let limits = format!("[policy.limits]\ntime = \"250ms\"\nmemory = \"{memory}MiB\"\n");
        fs::write(&config, format!("state_dir = \"state\"\n{limits}")).expect("the disk has space");
        println!("\n## Hostile scripts under 250 ms and {memory} MiB, largest of {runs} runs\n");
        println!(
            "| script | time to the pusher, ms | CPU of the background, ms | peak over a harmless one, MiB |"
        );
        println!("|---|--:|--:|--:|");
        let harmless = worst(HARMLESS);
        let mut most = Worst::default();
        for (name, script) in scripts() {
            let mut it = worst(&script);
            it.peak -= harmless.peak;
            println!("| {name} | {:.0} | {:.0} | {:.1} |", it.wall, it.background, it.peak);
            most.wall = most.wall.max(it.wall);
            most.background = most.background.max(it.background);
            most.peak = most.peak.max(it.peak);
        }
        report(&most, memory, verdict);
    }
}

fn report(most: &Worst, memory: u32, verdict: &mut Verdict) {
    let time = FACTOR * TIME.as_secs_f64() * 1e3;
    let held = FACTOR * f64::from(memory);
    let mut claim = |what: &str, limit: f64, found: f64, unit: &str| {
        let what = format!(
            "under {memory} MiB, no hostile script {what} {FACTOR} times the limit, {limit:.0} {unit}"
        );
        verdict.add(what, format!("{found:.1} {unit}"), found <= limit);
    };
    claim("holds a pusher longer than", time, most.wall, "ms");
    claim("takes the background more CPU than", time, most.background, "ms");
    claim("takes more memory than", held, most.peak, "MiB");
}

/// Returns the hostile scripts with their names.
fn scripts() -> Vec<(String, String)> {
    let entries = fs::read_dir(SCRIPTS).expect("the scripts");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the entry is readable").path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).expect("a script"))).collect()
}

/// Checks that the push was decided, because a process that died would look fast.
fn check(state: &Path) {
    let waiting = fs::read_dir(state.join("inbox")).map_or(0, Iterator::count);
    assert_eq!(waiting, 0, "the push is decided");
}
