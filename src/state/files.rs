//! How files are made, listed and removed here; every error names the file.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, IoSlice, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::SystemTime,
};

use rustix::{
    fs::{CWD, OFlags, RenameFlags, renameat_with},
    io::Errno,
};

use super::name::ParcelName;
use crate::{
    fault::{self, Step},
    regular,
};

/// What could not be done to which file, and what the system said.
#[derive(Debug)]
pub struct StateError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl StateError {
    pub(super) fn new(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self { verb, path: path.into(), source }
    }

    /// Returns an error about what could not be made into bytes for the state directory.
    pub(crate) fn in_dir(dir: &Path, source: impl Into<io::Error>) -> Self {
        Self::new("write to", dir, source.into())
    }

    /// Returns whether the same may work a moment later: the file is not to blame.
    pub fn may_pass(&self) -> bool {
        use rustix::io::Errno as E;
        let errno = self.source.raw_os_error().map(E::from_raw_os_error);
        errno.is_some_and(|errno| {
            [E::IO, E::MFILE, E::NFILE, E::NOMEM, E::AGAIN, E::INTR, E::STALE, E::TIMEDOUT].contains(&errno)
        })
    }

    /// Returns the kind of what the system said.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {} `{}`: {}", self.verb, self.path.display(), self.source)
    }
}

impl std::error::Error for StateError {}

/// A file that has its name. It outlives our death from now on, but the machine's only once it is
/// synchronised.
#[derive(Debug)]
pub struct Written {
    file: File,
    path: PathBuf,
}

impl Written {
    /// Waits until the file and its name are on disk.
    ///
    /// # Errors
    /// If the disk cannot take it.
    pub fn sync(&self) -> Result<(), StateError> {
        self.sync_content()?;
        self.sync_name()
    }

    /// Waits until the file is on disk.
    ///
    /// The name was given first: so one commit of the file system's journal holds both, and the directory
    /// has nothing left to write. A machine that dies before leaves a file that does not hold what its
    /// first line promises, and the capture that it was made from.
    ///
    /// # Errors
    /// If the disk cannot take it.
    pub fn sync_content(&self) -> Result<(), StateError> {
        fault::point(Step::Sync, &self.path)
            .and_then(|()| self.file.sync_all())
            .map_err(|err| StateError::new("synchronise", &self.path, err))
    }

    /// Waits until the name is on disk. Asked for at the same time as the content, both are in one commit;
    /// asked for afterwards, the disk is flushed twice.
    ///
    /// # Errors
    /// If the disk cannot take it.
    pub fn sync_name(&self) -> Result<(), StateError> {
        self.path.parent().map_or(Ok(()), sync_dir)
    }

    /// Returns the name that it has.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn into_file(self) -> File {
        self.file
    }
}

/// Makes a directory, and those above it.
pub(super) fn make_dir(dir: &Path) -> Result<(), StateError> {
    if dir.is_dir() {
        return Ok(());
    }
    fault::point(Step::MakeDir, dir)
        .and_then(|()| DirBuilder::new().recursive(true).mode(0o700).create(dir))
        .map_err(|err| StateError::new("make", dir, err))?;
    // The names of new directories are durable once their parents are; what cannot be opened to be
    // synchronised was not made by us.
    for parent in dir.ancestors().skip(1).take(3) {
        let _ = sync_dir(parent);
    }
    Ok(())
}

/// Opens a file that must not exist and must not be a link.
fn create(path: &Path) -> Result<File, StateError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600).custom_flags(no_follow());
    fault::point(Step::Create, path)
        .and_then(|()| options.open(path))
        .map_err(|err| StateError::new("create", path, err))
}

fn no_follow() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

/// Opens a file of ours for reading; what else lies in its place is an error.
pub(super) fn open(path: &Path) -> Result<File, StateError> {
    fault::point(Step::Open, path)
        .and_then(|()| regular::open_no_follow(path))
        .map_err(|err| StateError::new("open", path, err))
}

