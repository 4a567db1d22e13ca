//! A hash over everything that can change a policy's decisions: the configuration, every script,
//! every key file, and the program's version.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{ScriptHash, source};
use crate::{config::Config, signature::files_of};

/// Maximum depth of the search for scripts below the scripts directory.
const MAX_DEPTH: usize = 8;

/// Maximum number of scripts that are hashed. On a site with more, only the first ones in sorted
/// order count.
const MAX_SCRIPTS: usize = 10_000;

/// A hash of the configuration and the scripts at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(ScriptHash);

impl Fingerprint {
    /// Computes the fingerprint of the configuration, all scripts and all key files. For an unreadable file it
    /// hashes the error, so the fingerprint changes once the file becomes readable.
    pub fn of(config: &Config) -> Self {
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        let scripts = config.scripts.as_deref().map(|dir| scripts_below(dir, |_, _| ())).unwrap_or_default();
        let keys = config.signature_keys.iter().flat_map(|pattern| files_of(pattern).unwrap_or_default());
        let keys: Vec<PathBuf> = keys.collect();
        config.path.iter().chain(&scripts).chain(&keys).for_each(|path| add(&mut hash, path));
        Self(ScriptHash::from_digest(hash.finalize().into()))
    }

    /// Adds the script of a Git Hooks page, which is part of the policy of its repository.
    pub fn with_page(self, page: Option<&Path>) -> Self {
        let Some(page) = page else { return self };
        let mut hash = Sha256::new();
        hash.update(self.0.to_string());
        add(&mut hash, page);
        Self(ScriptHash::from_digest(hash.finalize().into()))
    }
}

fn add(hash: &mut Sha256, path: &Path) {
    let content = source::bytes(path).unwrap_or_else(|err| err.to_string().into_bytes());
    let path = path.as_os_str().as_bytes();
    for part in [path, &content] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
}

/// Collects the scripts below a directory.
pub fn scripts_below(dir: &Path, mut unreadable: impl FnMut(&Path, io::Error)) -> Vec<PathBuf> {
    let mut scripts = Vec::new();
    let mut dirs = vec![(dir.to_path_buf(), 0)];
    while let Some((dir, depth)) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(err) => {
                unreadable(&dir, err);
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < MAX_DEPTH && scripts.len() < MAX_SCRIPTS {
                    dirs.push((path, depth + 1));
                }
            } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("rhai")) {
                scripts.push(path);
            }
        }
    }
    scripts.sort();
    scripts.truncate(MAX_SCRIPTS);
    scripts
}
