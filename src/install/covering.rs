//! Covering every repository of a Gitea, in the one way that its git allows, and uncovering them.
//!
//! Never both ways for one event: a push would be taken twice.

use std::{
    fmt, fs, io,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::PathBuf,
    thread,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{
    at::{Dir, Obstacle},
    block::Block,
    command::HookCommand,
    git::{Git, GitVersion},
    gitea::Gitea,
    home::{Home, HomeError, Read, config_hook_in},
    place::{Place, Way},
    slot::{Act, Came},
    template::{self, Named, TEMPLATE},
    tree::{Repositories, Repository, Walked, Walking},
};
use crate::{text, time::Deadline};

/// How long to wait for another installation that is at work.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the template for new repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateCame {
    /// The directory.
    pub dir: PathBuf,
    /// Whether it is somebody else's.
    pub is_joined: bool,
    /// Whether it was changed.
    pub is_changed: bool,
}

/// What became of an installation or a removal.
#[derive(Debug, Default)]
pub struct Covered {
    /// How, if everything is covered.
    pub way: Option<Way>,
    /// Gitea's git configuration, and whether it was changed.
    pub git_config: Option<(PathBuf, bool)>,
    /// The template for new repositories.
    pub template: Option<TemplateCame>,
    /// What became of the repositories.
    pub repositories: Walked,
    /// What else there is to know.
    pub note: Option<String>,
    /// What else could not be done, each with what to do.
    pub problems: Vec<String>,
}

/// Why nothing was done.
#[derive(Debug)]
pub enum CoveringError {
    /// Something stands in the way.
    Obstacle(Obstacle),
    /// Gitea's git configuration cannot be changed.
    Home(HomeError),
    /// Another installation is at work.
    IsBusy(PathBuf),
}

impl fmt::Display for CoveringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Obstacle(obstacle) => obstacle.fmt(f),
            Self::Home(err) => err.fmt(f),
            Self::IsBusy(dir) => write!(
                f,
                "another `gitea-lightstep install` or `uninstall` is at work on `{}`; try again when it has ended",
                text::path(dir)
            ),
        }
    }
}

impl std::error::Error for CoveringError {}

impl From<Obstacle> for CoveringError {
    fn from(obstacle: Obstacle) -> Self {
        Self::Obstacle(obstacle)
    }
}

impl From<HomeError> for CoveringError {
    fn from(err: HomeError) -> Self {
        Self::Home(err)
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

/// Something that is done to a Gitea.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Where.
    pub place: &'a Place,
    /// Otherwise it is only said what would be done.
    pub is_real: bool,
    /// How far it is.
    pub walking: &'a Walking,
}

/// Covers every repository, those to come included.
///
/// # Errors
/// If nothing could be done.
pub fn install(
    job: Job<'_>,
    command: &HookCommand,
    git: &Git,
    version: GitVersion,
) -> Result<Covered, CoveringError> {
    let way = job.place.way(version);
    let wrapper = command.wrapper();
    let _lock = job.lock()?;
    let mut covered = Covered { way: Some(way), ..Covered::default() };
    let Some(gitea) = job.place.gitea() else {
        job.each_repository(&mut covered, Act::Put(&wrapper))?;
        return Ok(covered);
    };
    let home = job.home_or_made(gitea)?;
    let old = home.as_ref().map(Home::read).transpose()?.and_then(|read| read.config().block());
    match way {
        Way::ConfigHook => {
            job.leave_template(&mut covered, old.as_ref(), None);
            job.change(&mut covered, gitea, home.as_ref(), Some(&Block::Hook(command.clone())), Some(git))?;
            job.take_template(&mut covered, home.as_ref());
            // Only now that pushes are taken in the new way are they no longer taken in the old one.
            job.each_repository(&mut covered, Act::Take)?;
        }
        Way::Files => {
            let mut block = job.template_block(&mut covered, gitea, home.as_ref())?;
            job.leave_template(&mut covered, old.as_ref(), block.as_ref());
            // What git is told to use is there before it is told. What somebody else has is changed after it is noted.
            let is_ours = matches!(block, Some(Block::Template(_)));
            if is_ours && !job.put_template(&mut covered, block.as_ref(), home.as_ref(), &wrapper) {
                block = None;
            }
            job.change(&mut covered, gitea, home.as_ref(), block.as_ref(), Some(git))?;
            if !is_ours {
                job.put_template(&mut covered, block.as_ref(), home.as_ref(), &wrapper);
                job.take_template(&mut covered, home.as_ref());
            }
            job.each_repository(&mut covered, Act::Put(&wrapper))?;
        }
    }
    Ok(covered)
}

/// Takes everything out that [`install`] put in.
///
/// # Errors
/// If nothing could be done.
pub fn uninstall(job: Job<'_>) -> Result<Covered, CoveringError> {
    let _lock = job.lock()?;
    let mut covered = Covered::default();
    if let Some(gitea) = job.place.gitea() {
        let home = job.place.home()?;
        let old = home.as_ref().map(Home::read).transpose()?.and_then(|read| read.config().block());
        job.leave_template(&mut covered, old.as_ref(), None);
        if home.is_some() {
            job.change(&mut covered, gitea, home.as_ref(), None, None)?;
        }
        job.take_template(&mut covered, home.as_ref());
    }
    job.each_repository(&mut covered, Act::Take)?;
    Ok(covered)
}

/// Puts the wrapper into these repositories alone, unless git runs our config hook for all of them.
///
/// # Errors
/// If the repositories cannot be read.
pub fn install_in(
    job: Job<'_>,
    names: &[(String, String)],
    command: &HookCommand,
    version: GitVersion,
) -> Result<Covered, CoveringError> {
    if let Some(path) = job.config_hook().filter(|_| version.has_config_hooks()) {
        let note = format!(
            "Nothing is to be done: the config hook in `{}` covers every repository.",
            text::path(&path)
        );
        return Ok(Covered { note: Some(note), ..Covered::default() });
    }
    job.in_some(names, Act::Put(&command.wrapper()))
}

/// Takes the wrapper out of these repositories.
///
/// # Errors
/// If the repositories cannot be read.
pub fn uninstall_from(job: Job<'_>, names: &[(String, String)]) -> Result<Covered, CoveringError> {
    let mut covered = job.in_some(names, Act::Take)?;
    covered.note = job.config_hook().map(|path| {
        format!(
            "The config hook in `{}` covers every repository, these too; `git config hook.gitea-lightstep.enabled false` in a repository leaves it out.",
            text::path(&path)
        )
    });
    Ok(covered)
}

impl Job<'_> {
    /// Returns the configuration of git's that has our config hook in it, if one has.
    fn config_hook(self) -> Option<PathBuf> {
        let gitea = self.place.gitea()?;
        config_hook_in(gitea.home()).map(|_| gitea.git_config())
    }

