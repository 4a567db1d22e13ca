//! Finds out which ref changes of a repository were decided already, from the journal and the inbox.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use crate::{
    cli::{
        named_repository::NamedRepository,
        repository_names::{ForeignPushes, HEAD},
    },
    facts::{History, Past},
    push::{ObjectId, RefKind, Source, UpdateSource},
    state::{
        JournalPosition, State,
        journal::{JournalEntry, PushRecord, Record, RecordedOutcome},
    },
    sys::time::{self, Timestamp},
};

/// Maximum time by which a date may be ahead of this machine's clock.
const MAX_AHEAD: Duration = Duration::from_secs(24 * 3600);

/// A hash of a ref name and a new ID. Millions of them are held in memory, so they are short.
type UpdateKey = [u8; 16];

/// The reason why a ref change is not marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// The journal has markers of it.
    Marked,
    /// The journal has its decision, without a marker.
    Decided,
    /// The commit came with a push whose last commit was decided.
    Covered,
    /// A captured push has it.
    Waits,
    /// Its date is before 1985, unknown or in the future.
    Undated,
}

impl Passed {
    pub fn why(self) -> &'static str {
        match self {
            Self::Marked => "marked already",
            Self::Decided => "decided already, without a marker",
            Self::Covered => "part of a push that was decided already",
            Self::Waits => "waits to be decided",
            Self::Undated => "its date cannot be believed",
        }
    }
}

/// The decided ref changes of a repository.
#[derive(Debug, Default)]
pub(super) struct KnownUpdates {
    updates: HashMap<UpdateKey, Passed>,
    /// The old commit of each pushed change of a branch, by the new one.
    pushed: HashMap<ObjectId, ObjectId>,
    /// Commits that came with the last commit of a push.
    covered: HashSet<ObjectId>,
}

/// The decisions about a repository in the journal and the inbox.
pub(super) struct KnownRepository {
    pub updates: KnownUpdates,
    /// The newest push to it.
    pub newest: Option<PushRecord<'static>>,
    /// The end of the journal.
    pub end: JournalPosition,
}

impl KnownRepository {
    /// Reads the journal, and then the inbox.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn read(state: &State, named: &NamedRepository) -> anyhow::Result<Self> {
        let names = &named.names;
        let (mut updates, mut newest) = (KnownUpdates::default(), None);
        let mut foreign = ForeignPushes::new(names);
        let mut end = JournalPosition::default();
        // The records of decisions follow that of their push.
        let mut backfilled = None;
        state.journal().each_line_since(&mut end, |line| {
            foreign.note(line);
            let head = &line[..line.len().min(HEAD)];
            let is = |record: &[u8]| head.windows(record.len()).any(|part| part == record);
            if !is(br#""record":"decision""#) && !is(br#""record":"push""#) || foreign.has_decision(line) {
                return Ok(());
            }
            match JournalEntry::read(line).map(|entry| entry.record) {
                Some(Record::Decision(decision)) if names.has(&decision.repository) => {
                    let how = match decision.outcome {
                        RecordedOutcome::Marked => Passed::Marked,
                        _ => Passed::Decided,
                    };
                    updates.add(decision.ref_name.as_bytes(), decision.new_id, how);
                    // One by `backfill` is the change of a single commit, and there are many.
                    if backfilled != Some(decision.push) {
                        updates.add_pushed(&decision.ref_name, decision.old_id, decision.new_id);
                    }
                }
                Some(Record::Push(push)) if names.has(&push.repository) => match push.source {
                    UpdateSource::Push => newest = Some(*push),
                    UpdateSource::Backfill => backfilled = Some(push.push),
                    UpdateSource::Scan | UpdateSource::Command => {}
                },
                _ => {}
            }
            Ok(())
        })?;
        let mut known = Self { updates, newest, end };
        let inbox = state.inbox();
        for name in inbox.list()? {
            // A damaged capture becomes a dead letter. Its updates are not known.
            let Ok(Some(captured)) = inbox.look(&name) else { continue };
            let source = captured.push.source();
            let is_ours =
                named.git_dir.as_ref() == Some(&source.git_dir) || names.has(&source.repository.full_name());
            for update in captured.push.updates().iter().filter(|_| is_ours) {
                let ref_name = update.ref_name().to_text();
                known.updates.add(ref_name.as_bytes(), update.raw_new_id(), Passed::Waits);
                if captured.times.is_empty() {
                    known.updates.add_pushed(&ref_name, update.raw_old_id(), update.raw_new_id());
                }
            }
        }
        Ok(known)
    }

    /// Returns the source of the repository's past pushes. The name, the ID and the address come from
    /// its newest push.
    pub fn source(&self, unknown: Source) -> Source {
        let mut source = Source { found_by: UpdateSource::Backfill, ..unknown };
        if let Some(newest) = &self.newest {
            source.repository.id = newest.repository_id;
            source.repository.is_wiki = newest.is_wiki;
            source.root_url = newest.root_url.as_deref().map(ToString::to_string);
        }
        source
    }
}

impl KnownUpdates {
    /// Notes that a ref change is decided, or will be.
    pub fn add(&mut self, ref_name: &[u8], new: ObjectId, how: Passed) {
        self.updates.insert(key(ref_name, new), how);
    }

    fn add_pushed(&mut self, ref_name: &str, old: ObjectId, new: ObjectId) {
        if !old.is_null() && !new.is_null() && ref_name.starts_with("refs/heads/") {
            self.pushed.insert(new, old);
        }
    }

    /// Finds the commits that came with the last commit of a decided push. A push that created the
    /// branch covers nothing: an import brings years of history at once.
    pub fn cover(&mut self, history: &History) {
        let pushed = std::mem::take(&mut self.pushed);
        let old: HashSet<ObjectId> = pushed.values().copied().collect();
        // The old commits that are still to come. One of a push that rewound the branch is not.
        let mut older: HashSet<ObjectId> = history.commit_ids().filter(|id| old.contains(id)).collect();
        let mut until = None;
        for id in history.commit_ids().rev() {
            older.remove(&id);
            if until == Some(id) {
                until = None;
            }
            match until {
                Some(_) => {
                    self.covered.insert(id);
                }
                None => until = pushed.get(&id).copied().filter(|old| older.contains(old)),
            }
        }
    }

    /// Returns why this ref change is not marked, or `None` if it is.
    pub fn passed(&self, past: &Past, now: Timestamp) -> Option<Passed> {
        let (ref_name, new) = (past.update.ref_name(), past.update.raw_new_id());
        let known = self.updates.get(&key(ref_name.to_text().as_bytes(), new)).copied();
        let is_covered = || matches!(ref_name.kind(), RefKind::Branch(_)) && self.covered.contains(&new);
        let latest = now.checked_add(MAX_AHEAD).unwrap_or(Timestamp::MAX);
        let is_undated = || time::is_absurd(past.time) || past.time > latest;
        known
            .or_else(|| is_covered().then_some(Passed::Covered))
            .or_else(|| is_undated().then_some(Passed::Undated))
    }
}

fn key(ref_name: &[u8], new: ObjectId) -> UpdateKey {
    let mut hash = Sha256::new_with_prefix(new.as_bytes());
    hash.update(ref_name);
    let mut key = UpdateKey::default();
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}
