//! A hook that hangs, on a disk that does not answer, an input that does not end, a named pipe in the place of a file: it is
//! over after a while, successfully, and what was captured is there.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::support::{
    BINARY, Sandbox,
    backend::Backend,
    recorder::Recorder,
    spool::{Ended, Ground},
};

/// How long a hook may take: its limit of ten seconds, one for its policy and one for an inline request, two to tell of it,
/// and what a busy machine adds to that.
const MOST: Duration = Duration::from_secs(10 + 1 + 1 + 2 + 15);
const LEAST: Duration = Duration::from_secs(10);

#[test]
fn a_hook_that_hangs_at_any_step_is_over_in_time_and_loses_nothing() {
    // The hook alone, and with all that it does if it delivers by itself.
    hangs("", 70, ["", "+"].as_slice(), &["this push has no markers: ", "this push waits in the inbox: "]);
}

#[test]
fn an_inline_delivery_that_hangs_is_over_in_time_and_loses_nothing() {
    let stages =
        ["this push has no markers: ", "this push waits in the inbox: ", "this push waits in the spool: "];
    hangs("mode = \"inline\"\ntimeout = \"1s\"", 120, &[""], &stages);
}

/// Has a hook hang at each of its steps, of which there are fewer than `steps`, and asserts that the push goes on, that
/// it is told what became of it, and that each of `stages` was among it.
fn hangs(delivery: &str, steps: usize, goes_on: &[&str], stages: &[&str]) {
    let (ground, backend) = (Ground::new(), Backend::start());
    // All of them hang at the same time.
    let hooks: Vec<_> = (1..=steps)
        .flat_map(|step| goes_on.iter().map(move |goes_on| format!("stall@{step}{goes_on}")))
        .enumerate()
        .map(|(nth, fault)| {
            let spool = ground.spool(&fault, &backend).with_policy_time("1s");
            spool.configure(delivery);
            let push = ground.typical(nth);
            let start = Instant::now();
            let running = spool.begin_hook(&push, &fault);
            (spool, push, fault, start, running)
        })
        .collect();
    let all = hooks.len();
    let mut seen = vec![0; stages.len()];
    let mut pushes = Vec::new();
    for (spool, push, fault, start, running) in hooks {
        let ended = running.end();
        let took = start.elapsed();
        assert!(took < MOST, "{fault}: {took:?}");
        ended.was_a_good_hook();
        assert_eq!(ended.code, Some(0), "{fault}");
        let is_accepted = spool.has_accepted(&push);
        if let Some(step) = spool.struck() {
            let told = told(&spool.files("journal").into_values().collect::<String>(), &ended);
            let stage = stages.iter().position(|what| told.contains(what));
            let stage = stage.unwrap_or_else(|| panic!("{fault} at {step}: it hung, and it is told: {told}"));
            seen[stage] += 1;
            assert_eq!(stage == 0, !is_accepted, "{fault} at {step}: {told}");
        }
        spool.drain();
        pushes.push((spool, push, is_accepted));
    }
    let struck: usize = seen.iter().sum();
    assert!(seen.iter().all(|hooks| *hooks > 1), "{seen:?}");
    assert!(struck < all, "there are more than {steps} steps");
    // Each has a state directory of its own, and all have one receiver.
    let accepted: Vec<_> =
        pushes.iter().filter(|(.., is_accepted)| *is_accepted).map(|(_, push, _)| push.clone()).collect();
    pushes[0].0.holds_its_promise(&accepted);
}

/// Returns what is told of the end of a hook, in the journal or to the pusher, and not in both.
fn told(journal: &str, ended: &Ended) -> String {
    let in_journal: Vec<_> =
        journal.lines().filter(|line| line.contains("was not") && line.contains("within")).collect();
    assert!(in_journal.is_empty() || ended.stderr.is_empty(), "{journal}{ended:?}");
    in_journal.concat() + ended.stderr.as_str()
}

