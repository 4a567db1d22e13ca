//! `queue list`, `show`, `retry` and `drop`: output, effect on the disk, and exit status.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::Value;

use crate::support::{
    BINARY, Sandbox, assert_golden,
    backend::{Backend, Say},
    recorder::{Answer, Recorder},
    spool::{Ground, OUTBOX, Push, Spool, unsealed},
    terminal::on_terminal,
};

/// Creates a sandbox with a push that `collector` rejected with this message.
fn refused(said: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.configure("");
    sandbox.commit("Refused", &[]);
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.push(&["main", "v1.0.0"]).succeeded();
    let status =
        [&[0x08, 0x03, 0x12, u8::try_from(said.len()).expect("short")][..], said.as_bytes()].concat();
    let answer = || Answer::status(400).header("content-type", "application/x-protobuf").body(status.clone());
    // Every part of a split batch is rejected too.
    let recorder = Recorder::start(std::iter::repeat_with(answer).take(8));
    sandbox.deliver_to(&recorder.endpoint(), "");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    sandbox
}

/// Returns the entries from `queue list --json`.
#[track_caller]
fn list(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let ran = sandbox.binary(&[&["queue", "list", "--json"], args].concat());
    ran.succeeded().stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// Returns the journal entries for queue commands.
fn actions(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.journal().into_iter().filter(|entry| entry["record"] == "queue").collect()
}

/// Copies the file of a queued marker.
fn copy_marker(sandbox: &Sandbox, to: &str) {
    let from = sandbox.files("outbox/unassigned/new").remove(0);
    let content = fs::read(sandbox.state().join("outbox/unassigned/new").join(from)).expect("a file");
    sandbox.write(to, content);
}

#[test]
fn list_has_a_line_for_each_entry() {
    let sandbox = Sandbox::new();
    let ran = sandbox.binary(&["queue", "list"]);
    assert_eq!(ran.succeeded().stdout, "no queued entries and no dead letters\n");
    assert!(!sandbox.state().exists(), "looking makes nothing");

    let commit = sandbox.commit("One", &[]);
    sandbox.git(&["tag", "checkout/v1.0.0"]);
    sandbox.push(&["main", "checkout/v1.0.0"]).succeeded();
    let name = sandbox.files("outbox/unassigned/new").remove(0);
    copy_marker(&sandbox, &format!("state/dead/collector.{name}"));
    sandbox.write(
        &format!("state/dead/collector.{name}.why.json"),
        r#"{"time":"2026-11-22T10:00:00Z","from":"collector","why":"HTTP 401: \u001b[31mno\nentry"}"#,
    );
    sandbox.write("state/dead/stray", "what is this");
    sandbox.write("state/inbox/stray", "and this");
    // A push that stays in the inbox, because the configuration is invalid.
    sandbox.write("config.toml", "state_dir = \"state\"\nbroken");
    sandbox.hook(format!("{} {commit} refs/heads/topic\n", "0".repeat(40)).as_bytes()).said_nothing();
    sandbox.configure("");

    let ran = sandbox.binary(&["queue", "list"]);
    let lines: Vec<String> = ran
        .succeeded()
        .stdout
        .lines()
        .map(|line| {
            let (id, rest) = line.split_at(12);
            assert!(id.bytes().all(|b| b.is_ascii_hexdigit()), "{line}");
            // Remove the age, which differs between runs.
            let (place, rest) = rest.trim_start().split_at(19);
            let rest = rest.trim_start();
            let rest = rest.split_once("s  ").map_or(rest, |(_, rest)| rest);
            format!("{} | {rest}", place.trim_end())
        })
        .collect();
    assert_eq!(
        lines,
        [
            "inbox | a push to acme/shop by ann, not decided yet",
            "inbox | ?  not a file of gitea-lightstep, never read: stray",
            "outbox unassigned | 2 markers: change shop, release checkout",
            "dead collector | 2 markers: change shop, release checkout: HTTP 401: \\u{1b}[31mno\\nentry",
            "dead stray | ?  unreadable: its first line is incomplete: the reason cannot be read",
        ]
    );

    let json = list(&sandbox, &[]);
    assert_eq!(json.len(), 5);
    assert_eq!(json[0]["repository"], "acme/shop");
    assert_eq!((&json[2]["markers"], &json[2]["is_whole"]), (&2.into(), &true.into()));
    assert_eq!(json[2]["services"], serde_json::json!({ "checkout": 1, "shop": 1 }));
    assert_eq!(json[3]["kinds"], serde_json::json!({ "change": 1, "release": 1 }));
    assert_eq!(json[3]["why"], "HTTP 401: \u{1b}[31mno\nentry");
    let places = |args: &[&str]| -> Vec<String> {
        list(&sandbox, args).iter().map(|e| format!("{} {}", text(&e["place"]), text(&e["from"]))).collect()
    };
    assert_eq!(places(&["--dead"]), ["dead collector", "dead stray"]);
    assert_eq!(places(&["--destination", "collector"]), ["dead collector"]);
    assert_eq!(places(&["--destination", "inbox"]).len(), 2);
    assert_eq!(places(&["--destination", "unassigned"]), ["outbox unassigned"]);

    let ran = sandbox.binary(&["queue", "list", "--destination", "unasigned"]);
    assert_eq!((ran.code, &*ran.stdout), (Some(1), ""));
    assert_eq!(
        ran.stderr,
        "gitea-lightstep: destination `unasigned` is not configured and has no entries; did you mean \
         `unassigned`?\n"
    );
}

#[test]
fn show_prints_everything_without_control_characters() {
    let sandbox = refused("go \x1b[2Jaway");
    sandbox.configure("");
    sandbox.commit("Wipe \x1b[2J the screen", &[]);
    sandbox.push(&["main"]).succeeded();
    for entry in list(&sandbox, &[]) {
        let id = text(&entry["id"]);
        let ran = sandbox.binary(&["queue", "show", id]);
        let shown = &ran.succeeded().stdout;
        assert!(!shown.contains('\x1b'), "{shown}");
        let json: Value =
            serde_json::from_str(&sandbox.binary(&["queue", "show", id, "--json"]).stdout).expect("JSON");
        assert_eq!(json["id"], id);
        let markers = json["lines"].as_array().expect("a list");
        assert_eq!(Some(markers.len() as u64), entry["markers"].as_u64());
        for marker in markers {
            for (name, value) in marker["attributes"].as_object().expect("attributes") {
                assert!(shown.contains(&format!("attributes.{name} = ")), "{name} {value}: {shown}");
            }
            assert!(shown.contains(&format!("id = {}", text(&marker["id"]))), "{shown}");
        }
        if entry["place"] == "dead" {
            assert!(shown.contains("reason       HTTP 400: go \\u{1b}[2Jaway\n"), "{shown}");
            assert!(shown.contains("where        dead collector\n"), "{shown}");
        }
    }
    // A capture is shown with the input lines from git.
    let hostile = "refs/heads/\x1b]0;mine\x07";
    sandbox.write("config.toml", "state_dir = \"state\"\nbroken");
    let commit = sandbox.git(&["rev-parse", "HEAD"]);
    sandbox.hook(format!("{} {commit} {hostile}\n", "0".repeat(40)).as_bytes()).said_nothing();
    sandbox.configure("");
    let capture = list(&sandbox, &["--destination", "inbox"]).remove(0);
    let ran = sandbox.binary(&["queue", "show", text(&capture["id"])]);
    assert!(ran.succeeded().stdout.contains("refs/heads/\\u{1b}]0;mine\\u{7}\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("source.repository.name = shop\n"), "{}", ran.stdout);
}

#[test]
fn retried_letter_keeps_its_id() {
    let sandbox = refused("no such team");
    let dead = list(&sandbox, &["--dead"]);
    let markers: u64 = dead.iter().filter_map(|letter| letter["markers"].as_u64()).sum();
    assert_eq!(markers, 2);
    let id = text(&dead[0]["id"]);

    let ran = sandbox.binary(&["queue", "retry", &id[..8]]);
    assert_eq!(ran.succeeded().stdout, "1 entry put back; `gitea-lightstep deliver` sends the queue now\n");
    let waiting = list(&sandbox, &[]).into_iter().find(|entry| entry["id"] == id).expect("it is there");
    assert_eq!((&waiting["place"], &waiting["from"]), (&"outbox".into(), &"collector".into()));
    assert!(!sandbox.files("dead").contains(&text(&dead[0]["name"]).to_string()));
    let done = actions(&sandbox).pop().expect("an entry");
    assert_eq!((&done["action"], &done["why"]), (&"put_back".into(), &"HTTP 400: no such team".into()));

    let again = sandbox.binary(&["queue", "retry", id]);
    assert_eq!((again.code, &*again.stdout), (Some(1), ""));
    assert_eq!(
        again.stderr,
        format!(
            "gitea-lightstep: `{id}` is not a dead letter, it is still queued in outbox collector; \
             `gitea-lightstep deliver` sends it now\n"
        )
    );
    let unknown = sandbox.binary(&["queue", "retry", "000000000000"]);
    assert_eq!(unknown.code, Some(1));
    assert_eq!(
        unknown.stderr,
        "gitea-lightstep: no entry has the ID `000000000000`: it may have been delivered; `gitea-lightstep \
         queue list` shows all entries\n"
    );

    sandbox.binary(&["queue", "retry", "--all", "--destination", "collector", "--quiet"]).said_nothing();
    assert_eq!(sandbox.files("dead"), [""; 0]);
    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "");
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "2 markers delivered\n");
    assert_eq!(list(&sandbox, &[]).len(), 0);
    let ran = sandbox.binary(&["queue", "retry", "--all"]);
    assert_eq!(ran.succeeded().stdout, "no dead letters to put back, and no pushes whose policy failed\n");
    let log = sandbox.binary(&["log"]);
    assert!(log.stdout.contains("put back  "), "{}", log.stdout);
}

#[test]
fn wrong_ids_are_reported_with_a_fix() {
    let sandbox = Sandbox::new();
    for wrong in ["abc", "abcdefghijkl", "1234567890abc", "../../etc"] {
        let ran = sandbox.binary(&["queue", "show", wrong]);
        assert_eq!(ran.code, Some(2));
        assert!(ran.stderr.contains("expected an id of 4 to 12 hexadecimal digits"), "{}", ran.stderr);
    }
    for args in [&["retry"][..], &["drop"], &["retry", "--all", "abcd"], &["retry", "--destination", "x"]] {
        assert_eq!(sandbox.binary(&[&["queue"], args].concat()).code, Some(2), "{args:?}");
    }
    // With this many dead letters, two IDs almost certainly share their first four characters.
    for n in 0..1500 {
        sandbox.write(&format!("state/dead/collector.00000000-0000-7000-8000-{n:012}.0"), "");
    }
    let mut ids: Vec<String> =
        list(&sandbox, &["--dead"]).iter().map(|entry| text(&entry["id"]).to_string()).collect();
    assert_eq!(ids.len(), 1500);
    ids.sort();
    let pair = ids
        .windows(2)
        .find(|pair| pair[0][..4] == pair[1][..4])
        .expect("two ids share their first four digits");
    let ran = sandbox.binary(&["queue", "drop", "--yes", &pair[0][..4]]);
    assert_eq!((ran.code, &*ran.stdout), (Some(1), ""));
    let start = format!("gitea-lightstep: `{}` matches 2 ids; give more digits: ", &pair[0][..4]);
    assert!(ran.stderr.starts_with(&start), "{}", ran.stderr);
    assert!(pair.iter().all(|id| ran.stderr.contains(&format!("`{id}` (dead collector)"))), "{}", ran.stderr);
    sandbox.binary(&["queue", "drop", "--yes", &pair[0]]).succeeded();
    assert_eq!(list(&sandbox, &["--dead"]).len(), 1499);
}

#[test]
fn interrupted_retry_is_completed_by_the_next() {
    let sandbox = refused("no");
    let name = text(&list(&sandbox, &["--dead"])[0]["name"]).to_string();
    let place = name.strip_prefix("collector.").expect("the destination");
    let letter = sandbox.state().join("dead").join(&name);
    let new = sandbox.state().join("outbox/collector/new");
    // The state after a crash: the letter has both its new and its old name.
    fs::hard_link(&letter, new.join(place)).expect("linked");
    let id = text(&list(&sandbox, &["--dead"])[0]["id"]).to_string();
    let show = sandbox.binary(&["queue", "show", &id]);
    assert_eq!(show.code, Some(1));
    assert_eq!(
        show.stderr,
        format!(
            "gitea-lightstep: `{id}` exists twice, in outbox collector and in dead collector; use --dead for \
             the dead letter\n"
        )
    );
    sandbox.binary(&["queue", "show", "--dead", &id]).succeeded();
    sandbox.binary(&["queue", "retry", &id]).succeeded();
    assert!(!letter.exists() && new.join(place).exists());
    assert!(!sandbox.files("dead").contains(&format!("{name}.why.json")));

    // A reason without its letter is not an entry, and is deleted when it is old.
    sandbox.write("state/dead/collector.x.why.json", "{}");
    let reason = sandbox.state().join("dead/collector.x.why.json");
    sandbox.binary(&["queue", "retry", "--all"]).succeeded();
    assert!(reason.exists(), "the reason must stay until its dead letter is written");
    let old = SystemTime::now() - Duration::from_secs(7200);
    fs::File::open(&reason).and_then(|file| file.set_modified(old)).expect("dated");
    sandbox.binary(&["queue", "retry", "--all"]).succeeded();
    assert!(!reason.exists());
}

#[test]
fn letter_is_not_put_back_over_an_existing_file() {
    let sandbox = refused("no");
    let letter = list(&sandbox, &["--dead"]).remove(0);
    let place = text(&letter["name"]).strip_prefix("collector.").expect("the destination").to_string();
    sandbox.write(&format!("state/outbox/collector/new/{place}"), "decided once more");
    let ran = sandbox.binary(&["queue", "retry", text(&letter["id"])]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("stays a dead letter: the same push is already queued for `collector`"),
        "{}",
        ran.stderr
    );
    let waiting = fs::read_to_string(sandbox.state().join("outbox/collector/new").join(place)).expect("it");
    assert_eq!(waiting, "decided once more");
    assert!(sandbox.files("dead").contains(&text(&letter["name"]).to_string()));

    // It is not put back for a destination that is not configured either.
    sandbox.configure("");
    let ran = sandbox.binary(&["queue", "retry", "--all"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("destination `collector` is not configured"), "{}", ran.stderr);
}

#[test]
fn captured_push_is_retried_from_its_next_update() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Deadly", &[]);
    sandbox.push(&["HEAD:refs/heads/elsewhere"]).succeeded();
    sandbox.clear_state();
    sandbox.write("config.toml", "state_dir = \"state\"\nbroken");
    let zero = "0".repeat(40);
    let stdin = format!("{zero} {commit} refs/heads/main\n{zero} {commit} refs/tags/v1.0.0\n");
    sandbox.hook(stdin.as_bytes()).said_nothing();
    let name = sandbox.files("inbox").remove(0);
    let inbox = sandbox.state().join("inbox");
    // Its first update is decided, and its repository has been missing for years.
    fs::rename(inbox.join(&name), inbox.join(name.replace(".0.0", ".1.0"))).expect("renamed");
    sandbox.configure("");
    let away = sandbox.path("away.git");
    fs::rename(sandbox.bare(), &away).expect("renamed");
    put_off_for_years(&sandbox.state());
    sandbox.binary(&["deliver"]).succeeded_or_found();
    fs::rename(&away, sandbox.bare()).expect("renamed");
    let letter = list(&sandbox, &["--dead"]).remove(0);
    assert_eq!((&letter["from"], &letter["repository"]), (&"inbox".into(), &"acme/shop".into()));

    let ran = sandbox.binary(&["queue", "retry", text(&letter["id"])]);
    assert_eq!(ran.succeeded().stdout, "1 entry put back; `gitea-lightstep deliver` sends the queue now\n");
    assert_eq!(sandbox.files("inbox"), [name.replace(".0.0", ".1.0")]);
    sandbox.binary(&["deliver"]).succeeded_or_found();
    let kinds: Vec<_> = sandbox.waiting("unassigned").iter().map(|marker| marker["kind"].clone()).collect();
    assert_eq!(kinds, ["release"]);
}

#[test]
fn single_marker_is_put_back_with_a_new_retry_period() {
    let sandbox = Sandbox::new();
    sandbox.commit("Old", &[]);
    sandbox.push(&["main"]).succeeded();
    let name = sandbox.files("outbox/unassigned/new").remove(0);
    let marker = sandbox.waiting("unassigned").remove(0);
    // The file name of an isolated marker ends with the marker's ID.
    let alone = format!("{name}.{}", text(&marker["id"]));
    copy_marker(&sandbox, &format!("state/outbox/collector/new/{alone}"));
    fs::remove_file(sandbox.state().join("outbox/unassigned/new").join(&name)).expect("removed");
    let waiting: PathBuf = sandbox.state().join("outbox/collector/new").join(&alone);
    let old = unsealed(&fs::read_to_string(&waiting).expect("a file"));
    let old = old.replace(text(&marker["time"]), "2020-01-01T00:00:00Z");
    fs::write(&waiting, old).expect("written");
    let long_ago = SystemTime::now() - Duration::from_secs(30 * 86_400);
    fs::File::open(&waiting).and_then(|file| file.set_modified(long_ago)).expect("dated");

    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    let letter = list(&sandbox, &["--dead"]).remove(0);
    assert_eq!(letter["name"], format!("collector.{alone}"));
    assert_eq!(letter["why"], "older than [delivery] give_up_after");
    sandbox.binary(&["queue", "retry", text(&letter["id"])]).succeeded();
    assert_eq!(sandbox.files("outbox/collector/new"), [alone]);
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "1 marker delivered\n");
}

