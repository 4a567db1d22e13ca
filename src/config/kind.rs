//! The kinds of markers: what a policy decides between, and a destination may choose from.

use serde::{Deserialize, Serialize};

/// What a marker marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Code landed on a watched branch.
    Change,
    /// A version was tagged.
    Release,
    /// A version went to an environment.
    Deployment,
    /// An environment went back to an earlier version.
    Rollback,
}

impl Kind {
    /// All kinds, in order of their names' fame.
    pub const ALL: [Self; 4] = [Self::Change, Self::Release, Self::Deployment, Self::Rollback];

    /// Returns the name in configuration, scripts, journal and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Release => "release",
            Self::Deployment => "deployment",
            Self::Rollback => "rollback",
        }
    }

    /// Returns the kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
