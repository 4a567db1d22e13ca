//! Problems in a TOML file, with their positions.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::text::{self, Hinted};

/// One problem in a file, displayed as `path:line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    path: PathBuf,
    /// Line and column, both counted from 1, the column in characters.
    place: Option<(usize, usize)>,
    message: Hinted,
}

impl ConfigProblem {
    /// Returns a problem with the file as a whole.
    pub fn with_file(path: &Path, message: impl Into<Hinted>) -> Self {
        Self { path: path.into(), place: None, message: message.into() }
    }

    /// Returns a problem at the start of `span`, a range of bytes in `source`.
    pub fn at(path: &Path, source: &str, span: Range<usize>, message: impl Into<Hinted>) -> Self {
        Self { path: path.into(), place: Some(Self::position(source, span.start)), message: message.into() }
    }

    /// Returns the line and column of a byte offset, both counted from 1, the column in characters.
    pub fn position(source: &str, byte: usize) -> (usize, usize) {
        let before = source.get(..byte).unwrap_or(source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns line and column, if known, both counted from 1.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }

    /// Returns the message without the position.
    pub fn message(&self) -> &Hinted {
        &self.message
    }

    /// Converts an error of the TOML parser, and adds a "did you mean" suggestion for an unknown
    /// key or value.
    pub fn from_toml(path: &Path, source: &str, err: &toml::de::Error) -> Self {
        let message = err.message().trim().replace('\n', "; ");
        let message = match err.span().and_then(|span| single_table(&message, source.get(span.start..)?)) {
            Some(name) => {
                format!("there can be several tables of this name, so write `[[{name}]]` for each of them")
                    .into()
            }
            None => Hinted { hint: meant(&message).map(text::did_you_mean), message },
        };
        match err.span() {
            Some(span) => Self::at(path, source, span, message),
            None => Self::with_file(path, message),
        }
    }
}

/// Returns the name of the table at the start of `source`, if serde's message says that an array of
/// tables was expected.
fn single_table<'a>(message: &str, source: &'a str) -> Option<&'a str> {
    let line = source.lines().next()?;
    let name = line.strip_prefix('[')?.split(']').next()?.trim();
    (message == "invalid type: map, expected a sequence" && !name.starts_with('[')).then_some(name)
}

/// Finds the known name that is most similar to the unknown one. Parses serde's message "unknown
/// field `a`, expected one of `b`, `c`".
fn meant(message: &str) -> Option<&str> {
    let is_about_a_name = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().filter(|_| is_about_a_name)?;
    text::nearest(unknown, names)
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}
