//! Changes Gitea's `.gitconfig` as git does: under git's own lock, and by replacing the whole file.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{
    block::ConfigBlock,
    command::HookCommand,
    dirfd::{self, Content, Obstacle, OpenDir},
    git::{Git, GitError},
    gitconfig::{GitConfig, Unfit},
    gitea::GIT_CONFIG,
};
use crate::{
    sys::fault::{self, Step},
    text,
};

/// git's lock file for `.gitconfig`.
const LOCK: &str = ".gitconfig.lock";

/// Temporary name of the new file. The caller excludes other installations, so an existing file is
/// left over from a crash.
const HIDDEN: &str = ".gitconfig.gitea-lightstep";

/// Maximum size of the file, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Permissions of a new file. An existing file keeps its own.
const MODE: u32 = 0o644;

/// The home directory that Gitea sets for git, held open.
#[derive(Debug)]
pub(super) struct Home {
    dir: OpenDir,
}

/// The content of the file, parsed.
#[derive(Debug)]
pub struct ParsedGitConfig {
    config: GitConfig,
    /// Raw content, or `None` if the file does not exist.
    content: Option<Content>,
}

/// Returns the command of our config hook in the `.gitconfig` of this home directory, if there is
/// one.
pub fn config_hook_in(home: &Path) -> Option<HookCommand> {
    match block_in(home)? {
        ConfigBlock::Hook { command, .. } => Some(command),
        ConfigBlock::Template(_) | ConfigBlock::Joined { .. } => None,
    }
}

/// Returns true if the `.gitconfig` of this home directory has our hook for ref changes.
pub fn has_ref_hook(home: &Path) -> bool {
    matches!(block_in(home), Some(ConfigBlock::Hook { has_ref_hook: true, .. }))
}

/// Returns our block in the `.gitconfig` of this home directory, if it is there and can be read.
pub(super) fn block_in(home: &Path) -> Option<ConfigBlock> {
    let text = dirfd::read_file(&home.join(GIT_CONFIG), MAX_FILE).ok()?;
    GitConfig::parse(text).ok()?.block()
}

/// A reason why the file was not changed.
#[derive(Debug)]
pub enum HomeError {
    /// A file operation failed.
    Obstacle(Obstacle),
    /// The file is a symbolic link.
    Link(PathBuf),
    /// The content of the file does not allow it.
    Unfit(PathBuf, Unfit),
    /// git rejects the new content.
    Refused(PathBuf, String),
    /// git could not be run.
    Git(GitError),
    /// Another process holds the lock, or died while it did.
    Locked(PathBuf),
    /// The file itself is a mount point.
    Mounted(PathBuf),
    /// Another process kept changing the file.
    Busy(PathBuf),
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Obstacle(obstacle) => obstacle.fmt(f),
            Self::Link(path) => write!(
                f,
                "`{}` is a symbolic link, and its target may belong to another user; replace the link by \
                 the file, or set `[git] HOME_PATH` to the directory of the file",
                text::path(path)
            ),
            Self::Unfit(path, unfit) => write!(f, "{}:{}: {unfit}", text::path(path), unfit.line()),
            Self::Refused(path, why) => {
                write!(
                    f,
                    "`{}` was not changed, because git would reject the new version: {why}",
                    text::path(path)
                )
            }
            Self::Git(err) => err.fmt(f),
            Self::Locked(path) => write!(
                f,
                "`{}` exists, so another process may be changing Gitea's git configuration; try again, or \
                 remove that file if no process is",
                text::path(path)
            ),
            Self::Mounted(path) => write!(
                f,
                "`{}` is a mount point, so it cannot be replaced; mount its directory instead, or run this \
                 command where the file comes from",
                text::path(path)
            ),
            Self::Busy(path) => {
                write!(f, "another process keeps changing `{}`; try again", text::path(path))
            }
        }
    }
}

impl std::error::Error for HomeError {}

impl From<Obstacle> for HomeError {
    fn from(obstacle: Obstacle) -> Self {
        Self::Obstacle(obstacle)
    }
}

impl From<GitError> for HomeError {
    fn from(err: GitError) -> Self {
        Self::Git(err)
    }
}

impl ParsedGitConfig {
    /// Returns the parsed configuration.
    pub fn config(&self) -> &GitConfig {
        &self.config
    }

    /// Returns the new text of the file with this block, or without one. Returns `None` if the file
    /// should not exist.
    fn becoming(&self, block: Option<&ConfigBlock>) -> Option<Vec<u8>> {
        match (block, &self.content) {
            (Some(block), Some(_)) => Some(self.config.with(block)),
            (Some(block), None) => Some(GitConfig::new_with(block)),
            (None, None) => None,
            (None, Some(_)) => {
                let text = self.config.without();
                // We created the file if nothing is left but our block and its final newline.
                let was_ours = text.is_empty() && self.config.text().ends_with(b"\n");
                (!was_ours || !self.config.has_block()).then_some(text)
            }
        }
    }
}

