//! Covers new repositories if git does not support config hooks, by adding our files to git's
//! template directory.

use std::path::PathBuf;

use super::{
    block::ConfigBlock,
    dirfd::Obstacle,
    git::Git,
    gitea::Gitea,
    home::{Home, ParsedGitConfig},
    hook_files::{Change, HookFiles, Visited},
    installer::{Covered, CoveringError, InstallJob, TemplateCame},
    template::{self, Named, TEMPLATE},
};
use crate::text;

impl InstallJob<'_> {
    /// Arranges for new repositories to contain our files.
    pub(super) fn cover_new_ones(
        self,
        covered: &mut Covered,
        gitea: &Gitea,
        files: &HookFiles,
        git: &Git,
    ) -> Result<(), CoveringError> {
        let home = self.home_or_made(gitea)?;
        let old = home.as_ref().map(Home::read).transpose()?.and_then(|read| read.config().block());
        let mut block = self.template_block(covered, gitea, home.as_ref())?;
        self.leave_template(covered, old.as_ref(), block.as_ref());
        // Our own template is written before git is configured to use it. A foreign template is
        // changed only after our block records it, so that `uninstall` finds it.
        let is_ours = matches!(block, Some(ConfigBlock::Template(_)));
        if is_ours && !self.put_template(covered, block.as_ref(), home.as_ref(), files) {
            block = None;
        }
        self.change(covered, gitea, home.as_ref(), block.as_ref(), Some(git))?;
        if !is_ours {
            self.put_template(covered, block.as_ref(), home.as_ref(), files);
            self.take_template(covered, home.as_ref());
        }
        Ok(())
    }

    /// Decides which template directory to use, as a block for git's configuration.
    fn template_block(
        self,
        covered: &mut Covered,
        gitea: &Gitea,
        home: Option<&Home>,
    ) -> Result<Option<ConfigBlock>, CoveringError> {
        let read = home.map(Home::read).transpose()?;
        let Some(named) = Named::find(read.as_ref().map(ParsedGitConfig::config), gitea) else {
            return Ok(Some(ConfigBlock::Template(gitea.home().join(TEMPLATE))));
        };
        let Some(dir) = named.dir else {
            covered.problems.push(format!(
                "new repositories are not covered: git's `init.templateDir` is `{}`, which gitea-lightstep \
                 cannot resolve; make it absolute",
                text::line(&named.written)
            ));
            return Ok(None);
        };
        let made_before = match read.and_then(|read| read.config().block()) {
            Some(ConfigBlock::Joined { dir: before, made }) if before == dir => made,
            _ => 0,
        };
        match template::missing(&dir) {
            Ok(missing) => Ok(Some(ConfigBlock::Joined { dir, made: missing.max(made_before) })),
            Err(err) => {
                covered.problems.push(format!("new repositories are not covered: {err}"));
                Ok(None)
            }
        }
    }

    /// Puts our files into the template directory of `block`. Returns true if the wrapper is there.
    fn put_template(
        self,
        covered: &mut Covered,
        block: Option<&ConfigBlock>,
        home: Option<&Home>,
        files: &HookFiles,
    ) -> bool {
        let (dir, is_joined, came) = match (block, home) {
            (Some(ConfigBlock::Joined { dir, .. }), _) => {
                (dir, true, template::join(dir, files, self.is_real))
            }
            (Some(ConfigBlock::Template(dir)), Some(home)) => {
                (dir, false, template::put(home.dir(), files, self.is_real))
            }
            // A dry run without git's home directory: both would be created.
            (Some(ConfigBlock::Template(dir)), None) => (dir, false, Ok(Visited::of(Change::Changed))),
            (Some(ConfigBlock::Hook { .. }) | None, _) => return false,
        };
        match came {
            Ok(visited) => {
                let is_changed = visited.change == Change::Changed;
                let obstacle = visited.ref_hook_obstacle;
                covered.problems.extend(obstacle.map(|err| {
                    format!("other ref changes in new repositories are not noticed at once: {err}")
                }));
                covered.template = Some(TemplateCame { dir: dir.clone(), is_joined, is_changed });
                true
            }
            Err(err) => {
                covered.problems.push(format!("new repositories are not covered: {err}"));
                false
            }
        }
    }

    /// Removes our files from the template directory that `old` joined, unless `new` uses the
    /// same one. Runs before the block that records it is changed.
    pub(super) fn leave_template(
        self,
        covered: &mut Covered,
        old: Option<&ConfigBlock>,
        new: Option<&ConfigBlock>,
    ) {
        let Some(ConfigBlock::Joined { dir, made }) = old else { return };
        if matches!(new, Some(ConfigBlock::Joined { dir: joined, .. }) if joined == dir) {
            return;
        }
        covered.template_taken(dir.clone(), true, template::leave(dir, *made, self.is_real));
    }

    /// Removes our own template directory.
    pub(super) fn take_template(self, covered: &mut Covered, home: Option<&Home>) {
        let Some(home) = home else { return };
        let dir = home.dir().path().join(TEMPLATE);
        covered.template_taken(dir, false, template::take(home.dir(), self.is_real));
    }
}

impl Covered {
    fn template_taken(&mut self, dir: PathBuf, is_joined: bool, taken: Result<bool, Obstacle>) {
        match taken {
            // Report a template in use rather than one that was removed.
            Ok(true) if self.template.is_none() => {
                self.template = Some(TemplateCame { dir, is_joined, is_changed: true });
            }
            Ok(_) => {}
            Err(err) => self.problems.push(err.to_string()),
        }
    }
}
