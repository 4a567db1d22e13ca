//! `backfill`: markers of what a repository's history contains and no hook saw.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Stdio,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    BINARY, Ran, Sandbox, assert_as_it_is, is_long,
    recorder::{Answer, Recorder},
    signal,
    spool::faulty,
    wait_until,
};

/// A policy with changes, releases and deployments: a commit with `Deploy:` in a trailer is a
/// deployment of that environment.
const POLICY: &str = r#"fn decide(update) {
    if update.version != () { return true; }
    if update.branch == () { return skip("no version"); }
    if update.title.starts_with("Deploy") { return mark(#{ kind: "deployment", environment: "prod" }); }
    if update.title.starts_with("wip") { return skip("not done"); }
    mark(#{ kind: "change" })
}
"#;

/// Makes commits and tags with their own times, and puts them into the bare repository without the
/// hook.
struct Past {
    sandbox: Sandbox,
    day: u32,
}

impl Past {
    fn new() -> Self {
        Self::with_object_format("sha1")
    }

    fn with_object_format(format: &str) -> Self {
        let sandbox = Sandbox::with_object_format(format);
        sandbox.write("scripts/site.rhai", POLICY);
        Self { sandbox, day: 0 }
    }

    /// Sets the time of the next commit or tag: the next day of January 2021.
    fn next(&mut self) {
        self.day += 1;
        self.at(&format!("2021-01-{:02}T10:00:00Z", self.day));
    }

    fn at(&mut self, date: &str) {
        self.sandbox.set("GIT_COMMITTER_DATE", date);
        self.sandbox.set("GIT_AUTHOR_DATE", date);
    }

    fn commit(&mut self, title: &str) -> String {
        self.next();
        self.sandbox.commit(title, &[("file", title)])
    }

    fn tag(&mut self, args: &[&str]) {
        self.next();
        self.sandbox.git(&[&["tag"], args].concat());
    }

    /// Copies everything to the bare repository without the hook, and forgets the state.
    fn land(&mut self) {
        self.sandbox.unset("GIT_COMMITTER_DATE");
        self.sandbox.unset("GIT_AUTHOR_DATE");
        let bare = self.sandbox.bare();
        let hook = bare.join("hooks/post-receive");
        let aside = bare.join("hooks/aside");
        fs::rename(&hook, &aside).expect("renamed");
        self.sandbox.git(&["push", "-q", "-f", "--tags", "origin", "main"]);
        fs::rename(&aside, &hook).expect("renamed");
        self.sandbox.git_in(&bare, &["symbolic-ref", "HEAD", "refs/heads/main"]);
        self.clear();
    }

    /// Forgets the state. Its directory stays, because root does not create it.
    fn clear(&self) {
        let state = self.sandbox.state();
        // With another key, the hashes of addresses would differ.
        let key = fs::read(state.join("address.key"));
        self.sandbox.clear_state();
        fs::create_dir(&state).expect("a directory");
        if let Ok(key) = key {
            self.sandbox.write_secret("state/address.key", key);
        }
    }

    fn backfill(&self, args: &[&str]) -> Ran {
        self.sandbox.binary(&[&["backfill", "git/acme/shop.git", "--rate", "1000/s"], args].concat())
    }
}

/// A history with a merge, two releases and two deployments.
fn shop(format: &str) -> Past {
    let mut past = Past::with_object_format(format);
    past.commit("Begin");
    past.commit("Pay by card");
    past.tag(&["v1.0.0"]);
    past.commit("Deploy one");
    past.sandbox.git(&["switch", "-q", "-c", "topic"]);
    past.next();
    past.sandbox.commit("On the side", &[("other", "1")]);
    past.sandbox.git(&["switch", "-q", "main"]);
    past.next();
    past.sandbox.git(&["merge", "-q", "--no-ff", "-m", "Merge search", "topic"]);
    past.tag(&["-a", "-m", "As promised", "v1.1.0"]);
    past.commit("wip");
    past.commit("Deploy two");
    past.land();
    past
}

/// Returns the markers that wait, each as day, kind, version and environment.
fn told(markers: &[Value]) -> Vec<String> {
    let mut told: Vec<String> = markers
        .iter()
        .map(|marker| {
            let text = |key: &str| marker[key].as_str().unwrap_or_default().to_string();
            let version = text("version");
            let version = if version.len() >= 40 { "commit".to_string() } else { version };
            format!("{} {} {version} {}", &text("time")[..10], text("kind"), text("environment"))
                .trim_end()
                .to_string()
        })
        .collect();
    told.sort();
    told
}

const EXPECTED: [&str; 7] = [
    "2021-01-01 change commit",
    "2021-01-02 change commit",
    "2021-01-02 release 1.0.0",
    "2021-01-04 deployment commit prod",
    "2021-01-06 change commit",
    "2021-01-07 release 1.1.0",
    "2021-01-09 deployment commit prod",
];

#[test]
fn each_marker_has_the_time_of_its_commit_or_tag() {
    for format in ["sha1", "sha256"] {
        let past = shop(format);
        let ran = past.backfill(&[]);
        assert_eq!(&*ran.succeeded().stderr, "", "{}", ran.stdout);
        let markers = past.sandbox.waiting("unassigned");
        assert_eq!(told(&markers), EXPECTED, "{}", ran.stdout);
        for marker in &markers {
            let attributes = &marker["attributes"];
            assert_eq!(attributes["gitea_lightstep.push.source"], "backfill", "{marker}");
            assert_eq!(attributes["gitea_lightstep.backfill"], true, "{marker}");
        }
    }
}

/// Returns the markers that wait, by their IDs.
fn by_id(markers: Vec<Value>) -> BTreeMap<String, Value> {
    markers.into_iter().map(|marker| (marker["id"].as_str().expect("an id").to_string(), marker)).collect()
}

/// Returns the bytes of the whole journal.
fn journal(sandbox: &Sandbox) -> Vec<Vec<u8>> {
    let read = |name: &String| fs::read(sandbox.state().join("journal").join(name)).expect("the journal");
    sandbox.files("journal").iter().map(read).collect()
}

#[test]
fn a_second_run_adds_nothing() {
    let past = shop("sha1");
    past.backfill(&[]).succeeded();
    let (markers, lines) = (past.sandbox.waiting("unassigned"), journal(&past.sandbox));
    let again = past.backfill(&[]);
    assert!(again.succeeded().stdout.contains("no new markers"), "{}", again.stdout);
    assert!(again.stdout.contains("7  marked already"), "{}", again.stdout);
    assert!(again.stdout.contains("1  decided already, without a marker"), "{}", again.stdout);
    assert_eq!(past.sandbox.waiting("unassigned"), markers);
    assert_eq!(journal(&past.sandbox), lines);
    // Without the journal, the IDs are the same.
    past.clear();
    past.backfill(&["--json"]).succeeded();
    let anew = by_id(past.sandbox.waiting("unassigned"));
    assert_eq!(anew.keys().collect::<Vec<_>>(), by_id(markers).keys().collect::<Vec<_>>());
}

#[test]
fn a_dry_run_shows_the_same_and_writes_nothing() {
    let past = shop("sha1");
    let before = past.sandbox.tree();
    let ran = past.backfill(&["--dry-run"]);
    assert_eq!(past.sandbox.tree(), before);
    assert_as_it_is(&past.sandbox, "backfill-dry-run.txt", &ran.succeeded().stdout);
    let json = past.backfill(&["--dry-run", "--json"]);
    let lines: Vec<Value> = json.succeeded().stdout.lines().map(|line| line.parse().expect("JSON")).collect();
    let shown: BTreeSet<String> = lines
        .iter()
        .flat_map(|line| line["markers"].as_array().cloned().unwrap_or_default())
        .map(|marker| marker["id"].as_str().expect("an id").to_string())
        .collect();
    let ran = past.backfill(&[]);
    assert_as_it_is(&past.sandbox, "backfill.txt", &ran.succeeded().stdout);
    let made = by_id(past.sandbox.waiting("unassigned"));
    assert_eq!(shown, made.into_keys().collect());
    let before = past.sandbox.tree();
    let after = past.backfill(&["--dry-run"]);
    assert!(after.succeeded().stdout.contains("no markers"), "{}", after.stdout);
    assert_eq!(past.sandbox.tree(), before);
    assert_as_it_is(
        &past.sandbox,
        "backfill-help.txt",
        &past.sandbox.binary(&["backfill", "--help"]).succeeded().stdout,
    );
}

#[test]
fn since_includes_its_time_and_until_does_not() {
    let past = shop("sha1");
    for (args, expected) in [
        (&["--since", "2021-01-04T10:00:00Z"][..], &EXPECTED[3..]),
        (&["--since", "2021-01-04T10:00:01Z"], &EXPECTED[4..]),
        (&["--until", "2021-01-04T10:00:00Z"], &["2021-01-01", "2021-01-02", "2021-01-03"]),
        (&["--since", "2021-01-06T10:00:00Z", "--until", "2021-01-06T10:00:01Z"], &EXPECTED[4..5]),
    ] {
        past.clear();
        let ran = past.backfill(args);
        let told = told(&past.sandbox.waiting("unassigned"));
        if args[0] == "--until" {
            assert!(told.iter().all(|line| &line[..10] < "2021-01-04"), "{told:?}");
            assert_eq!(told.len(), 3, "{told:?}");
        } else {
            assert_eq!(told, expected, "{args:?}: {ran:?}");
        }
    }
    past.clear();
    let none = past.backfill(&["--since", "2021-02-01"]);
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("neither commits nor tags in that time"), "{}", none.stderr);
}

#[test]
fn pieces_give_the_markers_of_the_whole() {
    let past = shop("sha1");
    past.backfill(&[]).succeeded();
    let whole = by_id(past.sandbox.waiting("unassigned"));
    past.clear();
    past.backfill(&["--until", "2021-01-05"]).succeeded();
    past.backfill(&["--since", "2021-01-03"]).succeeded();
    assert_eq!(by_id(past.sandbox.waiting("unassigned")), whole);
}

#[test]
fn dates_out_of_order_or_beyond_belief_do_no_harm() {
    let mut past = Past::new();
    past.commit("Begin");
    past.at("1970-01-01T00:00:10Z");
    past.sandbox.commit("No clock", &[("file", "x")]);
    past.at("2020-06-01T10:00:00Z");
    past.sandbox.commit("Skewed", &[("file", "y")]);
    past.at("2090-01-01T10:00:00Z");
    past.sandbox.commit("From the future", &[("file", "z")]);
    past.commit("Last");
    past.land();
    let ran = past.backfill(&["--since", "2021-01-01"]);
    assert_eq!(told(&past.sandbox.waiting("unassigned")), [EXPECTED[0], EXPECTED[1]], "{ran:?}");
    assert!(ran.succeeded().stdout.contains("1  its date cannot be believed"), "{}", ran.stdout);
    let ran = past.backfill(&[]);
    assert!(ran.succeeded().stdout.contains("1 new marker"), "{}", ran.stdout);
    assert!(ran.stdout.contains("2  its date cannot be believed"), "{}", ran.stdout);
}

#[test]
fn what_a_push_marked_is_not_marked_again() {
    let mut past = Past::new();
    past.commit("Begin");
    past.commit("Two");
    past.land();
    let push = |past: &mut Past, refs: &[&str]| {
        past.sandbox.unset("GIT_COMMITTER_DATE");
        past.sandbox.push(refs).succeeded();
    };
    past.commit("Three");
    past.commit("Four");
    past.tag(&["v1.0.0"]);
    push(&mut past, &["main", "v1.0.0"]);
    past.sandbox.wait_for_deliverers_to_end();
    let live = past.sandbox.waiting("unassigned");
    assert_eq!(live.len(), 2, "{live:?}");
    let ran = past.backfill(&[]);
    assert!(ran.succeeded().stdout.contains("2 new markers: 2 change"), "{}", ran.stdout);
    assert!(ran.stdout.contains("2  marked already"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1  part of a push that was decided already"), "{}", ran.stdout);
    assert_eq!(told(&past.sandbox.waiting("unassigned"))[..2], EXPECTED[..2]);
    // A push of one that was backfilled is a separate event.
    past.commit("Five");
    past.sandbox.git(&["push", "-q", "origin", "main"]);
    assert!(past.backfill(&[]).succeeded().stdout.contains("no new markers"));
}

#[test]
fn a_rename_changes_no_id() {
    let mut past = shop("sha1");
    for (name, value) in
        [("GITEA_REPO_ID", "7"), ("GITEA_REPO_USER_NAME", "acme"), ("GITEA_REPO_NAME", "shop")]
    {
        past.sandbox.set(name, value);
    }
    past.sandbox.push(&["main:refs/heads/other"]).succeeded();
    past.backfill(&["--until", "2021-01-05"]).succeeded();
    past.sandbox.rename("git/acme/store.git");
    past.sandbox.set("GITEA_REPO_NAME", "store");
    past.sandbox.push(&["main:refs/heads/another"]).succeeded();
    past.sandbox.unset("GITEA_");
    let ran = past.sandbox.binary(&["backfill", "acme/store", "--rate", "1000"]);
    assert!(ran.succeeded().stdout.contains("3 new markers"), "{ran:?}");
    let ids = |past: &Past| -> BTreeSet<String> {
        let of_past = |marker: &Value| marker["attributes"]["gitea_lightstep.push.source"] == "backfill";
        let all = by_id(past.sandbox.waiting("unassigned"));
        all.into_iter().filter(|(_, marker)| of_past(marker)).map(|(id, _)| id).collect()
    };
    let before = ids(&past);
    assert_eq!(before.len(), EXPECTED.len());
    // Only the outbox is lost, so only the records of the pushes are left.
    let is_push = |line: &&str| line.contains("\"transport\"") && !line.contains("\"source\":\"backfill\"");
    let name = past.sandbox.files("journal").pop().expect("a journal");
    let path = past.sandbox.state().join("journal").join(name);
    let kept: String = fs::read_to_string(&path)
        .expect("text")
        .lines()
        .filter(is_push)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&path, kept).expect("written");
    fs::remove_dir_all(past.sandbox.state().join("outbox")).expect("removed");
    past.sandbox.binary(&["backfill", "acme/shop", "--rate", "1000"]).succeeded();
    assert_eq!(ids(&past), before);
}

#[test]
fn what_the_first_push_tells_of_the_repository_repeats_nothing() {
    let mut past = shop("sha1");
    past.backfill(&[]).succeeded();
    past.sandbox.set("GITEA_REPO_ID", "7");
    past.sandbox.push(&["main:refs/heads/other"]).succeeded();
    past.sandbox.unset("GITEA_");
    let ran = past.backfill(&[]);
    assert!(ran.succeeded().stdout.contains("no new markers"), "{}", ran.stdout);
}

/// Returns the title of each deployment with the version that was deployed before it, by time.
fn deployments(sandbox: &Sandbox) -> Vec<(String, Option<String>, String)> {
    let text = |value: &Value| value.as_str().map(ToString::to_string);
    let mut deployments: Vec<_> = by_id(sandbox.waiting("unassigned"))
        .into_values()
        .filter(|marker| marker["kind"] == "deployment")
        .map(|marker| {
            let previous = text(&marker["attributes"]["gitea_lightstep.previous.version"]);
            let field = |key: &str| text(&marker[key]).expect("text");
            (field("time"), field("version"), previous)
        })
        .collect();
    deployments.sort();
    deployments.into_iter().map(|(time, version, previous)| (version, previous, time)).collect()
}

#[test]
fn each_deployment_follows_the_one_before_it() {
    let mut past = Past::new();
    let mut commits = Vec::new();
    for nth in 0..70 {
        past.at(&format!("2021-{:02}-{:02}T10:00:00Z", 1 + nth / 28, 1 + nth % 28));
        commits.push(past.sandbox.commit(&format!("Deploy {nth}"), &[("file", &nth.to_string())]));
    }
    past.land();
    // The newest ones first, so that the older ones are older than all that is remembered.
    past.backfill(&["--since", "2021-03-01"]).succeeded();
    past.backfill(&[]).succeeded();
    let found = deployments(&past.sandbox);
    let versions: Vec<&String> = found.iter().map(|(version, ..)| version).collect();
    assert_eq!(versions, commits.iter().collect::<Vec<_>>());
    for (nth, (_, previous, time)) in found.iter().enumerate() {
        let is_first_of_its_run = nth == 0 || time.starts_with("2021-03-01");
        let expected = (!is_first_of_its_run).then(|| commits[nth - 1].clone());
        // Without a remembered deployment, the first one of a run knows none.
        assert_eq!(*previous, expected, "{nth}: {time}");
    }
}

#[test]
fn an_old_deployment_does_not_become_the_previous_of_a_newer_one() {
    let mut past = shop("sha1");
    let push = |past: &mut Past, title: &str| {
        let commit = past.sandbox.commit(title, &[("file", title)]);
        past.sandbox.push(&["main"]).succeeded();
        past.sandbox.wait_for_deliverers_to_end();
        commit
    };
    let live = push(&mut past, "Deploy live");
    past.backfill(&[]).succeeded();
    let later = push(&mut past, "Deploy later");
    let found = deployments(&past.sandbox);
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(found[1].1.as_ref(), Some(&found[0].0), "the second follows the first: {found:?}");
    let of_later = found.iter().find(|(version, ..)| *version == later).expect("deployed");
    assert_eq!(of_later.1.as_ref(), Some(&live), "{found:?}");
    // Without a live one, a push follows the newest of the history.
    let mut past = shop("sha1");
    past.backfill(&[]).succeeded();
    let newest = deployments(&past.sandbox).pop().expect("deployed").0;
    let next = push(&mut past, "Deploy next");
    let of_next = deployments(&past.sandbox).into_iter().find(|(version, ..)| *version == next);
    assert_eq!(of_next.expect("deployed").1, Some(newest));
}

#[test]
fn a_script_that_kills_its_process_fails_one_commit_only() {
    let past = shop("sha1");
    past.sandbox.configure("[policy.limits]\ntime = \"20s\"\nmemory = \"256MiB\"\n");
    past.sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) {\n    if update.title != \"Merge search\" || update.branch == () { return true; }\n    \
         let list = [];\n    list.pad(16000, 1);\n    let held = [];\n    \
         for n in 0..200 { let caught = list; held.push(|| caught.len()); }\n    true\n}\n",
    );
    let config = past.sandbox.path("config.toml");
    let mut command = past.sandbox.command("sh", &past.sandbox.path(""));
    let line = format!(
        "ulimit -d 30000; exec {BINARY} backfill git/acme/shop.git --rate 1000 --config '{}'",
        config.display()
    );
    let ran = past.sandbox.run(command.args(["-c", &line]), b"");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("1 failed"), "{}", ran.stdout);
    assert_eq!(past.sandbox.waiting("unassigned").len(), 7, "{}", ran.stdout);
    past.sandbox.write("scripts/site.rhai", POLICY);
    past.backfill(&[]).succeeded();
    assert_eq!(past.sandbox.waiting("unassigned").len(), 8);
}

