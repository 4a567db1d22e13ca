//! The journal's hash chain: concurrent appends, crashes, months, retention, and every edit that
//! `log --verify` names.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use crate::support::{
    Sandbox, assert_as_it_is,
    backend::Backend,
    recorder::Recorder,
    spool::{Ended, Ground, Push, Spool},
    wait_until,
};

/// The middle of these months, in seconds since 1970.
const SEPTEMBER: &str = "1789430400";
const OCTOBER: &str = "1792022400";
const NOVEMBER: &str = "1794700800";

/// Lines of each file of a journal.
type Journal = BTreeMap<String, Vec<String>>;

fn read(state: &Path) -> Journal {
    let mut files = Journal::new();
    for entry in fs::read_dir(state.join("journal")).expect("a journal") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_str().expect("text").to_string();
        let text = fs::read_to_string(path).expect("text");
        files.insert(name, text.lines().map(Into::into).collect());
    }
    files
}

fn write(state: &Path, journal: &Journal) {
    let dir = state.join("journal");
    fs::remove_dir_all(&dir).expect("removed");
    fs::create_dir(&dir).expect("created");
    for (name, lines) in journal {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(dir.join(name), text).expect("written");
    }
}

/// Returns the lines of a month.
fn of<'a>(journal: &'a mut Journal, month: &str) -> &'a mut Vec<String> {
    journal.get_mut(month).expect("a month")
}

/// Returns the hash of a line as docs/operations.md describes it.
fn hash(line: &str) -> String {
    Sha256::digest(line)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a member at the end of a line.
fn member<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, rest) = line.rsplit_once(&format!("\"{name}\":")).expect("the member");
    rest.split([',', '}']).next().expect("a value").trim_matches('"')
}

/// Computes the chain again from a line on, as a person would who knows how.
fn relink(journal: &mut Journal, from: &str, line: usize) {
    let mut prev = None;
    for (name, lines) in journal {
        for (index, text) in lines.iter_mut().enumerate() {
            if (name.as_str(), index) >= (from, line) {
                let (start, _) = text.rsplit_once("\"prev\":").expect("a link");
                *text = format!("{start}\"prev\":\"{}\"}}", prev.expect("a line before"));
            }
            prev = Some(hash(text));
        }
    }
}

/// Makes a journal of three months with four pushes.
fn three_months<'a>(ground: &'a Ground, backend: &'a Backend) -> Spool<'a> {
    let mut spool = ground.spool("months", backend);
    for (nth, clock) in [SEPTEMBER, OCTOBER, OCTOBER, NOVEMBER].into_iter().enumerate() {
        spool = spool.at_clock(clock);
        spool.hook(&ground.typical(nth), "").was_a_good_hook();
    }
    spool
}

fn verify(spool: &Spool<'_>) -> Ended {
    spool.healthy(&["log", "--verify"])
}

/// Returns an answer without what differs in each run.
fn masked(spool: &Spool<'_>, ended: &Ended) -> String {
    let head = regex_lite::Regex::new("journal:[0-9a-f]{8}:([0-9]+):[0-9a-f]{32}").expect("an expression");
    let chain = regex_lite::Regex::new("`[0-9a-f]{8}`").expect("an expression");
    let dir = spool.state().display().to_string();
    let config = spool.config().display().to_string();
    let text = format!("{}{}", ended.stdout, ended.stderr).replace(&dir, "STATE").replace(&config, "CONFIG");
    let text = head.replace_all(&text, "journal:CHAIN:$1:HASH");
    format!("{}exit {}\n", chain.replace_all(&text, "`CHAIN`"), ended.code.expect("an exit"))
}

