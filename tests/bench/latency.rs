//! `--only latency`: the duration of `git push` without a hook, with a no-op hook, with a typical
//! relay script, and with gitea-lightstep.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::support::{
    build,
    git::Git,
    hooks, process,
    receiver::{Receiver, nobody},
    stats::Times,
    verdict::Verdict,
};

/// Number of pushes of each variant before the measurement starts.
const WARM_UP: usize = 3;

/// Maximum time that gitea-lightstep may add to the no-op hook, in milliseconds.
const MAX_ADDED: f64 = 4.0;

/// A way to handle a push: a bare repository with its hooks, and a clone that pushes to it.
struct Variant {
    name: &'static str,
    work_tree: PathBuf,
    times: Times,
}

/// Indices of the variants.
const NO_HOOK: usize = 0;
const NO_OP: usize = 1;
const RELAY: usize = 2;
const OURS: usize = 3;
const OURS_DOWN: usize = 4;

pub fn run(rounds: usize, against: Option<&str>, verdict: &mut Verdict) {
    let temp = tempfile::tempdir().expect("a temporary directory for the repositories");
    let git = Git::new(temp.path());
    assert!(
        git.command("curl", temp.path())
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|s| s.success()),
        "the relay hook needs curl: install it"
    );
    let (relayed, received) = (Receiver::start(), Receiver::start());
    let up = config(temp.path(), "up", received.url());
    let down = config(temp.path(), "down", nobody());
    let mut hooks = vec![
        ("no hook", None),
        ("no-op `sh`", Some(hooks::NO_OP.to_string())),
        ("`bash` + `curl` relay", Some(hooks::relay(relayed.url()))),
        ("ours", Some(hooks::wrapper(build::installed(), &up))),
        ("ours, receiver down", Some(hooks::wrapper(build::installed(), &down))),
        ("relay that asks `git log` too", Some(hooks::relay_with_git(relayed.url()))),
    ];
    if let Some(build) = against {
        let binary = &build::install(build);
        let other = config(temp.path(), "other", Receiver::start().url());
        hooks.push(("the other build", Some(hooks::wrapper(binary, &other))));
    }
    let mut variants: Vec<_> =
        hooks.into_iter().map(|(name, hook)| Variant::new(&git, temp.path(), name, hook)).collect();

    process::adopt_orphans();
    let disk = fs::File::open(temp.path()).expect("the directory can be opened");
    let mut order: Vec<usize> = (0..variants.len()).collect();
    for round in 0..WARM_UP + rounds {
        fastrand::shuffle(&mut order);
        for &nth in &order {
            let variant = &mut variants[nth];
            git.commit(&variant.work_tree, round);
            // A real client's files are on another machine. Here, its pending writes would slow
            // down the next fsync, so flush them first.
            rustix::fs::syncfs(&disk).expect("the file system can be synchronised");
            let time = push(&git, &variant.work_tree);
            if round >= WARM_UP {
                variant.times.add(time);
            }
            // Wait for the background processes, so that they do not slow down the next variant.
            process::wait_for_all();
        }
    }

    let pushes = WARM_UP + rounds;
    assert_eq!(relayed.served(), 2 * pushes, "each relay reports every push");
    assert_eq!(received.served(), pushes, "every marker arrives");
    assert_eq!(
        waiting(&temp.path().join("down/outbox/bench/new")),
        pushes,
        "undelivered markers stay queued"
    );
    report(&variants, rounds, verdict);
}

/// Returns the number of markers in an outbox, whose files have one header line each.
fn waiting(outbox: &Path) -> usize {
    let files = fs::read_dir(outbox).expect("an outbox").map(|entry| entry.expect("an entry").path());
    files.map(|file| fs::read_to_string(file).expect("a file of markers").lines().count() - 1).sum()
}

impl Variant {
    fn new(git: &Git, temp: &Path, name: &'static str, hook: Option<String>) -> Self {
        let dir = temp.join(name.replace(['`', ' ', ',', '+'], "-"));
        // Gitea's repositories have paths of the form `OWNER/NAME.git`.
        let (bare, work_tree) = (dir.join("acme/shop.git"), dir.join("clone"));
        git.bare(&bare);
        if let Some(hook) = hook {
            hooks::install(&bare, &hook);
        }
        git.work_tree(&work_tree, &bare);
        Self { name, work_tree, times: Times::default() }
    }
}

/// Writes a configuration with one destination, and a state directory next to it.
fn config(temp: &Path, name: &str, url: &str) -> PathBuf {
    let path = temp.join(format!("{name}.toml"));
    // With a minimal linger, the deliverer tries once and exits, so it does not compete with the
    // next push.
    let config = format!(
        "state_dir = \"{name}\"\n\n[[destination]]\nname = \"bench\"\nkind = \"otlp\"\nendpoint = \"{}\"\n\n[delivery]\nlinger = \"1ms\"\n",
        url.trim_end_matches('/')
    );
    fs::write(&path, config).expect("the directory is new");
    path
}

fn push(git: &Git, work_tree: &Path) -> Duration {
    let mut command = git.command("git", work_tree);
    command.args(["push", "--quiet", "origin", "main"]).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().expect("git is installed");
    let time = start.elapsed();
    assert!(status.success(), "git push failed: {status}");
    time
}

fn report(variants: &[Variant], rounds: usize, verdict: &mut Verdict) {
    println!("## `git push`, {rounds} rounds, milliseconds\n");
    println!("| variant | median | p10 | p90 | median over no-op | median over no-op, by round |");
    println!("|---|--:|--:|--:|--:|--:|");
    let no_op = &variants[NO_OP].times;
    let over = |nth: usize| variants[nth].times.median() - no_op.median();
    for (nth, Variant { name, times, .. }) in variants.iter().enumerate() {
        println!(
            "| {name} | {:.1} | {:.1} | {:.1} | {:+.1} | {:+.1} |",
            times.median(),
            times.percentile(10),
            times.percentile(90),
            over(nth),
            times.median_over(no_op),
        );
    }
    println!("\nRunning any hook costs {:.1} ms: Gitea's delegate and the no-op.", -over(NO_HOOK));

    let (ours, relay, down) = (over(OURS), over(RELAY), over(OURS_DOWN));
    verdict.add(
        format!("ours adds at most {MAX_ADDED} ms to the no-op hook"),
        format!("{ours:.2} ms"),
        ours <= MAX_ADDED,
    );
    verdict.add(
        "ours adds less than a third of what the relay adds",
        format!("{ours:.2} of {relay:.2} ms, {:.0} %", 100.0 * ours / relay),
        ours * 3.0 < relay,
    );
    verdict.add(
        format!("with the receiver down, at most {MAX_ADDED} ms too"),
        format!("{down:.2} ms"),
        down <= MAX_ADDED,
    );
}
