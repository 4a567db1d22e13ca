//! What is wrong with a configuration or another file of TOML, and where.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::text;

/// One mistake in the file: `path:line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    path: PathBuf,
    /// Line and column, each counted from 1, the column in characters.
    place: Option<(usize, usize)>,
    message: String,
}

impl Problem {
    /// Returns a problem with the file as a whole.
    pub fn with_file(path: &Path, message: impl Into<String>) -> Self {
        Self { path: path.into(), place: None, message: message.into() }
    }

    /// Returns a problem at the bytes `span` of the file's text.
    pub fn at(path: &Path, source: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { path: path.into(), place: Some(Self::position(source, span.start)), message: message.into() }
    }

    /// Returns the line and the column of a byte of the file's text, each counted from 1, the column in characters.
    pub fn position(source: &str, byte: usize) -> (usize, usize) {
        let before = source.get(..byte).unwrap_or(source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns line and column, each from 1 on, as far as they are known.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }

    /// Returns what is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what the TOML parser complains of, with the word that was probably meant.
    pub fn from_toml(path: &Path, source: &str, err: &toml::de::Error) -> Self {
        let mut message = err.message().trim().replace('\n', "; ");
        if let Some(near) = did_you_mean(&message) {
            message = format!("{message}; did you mean `{near}`?");
        }
        match err.span() {
            Some(span) => Self::at(path, source, span, message),
            None => Self::with_file(path, message),
        }
    }
}

/// Finds the known name nearest to the unknown one in serde's own words: "unknown field `a`, expected
/// one of `b`, `c`".
fn did_you_mean(message: &str) -> Option<&str> {
    let is_about_a_name = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().filter(|_| is_about_a_name)?;
    text::nearest(unknown, names)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}
