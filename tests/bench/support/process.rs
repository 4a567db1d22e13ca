//! Adopts and waits for the background processes of a hook, and reads the resources that they used.

use std::{io, time::Duration};

/// Resources of an exited process, as wait4(2) reports them.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Process ID.
    pub pid: u32,
    /// User and system time.
    pub cpu: Duration,
    /// Maximum resident set size, in bytes.
    pub peak: u64,
}

/// Makes this process the parent of all orphaned descendants, so that it can wait for a detached
/// process.
pub fn adopt_orphans() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .expect("Linux has child subreapers since 3.4");
}

/// Waits until all children and orphans have exited. Detached processes have a deadline, so this
/// returns.
pub fn wait_for_all() {
    while wait_for_any().is_some() {}
}

/// Waits for the next child or orphan to exit. Returns `None` if there is none.
pub fn wait_for_any() -> Option<Ended> {
    loop {
        let mut status = 0;
        // SAFETY: a `rusage` consists of integers, for which zero is valid.
        #[expect(unsafe_code, reason = "neither std nor rustix reports the resources a child used")]
        let mut used: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to live variables of the types that wait4(2) writes.
        #[expect(unsafe_code, reason = "neither std nor rustix reports the resources a child used")]
        let pid = unsafe { libc::wait4(-1, &raw mut status, 0, &raw mut used) };
        if let Ok(pid @ 1..) = u32::try_from(pid) {
            let kib = u64::try_from(used.ru_maxrss).unwrap_or(0);
            return Some(Ended {
                pid,
                cpu: duration(used.ru_utime) + duration(used.ru_stime),
                peak: kib << 10,
            });
        }
        match io::Error::last_os_error() {
            err if err.kind() == io::ErrorKind::Interrupted => {}
            err if err.raw_os_error() == Some(libc::ECHILD) => return None,
            err => panic!("failed to wait for a process: {err}"),
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}
