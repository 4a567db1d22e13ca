//! What Gitea's API said of the people behind a push and of its repository: members of organisations
//! and teams, and protected refs. The answers are kept with their time, and count until they are too old.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Push, RefKind, UpdateSource};
use crate::{glob, sys::time::Timestamp};

/// The members of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationRecord {
    /// Name of the organisation.
    pub name: String,
    /// Time of the answer.
    pub time: Timestamp,
    /// The members by Gitea's ID, each with the names of their teams.
    pub members: BTreeMap<i64, Vec<String>>,
}

/// The protected branches and tags of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionRecord {
    /// What identifies the repository ([`super::Source::repository_key`]).
    pub repository: String,
    /// Time of the answer.
    pub time: Timestamp,
    /// Wildcard patterns of branches.
    pub branches: Vec<String>,
    /// Wildcard patterns of tags.
    pub tags: Vec<String>,
}

/// The answers that are not too old.
#[derive(Clone, Debug, Default)]
pub struct AccessRecords {
    organisations: Vec<OrganisationRecord>,
    protection: Option<ProtectionRecord>,
}

impl AccessRecords {
    /// Returns the records that are younger than `max_age` at `now`.
    pub fn fresh(
        organisations: Vec<OrganisationRecord>,
        protection: Option<ProtectionRecord>,
        max_age: Duration,
        now: Timestamp,
    ) -> Self {
        // After the clock was set back, an answer is from the future.
        let is_fresh = |time: Timestamp| now.duration_since(time).unsigned_abs() <= max_age;
        Self {
            organisations: organisations.into_iter().filter(|record| is_fresh(record.time)).collect(),
            protection: protection.filter(|record| is_fresh(record.time)),
        }
    }

    /// Returns the record of an organisation, whose name has any case.
    pub fn organisation(&self, name: &str) -> Option<&OrganisationRecord> {
        self.organisations.iter().find(|record| record.name.eq_ignore_ascii_case(name))
    }

    /// Returns the records of all organisations.
    pub fn organisations(&self) -> &[OrganisationRecord] {
        &self.organisations
    }

    /// Returns the protected refs of the repository.
    pub fn protection(&self) -> Option<&ProtectionRecord> {
        self.protection.as_ref()
    }
}

impl OrganisationRecord {
    /// Returns true if the user is a member, of this team if one is given.
    pub fn has(&self, user: i64, team: Option<&str>) -> bool {
        self.members.get(&user).is_some_and(|teams| {
            team.is_none_or(|team| teams.iter().any(|known| known.eq_ignore_ascii_case(team)))
        })
    }
}

impl ProtectionRecord {
    /// Returns true if a branch or tag is protected.
    pub fn covers(&self, kind: RefKind<'_>) -> bool {
        let (patterns, name) = match kind {
            RefKind::Branch(name) => (&self.branches, name),
            RefKind::Tag(name) => (&self.tags, name),
            RefKind::Other => return false,
        };
        patterns.iter().any(|pattern| glob::is_match(pattern, name))
    }
}

impl Push {
    /// Returns Gitea's ID of the user who made an update, if Gitea vouches for that. For a deploy key it
    /// names the owner of the repository, and whoever runs `mark` may give any name.
    pub fn person(&self, index: usize) -> Option<i64> {
        let source = self.source();
        let release = self.learned(index).and_then(|learned| learned.release.as_ref());
        let is_vouched_for = match source.found_by {
            UpdateSource::Push => source.deploy_key_id.is_none() && source.actions_task_id.is_none(),
            // Whoever wrote a draft did not make the tag.
            UpdateSource::Scan => release.is_none_or(|release| !release.is_draft),
            UpdateSource::Command | UpdateSource::Backfill => false,
        };
        source.pusher.as_ref().filter(|_| is_vouched_for)?.id.filter(|id| *id > 0)
    }
}
