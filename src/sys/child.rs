//! Starts programs with few inherited resources, and waits for them with a deadline.
//!
//! git waits for a push until every copy of the hook's file descriptors is closed: 0, 1 and 2, and
//! since git 2.54 also receive-pack's stderr, which the hook inherits without close-on-exec
//! (reference/gitea.md, section 5). A daemon that a program leaves behind must therefore hold none
//! of them. The hook also inherits Gitea's environment, which contains Gitea's configuration, so
//! programs get only allow-listed variables.

use std::{
    ffi::OsString,
    io::{self, Read as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::sys::time::Deadline;

/// Environment variables that programs get. The OpenSSL variables say where the CA certificates
/// are, also for this program. There is no variable for a proxy.
const ALLOWED: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Interval between checks whether the program has ended. The standard library cannot wait with a
/// deadline.
const TICK: Duration = Duration::from_millis(1);

/// Returns a command that inherits only the first three descriptors and the allow-listed
/// environment variables.
pub fn command(program: impl AsRef<Path>) -> Command {
    withhold_descriptors();
    let mut command = Command::new(program.as_ref());
    command.env_clear().envs(environment());
    command
}

/// Sets close-on-exec on all descriptors but the first three.
pub fn withhold_descriptors() {
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
}

/// Returns the allow-listed variables of this process's environment.
fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    ALLOWED.into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
}

/// Runs a program and returns its exit status and what it printed to standard output. Returns `None`
/// if it was killed at the deadline. Returns as soon as the program itself exits, even if a process
/// that it left behind still holds the pipe open.
///
/// # Errors
/// If it cannot be run. The error has the kind `InvalidData` if it printed more than `limit` bytes.
pub fn output(
    command: &mut Command,
    deadline: Deadline,
    limit: u64,
) -> io::Result<Option<(ExitStatus, Vec<u8>)>> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut stdout = child.stdout.take().ok_or_else(|| io::Error::other("it has no standard output"))?;
    let flags = fcntl_getfl(&stdout)?;
    fcntl_setfl(&stdout, flags | OFlags::NONBLOCK)?;
    let mut printed = Vec::new();
    let read = || {
        let more = (&mut stdout).take(limit + 1 - printed.len() as u64).read_to_end(&mut printed);
        match more {
            Err(err) if err.kind() != io::ErrorKind::WouldBlock => Err(err),
            // Report this before the exit status. A program whose output is not read to the end
            // fails, and its status would hide the cause.
            _ if printed.len() as u64 > limit => {
                let why = format!("it printed more than {limit} bytes");
                Err(io::Error::new(io::ErrorKind::InvalidData, why))
            }
            _ => Ok(()),
        }
    };
    let status = wait_while(&mut child, deadline, read)?;
    Ok(status.map(|status| (status, printed)))
}

/// Waits for a child process. Returns `None` if it was killed at the deadline.
///
/// # Errors
/// If the system cannot wait for it or kill it.
pub fn wait(child: &mut Child, deadline: Deadline) -> io::Result<Option<ExitStatus>> {
    wait_while(child, deadline, || Ok(()))
}

/// Waits for a child process and calls `meanwhile` in each check, for the last time after the
/// process has ended.
///
/// # Errors
/// If the system cannot wait for it or kill it, or if `meanwhile` fails. The process is killed when
/// `meanwhile` fails.
pub fn wait_while(
    child: &mut Child,
    deadline: Deadline,
    mut meanwhile: impl FnMut() -> io::Result<()>,
) -> io::Result<Option<ExitStatus>> {
    let kill = |child: &mut Child| child.kill().and_then(|()| child.wait());
    loop {
        let ended = child.try_wait()?;
        if let Err(err) = meanwhile() {
            if ended.is_none() {
                kill(child)?;
            }
            return Err(err);
        }
        match ended {
            None if deadline.is_over() => return kill(child).map(|_| None),
            None => thread::sleep(TICK),
            ended => return Ok(ended),
        }
    }
}
