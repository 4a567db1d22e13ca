//! Attributes that every marker has, with names from the OpenTelemetry semantic conventions 1.44
//! (reference/lightstep.md, section 4.1).

use super::people::{self, Addresses};
use crate::{
    facts::Facts,
    marker::{MarkerSource, Value, name},
    push::{RefKind, UpdateSource},
    redact::Redaction,
};

/// Inputs of a marker that come from the site's configuration, not from the push.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Site<'a> {
    /// Base URL of Gitea, if the configuration sets one.
    pub public_url: Option<&'a str>,
    /// `service.namespace`, if there is one.
    pub namespace: Option<&'a str>,
    /// The layers of the policy, with their abbreviated hashes.
    pub policy: &'a [String],
    /// Treatment of mail addresses.
    pub addresses: Addresses<'a>,
    /// Patterns that must not leave the server.
    pub redaction: Option<&'a Redaction>,
}

/// Returns the attributes of an update, without the facts that cannot be read.
///
/// Nothing here walks history. A push does not pay for facts that its policy did not ask for.
pub(super) fn of(facts: &Facts, site: Site<'_>) -> Vec<(&'static str, Value)> {
    let update = facts.update();
    let source = facts.push().source();
    let how = match source.found_by {
        UpdateSource::Push => (name::TRANSPORT, source.transport.as_str().into()),
        other => (name::PUSH_SOURCE, other.as_str().into()),
    };
    let mut attributes: Vec<(&'static str, Value)> = vec![(name::PROVIDER, "gitea".into()), how];
    let mut add = |name, value: Option<Value>| attributes.extend(value.map(|value| (name, value)));

    add(name::SERVICE_NAMESPACE, site.namespace.map(Value::from));
    add(name::REPOSITORY_ID, source.repository.id.map(Value::Int));
    let ref_type = match update.ref_name().kind() {
        RefKind::Branch(_) => Some("branch"),
        RefKind::Tag(_) => Some("tag"),
        RefKind::Other => None,
    };
    add(name::HEAD_TYPE, ref_type.map(Value::from));
    // Like `vcs.ref.head.revision`, this is a commit also for an annotated tag. The old object may be
    // gone when the background decides.
    let old_commit = match update.ref_name().kind() {
        RefKind::Branch(_) => None,
        RefKind::Tag(_) | RefKind::Other => facts.old_commit().ok().flatten(),
    };
    let old_id = update.old_id().filter(|_| update.is_moved());
    add(name::BASE_REVISION, old_commit.or(old_id).map(|id| id.to_string().into()));

    if let Ok(target) = facts.target()
        && let Some(commit) = &target.commit
    {
        add(name::COMMIT_TITLE, Some(commit.title.clone().into()));
        add(name::COMMIT_TIME, commit.committer.time.map(|time| time.to_string().into()));
    }
    if let Some(release) = facts.release() {
        add(name::RELEASE_TITLE, release.title.clone().map(Value::from));
        add(name::RELEASE_PRERELEASE, Some(Value::Bool(release.is_prerelease)));
        add(name::RELEASE_DRAFT, Some(Value::Bool(release.is_draft)));
    }
    attributes.extend(people::of(facts, site.addresses));
    attributes
}

/// Returns the source of an update's markers.
pub(super) fn source(facts: &Facts, site: Site<'_>) -> MarkerSource {
    let update = facts.update();
    let repository = &facts.push().source().repository;
    let commit = facts.commit_id().ok().flatten().or(update.new_id());
    MarkerSource {
        owner: repository.owner.clone(),
        repository: Some(repository.name.clone()),
        repository_url: repository_url(facts, site),
        ref_name: Some(update.short_name()),
        commit: commit.map(|id| id.to_string()),
        pusher: people::pusher(facts.push().source()).map(|pusher| pusher.name.clone()),
    }
}

/// Returns the URL of the repository's page.
fn repository_url(facts: &Facts, site: Site<'_>) -> Option<String> {
    let source = facts.push().source();
    let base = site.public_url.or(source.root_url.as_deref())?.trim_end_matches('/');
    let owner = source.repository.owner.as_deref()?;
    Some(format!("{base}/{owner}/{}", source.repository.name))
}
