//! What was looked at, and what is wrong.

use serde::Serialize;

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong and where, in a sentence without its full stop.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, the same in every run.
    pub name: &'static str,
    /// What was there to look at, in a few words.
    pub seen: String,
    /// What is wrong; nothing if all is well.
    pub findings: Vec<Finding>,
}

impl Check {
    /// Begins a check that has found nothing yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, seen: String::new(), findings: Vec::new() }
    }

    /// Says what was there to look at.
    #[must_use]
    pub fn saw(mut self, seen: impl Into<String>) -> Self {
        self.seen = seen.into();
        self
    }

    /// Adds something that is wrong.
    pub fn found(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(Finding { what: what.into(), fix: fix.into() });
    }

    /// Returns whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.findings.is_empty()
    }
}
