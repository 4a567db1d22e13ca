//! Counts the memory of each thread at every allocation.
//!
//! The policy engine checks a script's memory limit at every step. The operating system only knows
//! pages, and asking it takes a system call. So this program has its own allocator, which counts
//! what each thread allocates and frees, and passes every call on to the system's allocator. It can
//! also end the process at a ceiling, for allocations that no script step can check.

#![expect(unsafe_code, reason = "implementing an allocator requires it")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd as _},
    sync::atomic::{AtomicI32, AtomicIsize, Ordering},
};

use rustix::io::write;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Number of bytes that this thread holds. Negative if it freed what another thread had
    /// allocated.
    static HELD: Cell<isize> = const { Cell::new(0) };
    /// Number of bytes that this thread has ever allocated.
    static TAKEN: Cell<u64> = const { Cell::new(0) };
    /// Number of bytes that this thread may hold before the process ends.
    static CEILING: Cell<isize> = const { Cell::new(isize::MAX) };
}

/// Number of bytes that a thread without its own ceiling may hold before the process ends.
static OF_ANY_THREAD: AtomicIsize = AtomicIsize::new(isize::MAX);

/// Exit status at the ceiling, unless [`exit_at_ceiling`] has set another one.
const FOUND: i32 = 1;

/// The message for a user whose command reached the ceiling. It is constant because nothing can be
/// allocated then.
const SAID: &[u8] =
    b"gitea-lightstep: error: a script used far more memory than `[policy.limits] memory` allows\n";

/// Exit status at the ceiling. While it is negative, the message is printed, and the status is 1.
static STATUS: AtomicI32 = AtomicI32::new(-1);

/// The state of a hook, which exits with status 0 at a ceiling or without memory, because git is
/// waiting for it. Holds the file descriptor of the capture once there is one.
static HOOK: AtomicI32 = AtomicI32::new(NO_HOOK);

/// The process is not a hook.
const NO_HOOK: i32 = -1;
/// The hook has not captured the push.
const WITHOUT_CAPTURE: i32 = -2;
/// The markers of the push are in the outbox.
const SETTLED: i32 = -3;

/// The message for a pusher whose push was not captured.
const NOT_CAPTURED: &[u8] =
    b"gitea-lightstep: this push has no markers: out of memory; raise `ulimit -v` or the container's limit\n";

/// The system's allocator with counters.
struct Counting;

/// A guard for this thread's ceiling. While it exists, an allocation beyond the ceiling ends the
/// process.
#[must_use = "dropping the guard lifts the ceiling"]
pub struct Ceiling {
    before: isize,
    /// The guard must be dropped in the thread that created it.
    _thread: PhantomData<*const ()>,
}

/// Returns the memory that this thread holds, in bytes, including the allocator's overhead.
pub fn held() -> isize {
    HELD.get()
}

/// Returns the memory that this thread has ever allocated, in bytes. It measures work, because data
/// has to be allocated before it is written.
pub fn taken() -> u64 {
    TAKEN.get()
}

/// Makes the process end at a ceiling with this exit status and without a message.
pub fn exit_at_ceiling(status: u8) {
    STATUS.store(status.into(), Ordering::Relaxed);
}

/// Sets a ceiling of `bytes` for each thread that has none of its own.
pub fn limit_threads(bytes: u64) {
    OF_ANY_THREAD.store(isize::try_from(bytes).unwrap_or(isize::MAX), Ordering::Relaxed);
}

/// Ends the process when this thread holds `bytes` more than now. This is a last resort: it cannot
/// be caught, runs no destructors and leaves no core dump.
pub fn ceiling(bytes: u64) -> Ceiling {
    let before = CEILING.replace(HELD.get().saturating_add_unsigned(in_memory(bytes)));
    Ceiling { before, _thread: PhantomData }
}

/// Makes this process exit with status 0 at a ceiling or without memory, after one line on stderr.
pub fn end_successfully() {
    HOOK.store(WITHOUT_CAPTURE, Ordering::Relaxed);
}

