//! The limit of a drain and its result.

use std::time::Duration;

use crate::sys::time::Deadline;

/// Result of a drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Markers that were delivered, counted once per destination.
    pub delivered: usize,
    /// Markers that became dead letters.
    pub dead: usize,
    /// Markers that were dropped because the spool was over its cap.
    pub dropped: usize,
    /// Files that still wait.
    pub left: usize,
    /// Destinations that another process is delivering to.
    pub busy: usize,
    /// Captured pushes that are not decided yet.
    pub undecided: usize,
    /// Captured pushes that wait until their policy is fixed.
    pub failed: usize,
}

impl Drained {
    /// Adds the result of another destination.
    pub(super) fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.dead += other.dead;
        self.dropped += other.dropped;
        self.left += other.left;
        self.busy += other.busy;
    }
}

/// Limit for the retries of a drain.
#[derive(Clone, Copy, Debug)]
pub enum RetryLimit {
    /// One attempt for each destination.
    Once,
    /// One attempt for each destination while a hook waits. A destination with one request per
    /// marker gets no new request after the deadline.
    OnceWithin(Deadline),
    /// Retries with back-off, until the spool is empty or the deadline is reached.
    Until(Deadline),
    /// Retries with back-off, until the spool is empty or each push has been retried for this long.
    /// A push that arrives during the drain extends the deadline.
    Linger(Duration),
}
