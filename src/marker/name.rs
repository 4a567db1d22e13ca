//! Names of attributes on the wire.
//!
//! Names outside `gitea_lightstep.` are from the OpenTelemetry semantic conventions 1.44.
//! docs/attributes.md lists all names, and a test compares it with this file.

pub const SERVICE_NAME: &str = "service.name";
pub const SERVICE_NAMESPACE: &str = "service.namespace";
pub const SERVICE_VERSION: &str = "service.version";
pub const ENVIRONMENT: &str = "deployment.environment.name";
pub const DEPLOYMENT_ID: &str = "deployment.id";
pub const DEPLOYMENT_STATUS: &str = "deployment.status";

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
pub const DELTA_DIRECTION: &str = "vcs.revision_delta.direction";
pub const USER_NAME: &str = "user.name";
pub const USER_ID: &str = "user.id";

pub const KIND: &str = "gitea_lightstep.kind";
pub const EVENT_NAME: &str = "gitea_lightstep.event_name";
pub const MARKER_ID: &str = "gitea_lightstep.marker.id";
pub const PUSH_ID: &str = "gitea_lightstep.push.id";
/// `scan`, `command` or `backfill`. Absent if the post-receive hook captured the update.
pub const PUSH_SOURCE: &str = "gitea_lightstep.push.source";
/// The last line of the journal when the request was encoded. Only the last marker of a request has it.
pub const JOURNAL_HEAD: &str = "gitea_lightstep.journal.head";
pub const POLICY: &str = "gitea_lightstep.policy";
pub const REPOSITORY_ID: &str = "gitea_lightstep.repository.id";
pub const TRANSPORT: &str = "gitea_lightstep.transport";

pub const PUSHER_KIND: &str = "gitea_lightstep.pusher.kind";
/// `api` if Gitea's API named the pusher. Absent if the hook saw the push.
pub const PUSHER_FROM: &str = "gitea_lightstep.pusher.known_from";
/// `verified` or `unverified`. Absent if no rule of `[[trust]]` is about the marker.
pub const TRUST: &str = "gitea_lightstep.trust";
/// What the rules of `[[trust]]` accepted, as it is written there.
pub const TRUSTED_BY: &str = "gitea_lightstep.trust.by";
pub const DEPLOY_KEY_ID: &str = "gitea_lightstep.deploy_key.id";
pub const ACTIONS_TASK_ID: &str = "gitea_lightstep.actions_task.id";
pub const MERGED_BY: &str = "gitea_lightstep.merged_by";

/// Movement of the ref: `created`, `fast_forward`, `forced`, `rewound` or `deleted`.
pub const REF_UPDATE: &str = "gitea_lightstep.ref.update";
/// Number of commits that a forced push took out of the ref.
pub const REF_REMOVED: &str = "gitea_lightstep.ref.removed";

/// True for a release of an old tag, which is dated by the tag.
pub const BACKFILL: &str = "gitea_lightstep.backfill";

pub const COMMIT_TITLE: &str = "gitea_lightstep.commit.title";
pub const COMMIT_TIME: &str = "gitea_lightstep.commit.time";
pub const ON_DEFAULT_BRANCH: &str = "gitea_lightstep.commit.on_default_branch";
pub const AUTHOR_NAME: &str = "gitea_lightstep.commit.author.name";
pub const AUTHOR_EMAIL: &str = "gitea_lightstep.commit.author.email";
pub const AUTHOR_HASH: &str = "gitea_lightstep.commit.author.hash";
pub const COMMITTER_NAME: &str = "gitea_lightstep.commit.committer.name";
pub const COMMITTER_EMAIL: &str = "gitea_lightstep.commit.committer.email";
pub const COMMITTER_HASH: &str = "gitea_lightstep.commit.committer.hash";
pub const CO_AUTHORS: &str = "gitea_lightstep.commit.co_authors";
pub const RELEASE_TITLE: &str = "gitea_lightstep.release.title";
pub const RELEASE_PRERELEASE: &str = "gitea_lightstep.release.prerelease";
pub const RELEASE_DRAFT: &str = "gitea_lightstep.release.draft";
pub const TAGGER: &str = "gitea_lightstep.tag.tagger";

/// Names of the attributes with a list from a script that has more entries than are sent.
pub const CUT_LISTS: &str = "gitea_lightstep.cut_lists";
pub const SERVICE_OWNER: &str = "gitea_lightstep.service.owner";
/// Prefix of a service's links, as in `gitea_lightstep.link.runbook`.
pub const LINK: &str = "gitea_lightstep.link.";

pub const PREVIOUS_VERSION: &str = "gitea_lightstep.previous.version";
pub const PREVIOUS_TIME: &str = "gitea_lightstep.previous.time";
pub const PREVIOUS_FROM: &str = "gitea_lightstep.previous.known_from";
pub const RANGE_RELATION: &str = "gitea_lightstep.range.relation";
pub const RANGE_COMMITS: &str = "gitea_lightstep.range.commits";
pub const RANGE_IS_CUT: &str = "gitea_lightstep.range.is_cut";
pub const RANGE_IS_SHALLOW: &str = "gitea_lightstep.range.is_shallow";
pub const RANGE_READ: &str = "gitea_lightstep.range.commits_read";
pub const RANGE_IMPORTED: &str = "gitea_lightstep.range.imported";
pub const RANGE_UNDATED: &str = "gitea_lightstep.range.undated";
/// True if a list of the range has more entries than are sent.
pub const RANGE_LISTS_ARE_CUT: &str = "gitea_lightstep.range.lists_are_cut";
pub const RANGE_AUTHORS: &str = "gitea_lightstep.range.authors";
pub const RANGE_CO_AUTHORS: &str = "gitea_lightstep.range.co_authors";
pub const RANGE_AI_COMMITS: &str = "gitea_lightstep.range.ai_commits";
pub const RANGE_AI_SHARE: &str = "gitea_lightstep.range.ai_share";
pub const RANGE_PULL_REQUESTS: &str = "gitea_lightstep.range.pull_requests";
pub const RANGE_TICKETS: &str = "gitea_lightstep.range.tickets";
pub const RANGE_REVERTS: &str = "gitea_lightstep.range.reverts";
pub const FIRST_COMMIT: &str = "gitea_lightstep.range.first_commit.id";
pub const FIRST_COMMIT_TIME: &str = "gitea_lightstep.range.first_commit.time";
/// Time from the first commit of the range to the push, in seconds.
pub const LEAD_TIME: &str = "gitea_lightstep.range.lead_time";
