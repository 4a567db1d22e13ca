//! Merging in the outbox: the backlog of an unavailable destination ends up in few files, without
//! losing a marker.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::support::{
    Sandbox,
    backend::{Backend, Say},
    recorder::{Answer, Recorder},
    spool::{Ground, OUTBOX, Push, Spool},
};

/// Address without a server: port 9 is reserved for the obsolete discard service (RFC 863).
const DOWN: &str = "http://127.0.0.1:9";

/// A sandbox with a template marker.
struct Pile {
    sandbox: Sandbox,
    template: Value,
}

impl Pile {
    fn new(spool: &str) -> Self {
        let sandbox = Sandbox::new();
        sandbox.commit("A template", &[]);
        sandbox.push(&["main"]).succeeded();
        let name = sandbox.files("outbox/unassigned/new").remove(0);
        let template = sandbox.waiting("unassigned").remove(0);
        fs::remove_file(sandbox.state().join("outbox/unassigned/new").join(name)).expect("it goes");
        sandbox.deliver_to(DOWN, &format!("[spool]\n{spool}"));
        Self { sandbox, template }
    }

    /// Writes a push of this age to the outbox like the hook, with one marker for each of `kinds`.
    /// Returns the file name.
    fn push(&self, ago: SignedDuration, kinds: &[&str]) -> String {
        self.push_with(ago, kinds, "A title")
    }

    fn push_with(&self, ago: SignedDuration, kinds: &[&str], title: &str) -> String {
        let time = Timestamp::now() - ago;
        let at = uuid::Timestamp::from_unix(
            uuid::NoContext,
            u64::try_from(time.as_second()).expect("after 1970"),
            u32::try_from(time.subsec_nanosecond()).expect("below a second"),
        );
        let push = Uuid::new_v7(at);
        let mut text = format!("{{\"format\":1,\"markers\":{}}}\n", kinds.len());
        for kind in kinds {
            let mut marker = self.template.clone();
            let id = Uuid::new_v4_like().simple().to_string();
            marker["id"] = id.clone().into();
            marker["kind"] = (*kind).into();
            marker["title"] = title.into();
            marker["time"] = time.to_string().into();
            marker["push"] = push.to_string().into();
            text.push_str(&format!("{marker}\n"));
        }
        let name = format!("{push}.0");
        self.sandbox.write(&format!("state/outbox/collector/new/{name}"), text);
        let file = self.sandbox.state().join("outbox/collector/new").join(&name);
        let file = fs::File::options().write(true).open(file).expect("the file exists");
        file.set_modified(SystemTime::from(time)).expect("a date");
        name
    }

    /// Writes pushes of one change each, one second apart; the last one is `ago` old.
    fn changes(&self, count: i64, ago: SignedDuration) -> Vec<String> {
        (0..count).rev().map(|nth| self.push(ago + SignedDuration::from_secs(nth), &["change"])).collect()
    }

    fn files(&self) -> Vec<String> {
        self.sandbox.files("outbox/collector/new")
    }

    fn ids(&self) -> Vec<String> {
        ids(&self.sandbox.waiting("collector"))
    }

    /// Runs `deliver`, which must fail because the destination is down.
    #[track_caller]
    fn deliver_in_vain(&self) {
        assert_eq!(self.sandbox.binary(&["deliver"]).code, Some(1));
    }

