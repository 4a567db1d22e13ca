//! The query of `explain`, and its search through the journal. A journal may be long, so lines are
//! first filtered by their bytes, and only likely matches are parsed.

use std::collections::VecDeque;

use bstr::Finder;

use crate::{
    cli::repository_names::{ForeignPushes, HEAD, RepositoryNames},
    facts::Repository,
    push::{ObjectId, PushId},
    state::{
        Journal,
        journal::{DecisionRecord, JournalEntry, Record},
    },
    sys::time::Timestamp,
    text,
};

/// Minimum number of digits of an abbreviated commit ID.
const MIN_DIGITS: usize = 4;

/// A query for updates of one repository: those that match `rev`, or the latest if `rev` is `None`.
pub(super) struct Wanted {
    /// The repository.
    pub repository: RepositoryNames,
    /// Full ref name, short name of a branch or tag, or first digits of a commit ID.
    pub rev: Option<String>,
    /// Other objects that count as a match: the annotated tags of the commit.
    pub objects: Vec<ObjectId>,
}

/// An update that matched.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    /// Time of the decision's record.
    pub time: Timestamp,
    /// Journal file that contains the record.
    pub file: String,
    /// The recorded decision.
    pub decision: DecisionRecord<'static>,
}

/// Result of a search.
#[derive(Default)]
pub(super) struct SearchResult {
    /// The newest matching updates, oldest first.
    pub hits: VecDeque<Hit>,
    /// Number of all matching updates.
    pub matches: usize,
    /// Number of decisions for the repository, and the newest of them.
    pub decisions: usize,
    pub newest: Option<Hit>,
    /// Time of the first record, if there is a journal.
    pub begins: Option<Timestamp>,
}

impl Wanted {
    /// Returns the possible meanings of the query, for the report that nothing was found.
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

    /// Returns `rev` as the first digits of an ID, if it can be one.
    pub fn digits(&self) -> Option<String> {
        let rev = self.rev.as_ref()?;
        let is_id =
            (MIN_DIGITS..=64).contains(&rev.len()) && rev.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_id.then(|| rev.to_ascii_lowercase())
    }

    /// Returns the commit that the query names by its digits, and takes note of its tags.
    ///
    /// # Errors
    /// If the repository cannot be read.
    pub fn commit_in(&mut self, repository: Option<&Repository>) -> anyhow::Result<Option<ObjectId>> {
        let (Some(repository), Some(digits)) = (repository, self.digits()) else { return Ok(None) };
        let commit = repository.commit_of(&digits)?;
        if let Some(commit) = commit {
            self.objects = repository.tags_of(commit)?;
        }
        Ok(commit)
    }

    fn is_it(&self, decision: &DecisionRecord<'_>) -> bool {
        if !self.repository.has(&decision.repository) {
            return false;
        }
        let Some(rev) = &self.rev else { return true };
        let name = &*decision.ref_name;
        let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
        if name == rev || short == Some(rev) {
            return true;
        }
        // A deletion is matched by the ID that the ref had before.
        let id = if decision.new_id.is_null() { decision.old_id } else { decision.new_id };
        self.objects.contains(&id) || self.digits().is_some_and(|digits| id.to_string().starts_with(&digits))
    }

    /// Finds the newest `most` matching updates.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn find(&self, journal: &Journal, most: usize) -> anyhow::Result<SearchResult> {
        let sieve = DecisionFilter::of(self);
        let mut foreign = ForeignPushes::new(&self.repository);
        let mut found = SearchResult::default();
        // Parsed after the search, because each matching line replaces the one before.
        let mut newest: Option<(String, Vec<u8>)> = None;
        journal.each_line("", |file, line| {
            if found.begins.is_none() {
                found.begins = JournalEntry::read(line).map(|entry| entry.time);
            }
            foreign.note(line);
            if !sieve.is_of_repository(line) || foreign.has_decision(line) {
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
            // A damaged line may have passed the byte filter.
            self.repository.has(&hit.decision.repository)
        });
        if self.rev.is_none() {
            let newest = found.newest.clone();
            found.add(newest, most);
        }
        Ok(found)
    }

    /// Finds the first decision since `since` for which `brought` returns true.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn find_first(
        &self,
        journal: &Journal,
        since: Timestamp,
        mut brought: impl FnMut(&DecisionRecord<'_>) -> bool,
    ) -> anyhow::Result<Option<Hit>> {
        let sieve = DecisionFilter::of(self);
        let mut foreign = ForeignPushes::new(&self.repository);
        let mut first = None;
        journal.each_line("", |file, line| {
            foreign.note(line);
            if first.is_none() && sieve.is_of_repository(line) && !foreign.has_decision(line) {
                first = hit(file, line).filter(|hit| hit.time >= since && brought(&hit.decision));
            }
            Ok(())
        })?;
        Ok(first)
    }
}

impl SearchResult {
    fn add(&mut self, hit: Option<Hit>, most: usize) {
        let Some(hit) = hit else { return };
        let key = |hit: &Hit| -> (PushId, String) { (hit.decision.push, hit.decision.ref_name.to_string()) };
        // If a process died after recording a decision, the update is decided and recorded again.
        // Keep the later record.
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
    match JournalEntry::read(line)? {
        JournalEntry { time, record: Record::Decision(decision) } => {
            Some(Hit { time, file: file.to_string(), decision })
        }
        _ => None,
    }
}

/// Byte patterns that a journal line must contain to match.
struct DecisionFilter {
    record: Finder<'static>,
    key: Finder<'static>,
    /// The repository's names as JSON strings, without the opening quotes.
    names: Vec<Vec<u8>>,
    words: Vec<Finder<'static>>,
}

impl DecisionFilter {
    fn of(wanted: &Wanted) -> Self {
        let json = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let finder = |text: &str| Finder::new(text.as_bytes()).into_owned();
        let rev = wanted.rev.as_ref().map(|rev| json(rev).trim_matches('"').to_string());
        let words =
            rev.into_iter().chain(wanted.digits()).chain(wanted.objects.iter().map(ToString::to_string));
        Self {
            record: Finder::new(b"\"record\":\"decision\""),
            key: Finder::new(b"\"repository\":\""),
            names: wanted.repository.all().iter().map(|name| json(name).into_bytes().split_off(1)).collect(),
            words: words.map(|word| finder(&word)).collect(),
        }
    }

    fn is_of_repository(&self, line: &[u8]) -> bool {
        self.record.find(&line[..line.len().min(HEAD)]).is_some()
            && self.key.find(line).is_some_and(|at| {
                let value = &line[at + self.key.needle().len()..];
                let begins_with = |name: &Vec<u8>| {
                    value.get(..name.len()).is_some_and(|value| value.eq_ignore_ascii_case(name))
                };
                self.names.iter().any(begins_with)
            })
    }

    fn has_word(&self, line: &[u8]) -> bool {
        self.words.iter().any(|word| word.find(line).is_some())
    }
}

#[cfg(test)]
mod tests;
