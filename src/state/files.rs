//! Creates, lists, synchronises and removes files of the state directory.
//!
//! Every operation passes a fault point, and every error names the operation and the path.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
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
use thiserror::Error;

use super::name::ParcelName;
use crate::{
    sys::fault::{self, Step},
    sys::regular_file,
    text,
};

/// Maximum length of a parser's message about a broken file, in characters.
const MAX_SAID: usize = 1000;

/// A file operation that failed: the operation, the path and the system's error.
#[derive(Debug, Error)]
#[error(
    "failed to {verb} `{}`: {}",
    text::path(path),
    // A parser's message quotes the file, which may hold any characters.
    text::line_of(cause.to_string(), MAX_SAID)
)]
pub struct StateError {
    verb: &'static str,
    path: PathBuf,
    cause: io::Error,
}

impl StateError {
    pub(super) fn new(verb: &'static str, path: &Path, cause: io::Error) -> Self {
        Self { verb, path: path.into(), cause }
    }

    /// Returns an error for content of `dir` that could not be serialised.
    pub(crate) fn in_dir(dir: &Path, cause: impl Into<io::Error>) -> Self {
        Self::new("write to", dir, cause.into())
    }

    /// Returns true if the operation may succeed a moment later, because the file is not the cause.
    pub fn may_pass(&self) -> bool {
        use rustix::io::Errno as E;
        let errno = self.cause.raw_os_error().map(E::from_raw_os_error);
        errno.is_some_and(|errno| {
            [E::IO, E::MFILE, E::NFILE, E::NOMEM, E::AGAIN, E::INTR, E::STALE, E::TIMEDOUT].contains(&errno)
        })
    }

    /// Returns true if this user may not do it.
    pub fn is_denied(&self) -> bool {
        self.cause.kind() == io::ErrorKind::PermissionDenied
    }

    /// Returns true if the system refused the operation, and false if the content that was read is
    /// wrong.
    pub fn is_of_system(&self) -> bool {
        self.cause.raw_os_error().is_some()
    }

    /// Returns the kind of the underlying error.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }
}

/// A file that has its final name. It survives the death of this process, but a power cut only
/// after it was synchronised.
#[derive(Debug)]
pub struct WrittenFile {
    file: File,
    path: PathBuf,
}

impl WrittenFile {
    /// Synchronises the content and then the directory.
    ///
    /// # Errors
    /// If the system cannot synchronise one of them.
    pub fn sync(&self) -> Result<(), StateError> {
        self.sync_content()?;
        self.sync_name()
    }

    /// Synchronises the content.
    ///
    /// The file was renamed before, so one commit of the file system's journal can hold the content
    /// and the name. A power cut before that commit may leave a file that is shorter than its first
    /// line says. The capture of its push is still there then.
    ///
    /// # Errors
    /// If the system cannot synchronise it.
    pub fn sync_content(&self) -> Result<(), StateError> {
        sync_file(&self.file, &self.path)
    }

    /// Synchronises the directory. Called at the same time as [`Self::sync_content`], it shares one
    /// commit; called afterwards, it costs a second flush of the disk.
    ///
    /// # Errors
    /// If the system cannot synchronise it.
    pub fn sync_name(&self) -> Result<(), StateError> {
        self.path.parent().map_or(Ok(()), sync_dir)
    }

    /// Returns the file's name in its directory.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn into_file(self) -> File {
        self.file
    }
}

/// Creates a directory and its missing parents.
pub(super) fn make_dir(dir: &Path) -> Result<(), StateError> {
    if dir.is_dir() {
        return Ok(());
    }
    let missing = dir.ancestors().take_while(|dir| !dir.exists()).count();
    fault::point(Step::MakeDir, dir)
        .and_then(|()| DirBuilder::new().recursive(true).mode(0o700).create(dir))
        .map_err(|err| StateError::new("create", dir, err))?;
    // A directory entry is durable once its parent is synchronised. One more parent than was
    // missing is synchronised: another process may have just created it. A parent that cannot be
    // opened is not one that we created.
    for parent in dir.ancestors().skip(1).take(missing + 1) {
        let _ = sync_dir(parent);
    }
    Ok(())
}

