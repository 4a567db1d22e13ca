//! Part 5: by how much hostile scripts overshoot their limits.

use std::{fs, path::Path, time::Duration};

use crate::support::{
    build,
    git::Git,
    launcher::{self, Measured},
    verdict::{Verdict, mib},
};

/// `[policy.limits] time`, the default.
const TIME: Duration = Duration::from_millis(250);

/// `[policy.limits] memory`, the least and the default, in MiB.
const MEMORY: [u32; 2] = [16, 64];

/// How many times a limit a script may take before it is stopped.
const FACTOR: f64 = 1.5;

/// The scripts, as the tests know them.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hostile");

/// A script that leaves everything alone, for what a push takes without a hostile one.
const HARMLESS: &str = "fn decide(update) { true }";

/// The largest of some runs of a script.
#[derive(Default)]
struct Worst {
    /// What the pusher waits, in milliseconds.
    wall: f64,
    /// The CPU of the background, in milliseconds.
    background: f64,
    /// The larger peak of the two processes, in MiB.
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
    let temp = tempfile::tempdir().expect("there is room for a repository");
    let git = Git::new(temp.path());
    let bare = temp.path().join("acme/shop.git");
    let commits = git.packed_history(&bare, 3);
    let stdin = temp.path().join("updates");
    fs::write(&stdin, format!("{} {} refs/heads/main\n", commits[1], commits[0])).expect("there is room");
    let config = temp.path().join("config.toml");
    let mut hook = git.command(build::installed(), &bare);
    hook.env("GIT_DIR", ".").arg("hook").arg("--config").arg(&config);

    let worst = |script: &str| {
        fs::create_dir_all(temp.path().join("scripts")).expect("there is room");
        fs::write(temp.path().join("scripts/site.rhai"), script).expect("there is room");
        let mut worst = Worst::default();
        for _ in 0..runs {
            worst.add(&launcher::measure(&hook, &stdin));
            check(&temp.path().join("state"));
            fs::remove_dir_all(temp.path().join("state")).expect("nobody uses it any more");
        }
        worst
    };
    for memory in MEMORY {
        let limits = format!("[policy.limits]\ntime = \"250ms\"\nmemory = \"{memory}MiB\"\n");
        fs::write(&config, format!("state_dir = \"state\"\n{limits}")).expect("there is room");
        println!("\n## Hostile scripts under 250 ms and {memory} MiB, the largest of {runs} runs\n");
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
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).expect("a script"))).collect()
}

/// Checks that the push was decided: a process that died would be a fast one.
fn check(state: &Path) {
    let waiting = fs::read_dir(state.join("inbox")).map_or(0, Iterator::count);
    assert_eq!(waiting, 0, "the push is decided in the end");
}
