//! What a script of the policy is: its layer or its name in an `import`, its file, and the hash of what was in it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use super::layer::BUILT_IN_NAME;
use crate::text::Hex;

/// How many digits of a hash a marker bears.
const SHORT: usize = 12;

/// Which layer a script is, the least specific one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// What speaks when nobody else does.
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
    /// Returns the name for people, in the journal and in the marker.
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

/// The SHA-256 of a script, over its bytes as they lie on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScriptHash([u8; 32]);

impl ScriptHash {
    /// Computes the hash of a script's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Returns the first 12 digits, which tell the versions of one script apart.
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
    /// Which layer it is.
    #[serde(rename = "layer")]
    pub level: Level,
    /// The script, `None` for the one that is compiled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What was in it.
    #[serde(rename = "sha256")]
    pub hash: ScriptHash,
}

impl Origin {
    /// Returns the name that the script has in a place.
    pub fn file_name(&self) -> &str {
        self.file.as_deref().unwrap_or(BUILT_IN_NAME)
    }

    /// Returns `site@0123456789ab`: the layer, and enough of its hash to tell its versions apart.
    pub fn stamp(&self) -> String {
        format!("{}@{}", self.level.as_str(), self.hash.short())
    }
}

/// One script that layers import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// What it is imported as.
    pub name: String,
    /// The script.
    pub file: String,
    /// What was in it.
    #[serde(rename = "sha256")]
    pub hash: ScriptHash,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_sha256sum_and_reads_back() {
        // printf 'fn decide(update) { true }' | sha256sum
        let digits = "768d6c74b8ed76beecd9cd417370a2805e29eec97bba8f4df0d291f38434a0b4";
        let hash = ScriptHash::of(b"fn decide(update) { true }");
        assert_eq!(hash.to_string(), digits);
        assert_eq!(digits.parse(), Ok(hash));
        assert_eq!(hash.short(), digits[..12]);
        for wrong in ["", &digits[1..], &digits.replace('a', "x")] {
            wrong.parse::<ScriptHash>().expect_err(wrong);
        }
    }
}
