//! Tags that name a version, and the service that it belongs to.

use super::release_version::ReleaseVersion;
use crate::{config::TagPattern, glob::is_match};

/// Words before a version that say what kind of tag it is, or where it goes. They are not services.
const NO_SERVICES: [&str; 33] = [
    "alpha",
    "beta",
    "candidate",
    "debian",
    "deploy",
    "deployed",
    "deployment",
    "dev",
    "fix",
    "hotfix",
    "hotfixes",
    "live",
    "preprod",
    "prod",
    "production",
    "published",
    "rc",
    "rel",
    "release",
    "release-candidate",
    "releases",
    "stable",
    "stage",
    "staging",
    "tag",
    "tags",
    "test",
    "uat",
    "upstream",
    "v",
    "ver",
    "version",
    "versions",
];

/// Words before a version of something that is not a release.
const NO_RELEASES: [&str; 8] = ["archive", "archived", "backup", "nightly", "old", "snapshot", "tmp", "wip"];

/// Maximum length of the part of a tag that is searched for a name and a version, in bytes. A file
/// system allows no longer names.
const MAX_PART: usize = 255;

/// A version, and the service it belongs to, as in the tag names `v1.2.3`, `checkout/v1.2.3`,
/// `checkout-1.2.3` and `@acme/checkout@1.2.3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionTag {
    service: Option<String>,
    version: ReleaseVersion,
}

/// The names of the version tags of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagNames {
    /// Services of the repository. Without any, the text before a version is the service.
    pub services: Vec<TaggedService>,
    /// Words before a version that are not services, in lower case. `None` stands for
    /// [`NO_SERVICES`].
    pub no_services: Option<Vec<String>>,
}

/// A service, and what its version tags look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedService {
    /// `service.name`.
    pub name: String,
    /// Patterns of its version tags. With patterns, only they name this service.
    pub patterns: Vec<TagPattern>,
    /// Wildcard patterns of the paths that belong to it. A tag can begin with such a directory.
    pub paths: Vec<String>,
}

impl VersionTag {
    /// Returns the service that the tag names.
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Returns true for a pre-release, such as `1.2.3-rc.1`.
    pub fn is_prerelease(&self) -> bool {
        self.version.is_prerelease()
    }

    /// Returns the version without its `v`.
    pub fn version(&self) -> &ReleaseVersion {
        &self.version
    }

    /// Returns the rank among the tags of one commit: any final version is above any pre-release.
    pub fn rank(&self) -> (bool, &ReleaseVersion) {
        (!self.is_prerelease(), &self.version)
    }

    /// Returns the [rank](Self::rank) as a value.
    pub fn into_rank(self) -> (bool, ReleaseVersion) {
        (!self.is_prerelease(), self.version)
    }
}

impl TagNames {
    /// Parses a tag's short name. Returns `None` if it has no version, or if the text before the
    /// version is not a service of this repository.
    pub fn parse(&self, tag: &str) -> Option<VersionTag> {
        self.by_pattern(tag).or_else(|| self.by_form(tag))
    }

