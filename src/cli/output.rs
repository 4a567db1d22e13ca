//! A file that is there as a whole or as it was: what reads it never sees half of it.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;

/// Writes `text` as the file `path`, which everybody may read, in the place of what was there.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("failed to write `{}`", path.display());
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))
        .with_context(failed)?;
    // Its name does not end as the real one does, so that no collector takes it for one of its files.
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    let hidden = path.with_file_name(hidden);
    // From an earlier process of this id, which was killed.
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
