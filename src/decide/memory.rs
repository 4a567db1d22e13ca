//! What is known from earlier pushes: which commit of a service runs where.

use std::{cell::RefCell, collections::HashMap};

use crate::{
    marker::AddressKey,
    push::{ObjectId, PushId, Repository},
    time::Timestamp,
};

/// An environment of a service, as one repository deploys to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    repository: String,
    service: String,
    environment: String,
}

impl Place {
    /// Names an environment of a service. A repository is known by Gitea's number, which outlives its name; outside Gitea by its
    /// name, in which case makes no difference.
    pub fn new(repository: &Repository, service: &str, environment: &str) -> Self {
        let repository =
            repository.id.map_or_else(|| repository.full_name().to_lowercase(), |id| id.to_string());
        Self { repository, service: service.into(), environment: environment.into() }
    }

    /// Returns the number or the name of the repository.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns the environment.
    pub fn environment(&self) -> &str {
        &self.environment
    }
}

/// What went to an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The push that said so.
    pub push: PushId,
    /// When it was captured.
    pub time: Timestamp,
    /// The commit.
    pub commit: ObjectId,
    /// `service.version`.
    pub version: String,
}

/// What the decider asks of earlier pushes. Whoever calls it remembers what came of this one.
pub trait Memory {
    /// Returns what was deployed last, by a push before this one: a push that is decided again, or late, is told the same.
    fn last_deployment(&self, place: &Place, before: PushId) -> Option<Deployed>;

    /// Returns what hashes of mail addresses are keyed with, `None` if there is no key to be had.
    fn address_key(&self) -> Option<&AddressKey>;
}

/// A memory that begins empty and ends with the process.
#[derive(Debug, Default)]
pub struct Passing(RefCell<HashMap<Place, Vec<Deployed>>>);

impl Passing {
    /// Remembers a deployment.
    pub fn remember(&self, place: Place, deployed: Deployed) {
        self.0.borrow_mut().entry(place).or_default().push(deployed);
    }
}

impl Memory for Passing {
    fn last_deployment(&self, place: &Place, before: PushId) -> Option<Deployed> {
        let known = self.0.borrow();
        known.get(place)?.iter().filter(|deployed| deployed.push < before).max_by_key(|d| d.push).cloned()
    }

    fn address_key(&self) -> Option<&AddressKey> {
        None
    }
}
