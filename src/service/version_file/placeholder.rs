//! Replaces references to properties in a version, such as `${revision}` of Maven.

use std::borrow::Cow;

use super::VersionFileError;

/// Maximum number of references that one version needs, including those in the values of others.
const MAX_REFERENCES: usize = 32;

/// Maximum length of a version with the values of its references, in bytes.
const MAX_FILLED: usize = 1024;

/// Replaces each reference, which is between `open` and `close`, with its value.
///
/// # Errors
/// If a property has no value, or needs itself.
pub(super) fn filled<'v>(
    version: &str,
    (open, close): (&str, &str),
    value: impl Fn(&str) -> Option<Cow<'v, str>>,
) -> Result<String, VersionFileError> {
    let mut filled = version.to_string();
    for _ in 0..MAX_REFERENCES {
        let Some((before, rest)) = filled.split_once(open) else { return Ok(filled) };
        // Without an end the rest is not a reference, and not a version either.
        let Some((name, after)) = rest.split_once(close) else { return Ok(filled) };
        let unresolved = || VersionFileError::unresolved(version, name);
        let found = value(name).ok_or_else(unresolved)?;
        if before.len() + found.len() + after.len() > MAX_FILLED {
            return Err(unresolved());
        }
        filled = format!("{before}{}{after}", found.trim());
    }
    let (_, rest) = filled.split_once(open).unwrap_or_default();
    if rest.is_empty() {
        return Ok(filled);
    }
    Err(VersionFileError::unresolved(version, rest.split_once(close).map_or(rest, |(name, _)| name)))
}
