//! Removes what a process that died between the making and the naming of a file left behind.
//!
//! Nobody lists these files, but each takes room for ever. What tells them from a file that is being written
//! is their age: from making to naming takes a moment. The process id in the name does not help, for state
//! may be shared between containers, where ids mean nothing. A capture is locked beside while it is written,
//! so that one whose hook was halted for hours is spared.

use std::{
    fs::{self, DirEntry},
    path::Path,
    time::Duration,
};

use super::files;

/// How old a file without a name is when nobody can be writing it any more.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// How deep files lie below the state directory: `outbox/<destination>/new/<file>`.
const DEPTH: usize = 3;

/// Sweeps `dir` and what is below. It is nobody's errand, so what cannot be done is left for the next time.
pub(super) fn sweep(dir: &Path) {
    below(dir, DEPTH);
}

fn below(dir: &Path, depth: usize) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth > 0 {
            below(&entry.path(), depth - 1);
        } else if kind.is_file() && is_hidden(&entry) && is_left_behind(&entry) {
            let _ = files::remove(&entry.path());
        }
    }
}

/// Returns whether a name is one that [`files::write_new`] gives first: `.<name>.<process id>.<number>`.
fn is_hidden(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let Some(name) = name.to_str().and_then(|name| name.strip_prefix('.')) else { return false };
    let mut fields = name.rsplit('.');
    let is_number = |field: Option<&str>| field.is_some_and(|field| field.parse::<u32>().is_ok());
    is_number(fields.next()) && is_number(fields.next()) && fields.next().is_some()
}

fn is_left_behind(entry: &DirEntry) -> bool {
    let modified = entry.metadata().and_then(|file| file.modified());
    // A time in the future is no age: the clock was set back.
    let age = modified.ok().and_then(|time| time.elapsed().ok());
    if age.is_none_or(|age| age < MAX_AGE) {
        return false;
    }
    let path = entry.path();
    files::open(&path).and_then(|file| files::try_lock(&file, &path)).unwrap_or(false)
}
