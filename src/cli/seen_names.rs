//! The names in the journal, to propose the nearest one to a name that it does not have.

use std::collections::BTreeSet;

use super::repository_names::RepositoryNames;
use crate::{
    state::{
        Journal,
        journal::{JournalEntry, Record},
    },
    text::{self, Hinted},
};

/// Maximum number of names of a kind that are remembered.
const MAX_NAMES: usize = 10_000;

/// Names of repositories and services.
#[derive(Default)]
pub(super) struct SeenNames {
    repositories: BTreeSet<String>,
    services: BTreeSet<String>,
}

impl SeenNames {
    /// Reads all names of a journal.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn of(journal: &Journal) -> anyhow::Result<Self> {
        let mut seen = Self::default();
        journal.read(|entry| {
            seen.note(&entry);
            Ok(())
        })?;
        Ok(seen)
    }

    /// Remembers the names in a record.
    pub fn note(&mut self, entry: &JournalEntry<'_>) {
        let add = |names: &mut BTreeSet<String>, name: &str| {
            if names.len() < MAX_NAMES && !names.contains(name) {
                names.insert(name.to_string());
            }
        };
        if let Record::Decision(decision) = &entry.record {
            add(&mut self.repositories, &decision.repository);
            for marker in &decision.markers {
                add(&mut self.services, &marker.service);
            }
        }
    }

    /// Returns the message about a repository that the journal does not have under any of its names.
    pub fn unknown_repository(&self, name: &str, names: &RepositoryNames) -> Option<Hinted> {
        let is_known = self.repositories.iter().any(|seen| names.has(seen));
        (!is_known).then(|| unknown("repository", name, &self.repositories))
    }

    /// Returns the message about a service that the journal does not have.
    pub fn unknown_service(&self, name: &str) -> Option<Hinted> {
        (!self.services.contains(name)).then(|| unknown("service", name, &self.services))
    }
}

fn unknown(what: &str, name: &str, known: &BTreeSet<String>) -> Hinted {
    let message = format!("the journal has nothing about the {what} `{}`", text::line(name));
    // Repositories of one owner are alike in their first half.
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_string();
    let is_like = |other: &&String| text::nearest(&last(name), [&*last(other)]).is_some();
    Hinted::near(message, name, known.iter().filter(is_like).map(String::as_str))
}
