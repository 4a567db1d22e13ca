//! Why a fact could not be read.

use std::{fmt, sync::Arc};

/// Why a fact could not be read, as one line for people. Nobody decides by the cause, but for time that was up: whoever
/// asked goes without the fact and says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactError {
    what: Arc<str>,
    is_out_of_time: bool,
}

impl FactError {
    /// Returns an error that says `what`.
    pub fn new(what: impl Into<Arc<str>>) -> Self {
        Self { what: what.into(), is_out_of_time: false }
    }

    /// Returns the error of a search that time ended, which says `what`.
    pub(super) fn out_of_time(what: impl Into<Arc<str>>) -> Self {
        Self { what: what.into(), is_out_of_time: true }
    }

    /// Returns whether time was up, so that more of it may help.
    pub fn is_out_of_time(&self) -> bool {
        self.is_out_of_time
    }
}

impl fmt::Display for FactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for FactError {}
