//! Gitea's `.gitconfig` on disk, changed as git itself changes it: under git's own lock, and as a whole.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{
    at::{self, Content, Dir, Obstacle},
    block::Block,
    command::HookCommand,
    git::{Git, GitError},
    gitconfig::{GitConfig, Unfit},
    gitea::GIT_CONFIG,
};
use crate::{
    fault::{self, Step},
    text,
};

/// What git locks the file with.
const LOCK: &str = ".gitconfig.lock";

/// The new file until it has its name. Whoever changes the file is the only one of us, so that one that is there was left behind.
const HIDDEN: &str = ".gitconfig.gitea-lightstep";

/// How large the file may be, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// The permissions of a file that was not there; of one that was, its own.
const MODE: u32 = 0o644;

/// git's home when Gitea runs it, held open.
#[derive(Debug)]
pub(super) struct Home {
    dir: Dir,
}

/// The file as it was read, and what is in it.
#[derive(Debug)]
pub struct Read {
    config: GitConfig,
    /// `None` if there is no file.
    content: Option<Content>,
}

/// Returns what the config hook of ours starts that git finds in this home, if there is one.
pub fn config_hook_in(home: &Path) -> Option<HookCommand> {
    let text = at::read_file(&home.join(GIT_CONFIG), MAX_FILE).ok()?;
    match GitConfig::parse(text).ok()?.block()? {
        Block::Hook(command) => Some(command),
        Block::Template(_) | Block::Joined { .. } => None,
    }
}

/// Why the file is left as it is.
#[derive(Debug)]
pub enum HomeError {
    /// Something stands in the way.
    Obstacle(Obstacle),
    /// The file is a symbolic link.
    Link(PathBuf),
    /// What is in the file.
    Unfit(PathBuf, Unfit),
    /// git would not read what was to be written.
    Refused(PathBuf, String),
    /// git could not be asked.
    Git(GitError),
    /// Another process changes the file, or died while it did.
    Locked(PathBuf),
    /// The file is a mount of its own.
    Mounted(PathBuf),
    /// Somebody else changed the file again and again.
    Busy(PathBuf),
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Obstacle(obstacle) => obstacle.fmt(f),
            Self::Link(path) => write!(
                f,
                "`{}` is a symbolic link, and what it names may be somebody else's; put the file itself in its place, or name the file's own directory as `[git] HOME_PATH`",
                text::path(path)
            ),
            Self::Unfit(path, unfit) => write!(f, "{}:{}: {unfit}", text::path(path), unfit.line()),
            Self::Refused(path, why) => {
                write!(
                    f,
                    "`{}` is left as it was, because git would not read it any more: {why}",
                    text::path(path)
                )
            }
            Self::Git(err) => err.fmt(f),
            Self::Locked(path) => write!(
                f,
                "`{}` is there: another process is changing Gitea's git configuration; try again, and if none is, remove that file",
                text::path(path)
            ),
            Self::Mounted(path) => write!(
                f,
                "`{}` is mounted by itself, and cannot be replaced as a whole; mount its directory instead, or run this \
                 where the file comes from",
                text::path(path)
            ),
            Self::Busy(path) => {
                write!(
                    f,
                    "`{}` is being changed by another process all the time; try again",
                    text::path(path)
                )
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

impl Read {
    /// Returns what the file says.
    pub fn config(&self) -> &GitConfig {
        &self.config
    }

    /// Returns the text of the file with this block, or without one; `None` if there is to be no file.
    fn becoming(&self, block: Option<&Block>) -> Option<Vec<u8>> {
        match (block, &self.content) {
            (Some(block), Some(_)) => Some(self.config.with(block)),
            (Some(block), None) => Some(GitConfig::new_with(block)),
            (None, None) => None,
            (None, Some(_)) => {
                let text = self.config.without();
                // What held nothing but our block and the newline after it was made by us.
                let was_ours = text.is_empty() && self.config.text().ends_with(b"\n");
                (!was_ours || !self.config.has_block()).then_some(text)
            }
        }
    }
}

impl Home {
    /// Opens the directory, `None` if it is not there.
    pub fn open(home: &Path) -> Result<Option<Self>, Obstacle> {
        match Dir::open(home) {
            Ok(dir) => Ok(Some(Self { dir })),
            Err(err) if err.errno() == Some(Errno::NOENT) => Ok(None),
            Err(err) => Err(err),
        }
    }

    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Returns where the file is.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(GIT_CONFIG)
    }

    /// Reads the file.
    pub fn read(&self) -> Result<Read, HomeError> {
        let content = self.dir.read(GIT_CONFIG, MAX_FILE).map_err(|err| {
            if err.is_link() { HomeError::Link(self.path()) } else { HomeError::Obstacle(err) }
        })?;
        let text = content.as_ref().map(|content| content.bytes.clone()).unwrap_or_default();
        let config = GitConfig::parse(text).map_err(|unfit| HomeError::Unfit(self.path(), unfit))?;
        Ok(Read { config, content })
    }

    /// Has this block in the file, or none, and returns whether that changed it. `git` is asked whether it can read the new
    /// file before it is put in the place of the old one.
    pub fn change(&self, block: Option<&Block>, git: Option<&Git>, is_real: bool) -> Result<bool, HomeError> {
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

    /// Replaces the file that was read, and returns whether it was still the same.
    fn replace(&self, read: &Read, new: Option<&[u8]>, git: Option<&Git>) -> Result<bool, HomeError> {
        let mode = read.content.as_ref().map_or(MODE, |content| content.mode);
        let hidden = self.dir.write_hidden(HIDDEN, new.unwrap_or_default(), mode)?;
        hidden.sync()?;
        if let Some(git) = git
            && let Some(why) = git.refuses(&self.dir.path().join(HIDDEN))?
        {
            return Err(HomeError::Refused(self.path(), why));
        }
        // A Gitea that starts while the lock is there fails. So all the work is done by now.
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

    /// Takes git's lock. It is a second name of the new file, by which it is known later that it is one of ours whose holder
    /// has died.
    fn lock(&self) -> Result<GitLock<'_>, HomeError> {
        let path = self.dir.path().join(LOCK);
        let fd = self.dir.fd();
        let locked = fault::point(Step::Lock, &path).and_then(|()| {
            match fs::linkat(fd, HIDDEN, fd, LOCK, AtFlags::empty()) {
                Ok(()) => Ok(()),
                Err(Errno::EXIST) => Err(Errno::EXIST.into()),
                // Not every file system has links.
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

    /// Takes away what one of us left behind that died: nobody else of us is at work here.
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

/// git's lock, until it is let go.
struct GitLock<'a> {
    home: &'a Home,
}

impl Drop for GitLock<'_> {
    fn drop(&mut self) {
        // Who comes next is told what to do if it is still there.
        let _ = self.home.dir.remove(LOCK);
    }
}
