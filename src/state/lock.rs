//! Locks files of the state directory. A lock ends with its process.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    thread,
    time::Duration,
};

use super::files::StateError;
use crate::sys::{
    fault::{self, Step},
    time::Deadline,
};

/// Maximum time to wait for a lock that another process holds, and the interval between attempts.
const LOCKED_FOR: Duration = Duration::from_secs(1);
const LOCK_TICK: Duration = Duration::from_millis(2);

/// First and longest interval between attempts to take a lock that processes hold for less than a
/// millisecond. It doubles each time, because many processes may wait.
const SHORT_TICK: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(4));

/// Locks a file and waits up to [`LOCKED_FOR`] for other processes. A stopped process could hold
/// the lock forever.
pub(super) fn lock_soon(file: &File, path: &Path) -> Result<(), StateError> {
    let deadline = Deadline::after(LOCKED_FOR);
    while !try_lock(file, path)? {
        if deadline.is_over() {
            let why = format!("another process has held the lock for {LOCKED_FOR:?}");
            return Err(StateError::new("lock", path, io::Error::new(io::ErrorKind::WouldBlock, why)));
        }
        thread::sleep(LOCK_TICK);
    }
    Ok(())
}

/// Locks a file that was just opened, and waits up to `time` for other processes. Passes no fault
/// point beside that of opening it.
pub(super) fn lock_within(file: &File, path: &Path, time: Duration) -> Result<(), StateError> {
    let deadline = Deadline::after(time);
    let (mut tick, longest) = SHORT_TICK;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(err)) => return Err(StateError::new("lock", path, err)),
            Err(TryLockError::WouldBlock) if deadline.is_over() => {
                let why = format!("another process has held the lock for {time:?}");
                return Err(StateError::new("lock", path, io::Error::new(io::ErrorKind::WouldBlock, why)));
            }
            Err(TryLockError::WouldBlock) => {
                thread::sleep(tick);
                tick = longest.min(tick * 2);
            }
        }
    }
}

/// Locks a file without waiting. Returns false if another process holds the lock.
pub(super) fn try_lock(file: &File, path: &Path) -> Result<bool, StateError> {
    match fault::point(Step::Lock, path).map_err(TryLockError::Error).and_then(|()| file.try_lock()) {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(err)) => Err(StateError::new("lock", path, err)),
    }
}
