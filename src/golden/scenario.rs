//! A scenario for a test: the commits and tags of a small repository, the ref updates of a push,
//! and the origin of the push. Commits are numbered in the order of their creation.

use std::{collections::BTreeMap, rc::Rc};

use thiserror::Error;

use crate::{
    push::{
        MergeStep, PullRequest, PushOptions, Pusher, RefName, RepositoryIdentity, Transport, UpdateSource,
    },
    sys::time::Timestamp,
};

/// A history and a push.
#[derive(Debug)]
pub(super) struct Scenario {
    /// Commits, with parents before children.
    pub commits: Vec<ScenarioCommit>,
    /// Annotated tags that the push creates.
    pub tags: Vec<ScenarioTag>,
    /// Targets of all refs after the push, by full name.
    pub refs: BTreeMap<String, Point>,
    /// Full name of the branch that `HEAD` points to.
    pub head: String,
    /// Ref updates of the push, in order.
    pub updates: Vec<ScenarioUpdate>,
    /// Repository, pusher and transport of the push.
    pub origin: PushOrigin,
}

/// The target of a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// Number of a commit.
    Commit(usize),
    /// Number of an annotated tag.
    Tag(usize),
}

/// A commit with its full tree.
#[derive(Debug)]
pub(super) struct ScenarioCommit {
    /// Name by which the test refers to the commit. `{label}` expands to its ID.
    pub label: Option<String>,
    pub message: String,
    pub author: ScenarioPerson,
    pub committer: ScenarioPerson,
    pub time: Option<Timestamp>,
    /// Content of every file, by path.
    pub files: BTreeMap<String, Rc<str>>,
    pub parents: Vec<usize>,
    pub is_signed: bool,
}

/// An annotated tag of a commit.
#[derive(Debug)]
pub(super) struct ScenarioTag {
    /// Short name.
    pub name: String,
    pub commit: usize,
    pub message: String,
    pub tagger: ScenarioPerson,
    pub time: Option<Timestamp>,
    pub is_signed: bool,
}

/// A name and an email address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScenarioPerson {
    pub name: String,
    pub email: String,
}

/// A ref update with the old and the new target. At least one is `Some`.
#[derive(Debug)]
pub(super) struct ScenarioUpdate {
    pub ref_name: RefName,
    pub old: Option<Point>,
    pub new: Option<Point>,
}

/// The origin of a push, as Gitea reports it.
#[derive(Clone, Debug)]
pub(super) struct PushOrigin {
    pub repository: RepositoryIdentity,
    pub pusher: Option<Pusher>,
    pub options: PushOptions,
    pub found_by: UpdateSource,
    pub transport: Transport,
    pub pull_request: Option<PullRequest>,
    pub is_internal: bool,
    pub is_deploy_key: bool,
    pub actions_task: Option<i64>,
    pub time: Timestamp,
}

/// Time between commits that state no time, in seconds.
const STEP: i64 = 60;

impl Scenario {
    /// Returns the time of a commit. Commits that state none are one minute apart, and the last is
    /// one minute before the push.
    pub fn time_of(&self, commit: usize) -> Timestamp {
        let before = || {
            let steps = i64::try_from(self.commits.len() - commit).ok()?;
            Timestamp::from_second(self.origin.time.as_second() - steps * STEP).ok()
        };
        self.commits[commit].time.or_else(before).unwrap_or(self.origin.time)
    }

    /// Returns the number of the commit that `point` refers to, directly or through a tag.
    pub fn commit_of(&self, point: Point) -> usize {
        match point {
            Point::Commit(number) => number,
            Point::Tag(number) => self.tags[number].commit,
        }
    }
}

/// A text that does not name a person.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("expected a person such as `Ann Author <ann@example.org>`, found `{0}`")]
pub(super) struct NotAPerson(String);

impl ScenarioPerson {
    /// Parses `Name <address>`. Without an address, derives one from the name.
    ///
    /// # Errors
    /// If git could not write the name or the address.
    pub fn parse(text: &str) -> Result<Self, NotAPerson> {
        let wrong = || NotAPerson(crate::text::line(text));
        let (name, email) = match text.split_once('<') {
            Some((name, rest)) => (name.trim(), rest.strip_suffix('>').ok_or_else(wrong)?.to_string()),
            None => {
                let local: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
                (text.trim(), format!("{}@example.org", local.to_lowercase()))
            }
        };
        let is_possible = |text: &str| !text.contains(['<', '>']) && !text.chars().any(char::is_control);
        if name.is_empty() || !is_possible(name) || !is_possible(&email) {
            return Err(wrong());
        }
        Ok(Self { name: name.to_string(), email })
    }

    /// Returns the author and tagger to use if a test names none.
    pub fn somebody() -> Self {
        Self { name: "Ann Author".into(), email: "ann@example.org".into() }
    }
}

/// Returns the pull request that a push belongs to.
pub(super) fn pull_request(number: Option<i64>, is_merge: bool) -> Option<PullRequest> {
    let step = if is_merge { MergeStep::Merged } else { MergeStep::Updated };
    (number.is_some() || is_merge).then_some(PullRequest { number, step })
}

#[cfg(test)]
mod tests;
