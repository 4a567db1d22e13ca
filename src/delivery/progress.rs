//! Progress of a drain, for display by another thread.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Running totals of a drain, over all destinations.
#[derive(Debug, Default)]
pub struct Progress {
    delivered: AtomicUsize,
    files: AtomicUsize,
    left: AtomicUsize,
}

/// The totals at one moment. They are read one after the other, so they may be a batch apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Markers that were delivered, counted once per destination.
    pub delivered: usize,
    /// Files to send that were found so far, including those already sent.
    pub files: usize,
    /// Files that still wait.
    pub left: usize,
}

/// The contribution of one destination.
#[derive(Debug)]
pub(super) struct Share<'a> {
    of: &'a Progress,
    left: usize,
}

impl Progress {
    /// Returns the totals at this moment.
    pub fn now(&self) -> Moment {
        Moment {
            delivered: self.delivered.load(Relaxed),
            files: self.files.load(Relaxed),
            left: self.left.load(Relaxed),
        }
    }

    pub(super) fn share(&self) -> Share<'_> {
        Share { of: self, left: 0 }
    }
}

impl Share<'_> {
    /// Sets the number of waiting files. If it is higher than before, new files have arrived.
    pub fn leaves(&mut self, left: usize) {
        if left > self.left {
            self.of.files.fetch_add(left - self.left, Relaxed);
            self.of.left.fetch_add(left - self.left, Relaxed);
        } else {
            self.of.left.fetch_sub(self.left - left, Relaxed);
        }
        self.left = left;
    }

    /// Subtracts files that a merge saved.
    pub fn merged(&mut self, saved: usize) {
        let saved = saved.min(self.left);
        self.of.files.fetch_sub(saved, Relaxed);
        self.of.left.fetch_sub(saved, Relaxed);
        self.left -= saved;
    }

    /// Adds delivered markers.
    pub fn delivers(&self, markers: usize) {
        self.of.delivered.fetch_add(markers, Relaxed);
    }
}

/// Subtracts the files that this destination did not send. The next worker finds and counts them
/// again.
impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.of.files.fetch_sub(self.left, Relaxed);
        self.of.left.fetch_sub(self.left, Relaxed);
    }
}

#[cfg(test)]
mod tests;
