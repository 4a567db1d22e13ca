//! What the tests share: a sandbox with a Gitea-like repository, and two receivers.

mod golden;
pub mod python;
pub mod recorder;
pub mod rotel;
mod sandbox;

pub use golden::assert_golden;
pub use sandbox::{BINARY, Ran, Sandbox, manifest_dir, wait_until};