#[test]
fn explain_and_log_tell_of_backfilled_commits() {
    let past = shop("sha1");
    past.backfill(&[]).succeeded();
    let explained = past.sandbox.binary(&["explain", "git/acme/shop.git", "v1.0.0"]);
    assert!(explained.succeeded().stdout.contains("backfill"), "{}", explained.stdout);
    assert!(explained.stdout.contains("queued until a destination is configured"), "{}", explained.stdout);
    let log = past.sandbox.binary(&["log", "--repo", "acme/shop", "-v"]);
    assert!(log.succeeded().stdout.contains("release shop 1.0.0"), "{}", log.stdout);
}

#[test]
fn a_failing_policy_stops_nothing_and_the_failed_are_decided_again() {
    let past = shop("sha1");
    let broken = POLICY.replace(
        "if update.title.starts_with(\"wip\")",
        "if update.title == \"Pay by card\" { throw \"not yet\" } if false",
    );
    past.sandbox.write("scripts/site.rhai", broken);
    let ran = past.backfill(&[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("1 failed") && ran.stdout.contains("not yet"), "{}", ran.stdout);
    assert_eq!(past.sandbox.waiting("unassigned").len(), EXPECTED.len());
    past.sandbox.write("scripts/site.rhai", POLICY);
    past.backfill(&[]).succeeded();
    assert_eq!(told(&past.sandbox.waiting("unassigned")).len(), EXPECTED.len() + 1);
}

#[test]
fn the_rate_limits_the_markers_per_second() {
    let past = shop("sha1");
    let ran = past.sandbox.binary(&["backfill", "git/acme/shop.git", "--rate", "5/s"]);
    assert!(ran.succeeded().took.as_secs_f64() >= 1.0, "{ran:?}");
    assert_eq!(past.sandbox.waiting("unassigned").len(), EXPECTED.len());
    for wrong in ["0", "-1", "fast", "1/m"] {
        let ran = past.sandbox.binary(&["backfill", "git/acme/shop.git", &format!("--rate={wrong}")]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("20/s"), "{ran:?}");
    }
}

#[test]
fn an_interrupted_run_says_how_to_go_on() {
    let past = shop("sha1");
    let mut command = past.sandbox.command(BINARY, &past.sandbox.path(""));
    command
        .args(["backfill", "git/acme/shop.git", "--rate", "1/s", "--config"])
        .arg(past.sandbox.path("config.toml"));
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    wait_until("a marker", || !past.sandbox.files("outbox/unassigned/new").is_empty());
    assert!(signal(&running.id().to_string(), Signal::INT));
    let ended = running.wait_with_output().expect("ended");
    let stdout = String::from_utf8_lossy(&ended.stdout);
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(1), &b""[..]), "{ended:?}");
    assert!(stdout.contains("stopped: SIGINT") && stdout.contains("same command"), "{stdout}");
    past.backfill(&[]).succeeded();
    assert_eq!(told(&past.sandbox.waiting("unassigned")), EXPECTED);
}

