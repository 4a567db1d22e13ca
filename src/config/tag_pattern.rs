//! Patterns for version tags, such as `checkout-v{version}`.

/// Stands for the version.
const PLACE: &str = "{version}";

/// Maximum length of a pattern, in bytes. A ref name has at most 255 of them between two slashes.
const MAX_PATTERN: usize = 256;

/// A pattern for the version tags of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPattern {
    before: String,
    after: String,
}

impl TagPattern {
    /// Parses the text before and after `{version}`.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (before, after) = text
            .split_once(PLACE)
            .ok_or("a pattern for tags must contain `{version}` once, such as \"checkout-v{version}\"")?;
        if after.contains(PLACE) {
            return Err("a pattern for tags must contain `{version}` only once");
        }
        if text.len() > MAX_PATTERN {
            return Err("a pattern for tags has at most 256 bytes");
        }
        if before.starts_with("refs/") {
            return Err("a pattern for tags is compared with the name after `refs/tags/`; leave that out");
        }
        Ok(Self { before: before.into(), after: after.into() })
    }

    /// Returns the version in a tag's short name, if the tag matches.
    pub fn version_in<'a>(&self, tag: &'a str) -> Option<&'a str> {
        let version = tag.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        (!version.is_empty()).then_some(version)
    }

    /// Returns the number of bytes that a tag must have in addition to the version.
    pub fn fixed_len(&self) -> usize {
        self.before.len() + self.after.len()
    }
}
