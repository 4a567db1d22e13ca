//! How a push moved a ref: forward, back, or to another history.

use std::rc::Rc;

use super::{FactError, Facts, MAX_VISITED, WalkLimit};

/// The movement of a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefUpdate {
    /// The push created the ref.
    Created,
    /// The old commit is in the history of the new one.
    FastForward,
    /// Each of the two commits has commits that the other lacks.
    Forced {
        /// Number of commits that the ref no longer has. `None` if they were not all counted.
        removed: Option<usize>,
    },
    /// The new commit is in the history of the old one.
    Rewound {
        /// Number of commits that the ref no longer has. `None` if they were not all counted.
        removed: Option<usize>,
    },
    /// The push deleted the ref.
    Deleted,
}

impl RefUpdate {
    /// Returns the name in attributes and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::FastForward => "fast_forward",
            Self::Forced { .. } => "forced",
            Self::Rewound { .. } => "rewound",
            Self::Deleted => "deleted",
        }
    }

    /// Returns the number of commits that the ref no longer has, if it is known.
    pub fn removed(self) -> Option<usize> {
        match self {
            Self::Created | Self::FastForward => Some(0),
            Self::Forced { removed } | Self::Rewound { removed } => removed,
            Self::Deleted => None,
        }
    }
}

impl Facts {
    /// Returns how the push moved the ref, if this is known without a walk through the history.
    pub fn known_ref_update(&self) -> Option<RefUpdate> {
        let update = self.update();
        if update.is_created() {
            return Some(RefUpdate::Created);
        }
        if update.is_deleted() {
            return Some(RefUpdate::Deleted);
        }
        if let Some(known) = self.ref_update.get() {
            return *known;
        }
        // Most pushes add one commit, or a merge, to the old one.
        let old = update.old_id()?;
        let commit: Rc<_> = self.commit().ok()??;
        commit.parents.contains(&old).then_some(RefUpdate::FastForward)
    }

    /// Returns how the push moved the ref. Returns `None` if it did not, or if this cannot be determined:
    /// the walk ended before it found out, the history is incomplete, or there is no commit. The walk visits
    /// at most [`MAX_VISITED`] commits. After that, generation numbers of the commit-graph decide,
    /// and the removed commits are not counted.
    ///
    /// # Errors
    /// Returns an error if the history cannot be read, or if time is up.
    pub fn ref_update(&self, patience: WalkLimit) -> Result<Option<RefUpdate>, FactError> {
        if let Some(known) = self.known_ref_update() {
            return Ok(Some(known));
        }
        if let Some(known) = self.ref_update.get() {
            return Ok(*known);
        }
        let patience = match patience {
            WalkLimit::Until(deadline) => WalkLimit::VisitsUntil(MAX_VISITED, deadline),
            WalkLimit::Visits(most) => WalkLimit::Visits(most.min(MAX_VISITED)),
            WalkLimit::VisitsUntil(most, deadline) => WalkLimit::VisitsUntil(most.min(MAX_VISITED), deadline),
        };
        let found = self.walk_ref_update(patience)?;
        Ok(*self.ref_update.get_or_init(|| found))
    }

    fn walk_ref_update(&self, patience: WalkLimit) -> Result<Option<RefUpdate>, FactError> {
        let (Some(old), Some(new)) = (self.old_commit()?, self.commit_id()?) else { return Ok(None) };
        // A tag object was replaced by another one for the same commit.
        if old == new {
            return Ok(Some(RefUpdate::FastForward));
        }
        let repository = self.repository()?;
        let Some(walked) = repository.walk_between(Some(old), new, patience)? else {
            // A complete history has all of its commits, so the old one is not among them.
            let is_complete = repository.layout.shallow().map_err(|err| repository.noted(err))?.is_empty();
            return Ok(is_complete.then_some(RefUpdate::Forced { removed: None }));
        };
        let is_whole = !walked.is_truncated && !walked.is_shallow;
        let removed = is_whole.then_some(walked.only_old.len());
        Ok(match (walked.new_has_old, walked.old_has_new) {
            (true, _) => Some(RefUpdate::FastForward),
            (_, true) => Some(RefUpdate::Rewound { removed }),
            _ if is_whole => Some(RefUpdate::Forced { removed }),
            _ if walked.is_shallow => None,
            _ => match repository.is_in_history(old, new, patience)? {
                Some(true) => Some(RefUpdate::FastForward),
                Some(false) if repository.is_in_history(new, old, patience)? == Some(true) => {
                    Some(RefUpdate::Rewound { removed: None })
                }
                Some(false) => Some(RefUpdate::Forced { removed: None }),
                None => None,
            },
        })
    }
}
