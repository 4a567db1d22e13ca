//! Part 3: pushes of 10,000 and of 100,000 new refs.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    time::Duration,
};

use crate::support::{
    build,
    git::Git,
    launcher::{self, Measured},
    verdict::{Verdict, mib},
};

/// `[policy.limits] time`, of which the configuration here says nothing.
const BUDGET: Duration = Duration::from_millis(250);

/// What a push of many refs may cost.
struct Claim {
    refs: usize,
    /// CPU of the hook and of what it leaves behind, in seconds.
    cpu: f64,
    /// The larger peak of the two processes, in MiB.
    peak: Option<f64>,
}

const CLAIMS: [Claim; 2] =
    [Claim { refs: 10_000, cpu: 0.2, peak: None }, Claim { refs: 100_000, cpu: 2.0, peak: Some(96.0) }];

/// What is pushed.
#[derive(Clone, Copy)]
enum Shape {
    /// New branches, none of them the default one: no markers.
    Branches,
    /// Version tags, each a marker.
    Tags,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Branches => "branches",
            Self::Tags => "version tags",
        }
    }

    fn ref_name(self, nth: usize) -> String {
        match self {
            Self::Branches => format!("refs/heads/topic/{nth}"),
            Self::Tags => format!("refs/tags/v1.0.{nth}"),
        }
    }

    fn markers(self, refs: usize) -> usize {
        match self {
            Self::Branches => 0,
            Self::Tags => refs,
        }
    }
}

pub fn run(runs: usize, verdict: &mut Verdict) {
    let temp = tempfile::tempdir().expect("there is room for a repository");
    let git = Git::new(temp.path());
    let bare = temp.path().join("acme/shop.git");
    let commits = git.packed_history(&bare, 300);
    // No destination, so what is measured is the decision alone, in the hook and behind it.
    let config = temp.path().join("config.toml");
    fs::write(&config, "state_dir = \"state\"\n").expect("the directory is new");
    let mut hook = git.command(build::installed(), &bare);
    hook.env("GIT_DIR", ".").arg("hook").arg("--config").arg(&config);

    println!("\n## Many new refs in one push, the median of {runs} runs and in brackets the largest\n");
    println!(
        "| refs | CPU of hook and background, s | hook's CPU, s | time to the pusher, ms | hook's peak, MiB | background's peak, MiB |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for claim in &CLAIMS {
        for shape in [Shape::Branches, Shape::Tags] {
            let stdin = temp.path().join("updates");
            fs::write(&stdin, updates(shape, claim.refs, &commits)).expect("there is room");
            let measured: Vec<_> = (0..runs)
                .map(|_| {
                    let measured = launcher::measure(&hook, &stdin);
                    let state = temp.path().join("state");
                    check(&state, shape, claim.refs);
                    fs::remove_dir_all(&state).expect("nobody uses it any more");
                    measured
                })
                .collect();
            report(claim, shape, &measured, verdict);
        }
    }
}

fn updates(shape: Shape, refs: usize, commits: &[String]) -> String {
    let null = "0".repeat(40);
    let line = |nth| format!("{null} {} {}\n", commits[nth % commits.len()], shape.ref_name(nth));
    (0..refs).map(line).collect()
}

/// Checks that every ref was decided once, and every marker is in the spool once.
fn check(state: &Path, shape: Shape, refs: usize) {
    let waiting = fs::read_dir(state.join("inbox")).map_or(0, Iterator::count);
    assert_eq!(waiting, 0, "the capture is dropped in the end");

    let decided = lines(&state.join("journal"), "ref");
    assert_eq!(decided.len(), refs, "the journal has as many decisions as there are refs");
    assert_eq!(distinct(&decided), refs, "no ref is decided twice");

    let markers = lines(&state.join("outbox/unassigned/new"), "id");
    assert_eq!(markers.len(), shape.markers(refs), "the spool has every marker");
    assert_eq!(distinct(&markers), markers.len(), "no marker is in the spool twice");
}

/// Returns the values of `key` in all lines of JSON in a directory's files.
fn lines(dir: &Path, key: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        for line in BufReader::new(File::open(entry.path()).expect("it is ours")).lines() {
            let line: serde_json::Value =
                serde_json::from_str(&line.expect("it is text")).expect("every line is JSON");
            found.extend(line[key].as_str().map(ToString::to_string));
        }
    }
    found
}

fn distinct(values: &[String]) -> usize {
    values.iter().collect::<HashSet<_>>().len()
}

fn report(claim: &Claim, shape: Shape, measured: &[Measured], verdict: &mut Verdict) {
    let spread = |of: &dyn Fn(&Measured) -> f64| {
        let mut values: Vec<f64> = measured.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (values[values.len() / 2], values[values.len() - 1])
    };
    let cpu = spread(&|run| run.cpu().as_secs_f64());
    let own_cpu = spread(&|run| run.hook.cpu.as_secs_f64());
    let wall = spread(&|run| run.hook.wall.as_secs_f64() * 1e3);
    let peak = spread(&|run| mib(run.hook.peak));
    let background = spread(&|run| run.background.map_or(0.0, |used| mib(used.peak)));
    let what = format!("{} {}", claim.refs, shape.name());
    println!(
        "| {what} | {:.3} ({:.3}) | {:.3} ({:.3}) | {:.0} ({:.0}) | {:.1} ({:.1}) | {:.1} ({:.1}) |",
        cpu.0, cpu.1, own_cpu.0, own_cpu.1, wall.0, wall.1, peak.0, peak.1, background.0, background.1,
    );

    verdict.add(
        format!("{what} are decided in under {} s of CPU", claim.cpu),
        format!("{:.3} s", cpu.0),
        cpu.0 < claim.cpu,
    );
    if let Some(limit) = claim.peak {
        let peak = peak.1.max(background.1);
        verdict.add(format!("{what}: under {limit} MiB"), format!("{peak:.1} MiB"), peak < limit);
    }
    let budget = BUDGET.as_millis();
    verdict.add(
        format!("{what}: the pusher waits at most the budget, {budget} ms"),
        format!("{:.0} ms", wall.0),
        wall.0 <= BUDGET.as_secs_f64() * 1e3,
    );
}
