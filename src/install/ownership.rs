//! Checks which users can change a file: its owner, and everyone who can replace it or a directory
//! in its path.
//!
//! Root reads `app.ini`, and then runs the programs it names as the user it names. So no third user
//! may control that file or those programs. A path is opened component by component, each relative
//! to the one before, and no name is resolved twice. What was checked is therefore what is read.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    fs::File,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Component, Path, PathBuf},
};

use bstr::ByteSlice as _;
use rustix::{
    fs::{self, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use super::{
    dirfd,
    user::{self, RunUser},
};
use crate::{proposal, text};

/// Maximum number of symbolic links in a path, as in the kernel.
const MAX_LINKS: usize = 40;

const GROUP_MAY_WRITE: u32 = 0o020;
const OTHERS_MAY_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// File system type of FUSE (statfs(2)). The program that provides such a file system can report
/// any owner.
const FUSE: fs::FsWord = 0x6573_5546;

/// Maximum number of bytes read from the list of mounts.
const MAX_MOUNTS: u64 = 4 << 20;

/// Extended attribute that holds an access control list (acl(5)).
const ACL: &str = "system.posix_acl_access";

/// The owner and permissions of a file, of the directories above it and of the links in its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    path: PathBuf,
    parts: Vec<PathComponent>,
}

/// A component of a path, as it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PathComponent {
    path: PathBuf,
    kind: FileType,
    mode: u32,
    owner: u32,
    group: u32,
    has_acl: bool,
    /// User whose program provides the file system, if it is FUSE.
    provider: Option<u32>,
}

/// A file that a third user can change, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    file: PathBuf,
    part: PathBuf,
    /// User that may change it besides root, if any.
    user: Option<String>,
    kind: ExposedKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ExposedKind {
    /// The owner is neither root nor Gitea's user.
    Owner(String),
    /// A group or all users can write to it.
    Mode(u32),
    /// It cannot be inspected.
    Unseen(String),
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = text::path(&self.part);
        if self.part == self.file {
            write!(f, "`{part}` ")?;
        } else {
            write!(f, "`{part}`, on the way to `{}`, ", text::path(&self.file))?;
        }
        match &self.kind {
            ExposedKind::Owner(owner) => match &self.user {
                Some(user) => write!(
                    f,
                    "belongs to `{owner}`, who is neither root nor `{user}`, the user that Gitea runs as"
                ),
                None => write!(f, "belongs to `{owner}`, not to root"),
            },
            ExposedKind::Mode(mode) => {
                let user = self.user.as_ref().map(|user| format!(" and `{user}`")).unwrap_or_default();
                write!(f, "has the mode {mode:04o}, so users other than root{user} can change it")
            }
            ExposedKind::Unseen(why) => write!(f, "cannot be inspected: {why}"),
        }
    }
}

impl std::error::Error for Exposed {}

impl Exposed {
    fn new(file: &Path, part: &Path, user: &RunUser, kind: ExposedKind) -> Self {
        let user = (user.uid() != 0).then(|| user.to_string());
        Self { file: file.into(), part: part.into(), user, kind }
    }

    /// Returns the file, directory or link that another user can change.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Returns true if the path could not be inspected.
    pub fn is_unseen(&self) -> bool {
        matches!(self.kind, ExposedKind::Unseen(_))
    }

    /// Returns advice for the administrator.
    pub fn fix(&self) -> String {
        let part = text::shell(&self.part);
        match &self.kind {
            ExposedKind::Owner(_) => format!(
                "`ls -ld {part}` shows the owner; give it to root, or move the file to a directory that \
                 belongs to root"
            ),
            ExposedKind::Mode(_) => {
                format!("`{}`", proposal::on_file(&self.part, &format!("chmod go-w {part}")))
            }
            ExposedKind::Unseen(_) => format!("`namei -l {part}` shows where it fails"),
        }
    }
}

