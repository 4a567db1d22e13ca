//! The input of one hook run, as typed values.
//!
//! [`lines`] parses git's standard input and [`Source`] the environment. Together they make a
//! [`Push`]. This module does not open the repository: it turns bytes and variables into values.

mod access;
mod actor;
mod environment;
mod git_dir;
mod id;
mod learned;
pub mod lines;
mod object_id;
mod options;
mod source;
mod update;

pub use access::{AccessRecords, OrganisationRecord, ProtectionRecord};
pub use actor::{MergeStep, PullRequest, Pusher};
pub use environment::Environment;
pub use git_dir::GitDir;
pub use id::PushId;
pub use learned::{LearnedUpdate, ReleasePage};
pub use object_id::ObjectId;
pub use options::PushOptions;
pub use source::{RepositoryIdentity, Source, Transport, UpdateSource};
pub use update::{RefKind, RefName, Update};

use std::sync::Arc;

use crate::sys::time::Timestamp;

/// One run of the hook: who pushed, to which repository, when, and which refs changed.
#[derive(Clone, Debug)]
pub struct Push {
    id: PushId,
    time: Timestamp,
    source: Source,
    updates: Vec<Update>,
    access: Arc<AccessRecords>,
    approvals: Option<u32>,
}

impl Push {
    /// Builds a push from its parts.
    pub fn new(id: PushId, time: Timestamp, source: Source, updates: Vec<Update>) -> Self {
        Self { id, time, source, updates, access: Arc::default(), approvals: None }
    }

    /// Adds what Gitea's API said of people and refs before.
    #[must_use]
    pub fn with_access(self, access: AccessRecords) -> Self {
        Self { access: Arc::new(access), ..self }
    }

    /// Adds the number of people who had approved the merged pull request, as Gitea's API says.
    #[must_use]
    pub fn with_approvals(self, approvals: Option<u32>) -> Self {
        Self { approvals, ..self }
    }

    /// Builds the push of a ref change that the repository's history shows, as if it had been pushed
    /// alone at `time`. The same ref change always gives the same id. What `backfill` marks keeps it
    /// when the repository is renamed.
    pub fn of_past(source: &Source, time: Timestamp, update: Update) -> Self {
        let repository = match source.found_by {
            UpdateSource::Backfill => source.repository_key(),
            UpdateSource::Push | UpdateSource::Scan | UpdateSource::Command => source.repository.full_name(),
        };
        let id = PushId::derived(time, &repository, std::slice::from_ref(&update));
        Self::new(id, time, source.clone(), vec![update])
    }

    /// Builds the push of one of the updates, made alone at `time`. `None` if there is no such update.
    pub fn part(&self, index: usize, time: Timestamp) -> Option<Self> {
        let part = Self::of_past(&self.source, time, self.updates.get(index)?.clone());
        Some(Self { access: self.access.clone(), ..part })
    }

    /// Returns the branch that an update renamed: one that the push deleted at the commit at which this
    /// update created a branch.
    pub fn renamed_from(&self, index: usize) -> Option<&RefName> {
        let created =
            self.updates.get(index).filter(|update| update.is_created() && update.is_of_branch())?;
        let is_old = |update: &&Update| update.is_deleted() && update.old_id() == created.new_id();
        self.updates.iter().filter(is_old).find(|update| update.is_of_branch()).map(Update::ref_name)
    }

    /// Returns the id, which is generated at capture and never changes.
    pub fn id(&self) -> PushId {
        self.id
    }

    /// Returns the time of capture, which is also the time of every marker of this push.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Returns the facts about the push that come from the environment.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns what Gitea's API said of people and refs before the push was decided.
    pub fn access(&self) -> &AccessRecords {
        &self.access
    }

    /// Returns the number of people who had approved the merged pull request, `None` if Gitea's API was
    /// not asked.
    pub fn approvals(&self) -> Option<u32> {
        self.approvals
    }

    /// Returns the ref changes in git's order.
    pub fn updates(&self) -> &[Update] {
        &self.updates
    }
}
