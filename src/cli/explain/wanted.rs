//! What somebody wants to have explained, and how it is found in a long journal: what a line's bytes rule out is not read.

use std::collections::VecDeque;

use bstr::Finder;

use crate::{
    push::{ObjectId, PushId},
    state::{
        Journal,
        journal::{Decision, Entry, Record},
    },
    text,
    time::Timestamp,
};

/// How many digits of a commit's id are the fewest.
const MIN_DIGITS: usize = 4;

/// How far into a line its record is named, in bytes: behind the time.
const HEAD: usize = 80;

/// Updates of one repository, all of them or those that a word names.
pub(super) struct Wanted {
    /// `owner/name`, whose case is no matter.
    pub repository: String,
    /// A ref, the short name of a branch or tag, or the beginning of a commit's id.
    pub rev: Option<String>,
    /// Objects that stand for the same: the annotated tags of the commit.
    pub objects: Vec<ObjectId>,
}

/// An update that was found.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    /// When its decision was noted.
    pub time: Timestamp,
    /// The file of the journal that it is in.
    pub file: String,
    /// The decision.
    pub decision: Decision<'static>,
}

/// What the journal has.
#[derive(Default)]
pub(super) struct Found {
    /// The newest updates that match, oldest first.
    pub hits: VecDeque<Hit>,
    /// How many match in all.
    pub matches: usize,
    /// How many decisions there are of the repository, and the newest.
    pub decisions: usize,
    pub newest: Option<Hit>,
    /// When the journal begins, if there is one.
    pub begins: Option<Timestamp>,
}

impl Wanted {
    /// Returns what the word could mean, for whoever wonders why nothing was found.
    pub fn meanings(&self) -> Vec<String> {
        let Some(rev) = &self.rev else { return vec!["its latest update".to_string()] };
        let shown = text::line(rev);
        let mut meanings = if rev.starts_with("refs/") {
            vec![format!("the ref `{shown}`")]
        } else {
            vec![format!("the branch `{shown}`"), format!("the tag `{shown}`")]
        };
        if let Some(digits) = self.digits() {
            meanings.push(format!("a commit whose id begins with `{digits}`"));
        }
        meanings
    }

    /// Returns the word as the beginning of an id, if it can be one.
    pub fn digits(&self) -> Option<String> {
        let rev = self.rev.as_ref()?;
        let is_id =
            (MIN_DIGITS..=64).contains(&rev.len()) && rev.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_id.then(|| rev.to_ascii_lowercase())
    }

    fn is_it(&self, decision: &Decision<'_>) -> bool {
        if !decision.repository.eq_ignore_ascii_case(&self.repository) {
            return false;
        }
        let Some(rev) = &self.rev else { return true };
        let name = &*decision.ref_name;
        let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
        if name == rev || short == Some(rev) {
            return true;
        }
        // A ref that was deleted names what it named before.
        let id = if decision.new_id.is_null() { decision.old_id } else { decision.new_id };
        self.objects.contains(&id) || self.digits().is_some_and(|digits| id.to_string().starts_with(&digits))
    }

    /// Finds the newest `most` of them.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn find(&self, journal: &Journal, most: usize) -> anyhow::Result<Found> {
        let sieve = Sieve::of(self);
        let mut found = Found::default();
        // Read only in the end: most lines are older than the newest.
        let mut newest: Option<(String, Vec<u8>)> = None;
        journal.each_line("", |file, line| {
            if found.begins.is_none() {
                found.begins = Entry::read(line).map(|entry| entry.time);
            }
            if !sieve.is_of_repository(line) {
                return Ok(());
            }
            found.decisions += 1;
            match &mut newest {
                Some((there, bytes)) => {
                    file.clone_into(there);
                    bytes.clear();
                    bytes.extend_from_slice(line);
                }
                None => newest = Some((file.to_string(), line.to_vec())),
            }
            if self.rev.is_some() && sieve.has_word(line) {
                found.add(hit(file, line).filter(|hit| self.is_it(&hit.decision)), most);
            }
            Ok(())
        })?;
        found.newest = newest.and_then(|(file, line)| hit(&file, &line)).filter(|hit| {
            // The bytes of a broken line may say anything.
            hit.decision.repository.eq_ignore_ascii_case(&self.repository)
        });
        if self.rev.is_none() {
            let newest = found.newest.clone();
            found.add(newest, most);
        }
        Ok(found)
    }

    /// Finds the first update with which something came in, as `brought` says it of a decision.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn find_first(
        &self,
        journal: &Journal,
        since: Timestamp,
        mut brought: impl FnMut(&Decision<'_>) -> bool,
    ) -> anyhow::Result<Option<Hit>> {
        let sieve = Sieve::of(self);
        let mut first = None;
        journal.each_line("", |file, line| {
            if first.is_none() && sieve.is_of_repository(line) {
                first = hit(file, line).filter(|hit| hit.time >= since && brought(&hit.decision));
            }
            Ok(())
        })?;
        Ok(first)
    }
}

