//! Ends a hook successfully despite signals, resource limits and panics.

use std::{
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::Mutex,
    thread,
};

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};

use super::notes::write_line;
use crate::{
    sys::alloc_meter,
    sys::fault::{self, Step},
    sys::signals,
    text,
};

/// Stack size for the hook, in bytes, if the process's own limit is less than a quarter of it.
const STACK: usize = 8 << 20;

/// Number of file descriptors that is enough for a hook, and the number that it requests if it has
/// fewer.
const FEW_FILES: u64 = 64;
const ENOUGH_FILES: u64 = 1024;

/// Runs the hook. If it panics before it can record the error, prints one line to the pusher.
pub(super) fn survive(work: impl FnOnce() -> ExitCode + Send) -> ExitCode {
    // The default hook would print the panic to the pusher.
    panic::set_hook(Box::new(|_| {}));
    signals::outlive_push();
    alloc_meter::end_successfully();
    ask_for_files();
    // With a stricter umask the hook could not open its own files.
    umask(Mode::RWXG | Mode::RWXO);
    let work = || {
        panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            write_line(&format!(
                "gitea-lightstep: this push may have no markers: this is a bug in gitea-lightstep, please \
                 report it: panic: {}",
                text::line(text::said_by_panic(&*panic))
            ));
            ExitCode::SUCCESS
        })
    };
    if getrlimit(Resource::Stack).current.is_some_and(|stack| stack < STACK as u64 / 4) {
        with_stack(work)
    } else {
        work()
    }
}

/// Runs `work` in a thread with a stack of `STACK` bytes, or in this thread if that one cannot be
/// started.
fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let work = Mutex::new(Some(work));
    let take = || work.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    thread::scope(|scope| {
        let started = fault::point(Step::Thread, "stack".as_ref()).and_then(|()| {
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || take().map(|work| work()))
        });
        let done = started.ok().and_then(|thread| thread.join().unwrap_or(None));
        done.or_else(|| take().map(|work| work()))
    })
    .expect("the work is done once")
}

fn ask_for_files() {
    let files = getrlimit(Resource::Nofile);
    if files.current.is_some_and(|files| files < FEW_FILES) {
        let most = files.maximum.map_or(ENOUGH_FILES, |most| most.min(ENOUGH_FILES));
        // If the system refuses, the step that runs out of descriptors reports the error.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..files });
    }
}
