//! What people write into commit messages by convention: types, tickets, reverts, co-authors. Pure.

use super::{Commit, commit::Person};
use crate::text;

/// How many tickets one text may name.
const MAX_TICKETS: usize = 64;

/// What looks like a ticket's project and is a standard.
const NO_PROJECTS: [&str; 10] = ["AES", "CVE", "HTTP", "ISO", "MD", "RFC", "RSA", "SHA", "UCS", "UTF"];

/// A title by the rules of Conventional Commits 1.0: `fix(api)!: take no empty names`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conventional {
    /// The type, in lower case: `fix`.
    pub kind: String,
    /// What stands in the parentheses: `api`.
    pub scope: Option<String>,
    /// Whether there is a `!`, or a footer that says so.
    pub is_breaking: bool,
    /// The text behind the colon.
    pub description: String,
}

impl Conventional {
    /// Reads a commit's message, `None` if its first line is no conventional title
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

/// Returns the keys of tickets in `text`, such as `ACME-7`, each once and in order: two letters or more, in
/// capitals, a hyphen, a number. Names of standards that look alike are none.
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
    /// Returns what the message says by the rules of Conventional Commits.
    pub fn conventional(&self) -> Option<Conventional> {
        Conventional::parse(&self.message)
    }

    /// Returns the id of the commit that this one takes back, as `git revert` and Gitea's button write it.
    pub fn reverts(&self) -> Option<&str> {
        if let Some((id, _)) = button(&self.message) {
            return Some(id);
        }
        let (_, rest) = self.message.split_once("This reverts commit ")?;
        id(rest)
    }

    /// Returns who is named by `Co-authored-by` trailers.
    pub fn co_authors(&self) -> Vec<Person> {
        let named = self.trailers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("co-authored-by"));
        named.map(|(_, value)| Person::parse(value)).collect()
    }
}

impl Person {
    /// Reads `Name <address>`; without the brackets, all of it is the name.
    fn parse(said: &str) -> Self {
        let (name, email) = match said.rsplit_once('<') {
            Some((name, rest)) => (name, rest.split('>').next().unwrap_or_default()),
            None => (said, ""),
        };
        Self { name: text::line(name.trim()), email: text::line(email.trim()), time: None }
    }
}

/// Reads what Gitea's button "Revert" writes: `revert ID`, and below it `revert ` and the whole message of that commit,
/// which is returned beside the id (routers/web/repo/cherry_pick.go). What is quoted, trailers too, was not said again.
pub(super) fn button(message: &str) -> Option<(&str, &str)> {
    let (title, body) = message.split_once('\n').unwrap_or((message, ""));
    // The second form is that of an emptied title.
    let rest = title.strip_prefix("revert ").or_else(|| title.strip_prefix("Revert: "))?;
    let id = id(rest).filter(|id| *id == rest.trim_end())?;
    let body = body.trim();
    Some((id, body.strip_prefix("revert ").unwrap_or_default()))
}

/// Returns the id of a commit, or the beginning of one, that `text` begins with.
fn id(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
    (7..=64).contains(&end).then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conventional_titles() {
        let said = |message| {
            Conventional::parse(message).map(|c| {
                let scope = c.scope.unwrap_or_default();
                format!("{} {scope} {} {}", c.kind, c.is_breaking, c.description)
            })
        };
        assert_eq!(said("fix: a"), Some("fix  false a".into()));
        assert_eq!(said("Feat(api)!: drop v1"), Some("feat api true drop v1".into()));
        assert_eq!(said("feat: x\n\nBREAKING CHANGE: y"), Some("feat  true x".into()));
        assert_eq!(said("feat: x\n\nBREAKING-CHANGE #y"), Some("feat  true x".into()));
        for none in ["", "fix", "fix:a", "two words: x", "fix(): x", "(api): x", "fix: ", ": x"] {
            assert_eq!(said(none), None, "{none}");
        }
    }

    #[test]
    fn what_the_button_writes() {
        let id = "9d59409acf479dfa0df1aa568182e43e43df8bbe";
        assert_eq!(button(&format!("revert {id}\n\nrevert a\n\nb\n")), Some((id, "a\n\nb")));
        assert_eq!(button(&format!("Revert: {id}")), Some((id, "")));
        for none in ["revert 9d5940", "revert the tax", &format!("revert {id} and more"), "Revert \"a\""] {
            assert_eq!(button(none), None, "{none}");
        }
    }

    #[test]
    fn tickets_are_found_once_and_standards_are_none() {
        assert_eq!(tickets("ACME-7: fix (AB2-10), ACME-7 and X-1"), ["ACME-7", "AB2-10"]);
        for none in ["UTF-8", "SHA-256", "CVE-2024-1", "acme-7", "ACME-", "ACME-7a", "A-1", "7-7"] {
            assert_eq!(tickets(none), Vec::<String>::new(), "{none}");
        }
    }
}
