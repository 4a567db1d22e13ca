//! A policy that kills the process, whatever the reason: it costs its own update's markers, and nothing else.
//!
//! The system gives the process less memory than `[policy.limits] memory` allows (`ulimit -d`), so a script that keeps to
//! its limit is the end of it.

use std::fs;

use crate::support::{BINARY, Ran, Sandbox, wait_until};

/// Takes some 50 MiB for the branch `deadly`.
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

/// What the system leaves the process for its data, in KiB.
const DATA: u32 = 30_000;

struct Bench {
    sandbox: Sandbox,
    stdin: String,
}

impl Bench {
    /// Captures nothing yet: a push of these branches, all of one commit.
    fn new(branches: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let commit = sandbox.commit("Anything", &[]);
        sandbox.push(&["HEAD:refs/heads/other"]).succeeded();
        let _ = fs::remove_dir_all(sandbox.state());
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
fn a_policy_that_kills_the_process_costs_its_own_update_only() {
    let bench = Bench::new(&["a", "b", "deadly", "c", "d"]);
    let ran = bench.poor("hook", &bench.stdin);
    // Nothing of it reaches the pusher from us.
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (None, "", ""));
    assert_eq!(bench.outcomes(), []);

    let deaths = (0..).find(|_| bench.poor("deliver", "").code.is_some()).expect("it ends");
    assert_eq!(deaths, 4, "one finds that there is a killer, three are killed by that update alone");
    let expected = [("a", "marked"), ("b", "marked"), ("deadly", "failed"), ("c", "marked"), ("d", "marked")];
    let expected = expected.map(|(branch, outcome)| (format!("refs/heads/{branch}"), outcome.to_string()));
    assert_eq!(bench.outcomes(), expected);
    let why = bench.sandbox.decisions()[2]["why"].as_str().expect("text").to_string();
    assert!(why.contains("killed the process 3 times"), "{why}");
    assert_eq!(bench.sandbox.waiting("unassigned").len(), 4);
    for dir in ["inbox", "dead"] {
        assert_eq!(bench.sandbox.files(dir), [""; 0], "{dir}");
    }
    assert_eq!(bench.sandbox.troubles(), [""; 0]);

    // The next push has nothing to do with it.
    bench.sandbox.hook(bench.stdin.as_bytes()).said_nothing();
    assert_eq!(bench.outcomes().len(), 10);
}

#[test]
fn several_that_kill_are_found_one_after_the_other() {
    let bench = Bench::new(&["deadly", "a", "deadly", "b"]);
    assert_eq!(bench.poor("hook", &bench.stdin).code, None);
    wait_until("the spool is empty", || {
        let ran = bench.poor("deliver", "");
        assert!(matches!(ran.code, None | Some(0 | 1)), "{ran:?}");
        bench.sandbox.files("inbox").is_empty()
    });
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
