//! A position in the policy: a script and a line.

use std::fmt;

use rhai::NativeCallContext;

/// A script, and a line of it if it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    file: String,
    line: Option<usize>,
}

impl Rule {
    /// Creates the position of a line of a script.
    pub(super) fn at(file: &str, line: Option<usize>) -> Self {
        Self { file: file.to_string(), line }
    }

    /// Returns the position that called a native function. It may be in a script that the layer
    /// imports.
    pub(super) fn calling(context: &NativeCallContext<'_>) -> Self {
        let file = context.global_runtime_state().source().unwrap_or_default();
        Self::at(file, context.call_position().line())
    }

    /// Creates the position of a script as a whole.
    pub fn in_file(file: &str) -> Self {
        Self::at(file, None)
    }

    /// Returns the script.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the line, if it is known.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}