/// Creates a file. The path must not exist, not even as a symbolic link.
fn create(path: &Path) -> Result<File, StateError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600).custom_flags(no_follow());
    fault::point(Step::Create, path)
        .and_then(|()| options.open(path))
        .map_err(|err| StateError::new("create", path, err))
}

fn no_follow() -> i32 {
    i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default()
}

/// Opens a regular file for reading. Anything else at the path is an error.
pub(super) fn open(path: &Path) -> Result<File, StateError> {
    regular_file::open_no_follow(path).map_err(|err| StateError::new("open", path, err))
}

/// Opens a regular file for appending and creates it if necessary. Anything else at the path is an
/// error: a named pipe would accept lines until it is full and then block the hook.
pub(super) fn open_to_append(path: &Path) -> Result<File, StateError> {
    fault::point(Step::Create, path).map_err(|err| StateError::new("open", path, err))?;
    open_after_lock(path)
}

/// Does the same without a fault point, because opening the lock file has passed one.
pub(super) fn open_after_lock(path: &Path) -> Result<File, StateError> {
    open_or_create(OpenOptions::new().append(true), path)
}

/// Opens a regular file for reading and writing in place, and creates it if necessary.
pub(super) fn open_to_update(path: &Path) -> Result<File, StateError> {
    fault::point(Step::Create, path).map_err(|err| StateError::new("open", path, err))?;
    open_or_create(OpenOptions::new().write(true), path)
}

fn open_or_create(options: &mut OpenOptions, path: &Path) -> Result<File, StateError> {
    let is_file = |file: File| match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    };
    let options = options.read(true).create(true).mode(0o600).custom_flags(no_follow());
    options.open(path).and_then(is_file).map_err(|err| StateError::new("open", path, err))
}

/// Writes `parts` to the file `name` in `dir` and replaces a file of that name. Creates the
/// directory if necessary. With `is_locked`, the file is locked before it gets its name.
pub(super) fn write_new(
    dir: &Path,
    name: &str,
    parts: &[&[u8]],
    is_locked: bool,
) -> Result<WrittenFile, StateError> {
    let lock = |file: &File, hidden: &Path| {
        if is_locked { lock_new(file, hidden) } else { Ok(()) }
    };
    write_and_name(dir, name, parts, lock, |_, hidden| {
        let path = dir.join(name);
        rename(hidden, &path)?;
        Ok(path)
    })
}

/// Writes `parts` to a file in `dir` under the first of `names` that is free. Never replaces a
/// file.
pub(super) fn write_beside(
    dir: &Path,
    mut names: impl Iterator<Item = ParcelName>,
    parts: &[&[u8]],
) -> Result<WrittenFile, StateError> {
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

/// Writes `parts` to the file `name` in `dir` and replaces a file of that name. The content is
/// synchronised before the rename and the directory after it, so even a power cut never leaves a
/// short file. Sets the modification time to `modified` if given.
pub(super) fn write_durable(
    dir: &Path,
    name: &str,
    parts: &[&[u8]],
    modified: Option<SystemTime>,
) -> Result<(), StateError> {
    let name_it = |file: &File, hidden: &Path| {
        let failed = |verb, err| StateError::new(verb, hidden, err);
        modified
            .map_or(Ok(()), |modified| file.set_modified(modified))
            .map_err(|err| failed("set the time of", err))?;
        fault::point(Step::Sync, hidden)
            .and_then(|()| file.sync_all())
            .map_err(|err| failed("synchronise", err))?;
        let path = dir.join(name);
        rename(hidden, &path)?;
        Ok(path)
    };
    write_and_name(dir, name, parts, |_, _| Ok(()), name_it)?.sync_name()
}

/// Replaces the file `name` in `dir`. The new file is locked and synchronised before it gets the name,
/// so another process finds either the old file or a locked one. Does not synchronise the directory.
pub(super) fn replace_locked(dir: &Path, name: &str, parts: &[&[u8]]) -> Result<WrittenFile, StateError> {
    let name_it = |file: &File, hidden: &Path| {
        fault::point(Step::Sync, hidden)
            .and_then(|()| file.sync_all())
            .map_err(|err| StateError::new("synchronise", hidden, err))?;
        let path = dir.join(name);
        rename(hidden, &path)?;
        Ok(path)
    };
    write_and_name(dir, name, parts, lock_new, name_it)
}

/// Locks a new file before others can find it. On a file system without locks, two processes may work on
/// the file at once. Both then produce the same IDs, which is better than losing the push.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a step of `write_and_name`")]
fn lock_new(file: &File, hidden: &Path) -> Result<(), StateError> {
    let _ = fault::point(Step::Lock, hidden).and_then(|()| file.lock());
    Ok(())
}

/// Writes `parts` to the file `name` in `dir`, which must not exist, and synchronises it.
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

/// Writes a file under a hidden name that is derived from `name`. Calls `before` ahead of the first
/// write, and `name_it` to rename the file.
fn write_and_name(
    dir: &Path,
    name: &str,
    parts: &[&[u8]],
    before: impl FnOnce(&File, &Path) -> Result<(), StateError>,
    name_it: impl FnOnce(&File, &Path) -> Result<PathBuf, StateError>,
) -> Result<WrittenFile, StateError> {
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
        Ok(path) => Ok(WrittenFile { file, path }),
        Err(err) => {
            // An incomplete file is useless. If it cannot be removed, the sweep will do it.
            let _ = remove(&hidden);
            Err(err)
        }
    }
}

