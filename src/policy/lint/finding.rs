//! What is wrong with a script, and where, in the form that people and editors are shown.

use rhai::Position;

use crate::text;

/// Something in a script that cannot work, or cannot mean what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1 on; `None` where it is about the whole file.
    pub line: Option<usize>,
    /// The column in characters, from 1 on.
    pub column: Option<usize>,
    /// How many characters it is about, 0 where nobody has counted.
    pub width: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub fix: Option<String>,
}

impl Finding {
    /// Returns a finding about `width` characters from `at` on.
    pub(super) fn at(at: Position, width: usize, message: impl Into<String>) -> Self {
        Self { width: width.max(1), ..Self::with(at.line(), at.position(), &message.into()) }
    }

    /// Returns a finding at a place, as far as it is known. The nearest word, which stands at the end of a
    /// message, is what to do.
    pub(in crate::policy) fn with(line: Option<usize>, column: Option<usize>, message: &str) -> Self {
        let (message, fix) = text::split_meant(message);
        Self { line, column, width: 0, message: message.to_string(), fix }
    }

    /// Returns the finding with what to do.
    pub(super) fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}
