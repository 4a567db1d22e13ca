//! How many steps, how much time and how much memory a script has used, asked at each of its steps.

use std::{cell::Cell, fmt};

use super::sizes;
use crate::{
    config::{Limits, duration_text, size_text},
    memory,
    time::Deadline,
};

/// Reading the clock costs more than a step of a script.
const CLOCK_EVERY: u64 = 16;

/// Which of its limits a script has used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsedUp {
    Operations,
    Time,
    Memory,
    /// A value is larger than a value may be, and where that was found no error could be returned.
    Size,
}

impl UsedUp {
    /// How many more steps a script may take, so that the error comes where a variable is read, which has a line. The
    /// engine knows none of a script that it stops between two steps.
    const fn grace(self) -> u64 {
        match self {
            Self::Operations => 64,
            Self::Time | Self::Memory | Self::Size => 8,
        }
    }
}

/// Watches one call of a script after the other.
///
/// Steps are counted here and not by the engine, which forgets those of a closure that a function calls.
pub(super) struct Meter {
    limits: Limits,
    operations: Cell<u64>,
    deadline: Cell<Deadline>,
    /// What this thread held when the call began.
    before: Cell<isize>,
    /// What the script is being stopped for, and after how many operations at the latest.
    ending: Cell<Option<(UsedUp, u64)>>,
}

impl Meter {
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            operations: Cell::new(0),
            deadline: Cell::new(Deadline::never()),
            before: Cell::new(0),
            ending: Cell::new(None),
        }
    }

    /// Begins a call that has to end by `deadline`.
    pub fn begin(&self, deadline: Deadline) {
        self.operations.set(0);
        self.deadline.set(deadline);
        self.before.set(memory::held());
        self.ending.set(None);
    }

    /// Begins to compile a script, which has the time of a push for itself: what takes so long is an attack.
    pub fn begin_to_compile(&self) {
        self.begin(Deadline::after(self.limits.time));
    }

    /// Counts a step, and returns what is used up if the script has to end here.
    pub fn step(&self) -> Option<UsedUp> {
        let operations = self.operations.get() + 1;
        self.operations.set(operations);
        if let Some((used_up, last)) = self.ending.get() {
            return (operations >= last).then_some(used_up);
        }
        let is_over = operations > self.limits.operations;
        if let Some(used_up) = is_over.then_some(UsedUp::Operations).or_else(|| self.look(operations)) {
            self.end(used_up);
        }
        None
    }

    /// Has the script end where it reads a variable next.
    pub fn end(&self, used_up: UsedUp) {
        self.ending.set(Some((used_up, self.operations.get() + used_up.grace())));
    }

    /// Returns what the script is being stopped for.
    pub fn ending(&self) -> Option<UsedUp> {
        self.ending.get().map(|(used_up, _)| used_up)
    }

    /// Counts a token of a script that is compiled, and returns what is used up, if anything is.
    pub fn token(&self) -> Option<UsedUp> {
        let tokens = self.operations.get() + 1;
        self.operations.set(tokens);
        self.look(tokens)
    }

    fn look(&self, steps: u64) -> Option<UsedUp> {
        if self.grown() > self.limits.memory {
            return Some(UsedUp::Memory);
        }
        (steps.is_multiple_of(CLOCK_EVERY) && self.deadline.get().is_over()).then_some(UsedUp::Time)
    }

    /// Returns whether the script holds so much that the copy of a large value in one step might lead far beyond
    /// the limit.
    pub fn is_heavy(&self) -> bool {
        self.grown() > self.limits.memory / 4
    }

    /// Returns how much more memory is held than when the call began, in bytes.
    fn grown(&self) -> u64 {
        u64::try_from(memory::held() - self.before.get()).unwrap_or_default()
    }

    /// Returns what the author of the script reads.
    pub fn told(&self, used_up: UsedUp) -> Told {
        Told { used_up, limits: self.limits }
    }
}

/// What is used up, with the limits that hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub used_up: UsedUp,
    limits: Limits,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits { operations, time, memory } = self.limits;
        match self.used_up {
            UsedUp::Operations => write!(
                f,
                "the script takes more than {operations} steps, the limit of `[policy.limits] operations`; \
                 look for a loop without an end, or raise it"
            ),
            UsedUp::Time => write!(
                f,
                "the script runs longer than {}, the limit of `[policy.limits] time`; \
                 have it do less, or raise it",
                duration_text(time)
            ),
            UsedUp::Memory => write!(
                f,
                "the script holds more than {}, the limit of `[policy.limits] memory`; \
                 have it keep less, or raise it",
                size_text(memory)
            ),
            UsedUp::Size => write!(f, "a value is too large: {}", sizes::allowed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn steps_are_counted_to_the_last() {
        let meter = Meter::new(&Limits { operations: 1000, ..Limits::default() });
        meter.begin(Deadline::never());
        let stopped = (1..).find_map(|nth| meter.step().map(|used_up| (nth, used_up)));
        assert_eq!(stopped, Some((1001 + 64, UsedUp::Operations)));
        meter.begin(Deadline::never());
        assert!((0..1000).all(|_| meter.step().is_none() && meter.ending().is_none()));
        assert_eq!((meter.step(), meter.ending()), (None, Some(UsedUp::Operations)));
    }

    #[test]
    fn memory_is_asked_at_each_step_and_the_clock_at_every_16th() {
        let meter = Meter::new(&Limits { memory: 1 << 20, ..Limits::default() });
        meter.begin(Deadline::never());
        let held = vec![0u8; 2 << 20];
        assert_eq!((meter.step(), meter.ending()), (None, Some(UsedUp::Memory)));
        drop(held);
        meter.begin(Deadline::after(Duration::ZERO));
        let stopped = (1..).find_map(|nth| meter.step().map(|used_up| (nth, used_up)));
        assert_eq!(stopped, Some((16 + 8, UsedUp::Time)));
    }
}