impl Ownership {
    /// Inspects the path to a file or directory.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(WalkedPath::along(path)?.ownership)
    }

    /// Opens a regular file for reading and inspects its path. Does not block on a FIFO.
    ///
    /// # Errors
    /// If it cannot be reached or read, or is not a regular file.
    pub fn open(path: &Path) -> io::Result<(File, Self)> {
        let WalkedPath { mut ownership, dir, name } = WalkedPath::along(path)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&dir, &name, flags, Mode::empty())?;
        let last = ownership.parts.last_mut().ok_or(Errno::ISDIR)?;
        *last = PathComponent::of(&fd, last.path.clone())?;
        if last.kind != FileType::RegularFile {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok((fd.into(), ownership))
    }

    /// Returns the user ID and the group ID of the file itself.
    pub fn owner(&self) -> (u32, u32) {
        self.parts.last().map_or((0, 0), |part| (part.owner, part.group))
    }

    /// Returns true if this user owns a component of the path.
    pub(super) fn is_any_owned_by(&self, uid: u32) -> bool {
        self.parts.iter().any(|part| part.owner == uid)
    }

    /// Returns the directories in which whoever may write can replace the next component, and the
    /// last one, in which they can create entries.
    pub(super) fn dirs_open_to_writers(&self) -> impl Iterator<Item = &Path> {
        let last = self.parts.len().saturating_sub(1);
        let is_open = move |(nth, part): &(usize, &PathComponent)| {
            part.kind == FileType::Directory && (*nth == last || !part.is_sticky_dir())
        };
        self.parts.iter().enumerate().filter(is_open).map(|(_, part)| &*part.path)
    }

    /// Checks that only root and this user can change the file.
    ///
    /// # Errors
    /// With the first component of the path that another user can change.
    pub fn check(&self, user: &RunUser) -> Result<(), Exposed> {
        for part in &self.parts {
            if let Some(kind) = part.exposed_to_others(user) {
                return Err(Exposed::new(&self.path, &part.path, user, kind));
            }
        }
        Ok(())
    }
}

/// Checks that only root and this user can change the file or directory at `path`.
///
/// # Errors
/// With the component that another user can change, or the reason why it cannot be inspected.
pub fn check(path: &Path, user: &RunUser) -> Result<(), Exposed> {
    match Ownership::of(path) {
        Ok(ownership) => ownership.check(user),
        Err(err) => Err(Exposed::new(path, path, user, ExposedKind::Unseen(err.to_string()))),
    }
}

/// Checks a file without its path, such as a running program whose file may have been deleted.
pub(super) fn check_open(
    path: &Path,
    mode: u32,
    (owner, group): (u32, u32),
    user: &RunUser,
) -> Result<(), Exposed> {
    let part = PathComponent {
        path: path.into(),
        kind: FileType::from_raw_mode(mode),
        mode: mode & 0o7777,
        owner,
        group,
        // Without a descriptor the ACL cannot be read, so assume that there is one.
        has_acl: true,
        provider: None,
    };
    Ownership { path: path.into(), parts: vec![part] }.check(user)
}

impl RunUser {
    /// Returns the owner of a directory, if only root and that user can replace it.
    ///
    /// # Errors
    /// With the component that another user can change, or the reason why it cannot be inspected.
    pub fn owner_of(dir: &Path) -> Result<Self, Exposed> {
        let ownership = Ownership::of(dir).map_err(|err| Exposed {
            file: dir.into(),
            part: dir.into(),
            user: None,
            kind: ExposedKind::Unseen(err.to_string()),
        })?;
        let (uid, gid) = ownership.owner();
        let user = Self::with_ids(uid, gid);
        ownership.check(&user)?;
        Ok(user)
    }
}

impl PathComponent {
    fn of(fd: &OwnedFd, path: PathBuf) -> io::Result<Self> {
        let stat: Stat = fs::fstat(fd)?;
        let mode = stat.st_mode & 0o7777;
        // If there is an ACL, the group bits are its mask. Without the write bit it cannot grant
        // write access.
        let has_acl = mode & GROUP_MAY_WRITE != 0 && has_acl(fd);
        Ok(Self {
            path,
            kind: FileType::from_raw_mode(stat.st_mode),
            mode,
            owner: stat.st_uid,
            group: stat.st_gid,
            has_acl,
            provider: provider_of(fd, stat.st_dev),
        })
    }

    /// Returns true for a directory in which only the owner of an entry can replace it.
    fn is_sticky_dir(&self) -> bool {
        self.kind == FileType::Directory && self.mode & STICKY != 0
    }

