//! Measures the steps, time and memory that a script uses, and stops it at its limits. The engine
//! calls the meter at every step.

use std::{cell::Cell, fmt, rc::Rc, time::Duration};

use rhai::{Dynamic, EvalAltResult, NativeCallContext, Position};

use super::sizes;
use crate::{
    config::{Limits, duration_text, size_text},
    glob::Matcher,
    sys::alloc_meter,
    sys::time::Deadline,
};

/// Number of steps between two reads of the clock, because reading it costs more than a step.
const CLOCK_EVERY: u64 = 16;

/// Time between two reads of the clock above which the steps count as slow.
const LONG: Duration = Duration::from_millis(1);

/// Number of bytes that a step may allocate and still count as one, and number of further bytes
/// that count as one more.
const SMALL: u64 = 4096;
const BYTES_OF_STEP: u64 = 256;

/// Work of a native function that counts as one step, in units of about ten nanoseconds.
const WORK_OF_STEP: u64 = 8;

/// Amount of text matched between two charges, in bytes. With the longest pattern it takes a few
/// milliseconds.
const MATCHED: usize = 1024;

/// The limit that a script has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsedUp {
    Operations,
    Time,
    Memory,
    /// A value is too large. Used where the check could not return an error.
    Size,
}

impl UsedUp {
    /// Returns the number of further steps that a script may take after reaching a limit. Usually
    /// it reads a variable within these steps, and an error raised there has a line. An error
    /// raised between two steps has none.
    const fn grace(self) -> u64 {
        match self {
            Self::Operations => 64,
            Self::Time | Self::Memory | Self::Size => 8,
        }
    }
}

/// Measures calls of scripts, one after the other.
///
/// The engine's own count omits the steps of closures that a native function calls.
pub(super) struct Meter {
    limits: Limits,
    operations: Cell<u64>,
    deadline: Cell<Deadline>,
    /// Bytes that this thread held when the call began.
    before: Cell<isize>,
    /// Total bytes that this thread had allocated by the last step.
    taken: Cell<u64>,
    /// Step at which to read the clock next, and the time left at the last read.
    next_look: Cell<u64>,
    left: Cell<Duration>,
    /// Reached limit, and the number of operations at which the script is stopped at the latest.
    ending: Cell<Option<(UsedUp, u64)>>,
}

