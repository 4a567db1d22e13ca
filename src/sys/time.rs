//! Deadlines and the clock. Points in time are [`jiff::Timestamp`]s everywhere; this module adds
//! deadlines, which also limit processor time.

use std::time::{Duration, Instant, SystemTime};

use crate::sys::fault;

pub use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Returns the present time. If the clock is beyond the range of [`Timestamp`], returns its first
/// or last value, so that the push is captured nevertheless.
pub fn now() -> Timestamp {
    let clock = fault::clock();
    Timestamp::try_from(clock)
        .unwrap_or_else(|_| if clock < SystemTime::UNIX_EPOCH { Timestamp::MIN } else { Timestamp::MAX })
}

/// Start of 1985, in seconds since 1970. Dates of commits and tags before it come from machines
/// without a clock, which begin at 1970 or 1980.
const FIRST_BELIEVED: i64 = 473_385_600;

/// Returns true if a date in a repository is too early to be believed.
pub fn is_absurd(date: Timestamp) -> bool {
    date.as_second() < FIRST_BELIEVED
}

/// A time limit for work. It is measured on the monotonic clock or in processor time, so setting
/// the wall clock has no effect.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(DeadlineAt);

#[derive(Clone, Copy, Debug)]
enum DeadlineAt {
    /// A point on the monotonic clock, or `None` for never.
    At(Option<Instant>),
    /// Processor time of the thread.
    Cpu(Duration),
}

impl Deadline {
    /// Returns the deadline in `budget` from now.
    pub fn after(budget: Duration) -> Self {
        Self::from(Instant::now(), budget)
    }

    /// Returns the deadline `budget` after `start`.
    pub fn from(start: Instant, budget: Duration) -> Self {
        Self(DeadlineAt::At(start.checked_add(budget)))
    }

    /// Returns a deadline that passes when this thread has used `budget` more processor time.
    /// Waiting for a disk or for other processes does not count. Only valid in this thread.
    pub fn of_cpu(budget: Duration) -> Self {
        Self(DeadlineAt::Cpu(cpu_time().saturating_add(budget)))
    }

    /// Returns a deadline that never passes.
    pub fn never() -> Self {
        Self(DeadlineAt::At(None))
    }

    /// Returns true if the deadline has passed.
    pub fn is_over(self) -> bool {
        match self.0 {
            DeadlineAt::At(end) => end.is_some_and(|end| Instant::now() >= end),
            DeadlineAt::Cpu(end) => cpu_time() >= end,
        }
    }

    /// Sleeps for `wait` and returns true, unless the deadline is earlier.
    pub fn sleeps(self, wait: Duration) -> bool {
        let sleeps = self.left() > wait;
        if sleeps {
            std::thread::sleep(wait);
        }
        sleeps
    }

    /// Returns the remaining time, or `Duration::MAX` for the deadline that never passes.
    pub fn left(self) -> Duration {
        match self.0 {
            DeadlineAt::At(end) => {
                end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()))
            }
            DeadlineAt::Cpu(end) => end.saturating_sub(cpu_time()),
        }
    }
}

/// Returns the processor time that this thread has used.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}