#[test]
fn every_edit_is_named() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = three_months(&ground, &backend);
    let state = spool.state();
    let whole = read(&state);
    let record = fs::read(state.join("journal-head.json")).expect("a record");
    let [september, october, november] = ["2026-09.jsonl", "2026-10.jsonl", "2026-11.jsonl"];
    assert_eq!(whole.values().map(Vec::len).collect::<Vec<_>>(), [4, 8, 4], "{whole:?}");
    let witness = format!(
        "journal:{}:{}:{}",
        member(&whole[november][0], "chain"),
        member(&whole[november][0], "n"),
        hash(&whole[november][0])
    );
    let export = spool.dir().join("export.csv");
    fs::write(&export, format!("time,head\n2026-11-15,{witness}\n")).expect("written");
    let edit = |line: &str| line.replacen("\"record\":", "\"note\":1,\"record\":", 1);
    let forged = "{\"time\":\"2026-10-15T00:00:00Z\",\"record\":\"trouble\",\"what\":\"all is well\"}";
    type Case<'a> = (&'a str, Box<dyn Fn(&mut Journal) + 'a>);
    let cases: Vec<Case<'_>> = vec![
        ("nothing", Box::new(|_| {})),
        ("change a line", Box::new(|journal| of(journal, october)[2] = edit(&whole[october][2]))),
        (
            "change the last line of a month",
            Box::new(|journal| of(journal, october)[7] = edit(&whole[october][7])),
        ),
        ("change the last line", Box::new(|journal| of(journal, november)[3] = edit(&whole[november][3]))),
        ("change the first line", Box::new(|journal| of(journal, september)[0] = edit(&whole[september][0]))),
        (
            "change the hash in a line",
            Box::new(|journal| {
                let line = &mut of(journal, october)[2];
                *line = line.replace(member(&whole[october][2], "prev"), &hash(""));
            }),
        ),
        (
            "change the number of a line",
            Box::new(|journal| {
                let line = &mut of(journal, october)[2];
                *line = line.replace("\"n\":7,", "\"n\":70,");
            }),
        ),
        ("break a line", Box::new(|journal| of(journal, october)[2].truncate(25))),
        ("take the link out of a line", Box::new(|journal| of(journal, october)[2] = forged.into())),
        ("delete a line", Box::new(|journal| drop(of(journal, october).remove(2)))),
        ("delete two lines", Box::new(|journal| drop(of(journal, october).drain(2..4)))),
        ("delete the first line", Box::new(|journal| drop(of(journal, september).remove(0)))),
        ("delete the last line", Box::new(|journal| drop(of(journal, november).pop()))),
        ("delete the last line of a month", Box::new(|journal| drop(of(journal, october).pop()))),
        ("delete a month", Box::new(|journal| drop(journal.remove(october)))),
        ("delete the first month", Box::new(|journal| drop(journal.remove(september)))),
        ("delete the last month", Box::new(|journal| drop(journal.remove(november)))),
        ("delete everything", Box::new(Journal::clear)),
        ("insert a record", Box::new(|journal| of(journal, october).insert(2, forged.into()))),
        ("insert text", Box::new(|journal| of(journal, october).insert(2, "{\"time".into()))),
        ("append a record", Box::new(|journal| of(journal, november).push(forged.into()))),
        ("put a record first", Box::new(|journal| of(journal, september).insert(0, forged.into()))),
        ("insert a copy", Box::new(|journal| of(journal, october).insert(5, whole[october][1].clone()))),
        ("append a copy", Box::new(|journal| of(journal, november).push(whole[october][1].clone()))),
        (
            "insert lines that fit together",
            Box::new(|journal| {
                let lines = of(journal, october);
                lines.splice(3..3, whole[october][3..5].iter().map(|line| edit(line)));
                let mut only = Journal::from([(october.to_string(), lines[..5].to_vec())]);
                relink(&mut only, october, 3);
                lines.splice(..5, only.remove(october).expect("there"));
            }),
        ),
        ("swap two lines", Box::new(|journal| of(journal, october).swap(2, 3))),
        ("swap distant lines", Box::new(|journal| of(journal, october).swap(1, 6))),
        (
            "move a line to another month",
            Box::new(|journal| {
                let line = of(journal, september).remove(1);
                of(journal, november).insert(2, line);
            }),
        ),
        (
            "swap two months",
            Box::new(|journal| {
                journal.insert(september.into(), whole[october].clone());
                journal.insert(october.into(), whole[september].clone());
            }),
        ),
        ("cut the end off", Box::new(|journal| of(journal, november).truncate(2))),
        ("cut the end off within a line", Box::new(|journal| of(journal, november)[3].truncate(60))),
        ("roll a month back", Box::new(|journal| of(journal, october).truncate(4))),
        (
            "replace the chain from a line on",
            Box::new(|journal| {
                of(journal, october)[2] = edit(&whole[october][2]);
                relink(journal, october, 3);
            }),
        ),
    ];
    let mut answers = String::new();
    for (name, change) in &cases {
        let mut journal = whole.clone();
        change(&mut journal);
        write(&state, &journal);
        fs::write(state.join("journal-head.json"), &record).expect("written");
        let ended = verify(&spool);
        assert_eq!(ended.code, Some(i32::from(*name != "nothing")), "{name}: {ended:?}");
        answers.push_str(&format!("== {name}\n{}", masked(&spool, &ended)));
    }

    // The record goes, so that only the back end knows.
    let replace = &cases.last().expect("a case").1;
    let mut journal = whole.clone();
    replace(&mut journal);
    write(&state, &journal);
    fs::remove_file(state.join("journal-head.json")).expect("removed");
    answers
        .push_str(&format!("== replace the chain without its record\n{}", masked(&spool, &verify(&spool))));
    spool.hook(&ground.typical(4), "").was_a_good_hook();
    let ended = verify(&spool);
    assert_eq!(ended.code, Some(0), "nothing on this machine shows it");
    answers.push_str(&format!("== the same after the next push\n{}", masked(&spool, &ended)));
    assert!(
        read(&state)[november]
            .iter()
            .any(|line| line.contains("the record of the journal's end was missing"))
    );
    let against =
        |spool: &Spool<'_>| spool.healthy(&["log", "--verify", "--against", export.to_str().expect("there")]);
    let ended = against(&spool);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    answers.push_str(&format!("== the same with the witness\n{}", masked(&spool, &ended)));

    // Another journal, and one that was rolled back with its record.
    fs::remove_dir_all(&state).expect("removed");
    spool.hook(&ground.typical(5), "").was_a_good_hook();
    let ended = against(&spool);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    answers.push_str(&format!("== begin another journal\n{}", masked(&spool, &ended)));
    write(&state, &whole);
    fs::write(state.join("journal-head.json"), &record).expect("written");
    let ended = against(&spool);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    answers.push_str(&format!("== nothing, with the witness\n{}", masked(&spool, &ended)));
    assert_as_it_is(&Sandbox::new(), "log-verify.txt", &answers);
}

