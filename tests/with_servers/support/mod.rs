//! Support for servers and other programs, beside the support that all tests share.

mod install_script;
pub mod nameserver;
pub mod nginx;
pub mod python;
pub mod rotel;
pub mod sid;

pub use crate::shared::*;

/// The shells that install.sh is tested with: those of Debian and of Gitea's images.
pub const SHELLS: [&[&str]; 2] = [&["dash"], &["busybox", "ash"]];

/// Options of install.sh that say where the timer is.
pub const TIMER_OPTIONS: [&str; 3] = ["--timer", "--systemd-dir", "--cron-dir"];

/// Stops a test that has to switch users.
#[track_caller]
pub fn assert_root() {
    assert!(host::is_root(), "this test switches users; run it as root");
}
