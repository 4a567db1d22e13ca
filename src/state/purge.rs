//! Removes the whole state directory.

use std::{fs, io, path::PathBuf};

use thiserror::Error;

use super::{
    BACKFILL_LOCK, State, StateError, access_store, api_health, connected, deployment_store, files, gap,
    journal_end, queue::QueuePlace, ref_log, span_store,
};
use crate::{
    sys::fault::{self, Step},
    text,
};

/// Directories and files directly below the state directory that are removed with it.
const PARTS: [&str; 10] = [
    "inbox",
    "failed",
    "postponed",
    "outbox",
    "dead",
    "journal",
    "deployed",
    span_store::DIR,
    ref_log::DIR,
    access_store::DIR,
];
const FILES: [&str; 7] = [
    connected::FILE,
    connected::LOCK,
    deployment_store::KEY,
    gap::FILE,
    api_health::FILE,
    journal_end::FILE,
    BACKFILL_LOCK,
];

/// The outcome for the state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// It was removed.
    Gone,
    /// It was emptied. The owner of its parent directory may remove it.
    Emptied,
    /// It did not exist.
    WasNone,
}

/// The reason that nothing was removed, or not everything.
#[derive(Debug, Error)]
pub enum PurgeError {
    /// The state directory is a symbolic link.
    #[error("cannot remove the state: `{}` is a symbolic link; remove the link and its target by hand", text::path(.0))]
    Link(PathBuf),
    /// The directory holds something that this program did not create.
    #[error("cannot remove the state: `{}` was not created by gitea-lightstep; check `state_dir`", text::path(.0))]
    Foreign(PathBuf),
    /// A delivery to this destination is running.
    #[error("cannot remove the state: a delivery to `{}` is running; stop it, or retry when it ends", text::line(.0))]
    IsBusy(String),
    /// A scan is running.
    #[error("cannot remove the state: a scan is running; retry when it ends")]
    IsScanned,
    /// A file operation failed.
    #[error(transparent)]
    State(#[from] StateError),
}

impl State {
    /// Returns the path of something in the directory that this program did not create, if any.
    pub fn holds_others(&self) -> Option<PathBuf> {
        let is_ours = |name: &str| {
            let hidden = |file: &&str| name.strip_prefix('.').is_some_and(|name| name.starts_with(*file));
            PARTS.contains(&name) || FILES.contains(&name) || FILES.iter().any(hidden)
        };
        let mut entries = fs::read_dir(&self.dir).ok()?.flatten();
        entries.find(|entry| !entry.file_name().to_str().is_some_and(is_ours)).map(|entry| entry.path())
    }
}

impl State {
    /// Returns a phrase about the entries that a purge would lose, such as "`/var/x` holds 2 entries
    /// that are not delivered and 0 dead letters". Returns `None` if there are none.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn backlog(&self) -> Result<Option<String>, StateError> {
        let (mut waiting, mut dead) = (0, 0);
        self.each_entry(&QueuePlace::ALL, |entry| {
            match entry.place {
                QueuePlace::Dead => dead += 1,
                QueuePlace::Inbox | QueuePlace::Failed | QueuePlace::Outbox => waiting += 1,
            }
            Ok::<_, StateError>(())
        })?;
        Ok((waiting + dead > 0).then(|| {
            format!(
                "`{}` holds {waiting} {} that {} not delivered and {}",
                text::path(&self.dir),
                if waiting == 1 { "entry" } else { "entries" },
                if waiting == 1 { "is" } else { "are" },
                text::count(dead, "dead letter"),
            )
        }))
    }

    /// Removes the state directory and everything in it, unless it holds something that this
    /// program did not create.
    ///
    /// # Errors
    /// If the directory holds something else, is a symbolic link, or is in use.
    pub fn purge(&self) -> Result<Purged, PurgeError> {
        let failed = |verb, err| PurgeError::State(StateError::new(verb, &self.dir, err));
        match fs::symlink_metadata(&self.dir) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Purged::WasNone),
            Err(err) => return Err(failed("examine", err)),
            Ok(metadata) if metadata.is_symlink() => return Err(PurgeError::Link(self.dir.clone())),
            Ok(_) => {}
        }
        for entry in fs::read_dir(&self.dir).map_err(|err| failed("list", err))? {
            let entry = entry.map_err(|err| failed("list", err))?;
            if !PARTS.iter().chain(&FILES).any(|part| entry.file_name() == *part) {
                return Err(PurgeError::Foreign(entry.path()));
            }
        }
        // A running delivery would write into directories that are being removed.
        let mut locks = Vec::new();
        for destination in self.outboxes()? {
            match self.outbox(&destination).try_lock()? {
                Some(lock) => locks.push(lock),
                None => return Err(PurgeError::IsBusy(destination)),
            }
        }
        let scan_lock = if self.has_scanned() { self.ref_log().lock_scans()? } else { None };
        if scan_lock.is_none() && self.has_scanned() {
            return Err(PurgeError::IsScanned);
        }
        for part in PARTS {
            let path = self.dir.join(part);
            // If the path is a symbolic link, this removes the link.
            match fault::point(Step::Remove, &path).and_then(|()| fs::remove_dir_all(&path)) {
                Err(err) if err.kind() != io::ErrorKind::NotFound => {
                    return Err(StateError::new("remove", &path, err).into());
                }
                _ => {}
            }
        }
        for name in FILES {
            files::remove(&self.dir.join(name))?;
        }
        match fault::point(Step::Remove, &self.dir).and_then(|()| fs::remove_dir(&self.dir)) {
            Ok(()) => Ok(Purged::Gone),
            // The parent directory usually belongs to root.
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => Ok(Purged::Emptied),
            Err(err) => Err(failed("remove", err)),
        }
    }
}
