//! What is wrong with a script, and where, in the form that people and editors are shown.

use rhai::Position;

/// Something in a script that cannot work, or cannot mean what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1 on; `None` where it is about the whole file.
    pub line: Option<usize>,
    /// The column in characters, from 1 on.
    pub column: Option<usize>,
    /// How many characters it is about.
    pub width: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub fix: Option<String>,
}

impl Finding {
    /// Returns a finding about `width` characters from `at` on.
    pub(super) fn at(at: Position, width: usize, message: impl Into<String>) -> Self {
        let (line, column) = (at.line(), at.position());
        Self { line, column, width: width.max(1), message: message.into(), fix: None }
    }

    /// Returns the finding with what to do.
    pub(super) fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}
