//! Every cause of "no marker came" that is known, each with what to do about it.

mod access;
mod destinations;
mod hooks;
mod rehearsal;
mod release;
mod report;
mod spool;

pub use access::{binary, configuration, state};
pub use destinations::{destinations, told};
pub use hooks::{Covering, git_config};
pub use rehearsal::Rehearsal;
pub use release::Server;
pub use report::{Check, Finding};
pub use spool::spool;
