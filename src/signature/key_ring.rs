//! The keys that the administrator listed.

use std::path::PathBuf;

use bstr::ByteSlice as _;
use pgp::composed::SignedPublicKey;

use super::{
    allowed_signers::{self, AllowedSigner},
    key_file::{self, Flaw, KeyFileProblem, MAX_FILE},
    openpgp_certificate::{self, Component},
    openpgp_keys::{self, Revocation},
};
use crate::sys::time::Timestamp;

/// Maximum size of all key files, in bytes.
const MAX_BYTES: usize = 4 * MAX_FILE;

/// Maximum number of keys.
const MAX_KEYS: usize = 1000;

/// The listed keys, and the revocations among them.
#[derive(Default)]
pub struct KeyRing {
    openpgp: Vec<ListedKey>,
    revocations: Vec<Revocation>,
    ssh: Vec<AllowedSigner>,
}

/// An OpenPGP key, and the place where it is listed.
struct ListedKey {
    file: PathBuf,
    line: Option<usize>,
    key: SignedPublicKey,
}

impl KeyRing {
    /// Reads the key files. Each pattern is a file, or a directory and wildcards for the names in it.
    ///
    /// # Errors
    /// Returns the problem of each file that cannot be read, that is damaged, or that another user
    /// could have written. There is no part of a ring: a file that is missing could hold a
    /// revocation.
    pub fn load(patterns: &[PathBuf]) -> Result<Self, Vec<KeyFileProblem>> {
        let mut ring = Self::default();
        let mut problems = Vec::new();
        let mut bytes = 0;
        for pattern in patterns {
            let files = key_file::files_of(pattern).unwrap_or_else(|problem| {
                problems.push(problem);
                Vec::new()
            });
            for file in files {
                let added = key_file::read(&file).and_then(|content| {
                    bytes += content.len();
                    if bytes > MAX_BYTES {
                        return Err(Flaw::of_file(format!("all key files exceed {} MiB", MAX_BYTES >> 20)));
                    }
                    ring.add(&file, &content)
                });
                problems.extend(added.err().map(|flaw| flaw.in_file(&file)));
            }
        }
        if problems.is_empty() { Ok(ring) } else { Err(problems) }
    }

    fn add(&mut self, file: &std::path::Path, content: &[u8]) -> Result<(), Flaw> {
        if openpgp_keys::is_openpgp(content) {
            let found = openpgp_keys::parse(content)?;
            self.revocations.extend(found.revocations);
            let listed = |(line, key)| ListedKey { file: file.to_path_buf(), line, key };
            self.openpgp.extend(found.keys.into_iter().map(listed));
        } else {
            let text = content.to_str().map_err(|_| {
                Flaw::of_file("it holds neither OpenPGP public keys nor SSH keys")
                    .fixed_by("gpg --armor --export KEY")
            })?;
            self.ssh.extend(allowed_signers::parse(text)?);
        }
        if self.openpgp.len() + self.ssh.len() > MAX_KEYS {
            return Err(Flaw::of_file(format!("all key files hold more than {MAX_KEYS} keys")));
        }
        Ok(())
    }

    /// Returns the problems of keys that can never verify a signature. This verifies each key's own
    /// signatures, so only `check` does it.
    pub fn problems(&self, now: Timestamp) -> Vec<KeyFileProblem> {
        let flaw = |listed: &ListedKey| {
            let why = openpgp_certificate::flaw(&listed.key, now)?;
            Some(Flaw::new(listed.line, why).in_file(&listed.file))
        };
        self.openpgp.iter().filter_map(flaw).collect()
    }

    pub(super) fn components(&self) -> impl Iterator<Item = Component<'_>> {
        self.openpgp.iter().flat_map(|listed| Component::all_of(&listed.key))
    }

    pub(super) fn revocations(&self) -> &[Revocation] {
        &self.revocations
    }

    pub(super) fn signers(&self) -> impl Iterator<Item = &AllowedSigner> {
        self.ssh.iter()
    }
}