    fn in_some(self, names: &[(String, String)], act: Act<'_>) -> Result<Covered, CoveringError> {
        let _lock = self.lock()?;
        let mut covered = Covered::default();
        let repositories = Repositories::open(self.place.root())?;
        let mut found: Vec<Repository> = Vec::new();
        for (owner, name) in names {
            match repositories.find(owner, name) {
                Some(repository) => found.push(repository),
                None => covered.problems.push(format!(
                    "there is no repository `{}/{}` in `{}`",
                    text::line(owner),
                    text::line(name),
                    text::path(self.place.root())
                )),
            }
        }
        covered.repositories = repositories.act_on(&found, act, self.is_real);
        Ok(covered)
    }

    /// Keeps other installations away, until it is dropped.
    fn lock(self) -> Result<Option<OwnedFd>, CoveringError> {
        if !self.is_real {
            return Ok(None);
        }
        let root = Dir::open(self.place.root()).or_else(|err| match self.place.gitea() {
            Some(gitea) => Dir::open(gitea.home()),
            None => Err(err),
        });
        // Before Gitea was started for the first time there is nothing that two could fight over.
        let Ok(dir) = root else { return Ok(None) };
        let deadline = Deadline::after(PATIENCE);
        loop {
            match flock(dir.fd(), FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(dir.into_fd())),
                Err(Errno::WOULDBLOCK) if deadline.is_over() => {
                    return Err(CoveringError::IsBusy(dir.path().into()));
                }
                Err(Errno::WOULDBLOCK) => thread::sleep(Duration::from_millis(20)),
                // Not every file system has locks, and each act is whole by itself.
                Err(_) => return Ok(None),
            }
        }
    }

    /// Opens git's home, which Gitea makes when it starts; before that it is made here.
    fn home_or_made(self, gitea: &Gitea) -> Result<Option<Home>, Obstacle> {
        if let Some(home) = Home::open(gitea.home())? {
            return Ok(Some(home));
        }
        if !self.is_real {
            return Ok(None);
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(gitea.home())
            .map_err(|err: io::Error| Obstacle::failed("make", gitea.home(), err))?;
        Home::open(gitea.home())
    }

    fn change(
        self,
        covered: &mut Covered,
        gitea: &Gitea,
        home: Option<&Home>,
        block: Option<&Block>,
        git: Option<&Git>,
    ) -> Result<(), HomeError> {
        let is_changed = match home {
            Some(home) => home.change(block, git, self.is_real)?,
            None => true,
        };
        covered.git_config = Some((gitea.git_config(), is_changed));
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
    fn leave_template(self, covered: &mut Covered, old: Option<&Block>, new: Option<&Block>) {
        let Some(Block::Joined { dir, made }) = old else { return };
        if matches!(new, Some(Block::Joined { dir: joined, .. }) if joined == dir) {
            return;
        }
        covered.template_taken(dir.clone(), true, template::leave(dir, *made, self.is_real));
    }

    /// Takes away the template directory of our own.
    fn take_template(self, covered: &mut Covered, home: Option<&Home>) {
        let Some(home) = home else { return };
        let dir = home.dir().path().join(TEMPLATE);
        covered.template_taken(dir, false, template::take(home.dir(), self.is_real));
    }

    fn each_repository(self, covered: &mut Covered, act: Act<'_>) -> Result<(), Obstacle> {
        let Some(repositories) = self.place.repositories()? else { return Ok(()) };
        covered.repositories = repositories.act(act, self.is_real, self.walking)?;
        Ok(())
    }
}