#[test]
fn marker_is_given_up_before_a_retention_of_seven_days_ends() {
    for (hours, is_sent) in [(6 * 24 - 1, true), (6 * 24 + 1, false)] {
        let sandbox = Sandbox::new();
        sandbox.commit("Late", &[]);
        sandbox.push(&["main"]).succeeded();
        let name = sandbox.files("outbox/unassigned/new").remove(0);
        let marker = sandbox.waiting("unassigned").remove(0);
        copy_marker(&sandbox, &format!("state/outbox/collector/new/{name}"));
        fs::remove_file(sandbox.state().join("outbox/unassigned/new").join(&name)).expect("removed");
        let waiting = sandbox.state().join("outbox/collector/new").join(&name);
        let then = SystemTime::now() - Duration::from_secs(hours * 3_600);
        let time = jiff::Timestamp::try_from(then).expect("a time").to_string();
        let old = unsealed(&fs::read_to_string(&waiting).expect("a file"));
        fs::write(&waiting, old.replace(text(&marker["time"]), &time)).expect("written");
        fs::File::open(&waiting).and_then(|file| file.set_modified(then)).expect("dated");
        let recorder = Recorder::start([]);
        sandbox.deliver_to(&recorder.endpoint(), "");
        sandbox.binary(&["deliver"]).succeeded_or_found();
        assert_eq!(!recorder.requests().is_empty(), is_sent, "{hours}");
        assert_eq!(sandbox.files("dead").is_empty(), is_sent, "{hours}");
    }
}

