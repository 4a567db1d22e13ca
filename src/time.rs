//! Deadlines and the clock. Points in time are [`jiff::Timestamp`]s everywhere; this module
//! adds what the push path needs beside them: a budget that can be asked whether it is used up.

use std::time::{Duration, Instant};

pub use jiff::Timestamp;

/// An instant after which work must stop, measured on the monotonic clock so that a wall
/// clock that jumps changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Returns the deadline that is `budget` away from now.
    pub fn after(budget: Duration) -> Self {
        Self::from(Instant::now(), budget)
    }

    /// Returns the deadline that is `budget` away from `start`.
    pub fn from(start: Instant, budget: Duration) -> Self {
        Self(start.checked_add(budget))
    }

    /// Returns the deadline that never comes.
    pub fn never() -> Self {
        Self(None)
    }

    /// Returns whether the time is used up.
    pub fn is_over(self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }

    /// Returns the time left, `Duration::MAX` for the deadline that never comes.
    pub fn left(self) -> Duration {
        self.0.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()))
    }
}