/// Opens a file of ours for appending, making it if need be.
pub(super) fn open_to_append(path: &Path) -> Result<File, StateError> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(no_follow());
    fault::point(Step::Create, path)
        .and_then(|()| options.open(path))
        .map_err(|err| StateError::new("open", path, err))
}

/// Writes `parts` as the file `name` in `dir`, making the directory if need be, and returns it, locked
/// for us if `is_locked`. The lock is there before the file has its name.
pub(super) fn write_new(
    dir: &Path,
    name: &str,
    parts: &[&[u8]],
    is_locked: bool,
) -> Result<Written, StateError> {
    let lock = |file: &File, hidden: &Path| {
        if !is_locked {
            return Ok(());
        }
        fault::point(Step::Lock, hidden)
            .and_then(|()| file.lock())
            .map_err(|err| StateError::new("lock", hidden, err))
    };
    write_and_name(dir, name, parts, lock, |_, hidden| {
        let path = dir.join(name);
        rename(hidden, &path)?;
        Ok(path)
    })
}

/// Writes `parts` as a file in `dir` that has the first of `names` which is free. None is ever taken from another file.
pub(super) fn write_beside(
    dir: &Path,
    mut names: impl Iterator<Item = ParcelName>,
    parts: &[&[u8]],
) -> Result<Written, StateError> {
    let first = names.next().map(|name| name.to_string()).unwrap_or_default();
    write_and_name(
        dir,
        &first,
        parts,
        |_, _| Ok(()),
        |_, hidden| {
            let mut path = dir.join(&first);
            loop {
                match (rename_beside(hidden, &path), names.next()) {
                    (Err(err), Some(next)) if err.kind() == io::ErrorKind::AlreadyExists => {
                        path = dir.join(next.to_string());
                    }
                    (renamed, _) => return renamed.map(|()| path),
                }
            }
        },
    )
}

/// Writes `parts` as the file `name` in `dir`, and returns when it is on disk and after that its name: nobody ever
/// sees less than all of it, even if the machine dies. It has the date `modified`, if there is one.
pub(super) fn write_durable(
    dir: &Path,
    name: &str,
    parts: &[&[u8]],
    modified: Option<SystemTime>,
) -> Result<(), StateError> {
    let name_it = |file: &File, hidden: &Path| {
        let failed = |verb, err| StateError::new(verb, hidden, err);
        modified.map_or(Ok(()), |modified| file.set_modified(modified)).map_err(|err| failed("date", err))?;
        fault::point(Step::Sync, hidden)
            .and_then(|()| file.sync_all())
            .map_err(|err| failed("synchronise", err))?;
        let path = dir.join(name);
        rename(hidden, &path)?;
        Ok(path)
    };
    write_and_name(dir, name, parts, |_, _| Ok(()), name_it)?.sync_name()
}

/// Writes `parts` as the file `name` in `dir`, which must not be there, and returns when it is on disk.
pub(super) fn write_once(dir: &Path, name: &str, parts: &[&[u8]]) -> Result<(), StateError> {
    let written = write_and_name(
        dir,
        name,
        parts,
        |_, _| Ok(()),
        |_, hidden| {
            let path = dir.join(name);
            rename_beside(hidden, &path)?;
            Ok(path)
        },
    )?;
    written.sync()
}

/// Writes a file under a name that nobody lists, made of `name`. `before` it is written something is done with it, and
/// `name_it` gives it the name that it is to have.
fn write_and_name(
    dir: &Path,
    name: &str,
    parts: &[&[u8]],
    before: impl FnOnce(&File, &Path) -> Result<(), StateError>,
    name_it: impl FnOnce(&File, &Path) -> Result<PathBuf, StateError>,
) -> Result<Written, StateError> {
    let (mut file, hidden) = match create_hidden(dir, name) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            make_dir(dir)?;
            create_hidden(dir, name)?
        }
        created => created?,
    };
    let written = (|| {
        before(&file, &hidden)?;
        let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        write_all(&mut file, slices, &hidden)?;
        name_it(&file, &hidden)
    })();
    match written {
        Ok(path) => Ok(Written { file, path }),
        Err(err) => {
            // Half a file helps nobody; that it cannot be removed adds nothing to the error.
            let _ = remove(&hidden);
            Err(err)
        }
    }
}

