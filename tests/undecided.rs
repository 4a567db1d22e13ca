//! Pushes that cannot be decided immediately: errors of the system are retried, errors of the
//! policy wait until the policy is fixed, and nothing is lost.

use std::{collections::BTreeMap, fs, time::Duration};

use serde_json::Value;

use crate::support::{
    Sandbox,
    backend::Backend,
    recorder::Recorder,
    spool::{Ground, OUTBOX},
    wait_until,
};

/// A valid script.
const MENDED: &str = "fn decide(update) { true }";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

fn status(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.binary(&["status", "--json"]).stdout).expect("JSON")
}

/// Captures a push to main and a tag without deciding it, and returns the hook's input.
fn captured(sandbox: &Sandbox) -> String {
    let commit = sandbox.commit("A change", &[("file", "1")]);
    sandbox.push(&["HEAD:refs/heads/other"]).succeeded();
    sandbox.clear_state();
    let zero = "0".repeat(40);
    let stdin = format!("{zero} {commit} refs/heads/main\n{zero} {commit} refs/tags/v1.0.0\n");
    sandbox.write("config.toml", "state_dir = \"state\"\nbroken");
    sandbox.hook(stdin.as_bytes()).said_nothing();
    sandbox.configure("");
    stdin
}

/// Sets the first attempt at the only capture to a time beyond the retry limit.
fn begun_long_ago(sandbox: &Sandbox) {
    let name = sandbox.files("postponed").remove(0);
    let path = sandbox.state().join("postponed").join(name);
    let mut postponed: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    postponed["since"] = "2020-01-01T00:00:00Z".into();
    fs::write(&path, postponed.to_string()).expect("written");
}

#[test]
fn push_is_kept_until_its_policy_is_fixed() {
    let wrong = [
        ("does not compile", "fn decide(update) {\n  let = 1\n}", "site.rhai:2"),
        ("throws", "fn decide(update) {\n  throw \"no\"\n}", "site.rhai:2"),
        ("returns the wrong type", "fn decide(update) { 42 }", "site.rhai"),
        ("decides nothing", "let x = 1;", "site.rhai"),
        ("never ends", "fn decide(update) {\n  loop {}\n}", "site.rhai"),
        ("is not UTF-8", "fn decide(update) { \"~\" }", "site.rhai"),
        (
            "imports what is not there",
            "import \"lib/none\" as none;\nfn decide(update) { true }",
            "site.rhai:1",
        ),
        (
            "refuses by a mistake",
            "fn decide(update) { true }\nfn guard(marker, update) {\n  none()\n}",
            "site.rhai:3",
        ),
        ("enriches wrongly", "fn decide(update) { true }\nfn enrich(marker, update) {\n  1\n}", "site.rhai"),
    ];
    for (what, script, place) in wrong {
        let sandbox = Sandbox::new();
        // The step limit stops an endless script, so that the machine's speed does not matter.
        sandbox.configure("[policy.limits]\ntime = \"20s\"\noperations = 100_000\n");
        let bytes = script.bytes().map(|byte| if byte == b'~' { 0xff } else { byte });
        sandbox.write("scripts/site.rhai", bytes.collect::<Vec<u8>>());
        sandbox.commit("A change", &[]);
        let ran = sandbox.push(&["main"]);
        let remote = ran.succeeded().remote();
        let [line] = remote[..] else { panic!("{what}: {remote:?}") };
        let report = format!("gitea-lightstep: the policy failed: {place}");
        assert!(line.starts_with(&report), "{what}: {line}");
        assert!(line.ends_with("; the marker follows when it is fixed"), "{what}: {line}");
        wait_until("the background process has ended", || sandbox.deliverers().is_empty());

        assert_eq!(sandbox.files("inbox"), [""; 0], "{what}");
        assert_eq!(sandbox.files("failed").len(), 2, "{what}: the push and the reason");
        let ran = sandbox.binary(&["status"]);
        assert_eq!(ran.code, Some(1), "{what}");
        assert!(ran.stdout.contains("the policy failed on 1 push"), "{what}: {}", ran.stdout);
        assert_eq!(status(&sandbox)["failed"]["pushes"], 1, "{what}");
        let metrics = sandbox.binary(&["status", "--openmetrics"]).stdout;
        assert!(metrics.contains("\ngitea_lightstep_failed_pushes 1\n"), "{what}: {metrics}");

        // Without a change, nothing is decided again.
        let before = sandbox.decisions().len();
        assert_eq!(sandbox.binary(&["deliver"]).code, Some(1), "{what}");
        assert_eq!(sandbox.decisions().len(), before, "{what}");

        sandbox.write("scripts/site.rhai", MENDED);
        sandbox.binary(&["deliver"]).succeeded_or_found();
        let markers = sandbox.waiting("unassigned");
        assert_eq!(markers.len(), 1, "{what}");
        let push = text(&sandbox.decisions()[0]["push"]).to_string();
        let captured = sandbox.journal().into_iter().find(|entry| entry["record"] == "push").expect("a push");
        assert_eq!(markers[0]["time"], captured["captured"], "{what}: the marker has the time of its push");
        assert!(sandbox.files("outbox/unassigned/new")[0].starts_with(&push), "{what}");
        assert_eq!(sandbox.files("failed"), [""; 0], "{what}");
    }
}

