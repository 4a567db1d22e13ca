//! The checks of `doctor`: every known cause of missing markers, each with a fix.

mod access;
mod destinations;
mod gitea_api;
mod hooks;
mod rehearsal;
mod release;
mod report;
mod scan;
mod spool;

pub use access::{binary, configuration, state};
pub use destinations::{describe, destinations};
pub use gitea_api::gitea_api;
pub use hooks::{Covering, git_config, install_again};
pub use rehearsal::Rehearsal;
pub use release::ServerRelease;
pub use report::Check;
pub use scan::scan;
pub use spool::spool;
