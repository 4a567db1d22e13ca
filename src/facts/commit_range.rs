//! Contents of a deployment: the commits between the one deployed before and the one deployed now.

use std::rc::Rc;

use super::{
    Commit, FactError, Facts, MAX_COMMITS, Repository, WalkLimit,
    ancestry::{CommitNumber, Time},
};
use crate::{
    glob::Globs,
    push::ObjectId,
    sys::time::{Timestamp, is_absurd},
};

/// Maximum number of ranges that one update caches. Services of a repository seldom all run
/// different commits.
const MAX_BROUGHT: usize = 16;

/// Maximum number of commits that one walk in the background may visit.
///
/// A visit takes 1 to 17 bytes with a commit-graph. Without one it takes about 45 bytes (SHA-1) or
/// 60 bytes (SHA-256), so a walk takes at most 300 MB.
pub const MAX_VISITED_SINCE: usize = 5_000_000;

/// Maximum time that a commit of a range may be older than the commit deployed before, in seconds. A
/// branch may be that old when it is merged; an older date is taken for a wrong clock.
const MAX_BEFORE: Time = 365 * 86_400;

/// Maximum time that a commit may be ahead of the push, in seconds. Time zones can be wrong.
const MAX_AHEAD: Time = 86_400;

/// The dates of commits that are believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockBounds {
    first: Time,
    last: Time,
}

impl ClockBounds {
    /// Returns the bounds for commits after one with the time `old`, pushed at `pushed`. A wrong
    /// `old` does not count.
    fn after(old: Time, pushed: Timestamp) -> Self {
        let last = pushed.as_second().saturating_add(MAX_AHEAD);
        Self { first: old.min(pushed.as_second()).saturating_sub(MAX_BEFORE), last }
    }

    fn believes(self, time: Time) -> bool {
        let is_absurd = Timestamp::from_second(time).map_or(true, is_absurd);
        !is_absurd && (self.first..=self.last).contains(&time)
    }
}

/// Relation of the newly deployed commit to the one deployed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Both are the same commit.
    Same,
    /// The old commit is an ancestor of the new one: a normal deployment.
    Ahead,
    /// The new commit is an ancestor of the old one: a rollback.
    Behind,
    /// Each has commits that the other does not have.
    Diverged,
    /// The old commit is not in the repository.
    Lost,
    /// The walk ended before it found the relation.
    Unknown,
}

/// The commits between two deployments of a service.
#[derive(Clone, Debug)]
pub struct Brought {
    /// Relation of the new commit to the old one.
    pub relation: Relation,
    /// Number of commits that the new commit has and the old one does not, without
    /// [`imported`](Self::imported) ones. For [`Relation::Behind`], the number of commits that are
    /// rolled back: those that the old one has and the new one does not.
    pub count: usize,
    /// Number of commits with a history that is unrelated to that of the repository. They are in no
    /// other field.
    pub imported: usize,
    /// Number of the commits whose date cannot be believed.
    pub undated: usize,
    /// True if the walk ended at its limit, so that `count` is a lower bound.
    pub is_truncated: bool,
    /// True if the walk reached the edge of a shallow clone, so that commits may be missing.
    pub is_shallow: bool,
    /// True if only commits that touch the given paths are counted. Ranges of more than
    /// [`MAX_COMMITS`] commits are not filtered.
    pub is_filtered: bool,
    /// True if the given paths are the same at both ends, so that the range holds nothing for them.
    pub is_untouched: bool,
    /// The oldest of the commits by committer time, among those whose date is believed. DORA's lead time starts there.
    pub first: Option<(ObjectId, Timestamp)>,
    /// The newest [`MAX_COMMITS`] of the commits, newest first.
    pub commits: Vec<Rc<Commit>>,
    clocks: ClockBounds,
}

impl Brought {
    /// Returns an empty range with this relation.
    fn nothing(relation: Relation) -> Self {
        Self {
            relation,
            count: 0,
            imported: 0,
            undated: 0,
            is_truncated: false,
            is_shallow: false,
            is_filtered: false,
            is_untouched: false,
            first: None,
            commits: Vec::new(),
            clocks: ClockBounds { first: Time::MIN, last: Time::MAX },
        }
    }
}