impl Home {
    /// Opens the directory, or returns `None` if it does not exist.
    pub fn open(home: &Path) -> Result<Option<Self>, Obstacle> {
        match OpenDir::open(home) {
            Ok(dir) => Ok(Some(Self { dir })),
            Err(err) if err.errno() == Some(Errno::NOENT) => Ok(None),
            Err(err) => Err(err),
        }
    }

    pub fn dir(&self) -> &OpenDir {
        &self.dir
    }

    /// Returns the path of the file.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(GIT_CONFIG)
    }

    /// Reads the file.
    pub fn read(&self) -> Result<ParsedGitConfig, HomeError> {
        let content = self.dir.read(GIT_CONFIG, MAX_FILE).map_err(|err| {
            if err.is_link() { HomeError::Link(self.path()) } else { HomeError::Obstacle(err) }
        })?;
        let text = content.as_ref().map(|content| content.bytes.clone()).unwrap_or_default();
        let config = GitConfig::parse(text).map_err(|unfit| HomeError::Unfit(self.path(), unfit))?;
        Ok(ParsedGitConfig { config, content })
    }

    /// Sets our block in the file, or removes it if `block` is `None`. Returns true if that changes
    /// the file, or would on a dry run. If `git` is given, it must accept the new file before the
    /// old one is replaced.
    pub fn change(
        &self,
        block: Option<&ConfigBlock>,
        git: Option<&Git>,
        is_real: bool,
    ) -> Result<bool, HomeError> {
        const TRIES: usize = 5;
        if is_real {
            self.end_what_died()?;
        }
        for _ in 0..TRIES {
            let read = self.read()?;
            if read.config.block().as_ref() == block && (block.is_some() || !read.config.has_block()) {
                return Ok(false);
            }
            if !is_real {
                self.dir.is_writable()?;
                return Ok(true);
            }
            if self.replace(&read, read.becoming(block).as_deref(), git)? {
                return Ok(true);
            }
        }
        Err(HomeError::Busy(self.path()))
    }

    /// Replaces the file. Returns false if it has changed since `read`.
    fn replace(
        &self,
        read: &ParsedGitConfig,
        new: Option<&[u8]>,
        git: Option<&Git>,
    ) -> Result<bool, HomeError> {
        let mode = read.content.as_ref().map_or(MODE, |content| content.mode);
        let hidden = self.dir.write_hidden(HIDDEN, new.unwrap_or_default(), mode)?;
        hidden.sync()?;
        if let Some(git) = git
            && let Some(why) = git.refuses(&self.dir.path().join(HIDDEN))?
        {
            return Err(HomeError::Refused(self.path(), why));
        }
        // Take the lock as late as possible, because Gitea fails to start while it exists.
        let lock = self.lock()?;
        let now = self.dir.read(GIT_CONFIG, MAX_FILE)?;
        if now != read.content {
            return Ok(false);
        }
        let replaced = if new.is_some() { hidden.rename(GIT_CONFIG) } else { self.dir.remove(GIT_CONFIG) };
        replaced.map_err(|err| match err.errno() {
            Some(Errno::BUSY) => HomeError::Mounted(self.path()),
            _ => HomeError::Obstacle(err),
        })?;
        drop(lock);
        self.dir.sync_names()?;
        Ok(true)
    }

    /// Takes git's lock by creating a hard link to the new file. A stale lock of ours can then be
    /// recognised by its inode.
    fn lock(&self) -> Result<GitLock<'_>, HomeError> {
        let path = self.dir.path().join(LOCK);
        let fd = self.dir.fd();
        let locked = fault::point(Step::Lock, &path).and_then(|()| {
            match fs::linkat(fd, HIDDEN, fd, LOCK, AtFlags::empty()) {
                Ok(()) => Ok(()),
                Err(Errno::EXIST) => Err(Errno::EXIST.into()),
                // Some file systems do not support hard links.
                Err(_) => {
                    let flags =
                        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    fs::openat(fd, LOCK, flags, Mode::from_raw_mode(0o600))?;
                    io::Result::Ok(())
                }
            }
        });
        match locked {
            Ok(()) => Ok(GitLock { home: self }),
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Err(HomeError::Locked(path)),
            Err(err) => Err(Obstacle::failed("create", &path, err).into()),
        }
    }

    /// Removes the lock and the temporary file of a crashed installation. The caller excludes
    /// running ones.
    fn end_what_died(&self) -> Result<(), Obstacle> {
        let inode = |name: &str| {
            let stat = fs::statat(self.dir.fd(), name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            Some((stat.st_dev, stat.st_ino))
        };
        let (lock, hidden) = (inode(LOCK), inode(HIDDEN));
        if lock.is_some() && (lock == hidden || lock == inode(GIT_CONFIG)) {
            self.dir.remove(LOCK)?;
        }
        if hidden.is_some() {
            self.dir.remove(HIDDEN)?;
        }
        Ok(())
    }
}

/// git's lock, released on drop.
struct GitLock<'a> {
    home: &'a Home,
}

impl Drop for GitLock<'_> {
    fn drop(&mut self) {
        // Ignore errors: the next process that finds the lock explains what to do.
        let _ = self.home.dir.remove(LOCK);
    }
}