#[test]
fn two_runs_at_once_are_refused() {
    let past = shop("sha1");
    let mut command = past.sandbox.command(BINARY, &past.sandbox.path(""));
    command
        .args(["backfill", "git/acme/shop.git", "--rate", "1/s", "--config"])
        .arg(past.sandbox.path("config.toml"));
    let mut running = command.stdout(Stdio::null()).spawn().expect("started");
    wait_until("a marker", || !past.sandbox.files("outbox/unassigned/new").is_empty());
    let other = past.backfill(&[]);
    assert!(other.stderr.contains("another `backfill` is running"), "{other:?}");
    running.kill().expect("killed");
    running.wait().expect("ended");
    past.backfill(&[]).succeeded();
    // The batch at which the first run was killed may be there twice, with the same IDs.
    let markers: Vec<Value> = by_id(past.sandbox.waiting("unassigned")).into_values().collect();
    assert_eq!(told(&markers), EXPECTED);
}

/// Runs `backfill` with a fault, and returns true if the fault occurred.
fn faulty_run(past: &Past, fault: &str) -> bool {
    let report = past.sandbox.path("report");
    let _ = fs::remove_file(&report);
    let mut command = past.sandbox.command(&faulty(), &past.sandbox.path(""));
    command
        .args(["backfill", "git/acme/shop.git", "--rate", "3/s", "--config"])
        .arg(past.sandbox.path("config.toml"));
    command.env("GITEA_LIGHTSTEP_FAULT", fault).env("GITEA_LIGHTSTEP_FAULT_REPORT", &report);
    let ran = past.sandbox.run(&mut command, b"");
    assert!(!ran.stderr.contains("panic"), "{fault}: {ran:?}");
    report.exists()
}

