//! The process's own limits while scripts of others run: what holds when no check of the interpreter does.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::memory::{self, Ceiling};

/// How large the stack of the main thread may become, in bytes. The system leaves that much room below it, whatever its
/// limit was when the program began.
///
/// Closures that catch closures are chains, which are dropped link by link, and each goes down the stack by some 200 bytes.
/// They are cut at a quarter of a script's memory, where a link takes 180 bytes, and at its steps, of which one takes 12.
const STACK: u64 = Confined::STACK as u64;

/// While it lives, the process is confined.
#[must_use = "the limits are gone with it"]
pub struct Confined {
    stack: Option<Rlimit>,
    _memory: Ceiling,
}

impl Confined {
    /// The stack that a thread other than the main one needs to run scripts, in bytes.
    pub const STACK: usize = 112 << 20;

    /// Ends the process when this thread takes `memory` bytes more than it holds now, and gives the main thread the
    /// stack for what a script may build with less.
    pub(super) fn begin(memory: u64) -> Self {
        let now = getrlimit(Resource::Stack);
        let is_small = now.current.is_some_and(|current| current < STACK);
        let wanted = Rlimit { current: Some(now.maximum.map_or(STACK, |max| max.min(STACK))), ..now };
        let is_raised = is_small && setrlimit(Resource::Stack, wanted).is_ok();
        Self { stack: is_raised.then_some(now), _memory: memory::ceiling(memory) }
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // What this process starts has its own idea of a stack.
        if let Some(before) = self.stack {
            let _ = setrlimit(Resource::Stack, before);
        }
    }
}
