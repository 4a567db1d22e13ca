//! The release of the installed Gitea.

use std::fmt;

use super::report::Check;

/// A release number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u32, u32, u32);

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The server software, according to `gitea --version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerRelease {
    /// Gitea itself.
    Gitea(Release),
    /// Forgejo, which has its own release numbers.
    Forgejo(Release),
}

impl fmt::Display for ServerRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gitea(release) => write!(f, "Gitea {release}"),
            Self::Forgejo(release) => write!(f, "Forgejo {release}"),
        }
    }
}

/// The newest release of Gitea when this version of the program was written, and its date.
const NEWEST: Release = Release(1, 27, 3);
const NEWEST_DATE: &str = "2026-08-29";

/// Lists every release of Gitea and the vulnerabilities that it fixes.
const RELEASES: &str = "https://github.com/go-gitea/gitea/releases";

impl ServerRelease {
    /// Parses `Gitea version 1.26.3 built with ...` or `forgejo version 9.0.3+gitea-1.22.0 ...`.
    pub fn parse(said: &str) -> Option<Self> {
        let mut words = said.split_whitespace();
        let name = words.next()?.to_ascii_lowercase();
        let release = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let mut next = || numbers.next()?.ok();
        let release = Release(next()?, next()?, next().unwrap_or(0));
        match &*name {
            "gitea" => Some(Self::Gitea(release)),
            "forgejo" => Some(Self::Forgejo(release)),
            _ => None,
        }
    }

    /// Reports a Gitea older than the newest release known. Forgejo's releases are not compared.
    pub fn report_age(self, check: &mut Check) {
        let Self::Gitea(release) = self else { return };
        if release < NEWEST {
            check.found(
                format!(
                    "Gitea {release} is older than {NEWEST} of {NEWEST_DATE}, the newest release known here"
                ),
                format!("look up what newer releases fix on {RELEASES}, and upgrade"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
