//! Why a fact could not be read.

use std::{fmt, sync::Arc};

/// Why a fact could not be read, as one line for people. Nobody decides by the cause: whoever
/// asked goes without the fact and says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactError(Arc<str>);

impl FactError {
    /// Returns an error that says `what`.
    pub fn new(what: impl Into<Arc<str>>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for FactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FactError {}
