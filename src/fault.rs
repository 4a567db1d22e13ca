//! Fault points: where a process may die or the system may refuse, so that tests can make it so.
//!
//! Every write to the state directory, every request and every start of a process passes a point. In
//! production a point is one atomic load: no argument, no variable and no file can arm it, only a
//! program that calls [`arm`] before it calls [`crate::cli::run`]. The one that does is
//! `tests/faulty/main.rs`.

use std::{io, path::Path, sync::OnceLock};

/// What is about to be done. Each stands before its act; what comes after an act is before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A directory is made.
    MakeDir,
    /// A directory is listed.
    List,
    /// A file is opened to be written, and made if it is not there.
    Create,
    /// A file is opened to be read.
    Open,
    /// A file is read.
    Read,
    /// Some bytes are written, or the rest of those that one write did not take.
    Write,
    /// A file's content is brought to disk.
    Sync,
    /// The names in a directory are brought to disk.
    SyncDir,
    /// A file gets another name.
    Rename,
    /// A file is removed.
    Remove,
    /// A file is locked.
    Lock,
    /// A request is sent.
    Send,
    /// An answer has been read; nothing is noted of it yet.
    Acknowledge,
    /// The detached process is started.
    Spawn,
    /// A thread is started.
    Thread,
}

/// Decides at each step whether it goes on. What it concerns is a path or an address.
pub type Hook = fn(Step, &Path) -> io::Result<()>;

static HOOK: OnceLock<Hook> = OnceLock::new();

/// Has every step of this process ask `hook` first. The first call counts.
#[doc(hidden)]
pub fn arm(hook: Hook) {
    HOOK.get_or_init(|| hook);
}

/// Passes a point.
///
/// # Errors
/// If a test wants the step to fail.
#[inline]
pub fn point(step: Step, what: &Path) -> io::Result<()> {
    HOOK.get().map_or(Ok(()), |hook| hook(step, what))
}
