//! Installs the hook for every repository of a Gitea, and removes it again.
//!
//! There are two ways, a config hook and files in each repository. Only one may be active, or each
//! push would be captured twice.

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
    process::geteuid,
};

use super::{
    block::ConfigBlock,
    command::HookCommand,
    dirfd::{Obstacle, OpenDir},
    git::{Git, GitVersion},
    gitea::Gitea,
    home::{Home, HomeError, block_in, config_hook_in},
    hook_files::HookFiles,
    root::{RepositoriesRoot, Way},
    tree::{Repositories, RepositoryDir, TreeReport, Walking},
};
use crate::{proposal, sys::time::Deadline, text};

/// Maximum time to wait for another installation to finish.
const PATIENCE: Duration = Duration::from_secs(60);

/// The result for the template directory of new repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateCame {
    /// Path of the directory.
    pub dir: PathBuf,
    /// True if it is a foreign directory that we joined.
    pub is_joined: bool,
    /// True if it was changed.
    pub is_changed: bool,
}

/// The result of an installation or a removal.
#[derive(Debug, Default)]
pub struct Covered {
    /// Installed way, if every repository is covered.
    pub way: Option<Way>,
    /// True if git also runs a hook for ref changes that no push brings.
    pub has_ref_hook: bool,
    /// Path of Gitea's git configuration, and true if it was changed.
    pub git_config: Option<(PathBuf, bool)>,
    /// Result for the template of new repositories.
    pub template: Option<TemplateCame>,
    /// Result for the existing repositories.
    pub repositories: TreeReport,
    /// Additional note for the administrator.
    pub note: Option<String>,
    /// Other failures, each with advice.
    pub problems: Vec<String>,
}

/// An installation or a removal that failed as a whole.
#[derive(Debug)]
pub enum CoveringError {
    /// A file operation failed.
    Obstacle(Obstacle),
    /// Gitea's git configuration cannot be changed.
    Home(HomeError),
    /// Another installation is running on this directory.
    IsBusy(PathBuf),
}

impl fmt::Display for CoveringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Obstacle(obstacle) => obstacle.fmt(f),
            Self::Home(err) => err.fmt(f),
            Self::IsBusy(dir) => write!(
                f,
                "another installation or removal is running on `{}`; try again when it is done",
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

/// The administrator's choice about the hook that notices ref changes that no push brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefHookWish {
    /// Have it as a config hook, and not as a file in each repository.
    Default,
    /// Have it in any case.
    Yes,
    /// Leave it out.
    No,
}

impl RefHookWish {
    /// Returns true if this way of installing has the hook.
    fn is_for(self, way: Way) -> bool {
        match self {
            Self::Default => way == Way::ConfigHook,
            Self::Yes => true,
            Self::No => false,
        }
    }

    /// Returns the option of `install` that makes this choice.
    pub fn option(self) -> Option<&'static str> {
        match self {
            Self::Default => None,
            Self::Yes => Some("--ref-hook"),
            Self::No => Some("--no-ref-hook"),
        }
    }
}

/// The target and mode of an installation or a removal.
#[derive(Clone, Copy, Debug)]
pub struct InstallJob<'a> {
    /// Gitea, or directory of repositories, to work on.
    pub place: &'a RepositoriesRoot,
    /// False for a dry run.
    pub is_real: bool,
    /// The administrator's choice about the hook for ref changes.
    pub ref_hook: RefHookWish,
    /// Progress of the walk over repositories.
    pub walking: &'a Walking,
}

/// Installs the hook for every repository, including future ones.
///
/// # Errors
/// If it fails as a whole. Failures in single repositories are part of the result.
pub fn install(
    job: InstallJob<'_>,
    command: &HookCommand,
    git: &Git,
    version: GitVersion,
) -> Result<Covered, CoveringError> {
    let way = job.place.way(version);
    let has_ref_hook = job.ref_hook.is_for(way);
    let files = HookFiles::of(command, has_ref_hook);
    let _lock = job.lock()?;
    let mut covered = Covered { way: Some(way), has_ref_hook, ..Covered::default() };
    let Some(gitea) = job.place.gitea() else {
        job.each_repository(&mut covered, &files)?;
        return Ok(covered);
    };
    match way {
        Way::ConfigHook => {
            let home = job.home_or_made(gitea)?;
            let old = home.as_ref().map(Home::read).transpose()?.and_then(|read| read.config().block());
            job.leave_template(&mut covered, old.as_ref(), None);
            job.change(
                &mut covered,
                gitea,
                home.as_ref(),
                Some(&ConfigBlock::Hook { command: command.clone(), has_ref_hook }),
                Some(git),
            )?;
            job.take_template(&mut covered, home.as_ref());
            // Remove our files last. Until the config hook is active, pushes still need them.
            job.each_repository(&mut covered, &HookFiles::default())?;
        }
        Way::Files => {
            // Existing repositories can be covered even if new ones cannot.
            if let Err(err) = job.cover_new_ones(&mut covered, gitea, &files, git) {
                covered.problems.push(format!("new repositories are not covered: {err}"));
            }
            job.each_repository(&mut covered, &files)?;
        }
    }
    Ok(covered)
}

