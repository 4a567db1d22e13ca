//! What is wrong with a file of golden tests, gathered so that all of it is said at once.

use std::{ops::Range, path::Path};

use toml::Spanned;

use crate::config::{self, Problem, ServiceFile, ServiceRule};

/// The problems of one file found so far.
pub(super) struct Complaints<'a> {
    path: &'a Path,
    source: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Complaints<'a> {
    pub fn new(path: &'a Path, source: &'a str) -> Self {
        Self { path, source, problems: Vec::new() }
    }

    /// Complains of a value.
    pub fn at<T>(&mut self, value: &Spanned<T>, message: impl Into<String>) {
        self.over(value.span(), message);
    }

    /// Complains of some bytes of the text.
    pub fn over(&mut self, span: Range<usize>, message: impl Into<String>) {
        let problem = Problem::at(self.path, self.source, span, message);
        // A history that tests share is read for each of them.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Reads services as the configuration does, and complains of what is wrong with them.
    pub fn services(&mut self, services: Vec<ServiceFile>) -> Vec<ServiceRule> {
        config::service_rules(self.path, self.source, services).unwrap_or_else(|problems| {
            self.problems.extend(problems);
            Vec::new()
        })
    }

    /// Complains of the file as a whole.
    pub fn of_file(&mut self, message: impl Into<String>) {
        self.problems.push(Problem::with_file(self.path, message));
    }

    /// Returns the line that a value begins on, counted from 1.
    pub fn line_of<T>(&self, value: &Spanned<T>) -> usize {
        Problem::position(self.source, value.span().start).0
    }

    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}