#[test]
fn drop_deletes_the_entry_and_records_it() {
    let sandbox = refused("no such team");
    let letters = list(&sandbox, &["--dead"]);
    let id = text(&letters[0]["id"]);
    let before = sandbox.files("dead");

    let ran = sandbox.binary(&["queue", "drop", id]);
    assert_eq!((ran.code, &*ran.stdout), (Some(2), ""));
    assert!(
        ran.stderr.ends_with("gitea-lightstep: this would permanently drop 1 entry; confirm with --yes\n"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.starts_with(id), "the prompt names the entry: {}", ran.stderr);
    let ran = sandbox.binary(&["queue", "drop", "--all", "--yes"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--all drops dead letters only"), "{}", ran.stderr);
    assert_eq!(sandbox.files("dead"), before);

    let shown: Value =
        serde_json::from_str(&sandbox.binary(&["queue", "show", "--json", id]).stdout).expect("JSON");
    let ids: Vec<_> = shown["lines"].as_array().expect("markers").iter().map(|m| m["id"].clone()).collect();
    let ran = sandbox.binary(&["queue", "drop", "--yes", id, "0000000000"]);
    assert_eq!((ran.code, &*ran.stdout), (Some(1), "1 entry dropped\n"));
    assert!(ran.stderr.contains("no entry has the ID `0000000000`"), "{}", ran.stderr);
    let dropped = actions(&sandbox).pop().expect("an entry");
    assert_eq!(dropped["action"], "dropped");
    assert_eq!(dropped["was_dead"], true);
    assert_eq!(dropped["markers"].as_array(), Some(&ids));
    assert_eq!(dropped["why"], "HTTP 400: no such team");
    let log = sandbox.binary(&["log"]);
    assert!(log.stdout.contains("for collector, was dead: HTTP 400: no such team\n"), "{}", log.stdout);

    let ran = sandbox.binary(&["queue", "drop", "--all", "--dead", "--yes", "--json"]);
    let left = list(&sandbox, &[]).len();
    assert_eq!(ran.succeeded().stdout, format!("{{\"dropped\":{},\"failed\":0}}\n", letters.len() - 1));
    assert_eq!((left, sandbox.files("dead").len()), (0, 0));
}

#[test]
fn drop_asks_on_a_terminal() {
    let sandbox = refused("no");
    let asked = |typed: &str| on_terminal(&sandbox, &["queue", "drop", "--all", "--dead"], typed);
    let count = list(&sandbox, &["--dead"]).len();
    let question = format!(
        "permanently drop {}? [y/N] ",
        if count == 1 { "1 dead letter".into() } else { format!("{count} dead letters") }
    );
    for no in ["n", "Now what?"] {
        let ran = asked(no);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stdout.starts_with(&question), "{}", ran.stdout);
        assert!(ran.stdout.ends_with("gitea-lightstep: nothing was dropped\r\n"), "{}", ran.stdout);
    }
    assert_eq!(list(&sandbox, &["--dead"]).len(), count);
    let ran = asked("y");
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    assert_eq!(list(&sandbox, &["--dead"]).len(), 0);
}

#[test]
fn entry_in_use_is_not_dropped() {
    let sandbox = Sandbox::new();
    sandbox.commit("Waits", &[]);
    sandbox.push(&["main"]).succeeded();
    let commit = sandbox.git(&["rev-parse", "HEAD"]);
    sandbox.write("config.toml", "state_dir = \"state\"\nbroken");
    sandbox.hook(format!("{} {commit} refs/heads/topic\n", "0".repeat(40)).as_bytes()).said_nothing();
    sandbox.configure("");
    let ids: Vec<String> = list(&sandbox, &[]).iter().map(|entry| text(&entry["id"]).to_string()).collect();
    let [capture, markers] = &*ids else { panic!("{ids:?}") };

    sandbox.write("state/outbox/unassigned/lock", "");
    let lock = fs::File::open(sandbox.state().join("outbox/unassigned/lock")).expect("the lock");
    lock.lock().expect("locked");
    let name = sandbox.files("inbox").remove(0);
    let held = fs::File::open(sandbox.state().join("inbox").join(name)).expect("the capture");
    held.lock().expect("locked");
    let ran = sandbox.binary(&["queue", "drop", "--yes", capture, markers]);
    assert_eq!((ran.code, &*ran.stdout), (Some(1), ""));
    assert_eq!(
        ran.stderr,
        format!(
            "gitea-lightstep: failed to drop `{capture}`: a push or a delivery is using it; \
             retry when that has finished\n\
             gitea-lightstep: failed to drop `{markers}`: a delivery to `unassigned` is running; stop it, or \
             retry when it has finished\n"
        )
    );
    assert_eq!((sandbox.files("inbox").len(), sandbox.waiting("unassigned").len()), (1, 1));
    assert_eq!(actions(&sandbox).len(), 0);
    drop((lock, held));
    let ran = sandbox.binary(&["queue", "drop", "--yes", capture, markers]);
    assert_eq!(ran.succeeded().stdout, "2 entries dropped\n");
    assert_eq!((sandbox.files("inbox").len(), sandbox.waiting("unassigned").len()), (0, 0));
    let done = actions(&sandbox);
    assert_eq!((&done[0]["from"], &done[0]["was_dead"]), (&"inbox".into(), &false.into()));
    assert_eq!(done[1]["markers"].as_array().map(Vec::len), Some(1));
    let log = sandbox.binary(&["log"]);
    assert!(log.stdout.contains("dropped   1 marker for unassigned, was waiting\n"), "{}", log.stdout);
}

#[test]
fn capture_that_is_decided_one_update_at_a_time_is_not_dropped() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Waits", &[]);
    sandbox.write("config.toml", "state_dir = \"state\"\nbroken");
    sandbox.hook(format!("{} {commit} refs/heads/topic\n", "0".repeat(40)).as_bytes()).said_nothing();
    sandbox.configure("");
    let id = |sandbox: &Sandbox| text(&list(sandbox, &[])[0]["id"]).to_string();
    let before = id(&sandbox);
    let name = sandbox.files("inbox").remove(0);
    let inbox = sandbox.state().join("inbox");
    let alone = format!("{}.0.1.alone", name.split('.').next().expect("the push"));
    fs::rename(inbox.join(&name), inbox.join(&alone)).expect("renamed");
    assert_eq!(id(&sandbox), before, "the id of a capture does not change while it is decided");

    let held = fs::File::open(inbox.join(&alone)).expect("the capture");
    held.lock().expect("locked");
    let ran = sandbox.binary(&["queue", "drop", "--yes", &before]);
    assert_eq!((ran.code, sandbox.files("inbox")), (Some(1), vec![alone]), "{}", ran.stderr);
    drop(held);
    sandbox.binary(&["queue", "drop", "--yes", &before]).succeeded();
    assert_eq!(sandbox.files("inbox"), [""; 0]);
}

#[test]
fn hundred_thousand_entries_are_listed_in_little_memory() {
    let sandbox = Sandbox::new();
    sandbox.commit("One of many", &[]);
    sandbox.push(&["main"]).succeeded();
    let name = sandbox.files("outbox/unassigned/new").remove(0);
    let from = sandbox.state().join("outbox/unassigned/new").join(&name);
    let new = sandbox.state().join("outbox/collector/new");
    fs::create_dir_all(&new).expect("a directory");
    let mut source = from;
    for n in 0..100_000 {
        let target = new.join(format!("00000000-0000-7000-8000-{n:012}.0"));
        // A file cannot have an unlimited number of hard links.
        if n % 10_000 == 0 {
            fs::copy(&source, &target).expect("copied");
            source = target;
        } else {
            fs::hard_link(&source, &target).expect("linked");
        }
    }
    sandbox.deliver_to("http://127.0.0.1:1", "");
    let limited = |args: &[&str]| {
        let mut command = sandbox.command("bash", &sandbox.path(""));
        // The names alone need more memory than this.
        command.args(["-c", "ulimit -d 2048; exec \"$0\" \"$@\"", BINARY]).args(args);
        sandbox.run(command.arg("--config").arg(sandbox.path("config.toml")), b"")
    };
    let ran = limited(&["queue", "list", "--destination", "collector"]);
    assert_eq!(ran.succeeded().stdout.lines().count(), 100_000);
    let ran = limited(&["status", "--json"]);
    let status: Value = serde_json::from_str(&ran.succeeded_or_found().stdout).expect("JSON");
    assert_eq!(status["destinations"][0]["waiting"]["files"], 100_000);
    assert_eq!(status["destinations"][0]["waiting"]["oldest"], "1970-01-01T00:00:00Z");
}

/// Makes the only capture look as if it had been retried since 2020.
fn put_off_for_years(state: &Path) {
    let inbox = fs::read_dir(state.join("inbox")).expect("a directory").flatten();
    let name = inbox.map(|entry| entry.file_name().into_string().expect("text")).next().expect("a capture");
    let push = name.split('.').next().expect("a push");
    let then = "2020-01-01T00:00:00Z";
    let postponed =
        serde_json::json!({ "since": then, "last": then, "attempts": 1, "next": then, "why": "a test" });
    fs::create_dir_all(state.join("postponed")).expect("a directory");
    fs::write(state.join(format!("postponed/{push}.json")), postponed.to_string()).expect("written");
}

/// Creates a spool with two dead letters, one from the inbox and one from a destination.
fn all_dead<'a>(ground: &'a Ground, backend: &'a Backend, name: &str) -> (Spool<'a>, [Push; 2]) {
    let spool = ground.spool(name, backend);
    let pushes = [0, 1].map(|nth| ground.typical(nth));
    let [captured, marked] = &pushes;
    spool.hook(captured, "torn@2").was_a_good_hook();
    put_off_for_years(&spool.state());
    spool.hook(marked, "").was_a_good_hook();
    backend.always_say(Say::Never);
    assert_eq!(spool.deliver("decider:EIO@4").code, Some(1), "every marker was refused");
    backend.always_say(Say::Yes);
    backend.forget();
    (spool, pushes)
}

