//! Catches signals that would end this program although it works correctly, or before it can undo
//! its changes.
//!
//! The handlers do next to nothing. Ignoring the signals instead would be inherited by the programs that
//! this one starts; a caught signal gets its default action again there.

#![expect(unsafe_code, reason = "the standard library cannot catch a signal")]

use std::sync::atomic::{AtomicI32, Ordering};

use libc::{
    SIG_IGN, SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGPWR, SIGQUIT, SIGSTKFLT, SIGTERM, SIGUSR1, SIGUSR2,
    SIGVTALRM, SIGXCPU, SIGXFSZ, c_int,
};

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

extern "C" fn do_nothing(_: c_int) {}

extern "C" fn note_stop(signal: c_int) {
    STOP.store(signal, Ordering::SeqCst);
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
