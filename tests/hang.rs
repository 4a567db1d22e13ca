//! Hooks that block: on a disk that does not respond, on endless input, or on a named pipe in place
//! of a file. The hook must exit successfully after a while, without losing a capture.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use crate::support::{
    BINARY, Sandbox,
    backend::Backend,
    recorder::Recorder,
    spool::{Ended, Ground},
};

/// Maximum duration of a hook: its limit of ten seconds, one for its policy, one for an inline
/// request, two for reporting, and 15 for a busy machine.
const MOST: Duration = Duration::from_secs(10 + 1 + 1 + 2 + 15);
const LEAST: Duration = Duration::from_secs(10);

#[test]
fn hook_blocked_at_any_step_exits_in_time_and_loses_nothing() {
    // Test the hook without an inline delivery.
    hangs("", 70, ["", "+"].as_slice(), &["this push has no markers: ", "this push waits in the inbox: "]);
}

#[test]
fn blocked_inline_delivery_exits_in_time_and_loses_nothing() {
    let stages =
        ["this push has no markers: ", "this push waits in the inbox: ", "this push waits in the spool: "];
    hangs("mode = \"inline\"\ntimeout = \"1s\"", 120, &[""], &stages);
}

/// Makes a hook block at each step; it has fewer than `steps`. Asserts that the push goes on, that
/// the outcome is reported, and that each of `stages` occurs.
fn hangs(delivery: &str, steps: usize, goes_on: &[&str], stages: &[&str]) {
    let (ground, backend) = (Ground::new(), Backend::start());
    // All hooks block at the same time.
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
            let report = describe(&spool.files("journal").into_values().collect::<String>(), &ended);
            let stage = stages.iter().position(|what| report.contains(what));
            let stage = stage.unwrap_or_else(|| panic!("{fault} at {step}: no known stage in: {report}"));
            seen[stage] += 1;
            assert_eq!(stage == 0, !is_accepted, "{fault} at {step}: {report}");
        }
        spool.drain();
        pushes.push((spool, push, is_accepted));
    }
    let struck: usize = seen.iter().sum();
    assert!(seen.iter().all(|hooks| *hooks > 1), "{seen:?}");
    assert!(struck < all, "a push has more than {steps} steps; raise the number of steps");
    // Each hook has its own state directory, and all share one receiver.
    let accepted: Vec<_> =
        pushes.iter().filter(|(.., is_accepted)| *is_accepted).map(|(_, push, _)| push.clone()).collect();
    pushes[0].0.holds_its_promise(&accepted);
}

/// Returns the timeout message from the journal or stderr. Panics if it is in both.
fn describe(journal: &str, ended: &Ended) -> String {
    let in_journal: Vec<_> =
        journal.lines().filter(|line| line.contains("not") && line.contains(" within 1")).collect();
    assert!(in_journal.is_empty() || ended.stderr.is_empty(), "{journal}{ended:?}");
    in_journal.concat() + ended.stderr.as_str()
}

#[test]
fn endless_input_does_not_block_the_push() {
    let sandbox = Sandbox::new();
    let start = Instant::now();
    let mut hook = sandbox.command(BINARY, &sandbox.bare());
    hook.args(["hook", "--config"]).arg(sandbox.path("config.toml")).env("GIT_DIR", ".");
    let mut child =
        hook.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // Keep the pipe open without writing to it.
    let _open = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    assert!((LEAST..MOST).contains(&start.elapsed()), "{:?}", start.elapsed());
    let said = "gitea-lightstep: this push has no markers: standard input did not end within 10s\n";
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), output.stdout.as_slice(), &*stderr), (Some(0), &b""[..], said));
}

/// Runs a hook and returns its duration.
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
fn script_or_token_that_is_a_named_pipe_fails_immediately() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    make_pipe(&sandbox, "token");
    sandbox.deliver_to(&recorder.endpoint(), "headers = { x-token = { file = \"token\" } }\n");
    assert!(push(&sandbox) < LEAST);
    let ran = sandbox.binary(&["deliver"]);
    assert!(ran.took < LEAST && ran.code == Some(1), "{ran:?}");
    let why = sandbox.deliveries().pop().expect("an entry")["why"].as_str().expect("text").to_string();
    assert!(
        why.starts_with("failed to read the secret from file ")
            && why.ends_with(": it is not a regular file"),
        "{why}"
    );

    make_pipe(&sandbox, "scripts/site.rhai");
    assert!(push(&sandbox) < LEAST);
    let decision = sandbox.decisions().pop().expect("a decision");
    assert_eq!(decision["outcome"], "failed");
    assert!(
        decision["why"].as_str().expect("text").ends_with("site.rhai`: it is not a regular file"),
        "{decision}"
    );
}

#[test]
fn named_pipes_in_the_state_do_not_block() {
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
