//! How much time and memory a script has used, asked while it runs.

use std::{cell::Cell, fs::File, os::unix::fs::FileExt as _};

use crate::{config::Limits, time::Deadline};

/// Asking costs more than an operation of a script, so the clock is read at every 64th operation and
/// memory at every 256th. The limits on sizes keep what one operation can make small.
const CLOCK_EVERY: u64 = 64;
const MEMORY_EVERY: u64 = 256;

/// What a script has used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsedUp {
    Time,
    Memory,
}

/// Watches one call of a script after the other.
pub(super) struct Meter {
    deadline: Cell<Deadline>,
    /// How much memory the process may hold, in bytes: what it held before any script ran, and the limit.
    ceiling: u64,
    /// proc(5), `/proc/self/statm`. Without it, the limits on sizes and operations have to do.
    statm: Option<File>,
    page: u64,
}

impl Meter {
    /// Makes a meter for scripts of others, or for our own, whose use of memory is known.
    pub fn new(limits: &Limits, are_others: bool) -> Self {
        let mut meter = Self {
            deadline: Cell::new(Deadline::never()),
            ceiling: 0,
            statm: are_others.then(|| File::open("/proc/self/statm").ok()).flatten(),
            page: rustix::param::page_size() as u64,
        };
        meter.ceiling = meter.resident().unwrap_or_default().saturating_add(limits.memory);
        meter
    }

    /// Begins a call that has to end by `deadline`.
    pub fn begin(&self, deadline: Deadline) {
        self.deadline.set(deadline);
    }

    /// Returns what is used up after so many operations, if anything is.
    pub fn check(&self, operations: u64) -> Option<UsedUp> {
        if operations.is_multiple_of(CLOCK_EVERY) && self.deadline.get().is_over() {
            return Some(UsedUp::Time);
        }
        let is_full = operations.is_multiple_of(MEMORY_EVERY)
            && self.resident().is_some_and(|resident| resident > self.ceiling);
        is_full.then_some(UsedUp::Memory)
    }

    /// Returns how much memory the process holds, in bytes.
    fn resident(&self) -> Option<u64> {
        let mut text = [0; 128];
        let read = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        let pages = std::str::from_utf8(&text[..read]).ok()?.split(' ').nth(1)?;
        Some(pages.parse::<u64>().ok()? * self.page)
    }
}
