//! Catches signals that would end this program although it works correctly, or before it can undo
//! its changes.
//!
//! The handlers do next to nothing. Ignoring the signals instead would be inherited by the programs that
//! this one starts; a caught signal gets its default action again there.

#![expect(unsafe_code, reason = "the standard library cannot catch a signal")]

use std::{
    mem, ptr,
    sync::atomic::{AtomicI32, Ordering},
};

use libc::{
    SA_RESTART, SA_SIGINFO, SI_KERNEL, SIG_DFL, SIG_IGN, SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGPWR,
    SIGQUIT, SIGSTKFLT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ, c_int, c_void, siginfo_t,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, getpid, kill_process, setrlimit};

/// Makes a write beyond the maximum file size (`RLIMIT_FSIZE`) return an error, like a write to a
/// full disk.
pub fn outlive_large_files() {
    catch(&[SIGXFSZ]);
}

/// Keeps a hook running when its terminal is closed, the pusher interrupts it, a service is stopped
/// or the soft limit of processor time is reached. A hook ends within seconds anyway.
pub fn outlive_push() {
    catch(&[
        SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGPWR, SIGQUIT, SIGSTKFLT, SIGTERM, SIGUSR1, SIGUSR2,
        SIGVTALRM, SIGXCPU, SIGXFSZ,
    ]);
}

/// Makes the signals of a terminal or a service manager set [`stop`], and not end this program.
pub fn note_stops() {
    let handler: extern "C" fn(c_int) = note_stop;
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        // A signal that was ignored, as by nohup, stays ignored.
        if set(signal, handler as libc::sighandler_t) == SIG_IGN {
            set(signal, SIG_IGN);
        }
    }
}

/// Makes the signals that end a program go to the child process that [`forward_to`] names, and does not
/// end this program. Each of them sets [`stop`], except those for a program's own use.
///
/// A signal from the terminal reaches the child process without us: the kernel sends it to all processes
/// in the foreground. A second one would make many programs give up without cleaning up.
pub fn forward_stops() {
    let handler: extern "C" fn(c_int, *const siginfo_t, *const c_void) = forward;
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2] {
        // SAFETY: all zeros are a valid `sigaction`, and both pointers are valid. The handler calls
        // functions that may be called in a handler, and restores `errno`.
        unsafe {
            let mut old: libc::sigaction = mem::zeroed();
            let mut new: libc::sigaction = mem::zeroed();
            new.sa_sigaction = handler as libc::sighandler_t;
            new.sa_flags = SA_SIGINFO | SA_RESTART;
            // A signal that was ignored, as by nohup, stays ignored.
            if libc::sigaction(signal, ptr::null(), &raw mut old) == 0 && old.sa_sigaction != SIG_IGN {
                libc::sigaction(signal, &raw const new, ptr::null_mut());
            }
        }
    }
}

/// Announces that a child process is about to start. From now on, a signal from the terminal reaches it
/// without us.
pub fn before_child() {
    CHILD.store(STARTING, Ordering::SeqCst);
}

/// Names the child process that gets the signals, `None` if there is none any more. A signal that came
/// before it started, or that did not reach it, is sent now.
pub fn forward_to(child: Option<Pid>) {
    CHILD.store(child.map_or(0, |child| child.as_raw_nonzero().get()), Ordering::SeqCst);
    let early = EARLY.swap(0, Ordering::SeqCst);
    if let (Some(child), Some(signal)) = (child, Signal::from_named_raw(early)) {
        // It may have ended.
        let _ = kill_process(child, signal);
    }
}

/// Ends this process by a signal, as the signal ended another one, without a core dump. Returns if the
/// signal does not end processes.
pub fn end_by(signal: c_int) {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    set(signal, SIG_DFL);
    if let Some(signal) = Signal::from_named_raw(signal) {
        let _ = kill_process(getpid(), signal);
    }
}

/// Returns the signal that has asked this program to stop, if one has.
pub fn stop() -> Option<c_int> {
    Some(STOP.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
}

/// Returns the name of a signal that sets [`stop`].
pub fn name(signal: c_int) -> &'static str {
    match signal {
        SIGHUP => "SIGHUP",
        SIGINT => "SIGINT",
        _ => "SIGTERM",
    }
}

static STOP: AtomicI32 = AtomicI32::new(0);

/// Process that gets forwarded signals, 0, or [`STARTING`].
static CHILD: AtomicI32 = AtomicI32::new(0);

/// Stands for a child process whose ID is not known yet.
const STARTING: i32 = -1;

/// Signal that is to be sent to the child process as soon as its ID is known, or 0.
static EARLY: AtomicI32 = AtomicI32::new(0);

extern "C" fn do_nothing(_: c_int) {}

extern "C" fn note_stop(signal: c_int) {
    STOP.store(signal, Ordering::SeqCst);
}

extern "C" fn forward(signal: c_int, info: *const siginfo_t, _: *const c_void) {
    if !matches!(signal, SIGUSR1 | SIGUSR2) {
        STOP.store(signal, Ordering::SeqCst);
    }
    // SAFETY: the kernel passes a valid `info`, and `kill` may be called in a handler.
    unsafe {
        match CHILD.load(Ordering::SeqCst) {
            0 => EARLY.store(signal, Ordering::SeqCst),
            _ if (*info).si_code == SI_KERNEL => {}
            STARTING => EARLY.store(signal, Ordering::SeqCst),
            child => {
                let errno = *libc::__errno_location();
                libc::kill(child, signal);
                *libc::__errno_location() = errno;
            }
        }
    }
}

fn catch(signals: &[c_int]) {
    let handler: extern "C" fn(c_int) = do_nothing;
    for signal in signals {
        set(*signal, handler as libc::sighandler_t);
    }
}

/// Sets what a signal does, and returns what it did before.
fn set(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: each handler stores an atomic at most, so it may run at any time. Interrupted system
    // calls are restarted.
    unsafe { libc::signal(signal, handler) }
}
