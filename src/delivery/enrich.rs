//! Asks Gitea's API who made the changes that no hook saw. The answers are written into the capture
//! before it is decided, so every decision about it uses the same ones.

use std::{cell::OnceCell, time::Duration};

use bstr::ByteSlice as _;
use serde::Deserialize;

use super::{
    access,
    gitea_api::{GiteaClient, LONGEST, Unanswered, note_answer},
    postpone::note,
};
use crate::{
    config::{Config, GiteaApi},
    push::{LearnedUpdate, Push, Pusher, RefKind, ReleasePage, Update, UpdateSource},
    state::{Capture, State, StateError, inbox::Captured},
    sys::time::{self, Deadline},
    text,
};

/// Maximum number of updates of a push that Gitea is asked about.
const MAX_UPDATES: usize = 20;

/// Time that the questions about one push get at least.
const SHORTEST: Duration = Duration::from_secs(5);

/// Interval between two attempts.
const RETRY: Duration = Duration::from_secs(2);

/// Number of entries of the activity feed that are read.
const FEED: usize = 50;

/// Maximum length of a login and of a release's title, in characters.
const MAX_LOGIN: usize = 255;
const MAX_TITLE: usize = 1024;

/// Asks Gitea about the updates that a scan found, unless that was done before, and what the rules on
/// trust need to know. Without an answer, or while Gitea rests, the push waits for `enrich_within` from
/// its capture, and is then decided without. Returns `None` while it waits.
///
/// # Errors
/// If the answers cannot be written.
pub(super) fn enrich(
    config: &Config,
    state: &State,
    capture: &mut Capture,
    captured: Captured,
    gitea_rests: bool,
) -> Result<Option<Captured>, StateError> {
    let Some(api) = &config.gitea else { return Ok(Some(captured)) };
    let now = time::now();
    // After the clock was set back, the push does not wait.
    let waited = Duration::try_from(now.duration_since(captured.push.time()));
    let left = waited.map_or(Duration::ZERO, |waited| api.enrich_within.saturating_sub(waited));
    let deadline = Deadline::after(left.clamp(SHORTEST, LONGEST));
    let push = captured.push.id();
    let rests = || Some(Unanswered::Now("it did not answer for another push".into()));
    // Returns true if the push waits.
    let waits = |failure: Option<Unanswered>, question: &str| match failure {
        Some(Unanswered::Now(why)) if !left.is_zero() => {
            let why = format!("waits for Gitea's API: {why}");
            state.postponed().delay(push, &why, now, RETRY.min(left)).map(|()| true)
        }
        Some(failure) => {
            note(state, push, format!("Gitea's API did not tell {question}: {}", failure.why()));
            Ok(false)
        }
        None => Ok(false),
    };
    let mut captured = captured;
    if let Some(owner) = is_asked_about(state, capture, &captured.push) {
        let (learned, failure) = if gitea_rests {
            (Vec::new(), rests())
        } else {
            let asked = ask(api, &owner, &captured.push, deadline);
            note_answer(state, asked.1.as_ref());
            asked
        };
        if waits(failure, "who made the change")? {
            return Ok(None);
        }
        captured = capture.learn(learned)?;
    }
    if access::is_needed(config, state, &captured.push) {
        let (approvals, failure) = if gitea_rests {
            (None, rests())
        } else {
            let asked = access::ask(api, config, state, &captured.push, deadline)?;
            note_answer(state, asked.1.as_ref());
            asked
        };
        if waits(failure, "what the rules on trust need")? {
            return Ok(None);
        }
        captured.push = captured.push.with_approvals(approvals);
    }
    Ok(Some(captured))
}

/// Returns the owner of the repository, if Gitea should be asked who made the updates.
fn is_asked_about(state: &State, capture: &Capture, push: &Push) -> Option<String> {
    let source = push.source();
    let is_asked_about = source.found_by == UpdateSource::Scan
        && source.learned.is_none()
        && !source.repository.is_wiki
        && wanted(push).next().is_some()
        && capture.next() == 0
        && !capture.has_failed(&state.failed());
    source.repository.owner.clone().filter(|_| is_asked_about)
}

