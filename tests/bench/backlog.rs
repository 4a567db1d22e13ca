//! Part 4: a backlog of 100,000 markers is drained, on one core.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
};

use crate::{
    BINARY,
    support::{
        git::Git,
        launcher::{self, Measured},
        receiver::Receiver,
        verdict::{Verdict, mib},
    },
};

const MARKERS: usize = 100_000;

/// What is claimed: markers a second, the peak in MiB, and the largest request in MiB.
const MIN_RATE: f64 = 50_000.0;
const MAX_PEAK: f64 = 48.0;
const MAX_REQUEST: f64 = 1.0;

/// How the backlog lies in the outbox.
#[derive(Clone, Copy)]
enum Shape {
    /// As one push of many tags leaves it: 2,000 markers a file.
    OnePush,
    /// As many pushes leave it: one marker a file.
    ManyPushes,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::OnePush => "one push of 100,000 tags",
            Self::ManyPushes => "100,000 pushes",
        }
    }
}

pub fn run(runs: usize, verdict: &mut Verdict) {
    let temp = tempfile::tempdir().expect("there is room for a backlog");
    let git = Git::new(temp.path());
    let spool = temp.path().join("spool");
    fill(&git, temp.path(), &spool);
    let stdin = temp.path().join("nothing");
    File::create(&stdin).expect("the directory is ours");

    println!("\n## A backlog of {MARKERS} markers, the median of {runs} runs and in brackets the worst\n");
    println!("| backlog | markers/s on one core | CPU, s | peak, MiB | requests | largest request, KiB |");
    println!("|---|--:|--:|--:|--:|--:|");
    for shape in [Shape::OnePush, Shape::ManyPushes] {
        let mut measured = Vec::new();
        let (mut requests, mut largest) = (0, 0);
        for _ in 0..runs {
            let state = temp.path().join("state");
            lay_out(&spool, &state.join("outbox/bench/new"), shape);
            let receiver = Receiver::start();
            let config = temp.path().join("config.toml");
            let url = receiver.url().trim_end_matches('/');
            fs::write(
                &config,
                format!("state_dir = \"state\"\n\n[[destination]]\nname = \"bench\"\nkind = \"otlp\"\nendpoint = \"{url}\"\n"),
            )
            .expect("the directory is ours");
            // The receiver has the other core, or the other cores.
            let mut deliver = git.command("taskset", temp.path());
            deliver.args(["--cpu-list", "0", BINARY, "deliver", "--config"]).arg(&config);
            measured.push(launcher::measure(&deliver, &stdin));
            (requests, largest) = (receiver.served(), receiver.largest());
            check(&state);
            fs::remove_dir_all(&state).expect("nobody uses it any more");
        }
        report(shape, &measured, requests, largest, verdict);
    }
}

/// Has the hook decide a push of many tags, and takes what it put into the outbox.
fn fill(git: &Git, temp: &Path, spool: &Path) {
    let bare = temp.join("acme/shop.git");
    let commits = git.packed_history(&bare, 300);
    let config = temp.join("fill.toml");
    fs::write(&config, "state_dir = \"fill\"\n").expect("the directory is new");
    let null = "0".repeat(40);
    let line = |nth| format!("{null} {} refs/tags/v1.0.{nth}\n", commits[nth % commits.len()]);
    let stdin = temp.join("updates");
    fs::write(&stdin, (0..MARKERS).map(line).collect::<String>()).expect("there is room");
    let mut hook = git.command(BINARY, &bare);
    hook.env("GIT_DIR", ".").arg("hook").arg("--config").arg(&config);
    launcher::measure(&hook, &stdin);
    fs::rename(temp.join("fill/outbox/unassigned/new"), spool).expect("the hook left it there");
}

fn lay_out(spool: &Path, outbox: &Path, shape: Shape) {
    fs::create_dir_all(outbox).expect("the directory is new");
    for entry in fs::read_dir(spool).expect("it is filled").flatten() {
        let name = entry.file_name().into_string().expect("our names are text");
        match shape {
            Shape::OnePush => {
                fs::copy(entry.path(), outbox.join(name)).expect("there is room");
            }
            Shape::ManyPushes => {
                let (push, from) = name.split_once('.').expect("a push and where it begins");
                let from: usize = from.parse().expect("a number");
                let file = BufReader::new(File::open(entry.path()).expect("it is there"));
                for (nth, line) in file.lines().skip(1).enumerate() {
                    let mut one = File::create_new(outbox.join(format!("{push}.{:06}", from + nth)))
                        .expect("the name is new");
                    writeln!(one, "{{\"format\":1,\"markers\":1}}\n{}", line.expect("it is text"))
                        .expect("there is room");
                }
            }
        }
    }
    // What is being written back would be charged to whoever runs next.
    rustix::fs::syncfs(File::open(outbox).expect("it is there"))
        .expect("the file system can be synchronised");
}

/// Checks that every marker was delivered once and nothing is left.
fn check(state: &Path) {
    let left = fs::read_dir(state.join("outbox/bench/new")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing waits");
    let journal = fs::read_dir(state.join("journal")).expect("a journal").flatten();
    let mut ids = HashSet::new();
    for file in journal {
        for line in BufReader::new(File::open(file.path()).expect("it is ours")).lines() {
            let line: serde_json::Value =
                serde_json::from_str(&line.expect("it is text")).expect("every line is JSON");
            assert_eq!(line["outcome"], "delivered");
            let delivered = line["markers"].as_array().expect("ids").iter();
            ids.extend(delivered.map(|id| id.as_str().expect("an id").to_string()));
        }
    }
    assert_eq!(ids.len(), MARKERS, "every marker is delivered");
}

fn report(shape: Shape, measured: &[Measured], requests: usize, largest: usize, verdict: &mut Verdict) {
    let sorted = |of: &dyn Fn(&Measured) -> f64| {
        let mut values: Vec<f64> = measured.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    #[expect(clippy::cast_precision_loss, reason = "100,000 is a small number")]
    let rates = sorted(&|run| MARKERS as f64 / run.hook.wall.as_secs_f64());
    let cpu = sorted(&|run| run.hook.cpu.as_secs_f64());
    let peak = sorted(&|run| mib(run.hook.peak));
    let middle = measured.len() / 2;
    let last = measured.len() - 1;
    let request = mib(largest as u64);
    println!(
        "| {} | {:.0} ({:.0}) | {:.2} ({:.2}) | {:.1} ({:.1}) | {requests} | {:.0} |",
        shape.name(),
        rates[middle],
        rates[0],
        cpu[middle],
        cpu[last],
        peak[middle],
        peak[last],
        request * 1024.0,
    );
    let what = shape.name();
    verdict.add(
        format!("{what}: {MIN_RATE:.0} markers/s or more on one core"),
        format!("{:.0}", rates[middle]),
        rates[middle] >= MIN_RATE,
    );
    verdict.add(
        format!("{what}: under {MAX_PEAK} MiB"),
        format!("{:.1} MiB", peak[last]),
        peak[last] < MAX_PEAK,
    );
    verdict.add(
        format!("{what}: no request of {MAX_REQUEST} MiB or more"),
        format!("{request:.2} MiB"),
        request < MAX_REQUEST,
    );
}
