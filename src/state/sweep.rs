//! Removes hidden files of processes that died between creating and renaming them.
//!
//! Listings skip such files, but they take up space. Only their age tells them from files that are
//! being written, which takes a moment. The process ID in the name does not help, because several
//! containers with separate process IDs may share the directory. A capture is also locked while it
//! is written, so the sweep spares that of a hook that was stopped for hours.

use std::{
    collections::HashSet,
    fs::{self, DirEntry},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{State, StateError, failed, files, listing, lock, postponed, queue::QueuePlace, ref_log};
use crate::push::PushId;

/// Minimum age of a hidden file that no process is writing any more.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Depth of the deepest files below the state directory: `outbox/<destination>/new/<file>`.
const DEPTH: usize = 3;

/// Removes notes about captured pushes that are in neither the inbox, the failed pushes nor the
/// dead letters.
pub(super) fn sweep_notes(state: &State) -> Result<(), StateError> {
    let (failed, postponed) = (state.failed(), state.postponed());
    let mut notes: Vec<(PushId, PathBuf)> = Vec::new();
    for (dir, end) in [(failed.dir(), failed::WHY), (postponed.dir(), postponed::END)] {
        listing::each(dir, |name| {
            let path = dir.join(name);
            let push = name.strip_suffix(end).and_then(|push| push.parse().ok());
            notes.extend(push.filter(|_| is_old(&path)).map(|push| (push, path)));
            Ok::<_, StateError>(())
        })?;
    }
    if notes.is_empty() {
        return Ok(());
    }
    let mut captured = HashSet::new();
    state.each_entry(&[QueuePlace::Inbox, QueuePlace::Failed, QueuePlace::Dead], |entry| {
        captured.extend(entry.push().filter(|_| entry.is_capture()));
        Ok::<_, StateError>(())
    })?;
    notes.retain(|(push, _)| !captured.contains(push));
    notes.iter().try_for_each(|(_, path)| files::remove(path))
}

/// Removes old hidden files from `dir` and the directories below it. Errors are ignored, because
/// the next sweep tries again.
pub(super) fn sweep(dir: &Path) {
    entries(dir).for_each(|entry| sweep_entry(&entry, DEPTH));
}

/// Does the same to a state directory, except for what scans keep: that is a file for each
/// repository, and each scan sweeps it.
pub(super) fn sweep_state(dir: &Path) {
    let others = entries(dir).filter(|entry| entry.file_name() != ref_log::DIR);
    others.for_each(|entry| sweep_entry(&entry, DEPTH));
}

fn entries(dir: &Path) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(dir).into_iter().flatten().flatten()
}

fn sweep_entry(entry: &DirEntry, depth: usize) {
    let Ok(kind) = entry.file_type() else { return };
    if kind.is_dir() && depth > 0 {
        entries(&entry.path()).for_each(|entry| sweep_entry(&entry, depth - 1));
    } else if kind.is_file() && is_hidden(entry) && is_left_behind(entry) {
        let _ = files::remove(&entry.path());
    }
}

/// Returns true if the name has the form `.<name>.<process id>.<number>`, which
/// [`files::write_new`] uses at first.
fn is_hidden(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let Some(name) = name.to_str().and_then(|name| name.strip_prefix('.')) else { return false };
    let mut fields = name.rsplit('.');
    let is_number = |field: Option<&str>| field.is_some_and(|field| field.parse::<u32>().is_ok());
    is_number(fields.next()) && is_number(fields.next()) && fields.next().is_some()
}

fn is_left_behind(entry: &DirEntry) -> bool {
    let path = entry.path();
    if !is_old(&path) {
        return false;
    }
    files::open(&path).and_then(|file| lock::try_lock(&file, &path)).unwrap_or(false)
}

fn is_old(path: &Path) -> bool {
    let modified = path.symlink_metadata().and_then(|file| file.modified());
    // A time in the future is not an age; the clock was set back.
    modified.ok().and_then(|time| time.elapsed().ok()).is_some_and(|age| age >= MAX_AGE)
}
