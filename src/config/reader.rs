//! Collects the problems of a file while it is resolved.

use std::path::Path;

use super::problem::ConfigProblem;
use super::spanned::Spanned;
use crate::text::Hinted;

/// Maximum number of problems reported for one file.
const MAX_PROBLEMS: usize = 100;

/// A file that is being resolved, with the problems found so far.
pub(super) struct ConfigReader<'a> {
    pub path: &'a Path,
    pub source: &'a str,
    pub problems: Vec<ConfigProblem>,
    /// Number of problems beyond [`MAX_PROBLEMS`].
    more: usize,
    /// The last byte offset passed to [`Self::line`], and its line.
    counted: (usize, usize),
}

impl<'a> ConfigReader<'a> {
    pub fn of(path: &'a Path, source: &'a str) -> Self {
        Self { path, source, problems: Vec::new(), more: 0, counted: (0, 1) }
    }

    /// Returns the problems found.
    pub fn into_problems(mut self) -> Vec<ConfigProblem> {
        if self.more > 0 {
            let message =
                format!("there are {} more problems; only the first {MAX_PROBLEMS} are shown", self.more);
            self.problems.push(ConfigProblem::with_file(self.path, message));
        }
        self.problems
    }

    /// Returns the line of a byte offset, counted from 1.
    pub fn line(&mut self, at: usize) -> usize {
        // Callers usually ask in ascending order, so continue counting from the last offset.
        let (known, line) = self.counted;
        let (from, line) = if known <= at { (known, line) } else { (0, 1) };
        let line = line + self.source.get(from..at).unwrap_or_default().matches('\n').count();
        self.counted = (at, line);
        line
    }

    /// Reports a problem at a value.
    pub fn complain<T>(&mut self, at: &Spanned<T>, message: impl Into<Hinted>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(ConfigProblem::at(self.path, self.source, at.span(), message));
        } else {
            self.more += 1;
        }
    }
}
