//! Where a push came from: what the environment says beside the ref changes.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Environment, GitDir, PushOptions};

/// Who pushed, where to and how. Every part but the directory may be missing: outside Gitea there
/// is no `GITEA_*`, and old Gitea versions leave some out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where the bare repository is.
    pub git_dir: GitDir,
    /// Which repository it is.
    pub repository: Repository,
    /// Who pushed, `None` outside Gitea.
    pub pusher: Option<Pusher>,
    /// How the push came in.
    pub transport: Transport,
    /// Whether Gitea pushed for itself: the first commit of a new repository, and the head of
    /// every pull request (`GITEA_INTERNAL_PUSH`). Merges and edits on the web are not meant.
    pub is_internal: bool,
    /// The pull request that this push merges or brings up to date.
    pub pull_request: Option<PullRequest>,
    /// The deploy key that was used. Gitea then names the repository's owner as the pusher.
    pub deploy_key_id: Option<i64>,
    /// The SSH key that was used.
    pub key_id: Option<i64>,
    /// The Gitea Actions task whose token was used.
    pub actions_task_id: Option<i64>,
    /// What the pusher said with `-o`.
    pub options: PushOptions,
    /// Gitea's address, with a slash at its end.
    pub root_url: Option<String>,
}

/// The repository's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// User or organisation, `None` outside Gitea.
    pub owner: Option<String>,
    /// The repository's name without `.git` and without `.wiki`.
    pub name: String,
    /// Gitea's number of the repository, the one name that never changes.
    pub id: Option<i64>,
    /// Whether this is the wiki beside the repository.
    pub is_wiki: bool,
}

impl Repository {
    /// Returns the names of the repository in a directory. `OWNER/NAME.git` is how Gitea lays them out; of any other
    /// directory only the name is known.
    pub fn of_dir(git_dir: &GitDir) -> Self {
        let path = git_dir.as_path();
        let is_bare =
            path.extension().is_some_and(|extension| extension == "git") && path.file_stem().is_some();
        let owner = path.parent().and_then(Path::file_name).filter(|_| is_bare);
        Self::named(owner.map(|owner| owner.to_string_lossy().into_owned()), git_dir.repository_name())
    }

    /// Returns the repository of a [`Self::full_name`].
    pub fn of_full_name(full_name: &str) -> Self {
        let (owner, name) = match full_name.rsplit_once('/') {
            Some((owner, name)) => (Some(owner.to_string()), name),
            None => (None, full_name),
        };
        Self { owner, name: name.to_string(), id: None, is_wiki: false }
    }

    /// Returns the repository of this owner and name; the name of a wiki ends in `.wiki`.
    pub fn named(owner: Option<String>, name: String) -> Self {
        let (name, is_wiki) = match name.strip_suffix(".wiki") {
            Some(name) => (name.to_string(), true),
            None => (name, false),
        };
        Self { owner, name, id: None, is_wiki }
    }

    /// Returns `owner/name`, or just the name where no owner is known.
    pub fn full_name(&self) -> String {
        match &self.owner {
            Some(owner) => format!("{owner}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// The person or robot that pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pusher {
    /// The login.
    pub name: String,
    /// Gitea's number of the user; negative for robots.
    pub id: Option<i64>,
}

/// How a push reached the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// `git push` over SSH.
    Ssh,
    /// `git push` over HTTP.
    Http,
    /// Gitea pushed from a clone of its own: a merge, an edit or a new branch on the web or by API.
    Internal,
    /// Somebody pushed to the directory itself.
    Local,
}

impl Transport {
    /// Returns the name in configuration, scripts and attributes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Http => "http",
            Self::Internal => "internal",
            Self::Local => "local",
        }
    }
}

/// A pull request in whose name Gitea pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// The number that people see, `None` before Gitea 1.26, which knows only a database id.
    pub number: Option<i64>,
    /// What was done to the pull request.
    pub step: MergeStep,
}

/// What a push did to a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeStep {
    /// It was merged into its base, in whichever style.
    Merged,
    /// Its branch was brought up to date with its base.
    Updated,
    /// Gitea before 1.22 does not tell the two apart.
    Unknown,
}

impl Source {
    /// Returns what is known of a push that nobody captured: where it went, and nothing else.
    pub fn unknown(git_dir: GitDir, repository: Repository) -> Self {
        Self {
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
        }
    }

    /// Reads the source of a push from its environment and working directory.
    pub fn read(env: &Environment<'_>, working_dir: &Path) -> Self {
        let git_dir = GitDir::resolve(env.raw("GIT_DIR").as_deref(), working_dir);
        let repository = repository(env, &git_dir);
        Self {
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
        }
    }
}

fn repository(env: &Environment<'_>, git_dir: &GitDir) -> Repository {
    let said = env.text("GITEA_REPO_NAME").unwrap_or_else(|| git_dir.repository_name());
    // The name of a wiki bears `.wiki` or not, by version and transport (reference/gitea.md, 3.1).
    let named = Repository::named(env.text("GITEA_REPO_USER_NAME"), said);
    let is_wiki = match env.text("GITEA_REPO_IS_WIKI") {
        Some(said) => said == "true",
        None => named.is_wiki,
    };
    Repository { id: env.id("GITEA_REPO_ID"), is_wiki, ..named }
}

fn transport(env: &Environment<'_>) -> Transport {
    // The command itself is not kept: the client wrote it.
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
