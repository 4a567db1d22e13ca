//! Compares files that may have several names.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// Returns true if two paths lead to the same file, also if it does not exist yet.
pub fn is_same(one: &Path, other: &Path) -> bool {
    one == other || real(one) == real(other)
}

/// Returns a path without symbolic links and `..`. What does not exist is appended as it is named.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let is_up = |path: &Path| path.components().next_back() == Some(Component::ParentDir);
    let mut missing = Vec::new();
    let mut there = path.as_path();
    loop {
        if let Ok(mut real) = fs::canonicalize(there) {
            real.extend(missing.iter().rev());
            return real;
        }
        match (there.parent(), there.components().next_back()) {
            (Some(above), Some(last)) if !is_up(there) => {
                missing.push(last.as_os_str().to_os_string());
                there = above;
            }
            _ => return path,
        }
    }
}

#[cfg(test)]
mod tests;
