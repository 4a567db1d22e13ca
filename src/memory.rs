//! How much memory a thread holds, counted at every allocation.
//!
//! A policy's limit on memory has to be asked at every step of a script, and the system knows only of pages,
//! late and for a system call. So the allocator of this program counts what each thread takes and gives
//! back. It is the only place in which the program is not checked by the compiler for memory safety, and it
//! does nothing but hand every call on to the system's allocator.

#![expect(unsafe_code, reason = "an allocator cannot be written without")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    marker::PhantomData,
};

use rustix::process::{Signal, getpid, kill_process};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// What this thread holds. It is below zero where another thread allocated what this one gave back.
    static HELD: Cell<isize> = const { Cell::new(0) };
    /// What this thread may hold before the process ends.
    static CEILING: Cell<isize> = const { Cell::new(isize::MAX) };
}

/// The system's allocator, with a count.
struct Counting;

/// While it lives, an allocation of this thread beyond the ceiling ends the process.
#[must_use = "the ceiling is gone with it"]
pub struct Ceiling {
    before: isize,
    /// It belongs to the thread that set it.
    _thread: PhantomData<*const ()>,
}

/// Returns how much memory this thread holds, in bytes, with what the allocator needs for itself.
pub fn held() -> isize {
    HELD.get()
}

/// Ends the process when this thread holds `bytes` more than now: a last resort, for it cannot be caught and
/// runs no destructor. It says nothing and leaves no core, because a pusher may be listening.
pub fn ceiling(bytes: u64) -> Ceiling {
    let before = CEILING.replace(HELD.get().saturating_add_unsigned(in_memory(bytes)));
    Ceiling { before, _thread: PhantomData }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        CEILING.set(self.before);
    }
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

// SAFETY: every call is handed on as it came to the system's allocator, which keeps the contract. The count
// allocates nothing and cannot unwind: its thread-locals need no set-up and no destructor.
//
// Not inlined: the program allocates in 10,000 places.
unsafe impl GlobalAlloc for Counting {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(chunk(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
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
        // SAFETY: the block came from `System`, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        take(chunk(new_size) - chunk(layout.size()));
        // SAFETY: the block came from `System`, with this layout, and the caller vouches for the size.
        given(unsafe { System.realloc(block, layout, new_size) })
    }
}

/// Returns what the system's allocator sets aside for `size` bytes: a header, in steps of 16.
#[inline]
fn chunk(size: usize) -> isize {
    (size.saturating_add(23) & !15) as isize
}

/// Counts bytes that were taken, or given back if they are below zero.
#[inline]
fn take(bytes: isize) {
    let held = HELD.get().wrapping_add(bytes);
    HELD.set(held);
    if held > CEILING.get() {
        end_process();
    }
}

/// Hands a block on. If the system has none, and there is a ceiling, the process ends as it would beyond it: the standard
/// library would say so to the pusher.
#[inline]
fn given(block: *mut u8) -> *mut u8 {
    if block.is_null() && CEILING.get() != isize::MAX {
        end_process();
    }
    block
}

#[cold]
fn end_process() {
    // A signal to ourselves cannot fail; if it does, the limits of the interpreter have to do.
    let _ = kill_process(getpid(), Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_counted_and_what_is_given_back_too() {
        let before = held();
        let block: Vec<u8> = Vec::with_capacity(1 << 20);
        assert_eq!(held() - before, chunk(1 << 20));
        drop(block);
        assert_eq!(held(), before);

        let mut grown = vec![0u64; 10];
        grown.reserve_exact(1000);
        assert_eq!(held() - before, chunk(grown.capacity() * 8));
        drop(grown);
        assert_eq!(held(), before);
    }

    #[test]
    fn each_thread_counts_for_itself() {
        let before = held();
        let block = std::thread::spawn(|| {
            let mine = held();
            let block = vec![1u8; 1 << 20];
            assert!(held() - mine >= 1 << 20);
            block
        });
        let block = block.join().expect("it counts right");
        let now = held();
        assert!(now - before < 1 << 20, "{now} {before}");
        drop(block);
        assert!(held() < now);
    }
}
