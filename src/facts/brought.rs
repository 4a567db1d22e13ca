//! What a deployment brings: the commits between the one that runs now and the one that ran before.

use std::rc::Rc;

use super::{
    Commit, FactError, Patience, Repository,
    ancestry::{Number, Time},
};
use crate::{push::ObjectId, time::Timestamp};

/// How many commits one walk in the background may visit: a byte to 17 each with a commit-graph, without one about 45
/// (SHA-1) or 60 (SHA-256), so 300 MB at the most.
pub const MAX_VISITED_SINCE: usize = 5_000_000;

/// How the commit that runs now stands to the one that ran before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It is the same one.
    Same,
    /// The old commit is in its history: what is deployed is newer.
    Ahead,
    /// It is in the old commit's history: the deployment goes back.
    Behind,
    /// Each has commits that the other does not have.
    Diverged,
    /// The old commit is not in the repository.
    Lost,
    /// The walk ended before it could be told.
    Unknown,
}

/// What lies between two deployments of a service.
#[derive(Clone, Debug)]
pub struct Brought {
    /// How the new commit stands to the old one.
    pub relation: Relation,
    /// How many commits lead to the new and not to the old one; for [`Relation::Behind`], how many are taken back: they
    /// lead to the old one and not to the new.
    pub count: usize,
    /// Whether the walk ended at its limit, so that `count` is a lower bound.
    pub is_truncated: bool,
    /// Whether the walk met the edge of a shallow clone, beyond which there may be more.
    pub is_shallow: bool,
    /// Whether only commits that touch the asked paths are counted. Ranges of more than [`MAX_COMMITS`](super::MAX_COMMITS) are not filtered.
    pub is_filtered: bool,
    /// Whether nothing lies between that touches the asked paths, so that they are at both ends the same.
    pub is_untouched: bool,
    /// The oldest of them by the committer's time: DORA's lead time counts from it.
    pub first: Option<(ObjectId, Timestamp)>,
    /// The newest [`MAX_COMMITS`](super::MAX_COMMITS) of them, newest first.
    pub commits: Vec<Rc<Commit>>,
}

impl Brought {
    /// Returns nothing, of two commits that stand so to each other.
    fn nothing(relation: Relation) -> Self {
        Self {
            relation,
            count: 0,
            is_truncated: false,
            is_shallow: false,
            is_filtered: false,
            is_untouched: false,
            first: None,
            commits: Vec::new(),
        }
    }
}

impl Repository {
    /// Returns what lies between two commits, with the newest `most` of them.
    ///
    /// # Errors
    /// If time is up, the new commit is not there, or one on the way is missing or broken.
    pub(super) fn brought_between(
        &self,
        old: ObjectId,
        new: ObjectId,
        most: usize,
        patience: Patience,
    ) -> Result<Brought, FactError> {
        if old == new {
            return Ok(Brought::nothing(Relation::Same));
        }
        let Some(walked) = self.walk_between(Some(old), new, patience)? else {
            return Ok(Brought::nothing(Relation::Lost));
        };
        let relation = match (walked.new_has_old, walked.old_has_new) {
            (true, _) => Relation::Ahead,
            (_, true) => Relation::Behind,
            _ if walked.is_truncated => Relation::Unknown,
            _ => Relation::Diverged,
        };
        let found = if relation == Relation::Behind { &walked.only_old } else { &walked.only_new };
        let first = |(time, number): &(Time, Number)| {
            Ok((walked.id(*number)?, Timestamp::from_second(*time).unwrap_or(Timestamp::UNIX_EPOCH)))
        };
        Ok(Brought {
            relation,
            count: found.len(),
            is_truncated: walked.is_truncated,
            is_shallow: walked.is_shallow,
            is_filtered: false,
            is_untouched: false,
            // Of several of one second, the one that the walk met last is the earlier.
            first: found.iter().rev().min_by_key(|(time, _)| *time).map(first).transpose()?,
            commits: found
                .iter()
                .take(most)
                .map(|(_, number)| self.commit(walked.id(*number)?))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Leaves only those commits that touch one of `paths`, globs as in `[[service]]`, against their first parents. A
    /// merge touches what it brought to its first parent's side. Where only merges are left and the paths are the same at
    /// both `ends`, nothing is: a hot-fix that runs already and comes back to its main branch is such a merge.
    ///
    /// # Errors
    /// If time is up, or a tree is missing or broken.
    pub(super) fn only_touching(
        &self,
        brought: &Brought,
        ends: (ObjectId, ObjectId),
        paths: &[String],
        patience: Patience,
    ) -> Result<Brought, FactError> {
        let mut left = brought.clone();
        if paths.is_empty() || brought.is_truncated || brought.count > brought.commits.len() {
            return Ok(left);
        }
        left.commits.clear();
        for commit in &brought.commits {
            if let Patience::Until(deadline) = patience
                && deadline.is_over()
            {
                return Err(FactError::out_of_time("the look at what the commits touch ran out of time"));
            }
            if self.touches(commit, paths, brought.is_shallow)? {
                left.commits.push(commit.clone());
            }
        }
        let has_written = left.commits.iter().any(|commit| commit.parents.len() < 2);
        left.is_untouched = match brought.relation {
            Relation::Ahead | Relation::Behind if left.commits.is_empty() => true,
            Relation::Lost | Relation::Unknown => false,
            _ => !has_written && !self.differ(Some(ends.0), ends.1, paths)?,
        };
        if left.is_untouched {
            left.commits.clear();
        }
        let time = |commit: &Commit| commit.committer.time.unwrap_or(Timestamp::UNIX_EPOCH);
        left.count = left.commits.len();
        left.first =
            left.commits.iter().rev().map(|commit| (commit.id, time(commit))).min_by_key(|(_, time)| *time);
        left.is_filtered = true;
        Ok(left)
    }
}
