//! Many concurrent pushers to many repositories, while the receiver goes down and comes back.
//!
//! The long run takes a minute, with 64 pushers, 200 repositories and the release binary
//! (`GITEA_LIGHTSTEP_BINARY`). The normal run takes a few seconds with the binary under test.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::support::{BINARY, Sandbox, flicker::Flicker, is_long, wait_until};

/// Durations for which the receiver is up, and then down.
const UP: Duration = Duration::from_millis(1500);
const DOWN: Duration = Duration::from_millis(700);

struct Load {
    pushers: usize,
    repositories: usize,
    time: Duration,
}

/// One in this many repositories has a no-op hook, which is the baseline for the hook's duration.
const IDLE_EVERY: usize = 4;

const IDLE: &str = "#!/bin/sh\nwhile read -r _; do :; done\n";

/// Wrapper that runs the hook and records its start and end time.
const TIMED: &str = r#"#!/bin/bash
begin=$EPOCHREALTIME
"$GIT_DIR/ours"
status=$?
echo "$begin $EPOCHREALTIME" >>"$TIMES"
exit $status
"#;

#[test]
fn every_push_succeeds_and_every_marker_arrives() {
    let load = &if is_long() {
        Load { pushers: 64, repositories: 200, time: Duration::from_secs(60) }
    } else {
        Load { pushers: 64, repositories: 200, time: Duration::from_secs(4) }
    };
    let binary = std::env::var("GITEA_LIGHTSTEP_BINARY").unwrap_or_else(|_| BINARY.into());
    let sandbox = &server(load, &binary);
    let receiver = Flicker::start();
    sandbox.deliver_to(&receiver.endpoint(), "[delivery]\nlinger = \"20s\"\ntimeout = \"2s\"\n");

    let is_over = AtomicBool::new(false);
    let peaks = Mutex::new(BTreeMap::new());
    let start = Instant::now();
    let pushed: Vec<String> = std::thread::scope(|scope| {
        let pushers: Vec<_> =
            (0..load.pushers).map(|pusher| scope.spawn(move || push_on(pusher, load, sandbox))).collect();
        let others = [
            scope.spawn(|| receiver.go_up_and_down(UP, DOWN, &is_over)),
            scope.spawn(|| watch(&binary, &peaks, &is_over)),
        ];
        let pushed = pushers.into_iter().flat_map(|pusher| pusher.join().expect("a pusher")).collect();
        is_over.store(true, Ordering::SeqCst);
        for other in others {
            other.join().expect("no panic");
        }
        pushed
    });
    let took = start.elapsed();

    // When the last linger time is over, the remaining markers need a manual `deliver`.
    wait_until("every marker has arrived", || {
        let _ = sandbox.binary(&["deliver"]);
        sandbox.files("outbox/collector/new").is_empty() && sandbox.files("inbox").is_empty()
    });
    let drained = start.elapsed();
    let received = receiver.received();
    let missing: Vec<_> = pushed.iter().filter(|tag| !received.contains_key(*tag)).collect();
    assert_eq!(missing, [""; 0], "markers missing after {} pushes", pushed.len());
    let tags: HashSet<&String> = pushed.iter().collect();
    let invented: Vec<_> = received.keys().filter(|tag| !tags.contains(tag)).collect();
    assert_eq!(invented, [""; 0]);
    assert!(received.values().all(|ids| ids.len() == 1), "a marker has one id however often it is sent");
    assert_eq!(sandbox.files("dead"), [""; 0]);
    assert_eq!(sandbox.troubles(), [""; 0]);
    tell(load, sandbox, &receiver, &pushed, took, drained, &peaks.into_inner().expect("no panic"));
}

/// Creates the repositories, which are identical.
fn server(load: &Load, binary: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.commit("What everybody pushes", &[("a", "1")]);
    let hook = "git/acme/shop.git/hooks/post-receive.d/gitea-lightstep";
    let wrapper = fs::read_to_string(sandbox.path(hook)).expect("the wrapper");
    sandbox.executable("git/acme/shop.git/ours", &wrapper.replace(BINARY, binary));
    sandbox.executable(hook, TIMED);
    for n in 0..load.repositories {
        let mut copy = sandbox.command("cp", &sandbox.path("git/acme"));
        sandbox.run(copy.args(["-a", "shop.git", &format!("r{n}.git")]), b"").succeeded();
        if is_idle(n) {
            sandbox.executable(&format!("git/acme/r{n}.git/ours"), IDLE);
        }
    }
    sandbox
}

fn is_idle(repository: usize) -> bool {
    repository.is_multiple_of(IDLE_EVERY)
}

