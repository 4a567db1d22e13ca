//! The journal's record of a push: who pushed, how, and under which policy. The updates are in the
//! records of their decisions.

use std::{borrow::Cow, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    policy::{Import, Origin, Policy},
    push::{
        GitDir, LearnedUpdate, ObjectId, PullRequest, Push, PushId, PushOptions, Pusher, RepositoryIdentity,
        Source, Transport, UpdateSource,
    },
    sys::time::Timestamp,
};

/// A push at the start of its decision, and the policy that decides it. A process that continues
/// the decision later appends another record, with its policy.
///
/// All texts were limited in length when the push was captured, and there are at most 64 options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushRecord<'a> {
    /// The push.
    pub push: PushId,
    /// `owner/name`.
    pub repository: Cow<'a, str>,
    /// The repository's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_dir: Option<Cow<'a, GitDir>>,
    /// Gitea's ID of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<i64>,
    /// Time of the capture, which is also the time of its markers.
    pub captured: Timestamp,
    /// Number of updates.
    pub updates: usize,
    /// The way in which this program learned of the updates.
    #[serde(default, skip_serializing_if = "UpdateSource::is_push")]
    pub source: UpdateSource,
    /// The user who pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<Cow<'a, Pusher>>,
    /// The transport of the push.
    pub transport: Transport,
    /// The push options (`git push -o`).
    #[serde(default, skip_serializing_if = "is_none_said")]
    pub options: Cow<'a, PushOptions>,
    /// The pull request that the push merges or updates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,
    /// True if the repository is a wiki.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_wiki: bool,
    /// True if Gitea pushed on its own behalf.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_internal: bool,
    /// ID of the deploy key that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_key_id: Option<i64>,
    /// ID of the SSH key that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<i64>,
    /// ID of the Gitea Actions task whose token was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions_task_id: Option<i64>,
    /// Gitea's root URL, with a slash at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_url: Option<Cow<'a, str>>,
    /// Facts from Gitea's API.
    #[serde(default, skip_serializing_if = "is_nothing_learned")]
    pub learned: Option<Cow<'a, [LearnedUpdate]>>,
    /// The script of Gitea's Git Hooks page if it is part of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_page: Option<Cow<'a, str>>,
    /// The layers of the policy, the built-in one first. Empty if the policy could not be loaded;
    /// the decisions then have the error.
    pub layers: Vec<Origin>,
    /// The files that the layers import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
}

impl<'a> PushRecord<'a> {
    /// Returns the journal's record of a push to `repository`.
    pub fn of(
        push: &'a Push,
        repository: &'a str,
        hook_page: Option<&'a Path>,
        policy: Option<&'a Policy>,
    ) -> Self {
        let source = push.source();
        Self {
            push: push.id(),
            repository: repository.into(),
            git_dir: Some(Cow::Borrowed(&source.git_dir)),
            repository_id: source.repository.id,
            captured: push.time(),
            updates: push.updates().len(),
            source: source.found_by,
            pusher: source.pusher.as_ref().map(Cow::Borrowed),
            transport: source.transport,
            options: Cow::Borrowed(&source.options),
            pull_request: source.pull_request,
            is_wiki: source.repository.is_wiki,
            is_internal: source.is_internal,
            deploy_key_id: source.deploy_key_id,
            key_id: source.key_id,
            actions_task_id: source.actions_task_id,
            root_url: source.root_url.as_deref().map(Cow::from),
            learned: source.learned.as_deref().map(Cow::from),
            hook_page: hook_page.map(Path::to_string_lossy),
            layers: policy.into_iter().flat_map(Policy::origins).cloned().collect(),
            imports: policy.map_or(&[][..], Policy::imports).to_vec(),
        }
    }

    /// Returns the user who made an update of the push, by the full name of its ref and its new object.
    pub fn actor_of(&self, ref_name: &str, new_id: ObjectId) -> Option<&Pusher> {
        let mut learned = self.learned.iter().flat_map(|learned| learned.iter());
        let fact = || learned.find(|fact| fact.new_id == new_id && fact.ref_name == ref_name)?.actor.as_ref();
        self.pusher.as_deref().or_else(fact)
    }

    /// Returns the source of the push, to decide it again on the repository in `git_dir`.
    pub fn source(&self, git_dir: GitDir) -> Source {
        Source {
            found_by: self.source,
            git_dir,
            repository: RepositoryIdentity {
                id: self.repository_id,
                is_wiki: self.is_wiki,
                ..RepositoryIdentity::of_full_name(&self.repository)
            },
            pusher: self.pusher.clone().map(Cow::into_owned),
            transport: self.transport,
            is_internal: self.is_internal,
            pull_request: self.pull_request,
            deploy_key_id: self.deploy_key_id,
            key_id: self.key_id,
            actions_task_id: self.actions_task_id,
            options: self.options.clone().into_owned(),
            root_url: self.root_url.clone().map(Cow::into_owned),
            learned: self.learned.clone().map(Cow::into_owned),
        }
    }
}

fn is_none_said(options: &PushOptions) -> bool {
    options.iter().next().is_none()
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference")]
fn is_nothing_learned(learned: &Option<Cow<'_, [LearnedUpdate]>>) -> bool {
    learned.as_ref().is_none_or(|learned| learned.is_empty())
}

fn is_false(flag: &bool) -> bool {
    !flag
}
