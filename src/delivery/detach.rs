//! The detached process: it must keep nothing of the push that started it.
//!
//! Whoever waits for the end of a push waits until every copy of its descriptors is closed: 0, 1 and 2,
//! and since git 2.54 also receive-pack's own stderr, which the hook inherits without close-on-exec
//! (reference/gitea.md, section 5). So the child gets /dev/null for the first three and none of the rest.

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    config::{Config, Destination},
    fault::{self, Step},
};

/// What the detached process gets of the environment, beside what a configured secret needs. Where CAs are, is for OpenSSL's
/// variables to say here as everywhere; no variable names a proxy.
const ALLOWED: [&str; 8] =
    ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR"];

/// Starts `gitea-lightstep deliver` on its own: no descriptor of ours, no environment but the
/// allow-list. The rest it does as its first act ([`leave`]): asked to do it between fork and exec, the
/// standard library would have to copy this process instead of borrowing it (`posix_spawn`).
///
/// # Errors
/// If it cannot be started. Nothing is lost by that: the next push starts one again.
pub fn detach(config: &Config) -> io::Result<()> {
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
    let binary = own_binary();
    let mut command = Command::new(&binary);
    command.arg("deliver").arg("--detached");
    if let Some(path) = &config.path {
        command.arg("--config").arg(path);
    }
    command
        .env_clear()
        .envs(environment(config))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    fault::point(Step::Spawn, &binary)?;
    command.spawn().map(drop)
}

/// Leaves the push: its session and process group, so that what ends these does not end us; its
/// repository, so that it can be moved; and the front of the queue for the processor, until the push is
/// over.
pub fn leave() {
    // Each of these fails only where there is nothing to leave.
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let _ = rustix::process::nice(NICE);
    std::thread::sleep(HEAD_START);
}

/// How far the delivery steps back behind git and Gitea (nice(2)).
const NICE: i32 = 10;

/// How long git has to end the push before the delivery begins. Nobody who looks at a graph sees it, the
/// pusher does, and markers of pushes that come close together share a request.
const HEAD_START: Duration = Duration::from_millis(50);

/// An upgrade may replace the binary while it runs; the name in `/proc` stays right. Where nobody mounted that, who started us said
/// where we are.
fn own_binary() -> PathBuf {
    let running = PathBuf::from("/proc/self/exe");
    let named = || std::env::args_os().next().map(PathBuf::from).filter(|named| named.is_absolute());
    if running.exists() { running } else { named().unwrap_or(running) }
}

fn environment(config: &Config) -> Vec<(OsString, OsString)> {
    let secrets = config.destinations.iter().flat_map(Destination::secrets);
    let wanted = secrets.filter_map(|(_, source)| source.variable());
    ALLOWED
        .into_iter()
        .chain(wanted)
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
        .collect()
}
