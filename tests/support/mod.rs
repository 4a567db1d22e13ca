//! What the tests share: a sandbox with a Gitea-like repository, and receivers.

pub mod flicker;
pub mod recorder;
pub mod rotel;
mod sandbox;

pub use sandbox::{BINARY, Ran, Sandbox, manifest_dir, wait_until};

/// Returns whether this is the long run, `tests/run --long`.
pub fn is_long() -> bool {
    std::env::var_os("GITEA_LIGHTSTEP_LONG").is_some()
}
