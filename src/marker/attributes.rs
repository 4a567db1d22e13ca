//! What every marker says beside its own fields, by the names of the OpenTelemetry semantic
//! conventions 1.44 (reference/lightstep.md, section 4.1).

use super::{Site, name, people};
use crate::{facts::Facts, policy::Value, push::RefKind, text};

/// How long the short name of a ref may be, in characters.
const MAX_REF_NAME: usize = 1024;

/// Returns the attributes of an update; a fact that cannot be read is left out. Nothing here walks
/// history: a push is not slowed for what its policy did not ask for.
pub(super) fn of(facts: &Facts, site: Site<'_>) -> Vec<(&'static str, Value)> {
    let update = facts.update();
    let source = facts.push().source();
    let repository = &source.repository;
    let mut attributes: Vec<(&'static str, Value)> = vec![
        (name::PROVIDER, "gitea".into()),
        (name::REPOSITORY, repository.name.clone().into()),
        (name::TRANSPORT, source.transport.as_str().into()),
    ];
    let mut add = |name, value: Option<Value>| attributes.extend(value.map(|value| (name, value)));

    add(name::OWNER, repository.owner.clone().map(Value::from));
    add(name::REPOSITORY_ID, repository.id.map(Value::Int));
    add(name::REPOSITORY_URL, repository_url(facts, site).map(Value::from));
    let (ref_name, ref_type) = match update.ref_name().kind() {
        RefKind::Branch(name) => (name, Some("branch")),
        RefKind::Tag(name) => (name, Some("tag")),
        RefKind::Other => (update.ref_name().as_bstr(), None),
    };
    add(name::HEAD_NAME, Some(text::name(ref_name, MAX_REF_NAME).into()));
    add(name::HEAD_TYPE, ref_type.map(Value::from));
    let revision = facts.commit_id().ok().flatten().or(update.new_id());
    add(name::HEAD_REVISION, revision.map(|id| id.to_string().into()));
    add(name::BASE_REVISION, update.old_id().map(|id| id.to_string().into()));

    if let Ok(target) = facts.target()
        && let Some(commit) = &target.commit
    {
        add(name::COMMIT_TITLE, Some(commit.title.clone().into()));
        add(name::COMMIT_TIME, commit.committer.time.map(|time| time.to_string().into()));
    }
    attributes.extend(people::of(facts, site.addresses));
    attributes
}

/// Returns the address of the repository's page.
fn repository_url(facts: &Facts, site: Site<'_>) -> Option<String> {
    let source = facts.push().source();
    let base = site.public_url.or(source.root_url.as_deref())?.trim_end_matches('/');
    let owner = source.repository.owner.as_deref()?;
    Some(format!("{base}/{owner}/{}", source.repository.name))
}
