//! Tags that name a version.

use semver::Version;

/// A version, and the service whose version it is, as a tag's name spells them: `v1.2.3`,
/// `1.2.3`, `checkout/v1.2.3`, `checkout@1.2.3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionTag {
    service: Option<String>,
    version: Version,
}

impl VersionTag {
    /// Returns what the tag's short name says, `None` if it names no full semantic version
    /// (semver.org 2.0.0: three numbers, so `v1` is none).
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

    /// Returns whether it is a pre-release, such as `1.2.3-rc.1`.
    pub fn is_prerelease(&self) -> bool {
        !self.version.pre.is_empty()
    }

    /// Returns the version without its `v`.
    pub fn version(&self) -> &Version {
        &self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_services() {
        let said = |tag| {
            VersionTag::parse(tag).map(|v| (v.service().unwrap_or("-").to_string(), v.version().to_string()))
        };
        let is = |service: &str, version: &str| Some((service.to_string(), version.to_string()));
        assert_eq!(said("v1.2.3"), is("-", "1.2.3"));
        assert_eq!(said("1.2.3-rc.1+build.5"), is("-", "1.2.3-rc.1+build.5"));
        assert_eq!(said("checkout/v1.2.3"), is("checkout", "1.2.3"));
        assert_eq!(said("checkout@1.2.3"), is("checkout", "1.2.3"));
        assert_eq!(said("libs/money/v0.1.0"), is("libs/money", "0.1.0"));
        assert_eq!(said("@acme/money@2.0.0"), is("@acme/money", "2.0.0"));
        for none in ["v1", "v1.2", "1.2.3.4", "nightly", "v01.2.3", "@1.2.3", "/v1.2.3", "v", ""] {
            assert_eq!(said(none), None, "{none}");
        }
    }
}
