//! The kinds of markers. A policy chooses the kind, and a destination may take only some.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of event that a marker records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Code landed on a watched branch.
    Change,
    /// A version was tagged.
    Release,
    /// A version was deployed to an environment.
    Deployment,
    /// An environment went back to an earlier version.
    Rollback,
}

impl Kind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Change, Self::Release, Self::Deployment, Self::Rollback];

    /// Returns the name used in configuration, scripts, the journal and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Release => "release",
            Self::Deployment => "deployment",
            Self::Rollback => "rollback",
        }
    }

    /// Returns true for a deployment or a rollback.
    pub fn is_deployment(self) -> bool {
        matches!(self, Self::Deployment | Self::Rollback)
    }

    /// Returns the kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
