//! The commits between two states of a ref.

use std::rc::Rc;

use super::{Commit, FactError, Patience, Repository};
use crate::push::ObjectId;

/// How many commits one walk may visit. A first push of a long history ends here, and its
/// range says that it was cut.
pub const MAX_VISITED: usize = 10_000;

/// How many commits of a range are read whole, for their titles and authors: the newest.
pub const MAX_COMMITS: usize = 250;

/// The commits that a push brought to a ref.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// How many commits are reachable from the new id and not from the old.
    pub count: usize,
    /// Whether the walk ended at [`MAX_VISITED`], so that `count` is a lower bound.
    pub is_truncated: bool,
    /// Whether the old commit is in the new one's history.
    pub is_fast_forward: bool,
    /// The newest [`MAX_COMMITS`] of them, newest first.
    pub commits: Vec<Rc<Commit>>,
}

impl Range {
    /// Returns the names of the authors, each once, in the order of their newest commit.
    pub fn authors(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for commit in &self.commits {
            if !names.contains(&commit.author.name.as_str()) {
                names.push(&commit.author.name);
            }
        }
        names
    }
}

impl Repository {
    /// Returns the commits that `new` has and `old` has not; without an `old`, all of them.
    pub(super) fn range(&self, old: Option<ObjectId>, new: ObjectId) -> Result<Range, FactError> {
        let failed = |err: FactError| FactError::new(format!("failed to walk the history of {new}: {err}"));
        let missing =
            || FactError::new(format!("failed to walk the history of {new}: the old commit is missing"));
        let walked = self
            .walk_between(old, new, Patience::Visits(MAX_VISITED))
            .map_err(failed)?
            .ok_or_else(missing)?;
        Ok(Range {
            count: walked.only_new.len(),
            is_truncated: walked.is_truncated,
            is_fast_forward: walked.new_has_old,
            commits: walked
                .only_new
                .iter()
                .take(MAX_COMMITS)
                .map(|(_, number)| self.commit(walked.id(*number)?))
                .collect::<Result<_, _>>()?,
        })
    }
}