impl Facts {
    /// Returns the commits that a deployment of the new commit adds if `old` runs now.
    ///
    /// With `paths`, globs as in `[[service]]`, only commits that touch them count
    /// ([`Brought::is_filtered`]). A complete range is cached.
    ///
    /// # Errors
    /// Returns an error if patience ends ([`FactError::is_out_of_time`]), if the update has no
    /// commit, or if a commit on the way is missing or broken.
    pub fn brought_since(
        &self,
        old: ObjectId,
        paths: &[String],
        patience: WalkLimit,
    ) -> Result<Rc<Brought>, FactError> {
        let brought = match self.known_since(old) {
            Some(brought) => brought,
            None => {
                let new = self.deployed()?;
                let pushed = self.push().time();
                let brought = self.repository()?.brought_between(old, new, MAX_COMMITS, pushed, patience)?;
                let brought = Rc::new(brought);
                let mut remembered = self.brought.borrow_mut();
                if !brought.is_truncated && remembered.len() < MAX_BROUGHT {
                    remembered.push((old, brought.clone()));
                }
                brought
            }
        };
        if paths.is_empty() {
            return Ok(brought);
        }
        let ends = (old, self.deployed()?);
        Ok(Rc::new(self.repository()?.only_touching(&brought, ends, paths, patience)?))
    }

    /// Returns the same range without paths and without reading commits, for callers that need only
    /// the count and the first commit. [`Brought::commits`] may be empty.
    ///
    /// # Errors
    /// As for [`Self::brought_since`].
    pub fn counted_since(&self, old: ObjectId, patience: WalkLimit) -> Result<Rc<Brought>, FactError> {
        match self.known_since(old) {
            Some(brought) => Ok(brought),
            None => {
                let repository = self.repository()?;
                // An id in the commit-graph is a commit, so its object need not be looked up.
                let new = match self.update().new_id() {
                    Some(id) if repository.known_commit(id).is_some() => id,
                    Some(id) if repository.is_in_commit_graph(id)? => id,
                    _ => self.deployed()?,
                };
                Ok(Rc::new(repository.brought_between(old, new, 0, self.push().time(), patience)?))
            }
        }
    }

    fn known_since(&self, old: ObjectId) -> Option<Rc<Brought>> {
        self.brought.borrow().iter().find(|(since, _)| *since == old).map(|(_, brought)| brought.clone())
    }

    /// Returns the commit that a deployment of the ref would run now.
    fn deployed(&self) -> Result<ObjectId, FactError> {
        self.commit_id()?
            .ok_or_else(|| FactError::new("the ref does not point to a commit, so it has no commit range"))
    }
}

impl Repository {
    /// Returns the range between two commits, with the newest `most` of its commits. The new one was
    /// pushed at `pushed`.
    ///
    /// # Errors
    /// Returns an error if time is up, if the new commit is missing, or if a commit on the way is
    /// missing or broken.
    pub(super) fn brought_between(
        &self,
        old: ObjectId,
        new: ObjectId,
        most: usize,
        pushed: Timestamp,
        patience: WalkLimit,
    ) -> Result<Brought, FactError> {
        if old == new {
            return Ok(Brought::nothing(Relation::Same));
        }
        if let Some(brought) = self.one_commit_between(old, new, most, pushed) {
            return Ok(brought);
        }
        let Some(mut walked) = self.walk_between(Some(old), new, patience)? else {
            return Ok(Brought::nothing(Relation::Lost));
        };
        let relation = match (walked.new_has_old, walked.old_has_new) {
            (true, _) => Relation::Ahead,
            (_, true) => Relation::Behind,
            _ if walked.is_truncated => Relation::Unknown,
            _ => Relation::Diverged,
        };
        let is_back = relation == Relation::Behind;
        let mut found = std::mem::take(if is_back { &mut walked.only_old } else { &mut walked.only_new });
        let tip = walked.old.filter(|_| is_back).unwrap_or(walked.new);
        let imported = walked.imported(tip, &found, patience)?;
        found.retain(|(_, number)| !imported.contains(number));
        let old_time = walked.old.map(|old| walked.ancestry.time(old)).transpose()?;
        let clocks = ClockBounds::after(old_time.unwrap_or(Time::MAX), pushed);
        // The commits that a rollback takes back may be of any age.
        let is_dated = |time: Time| is_back || clocks.believes(time);
        let first = |(time, number): &(Time, CommitNumber)| {
            Ok((walked.id(*number)?, Timestamp::from_second(*time).unwrap_or(Timestamp::UNIX_EPOCH)))
        };
        let dated = found.iter().rev().filter(|(time, _)| is_dated(*time));
        Ok(Brought {
            relation,
            count: found.len(),
            imported: imported.len(),
            undated: found.iter().filter(|(time, _)| !is_dated(*time)).count(),
            is_truncated: walked.is_truncated,
            is_shallow: walked.is_shallow,
            is_filtered: false,
            is_untouched: false,
            // If several have the same second, the one that the walk met last is the oldest.
            first: dated.min_by_key(|(time, _)| *time).map(first).transpose()?,
            commits: found
                .iter()
                .take(most)
                .map(|(_, number)| self.commit(walked.id(*number)?))
                .collect::<Result<_, _>>()?,
            clocks,
        })
    }

