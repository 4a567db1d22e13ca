//! Policies that kill their process: the update concerned stays queued until the policy is fixed,
//! and all others are decided.
//!
//! `ulimit -d` grants the process less memory than `[policy.limits] memory`, so a script within its
//! limit still kills the process.

use std::fs;

use crate::support::{BINARY, Ran, Sandbox};

/// Allocates about 50 MiB for the branch `deadly`.
const SCRIPT: &str = "
fn decide(update) {
    if update.branch != \"deadly\" { return true; }
    let list = [];
    list.pad(16000, 1);
    let held = [];
    for n in 0..200 { let caught = list; held.push(|| caught.len()); }
    true
}
";

/// Limit of the data segment, in KiB.
const DATA: u32 = 30_000;

struct Bench {
    sandbox: Sandbox,
    stdin: String,
}

impl Bench {
    /// Prepares a push of these branches, all with the same commit, without running the hook.
    fn new(branches: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let commit = sandbox.commit("Anything", &[]);
        sandbox.push(&["HEAD:refs/heads/other"]).succeeded();
        sandbox.clear_state();
        sandbox.configure(
            "[reply]\nto_pusher = \"nothing\"\n[policy.limits]\ntime = \"20s\"\nmemory = \"256MiB\"\n",
        );
        sandbox.write("scripts/site.rhai", SCRIPT);
        let zero = "0".repeat(40);
        let stdin = branches.iter().map(|branch| format!("{zero} {commit} refs/heads/{branch}\n")).collect();
        Self { sandbox, stdin }
    }

    /// Runs the binary with little memory.
    fn poor(&self, args: &str, stdin: &str) -> Ran {
        let config = self.sandbox.path("config.toml");
        let mut command = self.sandbox.command("sh", &self.sandbox.bare());
        let line = format!("ulimit -d {DATA}; exec {BINARY} {args} --config '{}'", config.display());
        self.sandbox.run(command.env("GIT_DIR", ".").args(["-c", &line]), stdin.as_bytes())
    }

    fn outcomes(&self) -> Vec<(String, String)> {
        let word = |entry: &serde_json::Value, key| entry[key].as_str().expect("text").to_string();
        self.sandbox.decisions().iter().map(|entry| (word(entry, "ref"), word(entry, "outcome"))).collect()
    }
}

#[test]
fn policy_that_kills_its_process_delays_only_its_own_update() {
    let bench = Bench::new(&["a", "b", "deadly", "c", "d"]);
    let ran = bench.poor("hook", &bench.stdin);
    // The pusher sees neither our messages nor the shell's.
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (Some(0), "", ""));
    assert_eq!(bench.outcomes(), []);

    let ran = bench.poor("deliver", "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let expected = [("a", "marked"), ("b", "marked"), ("deadly", "failed"), ("c", "marked"), ("d", "marked")];
    let expected = expected.map(|(branch, outcome)| (format!("refs/heads/{branch}"), outcome.to_string()));
    assert_eq!(bench.outcomes(), expected);
    let why = bench.sandbox.decisions()[2]["why"].as_str().expect("text").to_string();
    assert!(why.contains("`[policy.limits] memory`"), "{why}");
    assert_eq!(bench.sandbox.waiting("unassigned").len(), 4);
    for dir in ["inbox", "dead"] {
        assert_eq!(bench.sandbox.files(dir), [""; 0], "{dir}");
    }
    assert_eq!(bench.sandbox.files("failed").len(), 2, "the push and its reason");
    assert_eq!(bench.sandbox.troubles(), [""; 0]);

    // After the script is fixed, only the remaining update is decided.
    bench.sandbox.write("scripts/site.rhai", SCRIPT.replace("0..200", "0..2"));
    assert_eq!(bench.poor("deliver", "").code, Some(1), "markers without a destination stay queued");
    assert_eq!(bench.outcomes().last(), Some(&("refs/heads/deadly".to_string(), "marked".to_string())));
    assert_eq!(bench.outcomes().len(), 6);
    assert_eq!(bench.sandbox.waiting("unassigned").len(), 5);
    assert_eq!(bench.sandbox.files("failed"), [""; 0]);
}

#[test]
fn several_fatal_updates_are_isolated_one_by_one() {
    let bench = Bench::new(&["deadly", "a", "deadly", "b"]);
    assert_eq!(bench.poor("hook", &bench.stdin).code, Some(0));
    assert_eq!(bench.poor("deliver", "").code, Some(1));
    assert_eq!(bench.sandbox.files("inbox"), [""; 0]);
    let outcomes: Vec<_> = bench.outcomes().into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, ["failed", "marked", "failed", "marked"]);
    assert_eq!(bench.sandbox.files("dead"), [""; 0]);
}

#[test]
fn a_push_succeeds_when_the_hook_is_killed() {
    let bench = Bench::new(&[]);
    let wrapper = bench.sandbox.path("git/acme/shop.git/hooks/post-receive.d/gitea-lightstep");
    let text = fs::read_to_string(&wrapper).expect("the wrapper");
    fs::write(&wrapper, text.replacen("\n", &format!("\nulimit -d {DATA}\n"), 1)).expect("the wrapper");
    let ran = bench.sandbox.push(&["HEAD:refs/heads/deadly", "HEAD:refs/heads/calm"]);
    ran.succeeded();
    assert!(!ran.stderr.contains("gitea-lightstep:") && !ran.stderr.contains("allocation"), "{}", ran.stderr);
    assert_eq!(bench.sandbox.files("inbox").len(), 1, "the push is captured");
    assert_eq!(bench.sandbox.git_in(&bench.sandbox.bare(), &["branch", "--list", "deadly"]).trim(), "deadly");
}
