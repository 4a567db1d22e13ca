//! The account that made a change, and the pull request for which it did.

use serde::{Deserialize, Serialize};

/// The account that pushed: a person or a bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pusher {
    /// The login.
    pub name: String,
    /// Gitea's numeric id of the user, negative for system users.
    pub id: Option<i64>,
}

/// The pull request on whose behalf Gitea pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// The visible number. `None` before Gitea 1.26, which passes only a database id.
    pub number: Option<i64>,
    /// The effect of the push on the pull request.
    pub step: MergeStep,
}

/// The effect of a push on a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeStep {
    /// Gitea merged it into its base, in any merge style.
    Merged,
    /// Gitea updated its branch with changes from its base.
    Updated,
    /// Unknown, because Gitea before 1.22 does not distinguish the two.
    Unknown,
}
