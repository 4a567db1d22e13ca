//! Directories held open, and what is done to the files in them: never through a symbolic link, because whoever may
//! write into a repository could have planted one, and a file is there as a whole or as it was.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, Access, AtFlags, FileType, Mode, OFlags},
    io::Errno,
};

use super::command::MARK;
use crate::{
    fault::{self, Step},
    regular, text,
};

/// A directory, held open.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// What stands in the way of an act on a file, and of which.
#[derive(Debug)]
pub struct Obstacle {
    path: PathBuf,
    kind: ObstacleKind,
}

/// The kinds of obstacles.
#[derive(Debug)]
enum ObstacleKind {
    /// A symbolic link is where a file or a directory should be.
    Link,
    /// Something else is where a file or a directory should be.
    NotA(&'static str),
    /// A file of somebody else's has the name of ours.
    Foreign,
    /// The system said no.
    Failed(&'static str, io::Error),
}

impl Obstacle {
    pub(super) fn failed(verb: &'static str, path: &Path, err: impl Into<io::Error>) -> Self {
        Self { path: path.into(), kind: ObstacleKind::Failed(verb, err.into()) }
    }

    /// Returns the obstacle that a file of somebody else's is.
    pub(super) fn foreign(path: &Path) -> Self {
        Self { path: path.into(), kind: ObstacleKind::Foreign }
    }

    /// Returns whether the system said no, where something else is only not ours.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self.kind, ObstacleKind::Failed(..))
    }

    /// Returns whether nothing is there.
    pub(super) fn is_absence(&self) -> bool {
        self.errno() == Some(Errno::NOENT)
    }

    /// Returns whether a symbolic link is in the way.
    pub(super) fn is_link(&self) -> bool {
        matches!(self.kind, ObstacleKind::Link)
    }

    /// Returns whether a file is larger than what was to be read of it.
    pub(super) fn is_size(&self) -> bool {
        matches!(&self.kind, ObstacleKind::Failed(_, err) if err.kind() == io::ErrorKind::FileTooLarge)
    }

    /// Returns what it is about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what the system said, if it did.
    pub(super) fn errno(&self) -> Option<Errno> {
        match &self.kind {
            ObstacleKind::Failed(_, err) => Errno::from_io_error(err),
            ObstacleKind::Link | ObstacleKind::NotA(_) | ObstacleKind::Foreign => None,
        }
    }

    /// Returns the obstacle without the place, so that those of many repositories can be told as one: `hooks` is the
    /// end of its path.
    pub fn reason(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().as_bytes();
        self.kind.told(&text::line(name))
    }
}

impl ObstacleKind {
    fn told(&self, name: &str) -> String {
        match self {
            Self::Link => format!("`{name}` is a symbolic link, and links are not followed"),
            Self::NotA(what) => format!("`{name}` is no {what}"),
            Self::Foreign => {
                format!("`{name}` is not ours: its second line does not begin with `{}`", MARK.trim_end())
            }
            Self::Failed(verb, err) => format!("failed to {verb} `{name}`: {err}"),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind.told(&text::path(&self.path)))
    }
}

impl std::error::Error for Obstacle {}

/// What there is of a name, without following a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub kind: FileType,
    /// The permissions alone.
    pub mode: u32,
    pub owner: u32,
}

/// A file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub bytes: Vec<u8>,
    /// The permissions alone.
    pub mode: u32,
}

