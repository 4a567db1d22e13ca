//! Repositories that are to be scanned at once, because git has just changed a ref there.
//!
//! A hook leaves the file `refs/wanted/HASH`, which holds the repository's path, and starts a scan if
//! there was none yet. The scan removes the file before it reads the refs, so a change that comes later
//! leaves another file. If the scan dies, the next one of all repositories removes it.

use std::{
    ffi::OsString,
    fs::File,
    io::Read as _,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use super::{
    RefSnapshots,
    files::{self, StateError},
    listing, lock,
};

/// Name of the file whose lock the next scan holds while it waits for the present one.
const NEXT: &str = "next";

/// Maximum length of a path, in bytes.
const MAX_PATH: u64 = 64 << 10;

/// The directory of wanted scans.
#[derive(Clone, Debug)]
pub struct WantedScans {
    dir: PathBuf,
}

impl WantedScans {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Notes that a repository needs a scan. Returns false if that is noted already.
    ///
    /// # Errors
    /// If the note cannot be written.
    pub fn want(&self, git_dir: &Path) -> Result<bool, StateError> {
        let name = RefSnapshots::name_of(git_dir);
        if self.dir.join(&name).exists() {
            return Ok(false);
        }
        // A power cut may lose it, because git is waiting. The next scan of all repositories does not
        // need it.
        files::write_new(&self.dir, &name, &[git_dir.as_os_str().as_bytes()], false).map(|_| true)
    }

    /// Removes all notes, and returns the directories of their repositories.
    ///
    /// # Errors
    /// If they cannot be listed or removed.
    pub fn take(&self) -> Result<Vec<PathBuf>, StateError> {
        let mut wanted = Vec::new();
        for name in listing::list(&self.dir)? {
            let path = self.dir.join(&name);
            // Anything but a regular file is not a note, and stays.
            let Ok(file) = files::open(&path) else { continue };
            let mut bytes = Vec::new();
            let read = file.take(MAX_PATH).read_to_end(&mut bytes);
            files::remove(&path)?;
            if read.is_ok() {
                wanted.push(OsString::from_vec(bytes).into());
            }
        }
        Ok(wanted)
    }

    /// Becomes the scan that comes after the present one. Returns `None` if another process is that
    /// already: it will find all notes that exist by now.
    ///
    /// # Errors
    /// If the lock file cannot be created or locked.
    pub fn be_next(&self) -> Result<Option<NextScan>, StateError> {
        files::make_dir(&self.dir)?;
        let path = self.dir.with_file_name(NEXT);
        let file = files::open_to_append(&path)?;
        Ok(lock::try_lock(&file, &path)?.then_some(NextScan { _file: file }))
    }
}

/// The right to be the next scan, until this is dropped.
#[derive(Debug)]
pub struct NextScan {
    _file: File,
}
