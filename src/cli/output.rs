//! Atomic replacement of an output file: a reader sees the old content or the new, never a part of
//! it.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;

/// Replaces the file `path` with one that holds `text` and is readable by every user.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("failed to write `{}`", path.display());
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))
        .with_context(failed)?;
    // The temporary name ends differently, so that a metrics collector does not read the file.
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    let hidden = path.with_file_name(hidden);
    // An earlier process with this ID may have been killed before it renamed its file.
    let _ = fs::remove_file(&hidden);
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o644).open(&hidden).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&hidden, path)
        });
    if written.is_err() {
        let _ = fs::remove_file(&hidden);
    }
    written.with_context(failed)
}
