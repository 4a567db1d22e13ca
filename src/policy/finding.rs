//! A problem in a script with its position, for people and editors.

use rhai::Position;

use crate::text::Hinted;

/// A problem in a script: code that cannot work, or that cannot mean what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintFinding {
    /// Line, counted from 1. `None` if the problem concerns the whole file.
    pub line: Option<usize>,
    /// Column in characters, counted from 1.
    pub column: Option<usize>,
    /// Number of characters concerned, 0 if unknown.
    pub width: usize,
    /// Description of the problem.
    pub message: String,
    /// Suggested fix.
    pub fix: Option<String>,
}

impl LintFinding {
    /// Creates a finding about `width` characters starting at `at`.
    pub(super) fn at(at: Position, width: usize, message: impl Into<Hinted>) -> Self {
        Self { width: width.max(1), ..Self::with(at.line(), at.position(), message) }
    }

    /// Creates a finding at a position that may be unknown. The hint of the message becomes the fix.
    pub(super) fn with(line: Option<usize>, column: Option<usize>, message: impl Into<Hinted>) -> Self {
        let Hinted { message, hint } = message.into();
        Self { line, column, width: 0, message, fix: hint }
    }

    /// Sets the suggested fix.
    pub(super) fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}
