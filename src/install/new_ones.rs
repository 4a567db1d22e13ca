//! How new repositories are covered where no config hook is: by what git makes them from.

use std::path::PathBuf;

use super::{
    at::Obstacle,
    block::Block,
    covering::{Covered, CoveringError, Job, TemplateCame},
    git::Git,
    gitea::Gitea,
    home::{Home, Read},
    slot::Came,
    template::{self, Named, TEMPLATE},
};
use crate::text;

impl Job<'_> {
    /// Has new repositories covered.
    pub(super) fn cover_new_ones(
        self,
        covered: &mut Covered,
        gitea: &Gitea,
        wrapper: &[u8],
        git: &Git,
    ) -> Result<(), CoveringError> {
        let home = self.home_or_made(gitea)?;
        let old = home.as_ref().map(Home::read).transpose()?.and_then(|read| read.config().block());
        let mut block = self.template_block(covered, gitea, home.as_ref())?;
        self.leave_template(covered, old.as_ref(), block.as_ref());
        // What git is told to use is there before it is told. What somebody else has is changed after it is noted.
        let is_ours = matches!(block, Some(Block::Template(_)));
        if is_ours && !self.put_template(covered, block.as_ref(), home.as_ref(), wrapper) {
            block = None;
        }
        self.change(covered, gitea, home.as_ref(), block.as_ref(), Some(git))?;
        if !is_ours {
            self.put_template(covered, block.as_ref(), home.as_ref(), wrapper);
            self.take_template(covered, home.as_ref());
        }
        Ok(())
    }

    /// Tells how new repositories are to be covered, as the block says it.
    fn template_block(
        self,
        covered: &mut Covered,
        gitea: &Gitea,
        home: Option<&Home>,
    ) -> Result<Option<Block>, CoveringError> {
        let read = home.map(Home::read).transpose()?;
        let Some(named) = Named::find(read.as_ref().map(Read::config), gitea) else {
            return Ok(Some(Block::Template(gitea.home().join(TEMPLATE))));
        };
        let Some(dir) = named.dir else {
            covered.problems.push(format!(
                "new repositories are not covered: git's `init.templateDir` is `{}`, of which nobody can say which directory \
                 it is; make it absolute",
                text::line(&named.written)
            ));
            return Ok(None);
        };
        let made_before = match read.and_then(|read| read.config().block()) {
            Some(Block::Joined { dir: before, made }) if before == dir => made,
            _ => 0,
        };
        match template::missing(&dir) {
            Ok(missing) => Ok(Some(Block::Joined { dir, made: missing.max(made_before) })),
            Err(err) => {
                covered.problems.push(format!("new repositories are not covered: {err}"));
                Ok(None)
            }
        }
    }

    /// Has the wrapper where the block says that new repositories get it from, and returns whether it is there.
    fn put_template(
        self,
        covered: &mut Covered,
        block: Option<&Block>,
        home: Option<&Home>,
        wrapper: &[u8],
    ) -> bool {
        let (dir, is_joined, came) = match (block, home) {
            (Some(Block::Joined { dir, .. }), _) => (dir, true, template::join(dir, wrapper, self.is_real)),
            (Some(Block::Template(dir)), Some(home)) => {
                (dir, false, template::put(home.dir(), wrapper, self.is_real))
            }
            // It would be made with git's home.
            (Some(Block::Template(dir)), None) => (dir, false, Ok(Came::IsSo)),
            (Some(Block::Hook(_)) | None, _) => return false,
        };
        match came {
            Ok(came) => {
                let is_changed = came == Came::IsSo;
                covered.template = Some(TemplateCame { dir: dir.clone(), is_joined, is_changed });
                true
            }
            Err(err) => {
                covered.problems.push(format!("new repositories are not covered: {err}"));
                false
            }
        }
    }

    /// Takes the wrapper out of a template directory that was joined before, unless it is in use. As long as it is in there,
    /// the block in Gitea's git configuration says so.
    pub(super) fn leave_template(self, covered: &mut Covered, old: Option<&Block>, new: Option<&Block>) {
        let Some(Block::Joined { dir, made }) = old else { return };
        if matches!(new, Some(Block::Joined { dir: joined, .. }) if joined == dir) {
            return;
        }
        covered.template_taken(dir.clone(), true, template::leave(dir, *made, self.is_real));
    }

    /// Takes away the template directory of our own.
    pub(super) fn take_template(self, covered: &mut Covered, home: Option<&Home>) {
        let Some(home) = home else { return };
        let dir = home.dir().path().join(TEMPLATE);
        covered.template_taken(dir, false, template::take(home.dir(), self.is_real));
    }
}

impl Covered {
    fn template_taken(&mut self, dir: PathBuf, is_joined: bool, taken: Result<bool, Obstacle>) {
        match taken {
            // One that is in use is told of rather than one that was left.
            Ok(true) if self.template.is_none() => {
                self.template = Some(TemplateCame { dir, is_joined, is_changed: true });
            }
            Ok(_) => {}
            Err(err) => self.problems.push(err.to_string()),
        }
    }
}