#[test]
fn an_input_that_does_not_end_does_not_hold_up_the_push() {
    let sandbox = Sandbox::new();
    let start = Instant::now();
    let mut hook = sandbox.command(BINARY, &sandbox.bare());
    hook.args(["hook", "--config"]).arg(sandbox.path("config.toml")).env("GIT_DIR", ".");
    let mut child =
        hook.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // Nothing is written, and the pipe is not closed.
    let _open = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    assert!((LEAST..MOST).contains(&start.elapsed()), "{:?}", start.elapsed());
    let said = "gitea-lightstep: this push has no markers: standard input did not end within 10s\n";
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), output.stdout.as_slice(), &*stderr), (Some(0), &b""[..], said));
}

/// Runs a hook with what is configured, and returns how long it took.
fn push(sandbox: &Sandbox) -> Duration {
    let commit = sandbox.commit("A push", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    let ran = sandbox.hook(format!("{} {commit} refs/heads/main\n", "0".repeat(40)).as_bytes());
    ran.succeeded();
    ran.took
}

fn make_pipe(sandbox: &Sandbox, name: &str) {
    sandbox.write(&format!("{name}.beside"), "");
    let mut mkfifo = sandbox.command("mkfifo", &sandbox.path(""));
    sandbox.run(mkfifo.arg(name), b"").succeeded();
}

#[test]
fn a_script_and_a_token_that_are_named_pipes_are_errors_at_once() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    make_pipe(&sandbox, "token");
    sandbox.deliver_to(&recorder.endpoint(), "headers = { x-token = { file = \"token\" } }\n");
    assert!(push(&sandbox) < LEAST);
    let ran = sandbox.binary(&["deliver"]);
    assert!(ran.took < LEAST && ran.code == Some(1), "{ran:?}");
    let why = sandbox.deliveries().pop().expect("an entry")["why"].as_str().expect("text").to_string();
    assert!(
        why.starts_with("failed to read the secret from file ") && why.ends_with(": it is no file"),
        "{why}"
    );

    make_pipe(&sandbox, "scripts/site.rhai");
    assert!(push(&sandbox) < LEAST);
    let decision = sandbox.decisions().pop().expect("a decision");
    assert_eq!(decision["outcome"], "failed");
    assert!(decision["why"].as_str().expect("text").ends_with("site.rhai`: it is no file"), "{decision}");
}

#[test]
fn named_pipes_in_the_state_hold_nobody_up() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "");
    make_pipe(&sandbox, "state/address.key");
    make_pipe(&sandbox, "state/inbox/01910000-0000-7000-8000-000000000000");
    make_pipe(&sandbox, "state/outbox/collector/new/01910000-0000-7000-8000-000000000000.0");
    assert!(push(&sandbox) < LEAST);
    let ran = sandbox.binary(&["deliver"]);
    assert!(ran.took < LEAST, "{ran:?}");
    recorder.wait_for(1);
}

/// With a configuration that cannot be read, the state is where it always is, of which this gets its own.
const PIPE: &str = r#"
    mount -t tmpfs -o mode=755 state /var/lib
    "$0" hook --config "$1" <"$2"
    echo "== $?"
    cat /var/lib/gitea-lightstep/journal/*
"#;

#[test]
fn a_configuration_that_is_a_named_pipe_is_an_error_at_once() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path("config.toml")).expect("it goes");
    make_pipe(&sandbox, "config.toml");
    sandbox.write("stdin", format!("{} {} refs/heads/main\n", "0".repeat(40), "1".repeat(40)));
    let mut unshare = sandbox.command("unshare", &sandbox.bare());
    unshare.args(if rustix::process::geteuid().is_root() { &["-m"][..] } else { &["-rm"] });
    unshare.args(["sh", "-c", PIPE, BINARY]).args([sandbox.path("config.toml"), sandbox.path("stdin")]);
    let ran = sandbox.run(unshare.env("GIT_DIR", "."), b"");
    assert!(ran.succeeded().took < LEAST, "{:?}", ran.took);
    assert_eq!((ran.stderr.as_str(), ran.stdout.lines().next()), ("", Some("== 0")));
    let told = "this push waits in the inbox until the configuration is right: ";
    assert!(ran.stdout.contains(told) && ran.stdout.contains("it is no file"), "{}", ran.stdout);
}