    /// Returns the range without a walk if it is the new commit alone, as for most pushes, and if
    /// both commits are in the cache.
    fn one_commit_between(
        &self,
        old: ObjectId,
        new: ObjectId,
        most: usize,
        pushed: Timestamp,
    ) -> Option<Brought> {
        let commit = self.known_commit(new).filter(|commit| commit.parents == [old])?;
        let clocks = ClockBounds::after(self.known_commit(old)?.committer.time?.as_second(), pushed);
        let time = commit.committer.time?;
        let is_dated = clocks.believes(time.as_second());
        Some(Brought {
            count: 1,
            undated: usize::from(!is_dated),
            first: is_dated.then_some((new, time)),
            commits: if most > 0 { vec![commit] } else { Vec::new() },
            clocks,
            ..Brought::nothing(Relation::Ahead)
        })
    }

    /// Keeps only the commits that touch one of `paths`, globs as in `[[service]]`.
    ///
    /// Each commit is compared with its first parent, so a merge touches everything it merged in.
    /// If only merges remain and the paths are the same at both `ends`, nothing is kept. This
    /// happens when a hot-fix that already runs is merged back into the main branch.
    ///
    /// # Errors
    /// Returns an error if time is up, or if a tree is missing or broken.
    pub(super) fn only_touching(
        &self,
        brought: &Brought,
        ends: (ObjectId, ObjectId),
        paths: &[String],
        patience: WalkLimit,
    ) -> Result<Brought, FactError> {
        let mut left = brought.clone();
        if paths.is_empty() || brought.is_truncated || brought.count > brought.commits.len() {
            return Ok(left);
        }
        left.commits.clear();
        let globs = Globs::new(paths);
        for commit in &brought.commits {
            if let WalkLimit::Until(deadline) | WalkLimit::VisitsUntil(_, deadline) = patience
                && deadline.is_over()
            {
                return Err(FactError::out_of_time("checking which paths the commits touch ran out of time"));
            }
            if self.touches(commit, &globs, brought.is_shallow)? {
                left.commits.push(commit.clone());
            }
        }
        let has_written = left.commits.iter().any(|commit| commit.parents.len() < 2);
        left.is_untouched = match brought.relation {
            Relation::Ahead | Relation::Behind if left.commits.is_empty() => true,
            Relation::Lost | Relation::Unknown => false,
            _ => !has_written && !self.differ(Some(ends.0), ends.1, &globs)?,
        };
        if left.is_untouched {
            left.commits.clear();
        }
        let time = |commit: &Commit| commit.committer.time.unwrap_or(Timestamp::UNIX_EPOCH);
        let is_dated = |time: &Timestamp| {
            brought.relation == Relation::Behind || brought.clocks.believes(time.as_second())
        };
        left.count = left.commits.len();
        left.undated = left.commits.iter().filter(|commit| !is_dated(&time(commit))).count();
        let dated = left.commits.iter().rev().map(|commit| (commit.id, time(commit)));
        left.first = dated.filter(|(_, time)| is_dated(time)).min_by_key(|(_, time)| *time);
        // Imported history comes with a merge.
        if !left.commits.iter().any(|commit| commit.parents.len() > 1) {
            left.imported = 0;
        }
        left.is_filtered = true;
        Ok(left)
    }
}