/// Creates a file under the hidden name `.<name>.<process id>.<number>`, which listings skip.
fn create_hidden(dir: &Path, name: &str) -> Result<(File, PathBuf), StateError> {
    static NTH: AtomicU32 = AtomicU32::new(0);
    loop {
        let nth = NTH.fetch_add(1, Ordering::Relaxed);
        let hidden = dir.join(format!(".{name}.{}.{nth}", std::process::id()));
        match create(&hidden) {
            // A dead process with our ID left it behind. In containers, process IDs repeat soon.
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            created => return Ok((created?, hidden)),
        }
    }
}

/// Writes all slices, with a single system call if the system accepts them at once.
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

/// Returns true if a file does not end with a line break.
pub(super) fn ends_within_a_line(file: &File) -> bool {
    let mut last = [0];
    let len = file.metadata().map_or(0, |file| file.len());
    len > 0 && file.read_exact_at(&mut last, len - 1).is_ok() && last != *b"\n"
}

/// Synchronises the content of a file.
pub(super) fn sync_file(file: &File, path: &Path) -> Result<(), StateError> {
    fault::point(Step::Sync, path)
        .and_then(|()| file.sync_all())
        .map_err(|err| StateError::new("synchronise", path, err))
}

/// Synchronises the entries of a directory.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StateError> {
    fault::point(Step::SyncDir, dir)
        .and_then(|()| File::open(dir)?.sync_all())
        .map_err(|err| StateError::new("synchronise", dir, err))
}

/// Gives a file a second name, which must not exist.
pub(super) fn link(from: &Path, to: &Path) -> Result<(), StateError> {
    fault::point(Step::Rename, from)
        .and_then(|()| fs::hard_link(from, to))
        .map_err(|err| StateError::new("link", from, err))
}

/// Renames a file to a name that must not exist.
fn rename_beside(from: &Path, to: &Path) -> Result<(), StateError> {
    fault::point(Step::Rename, from)
        .and_then(|()| match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // NFS, for example, does not support `RENAME_NOREPLACE`.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::hard_link(from, to)?;
                fs::remove_file(from)
            }
            renamed => Ok(renamed?),
        })
        .map_err(|err| StateError::new("rename", from, err))
}

/// Renames a file and replaces a file of that name.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StateError> {
    fault::point(Step::Rename, from)
        .and_then(|()| fs::rename(from, to))
        .map_err(|err| StateError::new("rename", from, err))
}

/// Removes a file. A file that does not exist counts as removed.
pub(super) fn remove(path: &Path) -> Result<(), StateError> {
    match fault::point(Step::Remove, path).and_then(|()| fs::remove_file(path)) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|err| StateError::new("remove", path, err)),
    }
}