#[test]
fn back_end_gets_the_head_and_confirms_it() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    for (nth, protocol) in ["http/protobuf", "http/json"].into_iter().enumerate() {
        sandbox.deliver_to(
            &recorder.endpoint(),
            &format!("protocol = \"{protocol}\"\ncompression = \"none\"\n"),
        );
        sandbox.commit(protocol, &[]);
        sandbox.push(&["main"]).succeeded();
        recorder.wait_for(nth + 1);
        sandbox.wait_for_delivery_to_end();
    }
    let requests = recorder.requests();
    assert!(requests.len() >= 2, "{requests:?}");
    let mut export = Vec::new();
    for (nth, request) in requests.iter().enumerate() {
        let content = request.content();
        let heads = content.windows(8).filter(|window| *window == b"journal:").count();
        // The first delivery may begin before the hook has written to the journal.
        assert!(heads == 1 || (heads == 0 && nth == 0), "request {nth} has {heads} heads");
        export.extend(content);
    }
    sandbox.write("export.bin", &export);
    let path = sandbox.path("export.bin").display().to_string();
    let ran = sandbox.binary(&["log", "--verify", "--against", &path]);
    assert!(ran.succeeded().stdout.contains("the back end has "), "{ran:?}");
    let ran = sandbox.binary(&["log", "--verify", "--json", "--against", &path]);
    let answer: serde_json::Value = serde_json::from_str(&ran.succeeded().stdout).expect("JSON");
    assert!(answer["against"]["fit"].as_u64().expect("a number") > 0, "{answer}");
    let quiet = sandbox.binary(&["log", "--verify", "-q"]);
    assert_eq!(quiet.succeeded().stdout, "");

    sandbox.write("export.bin", "nothing of ours");
    let ran = sandbox.binary(&["log", "--verify", "--against", &path]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("has no head of a journal"), "{ran:?}");
}

#[test]
fn concurrent_pushes_keep_one_chain() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("crowd", &backend);
    let pushes: Vec<Push> = (0..24).map(|nth| ground.typical(nth)).collect();
    for crowd in pushes.chunks(12) {
        let running: Vec<_> = crowd.iter().map(|push| spool.begin_hook(push, "")).collect();
        running.into_iter().for_each(|hook| hook.end().was_a_good_hook());
    }
    let ended = verify(&spool);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // A hook that does not get the lock in time on a busy machine leaves a note.
    let is_complete = read(&spool.state()).values().map(Vec::len).sum::<usize>() == 4 * pushes.len();
    assert!(is_complete || spool.state().join("journal-gap.json").exists());
    spool.holds_after_drain(&pushes);
    assert_eq!(verify(&spool).code, Some(0));
}

