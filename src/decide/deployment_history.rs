//! The deployment history: the commits that earlier pushes deployed to each environment.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use super::AddressKey;
use crate::{
    marker::{MarkerId, SpanId},
    push::{ObjectId, PushId, Source},
    sys::time::Timestamp,
};

/// An environment of a service, as deployed to by one repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeploymentTarget {
    repository: String,
    service: String,
    environment: String,
}

impl DeploymentTarget {
    /// Creates the key of an environment, to which the repository of `source` deploys.
    pub fn new(source: &Source, service: &str, environment: &str) -> Self {
        let (repository, service) = (source.repository_key(), source.service_key(service));
        Self { repository, service: service.into(), environment: environment.into() }
    }

    /// Returns the same environment as `backfill` knows it before the first push to the repository, which
    /// tells Gitea's ID. `None` if the directory is the key anyway.
    pub fn in_directory(&self, source: &Source) -> Option<Self> {
        source.repository.id?;
        Some(Self { repository: source.directory_key(), ..self.clone() })
    }

    /// Returns the [key](Source::repository_key) of the repository.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the service, "" for the one that has the repository's name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns the environment.
    pub fn environment(&self) -> &str {
        &self.environment
    }
}

/// A past deployment to an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Push that caused the deployment.
    pub push: PushId,
    /// Time at which the hook captured the push.
    pub time: Timestamp,
    /// Deployed commit.
    pub commit: ObjectId,
    /// `service.version`.
    pub version: String,
}

/// The marker that has the span computed from a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanOwner {
    /// Id of the marker.
    pub marker: MarkerId,
    /// Start of its span.
    pub time: Timestamp,
}

/// The decider's read access to earlier deployments and spans. The caller of the decider records new
/// ones.
pub trait DeploymentHistory {
    /// Returns the last deployment by a push older than `before`. Deciding a push again, or late,
    /// therefore gives the same answer.
    fn last_deployment(&self, place: &DeploymentTarget, before: PushId) -> Option<Deployed>;

    /// Returns the marker that has this span, which is computed from a commit.
    fn span_owner(&self, span: SpanId) -> Option<SpanOwner>;

    /// Returns the key for hashing mail addresses. `None` if there is no key.
    fn address_key(&self) -> Option<&AddressKey>;
}

/// A deployment history in memory, empty at first and lost when the process exits.
#[derive(Debug, Default)]
pub struct InMemoryHistory(RefCell<HashMap<DeploymentTarget, BTreeMap<PushId, Deployed>>>);

impl InMemoryHistory {
    /// Records a deployment.
    pub fn remember(&self, place: DeploymentTarget, deployed: Deployed) {
        self.0.borrow_mut().entry(place).or_default().insert(deployed.push, deployed);
    }
}

impl DeploymentHistory for InMemoryHistory {
    fn last_deployment(&self, place: &DeploymentTarget, before: PushId) -> Option<Deployed> {
        let known = self.0.borrow();
        known.get(place)?.range(..before).next_back().map(|(_, deployed)| deployed.clone())
    }

    /// The decider itself remembers the spans that it made.
    fn span_owner(&self, _: SpanId) -> Option<SpanOwner> {
        None
    }

    fn address_key(&self) -> Option<&AddressKey> {
        None
    }
}

/// A deployment history with more deployments on top of it, which are in memory.
pub struct LayeredHistory<'a> {
    below: &'a dyn DeploymentHistory,
    above: InMemoryHistory,
}

impl<'a> LayeredHistory<'a> {
    /// Returns the history `below` with nothing on top of it.
    pub fn over(below: &'a dyn DeploymentHistory) -> Self {
        Self { below, above: InMemoryHistory::default() }
    }

    /// Records a deployment in memory.
    pub fn remember(&self, place: DeploymentTarget, deployed: Deployed) {
        self.above.remember(place, deployed);
    }
}

impl DeploymentHistory for LayeredHistory<'_> {
    fn last_deployment(&self, place: &DeploymentTarget, before: PushId) -> Option<Deployed> {
        let found = [&self.above as &dyn DeploymentHistory, self.below];
        found.into_iter().filter_map(|history| history.last_deployment(place, before)).max_by_key(|d| d.push)
    }

    fn span_owner(&self, span: SpanId) -> Option<SpanOwner> {
        self.below.span_owner(span)
    }

    fn address_key(&self) -> Option<&AddressKey> {
        self.below.address_key()
    }
}