    /// Returns the text before the version of a tag that [`Self::parse`] refuses, because it is not
    /// a service of this repository.
    pub fn unknown_prefix<'a>(&self, tag: &'a str) -> Option<&'a str> {
        let (prefix, _) = splits(tag).next()?;
        (self.parse(tag).is_none() && !prefix.split('/').any(|part| is_word(part, &NO_RELEASES)))
            .then_some(prefix)
    }

    /// Matches the patterns of the services. The one with the longest text wins.
    fn by_pattern(&self, tag: &str) -> Option<VersionTag> {
        let all =
            self.services.iter().flat_map(|known| known.patterns.iter().map(move |pattern| (known, pattern)));
        let matches = all.filter_map(|(known, pattern)| {
            Some((pattern.fixed_len(), &known.name, pattern.version_in(tag)?))
        });
        let (_, service, version) = matches.max_by_key(|(length, ..)| *length)?;
        Some(VersionTag { service: Some(service.clone()), version: ReleaseVersion::any(version) })
    }

    /// Reads the forms that need no pattern.
    fn by_form(&self, tag: &str) -> Option<VersionTag> {
        if !self.services.is_empty() && self.without_patterns().next().is_none() {
            return None;
        }
        if let Some(version) = ReleaseVersion::parse(tag) {
            return Some(VersionTag { service: None, version });
        }
        let mut splits: Vec<_> = splits(tag).collect();
        // The longest name that is configured wins. Otherwise the name ends where the first version
        // begins.
        let is_configured = |(name, _): &(&str, _)| self.named(name).is_some();
        let nth = splits.iter().rposition(is_configured).unwrap_or(0);
        let (prefix, version) = (nth < splits.len()).then(|| splits.swap_remove(nth))?;
        Some(VersionTag { service: self.service_of(prefix)?, version })
    }

    fn without_patterns(&self) -> impl Iterator<Item = &TaggedService> {
        self.services.iter().filter(|known| known.patterns.is_empty())
    }

    /// Returns the service of this name, if its tags need no pattern. The case of letters counts only
    /// if two names differ in nothing else.
    fn named(&self, name: &str) -> Option<&TaggedService> {
        let is_same = |known: &&TaggedService| known.name == name;
        let is_alike = |known: &&TaggedService| known.name.eq_ignore_ascii_case(name);
        self.without_patterns().find(is_same).or_else(|| self.without_patterns().find(is_alike))
    }

    /// Returns the service that the text before a version names, `Some(None)` if it is a word that
    /// names none, and `None` if it is unknown.
    fn service_of(&self, prefix: &str) -> Option<Option<String>> {
        let parts: Vec<&str> = prefix.split('/').collect();
        if parts.iter().any(|part| is_word(part, &NO_RELEASES)) {
            return None;
        }
        if let Some(known) = self.named(prefix) {
            return Some(Some(known.name.clone()));
        }
        let is_listed = |word: &str| match &self.no_services {
            Some(words) => words.contains(&word.to_ascii_lowercase()),
            None => is_word(word, &NO_SERVICES),
        };
        // As in `deploy-prod-1.2.3`.
        let is_no_service = |part: &&&str| is_listed(part) || part.split(['-', '_']).all(is_listed);
        // As in `release/checkout/v1.2.3`.
        let named = parts.iter().take_while(is_no_service).count();
        if named == parts.len() {
            return Some(None);
        }
        let rest = parts[named..].join("/");
        // The scope of an npm package is not part of the service's name.
        let bare = match rest.strip_prefix('@').and_then(|scoped| scoped.split_once('/')) {
            Some((_, name)) => name,
            None => &rest,
        };
        if self.services.is_empty() {
            return Some(Some(bare.into()));
        }
        let inside = format!("{rest}/a");
        let by_dir = || {
            self.without_patterns()
                .find(|known| known.paths.iter().any(|path| is_match(path, inside.as_bytes())))
        };
        self.named(&rest).or_else(|| self.named(bare)).or_else(by_dir).map(|known| Some(known.name.clone()))
    }
}

/// Returns true if the text is a version that needs no pattern, such as `v1.2.3` and `2024.05.01`.
pub fn is_version(text: &str) -> bool {
    ReleaseVersion::parse(text).is_some()
}

/// Returns each way to split a tag into a name and a version, the shortest name first.
fn splits(tag: &str) -> impl Iterator<Item = (&str, ReleaseVersion)> {
    // `@acme/checkout@1.2.3` and `services/checkout/v1.2.3` have no second way before that.
    let last = tag.rfind(['/', '@']).filter(|at| *at > 0);
    tag.match_indices(['/', '@', '-']).filter_map(move |(at, separator)| {
        let is_last = last == Some(at);
        let is_after = separator == "-" && last.is_none_or(|last| at > last);
        if !(is_last || is_after) || tag.len() - at > MAX_PART {
            return None;
        }
        let (name, text) = (&tag[..at], &tag[at + 1..]);
        let is_name = name.contains(char::is_alphabetic) && !name.ends_with(['/', '@', '-']);
        // curl's tags are like curl-7_1_2.
        let version = ReleaseVersion::parse(text).or_else(|| ReleaseVersion::with_underscores(text));
        version.filter(|_| is_name).map(|version| (name, version))
    })
}

fn is_word(part: &str, words: &[&str]) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests;
