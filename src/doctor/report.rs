//! Checks and their findings.

use serde::Serialize;

/// A problem and its fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DoctorFinding {
    /// Description of the problem with its location, as a sentence without a full stop.
    pub what: String,
    /// Advice on how to fix it.
    pub fix: String,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Name of the check, the same in every run.
    pub name: &'static str,
    /// Short description of what was examined.
    pub seen: String,
    /// Problems found, empty if there are none.
    pub findings: Vec<DoctorFinding>,
}

impl Check {
    /// Creates a check without findings.
    pub fn new(name: &'static str) -> Self {
        Self { name, seen: String::new(), findings: Vec::new() }
    }

    /// Sets the description of what was examined.
    #[must_use]
    pub fn saw(mut self, seen: impl Into<String>) -> Self {
        self.seen = seen.into();
        self
    }

    /// Adds a finding.
    pub fn found(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(DoctorFinding { what: what.into(), fix: fix.into() });
    }

    /// Returns true if there are no findings.
    pub fn is_well(&self) -> bool {
        self.findings.is_empty()
    }
}
