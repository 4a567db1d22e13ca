//! Tags that name a version.

use semver::Version;

/// A version, and the service it belongs to, as in the tag names `v1.2.3`, `1.2.3`,
/// `checkout/v1.2.3` and `checkout@1.2.3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionTag {
    service: Option<String>,
    version: Version,
}

impl VersionTag {
    /// Parses a tag's short name. Returns `None` if it does not contain a full semantic version
    /// (semver.org 2.0.0). Three numbers are required, so `v1` is not one.
    pub fn parse(tag: &str) -> Option<Self> {
        let (service, version) = match tag.rfind(['/', '@']) {
            Some(at) => (Some(&tag[..at]), &tag[at + 1..]),
            None => (None, tag),
        };
        if service == Some("") {
            return None;
        }
        let version = Version::parse(version.strip_prefix('v').unwrap_or(version)).ok()?;
        Some(Self { service: service.map(ToString::to_string), version })
    }

    /// Returns the service before `/` or `@`.
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Returns true for a pre-release, such as `1.2.3-rc.1`.
    pub fn is_prerelease(&self) -> bool {
        !self.version.pre.is_empty()
    }

    /// Returns the version without its `v`.
    pub fn version(&self) -> &Version {
        &self.version
    }
}

#[cfg(test)]
mod tests;
