//! Lists directories and measures their files, without holding all names in memory.

use std::{collections::BinaryHeap, fs, io, path::Path};

use super::files::StateError;
use crate::sys::fault::{self, Step};

/// Number of names of a directory held in memory at a time.
const CHUNK: usize = 1024;

/// Calls `with` for every name in a directory that does not begin with a dot. Holds up to [`CHUNK`]
/// names at a time: the names are in order if there are no more than that, and otherwise in order
/// within each chunk. A missing directory counts as empty. `with` may remove the file that it is
/// called for.
pub(super) fn each<E: From<StateError>>(
    dir: &Path,
    mut with: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let unlisted = |err| StateError::new("list", dir, err);
    let mut entries = match fault::point(Step::List, dir).and_then(|()| fs::read_dir(dir)) {
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        entries => entries.map_err(unlisted)?,
    };
    let mut chunk = Vec::new();
    loop {
        chunk.clear();
        for entry in entries.by_ref().take(CHUNK) {
            if let Ok(name) = entry.map_err(unlisted)?.file_name().into_string() {
                chunk.push(name);
            }
        }
        if chunk.is_empty() {
            return Ok(());
        }
        chunk.sort_unstable();
        chunk.iter().filter(|name| !name.starts_with('.')).try_for_each(|name| with(name))?;
    }
}

/// Returns all names that [`each`] passes on, sorted.
pub(super) fn list(dir: &Path) -> Result<Vec<String>, StateError> {
    let mut names = Vec::new();
    each(dir, |name| -> Result<_, StateError> {
        names.push(name.to_string());
        Ok(())
    })?;
    names.sort_unstable();
    Ok(names)
}

/// Returns the first `most` names of [`list`] that sort after `after`, and holds no more in memory.
pub(super) fn first_after(dir: &Path, after: &str, most: usize) -> Result<Vec<String>, StateError> {
    let mut names = BinaryHeap::<String>::new();
    each(dir, |name| -> Result<_, StateError> {
        if name > after && names.len() < most {
            names.push(name.to_string());
        } else if name > after
            && let Some(mut last) = names.peek_mut()
            && name < last.as_str()
        {
            *last = name.to_string();
        }
        Ok(())
    })?;
    Ok(names.into_sorted_vec())
}

/// Returns the number of names that [`list`] would return.
pub(super) fn count(dir: &Path) -> Result<usize, StateError> {
    let mut count = 0;
    each(dir, |_| -> Result<_, StateError> {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// The size of some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Number of files.
    pub files: u64,
    /// Total size in bytes.
    pub bytes: u64,
}

impl Weight {
    /// Returns the sum of this and `other`.
    pub fn with(self, other: Self) -> Self {
        Self { files: self.files + other.files, bytes: self.bytes + other.bytes }
    }

    /// Returns the difference of this and `other`, at least zero.
    pub fn without(self, other: Self) -> Self {
        Self { files: self.files.saturating_sub(other.files), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

/// Returns the size of a file. A missing file counts as nothing.
pub(super) fn weigh(path: &Path) -> Result<Weight, StateError> {
    match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Weight::default()),
        metadata => {
            let metadata = metadata.map_err(|err| StateError::new("examine", path, err))?;
            Ok(Weight { files: 1, bytes: metadata.len() })
        }
    }
}

/// Returns the size of all files that [`list`] names.
pub(super) fn weigh_all(dir: &Path) -> Result<Weight, StateError> {
    let mut sum = Weight::default();
    each(dir, |name| -> Result<_, StateError> {
        let weight = weigh(&dir.join(name))?;
        sum = Weight { files: sum.files + weight.files, bytes: sum.bytes + weight.bytes };
        Ok(())
    })?;
    Ok(sum)
}
