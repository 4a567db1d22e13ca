//! What `check` finds in a script that compiles: words, functions and kinds that are not there.

mod finding;
mod known;
mod walk;

pub use finding::Finding;
pub(super) use known::Known;
pub(super) use walk::walk;
