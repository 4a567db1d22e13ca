//! Starts the detached deliverer, which must not keep anything of the push open.
//!
//! Git and the pusher's client wait until all descriptors of the push are closed. The deliverer
//! gets /dev/null for the first three and none of the others ([`child::command`]).

use std::{ffi::OsString, io, path::PathBuf, process::Stdio, time::Duration};

use crate::{
    config::Config,
    secret::SecretSource,
    sys::child,
    sys::fault::{self, Step},
};

/// Starts `gitea-lightstep deliver` in the background, without our descriptors and with the
/// environment variables of an allow-list.
///
/// The new process detaches itself in [`leave`]. If the standard library had to do that between
/// fork and exec, it could not use `posix_spawn` and would have to copy this process.
///
/// # Errors
/// Returns an error if the process cannot be started. Nothing is lost, because the next push starts
/// one again.
pub fn detach(config: &Config) -> io::Result<()> {
    start(config, ["deliver", "--detached"])
}

/// Starts `gitea-lightstep scan` in the background, for the repositories that hooks want scanned.
///
/// # Errors
/// Returns an error if the process cannot be started. The next scan of all repositories finds the same.
pub fn detach_scan(config: &Config) -> io::Result<()> {
    start(config, ["scan", "--wanted"])
}

fn start(config: &Config, args: [&str; 2]) -> io::Result<()> {
    let binary = own_binary();
    let mut command = child::command(&binary);
    command.args(args);
    if let Some(path) = &config.path {
        command.arg("--config").arg(path);
    }
    command.envs(secret_variables(config)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    fault::point(Step::Spawn, &binary)?;
    command.spawn().map(drop)
}

/// Returns the environment variables from which the configuration reads the secrets of the delivery.
pub(super) fn secret_variables(config: &Config) -> impl Iterator<Item = (&str, OsString)> {
    let wanted = config.secrets_of_delivery().filter_map(SecretSource::variable);
    wanted.filter_map(|name| Some((name, std::env::var_os(name)?)))
}

/// Detaches this process from the push.
///
/// It leaves the session and process group, so that signals to them do not end it. It leaves the
/// repository's directory, so that the repository can be moved. It lowers its priority and sleeps
/// briefly, so that git can finish the push first.
pub fn leave() {
    // Each of these fails only if there is nothing to leave.
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let _ = rustix::process::nice(NICE);
    std::thread::sleep(HEAD_START);
}

/// Niceness of the delivery relative to git and Gitea (nice(2)).
const NICE: i32 = 10;

/// Time that git gets to finish the push before the delivery starts. The pusher would notice a
/// slower push, but 50 ms do not show in a graph. Markers of pushes in quick succession also share
/// a request.
const HEAD_START: Duration = Duration::from_millis(50);

/// Returns the path of the running binary.
///
/// `/proc/self/exe` stays right if an upgrade replaces the file. Without `/proc`, `argv[0]` is used
/// if it is absolute.
pub(super) fn own_binary() -> PathBuf {
    let running = PathBuf::from("/proc/self/exe");
    let named = || std::env::args_os().next().map(PathBuf::from).filter(|named| named.is_absolute());
    if running.exists() { running } else { named().unwrap_or(running) }
}
