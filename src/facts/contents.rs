//! What is in a deployment, by what people and tools wrote into its commits: who, with whom, with what, and what for.
//! Pure.

use std::{collections::HashSet, rc::Rc};

use super::{
    Commit,
    message::{button, tickets},
    pull_request,
};

/// How many of each thing are told.
pub const MAX_TOLD: usize = 64;

/// Trailers that say by their name that an AI had a part, in lower case.
const ASSISTED: [&str; 4] = ["assisted-by", "generated-by", "ai-assisted-by", "ai-generated-by"];

/// Who is an assistant when named by `Co-authored-by`: words of the name or the address, in lower case.
const ASSISTANTS: [&str; 10] =
    ["claude", "copilot", "codex", "chatgpt", "gemini", "cursor", "aider", "devin", "amazon q", "openhands"];

/// What is in some commits. Every list names a thing once, in the order of the newest commit that does, and at most
/// [`MAX_TOLD`] things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The names of the authors. Who merged has written nothing by it.
    pub authors: Vec<String>,
    /// The names that `Co-authored-by` trailers tell and that are no author's, by name or address.
    pub co_authors: Vec<String>,
    /// How many commits are no merges.
    pub written: usize,
    /// How many of these say in a trailer that an AI had a part in them. Who leaves the trailer out is not counted.
    pub with_ai: usize,
    /// The numbers of the pull requests that were merged, by messages in Gitea's own form.
    pub pull_requests: Vec<i64>,
    /// The keys of tickets in the messages.
    pub tickets: Vec<String>,
    /// The ids of the commits that were taken back, as the messages tell them, and stayed so: what brings a commit back
    /// is no revert, and neither is the revert that it takes back.
    pub reverts: Vec<String>,
    /// Whether a list would have been longer.
    pub is_cut: bool,
}

impl Contents {
    /// Reads the commits, which are given newest first.
    pub fn of(commits: &[Rc<Commit>]) -> Self {
        let mut contents = Self::default();
        let mut is_cut = false;
        let mut names = HashSet::new();
        let mut addresses = HashSet::new();
        let is_merge = |commit: &Commit| commit.parents.len() > 1;
        for commit in commits.iter().filter(|commit| !is_merge(commit)) {
            names.insert(commit.author.name.to_lowercase());
            addresses.insert(commit.author.email.to_lowercase());
        }
        addresses.remove("");
        for commit in commits {
            for person in commit.co_authors() {
                let is_author = names.contains(&person.name.to_lowercase())
                    || addresses.contains(&person.email.to_lowercase());
                is_cut |= !is_author && !tell(&mut contents.co_authors, person.name);
            }
            if !is_merge(commit) {
                is_cut |= !tell(&mut contents.authors, commit.author.name.clone());
                contents.written += 1;
                contents.with_ai += usize::from(commit.is_assisted());
            }
            if let Some(number) = pull_request::stated(commit) {
                is_cut |= !tell(&mut contents.pull_requests, number);
            }
            for ticket in tickets(&commit.message) {
                is_cut |= !tell(&mut contents.tickets, ticket);
            }
        }
        for id in taken_back(commits) {
            is_cut |= !tell(&mut contents.reverts, id.to_string());
        }
        contents.is_cut = is_cut;
        contents
    }

    /// Returns the share of [`Self::with_ai`], from 0 to 1, `None` if there are only merges.
    pub fn ai_share(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 commits")]
        let share = self.with_ai as f64 / self.written as f64;
        (self.written > 0).then_some(share)
    }
}

