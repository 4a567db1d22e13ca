//! Sending what is in the spool: the inbox first, then each destination's outbox. HTTP stays in here.

mod connection;
mod courier;
mod credentials;
mod detach;
mod drain;
mod event_query;
mod handshake;
mod http;
mod load;
mod probe;
mod progress;
mod rest;
mod retry;
mod scripted;
mod test_marker;
mod trust;

pub use connection::agent_for_others;
pub use detach::{detach, leave};
pub use drain::{Drained, Patience, drain};
pub use event_query::{EventQueries, EventQuery};
pub use probe::{Probed, probe};
pub use progress::{Moment, Progress};
pub use rest::RestError;
pub use test_marker::{Tested, send_test};
pub use trust::check_ca_file;
