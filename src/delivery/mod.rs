//! Delivery of the spool: sends each destination's outbox, and decides captured pushes in parallel.
//!
//! All HTTP agents are created in this module.

mod access;
mod batch;
mod connection;
mod credentials;
mod decide_one;
mod decider;
mod detach;
mod drain;
mod drained;
mod enrich;
mod event_query;
mod gitea_api;
mod handshake;
mod http;
mod postpone;
mod progress;
mod renamed;
mod rest;
pub(crate) mod retry;
mod suspect;
mod target;
mod trust;
mod worker;

pub use connection::agent_for_others;
pub use decide_one::decide_one;
pub use decider::{decide_push, decide_waiting};
pub use detach::{detach, detach_scan, leave};
pub use drain::drain;
pub use drained::{Drained, RetryLimit};
pub use enrich::check as check_gitea;
pub use event_query::{EventQueries, EventQuery};
pub use progress::{Moment, Progress};
pub use rest::RestError;
pub use target::{Probed, probe, send_test};
pub use trust::check_ca_file;