impl Commit {
    /// Returns whether a trailer says that an AI had a part in the commit.
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

/// Adds a thing that is not there yet, and returns whether there was room for it.
fn tell<T: PartialEq>(told: &mut Vec<T>, thing: T) -> bool {
    let is_known = told.contains(&thing);
    if !is_known && told.len() < MAX_TOLD {
        told.push(thing);
        return true;
    }
    is_known
}

/// Returns whether an assistant is one of the words: what is around it is no letter, digit or underscore.
fn names_assistant(text: &str) -> bool {
    let is_inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    ASSISTANTS.iter().any(|name| {
        text.match_indices(name).any(|(at, _)| {
            !is_inside(text[..at].chars().next_back()) && !is_inside(text[at + name.len()..].chars().next())
        })
    })
}

/// Returns the ids of the commits that these commits, newest first, take back for good.
fn taken_back(commits: &[Rc<Commit>]) -> Vec<&str> {
    let mut undone = HashSet::new();
    let mut ids = Vec::new();
    for commit in commits {
        let Some(id) = commit.reverts() else { continue };
        if undone.contains(&commit.id) {
            continue;
        }
        let target = commits.iter().find(|other| other.id.to_string().starts_with(id));
        undone.extend(target.map(|target| target.id));
        if !brings_back(commit, commits, commits.len()) {
            ids.push(id);
        }
    }
    ids
}

/// Returns whether a commit that takes another one back brings something back by that: what it takes back is a revert
/// itself. The title tells, as git writes it; of one that somebody wrote, the other commit.
fn brings_back(commit: &Commit, commits: &[Rc<Commit>], depth: usize) -> bool {
    if let Some(turns) = turns(&commit.message) {
        return turns % 2 == 0;
    }
    let target =
        commit.reverts().and_then(|id| commits.iter().find(|other| other.id.to_string().starts_with(id)));
    depth > 0
        && target.is_some_and(|other| other.reverts().is_some() && !brings_back(other, commits, depth - 1))
}

/// Returns how often a message turns something back and forth: once for a revert, twice for a revert of one. `None` if
/// it does not say.
fn turns(message: &str) -> Option<usize> {
    let mut rest = message;
    let mut turns = 0;
    loop {
        rest = match button(rest) {
            // Somebody took the quoted message out.
            Some((_, "")) => return None,
            Some((_, quoted)) => quoted,
            None => match (rest.strip_prefix("Revert \""), rest.strip_prefix("Reapply \"")) {
                (Some(rest), _) => rest,
                // What `Revert "Revert "` is called since git 2.43.
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
mod tests {
    use super::*;
    use crate::{facts::Person, push::ObjectId};

    /// Makes a commit; the digit makes its id, and its trailers are the last lines of its message.
    fn commit(digit: char, author: &str, message: &str, parents: usize) -> Rc<Commit> {
        let id = |digit: char| ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).expect("an id");
        let person = Person {
            name: author.into(),
            email: format!("{}@example.org", author.to_lowercase()),
            time: None,
        };
        let last = message.rsplit_once("\n\n").map_or("", |(_, last)| last);
        let trailers = last.lines().filter_map(|line| line.split_once(": "));
        Rc::new(Commit {
            id: id(digit),
            author: person.clone(),
            committer: person,
            title: message.lines().next().unwrap_or_default().into(),
            message: message.into(),
            trailers: trailers.map(|(name, value)| (name.into(), value.into())).collect(),
            parents: vec![id('0'); parents],
            is_signed: false,
            tree: id('0'),
        })
    }

    #[test]
    fn who_wrote_is_told_once_and_the_newest_first() {
        let contents = Contents::of(&[
            commit('1', "Bo", "a\n\nCo-authored-by: Cy <cy@example.org>\nCo-authored-by: Ann <a@x>", 1),
            commit('2', "Ann", "b\n\nCo-Authored-By: Robert <BO@example.org>\nCo-authored-by: Di <>", 1),
            commit('3', "Bo", "c\n\nCo-authored-by: Cy <other@example.org>", 1),
        ]);
        assert_eq!(contents.authors, ["Bo", "Ann"]);
        assert_eq!(contents.co_authors, ["Cy", "Di"], "Robert has Bo's address");
        assert_eq!(Contents::of(&[]), Contents::default());
        let merge = commit('4', "Mo", "Merge branch 'a'", 2);
        let contents = Contents::of(&[merge, commit('1', "Bo", "a\n\nCo-authored-by: Mo <mo@x>", 1)]);
        assert_eq!((contents.authors, contents.co_authors), (vec!["Bo".into()], vec!["Mo".into()]));
    }

    #[test]
    fn what_was_written_with_an_ai_is_counted_by_trailers_and_merges_are_not() {
        let assisted = |message: &str| {
            let contents = Contents::of(&[commit('1', "Bo", message, 1)]);
            assert_eq!(contents.written, 1);
            contents.with_ai == 1
        };
        for yes in [
            "a\n\nCo-authored-by: Claude <noreply@anthropic.com>",
            "a\n\nCo-Authored-By: copilot-swe-agent[bot] <198982749+Copilot@users.noreply.github.com>",
            "a\n\nCo-authored-by: aider (gpt-5) <noreply@aider.chat>",
            "a\n\nCo-authored-by: Amazon Q Developer <q@example.org>",
            "a\n\nASSISTED-BY: some model",
            "a\n\nGenerated-by: some tool",
            "a\n\nAI-Assisted-by: somebody",
        ] {
            assert!(assisted(yes), "{yes}");
        }
        for no in [
            "Ask Claude",
            "a\n\nCo-authored-by: Claudette Cursorini <claudette@example.org>",
            "a\n\nReviewed-by: Claude <claude@example.org>",
            "a\n\nCo-authored-by: my_codex <x@y>",
        ] {
            assert!(!assisted(no), "{no}");
        }
        let contents = Contents::of(&[
            commit('1', "Bo", "Merge branch 'x'\n\nAssisted-by: some model", 2),
            commit('2', "Bo", "a\n\nAssisted-by: one\nGenerated-by: two", 1),
            commit('3', "Bo", "b", 0),
            commit('4', "Bo", "c", 1),
        ]);
        assert_eq!((contents.with_ai, contents.written), (1, 3));
        assert_eq!(contents.ai_share().map(|share| (share * 100.0).round()), Some(33.0));
        assert_eq!(Contents::of(&[commit('1', "Bo", "Merge", 2)]).ai_share(), None);
    }

    #[test]
    fn pull_requests_count_where_the_message_is_gitea_s() {
        let told = |message: &str, parents| {
            Contents::of(&[commit('1', "Bo", message, parents)]).pull_requests.first().copied()
        };
        let merge = "Merge pull request 'Pay (#3) by card' (#12) from pay into main";
        let reviewed = "\n\nReviewed-on: https://git.example.com/acme/shop/pulls/14\nReviewed-by: Ann <a@x>";
        assert_eq!(told(merge, 2), Some(12));
        assert_eq!(told("Merge pull request 'Pay' (!12) from bo/shop:pay into main", 2), Some(12));
        assert_eq!(told(&format!("Pay (#12){reviewed}"), 1), Some(14), "the address says it for certain");
        assert_eq!(told(&format!("Pay{reviewed}\n\nCo-authored-by: Cy <c@x>"), 1), Some(14));
        for no in [
            "Pay (#12)",
            "Fix #12",
            "Merge pull request #12 from bo/pay",
            "a\n\nReviewed-on: https://go-review.example.com/c/go/+/12",
            "a\n\nReviewed-on: https://git.example.com/acme/shop/pulls/0",
            "a\n\nSee: https://git.example.com/acme/shop/pulls/12",
            "revert 9d59409acf479dfa0df1aa568182e43e43df8bbe\n\nrevert Pay (#12)\n\nReviewed-on: https://git.example.com/acme/shop/pulls/12",
        ] {
            assert_eq!(told(no, 1), None, "{no}");
        }
        assert_eq!(told(merge, 1), None, "a merge has two parents");
        assert_eq!(told("Merge branch 'pay' (#12)", 2), None);
    }

    #[test]
    fn what_was_taken_back_and_stayed_so() {
        let back = |title: &str, digit: char| {
            format!("{title}\n\nThis reverts commit {}.", digit.to_string().repeat(40))
        };
        let reverts = |commits: &[Rc<Commit>]| -> String {
            let contents = Contents::of(commits);
            contents.reverts.iter().filter_map(|id| id.chars().next()).collect()
        };
        let revert = || commit('2', "Bo", &back("Revert \"a\"", '1'), 1);
        let first = || commit('1', "Bo", "a", 1);
        assert_eq!(reverts(&[revert(), first()]), "1");
        assert_eq!(reverts(&[revert()]), "1", "what is taken back is older");
        for title in ["Revert \"Revert \"a\"\"", "Reapply \"a\"", "Once more"] {
            let again = || commit('3', "Bo", &back(title, '2'), 1);
            assert_eq!(reverts(&[again(), revert(), first()]), "", "{title}");
            if title != "Once more" {
                assert_eq!(reverts(&[again()]), "", "{title}");
            }
            let not = commit('4', "Bo", &back("Revert \"Reapply \"a\"\"", '3'), 1);
            assert_eq!(reverts(&[not, again(), revert(), first()]), "31", "{title}");
        }
        // Gitea's button says it in words of its own, and quotes the message.
        let press =
            |quoted: &str, digit: char| format!("revert {}\n\n{quoted}", digit.to_string().repeat(40));
        let pressed = press("revert a", '1');
        let again = press(&format!("revert {pressed}"), '2');
        assert_eq!(reverts(&[commit('2', "Bo", &pressed, 1)]), "1");
        assert_eq!(reverts(&[commit('3', "Bo", &again, 1)]), "");
        assert_eq!(reverts(&[commit('3', "Bo", &again, 1), commit('2', "Bo", &pressed, 1), first()]), "");
        let bare = || commit('3', "Bo", &press("", '2'), 1);
        assert_eq!(reverts(&[bare(), commit('2', "Bo", &pressed, 1), first()]), "", "the other commit tells");
        let mixed = press(&format!("revert {}", back("Revert \"a\"", '1')), '2');
        assert_eq!(reverts(&[commit('3', "Bo", &mixed, 1)]), "");
        // Two that claim to take each other back end nobody's search.
        let knot = [commit('5', "Bo", &back("x", '6'), 1), commit('6', "Bo", &back("y", '5'), 1)];
        assert!(reverts(&knot).len() <= 2);
    }

    #[test]
    fn lists_are_bounded_and_say_so() {
        let tickets: Vec<String> = (1..=MAX_TOLD).map(|nth| format!("ACME-{nth}")).collect();
        let mut commits = vec![commit('1', "Bo", &tickets.join(" "), 1)];
        let contents = Contents::of(&commits);
        assert_eq!((contents.tickets.len(), contents.is_cut), (MAX_TOLD, false));
        commits.push(commit('2', "Bo", "ACME-1 and SHOP-1", 1));
        let contents = Contents::of(&commits);
        assert_eq!((contents.tickets.len(), contents.is_cut), (MAX_TOLD, true));
        assert_eq!(contents.tickets[0], "ACME-1");
    }
}