/// Removes everything that [`install`] added.
///
/// # Errors
/// If it fails as a whole. Failures in single repositories are part of the result.
pub fn uninstall(job: InstallJob<'_>) -> Result<Covered, CoveringError> {
    let _lock = job.lock()?;
    let mut covered = Covered::default();
    if let Some(gitea) = job.place.gitea()
        && let Err(err) = job.uncover_home(&mut covered, gitea)
    {
        covered.problems.push(err.to_string());
    }
    job.each_repository(&mut covered, &HookFiles::default())?;
    Ok(covered)
}

/// Installs our files in these repositories, unless our config hook already covers them.
///
/// # Errors
/// If the repositories cannot be read.
pub fn install_in(
    job: InstallJob<'_>,
    names: &[(String, String)],
    command: &HookCommand,
    version: GitVersion,
) -> Result<Covered, CoveringError> {
    if let Some(path) = job.config_hook().filter(|_| version.has_config_hooks()) {
        let note =
            format!("Nothing to do: the config hook in `{}` covers every repository.", text::path(&path));
        return Ok(Covered { note: Some(note), ..Covered::default() });
    }
    let has_ref_hook = job.ref_hook.is_for(Way::Files);
    let covered = job.in_some(names, &HookFiles::of(command, has_ref_hook))?;
    Ok(Covered { has_ref_hook, ..covered })
}

/// Removes our files from these repositories.
///
/// # Errors
/// If the repositories cannot be read.
pub fn uninstall_from(job: InstallJob<'_>, names: &[(String, String)]) -> Result<Covered, CoveringError> {
    let mut covered = job.in_some(names, &HookFiles::default())?;
    let Some(gitea) = job.place.gitea() else { return Ok(covered) };
    let exclude = names.iter().map(|(owner, name)| {
        let dir = job.place.root().join(owner).join(format!("{name}.git"));
        let line = format!("git -C {} config hook.gitea-lightstep.enabled false", text::shell(&dir));
        format!("`{}`", proposal::as_user(geteuid().as_raw(), &line))
    });
    let exclude = exclude.collect::<Vec<_>>().join(" and ");
    covered.note = block_in(gitea.home()).map(|block| match block {
        ConfigBlock::Hook { .. } => format!(
            "The config hook in `{}` still covers every repository, including these; to exclude them, run {exclude}.",
            text::path(&gitea.git_config())
        ),
        ConfigBlock::Template(_) | ConfigBlock::Joined { .. } => format!(
            "The next `install` for all repositories covers these again, as does the timer's; to exclude them, \
             run {exclude}."
        ),
    });
    Ok(covered)
}

impl InstallJob<'_> {
    /// Returns the path of the git configuration that contains our config hook, if one does.
    fn config_hook(self) -> Option<PathBuf> {
        let gitea = self.place.gitea()?;
        config_hook_in(gitea.home()).map(|_| gitea.git_config())
    }

    fn in_some(self, names: &[(String, String)], files: &HookFiles) -> Result<Covered, CoveringError> {
        let _lock = self.lock()?;
        let mut covered = Covered::default();
        let repositories = Repositories::open(self.place.root())?;
        let mut found: Vec<RepositoryDir> = Vec::new();
        for (owner, name) in names {
            match repositories.find(owner, name) {
                Some(repository) => found.push(repository),
                None => covered.problems.push(format!(
                    "found no repository `{}/{}` in `{}`",
                    text::line(owner),
                    text::line(name),
                    text::path(self.place.root())
                )),
            }
        }
        covered.repositories = repositories.act_on(&found, files, self.is_real);
        Ok(covered)
    }

    fn lock(self) -> Result<Option<OwnedFd>, CoveringError> {
        if self.is_real { lock(self.place) } else { Ok(None) }
    }

    /// Opens git's home directory. Creates it if Gitea has not been started yet.
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
            .map_err(|err: io::Error| Obstacle::failed("create", gitea.home(), err))?;
        Home::open(gitea.home())
    }

    /// Removes our block and our template from git's home directory.
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
        block: Option<&ConfigBlock>,
        git: Option<&Git>,
    ) -> Result<(), HomeError> {
        let is_changed = match home {
            Some(home) => home.change(block, git, self.is_real)?,
            None => true,
        };
        covered.git_config = Some((gitea.git_config(), is_changed));
        Ok(())
    }

    fn each_repository(self, covered: &mut Covered, files: &HookFiles) -> Result<(), Obstacle> {
        let Some(repositories) = self.place.repositories()? else {
            let root = text::path(self.place.root());
            covered.note = Some(format!("`{root}` does not exist yet; Gitea creates it when it starts."));
            return Ok(());
        };
        covered.repositories = repositories.act(files, self.is_real, self.walking)?;
        Ok(())
    }
}

/// Locks out other installations until the result is dropped.
pub(super) fn lock(place: &RepositoriesRoot) -> Result<Option<OwnedFd>, CoveringError> {
    let root = OpenDir::open(place.root()).or_else(|err| match place.gitea() {
        Some(gitea) => OpenDir::open(gitea.home()),
        None => Err(err),
    });
    // Before Gitea's first start neither directory exists, so there is nothing to protect.
    let Ok(dir) = root else { return Ok(None) };
    let deadline = Deadline::after(PATIENCE);
    loop {
        match flock(dir.fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(dir.into_fd())),
            Err(Errno::WOULDBLOCK) if deadline.is_over() => {
                return Err(CoveringError::IsBusy(dir.path().into()));
            }
            Err(Errno::WOULDBLOCK) => thread::sleep(Duration::from_millis(20)),
            // Continue without a lock if the file system has none. Each change is atomic
            // anyway.
            Err(_) => return Ok(None),
        }
    }
}
