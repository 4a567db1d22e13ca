//! `--only many-refs`: pushes of 10,000 and of 100,000 new refs.

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

/// Default of `[policy.limits] time`, which applies here.
const BUDGET: Duration = Duration::from_millis(250);

/// Maximum cost of a push with many refs.
struct Claim {
    refs: usize,
    /// CPU time of the hook and of its background process, in seconds.
    cpu: f64,
    /// Peak memory of the larger process, in MiB.
    peak: Option<f64>,
}

const CLAIMS: [Claim; 2] =
    [Claim { refs: 10_000, cpu: 0.2, peak: None }, Claim { refs: 100_000, cpu: 2.0, peak: Some(96.0) }];

/// The kind of refs in the push.
#[derive(Clone, Copy)]
enum Shape {
    /// New branches other than the default one, which do not create markers.
    Branches,
    /// Version tags, which create one marker each.
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
    let temp = tempfile::tempdir().expect("a temporary directory for the repository");
    let git = Git::new(temp.path());
    let bare = temp.path().join("acme/shop.git");
    let commits = git.packed_history(&bare, 300);
    // Without a destination, only the decision is measured, in the hook and in the background.
    let config = temp.path().join("config.toml");
    fs::write(&config, "state_dir = \"state\"\n").expect("the directory is new");
    let mut hook = git.command(build::installed(), &bare);
    hook.env("GIT_DIR", ".").arg("hook").arg("--config").arg(&config);

    println!("\n## Many new refs in one push, median of {runs} runs (largest in brackets)\n");
    println!(
        "| refs | CPU of hook and background, s | hook's CPU, s | time to the pusher, ms | hook's peak, MiB | background's peak, MiB |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for claim in &CLAIMS {
        for shape in [Shape::Branches, Shape::Tags] {
            let stdin = temp.path().join("updates");
            fs::write(&stdin, updates(shape, claim.refs, &commits)).expect("the disk has space");
            let measured: Vec<_> = (0..runs)
                .map(|_| {
                    let measured = launcher::measure(&hook, &stdin);
                    let state = temp.path().join("state");
                    check(&state, shape, claim.refs);
                    fs::remove_dir_all(&state).expect("the old state can be removed");
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

/// Checks that every ref was decided once, and that the spool contains every marker once.
fn check(state: &Path, shape: Shape, refs: usize) {
    let waiting = fs::read_dir(state.join("inbox")).map_or(0, Iterator::count);
    assert_eq!(waiting, 0, "the capture is removed");

    let decided = lines(&state.join("journal"), "ref");
    assert_eq!(decided.len(), refs, "the journal has one decision for each ref");
    assert_eq!(distinct(&decided), refs, "no ref is decided twice");

    let markers = lines(&state.join("outbox/unassigned/new"), "id");
    assert_eq!(markers.len(), shape.markers(refs), "the spool has every marker");
    assert_eq!(distinct(&markers), markers.len(), "no marker is in the spool twice");
}

/// Returns the values of `key` in all JSON lines of a directory's files.
fn lines(dir: &Path, key: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        for line in BufReader::new(File::open(entry.path()).expect("the file can be opened")).lines() {
            let line: serde_json::Value =
                serde_json::from_str(&line.expect("every line is text")).expect("every line is JSON");
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
