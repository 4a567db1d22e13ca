//! Attributes for the people behind an update: pusher, merger, author, committer and tagger.
//!
//! None of them is guessed from another. With a deploy key, Gitea names the repository's owner as
//! the pusher. The author of a merge commit is not always the one who merged (reference/gitea.md,
//! section 3.1).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{
    config::Emails,
    facts::{Facts, Person},
    marker::{Value, name},
    push::{MergeStep, Pusher, Source, UpdateSource},
    text::Hex,
};

/// User id that Gitea uses for pushes with the token of an Actions job
/// (models/user/user_system.go).
const ACTIONS_USER: i64 = -2;

/// Length of the hash of an address, in bytes. 16 bytes make collisions between people unlikely.
const HASH: usize = 16;

/// HMAC key for mail addresses. The `Debug` output does not contain it.
#[derive(Clone, Debug)]
pub struct AddressKey(Hmac<Sha256>);

impl AddressKey {
    /// Uses random bytes as the key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// Returns the hash of an address, in hexadecimal digits. Upper and lower case hash alike.
    pub fn hash(&self, address: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(address.to_lowercase().as_bytes());
        Hex(&mac.finalize().into_bytes()[..HASH]).to_string()
    }
}

/// Treatment of mail addresses in markers.
#[derive(Clone, Copy, Debug, Default)]
pub enum Addresses<'a> {
    /// No addresses.
    #[default]
    Hidden,
    /// Hashes with this key.
    Hashed(&'a AddressKey),
    /// The addresses in plain text.
    Plain,
}

impl<'a> Addresses<'a> {
    /// Returns the treatment that the configuration asks for. Without a key, addresses are hidden.
    pub fn of(emails: Emails, key: Option<&'a AddressKey>) -> Self {
        match emails {
            Emails::Plain => Self::Plain,
            Emails::Hashed => key.map_or(Self::Hidden, Self::Hashed),
            Emails::None => Self::Hidden,
        }
    }
}

/// Returns the attributes of everyone who is known to have taken part in the update.
pub(super) fn of(facts: &Facts, addresses: Addresses<'_>) -> Vec<(&'static str, Value)> {
    let source = facts.push().source();
    let mut people: Vec<(&'static str, Value)> = Vec::new();
    let mut add = |name, value: Option<Value>| people.extend(value.map(|value| (name, value)));

    let kind = pusher_kind(source);
    add(name::PUSHER_KIND, kind.map(Value::from));
    // A scan does not see the person. The pusher is the one that Gitea's API named.
    let is_of_api = source.found_by == UpdateSource::Scan && kind.is_some();
    add(name::PUSHER_FROM, is_of_api.then(|| "api".into()));
    add(name::DEPLOY_KEY_ID, source.deploy_key_id.map(Value::Int));
    add(name::ACTIONS_TASK_ID, source.actions_task_id.map(Value::Int));
    let pusher = pusher(source);
    add(name::USER_ID, pusher.and_then(|pusher| pusher.id).map(|id| id.to_string().into()));
    if let Some(pull_request) = source.pull_request {
        let is_merged = pull_request.step == MergeStep::Merged;
        let number = facts.merged_pull_request().ok().flatten().or(pull_request.number);
        add(name::CHANGE_ID, number.map(|number| number.to_string().into()));
        add(name::CHANGE_STATE, is_merged.then(|| "merged".into()));
        add(name::MERGED_BY, pusher.filter(|_| is_merged).map(|pusher| pusher.name.clone().into()));
    }

    let Ok(target) = facts.target() else { return people };
    if let Some(commit) = &target.commit {
        // Most commits are committed by their author, and naming the same person twice adds
        // nothing.
        let is_another = |committer: &Person| {
            (&committer.name, &committer.email) != (&commit.author.name, &commit.author.email)
        };
        let author = (&commit.author, [name::AUTHOR_NAME, name::AUTHOR_EMAIL, name::AUTHOR_HASH]);
        let committer =
            (&commit.committer, [name::COMMITTER_NAME, name::COMMITTER_EMAIL, name::COMMITTER_HASH]);
        let committer = Some(committer).filter(|(person, _)| is_another(person));
        for (person, [plain_name, email, hashed]) in [author].into_iter().chain(committer) {
            add(plain_name, Some(person.name.clone().into()));
            match addresses {
                _ if person.email.is_empty() => {}
                Addresses::Hidden => {}
                Addresses::Plain => add(email, Some(person.email.clone().into())),
                Addresses::Hashed(key) => add(hashed, Some(key.hash(&person.email).into())),
            }
        }
        let co_authors: Vec<String> = commit
            .co_authors()
            .into_iter()
            .map(|person| person.name)
            .filter(|name| !name.is_empty())
            .collect();
        add(name::CO_AUTHORS, (!co_authors.is_empty()).then_some(Value::List(co_authors)));
    }
    let tagger = target.tag.as_ref().and_then(|tag| tag.tagger.as_ref());
    add(name::TAGGER, tagger.map(|tagger| tagger.name.clone().into()));
    people
}

/// Returns the pusher. With a deploy key, Gitea names the repository's owner, who is left out.
pub(super) fn pusher(source: &Source) -> Option<&Pusher> {
    source.pusher.as_ref().filter(|_| source.deploy_key_id.is_none())
}

/// Returns the kind of pusher, or `None` outside Gitea.
fn pusher_kind(source: &Source) -> Option<&'static str> {
    let pusher = source.pusher.as_ref();
    if source.deploy_key_id.is_some() {
        return Some("deploy_key");
    }
    let is_actions = pusher.is_some_and(|pusher| pusher.id == Some(ACTIONS_USER));
    if source.actions_task_id.is_some() || is_actions {
        return Some("actions_task");
    }
    pusher.map(|_| "user")
}
