//! Opens regular files only; opening a FIFO could block forever.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

use crate::sys::fault::{self, Step};

/// Opens a regular file for reading, without blocking.
///
/// # Errors
/// If the system cannot open it, or if it is a named pipe, a device or a directory.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, OFlags::empty())
}

/// Opens a regular file for reading, without blocking and without following a symbolic link.
///
/// # Errors
/// If the system cannot open it, or if it is not a regular file.
pub fn open_no_follow(path: &Path) -> io::Result<File> {
    open_with(path, OFlags::NOFOLLOW)
}

/// Opens a regular file, or returns `None` if it does not exist.
///
/// # Errors
/// If the system cannot open it. This includes a file that opening did not find although its name
/// exists, for example because an editor or a network file system is just replacing it. Such a file
/// must not be treated as missing.
pub fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match open(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => Ok(None),
        opened => opened.map(Some),
    }
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// If it cannot be opened or read, is not a regular file, or exceeds the limit.
pub fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_rest(open(path)?, limit)
}

/// Reads the rest of an open file, at most `limit` bytes.
///
/// # Errors
/// If it cannot be read or exceeds the limit.
pub fn read_rest(file: impl io::Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than the limit of {limit} bytes")));
    }
    Ok(bytes)
}

/// Checks a file that a library is about to open: it must be missing, or a regular file of at most
/// `limit` bytes.
///
/// # Errors
/// If it is something else or cannot be examined.
pub fn check(path: &Path, limit: u64) -> io::Result<()> {
    let file = match path.metadata() {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !file.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if file.len() > limit {
        let length = file.len();
        return Err(io::Error::other(format!("it has {length} bytes, the limit is {limit}")));
    }
    Ok(())
}

fn open_with(path: &Path, flags: OFlags) -> io::Result<File> {
    // Without `O_NONBLOCK`, opening a named pipe waits until a process opens it for writing.
    let flags = i32::try_from((flags | OFlags::NONBLOCK).bits()).unwrap_or_default();
    fault::point(Step::Open, path)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}
