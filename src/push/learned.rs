//! Facts about a ref change that no hook saw, as Gitea's API tells them. They are a server's text,
//! not proof: the API says who published a release, and not who moved the ref.

use serde::{Deserialize, Serialize};

use super::{MergeStep, ObjectId, PullRequest, Push, Pusher, Update};

/// The facts about one update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedUpdate {
    /// The full name of the ref.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// The new object ID, all zeros if the ref was deleted.
    pub new_id: ObjectId,
    /// The user who made the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Pusher>,
    /// Number of the pull request whose merge made the branch's new commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<i64>,
    /// The release of the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleasePage>,
}

/// A release on Gitea's pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasePage {
    /// The title, `None` if it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// True if it is marked as a pre-release.
    pub is_prerelease: bool,
    /// True if it is not published.
    pub is_draft: bool,
    /// The user who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Pusher>,
}

impl Push {
    /// Adds the facts. The push as a whole has a pusher only if one user made all of its updates.
    #[must_use]
    pub fn with_learned(mut self, learned: Vec<LearnedUpdate>) -> Self {
        let mut actors = learned.iter().map(|fact| fact.actor.as_ref());
        let first = actors.next().flatten();
        let is_by_one = learned.len() == self.updates.len() && actors.all(|actor| actor == first);
        self.source.pusher = first.filter(|_| is_by_one).cloned();
        self.source.pull_request = match &learned[..] {
            [only] if self.updates.len() == 1 => only.pull_request(),
            _ => None,
        };
        self.source.learned = Some(learned);
        self
    }

    /// Returns the facts about one update.
    pub fn learned(&self, index: usize) -> Option<&LearnedUpdate> {
        let update = self.updates.get(index)?;
        let name = update.ref_name().to_text();
        let is_of_it = |fact: &&LearnedUpdate| fact.new_id == update.raw_new_id() && fact.ref_name == name;
        self.source.learned.as_ref()?.iter().find(is_of_it)
    }

    /// Returns the push with the pusher and the pull request of this update. `None` if that is the push
    /// itself.
    pub fn as_of_update(&self, index: usize) -> Option<Self> {
        self.source.learned.as_ref().filter(|learned| !learned.is_empty())?;
        let fact = self.learned(index);
        let pusher = fact.and_then(|fact| fact.actor.clone());
        let pull_request = fact.and_then(LearnedUpdate::pull_request);
        if (&pusher, pull_request) == (&self.source.pusher, self.source.pull_request) {
            return None;
        }
        let mut push = self.clone();
        push.source.pusher = pusher;
        push.source.pull_request = pull_request;
        Some(push)
    }
}

impl LearnedUpdate {
    /// Returns the facts about an update that Gitea does not know.
    pub fn nothing(update: &Update) -> Self {
        Self {
            ref_name: update.ref_name().to_text(),
            new_id: update.raw_new_id(),
            actor: None,
            pull_request: None,
            release: None,
        }
    }

    /// Returns true if Gitea did not know anything.
    pub fn is_nothing(&self) -> bool {
        self.actor.is_none() && self.pull_request.is_none() && self.release.is_none()
    }

    fn pull_request(&self) -> Option<PullRequest> {
        self.pull_request.map(|number| PullRequest { number: Some(number), step: MergeStep::Merged })
    }
}