impl Found {
    fn add(&mut self, hit: Option<Hit>, most: usize) {
        let Some(hit) = hit else { return };
        let key = |hit: &Hit| -> (PushId, String) { (hit.decision.push, hit.decision.ref_name.to_string()) };
        // What a process that died noted of an update is noted again when it is decided again.
        if let Some(same) = self.hits.iter().position(|there| key(there) == key(&hit)) {
            self.hits.remove(same);
        } else {
            self.matches += 1;
        }
        if self.hits.len() == most {
            self.hits.pop_front();
        }
        self.hits.push_back(hit);
    }
}

fn hit(file: &str, line: &[u8]) -> Option<Hit> {
    match Entry::read(line)? {
        Entry { time, record: Record::Decision(decision) } => {
            Some(Hit { time, file: file.to_string(), decision })
        }
        _ => None,
    }
}

/// What a line must have in it, as bytes.
struct Sieve {
    record: Finder<'static>,
    key: Finder<'static>,
    /// The repository as JSON writes it, with its last quote.
    name: Vec<u8>,
    words: Vec<Finder<'static>>,
}

impl Sieve {
    fn of(wanted: &Wanted) -> Self {
        let json = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let finder = |text: &str| Finder::new(text.as_bytes()).into_owned();
        let rev = wanted.rev.as_ref().map(|rev| json(rev).trim_matches('"').to_string());
        let words =
            rev.into_iter().chain(wanted.digits()).chain(wanted.objects.iter().map(ToString::to_string));
        Self {
            record: Finder::new(b"\"record\":\"decision\""),
            key: Finder::new(b"\"repository\":\""),
            name: json(&wanted.repository).into_bytes().split_off(1),
            words: words.map(|word| finder(&word)).collect(),
        }
    }

    fn is_of_repository(&self, line: &[u8]) -> bool {
        self.record.find(&line[..line.len().min(HEAD)]).is_some()
            && self.key.find(line).is_some_and(|at| {
                let value = &line[at + self.key.needle().len()..];
                value.get(..self.name.len()).is_some_and(|value| value.eq_ignore_ascii_case(&self.name))
            })
    }

    fn has_word(&self, line: &[u8]) -> bool {
        self.words.iter().any(|word| word.find(line).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(repository: &str, rev: Option<&str>) -> Wanted {
        Wanted { repository: repository.into(), rev: rev.map(ToString::to_string), objects: Vec::new() }
    }

    fn line(repository: &str, ref_name: &str, new: &str) -> Vec<u8> {
        let (old, new) = ("0".repeat(40), new.repeat(40));
        let line = serde_json::json!({ "ref": ref_name, "old_id": old, "new_id": new });
        let rest = line.to_string();
        format!(
            "{{\"time\":\"2026-11-22T10:00:00.123456789Z\",\"record\":\"decision\",\
             \"push\":\"019aab0a-d2fb-7a26-ba8f-cd4f5a4c4d80\",\"repository\":{},\"outcome\":\"skipped\",{}",
            serde_json::json!(repository),
            &rest[1..]
        )
        .into_bytes()
    }

    #[test]
    fn bytes_rule_out_what_is_of_another_repository_and_nothing_else() {
        let sieve = Sieve::of(&wanted("acme/shop", None));
        assert!(sieve.is_of_repository(&line("acme/shop", "refs/heads/main", "a")));
        assert!(sieve.is_of_repository(&line("Acme/SHOP", "refs/heads/main", "a")));
        assert!(!sieve.is_of_repository(&line("acme/shop2", "refs/heads/main", "a")));
        assert!(!sieve.is_of_repository(&line("acme/sho", "refs/heads/acme/shop", "a")));
        assert!(!sieve.is_of_repository(b"{\"repository\":\"acme/shop\""));
        let odd = "caf\u{e9}/\"quoted\"";
        assert!(Sieve::of(&wanted(odd, None)).is_of_repository(&line(odd, "refs/heads/main", "a")));
    }

    #[test]
    fn a_word_is_a_ref_a_branch_a_tag_or_the_beginning_of_an_id() {
        let is_it = |rev: &str, ref_name: &str, new: &str| {
            let wanted = wanted("acme/shop", Some(rev));
            let line = line("acme/shop", ref_name, new);
            let hit = hit("2026-11.jsonl", &line).expect("a decision");
            let is_it = wanted.is_it(&hit.decision);
            assert!(!is_it || Sieve::of(&wanted).has_word(&line), "the bytes rule out no match: {rev}");
            is_it
        };
        for rev in ["main", "refs/heads/main", "aaaa", "AAAAAAAA", &"a".repeat(40)] {
            assert!(is_it(rev, "refs/heads/main", "a"), "{rev}");
        }
        assert!(is_it("v1.0.0", "refs/tags/v1.0.0", "a"));
        assert!(is_it("dead", "refs/heads/dead", "a"), "a name that could be an id");
        for rev in ["mai", "heads/main", "aaa", "bbbb", "ain", &"a".repeat(41)] {
            assert!(!is_it(rev, "refs/heads/main", "a"), "{rev}");
        }
    }
}
