//! Parses conventions in commit messages: types, tickets, reverts, co-authors. Pure.

use super::{Commit, Person};

/// Maximum number of tickets from one text.
const MAX_TICKETS: usize = 64;

/// Names of standards that look like a ticket's project.
const NO_PROJECTS: [&str; 10] = ["AES", "CVE", "HTTP", "ISO", "MD", "RFC", "RSA", "SHA", "UCS", "UTF"];

/// A title in the form of Conventional Commits 1.0: `fix(api)!: take no empty names`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conventional {
    /// The type, in lower case: `fix`.
    pub kind: String,
    /// The scope in parentheses: `api`.
    pub scope: Option<String>,
    /// True if there is a `!`, or a `BREAKING CHANGE` footer.
    pub is_breaking: bool,
    /// The text after the colon.
    pub description: String,
}

impl Conventional {
    /// Parses a commit's message. Returns `None` if its first line is not a conventional title
    /// (conventionalcommits.org 1.0.0, items 1 to 5 and 11 to 16).
    pub fn parse(message: &str) -> Option<Self> {
        let title = message.lines().next()?;
        let (head, description) = title.split_once(": ")?;
        let (head, has_mark) = head.strip_suffix('!').map_or((head, false), |head| (head, true));
        let (kind, scope) = match head.strip_suffix(')') {
            Some(head) => head.split_once('(').map(|(kind, scope)| (kind, Some(scope)))?,
            None => (head, None),
        };
        let is_word = !kind.is_empty() && kind.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        if !is_word || scope.is_some_and(|scope| scope.trim().is_empty()) || description.trim().is_empty() {
            return None;
        }
        let has_footer = || {
            message.lines().skip(1).any(|line| {
                line.strip_prefix("BREAKING CHANGE")
                    .or_else(|| line.strip_prefix("BREAKING-CHANGE"))
                    .is_some_and(|rest| rest.starts_with(": ") || rest.starts_with(" #"))
            })
        };
        Some(Self {
            kind: kind.to_lowercase(),
            scope: scope.map(|scope| scope.trim().to_string()),
            is_breaking: has_mark || has_footer(),
            description: description.trim().to_string(),
        })
    }
}

/// Returns the ticket keys in `text`, such as `ACME-7`, each once and in order. A key is a project
/// of at least two characters, in capitals, then a hyphen and a number. Names of standards, such as
/// `UTF-8`, are left out.
pub fn tickets(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))) {
        let Some((project, number)) = word.split_once('-') else { continue };
        let is_project = project.len() >= 2
            && project.starts_with(|c: char| c.is_ascii_uppercase())
            && project.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            && !NO_PROJECTS.contains(&project);
        let is_number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
        if is_project && is_number && !found.iter().any(|ticket| ticket == word) {
            found.push(word.to_string());
            if found.len() == MAX_TICKETS {
                break;
            }
        }
    }
    found
}

impl Commit {
    /// Returns the message's title, if it follows Conventional Commits.
    pub fn conventional(&self) -> Option<Conventional> {
        Conventional::parse(&self.message)
    }

    /// Returns the id of the commit that this one reverts, as `git revert` and Gitea's button write
    /// it.
    pub fn reverts(&self) -> Option<&str> {
        if let Some((id, _)) = button(&self.message) {
            return Some(id);
        }
        let (_, rest) = self.message.split_once("This reverts commit ")?;
        id(rest)
    }

    /// Returns the people in `Co-authored-by` trailers.
    pub fn co_authors(&self) -> Vec<Person> {
        let named = self.trailers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("co-authored-by"));
        named.map(|(_, value)| Person::parse(value)).collect()
    }
}

/// Parses the message of Gitea's Revert button (routers/web/repo/cherry_pick.go): `revert ID`, then
/// `revert ` and the whole message of the reverted commit. Returns the id and the quoted message.
///
/// Anything in the quoted message, including trailers, belongs to the reverted commit.
pub(super) fn button(message: &str) -> Option<(&str, &str)> {
    let (title, body) = message.split_once('\n').unwrap_or((message, ""));
    // Gitea writes the second form if the title was emptied.
    let rest = title.strip_prefix("revert ").or_else(|| title.strip_prefix("Revert: "))?;
    let id = id(rest).filter(|id| *id == rest.trim_end())?;
    let body = body.trim();
    Some((id, body.strip_prefix("revert ").unwrap_or_default()))
}

/// Returns the full or abbreviated commit id at the start of `text`.
fn id(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
    (7..=64).contains(&end).then(|| &text[..end])
}

#[cfg(test)]
mod tests;