impl Dir {
    /// Opens a directory that the administrator named: links on the way to it are followed.
    pub fn open(path: &Path) -> Result<Self, Obstacle> {
        let opened = fault::point(Step::Open, path).map_err(|err| Obstacle::failed("open", path, err));
        opened?;
        match fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.into() }),
            Err(Errno::NOTDIR) => Err(Obstacle { path: path.into(), kind: ObstacleKind::NotA("directory") }),
            Err(err) => Err(Obstacle::failed("open", path, err)),
        }
    }

    /// Opens a directory in this one, `None` if it is not there.
    pub fn sub(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>, Obstacle> {
        let path = self.path.join(name.as_ref());
        fault::point(Step::Open, &path).map_err(|err| Obstacle::failed("open", &path, err))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::openat(&self.fd, name.as_ref(), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::NOENT) => Ok(None),
            // Linux says this of a link too.
            Err(Errno::NOTDIR | Errno::LOOP) => Err(self.not_a("directory", name.as_ref())),
            Err(err) => Err(Obstacle::failed("open", &path, err)),
        }
    }

    /// Opens a directory in this one, made with mode 0755 if it is not there.
    pub fn sub_or_made(&self, name: &str) -> Result<Self, Obstacle> {
        if let Some(there) = self.sub(name)? {
            return Ok(there);
        }
        let path = self.path.join(name);
        let failed = |err: io::Error| Obstacle::failed("make", &path, err);
        fault::point(Step::MakeDir, &path).map_err(failed)?;
        fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)).map_err(|err| failed(err.into()))?;
        let made = self.sub(name)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        // Whatever the umask.
        fs::fchmod(&made.fd, Mode::from_raw_mode(0o755)).map_err(|err| failed(err.into()))?;
        Ok(made)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Returns the names in the directory, in order, and what they name.
    pub fn names(&self) -> Result<Vec<(OsString, FileType)>, Obstacle> {
        let failed = |err: io::Error| Obstacle::failed("list", &self.path, err);
        fault::point(Step::List, &self.path).map_err(failed)?;
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(|err| failed(err.into()))? {
            let entry = entry.map_err(|err| failed(err.into()))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Not every file system says it here.
                FileType::Unknown => self.kind_of(OsStr::from_bytes(name)).unwrap_or(FileType::Unknown),
                kind => kind,
            };
            names.push((OsStr::from_bytes(name).to_os_string(), kind));
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    /// Reads a regular file of at most `max` bytes, `None` if it is not there.
    pub fn read(&self, name: &str, max: u64) -> Result<Option<Content>, Obstacle> {
        let path = self.path.join(name);
        let failed = |verb, err: io::Error| Obstacle::failed(verb, &path, err);
        fault::point(Step::Open, &path).map_err(|err| failed("open", err))?;
        // A named pipe would wait for whoever writes into it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(self.not_a("file", name.as_ref())),
            Err(err) => return Err(failed("open", err.into())),
        };
        let metadata = file.metadata().map_err(|err| failed("read", err))?;
        if !metadata.is_file() {
            return Err(self.not_a("file", name.as_ref()));
        }
        let bytes = bounded(&file, max).map_err(|err| failed("read", err))?;
        Ok(Some(Content { bytes, mode: metadata.mode() & 0o7777 }))
    }

    /// Writes a file under a name of its own that begins with a dot, with these permissions whatever the umask, and
    /// returns that name. One of this name is what a process left behind that died, and is replaced.
    pub fn write_hidden(&self, name: &str, bytes: &[u8], mode: u32) -> Result<Hidden<'_>, Obstacle> {
        let path = self.path.join(name);
        let failed = |verb, err: io::Error| Obstacle::failed(verb, &path, err);
        let create = || -> io::Result<OwnedFd> {
            fault::point(Step::Create, &path)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o600))?)
        };
        let fd = match create() {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                self.remove(name)?;
                create()
            }
            created => created,
        };
        // It is the directory that is to blame.
        let mut file = File::from(fd.map_err(|err| Obstacle::failed("write to", &self.path, err))?);
        // From here on it is removed if anything fails.
        let mut hidden = Hidden { dir: self, name: name.into(), file: None };
        fault::point(Step::Write, &path)
            .and_then(|()| file.write_all(bytes))
            .and_then(|()| Ok(fs::fchmod(&file, Mode::from_raw_mode(mode))?))
            .map_err(|err| failed("write", err))?;
        hidden.file = Some(file);
        Ok(hidden)
    }

    /// Removes a file; one that is not there is removed.
    pub fn remove(&self, name: &str) -> Result<(), Obstacle> {
        self.unlink(name, AtFlags::empty())
    }

    /// Removes a directory, if it is empty, and returns whether it is gone.
    pub fn remove_empty(&self, name: &str) -> Result<bool, Obstacle> {
        match self.unlink(name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(err) if matches!(err.errno(), Some(Errno::NOTEMPTY | Errno::EXIST)) => Ok(false),
            Err(err) => Err(err),
        }
    }

    fn unlink(&self, name: &str, flags: AtFlags) -> Result<(), Obstacle> {
        let path = self.path.join(name);
        let removed =
            fault::point(Step::Remove, &path).and_then(|()| Ok(fs::unlinkat(&self.fd, name, flags)?));
        match removed {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|err| Obstacle::failed("remove", &path, err)),
        }
    }

    /// Returns whether a file could be made in the directory.
    pub fn is_writable(&self) -> Result<(), Obstacle> {
        fs::accessat(&self.fd, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
            .map_err(|err| Obstacle::failed("write to", &self.path, err))
    }

    /// Returns whether there is something of this name.
    pub fn has(&self, name: impl AsRef<OsStr>) -> bool {
        self.kind_of(name.as_ref()).is_some()
    }

    fn kind_of(&self, name: &OsStr) -> Option<FileType> {
        self.entry(name).map(|entry| entry.kind)
    }

    /// Returns what there is of a name, `None` if there is nothing; `.` is the directory itself.
    pub fn entry(&self, name: impl AsRef<OsStr>) -> Option<Entry> {
        let stat = fs::statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        Some(Entry { kind, mode: stat.st_mode & 0o7777, owner: stat.st_uid })
    }

    /// Brings the names in this directory to disk.
    pub fn sync_names(&self) -> Result<(), Obstacle> {
        fault::point(Step::SyncDir, &self.path)
            .and_then(|()| Ok(fs::fsync(&self.fd)?))
            .map_err(|err| Obstacle::failed("synchronise", &self.path, err))
    }

    /// Says what is there instead of a file or a directory.
    fn not_a(&self, what: &'static str, name: &OsStr) -> Obstacle {
        let kind = if self.kind_of(name) == Some(FileType::Symlink) {
            ObstacleKind::Link
        } else {
            ObstacleKind::NotA(what)
        };
        Obstacle { path: self.path.join(name), kind }
    }
}

