use std::{fs, path::PathBuf};

use proptest::{collection::vec, prelude::*};

use super::{witnessed::PART, *};
use crate::state::seal;

/// Lines of a journal of two months, each with the name of its file.
fn journal() -> Vec<(String, String)> {
    let mut tip = Tip::of_new_chain();
    let mut lines = Vec::new();
    for (file, count) in [("2026-10.jsonl", 7), ("2026-11.jsonl", 6)] {
        for nth in 0..count {
            let line = format!(
                "{{\"time\":\"2026-11-01T00:00:00Z\",\"record\":\"trouble\",\"what\":\"{file} {nth}\"}}\n"
            );
            let mut linked = Vec::new();
            tip.link(line.as_bytes(), &mut linked);
            lines.push((file.to_string(), String::from_utf8(linked).expect("text").trim_end().to_string()));
        }
    }
    lines
}

/// A state directory with a journal, and its record of the end.
struct Written(PathBuf);

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write(lines: &[(String, String)], head: Option<&Head>) -> Written {
    static NTH: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let nth = NTH.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("journal-check-{}-{nth}", std::process::id()));
    fs::create_dir_all(dir.join("journal")).expect("a directory");
    for file in ["2026-10.jsonl", "2026-11.jsonl"] {
        let own = lines.iter().filter(|(name, _)| name == file).map(|(_, line)| format!("{line}\n"));
        fs::write(dir.join("journal").join(file), own.collect::<String>()).expect("a file");
    }
    if let Some(head) = head {
        fs::write(dir.join(journal_end::FILE), seal::line(head).expect("JSON")).expect("a file");
    }
    Written(dir)
}

fn head_of(lines: &[(String, String)]) -> Head {
    let mut tip = Tip::default();
    for (_, line) in lines {
        tip.pass(line.as_bytes());
    }
    let own = lines.iter().filter(|(name, _)| name == "2026-11.jsonl");
    let length = own.map(|(_, line)| line.len() as u64 + 1).sum();
    Head { file: "2026-11.jsonl".into(), length, tip }
}

fn verify(lines: &[(String, String)], head: Option<&Head>) -> Verification {
    let written = write(lines, head);
    Journal::at(written.0.join("journal"), false).verify(None).expect("readable")
}

/// An edit of a journal. The numbers are taken modulo the number of lines.
#[derive(Clone, Debug)]
enum Edit {
    Change(usize, usize, u8),
    Delete(usize, usize),
    Insert(usize, String),
    Copy(usize, usize),
    Swap(usize, usize),
    Cut(usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = 0..64_usize;
    let edit = prop_oneof![
        (at.clone(), 0..400_usize, 0x20..0x7f_u8).prop_map(|(at, byte, to)| Edit::Change(at, byte, to)),
        (at.clone(), 1..4_usize).prop_map(|(at, count)| Edit::Delete(at, count)),
        (at.clone(), prop_oneof![Just("{\"time\":1}".to_string()), "[a-z{}\"]{1,20}"])
            .prop_map(|(at, text)| Edit::Insert(at, text)),
        (at.clone(), at.clone()).prop_map(|(from, to)| Edit::Copy(from, to)),
        (at.clone(), at.clone()).prop_map(|(one, other)| Edit::Swap(one, other)),
        at.prop_map(Edit::Cut),
    ];
    vec(edit, 1..4)
}

fn apply(edit: &Edit, lines: &mut Vec<(String, String)>) {
    let len = lines.len();
    if len == 0 {
        return;
    }
    match edit {
        Edit::Change(at, byte, to) => {
            let line = &mut lines[at % len].1;
            let byte = byte % line.len();
            line.replace_range(byte..=byte, &char::from(*to).to_string());
        }
        Edit::Delete(at, count) => {
            let at = at % len;
            lines.drain(at..(at + count).min(len));
        }
        Edit::Insert(at, text) => {
            let at = at % len;
            lines.insert(at, (lines[at].0.clone(), text.clone()));
        }
        Edit::Copy(from, to) => {
            let (from, to) = (from % len, to % len);
            lines.insert(to, (lines[to].0.clone(), lines[from].1.clone()));
        }
        Edit::Swap(one, other) => {
            let (one, other) = (one % len, other % len);
            let line = lines[one].1.clone();
            lines[one].1 = std::mem::replace(&mut lines[other].1, line);
        }
        Edit::Cut(at) => lines.truncate(at % len),
    }
}

/// Returns the number of the line at a place, from 0, or the number of lines for the end of a file.
fn number(place: &Place, lines: &[(String, String)]) -> usize {
    let before = lines.iter().filter(|(file, _)| *file < place.file).count();
    before + usize::try_from(place.line).expect("a number").saturating_sub(1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_edit_is_found_at_its_place(edits in edits()) {
        let whole = journal();
        let head = head_of(&whole);
        let mut edited = whole.clone();
        edits.iter().for_each(|edit| apply(edit, &mut edited));
        prop_assume!(edited.iter().all(|(_, line)| !line.trim_ascii().is_empty()));
        let first = whole.iter().zip(&edited).position(|(before, after)| before.1 != after.1);
        let first = first.unwrap_or_else(|| whole.len().min(edited.len()));
        let found = verify(&edited, Some(&head));
        let texts = |lines: &[(String, String)]| lines.iter().map(|(_, line)| line.clone()).collect::<Vec<_>>();
        match &found.fault {
            // Text at the end that is not a record looks like a line that a crash cut off.
            None if edited.len() > whole.len() => {
                prop_assert!(texts(&edited).starts_with(&texts(&whole)), "{edited:#?}");
                prop_assert_eq!(found.torn.len(), (edited.len() - whole.len()).min(MAX_TORN));
            }
            None => prop_assert_eq!(texts(&whole), texts(&edited)),
            Some(fault) => {
                let at = number(&fault.place, &edited);
                prop_assert!(
                    at + 1 >= first && at <= first + 1 + edits.len() * 4,
                    "line {at} instead of {first}: {fault:?}\n{edited:#?}"
                );
            }
        }
    }
}

#[test]
fn whole_journal_verifies() {
    let lines = journal();
    let head = head_of(&lines);
    let found = verify(&lines, Some(&head));
    assert_eq!((found.fault, found.files, found.lines), (None, 2, 13));
    assert_eq!(found.head, Some(head.tip));
    let found = verify(&lines, None);
    assert_eq!(found.fault.expect("a fault").what, Tampering::Unrecorded);
}

#[test]
fn heads_are_found_in_any_export() {
    let head = "journal:3f9a0c12:812:5b9f8efff7980381035b8efff7980381";
    let far = "x".repeat(PART - 30);
    for (export, line) in [
        (head.to_string(), 1),
        (format!("time,head\n1,{head}\n"), 2),
        (format!("{{\"key\":\"gitea_lightstep.journal.head\",\"value\":{{\"stringValue\":\"{head}\"}}}}"), 1),
        (format!("\n\n{far}{head}\n"), 3),
        (format!("\n{far}\n{far}\n journal:{head} {head}0"), 4),
    ] {
        let heads = WitnessedHeads::read(export.as_bytes()).expect("readable");
        let all: Vec<_> = heads.0.values().flat_map(|hashes| hashes.values()).collect();
        assert_eq!(all, [&line], "{}", &export[..export.len().min(100)]);
    }
    for other in ["", "journal:", "journal:3f9a0c12:x:5b9f", &head[..head.len() - 1], &head.to_uppercase()] {
        assert!(WitnessedHeads::read(other.as_bytes()).expect("readable").is_empty(), "{other}");
    }
}
