//! What git and Gitea said: one run of the hook, before any repository is opened.
//!
//! [`lines`] reads git's standard input, [`Source`] the environment; together they are a [`Push`].
//! Everything here is pure: bytes and names in, typed values out.

mod environment;
mod git_dir;
mod id;
pub mod lines;
mod object_id;
mod options;
mod source;
mod update;

pub use environment::Environment;
pub use git_dir::GitDir;
pub use id::PushId;
pub use object_id::ObjectId;
pub use options::PushOptions;
pub use source::{MergeStep, PullRequest, Pusher, Repository, Source, Transport};
pub use update::{RefKind, RefName, Update};

use crate::time::Timestamp;

/// One run of the hook: who pushed, where to, when, and which refs changed.
#[derive(Clone, Debug)]
pub struct Push {
    id: PushId,
    time: Timestamp,
    source: Source,
    updates: Vec<Update>,
}

impl Push {
    /// Puts a push together from its parts.
    pub fn new(id: PushId, time: Timestamp, source: Source, updates: Vec<Update>) -> Self {
        Self { id, time, source, updates }
    }

    /// Returns the id that was given at capture and never changes.
    pub fn id(&self) -> PushId {
        self.id
    }

    /// Returns when the push was captured; every marker of it bears this time.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Returns what the environment said of the push.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns the ref changes in git's order.
    pub fn updates(&self) -> &[Update] {
        &self.updates
    }
}
