//! The number of a merged pull request, from the message that Gitea wrote for the merge
//! (services/pull/merge.go, `GetDefaultMergeMessage`).

use super::{Commit, message::button};

/// Returns the number in a message of Gitea's: the trailer `Reviewed-on: URL/pulls/12`, else the title's
/// `(#12)`, or `(!12)` where issues are tracked elsewhere. Ask only where Gitea says that it merged: anybody can write
/// such a message.
pub(super) fn number(commit: &Commit) -> Option<i64> {
    reviewed_on(commit).or_else(|| {
        let (_, rest) = commit.title.rsplit_once("(#").or_else(|| commit.title.rsplit_once("(!"))?;
        positive(rest.split_once(')')?.0)
    })
}

/// Returns the number in a message of which nobody but the message says that Gitea wrote it. Two forms count:
/// - a line `Reviewed-on: URL/pulls/12`, the last one, since a squashed commit may quote others. Gitea writes it below
///   merges and squashes (not some versions around 1.18), and no person writes it by habit;
/// - the title `Merge pull request 'TITLE' (#12) from HEAD into BASE` of a commit that is a merge.
///
/// `TITLE (#12)` alone is no such form: people write that of issues, and forges other than this one wrote it
/// into histories that were moved here. And what Gitea's button reverts is quoted, not merged again.
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
