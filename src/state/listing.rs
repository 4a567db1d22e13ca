//! What is in a directory, listed and weighed without holding it all.

use std::{collections::BinaryHeap, fs, io, path::Path};

use super::files::StateError;
use crate::fault::{self, Step};

/// How many names of a directory are held at a time.
const CHUNK: usize = 1024;

/// Calls `with` for every name in a directory, without those that begin with a dot, and holds a bounded
/// number of them however many there are: in order if they are no more than that, else in order by
/// chunks. A directory that is not there is empty. `with` may remove what it is called for.
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

/// Returns all these names, in order.
pub(super) fn list(dir: &Path) -> Result<Vec<String>, StateError> {
    let mut names = Vec::new();
    each(dir, |name| -> Result<_, StateError> {
        names.push(name.to_string());
        Ok(())
    })?;
    names.sort_unstable();
    Ok(names)
}

/// Returns the first `most` names of [`list`] that come after `after`, and holds no more of them.
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

/// Returns how many names [`list`] would return.
pub(super) fn count(dir: &Path) -> Result<usize, StateError> {
    let mut count = 0;
    each(dir, |_| -> Result<_, StateError> {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// How much files weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// How many they are.
    pub files: u64,
    /// How many bytes are in them.
    pub bytes: u64,
}

impl Weight {
    /// Returns what is left of it without `other`.
    pub fn without(self, other: Self) -> Self {
        Self { files: self.files.saturating_sub(other.files), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

/// Weighs a file; one that is gone weighs nothing.
pub(super) fn weigh(path: &Path) -> Result<Weight, StateError> {
    match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Weight::default()),
        metadata => {
            let metadata = metadata.map_err(|err| StateError::new("look at", path, err))?;
            Ok(Weight { files: 1, bytes: metadata.len() })
        }
    }
}

/// Weighs all files that [`list`] names.
pub(super) fn weigh_all(dir: &Path) -> Result<Weight, StateError> {
    let mut sum = Weight::default();
    each(dir, |name| -> Result<_, StateError> {
        let weight = weigh(&dir.join(name))?;
        sum = Weight { files: sum.files + weight.files, bytes: sum.bytes + weight.bytes };
        Ok(())
    })?;
    Ok(sum)
}