impl Meter {
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            operations: Cell::new(0),
            deadline: Cell::new(Deadline::never()),
            before: Cell::new(0),
            taken: Cell::new(0),
            next_look: Cell::new(0),
            left: Cell::new(Duration::MAX),
            ending: Cell::new(None),
        }
    }

    /// Starts measuring a call, which must end by `deadline`.
    pub fn begin(&self, deadline: Deadline) {
        self.operations.set(0);
        self.deadline.set(deadline);
        self.before.set(alloc_meter::held());
        self.taken.set(alloc_meter::taken());
        self.next_look.set(CLOCK_EVERY);
        self.left.set(deadline.left());
        self.ending.set(None);
    }

    /// Starts measuring a compilation. It may use the whole `[policy.limits] time`; only a
    /// malicious script takes that long.
    pub fn begin_to_compile(&self) {
        self.begin(Deadline::of_cpu(self.limits.time));
    }

    /// Counts a step. Returns the reached limit if the script must stop here.
    pub fn step(&self) -> Option<UsedUp> {
        let operations = self.operations.get() + 1 + self.steps_of_copies();
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

    /// Stops the script at its next read of a variable.
    pub fn end(&self, used_up: UsedUp) {
        self.ending.set(Some((used_up, self.operations.get() + used_up.grace())));
    }

    /// Returns the limit that is stopping the script, if any.
    pub fn ending(&self) -> Option<UsedUp> {
        self.ending.get().map(|(used_up, _)| used_up)
    }

    /// Counts a token during compilation. Returns the limit that is reached, if any.
    pub fn token(&self) -> Option<UsedUp> {
        let tokens = self.operations.get() + 1;
        self.operations.set(tokens);
        self.look(tokens)
    }

    fn look(&self, steps: u64) -> Option<UsedUp> {
        if self.grown() > self.limits.memory {
            return Some(UsedUp::Memory);
        }
        (steps >= self.next_look.get() && self.is_time_up(steps)).then_some(UsedUp::Time)
    }

    /// Reads the clock. If recent steps were slow, the clock is read again at the next step.
    fn is_time_up(&self, steps: u64) -> bool {
        let left = self.deadline.get().left();
        let took = self.left.replace(left).saturating_sub(left);
        self.next_look.set(steps + if took > LONG { 1 } else { CLOCK_EVERY });
        left.is_zero()
    }

    /// Returns the number of steps to count for memory allocated since the last step. A library
    /// function writes what it allocates, so the allocation measures its work.
    fn steps_of_copies(&self) -> u64 {
        let taken = alloc_meter::taken();
        let copied = taken.wrapping_sub(self.taken.replace(taken));
        if copied > SMALL { copied / BYTES_OF_STEP } else { 0 }
    }

    /// Counts the work of a native function. Returns the limit that is reached, if any.
    pub fn charge(&self, work: u64) -> Option<UsedUp> {
        let operations = self.operations.get().saturating_add(work / WORK_OF_STEP);
        self.operations.set(operations);
        if let Some(used_up) = self.ending() {
            return Some(used_up);
        }
        let is_over = operations > self.limits.operations;
        let used_up = if is_over {
            UsedUp::Operations
        } else if self.grown() > self.limits.memory {
            UsedUp::Memory
        } else if self.is_time_up(operations) {
            UsedUp::Time
        } else {
            return None;
        };
        self.end(used_up);
        Some(used_up)
    }

    /// Returns true if the script holds so much memory that copying a large value in one step could
    /// far exceed the limit.
    pub fn is_heavy(&self) -> bool {
        self.grown() > self.limits.memory / 4
    }

    /// Returns the growth of held memory since the call began, in bytes.
    fn grown(&self) -> u64 {
        u64::try_from(alloc_meter::held() - self.before.get()).unwrap_or_default()
    }

    /// Returns the error for the script's author.
    pub fn exceeded(&self, used_up: UsedUp) -> LimitExceeded {
        LimitExceeded { used_up, limits: self.limits }
    }
}

/// Charges the work of a native function to the calling script. A long-running function calls this
/// repeatedly.
///
/// # Errors
/// If a limit of the script is reached.
pub(super) fn charge(ctx: &NativeCallContext<'_>, work: u64) -> Result<(), Box<EvalAltResult>> {
    let Some(meter) = ctx.tag().and_then(Dynamic::read_lock::<Rc<Meter>>) else { return Ok(()) };
    match meter.charge(work) {
        Some(used_up) => Err(stopped(&meter, used_up)),
        None => Ok(()),
    }
}

/// Returns true if the text matches. Charges the work to the script.
///
/// # Errors
/// If a limit of the script is reached.
pub(super) fn matches(
    ctx: &NativeCallContext<'_>,
    matcher: &mut Matcher<'_>,
    text: &[u8],
) -> Result<bool, Box<EvalAltResult>> {
    matcher.begin();
    for part in text.chunks(MATCHED) {
        let goes_on = matcher.goes_on(part);
        charge(ctx, matcher.work())?;
        if !goes_on {
            return Ok(false);
        }
    }
    Ok(matcher.is_at_end())
}

/// Returns the error that stops a script at a limit.
pub(super) fn stopped(meter: &Meter, used_up: UsedUp) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(Dynamic::from(meter.exceeded(used_up)), Position::NONE).into()
}

/// The limit that was reached, with the values of all limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct LimitExceeded {
    pub used_up: UsedUp,
    limits: Limits,
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits { operations, time, memory } = self.limits;
        match self.used_up {
            UsedUp::Operations => write!(
                f,
                "the script takes more than {operations} steps, the limit of `[policy.limits] operations`; \
                 look for an endless loop, or raise the limit"
            ),
            UsedUp::Time => write!(
                f,
                "the script runs longer than {}, the limit of `[policy.limits] time`; make it do less, or \
                 raise the limit",
                duration_text(time)
            ),
            UsedUp::Memory => write!(
                f,
                "the script uses more than {}, the limit of `[policy.limits] memory`; make it keep less, \
                 or raise the limit",
                size_text(memory)
            ),
            UsedUp::Size => write!(f, "a value is too large: {}", sizes::allowed()),
        }
    }
}

#[cfg(test)]
mod tests;