    /// Returns how a user other than root and `user` can change this component, if one can.
    fn exposed_to_others(&self, user: &RunUser) -> Option<ExposedKind> {
        if self.owner != 0 && self.owner != user.uid() {
            return Some(ExposedKind::Owner(RunUser::with_ids(self.owner, self.group).to_string()));
        }
        if let Some(provider) = self.provider.filter(|provider| *provider != 0 && *provider != user.uid()) {
            return Some(ExposedKind::Owner(RunUser::with_ids(provider, self.group).to_string()));
        }
        // Links have no permissions.
        if self.kind == FileType::Symlink || self.is_sticky_dir() {
            return None;
        }
        let by_group = self.mode & GROUP_MAY_WRITE != 0
            && (self.has_acl || !user::is_group_of_nobody_else(self.group, user));
        (by_group || self.mode & OTHERS_MAY_WRITE != 0).then_some(ExposedKind::Mode(self.mode))
    }
}

/// Returns the user whose program provides the file system, if it is FUSE.
fn provider_of(fd: &OwnedFd, device: u64) -> Option<u32> {
    if fs::fstatfs(fd).ok()?.f_type != FUSE {
        return None;
    }
    let mounts = dirfd::read_file(Path::new("/proc/self/mountinfo"), MAX_MOUNTS).ok()?;
    provider_in(&mounts, device)
}

/// Finds the user in the list of mounts (proc_pid_mountinfo(5)), where a line looks like `36 35
/// 0:52 / /mnt rw - fuse.sshfs host: rw,user_id=1000,...`.
fn provider_in(mounts: &[u8], device: u64) -> Option<u32> {
    let device = format!("{}:{}", fs::major(device), fs::minor(device));
    mounts.lines().find_map(|line| {
        let (mount, options) = line.split_once_str(" - ")?;
        let is_meant = mount.split_str(" ").nth(2) == Some(device.as_bytes());
        let options = options.rsplit_str(" ").next().filter(|_| is_meant)?;
        options
            .split_str(",")
            .find_map(|option| option.strip_prefix(b"user_id=")?.to_str().ok()?.parse().ok())
    })
}

/// Returns true if the file has an ACL, or if that cannot be determined.
fn has_acl(fd: &OwnedFd) -> bool {
    // `fgetxattr` does not work with an `O_PATH` descriptor.
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    !matches!(fs::getxattr(path, ACL, &mut [0_u8; 0][..]), Err(Errno::NODATA | Errno::OPNOTSUPP))
}

/// A path that was followed to its end.
struct WalkedPath {
    ownership: Ownership,
    /// Directory that contains the last component.
    dir: OwnedFd,
    name: OsString,
}

impl WalkedPath {
    fn along(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let mut parts = Vec::new();
        let mut links = 0;
        let (mut dir, mut dir_path) = root(&mut parts)?;
        let mut todo = components_of(&path);
        if todo.is_empty() {
            todo.push(".".into());
        }
        loop {
            let name = todo.pop().ok_or(Errno::ISDIR)?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = fs::openat(&dir, &name, flags, Mode::empty())?;
            let part = PathComponent::of(&fd, join(&dir_path, &name))?;
            let part_path = part.path.clone();
            let kind = part.kind;
            parts.push(part);
            match kind {
                FileType::Symlink => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = fs::readlinkat(&fd, "", Vec::new())?;
                    let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                    if target.is_absolute() {
                        (dir, dir_path) = root(&mut parts)?;
                    }
                    todo.extend(components_of(target));
                    // The link's target has no components, like `/`, so stay in this directory.
                    if todo.is_empty() {
                        todo.push(".".into());
                    }
                }
                _ if todo.is_empty() => {
                    return Ok(Self { ownership: Ownership { path, parts }, dir, name });
                }
                FileType::Directory => (dir, dir_path) = (fd, part_path),
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
    }
}

fn root(parts: &mut Vec<PathComponent>) -> io::Result<(OwnedFd, PathBuf)> {
    let path = PathBuf::from("/");
    let fd = fs::open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    parts.push(PathComponent::of(&fd, path.clone())?);
    Ok((fd, path))
}

/// Returns the names in a path in reverse order.
fn components_of(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<OsString> = names.collect();
    names.reverse();
    names
}

fn join(dir: &Path, name: &OsStr) -> PathBuf {
    match name.as_bytes() {
        b".." => dir.parent().unwrap_or(dir).into(),
        b"." => dir.into(),
        _ => dir.join(name),
    }
}

#[cfg(test)]
mod tests;