#[test]
fn damaged_or_old_record_of_the_end_breaks_no_chain() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("record", &backend);
    let path = spool.state().join("journal-head.json");
    let mut old = Vec::new();
    for nth in 0..6 {
        spool.hook(&ground.typical(nth), "").was_a_good_hook();
        assert_eq!(verify(&spool).code, Some(0), "{nth}");
        match nth {
            0 => old = fs::read(&path).expect("a record"),
            // As after a crash between the lines and the record.
            1 => fs::write(&path, &old).expect("written"),
            2 => fs::write(&path, b"{}\n").expect("written"),
            3 => fs::write(&path, b"").expect("written"),
            4 => fs::remove_file(&path).expect("removed"),
            _ => {}
        }
    }
    let lines: Vec<String> = read(&spool.state()).into_values().flatten().collect();
    let notes = lines.iter().filter(|line| line.contains("the record of the journal's end was missing"));
    assert_eq!(notes.count(), 3, "{lines:?}");
}

#[test]
fn journal_of_an_older_version_goes_on() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = three_months(&ground, &backend);
    let state = spool.state();
    let mut journal = read(&state);
    let link = regex_lite::Regex::new(",\"chain\":.*").expect("an expression");
    for lines in journal.values_mut() {
        lines.iter_mut().for_each(|line| *line = link.replace(line, "}").into_owned());
    }
    write(&state, &journal);
    fs::remove_file(state.join("journal-head.json")).expect("removed");
    let ended = verify(&spool);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("the journal has no hash chain yet"), "{ended:?}");
    spool.hook(&ground.typical(4), "").was_a_good_hook();
    let ended = verify(&spool);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("/2026-11.jsonl:4: older than the chain"), "{ended:?}");

    // The last line before the chain is protected.
    let mut journal = read(&state);
    let last = &mut journal.get_mut("2026-11.jsonl").expect("a file")[3];
    *last = last.replacen("\"record\"", "\"x\":1,\"record\"", 1);
    write(&state, &journal);
    let ended = verify(&spool);
    assert!(ended.code == Some(1) && ended.stdout.starts_with("changed: "), "{ended:?}");
}

#[test]
fn torn_line_is_named_and_hides_nothing() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("torn", &backend);
    spool.hook(&ground.typical(0), "").was_a_good_hook();
    spool.hook(&ground.typical(1), "torn@/journal/").was_a_good_hook();
    assert_eq!(spool.torn_lines(), 1, "{}", spool.describe());
    spool.hook(&ground.typical(2), "").was_a_good_hook();
    let ended = verify(&spool);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("cut off: "), "{ended:?}");

    let journal = read(&spool.state());
    let (name, lines) = journal.first_key_value().expect("a file");
    let torn = lines.iter().position(|line| !line.ends_with('}')).expect("a torn line");
    for hidden in [torn - 1, torn + 1] {
        let mut journal = journal.clone();
        journal.get_mut(name).expect("a file").remove(hidden);
        write(&spool.state(), &journal);
        assert_eq!(verify(&spool).code, Some(1), "line {hidden}");
    }
}

#[test]
fn retention_leaves_a_summary_from_which_the_chain_goes_on() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = three_months(&ground, &backend);
    spool.configure("\n[journal]\nkeep = \"30d\"\n");
    let before = read(&spool.state());
    spool.deliver("").was_a_good_delivery();
    let after = read(&spool.state());
    // In the middle of November, September ended more than 30 days ago and October did not.
    assert_eq!(after.keys().collect::<Vec<_>>(), ["2026-10.jsonl", "2026-11.jsonl"]);
    let ended = verify(&spool);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("retention removed `2026-09.jsonl`"), "{ended:?}");
    let lines = &after["2026-11.jsonl"];
    let summary = lines.iter().find(|line| line.contains("\"record\":\"pruned\"")).expect("a summary");
    let summary: serde_json::Value = serde_json::from_str(summary).expect("JSON");
    let removed = &before["2026-09.jsonl"];
    assert_eq!(summary["lines"], removed.len());
    assert_eq!(summary["first"], hash(&removed[0]));
    assert_eq!(summary["last"], hash(removed.last().expect("a line")));
    assert_eq!(summary["file"], "2026-09.jsonl");

    // A month without a summary is missing.
    let mut journal = after.clone();
    journal.remove("2026-10.jsonl");
    write(&spool.state(), &journal);
    let ended = verify(&spool);
    assert!(ended.code == Some(1) && ended.stdout.starts_with("removed: "), "{ended:?}");
    write(&spool.state(), &after);

    // The newest month stays, whatever its size.
    spool.configure("\n[journal]\nmax_size = \"1B\"\n");
    spool.deliver("").was_a_good_delivery();
    assert_eq!(read(&spool.state()).into_keys().collect::<Vec<_>>(), ["2026-11.jsonl"]);
    let ended = verify(&spool);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn retention_killed_at_any_step_leaves_no_hole() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for step in 1.. {
        let mut spool = ground.spool(&format!("retention-{step}"), &backend);
        for (nth, clock) in [SEPTEMBER, OCTOBER, NOVEMBER].into_iter().enumerate() {
            spool = spool.at_clock(clock);
            spool.hook(&ground.typical(nth), "").was_a_good_hook();
        }
        spool.drain();
        spool.configure("\n[journal]\nmax_size = \"1B\"\n");
        let ended = spool.deliver(&format!("kill@{step}"));
        let verified = verify(&spool);
        assert_eq!(verified.code, Some(0), "kill@{step}: {verified:?}\n{}", spool.describe());
        let spool = spool.at_clock(NOVEMBER);
        spool.deliver("").was_a_good_delivery();
        assert_eq!(verify(&spool).code, Some(0), "kill@{step}");
        assert_eq!(read(&spool.state()).len(), 1, "kill@{step}");
        spool.clear();
        if !ended.is_killed() {
            break;
        }
    }
}

