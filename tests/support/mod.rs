//! What the tests share: a sandbox with a Gitea-like repository, two receivers, and a server that is neither.

pub mod hostile;
pub mod recorder;
pub mod rotel;
mod sandbox;

pub use sandbox::{BINARY, Ran, Sandbox, manifest_dir, wait_until};