fn letters(spool: &Spool<'_>) -> Vec<String> {
    spool.files("dead").into_keys().filter(|name| !name.ends_with(".why.json")).collect()
}

#[test]
fn retry_killed_at_any_step_loses_nothing() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let mut steps = 0;
    for step in 1.. {
        let (spool, pushes) = all_dead(&ground, &backend, &format!("retry-{step}"));
        assert!(letters(&spool).iter().any(|name| name.starts_with("inbox.")), "{}", spool.describe());
        assert!(letters(&spool).len() > 2 && spool.files(OUTBOX).is_empty(), "{}", spool.describe());
        let ended = spool.faulty(&["queue", "retry", "--all"], &format!("kill@{step}"));
        assert!(pushes.iter().all(|push| spool.holds(push)), "at {:?}: {}", spool.struck(), spool.describe());
        let again = spool.healthy(&["queue", "retry", "--all"]);
        assert_eq!((again.code, &*again.stderr), (Some(0), ""), "after {:?}", spool.struck());
        assert_eq!(letters(&spool), [""; 0]);
        spool.holds_after_drain(&pushes);
        assert_eq!(letters(&spool), [""; 0], "every marker arrived");
        if !ended.is_killed() {
            steps = step - 1;
            break;
        }
    }
    assert!(steps >= 25, "only {steps} steps");
}

