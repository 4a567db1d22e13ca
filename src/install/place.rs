//! Where a Gitea keeps its repositories, and in which way pushes come from there.

use std::path::{Path, PathBuf};

use super::{at::Obstacle, git::GitVersion, gitea::Gitea, home::Home, tree::Repositories};

/// Where a Gitea keeps its repositories, and git's configuration if it is known.
#[derive(Clone, Debug)]
pub struct Place {
    root: PathBuf,
    gitea: Option<Gitea>,
}

/// How a push comes to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// git runs us, because Gitea's git configuration says so.
    ConfigHook,
    /// Gitea's own hook runs a file of ours in each repository.
    Files,
}

impl Place {
    /// Takes the place of a Gitea.
    pub fn of(gitea: Gitea) -> Self {
        Self { root: gitea.root().into(), gitea: Some(gitea) }
    }

    /// Takes a tree of repositories of which nothing else is known.
    pub fn plain(root: PathBuf) -> Self {
        Self { root, gitea: None }
    }

    /// Returns the directory of all repositories.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the Gitea, if there is an app.ini.
    pub fn gitea(&self) -> Option<&Gitea> {
        self.gitea.as_ref()
    }

    /// Returns the way in which this git covers everything here.
    pub fn way(&self, version: GitVersion) -> Way {
        if self.gitea.is_some() && version.has_config_hooks() { Way::ConfigHook } else { Way::Files }
    }

    pub(super) fn home(&self) -> Result<Option<Home>, Obstacle> {
        self.gitea.as_ref().map_or(Ok(None), |gitea| Home::open(gitea.home()))
    }

    /// Opens the repositories, `None` if there are none yet because Gitea has not been started.
    pub(super) fn repositories(&self) -> Result<Option<Repositories>, Obstacle> {
        match Repositories::open(&self.root) {
            Err(err) if err.is_absence() && self.gitea.is_some() => Ok(None),
            opened => opened.map(Some),
        }
    }
}
