//! What the journal keeps of a push: who, how, with which policy. Its updates are in the decisions.

use std::{borrow::Cow, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    policy::{Import, Origin, Policy},
    push::{GitDir, PullRequest, Push, PushId, PushOptions, Pusher, Repository, Source, Transport},
    time::Timestamp,
};

/// A push whose decision begins, and the policy that decides it. Whoever goes on with it later, with what
/// the policy is by then, notes it anew.
///
/// Every text in it was cut when the push was captured, and there are at most 64 options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pushed<'a> {
    /// The push.
    pub push: PushId,
    /// `owner/name`.
    pub repository: Cow<'a, str>,
    /// Where the repository was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_dir: Option<Cow<'a, GitDir>>,
    /// Gitea's number of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<i64>,
    /// When it was captured; its markers bear this time.
    pub captured: Timestamp,
    /// How many updates it has.
    pub updates: usize,
    /// Who pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<Cow<'a, Pusher>>,
    /// How the push came in.
    pub transport: Transport,
    /// What the pusher said with `-o`.
    #[serde(default, skip_serializing_if = "is_none_said")]
    pub options: Cow<'a, PushOptions>,
    /// The pull request that it merges or brings up to date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,
    /// Whether it went to a wiki.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_wiki: bool,
    /// Whether Gitea pushed for itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_internal: bool,
    /// The deploy key that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_key_id: Option<i64>,
    /// The SSH key that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<i64>,
    /// The Gitea Actions task whose token was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions_task_id: Option<i64>,
    /// Gitea's address, with a slash at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_url: Option<Cow<'a, str>>,
    /// The script of Gitea's Git Hooks page, if it has a say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_page: Option<Cow<'a, str>>,
    /// The layers that have a say, the built-in one first. Without any, the policy could not be loaded, and the
    /// decisions say why.
    pub layers: Vec<Origin>,
    /// What the layers import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
}

impl<'a> Pushed<'a> {
    /// Returns what the journal says of a push to `repository`.
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
            hook_page: hook_page.map(Path::to_string_lossy),
            layers: policy.into_iter().flat_map(Policy::origins).cloned().collect(),
            imports: policy.map_or(&[][..], Policy::imports).to_vec(),
        }
    }

    /// Returns what the environment said of the push, for whoever decides it anew on the repository in `git_dir`.
    pub fn source(&self, git_dir: GitDir) -> Source {
        Source {
            git_dir,
            repository: Repository {
                id: self.repository_id,
                is_wiki: self.is_wiki,
                ..Repository::of_full_name(&self.repository)
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
        }
    }
}

fn is_none_said(options: &PushOptions) -> bool {
    options.iter().next().is_none()
}

fn is_false(flag: &bool) -> bool {
    !flag
}