#[test]
fn killed_at_any_step_the_next_run_completes_it() {
    let past = shop("sha1");
    past.backfill(&[]).succeeded();
    let whole = by_id(past.sandbox.waiting("unassigned"));
    for (fault, least) in [("kill", 15), ("decider:kill", 15), ("decider:torn", 3), ("ENOSPC", 10)] {
        let mut steps = 0;
        for step in (1..400).step_by(if is_long() { 1 } else { 3 }) {
            past.clear();
            if !faulty_run(&past, &format!("{fault}@{step}")) {
                break;
            }
            steps += 1;
            let again = past.backfill(&[]);
            assert_eq!(by_id(past.sandbox.waiting("unassigned")), whole, "{fault}@{step}: {again:?}");
        }
        assert!(steps >= least / 3, "{fault}: only {steps} steps");
    }
}

#[test]
fn old_markers_are_delivered_and_not_too_old() {
    let past = shop("sha1");
    let down = Recorder::judging(|_| Answer::status(503));
    past.sandbox.deliver_to(&down.endpoint(), "[delivery]\ngive_up_after = \"1h\"\nlinger = \"1ms\"\n");
    past.backfill(&[]).succeeded();
    past.sandbox.wait_for_deliverers_to_end();
    past.sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(past.sandbox.files("dead"), Vec::<String>::new());
    let status: Value =
        past.sandbox.binary(&["status", "--json"]).succeeded_or_found().stdout.parse().expect("JSON");
    let waiting = &status["destinations"][0]["waiting"];
    assert_eq!(waiting["too_old"], 0, "{status}");
    assert!(waiting["oldest"].as_str().expect("a time") > "2026", "{status}");
    let up = Recorder::start([]);
    past.sandbox.deliver_to(&up.endpoint(), "[delivery]\ngive_up_after = \"1h\"\nlinger = \"1ms\"\n");
    past.sandbox.binary(&["deliver"]).succeeded();
    assert_eq!(past.sandbox.files("dead"), Vec::<String>::new());
    let delivered = past.sandbox.deliveries();
    assert!(delivered.iter().any(|delivery| delivery["outcome"] == "delivered"), "{delivered:?}");
}

