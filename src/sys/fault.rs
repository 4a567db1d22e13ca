//! Fault points, at which tests make a process die or an operation fail.
//!
//! Operations on the state directory, requests, and starts of processes and threads pass a fault
//! point first. In production, a fault point is one atomic load. No argument, environment variable
//! or file can arm it. Only a program that calls [`arm`] before [`crate::cli::run`] can, and
//! `tests/faulty/main.rs` is the only one that does.

use std::{io, path::Path, sync::OnceLock, time::SystemTime};

/// An operation that is about to begin. To die after an operation, a test picks the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Create a directory.
    MakeDir,
    /// List a directory.
    List,
    /// Open a file for writing, and create it if it is missing.
    Create,
    /// Open a file for reading.
    Open,
    /// Read a file.
    Read,
    /// Write bytes, or the rest of those that an earlier write left.
    Write,
    /// Synchronise the content of a file.
    Sync,
    /// Synchronise the entries of a directory.
    SyncDir,
    /// Rename or link a file.
    Rename,
    /// Remove a file or a directory.
    Remove,
    /// Lock a file.
    Lock,
    /// Send a request.
    Send,
    /// Record an answer that has been read.
    Acknowledge,
    /// Start the detached process.
    Spawn,
    /// Start the process that decides one push.
    Decider,
    /// Start another program and wait for it.
    Program,
    /// Start a thread.
    Thread,
}

/// A test's function that decides whether an operation goes on. The path is a file or an address.
pub type FaultHook = fn(Step, &Path) -> io::Result<()>;

static HOOK: OnceLock<FaultHook> = OnceLock::new();

/// Makes every operation of this process call `hook` first. Later calls have no effect.
#[doc(hidden)]
pub fn arm(hook: FaultHook) {
    HOOK.get_or_init(|| hook);
}

/// Returns the environment variables that tell a test's process where its fault is, to be passed to
/// child processes. Empty in production.
pub fn variables() -> &'static [&'static str] {
    const OF_TESTS: [&str; 6] = [
        "GITEA_LIGHTSTEP_FAULT",
        "GITEA_LIGHTSTEP_FAULT_REPORT",
        "GITEA_LIGHTSTEP_FAULT_TRACE",
        "GITEA_LIGHTSTEP_FAULT_CLOCK",
        "GITEA_LIGHTSTEP_FAULT_RECORD",
        "GITEA_LIGHTSTEP_FAULT_RECORD_OF",
    ];
    if HOOK.get().is_some() { &OF_TESTS } else { &[] }
}

/// The clock of a test.
pub type Clock = fn() -> SystemTime;

static CLOCK: OnceLock<Clock> = OnceLock::new();

/// Makes this process read the time from `clock`. Later calls have no effect.
#[doc(hidden)]
pub fn arm_clock(clock: Clock) {
    CLOCK.get_or_init(|| clock);
}

/// Returns the time, from a test's clock if there is one.
#[inline]
pub fn clock() -> SystemTime {
    CLOCK.get().map_or_else(SystemTime::now, |clock| clock())
}

/// Passes a fault point.
///
/// # Errors
/// If a test makes the operation fail.
#[inline]
pub fn point(step: Step, what: &Path) -> io::Result<()> {
    HOOK.get().map_or(Ok(()), |hook| hook(step, what))
}