#[test]
fn night_of_pushes_arrives_after_the_fix() {
    let sandbox = Sandbox::new();
    let server = Recorder::start([]);
    sandbox.deliver_to(&server.endpoint(), "protocol = \"http/json\"\n");
    sandbox.write("scripts/site.rhai", "fn decide(update) {\n  throw \"night\"\n}");
    let mut expected = BTreeMap::new();
    for nth in 0..8 {
        let commit = sandbox.commit(&format!("Change {nth}"), &[]);
        let tag = format!("v1.{nth}.0");
        sandbox.git(&["tag", &tag]);
        let before = jiff::Timestamp::now().as_nanosecond();
        sandbox.push(&["main", &tag]).succeeded();
        let pushed = before..=jiff::Timestamp::now().as_nanosecond();
        expected.insert(format!("change {}", &commit[..12]), pushed.clone());
        expected.insert(format!("release 1.{nth}.0"), pushed);
        if nth % 3 == 2 {
            assert_eq!(sandbox.binary(&["deliver"]).code, Some(1));
        }
    }
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(server.requests().len(), 0);
    sandbox.write("scripts/site.rhai", MENDED);
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "16 markers delivered\n");
    sandbox.binary(&["deliver"]).succeeded();

    for request in server.requests() {
        let sent: Value = serde_json::from_slice(&request.content()).expect("JSON");
        let scopes =
            sent["resourceLogs"].as_array().expect("a list").iter().map(|group| &group["scopeLogs"][0]);
        for record in scopes.flat_map(|scope| scope["logRecords"].as_array().expect("a list")) {
            let body = text(&record["body"]["stringValue"]);
            let (what, _) = body.split_once(": ").expect("a title");
            let pushed =
                expected.remove(&what.replace(" shop", "")).unwrap_or_else(|| panic!("again: {body}"));
            let time: i128 = text(&record["timeUnixNano"]).parse().expect("a time");
            assert!(pushed.contains(&time), "{body}: {time}, pushed in {pushed:?}");
        }
    }
    assert!(expected.is_empty(), "{expected:?}");
}

