//! `--only backlog`: delivers a backlog of 100,000 markers on one core.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::Command,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{
    build,
    git::Git,
    launcher::{self, Measured},
    receiver::{self, Receiver},
    verdict::{Verdict, mib},
};

const MARKERS: usize = 100_000;

/// Claims: markers per second, peak memory in MiB, and the largest request in MiB.
const MIN_RATE: f64 = 50_000.0;
const MAX_PEAK: f64 = 48.0;
const MAX_REQUEST: f64 = 1.0;

/// Number of pushes between two delivery attempts while the receiver is down, and the time between
/// two pushes. Back-off makes an attempt every 30 s on average after the receiver has been down for
/// some minutes.
const BETWEEN: usize = 1_000;
const PACE: Duration = Duration::from_millis(30);

/// Layout of the backlog in the outbox.
#[derive(Clone, Copy)]
enum Shape {
    /// One push of many tags: 2,000 markers per file.
    OnePush,
    /// Many pushes with one marker per file, and delivery attempts while the receiver is down.
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
    let temp = tempfile::tempdir().expect("a temporary directory for the backlog");
    let git = Git::new(temp.path());
    let spool = temp.path().join("spool");
    fill(&git, temp.path(), &spool);
    let stdin = temp.path().join("nothing");
    File::create(&stdin).expect("the directory is writable");

    println!("\n## A backlog of {MARKERS} markers, median of {runs} runs (worst in brackets)\n");
    println!(
        "| backlog | CPU while down, s | time while down, s | markers/s on one core | CPU, s | peak, MiB | requests | largest request, KiB |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for shape in [Shape::OnePush, Shape::ManyPushes] {
        let mut measured = Vec::new();
        let mut down = Vec::new();
        let (mut requests, mut largest) = (0, 0);
        for _ in 0..runs {
            let state = temp.path().join("state");
            let config = temp.path().join("config.toml");
            let deliver_to = |url: &str| {
                let endpoint = url.trim_end_matches('/');
                let text = format!(
                    "state_dir = \"state\"\n\n[[destination]]\nname = \"bench\"\nkind = \"otlp\"\nendpoint = \"{endpoint}\"\n"
                );
                fs::write(&config, text).expect("the directory is writable");
            };
            // The receiver uses the other cores.
            let mut deliver = git.command("taskset", temp.path());
            deliver.args(["--cpu-list", "0", build::installed(), "deliver", "--config"]).arg(&config);

            let outbox = state.join("outbox/bench/new");
            fs::create_dir_all(&outbox).expect("the directory is new");
            match shape {
                Shape::OnePush => one_push(&spool, &outbox),
                Shape::ManyPushes => {
                    deliver_to(receiver::nobody());
                    down.push(many_pushes(&spool, &outbox, &deliver, &stdin));
                }
            }
            let receiver = Receiver::start();
            deliver_to(receiver.url());
            measured.push(launcher::measure(&deliver, &stdin));
            (requests, largest) = (receiver.served(), receiver.largest());
            check(&state);
            fs::remove_dir_all(&state).expect("the old state can be removed");
        }
        report(shape, &down, &measured, requests, largest, verdict);
    }
}

/// Makes the hook decide a push of many tags, and moves its markers to `spool`.
fn fill(git: &Git, temp: &Path, spool: &Path) {
    let bare = temp.join("acme/shop.git");
    let commits = git.packed_history(&bare, 300);
    let config = temp.join("fill.toml");
    fs::write(&config, "state_dir = \"fill\"\n").expect("the directory is new");
    let null = "0".repeat(40);
    let line = |nth| format!("{null} {} refs/tags/v1.0.{nth}\n", commits[nth % commits.len()]);
    let stdin = temp.join("updates");
    fs::write(&stdin, (0..MARKERS).map(line).collect::<String>()).expect("the disk has space");
    let mut hook = git.command(build::installed(), &bare);
    hook.env("GIT_DIR", ".").arg("hook").arg("--config").arg(&config);
    launcher::measure(&hook, &stdin);
    fs::rename(temp.join("fill/outbox/unassigned/new"), spool).expect("the hook wrote its markers there");
}

fn one_push(spool: &Path, outbox: &Path) {
    for entry in fs::read_dir(spool).expect("the spool exists").flatten() {
        fs::copy(entry.path(), outbox.join(entry.file_name())).expect("the disk has space");
    }
    settle(outbox);
}

