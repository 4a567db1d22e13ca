//! What the tests share: a sandbox with a Gitea-like repository, the receivers, and what a crash is
//! tried on.

pub mod backend;
pub mod recorder;
pub mod rotel;
mod sandbox;
pub mod spool;

pub use sandbox::{BINARY, Ran, Sandbox, manifest_dir, wait_until};
