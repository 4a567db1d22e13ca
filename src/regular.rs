//! Files that others wrote: to open what is no regular file could wait for ever.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

/// Opens a regular file to be read, without waiting.
///
/// # Errors
/// If the system cannot open it, or it is a named pipe, a device or a directory.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, OFlags::empty())
}

/// Does the same, and a link in its place is an error as well.
///
/// # Errors
/// If the system cannot open it, or it is no regular file.
pub fn open_no_follow(path: &Path) -> io::Result<File> {
    open_with(path, OFlags::NOFOLLOW)
}

fn open_with(path: &Path, flags: OFlags) -> io::Result<File> {
    // A named pipe would else be opened once somebody writes into it.
    let flags = i32::try_from((flags | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}
