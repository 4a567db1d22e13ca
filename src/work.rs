//! An allowance of processor time for untrusted input: trees, commits and patterns.
//!
//! Work is counted in units of about ten nanoseconds, so the same input stops at the same place on
//! every machine. A deadline may stop it earlier.

use std::{cell::Cell, time::Duration};

use crate::sys::time::Deadline;

/// Number of units between two checks of the clock: about a millisecond.
const BETWEEN_LOOKS: u64 = 100_000;

/// The units of work that may still be spent.
#[derive(Debug)]
pub struct Allowance {
    given: u64,
    left: Cell<u64>,
    until_look: Cell<u64>,
    deadline: Deadline,
}

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// The deadline has passed.
    Time,
    /// The units are used up.
    Work,
}

impl Allowance {
    /// Allows `units` of work until the deadline.
    pub fn new(units: u64, deadline: Deadline) -> Self {
        Self { given: units, left: Cell::new(units), until_look: Cell::new(0), deadline }
    }

    /// Spends units, and checks the clock from time to time.
    ///
    /// # Errors
    /// If the units or the time are used up. All later calls fail, too.
    pub fn spend(&self, units: u64) -> Result<(), Spent> {
        let until_look = self.until_look.get();
        if until_look > units {
            self.until_look.set(until_look - units);
        } else {
            if self.deadline.is_over() {
                return Err(Spent::Time);
            }
            self.until_look.set(BETWEEN_LOOKS);
        }
        let left = self.left.get().saturating_sub(units);
        self.left.set(left);
        if left == 0 { Err(Spent::Work) } else { Ok(()) }
    }

    /// Checks the clock now. This is for callers that do not know what an operation costs.
    ///
    /// # Errors
    /// If the time is used up.
    pub fn look(&self) -> Result<(), Spent> {
        if self.deadline.is_over() { Err(Spent::Time) } else { Ok(()) }
    }

    /// Returns the time until the deadline, for callers that wait for another process.
    pub fn time_left(&self) -> Duration {
        self.deadline.left()
    }

    /// Returns the number of units that were spent.
    pub fn spent(&self) -> u64 {
        self.given - self.left.get()
    }
}

#[cfg(test)]
mod tests;
