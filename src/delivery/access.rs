//! Asks Gitea's API who belongs to the organisations and teams that the rules on trust name, which refs
//! are protected, and who approved a merged pull request. The answers are kept, so that a hook need not
//! ask.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;

use super::gitea_api::{GiteaClient, LONGEST, Unanswered, note_answer};
use crate::{
    config::{Allowed, Config, GiteaApi},
    push::{AccessRecords, MergeStep, OrganisationRecord, ProtectionRecord, Push, UpdateSource},
    state::{
        AccessStore, State, StateError,
        journal::{Record, Trouble},
    },
    sys::time::{self, Deadline, Timestamp},
    text,
};

/// Maximum number of pages of one list. A page has 50 entries, unless Gitea's administrator set a lower
/// maximum.
const MAX_PAGES: usize = 200;

/// Maximum number of teams of an organisation that are read.
const MAX_TEAMS: usize = 500;

/// Time after a failure in which a delivery does not ask on its own.
const REST: Duration = Duration::from_secs(60);

/// A question about one push that only Gitea can answer.
#[derive(Debug, PartialEq, Eq)]
enum Question {
    Organisation(String),
    Protection,
    Approvals(i64),
}

#[derive(Deserialize)]
struct ApiTeam {
    id: i64,
    name: String,
}

#[derive(Deserialize)]
struct ApiMember {
    id: i64,
}

#[derive(Deserialize)]
struct ApiBranchProtection {
    /// Gitea before 1.19 has only the name of a branch.
    #[serde(default)]
    rule_name: String,
    #[serde(default)]
    branch_name: String,
}

#[derive(Deserialize)]
struct ApiTagProtection {
    name_pattern: String,
}

/// A review of a pull request (modules/structs/pull_review.go).
#[derive(Deserialize)]
struct ApiReview {
    user: Option<ApiMember>,
    state: String,
    #[serde(default)]
    stale: bool,
    #[serde(default)]
    official: bool,
    #[serde(default)]
    dismissed: bool,
}

/// Returns true if the rules on trust need answers about a push that are not known.
pub(super) fn is_needed(config: &Config, state: &State, push: &Push) -> bool {
    let access = state.access().for_push(config, push.source(), time::now());
    !questions(config, &access, push).is_empty()
}

fn questions(config: &Config, access: &AccessRecords, push: &Push) -> Vec<Question> {
    let source = push.source();
    let mut questions = Vec::new();
    let may_name_people = matches!(source.found_by, UpdateSource::Push | UpdateSource::Scan);
    for allowed in config.trust_in(&source.repository.full_name()).flat_map(|rule| &rule.allow) {
        let question = match allowed {
            Allowed::Team { organisation, .. } | Allowed::Organisation(organisation) => {
                let is_known = access.organisation(organisation).is_some();
                (!is_known && may_name_people)
                    .then(|| Question::Organisation(organisation.to_ascii_lowercase()))
            }
            Allowed::Protected => {
                let is_asked = source.found_by == UpdateSource::Push && access.protection().is_none();
                is_asked.then_some(Question::Protection)
            }
            Allowed::Approved(_) => {
                let merged = source.pull_request.filter(|request| request.step == MergeStep::Merged);
                let number = merged.and_then(|request| request.number);
                number.filter(|_| source.found_by == UpdateSource::Push).map(Question::Approvals)
            }
            _ => None,
        };
        if let Some(question) = question.filter(|question| !questions.contains(question)) {
            questions.push(question);
        }
    }
    questions
}

/// Asks what the rules on trust need to know of a push, and keeps the answers. Returns the number of
/// people who approved its pull request, if that is needed, and the first failure.
///
/// # Errors
/// If an answer cannot be written.
pub(super) fn ask(
    api: &GiteaApi,
    config: &Config,
    state: &State,
    push: &Push,
    deadline: Deadline,
) -> Result<(Option<u32>, Option<Unanswered>), StateError> {
    let (store, source) = (state.access(), push.source());
    let known = store.for_push(config, source, time::now());
    let client = match GiteaClient::new(api, source.root_url.as_deref(), deadline) {
        Ok(client) => client,
        Err(failure) => return Ok((None, Some(failure))),
    };
    let (mut approvals, mut failure) = (None, None);
    for question in questions(config, &known, push) {
        let owner = source.repository.owner.as_deref().unwrap_or_default();
        let repository = (owner, &*source.repository.name);
        let answer = match question {
            Question::Organisation(name) => keep_organisation(&client, &store, &name)?,
            Question::Protection => match protection(&client, repository, source.repository_key()) {
                Ok(record) => {
                    store.put_protection(&record)?;
                    Ok(())
                }
                Err(failure) => Err(failure),
            },
            Question::Approvals(number) => {
                approvals_of(&client, repository, number).map(|count| approvals = Some(count))
            }
        };
        if let Err(err) = answer {
            failure.get_or_insert(err);
        }
    }
    Ok((approvals, failure))
}