/// Writes each marker as its own push, the last one with the current time. Runs `deliver` after
/// every [`BETWEEN`] pushes, while the receiver is down, and returns the resources that these runs
/// used.
fn many_pushes(spool: &Path, outbox: &Path, deliver: &Command, stdin: &Path) -> Vec<Measured> {
    let mut runs = Vec::new();
    let mut nth = 0;
    let now = Timestamp::now();
    for entry in fs::read_dir(spool).expect("the spool exists").flatten() {
        let file = BufReader::new(File::open(entry.path()).expect("the file can be opened"));
        for line in file.lines().skip(1) {
            let before = PACE * u32::try_from(MARKERS - nth).expect("100,000 fits in a u32");
            let (name, content) = as_own_push(&line.expect("every line is text"), now - before);
            fs::write(outbox.join(name), content).expect("the disk has space");
            nth += 1;
            if nth % BETWEEN == 0 {
                settle(outbox);
                runs.push(launcher::measure(deliver, stdin));
            }
        }
    }
    assert_eq!(nth, MARKERS);
    settle(outbox);
    runs
}

/// Returns the file name and content of a push with only this marker.
fn as_own_push(line: &str, time: Timestamp) -> (String, String) {
    let mut marker: Value = serde_json::from_str(line).expect("a marker");
    let seconds = u64::try_from(time.as_second()).expect("after 1970");
    let nanos = u32::try_from(time.subsec_nanosecond()).expect("below a second");
    let push = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos));
    marker["time"] = time.to_string().into();
    marker["push"] = push.to_string().into();
    (format!("{push}.0"), format!("{{\"format\":1,\"markers\":1}}\n{marker}\n"))
}

/// Flushes the file system, because pending writes would count for the next measurement.
fn settle(outbox: &Path) {
    rustix::fs::syncfs(File::open(outbox).expect("the file can be opened"))
        .expect("the file system can be synchronised");
}

/// Checks that every marker was delivered once and the outbox is empty.
fn check(state: &Path) {
    let left = fs::read_dir(state.join("outbox/bench/new")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing waits");
    let journal = fs::read_dir(state.join("journal")).expect("a journal").flatten();
    let mut ids = HashSet::new();
    for file in journal {
        for line in BufReader::new(File::open(file.path()).expect("the file can be opened")).lines() {
            let line: serde_json::Value =
                serde_json::from_str(&line.expect("every line is text")).expect("every line is JSON");
            if line["outcome"] == "retried" {
                continue;
            }
            assert_eq!(line["outcome"], "delivered");
            let delivered = line["markers"].as_array().expect("ids").iter();
            ids.extend(delivered.map(|id| id.as_str().expect("an id").to_string()));
        }
    }
    assert_eq!(ids.len(), MARKERS, "every marker is delivered");
}

/// Prints the row of one shape. `down` contains, for each run, the deliveries while the receiver
/// was down.
fn report(
    shape: Shape,
    down: &[Vec<Measured>],
    measured: &[Measured],
    requests: usize,
    largest: usize,
    verdict: &mut Verdict,
) {
    let in_order = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values
    };
    let sorted = |of: &dyn Fn(&Measured) -> f64| in_order(measured.iter().map(of).collect());
    let while_down = |of: &dyn Fn(&Measured) -> Duration| {
        let sums =
            in_order(down.iter().map(|runs| runs.iter().map(of).sum::<Duration>().as_secs_f64()).collect());
        sums.get(sums.len() / 2)
            .zip(sums.last())
            .map_or_else(String::new, |(median, worst)| format!("{median:.1} ({worst:.1})"))
    };
    #[expect(clippy::cast_precision_loss, reason = "100,000 is exact in an f64")]
    let rates = sorted(&|run| MARKERS as f64 / run.hook.wall.as_secs_f64());
    let cpu = sorted(&|run| run.hook.cpu.as_secs_f64());
    let peak = sorted(&|run| mib(run.hook.peak));
    let peak_down = down.iter().flatten().map(|run| mib(run.hook.peak)).fold(0.0, f64::max);
    let middle = measured.len() / 2;
    let last = measured.len() - 1;
    let request = mib(largest as u64);
    println!(
        "| {} | {} | {} | {:.0} ({:.0}) | {:.2} ({:.2}) | {:.1} ({:.1}) | {requests} | {:.0} |",
        shape.name(),
        while_down(&|run| run.hook.cpu),
        while_down(&|run| run.hook.wall),
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
        format!("{:.1} MiB", peak[last].max(peak_down)),
        peak[last].max(peak_down) < MAX_PEAK,
    );
    verdict.add(
        format!("{what}: no request of {MAX_REQUEST} MiB or more"),
        format!("{request:.2} MiB"),
        request < MAX_REQUEST,
    );
}