    fn queue(&self) -> Vec<Value> {
        let ran = self.sandbox.binary(&["queue", "list", "--json"]);
        ran.succeeded().stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

trait LikeRandom {
    fn new_v4_like() -> Self;
}

impl LikeRandom for Uuid {
    /// Returns a random UUID.
    fn new_v4_like() -> Self {
        Self::from_u128(u128::from(fastrand::u64(..)) << 64 | u128::from(fastrand::u64(..)))
    }
}

fn ids(markers: &[Value]) -> Vec<String> {
    markers.iter().map(|marker| marker["id"].as_str().expect("an id").to_string()).collect()
}

fn push_of(name: &str) -> &str {
    name.split('.').next().expect("a push")
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[test]
fn backlog_is_merged_into_one_file_in_order() {
    let pile = Pile::new("");
    let names = pile.changes(63, MINUTE);
    let before = pile.ids();
    pile.deliver_in_vain();
    assert_eq!(pile.files(), names, "63 files are fewer than merge_at");

    let last = pile.push(SignedDuration::from_secs(5), &["change", "release"]);
    pile.deliver_in_vain();
    let merged = pile.files();
    assert_eq!(merged.len(), 1, "{merged:?}");
    let (oldest, newest) = (push_of(&names[0]), push_of(&last));
    assert!(merged[0].starts_with(&format!("{oldest}.0.{newest}.")), "{merged:?}");
    let after = pile.ids();
    assert_eq!((after.len(), &after[..63]), (65, &*before));
    assert_eq!(pile.sandbox.files("outbox/collector"), ["lock", "new", "standing.json"]);

    // A merged file is as old as its oldest marker.
    let status = pile.sandbox.binary(&["status", "--json", "--older-than", "90s"]);
    let status: Value = serde_json::from_str(&status.succeeded_or_found().stdout).expect("JSON");
    let waiting = &status["destinations"][0]["waiting"];
    assert_eq!((&waiting["files"], &waiting["too_old"]), (&1.into(), &1.into()));
    let entry = pile.queue().remove(0);
    assert_eq!(waiting["oldest_id"], entry["id"]);
    assert_eq!((&entry["push"], &entry["last_push"]), (&oldest.into(), &newest.into()));
    assert_eq!((&entry["markers"], &entry["is_whole"]), (&65.into(), &true.into()));
    assert_eq!(entry["time"], waiting["oldest"]);
    let file = pile.sandbox.state().join("outbox/collector/new").join(&merged[0]);
    let age = file.metadata().and_then(|file| file.modified()).expect("a date").elapsed().expect("the past");
    assert!(
        age >= Duration::from_secs(5) && age < Duration::from_secs(50),
        "a merged file has the date of its youngest part"
    );

    let list = pile.sandbox.binary(&["queue", "list"]).stdout;
    assert!(list.ends_with("65 markers of several pushes: 64 change shop, release shop\n"), "{list}");
    let id = entry["id"].as_str().expect("an id");
    let show = pile.sandbox.binary(&["queue", "show", id]);
    for line in [format!("push         {oldest}\n"), format!("last push    {newest}\n")] {
        assert!(show.succeeded().stdout.contains(&line), "{}", show.stdout);
    }

    // Together with newer files, it is merged again.
    pile.changes(64, SignedDuration::ZERO);
    pile.deliver_in_vain();
    assert_eq!(pile.files().len(), 1);

    let up = Recorder::start([]);
    pile.sandbox.deliver_to(&up.endpoint(), "");
    let deliver = pile.sandbox.binary(&["deliver"]);
    assert_eq!(deliver.succeeded().stdout, "129 markers delivered\n");
    let delivered: Vec<String> = pile
        .sandbox
        .deliveries()
        .iter()
        .filter(|delivery| delivery["outcome"] == "delivered")
        .flat_map(|delivery| delivery["markers"].as_array().expect("ids").clone())
        .map(|id| id.as_str().expect("text").to_string())
        .collect();
    assert_eq!(
        (delivered.len(), &delivered[..65]),
        (129, &*after),
        "each marker is sent once, in the order of the pushes"
    );
}

#[test]
fn unrelated_files_are_not_merged() {
    let pile = Pile::new("merge_at = 2\n");
    let old = pile.changes(2, MINUTE * 180);
    let alone = pile.push(MINUTE * 90, &["change"]);
    let new = pile.changes(3, MINUTE);
    // Unreadable and foreign files are left for `deliver`.
    let dir = pile.sandbox.state().join("outbox/collector/new");
    fs::write(dir.join(&new[1]), "{\"format\":1,\"markers\":1}\nbroken\n").expect("a file");
    fs::write(dir.join("stray"), "what is this").expect("a file");
    let large = pile.push_with(SignedDuration::from_secs(2), &["change"], &"x".repeat(140 << 10));
    let beside = pile.changes(2, SignedDuration::ZERO);

    pile.deliver_in_vain();
    let files = pile.files();
    let starts: Vec<_> = files.iter().map(|name| name.split('.').count()).collect();
    assert_eq!(starts, [4, 2, 4, 2, 4], "{files:?}");
    assert!(files[0].starts_with(&format!("{}.0.{}.", push_of(&old[0]), push_of(&old[1]))));
    assert_eq!(files[1], alone, "files more than an hour apart are not merged");
    assert!(files[2].starts_with(&format!("{}.0.{}.", push_of(&new[0]), push_of(&new[2]))));
    assert_eq!(files[3], large, "a large file is not merged");
    assert!(files[4].starts_with(&format!("{}.0.{}.", push_of(&beside[0]), push_of(&beside[1]))));
    let dead: Vec<_> =
        pile.sandbox.files("dead").into_iter().filter(|name| !name.ends_with(".why.json")).collect();
    assert_eq!(dead, [format!("collector.{}", new[1]), "collector.stray".into()]);
}

#[test]
fn merged_files_have_a_maximum_size() {
    let pile = Pile::new("merge_at = 2\n");
    let title = "x".repeat(100 << 10);
    for nth in 0..25 {
        pile.push_with(SignedDuration::from_secs(1000 - nth), &["change"], &title);
    }
    pile.changes(2_100, MINUTE);
    let before = pile.ids();
    pile.deliver_in_vain();
    let files = pile.files();
    assert!(files.len() <= 7, "{files:?}");
    for name in &files {
        let text = fs::read_to_string(pile.sandbox.state().join("outbox/collector/new").join(name));
        let text = text.expect("a file");
        assert!(text.lines().count() <= 2_001 && text.len() <= (1 << 20) + 100, "{name}: {}", text.len());
    }
    assert_eq!(pile.ids(), before);
}

#[test]
fn rejected_marker_of_a_merged_file_keeps_its_push() {
    let pile = Pile::new("merge_at = 2\n");
    let names = pile.changes(4, MINUTE);
    let all = pile.ids();
    pile.deliver_in_vain();
    let bad = all[2].clone();
    let refuses = Recorder::judging(move |request| {
        let has_bad = request.content().windows(bad.len()).any(|part| part == bad.as_bytes());
        Answer::status(if has_bad { 400 } else { 200 })
    });
    pile.sandbox.deliver_to(&refuses.endpoint(), "");
    pile.deliver_in_vain();
    let letter = format!("collector.{}.{}.logs", names[2], all[2]);
    assert_eq!(pile.sandbox.files("dead"), [letter.clone(), format!("{letter}.why.json")]);
    let entry = pile.queue().remove(0);
    assert_eq!((&entry["push"], &entry["last_push"]), (&push_of(&names[2]).into(), &Value::Null));
    assert!(pile.files().is_empty());

    let up = Recorder::start([]);
    pile.sandbox.deliver_to(&up.endpoint(), "");
    pile.sandbox.binary(&["queue", "retry", "--all"]).succeeded();
    assert_eq!(pile.sandbox.binary(&["deliver"]).succeeded().stdout, "1 marker delivered\n");
}

#[test]
fn rest_of_a_merged_file_keeps_the_age_of_its_pushes() {
    let pile = Pile::new("merge_at = 2\n");
    let mut names = pile.changes(600, MINUTE);
    let all = pile.ids();
    pile.deliver_in_vain();
    assert_eq!(pile.files().len(), 1);
    // One request carries up to 512 markers.
    let recorder = Recorder::start([Answer::status(200), Answer::status(503)]);
    pile.sandbox.deliver_to(&recorder.endpoint(), "");
    pile.deliver_in_vain();
    let left = pile.files();
    let names = names.split_off(512);
    assert_eq!(left, [format!("{}.{}.{}", names[0], push_of(&names[87]), all[512])]);
    assert_eq!(pile.ids(), all[512..]);
}

#[test]
fn merged_file_is_dropped_as_a_whole_and_recorded() {
    let pile = Pile::new("merge_at = 2\n");
    pile.changes(3, MINUTE);
    let all = pile.ids();
    pile.deliver_in_vain();
    let id = pile.queue().remove(0)["id"].as_str().expect("an id").to_string();
    pile.sandbox.binary(&["queue", "drop", "--yes", &id]).succeeded();
    assert!(pile.files().is_empty());
    let record = pile.sandbox.journal().pop().expect("a record");
    assert_eq!((&record["action"], &record["push"]), (&"dropped".into(), &Value::Null));
    assert_eq!(record["markers"], serde_json::json!(all));
}

#[test]
fn merged_changes_are_dropped_before_releases() {
    let pile = Pile::new("merge_at = 2\nfiles = 2\n");
    let title = "x".repeat(59 << 10);
    for nth in 0..50 {
        pile.push_with(SignedDuration::from_secs(2000 - 2 * nth), &["change"], &title);
        pile.push(SignedDuration::from_secs(1999 - 2 * nth), &["release"]);
    }
    // A file holds 16 changes, so there are three files. The first two lose their changes, and what
    // is left of them is merged into one file.
    pile.deliver_in_vain();
    assert_eq!(pile.files().len(), 2);
    let markers = pile.sandbox.waiting("collector");
    let (changes, releases): (Vec<_>, Vec<_>) = markers.iter().partition(|marker| marker["kind"] == "change");
    assert_eq!((changes.len(), releases.len()), (18, 50), "no release was dropped");
    assert!(
        markers[..32].iter().all(|marker| marker["kind"] == "release"),
        "the oldest changes were dropped"
    );
}

#[test]
fn files_without_a_destination_are_merged() {
    let pile = Pile::new("");
    pile.changes(70, MINUTE);
    let outbox = pile.sandbox.state().join("outbox");
    fs::rename(outbox.join("collector/new"), outbox.join("unassigned/new-ones"))
        .expect("the directory exists");
    fs::remove_dir(outbox.join("unassigned/new")).expect("the directory is empty");
    fs::rename(outbox.join("unassigned/new-ones"), outbox.join("unassigned/new"))
        .expect("the directory exists");
    pile.sandbox.configure("");
    pile.deliver_in_vain();
    assert_eq!(pile.sandbox.files("outbox/unassigned/new").len(), 1);
    let up = Recorder::start([]);
    pile.sandbox.deliver_to(&up.endpoint(), "");
    assert_eq!(pile.sandbox.binary(&["deliver"]).succeeded().stdout, "70 markers delivered\n");
}

#[test]
fn merge_note_removes_only_merged_files() {
    let pile = Pile::new("merge_at = 2\n");
    let names = pile.changes(3, MINUTE);
    pile.deliver_in_vain();
    let into = pile.files().remove(0);
    let kept = pile.ids();
    let dir = pile.sandbox.state().join("outbox/collector/new");
    let note =
        serde_json::json!({ "into": into, "parts": [names[0], names[1], "../outside", into] }).to_string();
    let path = "state/outbox/collector/merging";
    // A half-written note is ignored.
    let (half, _) = note.split_at(note.len() / 2);
    for broken in [half, ""] {
        pile.sandbox.write(path, broken);
        pile.deliver_in_vain();
        assert_eq!((pile.ids(), pile.files().len()), (kept.clone(), 1));
    }
    // The state after a crash: one part still exists. A new file has the name of another part.
    let double = format!("{{\"format\":1,\"markers\":1}}\n{}\n", pile.sandbox.waiting("collector")[0]);
    pile.sandbox.write(&format!("state/outbox/collector/new/{}", names[0]), &double);
    pile.sandbox.write("state/outbox/collector/outside", &double);
    let other = pile.push(MINUTE, &["change"]);
    fs::rename(dir.join(&other), dir.join(&names[1])).expect("the file exists");
    // The next process that takes the lock completes the merge, even to drop an entry.
    pile.sandbox.write(path, &note);
    let entry = pile.queue().into_iter().find(|entry| entry["name"] == *names[1]).expect("it waits");
    pile.sandbox.binary(&["queue", "drop", "--yes", entry["id"].as_str().expect("an id")]).succeeded();
    assert_eq!(pile.ids(), kept);
    assert_eq!(pile.sandbox.files("outbox/collector"), ["lock", "new", "outside", "standing.json"]);
}

/// Returns the number of copies of each marker in the outbox, by ID.
fn copies(spool: &Spool<'_>) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for text in spool.files(OUTBOX).into_values() {
        for line in text.lines().skip(1) {
            let marker: Value = serde_json::from_str(line).expect("a marker");
            *copies.entry(marker["id"].as_str().expect("an id").to_string()).or_default() += 1;
        }
    }
    copies
}

#[test]
fn failed_or_killed_merge_is_completed_by_the_next_run() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for fault in ["kill", "torn", "ENOSPC", "EIO", "EMFILE", "EROFS", "short"] {
        for step in 1.. {
            backend.forget();
            backend.always_say(Say::NotNow);
            let spool = ground.spool(&format!("merge-{fault}-{step}"), &backend).merging();
            let pushes: Vec<Push> = (0..3).map(|nth| ground.typical(nth)).collect();
            for push in &pushes {
                spool.hook(push, "").was_a_good_hook();
            }
            let markers = pushes.iter().map(|push| push.markers.len()).sum::<usize>();
            let before = copies(&spool);
            assert_eq!(before.len(), markers);
            spool.deliver(&format!("{fault}@{step}")).was_a_good_delivery();
            let has_struck = spool.struck().is_some();
            assert_eq!(copies(&spool).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
            // After the next failed delivery, there is one file with each marker once, and no
            // leftovers.
            spool.healthy(&["deliver"]).was_a_good_delivery();
            let files = spool.files(OUTBOX);
            assert_eq!(copies(&spool), before, "{fault}@{step}\n{}", spool.describe());
            assert_eq!(files.len(), 1, "{fault}@{step}\n{}", spool.describe());
            assert!(!spool.state().join("outbox/collector/merging").exists());
            spool.holds_after_drain(&pushes);
            spool.clear();
            if !has_struck {
                assert!(step > 3, "{fault} struck only {step} times");
                break;
            }
        }
    }
}
