//! Finds the number of a merged pull request in the message that Gitea wrote for the merge
//! (services/pull/merge.go, `GetDefaultMergeMessage`).

use jiff::SignedDuration;

use super::{Commit, message::button};
use crate::{push::Source, sys::time::Timestamp};

/// Maximum time between the commit that Gitea makes for a squash and its push.
const SQUASH_TO_PUSH: SignedDuration = SignedDuration::from_secs(60);

/// The name of the trailer with the address, in lower case, with its separator.
const REVIEWED_ON: &str = "reviewed-on: ";

/// The addresses under which the pull requests of a repository are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestPages {
    /// Addresses of this Gitea without scheme, in lower case. Empty if unknown.
    hosts: Vec<String>,
    /// `/owner/name`, in lower case.
    path: String,
}

impl PullRequestPages {
    /// Returns the pages of the repository that is pushed to. Gitea reports its own address, and
    /// `public_url` is that of the configuration. Returns `None` if the owner is unknown.
    pub fn of(source: &Source, public_url: Option<&str>) -> Option<Self> {
        let owner = source.repository.owner.as_deref()?;
        let hosts = [source.root_url.as_deref(), public_url].into_iter().flatten();
        Some(Self {
            hosts: hosts.filter_map(without_scheme).collect(),
            path: format!("/{owner}/{}", source.repository.name).to_lowercase(),
        })
    }

    /// Returns true for an address of the repository.
    fn has(&self, repository: &str) -> bool {
        let Some(address) = without_scheme(repository) else { return false };
        let host = address.strip_suffix(&self.path);
        host.is_some_and(|host| self.hosts.is_empty() || self.hosts.iter().any(|known| known == host))
    }
}

fn without_scheme(address: &str) -> Option<String> {
    let (_, address) = address.split_once("://")?;
    Some(address.trim_end_matches('/').to_lowercase())
}

/// Returns the number in a merge message by Gitea: from the trailer `Reviewed-on: URL/pulls/12`,
/// else from `(#12)` in the title, or `(!12)` with an external issue tracker. The title counts only
/// if Gitea wrote it: a rebase and a fast-forward keep the titles of the authors, who write the
/// numbers of issues.
///
/// Call this only for pushes that Gitea reported as merges, because anyone can write such a
/// message.
pub(super) fn number(commit: &Commit, pages: Option<&PullRequestPages>, pushed: Timestamp) -> Option<i64> {
    reviewed_on(commit, pages).or_else(|| {
        if !is_merge_or_squash(commit, pushed) {
            return None;
        }
        let (_, rest) = commit.title.rsplit_once("(#").or_else(|| commit.title.rsplit_once("(!"))?;
        positive(rest.split_once(')')?.0)
    })
}

/// Returns true if Gitea made the commit for the merge that was pushed at `pushed`: it has two
/// parents, or it was authored and committed in the same second, just before the push. A rebase keeps
/// the older time of the author, and a fast-forward the older commit.
fn is_merge_or_squash(commit: &Commit, pushed: Timestamp) -> bool {
    let is_new = commit.committer.time.is_some_and(|time| {
        let age = pushed.duration_since(time);
        commit.author.time == Some(time) && (-SQUASH_TO_PUSH..=SQUASH_TO_PUSH).contains(&age)
    });
    commit.parents.len() > 1 || is_new
}

/// Returns the number in a message that may not be from Gitea. Two forms count:
/// - A line `Reviewed-on: URL/pulls/12` of this repository. The last one counts, because a squashed
///   commit may quote others. Gitea writes it below merges and squashes (except some versions around
///   1.18), and people do not write it by hand.
/// - The title `Merge pull request 'TITLE' (#12) from HEAD into BASE`, if the commit is a merge.
///
/// `TITLE (#12)` alone does not count: people write it for issues, and imported histories have it
/// from other forges. A message that Gitea's Revert button quotes does not count either.
pub(super) fn stated(commit: &Commit, pages: Option<&PullRequestPages>) -> Option<i64> {
    if button(&commit.message).is_some() {
        return None;
    }
    reviewed_on(commit, pages).or_else(|| {
        let rest = commit.title.strip_prefix("Merge pull request '").filter(|_| commit.parents.len() > 1)?;
        let (_, rest) = rest.rsplit_once("' (#").or_else(|| rest.rsplit_once("' (!"))?;
        let (number, from) = rest.split_once(") from ")?;
        positive(number).filter(|_| from.contains(" into "))
    })
}

/// Returns the number in the last trailer or line that names a page of the repository. The trailers
/// come first, because they are read from the end of the whole message, and the message is cut.
///
/// Gitea 1.27.0 wrote the trailer directly after the line before it, so it is found in the middle of
/// a line too, if the pages are known.
fn reviewed_on(commit: &Commit, pages: Option<&PullRequestPages>) -> Option<i64> {
    let is_it = |name: &str| name.eq_ignore_ascii_case(REVIEWED_ON.trim_end_matches(": "));
    let trailers = commit.trailers.iter().rev().filter(|(name, _)| is_it(name));
    let in_trailer = trailers.filter_map(|(_, address)| page_number(address, pages)).next();
    in_trailer.or_else(|| {
        commit.message.lines().rev().find_map(|line| {
            let lower = line.to_ascii_lowercase();
            let at = lower.rfind(REVIEWED_ON)?;
            let is_joined = || {
                let before = line.get(..at).and_then(|before| before.chars().next_back());
                pages.is_some()
                    && before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | ')' | '!' | '?'))
            };
            if at > 0 && !is_joined() {
                return None;
            }
            page_number(line.get(at + REVIEWED_ON.len()..)?, pages)
        })
    })
}

/// Returns the number in the address of a pull request of the repository.
fn page_number(address: &str, pages: Option<&PullRequestPages>) -> Option<i64> {
    let (repository, number) = address.trim().rsplit_once("/pulls/")?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let (number, after) = number.split_at_checked(digits)?;
    // The next trailer may be joined to the number.
    let is_end = matches!(after, "" | "/") || after.starts_with(char::is_alphabetic) && after.contains(": ");
    let is_ours = pages.map_or_else(|| repository.contains("://"), |pages| pages.has(repository));
    positive(number).filter(|_| is_end && is_ours)
}

fn positive(number: &str) -> Option<i64> {
    number.parse().ok().filter(|number| *number > 0)
}