#[test]
fn stopped_writer_holds_up_no_push_for_long() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("stopped", &backend);
    spool.hook(&ground.typical(0), "").was_a_good_hook();
    let stopped = spool.begin_hook(&ground.typical(1), "stall@/journal/");
    wait_until("the hook holds the lock", || spool.struck().is_some());
    let start = Instant::now();
    let ended = spool.hook(&ground.typical(2), "");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    ended.was_a_good_hook();
    let status = spool.healthy(&["status"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    assert!(status.stdout.contains("another process has held the lock for 500ms"), "{status:?}");
    stopped.kill();
    spool.drain();
    let lines: Vec<String> = read(&spool.state()).into_values().flatten().collect();
    assert!(lines.iter().any(|line| line.contains("the journal could not be written since 2")), "{lines:?}");
    spool.verifies();
}

#[test]
fn doctor_finds_a_journal_that_was_changed() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("doctor", &backend);
    spool.hook(&ground.typical(0), "").was_a_good_hook();
    let said = "the journal does not verify: ";
    let doctor = spool.healthy(&["doctor", "--no-push"]);
    assert!(!doctor.stdout.contains(said), "{doctor:?}");
    let mut journal = read(&spool.state());
    journal.values_mut().next().expect("a file").remove(1);
    write(&spool.state(), &journal);
    let doctor = spool.healthy(&["doctor", "--no-push"]);
    assert!(doctor.stdout.contains(&format!("{said}removed at line 2 of `20")), "{doctor:?}");
}

#[test]
fn clock_that_was_set_back_keeps_the_order() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let mut spool = ground.spool("clock", &backend);
    for (nth, clock) in [OCTOBER, NOVEMBER, OCTOBER, SEPTEMBER, NOVEMBER].into_iter().enumerate() {
        spool = spool.at_clock(clock);
        spool.hook(&ground.typical(nth), "").was_a_good_hook();
        spool.verifies();
    }
    let lines: Vec<_> = read(&spool.state()).into_iter().map(|(name, lines)| (name, lines.len())).collect();
    assert_eq!(lines, [("2026-10.jsonl".to_string(), 4), ("2026-11.jsonl".to_string(), 16)]);
}

#[test]
fn record_of_the_end_names_no_file_elsewhere() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("elsewhere", &backend);
    spool.hook(&ground.typical(0), "").was_a_good_hook();
    let other = spool.dir().join("other.jsonl");
    fs::write(&other, "").expect("written");
    let path = spool.state().join("journal-head.json");
    let record = fs::read_to_string(&path).expect("a record");
    let (object, _) = record.split_once(",\"crc32\"").expect("a checksum");
    let name = member(object, "file").to_string();
    let object = object.replace(&name, &other.display().to_string());
    let sum = crc32fast::hash(object.as_bytes());
    fs::write(&path, format!("{object},\"crc32\":\"{sum:08x}\"}}\n")).expect("written");
    spool.hook(&ground.typical(1), "").was_a_good_hook();
    assert_eq!(fs::read_to_string(&other).expect("text"), "");
    spool.verifies();
}
