//! A push of 100,000 updates, and the time limit of a push.

use crate::support::{Sandbox, wait_until};

const ZERO: &str = "0000000000000000000000000000000000000000";

#[test]
fn hundred_thousand_updates_are_all_decided() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("One of very many", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    sandbox.clear_state();
    // Every hundredth ref is a version tag. The others are branches that do not create markers.
    let stdin: String = (0..100_000)
        .map(|n| match n % 100 {
            0 => format!("{ZERO} {commit} refs/tags/v1.0.{n}\n"),
            _ => format!("{ZERO} {commit} refs/heads/feature/{n}\n"),
        })
        .collect();
    sandbox.configure("[policy.limits]\ntime = \"250ms\"\n");
    let ran = sandbox.hook(stdin.as_bytes());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // The background process decides the rest, and writes the results in slices.
    wait_until("all updates are decided", || {
        sandbox.files("inbox").is_empty() && sandbox.decisions().len() == 100_000
    });
    let decisions = sandbox.decisions();
    let distinct: std::collections::HashSet<&str> =
        decisions.iter().map(|decision| decision["ref"].as_str().expect("text")).collect();
    assert_eq!(distinct.len(), 100_000, "each once");
    assert_eq!(decisions.iter().filter(|decision| decision["outcome"] == "marked").count(), 1000);
    assert_eq!(sandbox.waiting("unassigned").len(), 1000);
}

#[test]
fn updates_beyond_the_time_limit_are_decided_in_the_background() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Slow to judge", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    sandbox.clear_state();
    // For all but the first update, the script takes longer than the remaining time, but less than
    // the limit of one update.
    sandbox.configure(
        "[policy.limits]\ntime = \"400ms\"\noperations = 100_000_000\n[reply]\nto_pusher = \"all\"\n",
    );
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) { if update.tag != \"v1.0.0\" { let n = 0; while n < 20_000 { n += 1; } } true }",
    );
    let tags: String = (0..40).map(|n| format!("{ZERO} {commit} refs/tags/v1.0.{n}\n")).collect();
    let ran = sandbox.hook(tags.as_bytes());
    let said = ran.succeeded().remote_or_own();
    assert!(said[0].starts_with("gitea-lightstep: release shop 1.0.0, trace "), "{said:?}");
    wait_until("all updates are decided", || sandbox.files("inbox").is_empty());
    let mut versions: Vec<_> =
        sandbox.waiting("unassigned").iter().map(|m| m["version"].to_string()).collect();
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 40, "{said:?}");
}

#[test]
fn update_with_a_too_slow_script_fails_in_the_background() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Never judged", &[]);
    sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
    sandbox.clear_state();
    sandbox.configure("[policy.limits]\ntime = \"50ms\"\noperations = 1_000_000_000\n");
    sandbox.write("scripts/site.rhai", "fn decide(update) { loop {} }");
    sandbox.hook(format!("{ZERO} {commit} refs/heads/main\n").as_bytes()).said_nothing();
    wait_until("the background gives up", || !sandbox.decisions().is_empty());
    let decision = sandbox.decisions().remove(0);
    assert_eq!(decision["outcome"], "failed");
    let why = decision["why"].as_str().expect("text");
    assert!(why.contains("longer than 50ms, the limit of `[policy.limits] time`"), "{why}");
    wait_until("the capture is gone", || sandbox.files("inbox").is_empty());
}
