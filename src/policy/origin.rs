//! The identity of a policy's script: its layer or imported name, its file, and the hash of its
//! contents.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::text::Hex;

/// Name of the built-in script in positions.
pub(super) const BUILT_IN_NAME: &str = "built-in.rhai";

/// Number of hash digits recorded in a marker.
const SHORT: usize = 12;

/// The layers of a policy, the least specific one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// The built-in script, used if no other one decides.
    #[serde(rename = "built-in")]
    BuiltIn,
    /// `site.rhai`.
    #[serde(rename = "site")]
    Site,
    /// `OWNER.rhai`.
    #[serde(rename = "owner")]
    Owner,
    /// `OWNER/REPO.rhai`.
    #[serde(rename = "repository")]
    Repository,
    /// The script of Gitea's Git Hooks page.
    #[serde(rename = "hook page")]
    HookPage,
}

impl Level {
    /// Returns the name shown in the journal and in markers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Site => "site",
            Self::Owner => "owner",
            Self::Repository => "repository",
            Self::HookPage => "hook page",
        }
    }
}

/// The SHA-256 of a script's bytes on disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScriptHash([u8; 32]);

impl ScriptHash {
    /// Computes the hash of a script's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Wraps a digest that was computed elsewhere.
    pub(super) fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Returns the first 12 digits, enough to tell versions of one script apart.
    pub fn short(&self) -> String {
        let mut digits = self.to_string();
        digits.truncate(SHORT);
        digits
    }
}

impl fmt::Display for ScriptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for ScriptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ScriptHash {
    type Err = &'static str;

    fn from_str(hex: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "expected 64 hexadecimal digits";
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(WRONG);
        }
        let mut hash = [0; 32];
        for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| WRONG)?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for ScriptHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScriptHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// One layer of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Position among the layers.
    #[serde(rename = "layer")]
    pub level: Level,
    /// Path of the script, `None` for the built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Hash of its contents.
    #[serde(rename = "sha256")]
    pub hash: ScriptHash,
}

impl Origin {
    /// Returns the script's name as shown in positions.
    pub fn file_name(&self) -> &str {
        self.file.as_deref().unwrap_or(BUILT_IN_NAME)
    }

    /// Returns the layer and its short hash, such as `site@0123456789ab`.
    pub fn stamp(&self) -> String {
        format!("{}@{}", self.level.as_str(), self.hash.short())
    }
}

/// A script that a layer imports, directly or indirectly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Name in the `import` statement.
    pub name: String,
    /// Path of the script.
    pub file: String,
    /// Hash of its contents.
    #[serde(rename = "sha256")]
    pub hash: ScriptHash,
}

#[cfg(test)]
mod tests;