#[test]
fn drop_killed_at_any_step_is_in_the_journal_if_done() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for step in 1.. {
        let (spool, pushes) = all_dead(&ground, &backend, &format!("drop-{step}"));
        let before = letters(&spool).len();
        let ended = spool.faulty(&["queue", "drop", "--all", "--dead", "--yes"], &format!("kill@{step}"));
        let noted =
            spool.files("journal").values().map(|text| text.matches("\"dropped\"").count()).sum::<usize>();
        let gone = before - letters(&spool).len();
        assert!(
            noted == gone || noted == gone + 1,
            "{noted} drops in the journal, {gone} entries gone at {:?}",
            spool.struck()
        );
        let again = spool.healthy(&["queue", "drop", "--all", "--dead", "--yes"]);
        assert_eq!((again.code, &*again.stderr), (Some(0), ""));
        assert_eq!(letters(&spool), [""; 0]);
        assert!(!pushes.iter().any(|push| spool.holds(push)));
        if !ended.is_killed() {
            assert!(step > 10, "only {step} steps");
            break;
        }
    }
}

#[test]
fn text_output_of_queue_matches_the_golden_files() {
    let sandbox = refused("no such team");
    sandbox.configure("");
    sandbox.commit(
        "A change that waits\n\nTraceparent: 00-5b8efff798038103d269b633813fc60c-eee19b7ec3c1b174-01",
        &[],
    );
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    let said = |args: &[&str]| {
        let ran = sandbox.binary(args);
        format!("$ gitea-lightstep {}\n{}{}", args.join(" "), ran.stdout, ran.stderr)
    };
    let ids: Vec<String> = list(&sandbox, &[]).iter().map(|entry| text(&entry["id"]).to_string()).collect();
    let golden = |name: &str, text: String| assert_golden(&sandbox, name, &text);
    golden("status.txt", said(&["status"]));
    golden("queue-list.txt", said(&["queue", "list"]));
    golden(
        "queue-show.txt",
        [said(&["queue", "show", &ids[0]]), said(&["queue", "show", &ids[1]])].join("\n"),
    );
    for command in ["list", "show", "retry", "drop"] {
        golden(&format!("queue-{command}-help.txt"), said(&["queue", command, "--help"]));
    }
    golden("queue-help.txt", said(&["queue", "--help"]));
    golden("status-help.txt", said(&["status", "--help"]));
}
