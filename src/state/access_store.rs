//! What Gitea's API said of organisations and protected refs, one file for each, so that a hook need
//! not ask.

use std::{io::Read as _, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::{State, StateError, files, seal};
use crate::{
    config::{Allowed, Config},
    push::{AccessRecords, OrganisationRecord, ProtectionRecord, Source},
    sys::time::Timestamp,
    text::Hex,
};

/// Directory below the state directory.
pub(super) const DIR: &str = "access";

/// Maximum number of bytes read from a file: an organisation with some 100,000 members.
const MAX_FILE: u64 = 16 << 20;

/// The records of organisations and protected refs.
#[derive(Clone, Debug)]
pub struct AccessStore {
    dir: PathBuf,
}

impl State {
    /// Returns what Gitea's API said of organisations and protected refs.
    pub fn access(&self) -> AccessStore {
        AccessStore { dir: self.dir.join(DIR) }
    }
}

impl AccessStore {
    /// Returns the records that the policy and the rules on trust may ask for, unless they are too old.
    pub fn for_push(&self, config: &Config, source: &Source, now: Timestamp) -> AccessRecords {
        let Some(gitea) = &config.gitea else { return AccessRecords::default() };
        let organisations = config.organisations().into_iter();
        let mut rules = config.trust_in(&source.repository.full_name()).flat_map(|rule| &rule.allow);
        let needs_protection = rules.any(|allowed| *allowed == Allowed::Protected);
        AccessRecords::fresh(
            organisations.filter_map(|name| self.organisation(name)).collect(),
            needs_protection.then(|| self.protection(&source.repository_key())).flatten(),
            gitea.max_age,
            now,
        )
    }

    /// Returns the record of an organisation, `None` if there is none or it is unreadable.
    pub fn organisation(&self, name: &str) -> Option<OrganisationRecord> {
        let record: OrganisationRecord = self.read(&organisation_file(name))?;
        record.name.eq_ignore_ascii_case(name).then_some(record)
    }

    /// Returns the protected refs of the repository with this key, `None` if they are not known.
    pub fn protection(&self, repository: &str) -> Option<ProtectionRecord> {
        let record: ProtectionRecord = self.read(&protection_file(repository))?;
        (record.repository == repository).then_some(record)
    }

    /// Replaces the record of an organisation.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put_organisation(&self, record: &OrganisationRecord) -> Result<(), StateError> {
        self.write(&organisation_file(&record.name), record)
    }

    /// Replaces the record of a repository's protected refs.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put_protection(&self, record: &ProtectionRecord) -> Result<(), StateError> {
        self.write(&protection_file(&record.repository), record)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let file = files::open(&self.dir.join(name)).ok()?;
        seal::read(file.take(MAX_FILE)).ok()
    }

    /// Does not synchronise the file: Gitea can be asked again.
    fn write<T: Serialize>(&self, name: &str, record: &T) -> Result<(), StateError> {
        files::make_dir(&self.dir)?;
        let json = seal::line(record).map_err(|err| StateError::in_dir(&self.dir, err))?;
        files::write_new(&self.dir, name, &[&json], false).map(drop)
    }
}

fn organisation_file(name: &str) -> String {
    format!("organisation-{}.json", hash(&name.to_ascii_lowercase()))
}

fn protection_file(repository: &str) -> String {
    format!("protection-{}.json", hash(repository))
}

fn hash(of: &str) -> String {
    Hex(&Sha256::digest(of)[..8]).to_string()
}
