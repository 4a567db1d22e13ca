//! The error of a fact that could not be read.

use std::{error::Error, fmt, io, iter, sync::Arc};

/// A fact that could not be read: the reason, as one line for people, and the kind of cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct FactError {
    what: Arc<str>,
    cause: FactErrorKind,
}

/// Kind of cause. It determines whether a retry can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FactErrorKind {
    /// The repository's content is unexpected or broken. A retry gives the same error.
    Content,
    /// The system refused a read, or the repository is not in its place. A retry may succeed.
    System,
    /// The walk used up its time.
    OutOfTime,
}

impl FactError {
    /// Returns an error about the content of the repository.
    pub fn new(what: impl Into<Arc<str>>) -> Self {
        Self { what: what.into(), cause: FactErrorKind::Content }
    }

    /// Returns an error about a read that the system refused.
    pub(super) fn system(what: impl Into<Arc<str>>) -> Self {
        Self { what: what.into(), cause: FactErrorKind::System }
    }

    /// Returns an error for work that ran out of time.
    pub(super) fn out_of_time(what: impl Into<Arc<str>>) -> Self {
        Self { what: what.into(), cause: FactErrorKind::OutOfTime }
    }

    /// Returns an error for a file that could not be read.
    pub(super) fn from_io(what: impl fmt::Display, err: &io::Error) -> Self {
        let cause = if is_of_system(err) { FactErrorKind::System } else { FactErrorKind::Content };
        Self { what: format!("{what}: {err}").into(), cause }
    }

    /// Returns an error for a failed read by gix, with the chain of causes in one line.
    pub(super) fn from_gix(what: impl fmt::Display, err: &gix::Error) -> Self {
        let cause =
            if err.iter_errors().any(is_refused) { FactErrorKind::System } else { FactErrorKind::Content };
        Self { what: format!("{what}: {}", one_line(err)).into(), cause }
    }

    /// Returns an error for a failed read by gix that reports a plain [`Error`].
    pub(super) fn from_source(what: impl fmt::Display, err: &(dyn Error + 'static)) -> Self {
        let mut causes = iter::successors(Some(err), |err| (*err).source());
        let cause = if causes.any(is_refused) { FactErrorKind::System } else { FactErrorKind::Content };
        Self { what: format!("{what}: {}", crate::text::line(err.to_string())).into(), cause }
    }

    /// Returns the same error, prefixed with `what`.
    pub(super) fn in_context(self, what: impl fmt::Display) -> Self {
        Self { what: format!("{what}: {self}").into(), ..self }
    }

    /// Returns true if the time was used up, so that more time may help.
    pub fn is_out_of_time(&self) -> bool {
        self.cause == FactErrorKind::OutOfTime
    }

    /// Returns true if the system caused the error, so that a retry may succeed.
    pub fn is_of_system(&self) -> bool {
        self.cause == FactErrorKind::System
    }
}

/// Returns gix's error with its causes as one line. Its plain `Display` shows only the outermost
/// error.
pub(super) fn one_line(err: &gix::Error) -> String {
    crate::text::line(format!("{err:#}"))
}

fn is_refused(err: &(dyn Error + 'static)) -> bool {
    err.downcast_ref::<io::Error>().is_some_and(is_of_system)
}

/// Returns true for errors that come from a system call. Errors without an OS code, such as
/// "invalid data", are made by std or gix and concern content.
fn is_of_system(err: &io::Error) -> bool {
    err.raw_os_error().is_some()
}
