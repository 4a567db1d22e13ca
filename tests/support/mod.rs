//! Shared test support: a sandbox with a Gitea-like repository, receivers, proxies, and the
//! fixtures of the crash tests.

pub mod attributes;
pub mod backend;
pub mod clinic;
pub mod cut;
pub mod estate;
pub mod facts;
pub mod flicker;
pub mod giteas;
mod golden;
pub mod host;
pub mod hostile;
mod listener;
pub mod proxy;
pub mod random;
pub mod raw_git;
pub mod recorder;
mod restart;
mod sandbox;
pub mod schema;
pub mod shop;
pub mod signed;
pub mod spool;
pub mod terminal;
pub mod tls;

pub use golden::{assert_as_it_is, assert_golden};
pub use restart::start_again;
pub use sandbox::{BINARY, Ran, Sandbox, manifest_dir, signal, wait_until};

/// Returns true in the long run, `tests/run --long`.
pub fn is_long() -> bool {
    std::env::var_os("GITEA_LIGHTSTEP_LONG").is_some()
}
