//! The origin of a push: pusher, transport and repository, from the environment.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Environment, GitDir, LearnedUpdate, PushOptions,
    actor::{MergeStep, PullRequest, Pusher},
};

/// The pusher, the transport and the repository of a push.
///
/// Everything except the directory may be missing. The `GITEA_*` variables are not set outside
/// Gitea, and old Gitea versions set fewer of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The way in which this program learned of the ref changes.
    #[serde(default, skip_serializing_if = "UpdateSource::is_push")]
    pub found_by: UpdateSource,
    /// Path of the bare repository.
    pub git_dir: GitDir,
    /// Names of the repository.
    pub repository: RepositoryIdentity,
    /// The pusher, `None` outside Gitea.
    pub pusher: Option<Pusher>,
    /// The transport that the push used.
    pub transport: Transport,
    /// True if Gitea made the push itself (`GITEA_INTERNAL_PUSH`): the first commit of a new
    /// repository, or the head of a pull request. Merges and edits on the web do not count.
    pub is_internal: bool,
    /// The pull request that this push merges or updates.
    pub pull_request: Option<PullRequest>,
    /// Id of the deploy key, if the push used one. Gitea then names the repository's owner as the
    /// pusher.
    pub deploy_key_id: Option<i64>,
    /// Id of the SSH key, if the push used one.
    pub key_id: Option<i64>,
    /// Id of the Gitea Actions task whose token the push used.
    pub actions_task_id: Option<i64>,
    /// Options that the pusher gave with `-o`.
    pub options: PushOptions,
    /// Base URL of Gitea, with a trailing slash.
    pub root_url: Option<String>,
    /// Facts from Gitea's API. `None` if it was not asked. An empty list means that it will not be
    /// asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Vec<LearnedUpdate>>,
}

/// The way in which this program learned of a ref change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateSource {
    /// The post-receive hook.
    #[default]
    Push,
    /// `scan`, which compares the refs with those that it saw last. Who changed them is unknown.
    Scan,
    /// A person or a script that ran `mark`.
    Command,
    /// `backfill`, which takes the change from the repository's history.
    Backfill,
}

impl UpdateSource {
    /// Returns the name that scripts and attributes use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Scan => "scan",
            Self::Command => "command",
            Self::Backfill => "backfill",
        }
    }

    /// Returns true for the post-receive hook.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub fn is_push(&self) -> bool {
        *self == Self::Push
    }
}

/// Owner, name and id of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryIdentity {
    /// User or organisation, `None` outside Gitea.
    pub owner: Option<String>,
    /// Name of the repository, without `.git` and `.wiki`.
    pub name: String,
    /// Gitea's numeric id of the repository. Unlike the names, it survives renames and transfers.
    pub id: Option<i64>,
    /// True if this is the wiki of the repository.
    pub is_wiki: bool,
}

impl RepositoryIdentity {
    /// Derives the names from a directory. Gitea uses the layout `OWNER/NAME.git`. For a directory
    /// without the `.git` suffix, only the name is known.
    pub fn of_dir(git_dir: &GitDir) -> Self {
        let path = git_dir.as_path();
        let is_bare =
            path.extension().is_some_and(|extension| extension == "git") && path.file_stem().is_some();
        let owner = path.parent().and_then(Path::file_name).filter(|_| is_bare);
        Self::named(owner.map(|owner| owner.to_string_lossy().into_owned()), git_dir.repository_name())
    }

    /// Parses the output of [`Self::full_name`].
    pub fn of_full_name(full_name: &str) -> Self {
        let (owner, name) = match full_name.rsplit_once('/') {
            Some((owner, name)) => (Some(owner.to_string()), name),
            None => (None, full_name),
        };
        Self { owner, name: name.to_string(), id: None, is_wiki: false }
    }

    /// Returns the repository with this owner and name. A name that ends in `.wiki` is a wiki's.
    pub fn named(owner: Option<String>, name: String) -> Self {
        let (name, is_wiki) = match name.strip_suffix(".wiki") {
            Some(name) => (name.to_string(), true),
            None => (name, false),
        };
        Self { owner, name, id: None, is_wiki }
    }

    fn in_lower_case(self) -> Self {
        let owner = self.owner.map(|owner| owner.to_lowercase());
        Self { owner, name: self.name.to_lowercase(), ..self }
    }

    /// Returns true if both owners are known, and the same but for their case.
    fn has_owner_of(&self, other: &Self) -> bool {
        let lower = |owner: &Option<String>| owner.as_deref().map(str::to_lowercase);
        self.owner.is_some() && lower(&self.owner) == lower(&other.owner)
    }