/// Checks that the API takes the token, and if a repository is given that it may be read. Returns the
/// login of the token's owner if the API tells.
///
/// # Errors
/// Returns why the API cannot be used.
pub fn check(
    api: &GiteaApi,
    root_url: Option<&str>,
    repository: Option<(&str, &str)>,
) -> Result<Option<String>, String> {
    let why = |failure: Unanswered| failure.why().to_string();
    let client = GiteaClient::new(api, root_url, Deadline::after(LONGEST)).map_err(why)?;
    let user = client.user().map_err(why)?;
    if let Some((owner, name)) = repository
        && client.of_repository::<serde_json::Value>((owner, name), "", "").map_err(why)?.is_none()
    {
        return Err(format!(
            "the token's owner cannot see the repository {}/{}",
            text::line(owner),
            text::line(name)
        ));
    }
    Ok(user)
}

/// Asks about the updates of a push. Returns the answers until the first failure that concerns all, and
/// the last failure.
fn ask(
    api: &GiteaApi,
    owner: &str,
    push: &Push,
    deadline: Deadline,
) -> (Vec<LearnedUpdate>, Option<Unanswered>) {
    let mut learned = Vec::new();
    let source = push.source();
    let client = match GiteaClient::new(api, source.root_url.as_deref(), deadline) {
        Ok(client) => client,
        Err(failure) => return (learned, Some(failure)),
    };
    let questions = Questions { client, repository: (owner, &source.repository.name), feed: OnceCell::new() };
    let mut failure = None;
    for update in wanted(push) {
        match questions.about(update) {
            Ok(Some(fact)) => learned.push(fact),
            Ok(None) => {}
            Err(useless @ Unanswered::Useless(_)) => failure = Some(useless),
            Err(of_all) => return (learned, Some(of_all)),
        }
    }
    (learned, failure)
}

/// Returns the updates that Gitea is asked about.
fn wanted(push: &Push) -> impl Iterator<Item = &Update> {
    push.updates().iter().filter(|update| is_worth_asking(update)).take(MAX_UPDATES)
}

fn is_worth_asking(update: &Update) -> bool {
    match update.ref_name().kind() {
        RefKind::Tag(_) => true,
        RefKind::Branch(_) => !update.is_created(),
        RefKind::Other => false,
    }
}

/// The questions about one repository.
struct Questions<'a> {
    client: GiteaClient,
    repository: (&'a str, &'a str),
    /// The newest activities, read when first needed.
    feed: OnceCell<Vec<Activity>>,
}

/// A user in an answer.
#[derive(Debug, Deserialize)]
struct ApiUser {
    login: String,
    id: i64,
}

#[derive(Debug, Deserialize)]
struct ApiRelease {
    tag_name: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    prerelease: bool,
    author: Option<ApiUser>,
}

#[derive(Debug, Deserialize)]
struct ApiPullRequest {
    number: i64,
    merged: bool,
    merged_by: Option<ApiUser>,
    merge_commit_sha: Option<String>,
}

/// An entry of a repository's activity feed (modules/structs/activity.go). The newest comes first.
#[derive(Debug, Deserialize)]
struct Activity {
    op_type: String,
    act_user: Option<ApiUser>,
    ref_name: String,
}

