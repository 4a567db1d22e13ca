//! Limits how fast markers are handed to the destinations.

use std::{
    fmt,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use crate::sys::signals;

/// Interval between two looks for a signal.
const TICK: Duration = Duration::from_millis(50);

/// A number of markers per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(u32);

impl Rate {
    /// A render script's destination gets one request for each marker, and the interfaces that we
    /// know the limits of accept ten to a hundred requests a second from everybody together.
    pub const DEFAULT: Self = Self(20);

    /// Returns the number of markers per second.
    pub fn per_second(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix("/s").unwrap_or(text).trim();
        let rate = number.parse().ok().filter(|rate| *rate > 0);
        rate.map(Self).ok_or_else(|| "expected markers per second, such as 20/s".into())
    }
}

/// The time at which the next markers may be handed over.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    next: Instant,
}

impl Pace {
    pub fn new(rate: Rate) -> Self {
        Self { rate, next: Instant::now() }
    }

    /// Notes that markers were handed over, and waits until more of them may follow. Returns early if
    /// a signal asks this process to stop.
    pub fn wait_after(&mut self, markers: usize) {
        let due = Duration::from_secs_f64(markers as f64 / f64::from(self.rate.0));
        self.next = self.next.max(Instant::now()) + due;
        while signals::stop().is_none() {
            let left = self.next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(TICK));
        }
    }
}
