//! Removes what the site does not want to leave the server from the texts of markers.

use regex_lite::{Regex, RegexBuilder};

/// Replacement for a match.
const REDACTED: &str = "[redacted]";

/// Maximum size of a compiled pattern, in bytes.
const MAX_PATTERN: usize = 256 << 10;

/// Patterns to be removed from texts.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    patterns: Vec<Regex>,
}

impl Redaction {
    /// Adds a regular expression.
    ///
    /// # Errors
    /// Returns the flaw if it is not one, is too large, or matches the empty text.
    pub fn add(&mut self, pattern: &str) -> Result<(), String> {
        let regex = RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build();
        let regex = regex.map_err(|err| format!("`{pattern}` is not a regular expression: {err}"))?;
        if regex.is_match("") {
            return Err(format!("`{pattern}` matches the empty text, and so every text"));
        }
        self.patterns.push(regex);
        Ok(())
    }

    /// Returns true if there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Replaces each match in `text`.
    pub fn apply(&self, text: &mut String) {
        for pattern in &self.patterns {
            if pattern.is_match(text) {
                *text = pattern.replace_all(text, REDACTED).into_owned();
            }
        }
    }
}

#[cfg(test)]
mod tests;