impl Questions<'_> {
    fn about(&self, update: &Update) -> Result<Option<LearnedUpdate>, Unanswered> {
        let unknown = LearnedUpdate::nothing(update);
        let learned = match update.ref_name().kind() {
            RefKind::Tag(tag) if !update.is_deleted() => {
                let Ok(tag) = tag.to_str() else { return Ok(None) };
                let release = self.release(tag)?;
                // Who published a release did not move its tag later.
                let author =
                    release.as_ref().filter(|_| update.is_created()).and_then(|of| of.author.clone());
                let actor =
                    author.map_or_else(|| self.actor("push_tag", update), |author| Ok(Some(author)))?;
                LearnedUpdate { actor, release, ..unknown }
            }
            RefKind::Tag(_) => LearnedUpdate { actor: self.actor("delete_tag", update)?, ..unknown },
            RefKind::Branch(_) if update.is_deleted() => {
                LearnedUpdate { actor: self.actor("delete_branch", update)?, ..unknown }
            }
            RefKind::Branch(_) => match update.new_id() {
                Some(id) => self.merge(&id.to_string(), unknown)?,
                None => unknown,
            },
            RefKind::Other => unknown,
        };
        Ok(Some(learned).filter(|learned| !learned.is_nothing()))
    }

    /// Returns the release of a tag.
    fn release(&self, tag: &str) -> Result<Option<ReleasePage>, Unanswered> {
        let path = format!("/releases/tags/{}", text::segment(tag));
        let found = self.client.of_repository::<ApiRelease>(self.repository, &path, "")?;
        Ok(found.filter(|found| found.tag_name == tag).map(|found| {
            // Characters that are left out could hide a token from the mask.
            let title = found.name.map(|title| text::name(title.as_bytes(), usize::MAX));
            let title =
                title.map(|title| text::name(self.client.masked(&title).trim().as_bytes(), MAX_TITLE));
            ReleasePage {
                title: title.filter(|title| !title.is_empty()),
                is_prerelease: found.prerelease,
                is_draft: found.draft,
                author: found.author.as_ref().and_then(|author| self.user(author)),
            }
        }))
    }

    /// Adds the pull request whose merge made a commit.
    fn merge(&self, commit: &str, unknown: LearnedUpdate) -> Result<LearnedUpdate, Unanswered> {
        let path = format!("/commits/{commit}/pull");
        let found = self.client.of_repository::<ApiPullRequest>(self.repository, &path, "")?;
        let merged = found.filter(|found| {
            found.merged
                && found.number > 0
                && found.merge_commit_sha.as_deref().is_none_or(|sha| sha == commit)
        });
        Ok(match merged {
            Some(merged) => LearnedUpdate {
                actor: merged.merged_by.as_ref().and_then(|user| self.user(user)),
                pull_request: Some(merged.number),
                ..unknown
            },
            None => unknown,
        })
    }

    /// Returns the user of the newest activity on the ref, if it is of this type.
    fn actor(&self, op_type: &str, update: &Update) -> Result<Option<Pusher>, Unanswered> {
        let full = update.ref_name().to_text();
        // Old Giteas write the name without its prefix.
        let (kind, short) = match full.strip_prefix("refs/tags/") {
            Some(tag) => ("_tag", Some(tag)),
            None => ("_branch", full.strip_prefix("refs/heads/")),
        };
        let is_of_ref = |activity: &&Activity| {
            activity.ref_name == full
                || (Some(&*activity.ref_name) == short && activity.op_type.ends_with(kind))
        };
        let newest = self.feed()?.iter().find(is_of_ref);
        let user = newest.filter(|activity| activity.op_type == op_type).and_then(|of| of.act_user.as_ref());
        Ok(user.and_then(|user| self.user(user)))
    }

    fn feed(&self) -> Result<&[Activity], Unanswered> {
        if let Some(feed) = self.feed.get() {
            return Ok(feed);
        }
        let query = format!("?limit={FEED}");
        let feed = match self.client.of_repository(self.repository, "/activities/feeds", &query) {
            // Old Giteas have no feed.
            Ok(feed) => feed.unwrap_or_default(),
            Err(Unanswered::Useless(_)) => Vec::new(),
            Err(failure) => return Err(failure),
        };
        Ok(self.feed.get_or_init(|| feed))
    }

    /// Returns a user, unless it has been deleted or has a name that no user of Gitea can have.
    fn user(&self, user: &ApiUser) -> Option<Pusher> {
        let is_login = (1..=MAX_LOGIN).contains(&user.login.len())
            && user.login.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && self.client.masked(&user.login) == user.login;
        (is_login && user.id != 0 && user.id != GHOST)
            .then_some(Pusher { name: user.login.clone(), id: Some(user.id) })
    }
}

/// User id that Gitea shows for a user that was deleted (models/user/user_system.go).
const GHOST: i64 = -1;
