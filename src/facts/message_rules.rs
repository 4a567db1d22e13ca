//! The site's rules for reading messages, and what they find in a commit.

use std::rc::Rc;

use super::{
    Commit, Facts, Range,
    pull_request::PullRequestPages,
    quotation,
    tickets::{TicketList, TicketProjects},
};
use crate::push::RefKind;

/// Titles by which git and Gitea merge. They contain the name of a branch.
const MERGES: [&str; 4] =
    ["Merge pull request ", "Merge branch ", "Merge branches ", "Merge remote-tracking branch "];

/// Names of bots without `[bot]` or `-bot`, in lower case.
const BOTS: [&str; 8] = [
    "bot",
    "dependabot",
    "dependabot-preview",
    "greenkeeper",
    "pre-commit-ci",
    "renovate",
    "renovate bot",
    "snyk",
];

/// Rules for reading the messages of a repository's commits.
#[derive(Clone, Debug, Default)]
pub struct MessageRules {
    /// The projects whose tickets count.
    pub projects: TicketProjects,
    /// The pages of the repository's pull requests. Without any, every address counts.
    pub pages: Option<PullRequestPages>,
}

impl Facts {
    /// Sets the rules for reading messages. The first call counts.
    pub fn read_messages_by(&self, rules: MessageRules) {
        let _ = self.message_rules.set(Rc::new(rules));
    }

    /// Returns the rules for reading messages.
    pub fn message_rules(&self) -> &Rc<MessageRules> {
        self.message_rules.get_or_init(Rc::default)
    }

    /// Returns the tickets that the name of the updated branch contains.
    pub fn tickets_of_branch(&self, projects: &TicketProjects) -> Vec<String> {
        let mut found = TicketList::default();
        if let RefKind::Branch(name) = self.update().ref_name().kind() {
            projects.add_from_branch(&name.to_string(), &mut found);
        }
        found.into_vec()
    }
}

impl Range {
    /// Returns the tickets that the commits name, each once, in the order of their newest commit.
    pub fn tickets(&self, projects: &TicketProjects) -> Vec<String> {
        let mut found = TicketList::default();
        for commit in &self.commits {
            commit.add_tickets(projects, &mut found);
        }
        found.into_vec()
    }
}

impl Commit {
    /// Returns the tickets that the message names, without those in quotations. The title of a merge
    /// also names those of its branch.
    pub fn tickets(&self, projects: &TicketProjects) -> Vec<String> {
        let mut found = TicketList::default();
        self.add_tickets(projects, &mut found);
        found.into_vec()
    }

    fn add_tickets(&self, projects: &TicketProjects, found: &mut TicketList) {
        // The rest of a bot's message is the change log of another project.
        let text =
            if self.is_of_bot() { self.title.as_str().into() } else { quotation::without(&self.message) };
        projects.add_from_text(&text, found);
        if MERGES.iter().any(|merge| self.title.starts_with(merge)) {
            projects.add_from_branch(&self.title, found);
        }
    }

    /// Returns true if the author calls itself a bot.
    pub fn is_of_bot(&self) -> bool {
        let name = self.author.name.to_lowercase();
        let (user, _) = self.author.email.split_once('@').unwrap_or_default();
        name.ends_with("[bot]")
            || name.ends_with("-bot")
            || BOTS.contains(&name.as_str())
            || user.to_lowercase().ends_with("[bot]")
    }
}