/// From now on, such an exit synchronises the file system of the capture first and prints nothing.
pub fn sync_at_the_end(capture: &impl AsFd) {
    HOOK.store(capture.as_fd().as_raw_fd(), Ordering::Relaxed);
}

/// From now on, such an exit does nothing else.
pub fn end_silently() {
    HOOK.store(SETTLED, Ordering::Relaxed);
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        CEILING.set(self.before);
    }
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

// SAFETY: every call goes unchanged to the system's allocator, which fulfils the contract. Counting
// does not allocate and cannot unwind: the thread-locals need neither initialisation nor a
// destructor.
//
// Not inlined, because the program allocates in 10,000 places.
unsafe impl GlobalAlloc for Counting {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(chunk(layout.size()));
        // SAFETY: the caller fulfils the contract of `alloc`, which is the same.
        given(unsafe { System.alloc(layout) })
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(chunk(layout.size()));
        // SAFETY: as above.
        given(unsafe { System.alloc_zeroed(layout) })
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        take(-chunk(layout.size()));
        // SAFETY: the block came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        take(chunk(new_size) - chunk(layout.size()));
        // SAFETY: the block came from `System` with this layout, and the caller guarantees the
        // size.
        given(unsafe { System.realloc(block, layout, new_size) })
    }
}

/// Returns the number of bytes that the system's allocator uses for `size` bytes: a header, rounded
/// up to 16.
#[inline]
fn chunk(size: usize) -> isize {
    (size.saturating_add(23) & !15) as isize
}

/// Counts allocated bytes, or freed ones if the number is negative.
#[inline]
fn take(bytes: isize) {
    let held = HELD.get().wrapping_add(bytes);
    HELD.set(held);
    TAKEN.set(TAKEN.get().wrapping_add(bytes.max(0).unsigned_abs() as u64));
    let ceiling = CEILING.get();
    if held > ceiling || (ceiling == isize::MAX && held > OF_ANY_THREAD.load(Ordering::Relaxed)) {
        end_process();
    }
}

/// Returns the block. If the system has no memory, and this thread has a ceiling or the process
/// must end quietly, ends the process as at the ceiling. The standard library would print an error
/// instead, which the pusher would see.
#[inline]
fn given(block: *mut u8) -> *mut u8 {
    let is_quiet = || STATUS.load(Ordering::Relaxed) >= 0 || HOOK.load(Ordering::Relaxed) != NO_HOOK;
    if block.is_null() && (CEILING.get() != isize::MAX || is_quiet()) {
        end_process();
    }
    block
}

/// Ends the process at once. Allocates nothing, takes no lock and runs no exit handlers.
#[cold]
fn end_process() {
    let hook = HOOK.load(Ordering::Relaxed);
    if hook != NO_HOOK {
        end_hook(hook);
    }
    let status = STATUS.load(Ordering::Relaxed);
    if status < 0 {
        // The terminal may be closed; ignore errors.
        let _ = write(rustix::stdio::stderr(), SAID);
    }
    // SAFETY: `_exit` may be called at any time. It takes no lock and runs no code of this process.
    unsafe { libc::_exit(if status < 0 { FOUND } else { status }) }
}

/// Ends a hook. A captured push is decided later, so the pusher gets no message about it.
fn end_hook(hook: i32) -> ! {
    if hook >= 0 {
        // SAFETY: the argument is a number. If the descriptor was closed, the call fails without an
        // effect; if it was reused, the call synchronises another file system.
        unsafe { libc::syncfs(hook) };
    }
    if hook == WITHOUT_CAPTURE {
        let _ = write(rustix::stdio::stderr(), NOT_CAPTURED);
    }
    // SAFETY: `_exit` may be called at any time. It takes no lock and runs no code of this process.
    unsafe { libc::_exit(0) }
}

#[cfg(test)]
mod tests;
