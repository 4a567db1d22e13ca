//! What the tests share: a sandbox with a Gitea-like repository, receivers good and bad, a proxy to put
//! before them, and what a crash is tried on.

pub mod backend;
pub mod estate;
pub mod flicker;
mod golden;
pub mod host;
pub mod hostile;
mod listener;
pub mod nameserver;
pub mod nginx;
pub mod proxy;
pub mod python;
pub mod recorder;
pub mod rotel;
mod sandbox;
pub mod sid;
pub mod spool;
pub mod tls;

pub use golden::{assert_as_it_is, assert_golden};
pub use sandbox::{BINARY, Ran, Sandbox, manifest_dir, wait_until};

/// Returns whether this is the long run, `tests/run --long`.
pub fn is_long() -> bool {
    std::env::var_os("GITEA_LIGHTSTEP_LONG").is_some()
}
