//! Every file under the state directory: inbox, outbox, dead letters, journal, locks, and how much there may be.
//!
//! Directories are 0700 and files 0600. A file is made under a name that begins with a dot and then
//! renamed, so that whoever lists a directory sees whole files only.

pub mod cap;
pub mod connected;
pub mod contents;
pub mod dead;
mod deployed;
mod files;
pub mod inbox;
pub mod journal;
mod listing;
pub mod merge;
mod name;
pub mod outbox;
pub mod purge;
mod pushed;
pub mod queue;
pub mod standing;
mod sweep;

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

pub use dead::DeadLetters;
pub use deployed::Remembered;
pub use files::{StateError, Written};
pub use inbox::{Capture, Inbox};
pub use journal::Journal;
pub use outbox::Outbox;

/// The state directory.
#[derive(Clone, Debug)]
pub struct State {
    dir: PathBuf,
}

impl State {
    /// Returns the state under `dir`; nothing is made before something is written.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    /// Returns the directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the user id that the directory belongs to, if it is not ours: what we made in it, its
    /// owner could not write to.
    pub fn foreign_owner(&self) -> Option<u32> {
        let owner = std::fs::metadata(&self.dir).ok()?.uid();
        (owner != rustix::process::geteuid().as_raw()).then_some(owner)
    }

    /// Removes what processes that died while they wrote left behind, once it is an hour old.
    pub fn sweep(&self) {
        sweep::sweep(&self.dir);
    }

    /// Returns the captured pushes that are not decided yet.
    pub fn inbox(&self) -> Inbox {
        Inbox::at(self.dir.join("inbox"))
    }

    /// Returns the markers that `destination` does not have yet.
    pub fn outbox(&self, destination: &str) -> Outbox {
        Outbox::at(self.dir.join("outbox").join(destination), destination)
    }

    /// Returns what was refused for good.
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters::at(self.dir.join("dead"))
    }

    /// Returns what is known from earlier pushes.
    pub fn memory(&self) -> Remembered {
        Remembered::at(&self.dir)
    }

    /// Returns the record of every decision and every delivery.
    pub fn journal(&self) -> Journal {
        Journal::at(self.dir.join("journal"))
    }
}
