//! Collects the problems in a test file, to report them together.

use std::{ops::Range, path::Path};

use crate::{
    config::{self, ConfigProblem, ServiceFile, ServiceRule, Spanned},
    text::Hinted,
};

/// The problems found in one file so far.
pub(super) struct Complaints<'a> {
    path: &'a Path,
    source: &'a str,
    problems: Vec<ConfigProblem>,
}

impl<'a> Complaints<'a> {
    pub fn new(path: &'a Path, source: &'a str) -> Self {
        Self { path, source, problems: Vec::new() }
    }

    /// Reports a problem at a value.
    pub fn at<T>(&mut self, value: &Spanned<T>, message: impl Into<Hinted>) {
        self.over(value.span(), message);
    }

    /// Reports a problem at a range of bytes in the source.
    pub fn over(&mut self, span: Range<usize>, message: impl Into<Hinted>) {
        let problem = ConfigProblem::at(self.path, self.source, span, message);
        // Skip duplicates: a history that several tests share is read once per test.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Resolves services as the configuration does, and reports their problems.
    pub fn services(&mut self, services: Vec<ServiceFile>) -> Vec<ServiceRule> {
        config::service_rules(self.path, self.source, services).unwrap_or_else(|problems| {
            self.problems.extend(problems);
            Vec::new()
        })
    }

    /// Reports a problem with the file as a whole.
    pub fn of_file(&mut self, message: impl Into<Hinted>) {
        self.problems.push(ConfigProblem::with_file(self.path, message));
    }

    /// Returns the line on which a value starts, counted from 1.
    pub fn line_of<T>(&self, value: &Spanned<T>) -> usize {
        ConfigProblem::position(self.source, value.span().start).0
    }

    pub fn into_problems(self) -> Vec<ConfigProblem> {
        self.problems
    }
}
