//! File operations relative to open directories. They never follow symbolic links, because anyone
//! who can write to a repository could plant one. Files are replaced atomically.

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
    sys::fault::{self, Step},
    sys::regular_file,
    text,
};

/// An open directory.
#[derive(Debug)]
pub(super) struct OpenDir {
    fd: OwnedFd,
    path: PathBuf,
}

/// A file operation that failed, and its path.
#[derive(Debug)]
pub struct Obstacle {
    path: PathBuf,
    kind: ObstacleKind,
}

/// The reason for the failure.
#[derive(Debug)]
enum ObstacleKind {
    /// A symbolic link in place of a file or a directory.
    Link,
    /// Another kind of entry in place of a file or a directory.
    NotA(&'static str),
    /// A foreign file that has our file's name.
    Foreign,
    /// A system error.
    Failed(&'static str, io::Error),
}

impl Obstacle {
    pub(super) fn failed(verb: &'static str, path: &Path, err: impl Into<io::Error>) -> Self {
        Self { path: path.into(), kind: ObstacleKind::Failed(verb, err.into()) }
    }

    /// Returns the obstacle for a foreign file.
    pub(super) fn foreign(path: &Path) -> Self {
        Self { path: path.into(), kind: ObstacleKind::Foreign }
    }

    /// Returns true for a system error.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self.kind, ObstacleKind::Failed(..))
    }

    /// Returns true if the file or directory does not exist.
    pub(super) fn is_absence(&self) -> bool {
        self.errno() == Some(Errno::NOENT)
    }

    /// Returns true if a symbolic link is in the way.
    pub(super) fn is_link(&self) -> bool {
        matches!(self.kind, ObstacleKind::Link)
    }

    /// Returns true if the file is larger than the limit for reading it.
    pub(super) fn is_size(&self) -> bool {
        matches!(&self.kind, ObstacleKind::Failed(_, err) if err.kind() == io::ErrorKind::FileTooLarge)
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the error number of a system error.
    pub(super) fn errno(&self) -> Option<Errno> {
        match &self.kind {
            ObstacleKind::Failed(_, err) => Errno::from_io_error(err),
            ObstacleKind::Link | ObstacleKind::NotA(_) | ObstacleKind::Foreign => None,
        }
    }

    /// Returns the message with the file name only, so that the same problem in many repositories
    /// can be reported once.
    pub fn reason(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().as_bytes();
        self.kind.display_name(&text::line(name))
    }
}

impl ObstacleKind {
    fn display_name(&self, name: &str) -> String {
        match self {
            Self::Link => format!("`{name}` is a symbolic link, which is not followed"),
            Self::NotA(what) => format!("`{name}` is not a {what}"),
            Self::Foreign => {
                format!("`{name}` is not ours: its second line does not begin with `{}`", MARK.trim_end())
            }
            Self::Failed(verb, err) => format!("failed to {verb} `{name}`: {err}"),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind.display_name(&text::path(&self.path)))
    }
}

impl std::error::Error for Obstacle {}

/// Metadata of a directory entry. Links are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryMetadata {
    pub kind: FileType,
    /// Permission bits.
    pub mode: u32,
    pub owner: u32,
}

/// The content and permissions of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub bytes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

impl OpenDir {
    /// Opens a directory that the administrator named. Links in the path are followed.
    pub fn open(path: &Path) -> Result<Self, Obstacle> {
        let opened = fault::point(Step::Open, path).map_err(|err| Obstacle::failed("open", path, err));
        opened?;
        match fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.into() }),
            Err(Errno::NOTDIR) => Err(Obstacle { path: path.into(), kind: ObstacleKind::NotA("directory") }),
            Err(err) => Err(Obstacle::failed("open", path, err)),
        }
    }

    /// Opens a subdirectory, or returns `None` if it does not exist.
    pub fn sub(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>, Obstacle> {
        let path = self.path.join(name.as_ref());
        fault::point(Step::Open, &path).map_err(|err| Obstacle::failed("open", &path, err))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::openat(&self.fd, name.as_ref(), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::NOENT) => Ok(None),
            // Linux returns `NOTDIR` for a symbolic link as well.
            Err(Errno::NOTDIR | Errno::LOOP) => Err(self.not_a("directory", name.as_ref())),
            Err(err) => Err(Obstacle::failed("open", &path, err)),
        }
    }

    /// Opens a subdirectory, and creates it with mode 0755 if it does not exist.
    pub fn sub_or_made(&self, name: &str) -> Result<Self, Obstacle> {
        if let Some(there) = self.sub(name)? {
            return Ok(there);
        }
        let path = self.path.join(name);
        let failed = |err: io::Error| Obstacle::failed("create", &path, err);
        fault::point(Step::MakeDir, &path).map_err(failed)?;
        fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)).map_err(|err| failed(err.into()))?;
        let made = self.sub(name)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        // Set the mode regardless of the umask.
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

    /// Returns the names and types of the entries, sorted by name.
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
                // Some file systems do not return the type in a listing.
                FileType::Unknown => self.kind_of(OsStr::from_bytes(name)).unwrap_or(FileType::Unknown),
                kind => kind,
            };
            names.push((OsStr::from_bytes(name).to_os_string(), kind));
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    /// Reads a regular file of at most `max` bytes, or returns `None` if it does not exist.
    pub fn read(&self, name: &str, max: u64) -> Result<Option<Content>, Obstacle> {
        let path = self.path.join(name);
        let failed = |verb, err: io::Error| Obstacle::failed(verb, &path, err);
        fault::point(Step::Open, &path).map_err(|err| failed("open", err))?;
        // Without `NONBLOCK`, opening a FIFO blocks until someone writes to it.
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

    /// Writes a temporary file with these permissions, regardless of the umask. `name` should start
    /// with a dot. Replaces an existing file of that name, which a crashed process left behind.
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
        // A failure to create the file is reported for the directory.
        let mut file = File::from(fd.map_err(|err| Obstacle::failed("write to", &self.path, err))?);
        // Dropping `hidden` removes the file if a later step fails.
        let mut hidden = Hidden { dir: self, name: name.into(), file: None };
        fault::point(Step::Write, &path)
            .and_then(|()| file.write_all(bytes))
            .and_then(|()| Ok(fs::fchmod(&file, Mode::from_raw_mode(mode))?))
            .map_err(|err| failed("write", err))?;
        hidden.file = Some(file);
        Ok(hidden)
    }

    /// Removes a file. Succeeds if it does not exist.
    pub fn remove(&self, name: &str) -> Result<(), Obstacle> {
        self.unlink(name, AtFlags::empty())
    }

    /// Removes a directory if it is empty. Returns true if it is gone.
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

    /// Checks that a file can be created in the directory.
    pub fn is_writable(&self) -> Result<(), Obstacle> {
        fs::accessat(&self.fd, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
            .map_err(|err| Obstacle::failed("write to", &self.path, err))
    }

    /// Returns true if the directory has an entry with this name.
    pub fn has(&self, name: impl AsRef<OsStr>) -> bool {
        self.kind_of(name.as_ref()).is_some()
    }

    fn kind_of(&self, name: &OsStr) -> Option<FileType> {
        self.entry(name).map(|entry| entry.kind)
    }

    /// Returns the metadata of an entry, or `None` if it does not exist. `.` is the directory
    /// itself.
    pub fn entry(&self, name: impl AsRef<OsStr>) -> Option<EntryMetadata> {
        let stat = fs::statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        Some(EntryMetadata { kind, mode: stat.st_mode & 0o7777, owner: stat.st_uid })
    }

    /// Syncs the directory to disk.
    pub fn sync_names(&self) -> Result<(), Obstacle> {
        fault::point(Step::SyncDir, &self.path)
            .and_then(|()| Ok(fs::fsync(&self.fd)?))
            .map_err(|err| Obstacle::failed("synchronise", &self.path, err))
    }

    /// Returns the obstacle for an entry that is not of the expected type.
    fn not_a(&self, what: &'static str, name: &OsStr) -> Obstacle {
        let kind = if self.kind_of(name) == Some(FileType::Symlink) {
            ObstacleKind::Link
        } else {
            ObstacleKind::NotA(what)
        };
        Obstacle { path: self.path.join(name), kind }
    }
}

/// A temporary file. It is removed on drop unless it was renamed.
#[derive(Debug)]
pub(super) struct Hidden<'a> {
    dir: &'a OpenDir,
    name: String,
    file: Option<File>,
}

impl Hidden<'_> {
    /// Syncs the content to disk.
    pub fn sync(&self) -> Result<(), Obstacle> {
        let path = self.dir.path.join(&self.name);
        fault::point(Step::Sync, &path)
            .and_then(|()| self.file.as_ref().map_or(Ok(()), File::sync_all))
            .map_err(|err| Obstacle::failed("synchronise", &path, err))
    }

    /// Renames the file, replacing an existing one.
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
        // Ignore errors: an earlier error is already being reported.
        let _ = self.dir.remove(&self.name);
    }
}

/// Reads a file that the administrator named, of at most `max` bytes.
pub(super) fn read_file(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    bounded(&regular_file::open(path)?, max)
}

pub(super) fn bounded(file: &File, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {max} bytes")));
    }
    Ok(bytes)
}