/// Asks again about organisations whose record has half its time left, so that hooks find a record that
/// counts. Without an address in the configuration, only a push tells where to ask.
///
/// # Errors
/// If an answer cannot be written.
pub(super) fn keep_fresh(config: &Config, state: &State) -> Result<(), StateError> {
    let Some(api) = config.gitea.as_ref().filter(|api| api.url.is_some()) else { return Ok(()) };
    let (store, now) = (state.access(), time::now());
    let age = |of: Timestamp| now.duration_since(of).unsigned_abs();
    let is_old =
        |name: &&str| store.organisation(name).is_none_or(|record| age(record.time) > api.max_age / 2);
    let old: Vec<&str> = config.organisations().into_iter().filter(is_old).collect();
    let has_just_failed = || {
        let health = state.api_health();
        let failed = health.last_error.as_ref().map(|(time, _)| *time);
        health.is_failing() && failed.is_some_and(|failed| age(failed) < REST)
    };
    if old.is_empty() || has_just_failed() {
        return Ok(());
    }
    let mut failure = None;
    match GiteaClient::new(api, None, Deadline::after(LONGEST)) {
        Ok(client) => {
            for name in old {
                if let Err(err) = keep_organisation(&client, &store, name)? {
                    failure = Some(err);
                    break;
                }
            }
        }
        Err(err) => failure = Some(err),
    }
    note_answer(state, failure.as_ref());
    if let Some(failure) = failure {
        let what =
            format!("Gitea's API did not tell who is in the organisations of [[trust]]: {}", failure.why());
        state.journal().note([Record::Trouble(Trouble { push: None, repository: None, what: what.into() })]);
    }
    Ok(())
}

fn keep_organisation(
    client: &GiteaClient,
    store: &AccessStore,
    name: &str,
) -> Result<Result<(), Unanswered>, StateError> {
    match organisation(client, name) {
        Ok(record) => store.put_organisation(&record).map(Ok),
        Err(failure) => Ok(Err(failure)),
    }
}

fn organisation(client: &GiteaClient, name: &str) -> Result<OrganisationRecord, Unanswered> {
    let time = time::now();
    let of = format!("/orgs/{}", text::segment(name));
    let mut members: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for member in all::<ApiMember>(client, &format!("{of}/members"))? {
        members.entry(member.id).or_default();
    }
    for team in all::<ApiTeam>(client, &format!("{of}/teams"))?.into_iter().take(MAX_TEAMS) {
        for member in all::<ApiMember>(client, &format!("/teams/{}/members", team.id))? {
            members.entry(member.id).or_default().push(team.name.clone());
        }
    }
    Ok(OrganisationRecord { name: name.to_string(), time, members })
}

fn protection(
    client: &GiteaClient,
    repository: (&str, &str),
    key: String,
) -> Result<ProtectionRecord, Unanswered> {
    let time = time::now();
    let branches = client.of_repository::<Vec<ApiBranchProtection>>(repository, "/branch_protections", "")?;
    // Gitea before 1.23 has no such page.
    let tags = client.of_repository::<Vec<ApiTagProtection>>(repository, "/tag_protections", "")?;
    let pattern = |rule: ApiBranchProtection| {
        if rule.rule_name.is_empty() { rule.branch_name } else { rule.rule_name }
    };
    Ok(ProtectionRecord {
        repository: key,
        time,
        branches: branches.unwrap_or_default().into_iter().map(pattern).collect(),
        tags: tags.unwrap_or_default().into_iter().map(|rule| rule.name_pattern).collect(),
    })
}

/// Counts the people whose last word was an approval that counts for the rules of the branch and is
/// of the newest commits.
fn approvals_of(client: &GiteaClient, repository: (&str, &str), number: i64) -> Result<u32, Unanswered> {
    let mut last: BTreeMap<i64, bool> = BTreeMap::new();
    for page in 1..=MAX_PAGES {
        let (path, query) = (format!("/pulls/{number}/reviews"), format!("?page={page}&limit=50"));
        let reviews: Vec<ApiReview> = client.of_repository(repository, &path, &query)?.unwrap_or_default();
        if reviews.is_empty() {
            break;
        }
        for review in reviews {
            let Some(user) = review.user else { continue };
            match &*review.state {
                "APPROVED" => {
                    last.insert(user.id, review.official && !review.stale && !review.dismissed);
                }
                "REQUEST_CHANGES" => {
                    last.insert(user.id, false);
                }
                _ => {}
            }
        }
    }
    let approved: BTreeSet<i64> = last.into_iter().filter_map(|(user, is)| is.then_some(user)).collect();
    Ok(u32::try_from(approved.len()).unwrap_or(u32::MAX))
}

/// Reads all pages of a list.
fn all<T: serde::de::DeserializeOwned>(client: &GiteaClient, path: &str) -> Result<Vec<T>, Unanswered> {
    let mut entries = Vec::new();
    for page in 1..=MAX_PAGES {
        let more: Vec<T> = client.list(path, &format!("?page={page}&limit=50"))?;
        if more.is_empty() {
            break;
        }
        entries.extend(more);
    }
    Ok(entries)
}