#[test]
fn destinations_that_drop_old_events_are_named() {
    let past = shop("sha1");
    past.sandbox.configure(
        "[[destination]]\nname = \"dd\"\nkind = \"http\"\nrender = \"datadog\"\nendpoint = \"http://127.0.0.1:9\"\n\
         insecure = true\nsecrets = { api_key = { env = \"NONE\" } }\n[delivery]\nmode = \"inline\"\n",
    );
    let ran = past.backfill(&["--dry-run"]);
    assert!(ran.stderr.contains("dd refuses events older than 18 hours"), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
}

#[test]
fn shallow_reftable_and_empty_repositories() {
    let past = shop("sha1");
    let bare = format!("file://{}", past.sandbox.bare().display());
    let at = |dir: &str| past.sandbox.binary(&["backfill", dir, "--rate", "1000/s"]);
    past.sandbox.git(&["clone", "-q", "--bare", "--depth", "3", &bare, "../shallow.git"]);
    let ran = at("shallow.git");
    assert!(ran.succeeded().stdout.contains("the clone is shallow"), "{ran:?}");
    past.sandbox.git(&["clone", "-q", "--bare", "--ref-format=reftable", &bare, "../reftable.git"]);
    let ran = at("reftable.git");
    assert!(ran.succeeded().stdout.contains("7 new markers"), "{ran:?}");
    past.sandbox.git(&["init", "-q", "--bare", "../empty.git"]);
    let ran = at("empty.git");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("there is no `refs/heads/main`"), "{ran:?}");
    let ran = past.backfill(&["--branch", "none"]);
    assert!(ran.stderr.contains("there is no `refs/heads/none`"), "{ran:?}");
}

#[test]
fn json_is_one_summary() {
    let past = shop("sha1");
    let summary: Value = past.backfill(&["--json"]).succeeded().stdout.parse().expect("one object");
    assert_eq!(summary["markers"], 7);
    assert_eq!(summary["kinds"], json!({ "change": 3, "release": 2, "deployment": 2 }));
    assert_eq!(
        (&summary["updates"], &summary["done"], &summary["stopped"]),
        (&json!(8), &json!(8), &Value::Null)
    );
    assert_eq!(summary["from"], "2021-01-01T10:00:00Z");
    assert_eq!(summary["without_marker"][0]["why"], "not done");
}
