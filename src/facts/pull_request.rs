//! The number of a merged pull request, from the message that Gitea wrote for the merge.

use super::Commit;

/// Returns the number in a message of Gitea's: the trailer `Reviewed-on: URL/pulls/12`, else the title's
/// `(#12)` (services/pull/merge.go, `GetDefaultMergeMessage`). Ask only where Gitea says that it merged: anybody can
/// write such a message.
pub(super) fn number(commit: &Commit) -> Option<i64> {
    let of_trailer = || {
        let (_, number) = commit.trailer("reviewed-on")?.trim_end_matches('/').rsplit_once("/pulls/")?;
        number.parse().ok()
    };
    let of_title = || {
        let (_, rest) = commit.title.rsplit_once("(#")?;
        rest.split_once(')')?.0.parse().ok()
    };
    of_trailer().or_else(of_title).filter(|number| *number > 0)
}
