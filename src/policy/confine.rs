//! Limits on the process while it runs scripts. They are the last resort if the interpreter's own
//! checks fail.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::sys::alloc_meter::{self, Ceiling};

/// Stack limit of the main thread, in bytes. The kernel leaves at least this much address space
/// free below the stack, whatever the limit was when the program started.
///
/// The size allows for the longest chain of closures that capture closures. Rust drops such a chain
/// recursively, which takes about 200 bytes of stack per link. A chain may use a quarter of the
/// script's memory, at 180 bytes per link, and all of the script's steps, at 12 per link.
const STACK: u64 = Confined::STACK as u64;

/// Guard that limits the process until it is dropped.
#[must_use = "the limits are gone with it"]
pub struct Confined {
    stack: Option<Rlimit>,
    _memory: Ceiling,
}

impl Confined {
    /// Stack size for threads that run scripts, other than the main thread, in bytes.
    pub const STACK: usize = 112 << 20;

    /// Ends the process if this thread allocates `memory` bytes more than it holds now.
    pub(super) fn in_memory(memory: u64) -> Self {
        Self { stack: None, _memory: alloc_meter::ceiling(memory) }
    }

    /// Sets the same memory limit as [`Self::in_memory`], and raises the main thread's stack limit
    /// if it is lower than scripts need.
    pub(super) fn begin(memory: u64) -> Self {
        let now = getrlimit(Resource::Stack);
        let is_small = now.current.is_some_and(|current| current < STACK);
        let wanted = Rlimit { current: Some(now.maximum.map_or(STACK, |max| max.min(STACK))), ..now };
        let is_raised = is_small && setrlimit(Resource::Stack, wanted).is_ok();
        Self { stack: is_raised.then_some(now), _memory: alloc_meter::ceiling(memory) }
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // Child processes inherit the limit, so restore it.
        if let Some(before) = self.stack {
            let _ = setrlimit(Resource::Stack, before);
        }
    }
}
