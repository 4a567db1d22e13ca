//! The location of a Gitea's repositories, and the way in which the hook is installed there.

use std::path::{Path, PathBuf};

use super::{dirfd::Obstacle, git::GitVersion, gitea::Gitea, home::Home, tree::Repositories};

/// The root directory of repositories, and the Gitea that it belongs to, if known.
#[derive(Clone, Debug)]
pub struct RepositoriesRoot {
    root: PathBuf,
    gitea: Option<Gitea>,
}

/// The way in which git or Gitea runs our hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// git runs it, because Gitea's git configuration contains a config hook.
    ConfigHook,
    /// Gitea's own hook runs our file in each repository.
    Files,
}

impl RepositoriesRoot {
    /// Uses the repositories of a Gitea.
    pub fn of(gitea: Gitea) -> Self {
        Self { root: gitea.root().into(), gitea: Some(gitea) }
    }

    /// Uses a directory of repositories without a known Gitea.
    pub fn plain(root: PathBuf) -> Self {
        Self { root, gitea: None }
    }

    /// Returns the root directory of all repositories.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the Gitea, if its `app.ini` is known.
    pub fn gitea(&self) -> Option<&Gitea> {
        self.gitea.as_ref()
    }

    /// Returns the way to cover every repository with this version of git.
    pub fn way(&self, version: GitVersion) -> Way {
        if self.gitea.is_some() && version.has_config_hooks() { Way::ConfigHook } else { Way::Files }
    }

    pub(super) fn home(&self) -> Result<Option<Home>, Obstacle> {
        self.gitea.as_ref().map_or(Ok(None), |gitea| Home::open(gitea.home()))
    }

    /// Opens the repositories. Returns `None` if Gitea has not created the directory yet.
    pub(super) fn repositories(&self) -> Result<Option<Repositories>, Obstacle> {
        match Repositories::open(&self.root) {
            Err(err) if err.is_absence() && self.gitea.is_some() => Ok(None),
            opened => opened.map(Some),
        }
    }
}
