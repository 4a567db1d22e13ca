//! The commits between two states of a ref.

use std::rc::Rc;

use super::{Commit, FactError, Repository, WalkLimit};
use crate::push::ObjectId;

/// Maximum number of commits that one walk may visit. The first push of a long history exceeds it,
/// and its range is marked as truncated.
pub const MAX_VISITED: usize = 10_000;

/// Maximum number of commits of a range that are read in full, for titles and authors. These are
/// the newest ones.
pub const MAX_COMMITS: usize = 250;

/// The commits that a push added to a ref.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// Number of commits that the new id has and the old one does not, as far as the walk came.
    pub count: usize,
    /// True if the walk ended at [`MAX_VISITED`] or at the edge of a shallow clone, so that `count`
    /// is too low.
    pub is_truncated: bool,
    /// The newest [`MAX_COMMITS`] of the commits, newest first.
    pub commits: Vec<Rc<Commit>>,
}

impl Range {
    /// Returns the number of commits, if all of them were counted.
    pub fn exact_count(&self) -> Option<usize> {
        (!self.is_truncated).then_some(self.count)
    }

    /// Returns the names of the authors, each once, in the order of their newest commit.
    pub fn authors(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for commit in &self.commits {
            let name = commit.author.name.as_str();
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

impl Repository {
    /// Returns the commits that `new` has and `old` does not. Without an `old`, returns all of
    /// them.
    pub(super) fn range(&self, old: Option<ObjectId>, new: ObjectId) -> Result<Range, FactError> {
        let failed = |err: FactError| err.in_context(format_args!("failed to walk the history of {new}"));
        let missing =
            || FactError::new(format!("failed to walk the history of {new}: the old commit is missing"));
        let walked = self
            .walk_between(old, new, WalkLimit::Visits(MAX_VISITED))
            .map_err(failed)?
            .ok_or_else(missing)?;
        Ok(Range {
            count: walked.only_new.len(),
            is_truncated: walked.is_truncated || walked.is_shallow,
            commits: walked
                .only_new
                .iter()
                .take(MAX_COMMITS)
                .map(|(_, number)| self.commit(walked.id(*number)?))
                .collect::<Result<_, _>>()?,
        })
    }
}
