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