/// A file that has no name yet that anybody looks for. It is removed unless it gets one.
#[derive(Debug)]
pub(super) struct Hidden<'a> {
    dir: &'a Dir,
    name: String,
    file: Option<File>,
}

impl Hidden<'_> {
    /// Waits until its content is on disk.
    pub fn sync(&self) -> Result<(), Obstacle> {
        let path = self.dir.path.join(&self.name);
        fault::point(Step::Sync, &path)
            .and_then(|()| self.file.as_ref().map_or(Ok(()), File::sync_all))
            .map_err(|err| Obstacle::failed("synchronise", &path, err))
    }

    /// Gives it its name, in the place of what was there.
    pub fn rename(mut self, name: &str) -> Result<(), Obstacle> {
        let path = self.dir.path.join(name);
        fault::point(Step::Rename, &path)
            .and_then(|()| Ok(fs::renameat(&self.dir.fd, &self.name, &self.dir.fd, name)?))
            .map_err(|err| Obstacle::failed("replace", &path, err))?;
        self.name.clear();
        Ok(())
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        // That half a file cannot be removed adds nothing to the error that is on its way.
        let _ = self.dir.remove(&self.name);
    }
}

/// Reads a file that the administrator named, of at most `max` bytes.
pub(super) fn read_file(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    bounded(&regular::open(path)?, max)
}

fn bounded(file: &File, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {max} bytes")));
    }
    Ok(bytes)
}
