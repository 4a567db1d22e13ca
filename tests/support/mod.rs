//! What the tests share: a sandbox with a Gitea-like repository, two receivers, a proxy to put before
//! them, and a server that means no good.

pub mod hostile;
pub mod nginx;
pub mod recorder;
pub mod rotel;
mod sandbox;

pub use sandbox::{BINARY, Ran, Sandbox, manifest_dir, wait_until};
