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
    home::{Home, HomeError, config_hook_in},
    place::{Place, Way},
    slot::Act,
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
    match way {
        Way::ConfigHook => {
            let home = job.home_or_made(gitea)?;
            let old = home.as_ref().map(Home::read).transpose()?.and_then(|read| read.config().block());
            job.leave_template(&mut covered, old.as_ref(), None);
            job.change(&mut covered, gitea, home.as_ref(), Some(&Block::Hook(command.clone())), Some(git))?;
            job.take_template(&mut covered, home.as_ref());
            // Only now that pushes are taken in the new way are they no longer taken in the old one.
            job.each_repository(&mut covered, Act::Take)?;
        }
        Way::Files => {
            // Whatever stands in the way of that, the repositories that there are can be covered.
            if let Err(err) = job.cover_new_ones(&mut covered, gitea, &wrapper, git) {
                covered.problems.push(format!("new repositories are not covered: {err}"));
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
    if let Some(gitea) = job.place.gitea()
        && let Err(err) = job.uncover_home(&mut covered, gitea)
    {
        covered.problems.push(err.to_string());
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
    pub(super) fn home_or_made(self, gitea: &Gitea) -> Result<Option<Home>, Obstacle> {
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

    /// Takes out what is in git's home.
    fn uncover_home(self, covered: &mut Covered, gitea: &Gitea) -> Result<(), CoveringError> {
        let Some(home) = self.place.home()? else { return Ok(()) };
        let old = home.read().map(|read| read.config().block());
        if let Ok(old) = &old {
            self.leave_template(covered, old.as_ref(), None);
        }
        let changed = self.change(covered, gitea, Some(&home), None, None);
        self.take_template(covered, Some(&home));
        Ok(changed?)
    }

    pub(super) fn change(
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

    fn each_repository(self, covered: &mut Covered, act: Act<'_>) -> Result<(), Obstacle> {
        let Some(repositories) = self.place.repositories()? else {
            let root = text::path(self.place.root());
            covered.note = Some(format!("`{root}` is not there yet; Gitea makes it when it is started."));
            return Ok(());
        };
        covered.repositories = repositories.act(act, self.is_real, self.walking)?;
        Ok(())
    }
}
