//! Summary of a deployment's commits, from their messages and trailers: authors, co-authors, AI
//! assistance, pull requests, tickets and reverts. Pure.

use std::{collections::HashSet, rc::Rc};

use super::{Commit, MessageRules, message::button, pull_request};

/// Maximum length of each list.
pub const MAX_TOLD: usize = 64;

/// Trailers that state AI assistance by their name, in lower case.
const ASSISTED: [&str; 4] = ["assisted-by", "generated-by", "ai-assisted-by", "ai-generated-by"];

/// Names of AI assistants, in lower case. They are searched for in `Co-authored-by` names and
/// addresses.
const ASSISTANTS: [&str; 10] =
    ["claude", "copilot", "codex", "chatgpt", "gemini", "cursor", "aider", "devin", "amazon q", "openhands"];

/// Summary of some commits.
///
/// Each list holds every item once, ordered by the newest commit that has it, and at most
/// [`MAX_TOLD`] items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSummary {
    /// Names of the authors. Merging does not make anyone an author.
    pub authors: Vec<String>,
    /// Names from `Co-authored-by` trailers, without those who are authors by name or address.
    pub co_authors: Vec<String>,
    /// Number of commits that are not merges.
    pub written: usize,
    /// Number of these commits with a trailer that states AI assistance. Commits without such a
    /// trailer are not counted.
    pub with_ai: usize,
    /// Numbers of the merged pull requests, from messages in Gitea's own form.
    pub pull_requests: Vec<i64>,
    /// Ticket keys in the messages.
    pub tickets: Vec<String>,
    /// Ids of the commits that were reverted and stayed reverted, as the messages give them. A
    /// revert of a revert does not count, and neither does the revert that it undoes.
    pub reverts: Vec<String>,
    /// True if a list was cut at its maximum.
    pub is_cut: bool,
}

impl RangeSummary {
    /// Summarises the commits, which must be ordered newest first.
    pub fn of(commits: &[Rc<Commit>], rules: &MessageRules) -> Self {
        let mut contents = Self::default();
        let mut is_cut = false;
        let mut names = HashSet::new();
        let mut addresses = HashSet::new();
        let is_merge = |commit: &Commit| commit.parents.len() > 1;
        for commit in commits.iter().filter(|commit| !is_merge(commit)) {
            names.insert(commit.author.name.to_lowercase());
            addresses.insert(commit.author.email.to_lowercase());
        }
        names.remove("");
        addresses.remove("");
        for commit in commits {
            for person in commit.co_authors() {
                let is_author = names.contains(&person.name.to_lowercase())
                    || addresses.contains(&person.email.to_lowercase());
                is_cut |= !is_author && !tell_name(&mut contents.co_authors, person.name);
            }
            if !is_merge(commit) {
                is_cut |= !tell_name(&mut contents.authors, commit.author.name.clone());
                contents.written += 1;
                contents.with_ai += usize::from(commit.is_assisted());
            }
            if let Some(number) = pull_request::stated(commit, rules.pages.as_ref()) {
                is_cut |= !tell(&mut contents.pull_requests, number);
            }
            for ticket in commit.tickets(&rules.projects) {
                is_cut |= !tell(&mut contents.tickets, ticket);
            }
        }
        for id in taken_back(commits) {
            is_cut |= !tell(&mut contents.reverts, id);
        }
        contents.is_cut = is_cut;
        contents
    }

    /// Adds the tickets of a branch.
    pub fn add_tickets(&mut self, tickets: Vec<String>) {
        for ticket in tickets {
            self.is_cut |= !tell(&mut self.tickets, ticket);
        }
    }

    /// Adds the pull request that the push itself merged, as the newest one.
    pub fn add_merged(&mut self, number: i64) {
        self.pull_requests.retain(|known| *known != number);
        self.pull_requests.insert(0, number);
        self.is_cut |= self.pull_requests.len() > MAX_TOLD;
        self.pull_requests.truncate(MAX_TOLD);
    }

    /// Returns [`Self::with_ai`] as a share of the commits that are not merges, from 0 to 1.
    /// Returns `None` if all are merges.
    pub fn ai_share(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 commits")]
        let share = self.with_ai as f64 / self.written as f64;
        (self.written > 0).then_some(share)
    }
}