    /// Returns `owner/name`, or only the name if the owner is unknown.
    pub fn full_name(&self) -> String {
        match &self.owner {
            Some(owner) => format!("{owner}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// The way in which a push reached the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// `git push` over SSH.
    Ssh,
    /// `git push` over HTTP.
    Http,
    /// Gitea pushed from its own clone: a merge, an edit or a new branch, on the web or by API.
    Internal,
    /// A push to the directory itself, without Gitea.
    Local,
}

impl Transport {
    /// Returns the name that configuration, scripts and attributes use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Http => "http",
            Self::Internal => "internal",
            Self::Local => "local",
        }
    }
}

impl Source {
    /// Returns the source of a push that no hook captured. Only the repository is known.
    pub fn unknown(git_dir: GitDir, repository: RepositoryIdentity) -> Self {
        Self {
            found_by: UpdateSource::Push,
            git_dir,
            repository,
            pusher: None,
            transport: Transport::Local,
            is_internal: false,
            pull_request: None,
            deploy_key_id: None,
            key_id: None,
            actions_task_id: None,
            options: PushOptions::default(),
            root_url: None,
            learned: None,
        }
    }

    /// Returns what identifies the repository, whatever its name is: Gitea's id, or outside of Gitea
    /// the directory.
    pub fn repository_key(&self) -> String {
        match self.repository.id {
            Some(id) => id.to_string(),
            None => self.directory_key(),
        }
    }

    /// Returns what identifies a repository whose ID is not known.
    pub fn directory_key(&self) -> String {
        self.git_dir.as_path().to_string_lossy().into_owned()
    }

    /// Returns the service's name, or "" for the service that has the repository's name, whatever that
    /// is now.
    pub fn service_key<'s>(&self, service: &'s str) -> &'s str {
        if service == self.repository.name { "" } else { service }
    }

    /// Reads the source of a push from the environment and the working directory.
    pub fn read(env: &Environment<'_>, working_dir: &Path) -> Self {
        let git_dir = GitDir::resolve(env.raw("GIT_DIR").as_deref(), working_dir);
        let repository = repository(env, &git_dir);
        Self {
            found_by: UpdateSource::Push,
            repository,
            git_dir,
            pusher: env
                .text("GITEA_PUSHER_NAME")
                .map(|name| Pusher { name, id: env.number("GITEA_PUSHER_ID") }),
            transport: transport(env),
            is_internal: env.is_true("GITEA_INTERNAL_PUSH"),
            pull_request: pull_request(env),
            deploy_key_id: env.id("GITEA_DEPLOY_KEY_ID"),
            key_id: env.id("GITEA_KEY_ID"),
            actions_task_id: env.id("GITEA_ACTIONS_TASK_ID"),
            options: env.push_options(),
            root_url: env.text("GITEA_ROOT_URL"),
            learned: None,
        }
    }
}

fn repository(env: &Environment<'_>, git_dir: &GitDir) -> RepositoryIdentity {
    let said = env.text("GITEA_REPO_NAME").unwrap_or_else(|| git_dir.repository_name());
    // Whether a wiki's name ends in `.wiki` depends on version and transport (reference/gitea.md,
    // 3.1).
    let named = RepositoryIdentity::named(env.text("GITEA_REPO_USER_NAME"), said);
    let is_wiki = match env.text("GITEA_REPO_IS_WIKI") {
        Some(said) => said == "true",
        None => named.is_wiki,
    };
    // Over SSH, Gitea passes on the name as the client typed it: in any case, or from before a rename.
    // Its directory is `OWNER/NAME.git` with the present names in lower case, unless an administrator
    // has put the owner's repositories elsewhere.
    let of_dir = RepositoryIdentity::of_dir(git_dir);
    let id = env.id("GITEA_REPO_ID");
    let names = match id {
        _ if of_dir.has_owner_of(&named) => of_dir,
        Some(_) => named.in_lower_case(),
        None => named,
    };
    RepositoryIdentity { id, is_wiki, ..names }
}

fn transport(env: &Environment<'_>) -> Transport {
    // The command itself is not kept, because it is client input.
    match env.text("SSH_ORIGINAL_COMMAND").as_deref() {
        Some("gitea-internal") => Transport::Internal,
        Some("receive-pack") => Transport::Http,
        Some(_) => Transport::Ssh,
        None if env.id("GITEA_KEY_ID").is_some() => Transport::Ssh,
        None => Transport::Local,
    }
}

fn pull_request(env: &Environment<'_>) -> Option<PullRequest> {
    let number = env.id("GITEA_PR_INDEX");
    let step = match env.text("GITEA_PUSH_TRIGGER").as_deref() {
        Some("pr-merge-to-base") => MergeStep::Merged,
        Some("pr-update-with-base") => MergeStep::Updated,
        _ => MergeStep::Unknown,
    };
    let is_stated =
        number.is_some() || step != MergeStep::Unknown || env.id("GITEA_PR_ID").is_some_and(|id| id > 0);
    is_stated.then_some(PullRequest { number, step })
}