/// Pushes new tags to one repository after the other until the time is over. Returns the tags that
/// went through our hook.
fn push_on(pusher: usize, load: &Load, sandbox: &Sandbox) -> Vec<String> {
    let start = Instant::now();
    let mut pushed = Vec::new();
    for nth in 0.. {
        if start.elapsed() >= load.time {
            break;
        }
        let repository = (pusher * 31 + nth * 7) % load.repositories;
        let tag = format!("v{pusher}.{nth}.0");
        let times = if is_idle(repository) { "idle" } else { "ours" };
        let mut push = sandbox.command("git", &sandbox.path("clone"));
        push.env("TIMES", sandbox.path(&format!("tmp/{times}-{pusher}")))
            .env("GITEA_REPO_NAME", format!("r{repository}"))
            .args(["push", "-q"])
            .arg(sandbox.path(&format!("git/acme/r{repository}.git")))
            .arg(format!("HEAD:refs/tags/{tag}"));
        let ran = sandbox.run(&mut push, b"");
        ran.succeeded();
        assert_eq!(ran.remote().len(), usize::from(!is_idle(repository)), "{}", ran.stderr);
        if !is_idle(repository) {
            pushed.push(tag);
        }
    }
    pushed
}

/// Samples our processes until the test is over, and records the peak memory of each subcommand.
fn watch(binary: &str, peaks: &Mutex<BTreeMap<String, u64>>, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        for process in fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path()) {
            if let Some((command, peak)) = peak(&process, binary) {
                let mut peaks = peaks.lock().expect("no panic");
                let largest = peaks.entry(command).or_default();
                *largest = peak.max(*largest);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns the subcommand of one of our processes, and its peak memory in KiB.
fn peak(process: &Path, binary: &str) -> Option<(String, u64)> {
    if fs::read_link(process.join("exe")).ok()? != Path::new(binary) {
        return None;
    }
    let command = fs::read_to_string(process.join("cmdline")).ok()?.split('\0').nth(1)?.to_string();
    let status = fs::read_to_string(process.join("status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some((command, peak.trim().trim_end_matches(" kB").parse().ok()?))
}

/// Prints the measured values.
#[expect(clippy::print_stdout, reason = "the test reports its measurements")]
fn tell(
    load: &Load,
    sandbox: &Sandbox,
    receiver: &Flicker,
    pushed: &[String],
    took: Duration,
    drained: Duration,
    peaks: &BTreeMap<String, u64>,
) {
    let (ours, idle) = (times(load, sandbox, "ours"), times(load, sandbox, "idle"));
    assert_eq!(ours.len(), pushed.len(), "the hook ran for every push");
    let at = |times: &[f64], percent: usize| times[(times.len() - 1) * percent / 100];
    let per_second = |count: usize, time: Duration| count as f64 / time.as_secs_f64();
    let pushes = ours.len() + idle.len();
    println!(
        "{} pushers over {} repositories for {:.1} s",
        load.pushers,
        load.repositories,
        took.as_secs_f64()
    );
    println!("pushes          {pushes} ({:.1}/s), all with exit status 0", per_second(pushes, took));
    for (what, times) in [("our hook", &ours), ("idle hook", &idle)] {
        println!("{what:<15} p50 {:.1} ms, p99 {:.1} ms", at(times, 50), at(times, 99));
    }
    let added = |percent| at(&ours, percent) - at(&idle, percent);
    println!("ours adds       p50 {:.1} ms, p99 {:.1} ms", added(50), added(99));
    println!("receiver        went down {} times, took {} requests", receiver.downs(), receiver.requests());
    println!("markers         {:.1}/s until the last had arrived", per_second(pushed.len(), drained));
    for (command, peak) in peaks {
        println!("peak memory     {command} {:.1} MiB", *peak as f64 / 1024.0);
    }
}

/// Returns the durations of the hooks of one kind in milliseconds, in ascending order.
fn times(load: &Load, sandbox: &Sandbox, kind: &str) -> Vec<f64> {
    let mut times = Vec::new();
    for pusher in 0..load.pushers {
        let text = fs::read_to_string(sandbox.path(&format!("tmp/{kind}-{pusher}"))).unwrap_or_default();
        times.extend(text.lines().map(|line| {
            let (begin, end) = line.split_once(' ').expect("two times");
            let seconds = |text: &str| text.parse::<f64>().expect("seconds");
            (seconds(end) - seconds(begin)) * 1e3
        }));
    }
    times.sort_by(f64::total_cmp);
    times
}
