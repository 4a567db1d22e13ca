//! How far a drain is, for whoever watches it from another thread.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What a drain has done so far, all destinations together.
#[derive(Debug, Default)]
pub struct Progress {
    delivered: AtomicUsize,
    files: AtomicUsize,
    left: AtomicUsize,
}

/// How far a drain was at one moment. The numbers are read one by one, so they may be a batch apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Markers that arrived, counted once a destination.
    pub delivered: usize,
    /// Files that there were to send, as far as they were found.
    pub files: usize,
    /// How many of them wait still.
    pub left: usize,
}

/// One destination's part of the progress.
#[derive(Debug)]
pub(super) struct Share<'a> {
    of: &'a Progress,
    left: usize,
}

impl Progress {
    /// Returns how far the drain is now.
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
    /// Notes that this many files wait; more than before have come meanwhile.
    pub fn leaves(&mut self, left: usize) {
        if left > self.left {
            self.of.files.fetch_add(left - self.left, Relaxed);
            self.of.left.fetch_add(left - self.left, Relaxed);
        } else {
            self.of.left.fetch_sub(self.left - left, Relaxed);
        }
        self.left = left;
    }

    /// Notes that what waits is in so many files fewer.
    pub fn merged(&mut self, saved: usize) {
        let saved = saved.min(self.left);
        self.of.files.fetch_sub(saved, Relaxed);
        self.of.left.fetch_sub(saved, Relaxed);
        self.left -= saved;
    }

    /// Notes that this many markers arrived.
    pub fn delivers(&self, markers: usize) {
        self.of.delivered.fetch_add(markers, Relaxed);
    }
}

/// What is left is not on its way any more; the next courier finds it again.
impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.of.files.fetch_sub(self.left, Relaxed);
        self.of.left.fetch_sub(self.left, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_add_up_and_what_comes_meanwhile_counts() {
        let progress = Progress::default();
        let (mut one, mut two) = (progress.share(), progress.share());
        one.leaves(10);
        two.leaves(5);
        one.delivers(20);
        one.leaves(4);
        two.leaves(7);
        assert_eq!(progress.now(), Moment { delivered: 20, files: 17, left: 11 });
        two.merged(3);
        assert_eq!(progress.now(), Moment { delivered: 20, files: 14, left: 8 });
        one.leaves(0);
        drop(two);
        assert_eq!(progress.now(), Moment { delivered: 20, files: 10, left: 0 });
    }
}
