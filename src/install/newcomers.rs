//! Covers repositories that came without git's template, such as adopted or restored ones.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::{
    block::ConfigBlock,
    dirfd::Obstacle,
    gitea::Gitea,
    home,
    hook_files::HookFiles,
    installer::{CoveringError, lock},
    root::RepositoriesRoot,
    template,
    tree::RepositoryDir,
};

/// The result for repositories that came without the template.
#[derive(Debug, Default)]
pub struct Newcomers {
    /// Directories into which our files were put.
    pub covered: Vec<PathBuf>,
    /// Directories that lack one of our files, each with the reason.
    pub failed: Vec<(PathBuf, String)>,
}

/// Gives the repositories in `dirs` what the template gives new ones. `dirs` are absolute and without
/// symbolic links. Does nothing if `install` has set no template: with a config hook, without a Gitea,
/// and after `uninstall`.
pub fn cover_newcomers(place: &RepositoriesRoot, dirs: &BTreeSet<PathBuf>) -> Newcomers {
    let mut newcomers = Newcomers::default();
    if let Some(gitea) = place.gitea()
        && let Err(err) = newcomers.cover(place, gitea, dirs)
    {
        newcomers.failed.push((place.root().into(), err.to_string()));
    }
    newcomers
}

impl Newcomers {
    fn cover(
        &mut self,
        place: &RepositoriesRoot,
        gitea: &Gitea,
        dirs: &BTreeSet<PathBuf>,
    ) -> Result<(), CoveringError> {
        // Under the lock, no installation or removal is halfway done.
        let _lock = lock(place)?;
        let Some(files) = files_of_template(gitea)? else { return Ok(()) };
        let Some(repositories) = place.repositories()? else { return Ok(()) };
        let root = fs::canonicalize(place.root()).unwrap_or_else(|_| place.root().into());
        for dir in dirs {
            // Scans also know repositories in other places.
            let Some(repository) = dir.strip_prefix(&root).ok().and_then(RepositoryDir::below) else {
                continue;
            };
            let walked = repositories.act_on(&[repository], &files, true);
            if walked.are_so > 0 {
                self.covered.push(dir.clone());
            }
            let obstacles = walked.skipped.into_iter().chain(walked.without_ref_hook);
            self.failed.extend(obstacles.map(|obstacle| (dir.clone(), obstacle.reason())));
        }
        Ok(())
    }
}

/// Returns the files that new repositories get, if `install` has set a template.
fn files_of_template(gitea: &Gitea) -> Result<Option<HookFiles>, Obstacle> {
    match home::block_in(gitea.home()) {
        Some(ConfigBlock::Template(dir) | ConfigBlock::Joined { dir, .. }) => template::files(&dir),
        Some(ConfigBlock::Hook { .. }) | None => Ok(None),
    }
}
