//! What every marker says beside its own fields, by the names of the OpenTelemetry semantic
//! conventions 1.44 (reference/lightstep.md, section 4.1).

use super::Site;
use crate::{
    facts::Facts,
    policy::Value,
    push::{MergeStep, RefKind},
    text,
};

/// How long the short name of a ref may be, in characters.
const MAX_REF_NAME: usize = 1024;

/// The names of attributes on the wire.
pub mod name {
    pub const SERVICE_NAME: &str = "service.name";
    pub const SERVICE_VERSION: &str = "service.version";
    pub const ENVIRONMENT: &str = "deployment.environment.name";

    pub const PROVIDER: &str = "vcs.provider.name";
    pub const OWNER: &str = "vcs.owner.name";
    pub const REPOSITORY: &str = "vcs.repository.name";
    pub const REPOSITORY_URL: &str = "vcs.repository.url.full";
    pub const HEAD_NAME: &str = "vcs.ref.head.name";
    pub const HEAD_TYPE: &str = "vcs.ref.head.type";
    pub const HEAD_REVISION: &str = "vcs.ref.head.revision";
    pub const BASE_REVISION: &str = "vcs.ref.base.revision";
    pub const CHANGE_ID: &str = "vcs.change.id";
    pub const CHANGE_STATE: &str = "vcs.change.state";
    pub const USER_NAME: &str = "user.name";
    pub const USER_ID: &str = "user.id";

    pub const KIND: &str = "gitea_lightstep.kind";
    pub const EVENT_NAME: &str = "gitea_lightstep.event_name";
    pub const MARKER_ID: &str = "gitea_lightstep.marker.id";
    pub const PUSH_ID: &str = "gitea_lightstep.push.id";
    pub const POLICY: &str = "gitea_lightstep.policy";
    pub const REPOSITORY_ID: &str = "gitea_lightstep.repository.id";
    pub const TRANSPORT: &str = "gitea_lightstep.transport";
    pub const IS_DEPLOY_KEY: &str = "gitea_lightstep.deploy_key";
    pub const ACTIONS_TASK_ID: &str = "gitea_lightstep.actions_task.id";
    pub const COMMIT_TITLE: &str = "gitea_lightstep.commit.title";
    pub const COMMIT_AUTHOR: &str = "gitea_lightstep.commit.author";
    pub const COMMIT_TIME: &str = "gitea_lightstep.commit.time";
    pub const TAGGER: &str = "gitea_lightstep.tag.tagger";
}

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

    if let Some(pusher) = &source.pusher {
        add(name::USER_NAME, Some(pusher.name.clone().into()));
        add(name::USER_ID, pusher.id.map(|id| id.to_string().into()));
    }
    add(name::IS_DEPLOY_KEY, source.deploy_key_id.map(|_| Value::Bool(true)));
    add(name::ACTIONS_TASK_ID, source.actions_task_id.map(Value::Int));
    if let Some(pull_request) = source.pull_request {
        add(name::CHANGE_ID, pull_request.number.map(|number| number.to_string().into()));
        add(name::CHANGE_STATE, (pull_request.step == MergeStep::Merged).then(|| "merged".into()));
    }

    if let Ok(target) = facts.target() {
        if let Some(commit) = &target.commit {
            add(name::COMMIT_TITLE, Some(commit.title.clone().into()));
            add(name::COMMIT_AUTHOR, Some(commit.author.name.clone().into()));
            add(name::COMMIT_TIME, commit.committer.time.map(|time| time.to_string().into()));
        }
        let tagger = target.tag.as_ref().and_then(|tag| tag.tagger.as_ref());
        add(name::TAGGER, tagger.map(|tagger| tagger.name.clone().into()));
    }
    attributes
}

/// Returns the address of the repository's page.
fn repository_url(facts: &Facts, site: Site<'_>) -> Option<String> {
    let source = facts.push().source();
    let base = site.public_url.or(source.root_url.as_deref())?.trim_end_matches('/');
    let owner = source.repository.owner.as_deref()?;
    Some(format!("{base}/{owner}/{}", source.repository.name))
}