/// Opens a file under a name that nobody lists: `.<name>.<process id>.<number>`.
fn create_hidden(dir: &Path, name: &str) -> Result<(File, PathBuf), StateError> {
    static NTH: AtomicU32 = AtomicU32::new(0);
    loop {
        let nth = NTH.fetch_add(1, Ordering::Relaxed);
        let hidden = dir.join(format!(".{name}.{}.{nth}", std::process::id()));
        match create(&hidden) {
            // Left behind by a process that had our id and died. In containers ids come again soon.
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            created => return Ok((created?, hidden)),
        }
    }
}

/// Writes everything, in one write if the system takes it in one.
pub(super) fn write_all(
    file: &mut File,
    mut slices: Vec<IoSlice<'_>>,
    path: &Path,
) -> Result<(), StateError> {
    let failed = |err: io::Error| StateError::new("write", path, err);
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        fault::point(Step::Write, path).map_err(failed)?;
        match file.write_vectored(rest) {
            Ok(0) => return Err(failed(io::ErrorKind::WriteZero.into())),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(failed(err)),
        }
    }
    Ok(())
}

/// Joins those who append to a file, until the handle is closed, and returns whether the file ends in the
/// middle of a line that nobody is writing any more.
///
/// All of them hold a shared lock, because what is half written looks the same as what a crash cut off; who
/// then gets the file alone knows. Nobody waits: where a lock cannot be had, the line is left as it is.
pub(super) fn is_torn(file: &File) -> bool {
    let _ = file.try_lock_shared();
    ends_within_a_line(file) && file.try_lock().is_ok() && ends_within_a_line(file)
}

fn ends_within_a_line(file: &File) -> bool {
    let mut last = [0];
    let len = file.metadata().map_or(0, |file| file.len());
    len > 0 && file.read_exact_at(&mut last, len - 1).is_ok() && last != *b"\n"
}

/// Locks a file unless another process has it locked, and returns whether it is ours.
pub(super) fn try_lock(file: &File, path: &Path) -> Result<bool, StateError> {
    match fault::point(Step::Lock, path).map_err(TryLockError::Error).and_then(|()| file.try_lock()) {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(err)) => Err(StateError::new("lock", path, err)),
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StateError> {
    fault::point(Step::SyncDir, dir)
        .and_then(|()| File::open(dir)?.sync_all())
        .map_err(|err| StateError::new("synchronise", dir, err))
}

/// Gives a file a second name, which must not be taken.
pub(super) fn link(from: &Path, to: &Path) -> Result<(), StateError> {
    fault::point(Step::Rename, from)
        .and_then(|()| fs::hard_link(from, to))
        .map_err(|err| StateError::new("link", from, err))
}

/// Renames a file to a name that must not be taken.
fn rename_beside(from: &Path, to: &Path) -> Result<(), StateError> {
    fault::point(Step::Rename, from)
        .and_then(|()| match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // NFS, for one, cannot do it in one step.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::hard_link(from, to)?;
                fs::remove_file(from)
            }
            renamed => Ok(renamed?),
        })
        .map_err(|err| StateError::new("rename", from, err))
}

/// Renames a file.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StateError> {
    fault::point(Step::Rename, from)
        .and_then(|()| fs::rename(from, to))
        .map_err(|err| StateError::new("rename", from, err))
}

/// Removes a file; one that is gone already is removed.
pub(super) fn remove(path: &Path) -> Result<(), StateError> {
    match fault::point(Step::Remove, path).and_then(|()| fs::remove_file(path)) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|err| StateError::new("remove", path, err)),
    }
}