impl Commit {
    /// Returns true if a trailer states AI assistance.
    pub fn is_assisted(&self) -> bool {
        let says_so =
            |(name, _): &(String, String)| ASSISTED.iter().any(|said| name.eq_ignore_ascii_case(said));
        self.trailers.iter().any(says_so)
            || self
                .co_authors()
                .iter()
                .any(|person| names_assistant(&format!("{} {}", person.name, person.email).to_lowercase()))
    }
}

/// Adds a name, unless it is empty. Returns false if there was no room.
fn tell_name(told: &mut Vec<String>, name: String) -> bool {
    name.is_empty() || tell(told, name)
}

/// Adds an item if it is new. Returns false if there was no room.
fn tell<T: PartialEq>(told: &mut Vec<T>, thing: T) -> bool {
    let is_known = told.contains(&thing);
    if !is_known && told.len() < MAX_TOLD {
        told.push(thing);
        return true;
    }
    is_known
}

/// Returns true if the text contains the name of an assistant as a whole word.
fn names_assistant(text: &str) -> bool {
    let is_inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    ASSISTANTS.iter().any(|name| {
        text.match_indices(name).any(|(at, _)| {
            !is_inside(text[..at].chars().next_back()) && !is_inside(text[at + name.len()..].chars().next())
        })
    })
}

/// Returns the ids of the commits that these commits, newest first, revert and do not bring back.
fn taken_back(commits: &[Rc<Commit>]) -> Vec<String> {
    let commits: Vec<Revert<'_>> = commits.iter().map(|commit| Revert::of(commit)).collect();
    let mut undone = HashSet::new();
    let mut ids = Vec::new();
    for commit in commits.iter().filter(|commit| !commit.targets.is_empty()) {
        if undone.contains(commit.id.as_str()) {
            continue;
        }
        for id in &commit.targets {
            let target = target(id, &commits);
            undone.extend(target.map(|target| target.id.as_str()));
            if !brings_back(commit, target, &commits, commits.len()) {
                ids.push(id.clone());
            }
        }
    }
    ids
}

/// A commit, with the ids that it reverts.
struct Revert<'c> {
    id: String,
    targets: Vec<String>,
    message: &'c str,
}

impl<'c> Revert<'c> {
    fn of(commit: &'c Commit) -> Self {
        Self { id: commit.id.to_string(), targets: commit.reverts(), message: &commit.message }
    }
}

fn target<'r, 'c>(id: &str, commits: &'r [Revert<'c>]) -> Option<&'r Revert<'c>> {
    commits.iter().find(|commit| commit.id.starts_with(id))
}

/// Returns true if a commit reverts another revert, and so brings a change back.
///
/// If the title has git's form, its nesting decides. Otherwise the reverted commit decides.
fn brings_back(
    commit: &Revert<'_>,
    reverted: Option<&Revert<'_>>,
    commits: &[Revert<'_>],
    depth: usize,
) -> bool {
    if let Some(turns) = turns(commit.message) {
        return turns % 2 == 0;
    }
    let Some((other, id)) = reverted.and_then(|other| Some((other, other.targets.first()?))) else {
        return false;
    };
    depth > 0 && !brings_back(other, target(id, commits), commits, depth - 1)
}

/// Returns the nesting depth of a revert message: 1 for a revert, 2 for a revert of a revert.
/// Returns `None` if the message does not tell.
fn turns(message: &str) -> Option<usize> {
    let mut rest = message;
    let mut turns = 0;
    loop {
        rest = match button(rest) {
            // The quoted message was removed.
            Some((_, "")) => return None,
            Some((_, quoted)) => quoted,
            None => match (rest.strip_prefix("Revert \""), rest.strip_prefix("Reapply \"")) {
                (Some(rest), _) => rest,
                // Git 2.43 and later write this instead of `Revert "Revert "`.
                (_, Some(rest)) => {
                    turns += 1;
                    rest
                }
                _ => break,
            },
        };
        turns += 1;
    }
    (turns > 0).then_some(turns)
}

#[cfg(test)]
mod tests;
