//! Parses conventions in commit messages: types, reverts, co-authors. Pure.

use super::{Commit, Person, quotation};

/// The start of the sentence by which git names the reverted commit.
const SENTENCE: &str = "This reverts commit";

/// Maximum number of commits that one message reverts.
const MAX_REVERTED: usize = 16;

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

impl Commit {
    /// Returns the message's title, if it follows Conventional Commits.
    pub fn conventional(&self) -> Option<Conventional> {
        Conventional::parse(&self.message)
    }

    /// Returns the ids of the commits that this one reverts, as `git revert` and Gitea's button write
    /// them: in lines that begin with git's sentence, outside of quotations.
    ///
    /// A bot's message quotes other projects, so it counts only below a title of git's.
    pub fn reverts(&self) -> Vec<String> {
        if let Some((id, _)) = button(&self.message) {
            return vec![id.to_string()];
        }
        if !self.message.contains(SENTENCE) || self.is_of_bot() && !self.title.starts_with("Revert ") {
            return Vec::new();
        }
        let own = quotation::without(&self.message);
        let mut ids = Vec::new();
        for (at, _) in own.match_indices(SENTENCE) {
            let (before, sentence) = own.split_at_checked(at).unwrap_or_default();
            if !before.is_empty() && !before.ends_with('\n') {
                continue;
            }
            let rest = sentence.strip_prefix(SENTENCE).unwrap_or_default();
            ids.extend(match rest.strip_prefix("s ") {
                Some(rest) => listed(rest),
                None => rest.strip_prefix(' ').and_then(id).into_iter().map(ToString::to_string).collect(),
            });
        }
        ids.truncate(MAX_REVERTED);
        ids
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

/// Returns the ids at the start of `text`, such as `A, B and C`.
fn listed(text: &str) -> Vec<String> {
    let words =
        text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !matches!(*word, "" | "and"));
    let mut ids = Vec::new();
    for word in words.take(MAX_REVERTED) {
        let Some(id) = id(word) else { break };
        ids.push(id.to_string());
        // A full stop ends the sentence.
        if id.len() < word.len() {
            break;
        }
    }
    ids
}

/// Returns the full or abbreviated commit id at the start of `text`.
fn id(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
    let (id, after) = text.split_at_checked(end)?;
    ((7..=64).contains(&end) && !after.starts_with(|c: char| c.is_alphanumeric())).then_some(id)
}

#[cfg(test)]
mod tests;