#[test]
fn changed_configuration_or_script_triggers_a_new_decision() {
    let sandbox = Sandbox::new();
    sandbox.write("scripts/lib/teams.rhai", "fn of(x) { throw \"not yet\" }");
    sandbox.write("scripts/site.rhai", "import \"lib/teams\" as teams;\nfn decide(update) { teams::of(1) }");
    sandbox.commit("A change", &[]);
    sandbox.push(&["main"]).succeeded();
    wait_until("the background process has ended", || sandbox.deliverers().is_empty());
    let decided = || sandbox.decisions().len();
    let deliver = || sandbox.binary(&["deliver"]).succeeded_or_found().code;

    let mut before = decided();
    sandbox.configure("[reply]\nto_pusher = \"all\"\n");
    deliver();
    assert_eq!(decided(), before + 1, "the configuration changed");
    before = decided();
    sandbox.write("scripts/other.rhai", MENDED);
    deliver();
    assert_eq!(decided(), before + 1, "a script was added");
    before = decided();
    deliver();
    assert_eq!(decided(), before, "nothing changed");
    // A user can request a new decision at any time.
    let id = sandbox.binary(&["queue", "list"]).stdout[..12].to_string();
    let ran = sandbox.binary(&["queue", "retry", &id]);
    assert_eq!(ran.succeeded().stdout, "1 entry put back; `gitea-lightstep deliver` sends the queue now\n");
    deliver();
    assert_eq!(decided(), before + 1, "queue retry decides it again");
    sandbox.write("scripts/lib/teams.rhai", "fn of(x) { true }");
    deliver();
    assert_eq!(sandbox.waiting("unassigned").len(), 1);
}

