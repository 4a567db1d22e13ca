//! Removing all of the state for good.

use std::{fmt, fs, io, path::PathBuf};

use super::{State, StateError, connected, deployed, files};
use crate::{
    fault::{self, Step},
    text,
};

/// Everything that is made below the state directory.
const PARTS: [&str; 6] = ["inbox", "outbox", "dead", "journal", "refs", "deployed"];
const FILES: [&str; 3] = [connected::FILE, connected::LOCK, deployed::KEY];

/// What became of the state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// It is gone.
    Gone,
    /// It is empty; who owns the directory above may remove it.
    Emptied,
    /// There was none.
    WasNone,
}

/// Why nothing was removed, or not all.
#[derive(Debug)]
pub enum PurgeError {
    /// The state directory is a symbolic link.
    Link(PathBuf),
    /// Something is in it that we did not make.
    Foreign(PathBuf),
    /// A delivery to this destination is at work.
    IsBusy(String),
    /// The system said no.
    State(StateError),
}

impl fmt::Display for PurgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(path) => write!(
                f,
                "the state is not removed: `{}` is a symbolic link; remove it, and what it names, by hand",
                text::path(path)
            ),
            Self::Foreign(path) => write!(
                f,
                "the state is not removed: `{}` was not made by gitea-lightstep; is `state_dir` the right directory?",
                text::path(path)
            ),
            Self::IsBusy(destination) => write!(
                f,
                "the state is not removed: a delivery to `{}` is at work; end it, or try again when it has ended",
                text::line(destination)
            ),
            Self::State(err) => err.fmt(f),
        }
    }
}

impl std::error::Error for PurgeError {}

impl From<StateError> for PurgeError {
    fn from(err: StateError) -> Self {
        Self::State(err)
    }
}

impl State {
    /// Removes the state directory with everything in it, if nothing else is in there.
    ///
    /// # Errors
    /// If it is not all ours, or is in use.
    pub fn purge(&self) -> Result<Purged, PurgeError> {
        let failed = |verb, err| PurgeError::State(StateError::new(verb, &self.dir, err));
        match fs::symlink_metadata(&self.dir) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Purged::WasNone),
            Err(err) => return Err(failed("look at", err)),
            Ok(metadata) if metadata.is_symlink() => return Err(PurgeError::Link(self.dir.clone())),
            Ok(_) => {}
        }
        for entry in fs::read_dir(&self.dir).map_err(|err| failed("list", err))? {
            let entry = entry.map_err(|err| failed("list", err))?;
            if !PARTS.iter().chain(&FILES).any(|part| entry.file_name() == *part) {
                return Err(PurgeError::Foreign(entry.path()));
            }
        }
        // Whoever delivers would write into what is being removed.
        let mut locks = Vec::new();
        for destination in self.outboxes()? {
            match self.outbox(&destination).try_lock()? {
                Some(lock) => locks.push(lock),
                None => return Err(PurgeError::IsBusy(destination)),
            }
        }
        for part in PARTS {
            let path = self.dir.join(part);
            // Of a link it removes the link.
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
            // The directory above is root's, most often.
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => Ok(Purged::Emptied),
            Err(err) => Err(failed("remove", err)),
        }
    }
}
