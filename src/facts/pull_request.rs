//! Finds the number of a merged pull request in the message that Gitea wrote for the merge
//! (services/pull/merge.go, `GetDefaultMergeMessage`).

use super::{Commit, message::button};

/// Returns the number in a merge message by Gitea: from the trailer `Reviewed-on: URL/pulls/12`,
/// else from `(#12)` in the title, or `(!12)` with an external issue tracker.
///
/// Call this only for pushes that Gitea reported as merges, because anyone can write such a
/// message.
pub(super) fn number(commit: &Commit) -> Option<i64> {
    reviewed_on(commit).or_else(|| {
        let (_, rest) = commit.title.rsplit_once("(#").or_else(|| commit.title.rsplit_once("(!"))?;
        positive(rest.split_once(')')?.0)
    })
}

/// Returns the number in a message that may not be from Gitea. Two forms count:
/// - A line `Reviewed-on: URL/pulls/12`. The last one counts, because a squashed commit may quote
///   others. Gitea writes it below merges and squashes (except some versions around 1.18), and
///   people do not write it by hand.
/// - The title `Merge pull request 'TITLE' (#12) from HEAD into BASE`, if the commit is a merge.
///
/// `TITLE (#12)` alone does not count: people write it for issues, and imported histories have it
/// from other forges. A message that Gitea's Revert button quotes does not count either.
pub(super) fn stated(commit: &Commit) -> Option<i64> {
    if button(&commit.message).is_some() {
        return None;
    }
    reviewed_on(commit).or_else(|| {
        let rest = commit.title.strip_prefix("Merge pull request '").filter(|_| commit.parents.len() > 1)?;
        let (_, rest) = rest.rsplit_once("' (#").or_else(|| rest.rsplit_once("' (!"))?;
        let (number, from) = rest.split_once(") from ")?;
        positive(number).filter(|_| from.contains(" into "))
    })
}

fn reviewed_on(commit: &Commit) -> Option<i64> {
    commit.message.lines().rev().find_map(|line| {
        let (name, url) = line.split_once(": ")?;
        let (before, number) = url.trim().trim_end_matches('/').rsplit_once("/pulls/")?;
        let is_one = name.eq_ignore_ascii_case("reviewed-on") && before.contains("://");
        positive(number).filter(|_| is_one)
    })
}

fn positive(number: &str) -> Option<i64> {
    number.parse().ok().filter(|number| *number > 0)
}