#[test]
fn only_failed_updates_are_decided_again() {
    let sandbox = Sandbox::new();
    let broken = "fn decide(update) { if update.branch.contains(\"odd\") { throw \"odd\" } true }";
    sandbox.write("scripts/site.rhai", broken);
    sandbox.commit("A change", &[]);
    let refs: Vec<String> =
        ["a", "odd-1", "b", "odd-2", "c"].iter().map(|name| format!("HEAD:refs/heads/{name}")).collect();
    let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
    let ran = sandbox.push(&refs);
    assert_eq!(ran.succeeded().remote().len(), 4, "three markers and the failure: {}", ran.stderr);
    assert_eq!(sandbox.waiting("unassigned").len(), 3);
    wait_until("the background process has ended", || sandbox.deliverers().is_empty());
    assert_eq!(sandbox.waiting("unassigned").len(), 3);

    // Fix one of them, and then the other.
    sandbox.write("scripts/site.rhai", broken.replace("\"odd\") {", "\"odd-2\") {"));
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(sandbox.waiting("unassigned").len(), 4);
    assert_eq!(sandbox.files("failed").len(), 2);
    sandbox.write("scripts/site.rhai", MENDED);
    sandbox.binary(&["deliver"]).succeeded_or_found();
    let mut ids: Vec<_> =
        sandbox.waiting("unassigned").iter().map(|marker| marker["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each update has a marker");
    assert_eq!(sandbox.waiting("unassigned").len(), 5, "no update has two markers");
    assert_eq!(sandbox.files("failed"), [""; 0]);
}

#[test]
fn missing_repository_delays_the_decision() {
    let sandbox = Sandbox::new();
    captured(&sandbox);
    let away = sandbox.path("git/acme/elsewhere.git");
    fs::rename(sandbox.bare(), &away).expect("moved");
    for attempt in 1..=5 {
        assert_eq!(sandbox.binary(&["deliver"]).code, Some(1));
        assert_eq!(sandbox.files("inbox").len(), 1, "attempt {attempt}");
    }
    for dir in ["dead", "failed"] {
        assert_eq!(sandbox.files(dir), [""; 0], "{dir}");
    }
    let ran = sandbox.binary(&["status"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("failed to open the repository"), "{}", ran.stdout);
    let listed = sandbox.binary(&["queue", "list"]).stdout;
    assert!(listed.contains("will be retried: failed to open the repository"), "{listed}");
    assert_eq!(status(&sandbox)["postponed"]["pushes"], 1);

    fs::rename(&away, sandbox.bare()).expect("moved");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(sandbox.waiting("unassigned").len(), 2);
    assert_eq!(sandbox.files("inbox"), [""; 0]);
    assert_eq!(sandbox.files("postponed"), [""; 0]);
}

#[test]
fn a_push_while_an_editor_saves_a_script_waits_for_the_script() {
    let decides = "fn decide(update) { mark(#{ service: \"mine\" }) }";
    let scripts = ["site.rhai", "acme.rhai", "acme/shop.rhai"];
    for (script, backup) in scripts.iter().flat_map(|script| [(script, "~"), (script, ".bak")]) {
        let sandbox = Sandbox::new();
        let script = format!("scripts/{script}");
        let backup = format!("{script}{backup}");
        sandbox.write(&backup, decides);
        sandbox.commit("A change", &[]);
        let remote = sandbox.push(&["main"]).succeeded().remote().len();
        assert_eq!((remote, sandbox.waiting("unassigned").len()), (0, 0), "{backup}: not decided yet");
        sandbox.write(&script, decides);
        wait_until("the background process has decided the push", || {
            sandbox.binary(&["deliver"]).succeeded_or_found();
            !sandbox.waiting("unassigned").is_empty()
        });
        assert_eq!(sandbox.waiting("unassigned")[0]["service"], "mine", "{backup}");
    }
}

#[test]
fn a_script_that_was_renamed_to_disable_it_holds_no_push_up() {
    let sandbox = Sandbox::new();
    sandbox.write("scripts/site.rhai.disabled", "fn decide(update) { false }");
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(60);
    let times = fs::FileTimes::new().set_modified(long_ago);
    fs::File::open(sandbox.path("scripts")).and_then(|dir| dir.set_times(times)).expect("dated back");
    sandbox.commit("A change", &[]);
    sandbox.push(&["main"]).succeeded();
    assert_eq!(sandbox.waiting("unassigned").len(), 1);
}

#[test]
fn another_repository_in_the_place_of_the_one_that_was_pushed_to_costs_nothing() {
    let replacements: [(&str, &[&[&str]]); 3] = [
        ("an empty one", &[&["init", "-q", "--bare", "."]]),
        ("an empty one of another branch", &[&["init", "-q", "--bare", "-b", "trunk", "."]]),
        (
            "one of another history",
            &[
                &["init", "-q", "--bare", "-b", "main", "."],
                &["update-ref", "refs/heads/main", "$(git commit-tree -m other $(git mktree </dev/null))"],
            ],
        ),
    ];
    for (what, commands) in replacements {
        let sandbox = Sandbox::new();
        captured(&sandbox);
        let away = sandbox.path("git/acme/elsewhere.git");
        fs::rename(sandbox.bare(), &away).expect("moved");
        fs::create_dir(sandbox.bare()).expect("a directory");
        for args in commands {
            let line = format!("git {}", args.join(" "));
            let ran = sandbox.run(sandbox.command("sh", &sandbox.bare()).args(["-c", &line]), b"");
            ran.succeeded();
        }
        sandbox.binary(&["deliver"]).succeeded_or_found();
        assert_eq!(sandbox.files("inbox").len(), 1, "{what}");
        assert_eq!(sandbox.waiting("unassigned").len(), 0, "{what}");
        let listed = sandbox.binary(&["queue", "list"]).stdout;
        assert!(listed.contains("is missing from the repository"), "{what}: {listed}");

        fs::remove_dir_all(sandbox.bare()).expect("removed");
        fs::rename(&away, sandbox.bare()).expect("moved");
        sandbox.binary(&["deliver"]).succeeded_or_found();
        assert_eq!(sandbox.waiting("unassigned").len(), 2, "{what}");
        assert_eq!(sandbox.files("inbox"), [""; 0], "{what}");
    }
}

#[test]
fn long_undecided_push_becomes_a_dead_letter() {
    let sandbox = Sandbox::new();
    captured(&sandbox);
    let away = sandbox.path("git/acme/elsewhere.git");
    fs::rename(sandbox.bare(), &away).expect("moved");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    begun_long_ago(&sandbox);
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(sandbox.files("inbox"), [""; 0]);
    let dead = sandbox.binary(&["queue", "list", "--dead"]).stdout;
    assert!(dead.contains("could not be decided for 6d"), "{dead}");

    fs::rename(&away, sandbox.bare()).expect("moved");
    sandbox.binary(&["queue", "retry", "--all"]).succeeded();
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(sandbox.waiting("unassigned").len(), 2);
}

#[test]
fn broken_repository_is_retried() {
    for (what, file, content) in [
        ("a HEAD of garbage", "HEAD", Some("garbage\n")),
        ("no HEAD", "HEAD", None),
        ("a broken configuration", "config", Some("[core\n")),
        ("an unknown format", "config", Some("[core]\nrepositoryformatversion = 7\n")),
    ] {
        let sandbox = Sandbox::new();
        captured(&sandbox);
        let path = sandbox.bare().join(file);
        let before = fs::read(&path).expect("a file");
        fs::remove_file(&path).expect("removed");
        if let Some(content) = content {
            fs::write(&path, content).expect("written");
        }
        sandbox.binary(&["deliver"]).succeeded_or_found();
        // The tag may be decided, if its objects are readable.
        assert_eq!(sandbox.files("inbox").len() + sandbox.files("failed").len() / 2, 1, "{what}");
        assert!(sandbox.waiting("unassigned").len() < 2, "{what}");
        assert_eq!(sandbox.files("dead"), [""; 0], "{what}");
        fs::write(&path, before).expect("written");
        sandbox.binary(&["queue", "retry", "--all"]).succeeded_or_found();
        sandbox.binary(&["deliver"]).succeeded_or_found();
        assert_eq!(sandbox.waiting("unassigned").len(), 2, "{what}");
    }
}

#[test]
fn push_with_a_blocked_decider_does_not_delay_others() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("hangs", &backend);
    let pushes = [ground.typical(0), ground.typical(1), ground.typical(2)];
    // The first push waits for its decision, the third one for its delivery.
    spool.hook(&pushes[0], "torn@2").was_a_good_hook();
    spool.hook(&pushes[2], "").was_a_good_hook();
    let hanging = spool.begin_deliver("decider:stall@8+");
    wait_until("the decider hangs", || spool.struck().is_some());
    wait_until("the decided push is sent", || !backend.ids().is_empty());
    // The process that a new push starts decides and delivers it.
    spool.hook(&pushes[1], "torn@2").was_a_good_hook();
    let ended = spool.healthy(&["deliver"]);
    ended.was_a_good_delivery();
    assert_eq!(spool.files("inbox").len(), 1, "the first push is held by its decider: {}", spool.describe());
    assert_eq!(spool.files(OUTBOX).len(), 0);
    spool.holds_its_promise(&pushes[1..]);
    hanging.kill();
    spool.holds_after_drain(&pushes);
}

#[test]
fn held_lock_of_the_deployment_history_does_not_block() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("frozen", &backend);
    let push = ground.typical(0);
    spool.hook(&ground.typical(5), "").was_a_good_hook();
    let deployed = spool.state().join("deployed");
    let locks: Vec<_> = (0..16)
        .map(|nth| {
            let path = deployed.join(format!("lock.{nth:x}"));
            let file = fs::OpenOptions::new().append(true).create(true).open(path).expect("a file");
            file.lock().expect("locked");
            file
        })
        .collect();
    let start = std::time::Instant::now();
    spool.hook(&push, "").was_a_good_hook();
    spool.healthy(&["deliver"]).was_a_good_delivery();
    // This used to block forever. The limit is generous for a busy machine.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert!(spool.describe().contains("another process has held the lock"), "{}", spool.describe());
    drop(locks);
    spool.holds_its_promise(&[ground.typical(5), push]);
}
