//! What a test is played on: the commits and tags of a small repository, what a push does to its refs, and who
//! pushes. Commits are numbered in the order in which they are made.

use std::{collections::BTreeMap, rc::Rc};

use crate::{
    push::{MergeStep, PullRequest, PushOptions, Pusher, RefName, Repository, Transport},
    time::Timestamp,
};

/// A history and a push.
#[derive(Debug)]
pub(super) struct Scene {
    /// In an order in which parents come first.
    pub commits: Vec<Commit>,
    /// The annotated tags that the push makes.
    pub tags: Vec<Tag>,
    /// What every ref names when the push has landed, by its full name.
    pub refs: BTreeMap<String, Point>,
    /// The full name of the branch that `HEAD` names.
    pub head: String,
    /// The updates of the push, in order.
    pub updates: Vec<Change>,
    /// Who pushes, where to and how.
    pub origin: Origin,
}

/// What a ref names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// A commit, by its number.
    Commit(usize),
    /// An annotated tag, by its number.
    Tag(usize),
}

/// A commit and everything that is in it.
#[derive(Debug)]
pub(super) struct Commit {
    /// What other texts of the test call it: `{label}` stands for its id.
    pub label: Option<String>,
    pub message: String,
    pub author: Person,
    pub committer: Person,
    pub time: Option<Timestamp>,
    /// Every file, by its path.
    pub files: BTreeMap<String, Rc<str>>,
    pub parents: Vec<usize>,
    pub is_signed: bool,
}

/// An annotated tag of a commit.
#[derive(Debug)]
pub(super) struct Tag {
    /// The short name.
    pub name: String,
    pub commit: usize,
    pub message: String,
    pub tagger: Person,
    pub time: Option<Timestamp>,
    pub is_signed: bool,
}

/// A name and an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub name: String,
    pub email: String,
}

/// One update: what the ref named, and what it names now. Never nothing both times.
#[derive(Debug)]
pub(super) struct Change {
    pub ref_name: RefName,
    pub old: Option<Point>,
    pub new: Option<Point>,
}

/// What Gitea says of a push.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub repository: Repository,
    pub pusher: Option<Pusher>,
    pub options: PushOptions,
    pub transport: Transport,
    pub pull_request: Option<PullRequest>,
    pub is_internal: bool,
    pub is_deploy_key: bool,
    pub actions_task: Option<i64>,
    pub time: Timestamp,
}

/// How far a commit that says no time is before the next one, in seconds.
const STEP: i64 = 60;

impl Scene {
    /// Returns when a commit was made: those that say no time are a minute apart, the last one a minute before the
    /// push.
    pub fn time_of(&self, commit: usize) -> Timestamp {
        let before = || {
            let steps = i64::try_from(self.commits.len() - commit).ok()?;
            Timestamp::from_second(self.origin.time.as_second() - steps * STEP).ok()
        };
        self.commits[commit].time.or_else(before).unwrap_or(self.origin.time)
    }

    /// Returns the number of the commit that `point` comes to.
    pub fn commit_of(&self, point: Point) -> usize {
        match point {
            Point::Commit(number) => number,
            Point::Tag(number) => self.tags[number].commit,
        }
    }
}

impl Person {
    /// Reads `Name <address>`; without an address, one is made of the name.
    ///
    /// # Errors
    /// If git could not write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected a person such as `Ann Author <ann@example.org>`, found `{}`",
                crate::text::line(text)
            )
        };
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

    /// Returns who writes and tags where a test names nobody.
    pub fn somebody() -> Self {
        Self { name: "Ann Author".into(), email: "ann@example.org".into() }
    }
}

/// Returns the pull request that a push is about.
pub(super) fn pull_request(number: Option<i64>, is_merge: bool) -> Option<PullRequest> {
    let step = if is_merge { MergeStep::Merged } else { MergeStep::Updated };
    (number.is_some() || is_merge).then_some(PullRequest { number, step })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_a_name_and_an_address() {
        let person = |text| Person::parse(text).map(|person| (person.name, person.email));
        assert_eq!(person("Ann <a@b>"), Ok(("Ann".into(), "a@b".into())));
        assert_eq!(person("Rita Release"), Ok(("Rita Release".into(), "ritarelease@example.org".into())));
        for wrong in ["", "<a@b>", "Ann <a@b", "A\nnn <a@b>", "Ann <a<b>"] {
            let said = person(wrong).expect_err(wrong);
            assert!(said.starts_with("expected a person such as `Ann Author <ann@example.org>`"), "{said}");
        }
    }
}
