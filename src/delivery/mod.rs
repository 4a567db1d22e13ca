//! Sending what is in the spool: the inbox first, then each destination's outbox. HTTP stays in here.

mod connection;
mod courier;
mod credentials;
mod detach;
mod drain;
mod handshake;
mod http;
mod load;
mod probe;
mod progress;
mod retry;
mod scripted;
mod trust;

pub use connection::agent_for_others;
pub use detach::{detach, leave};
pub use drain::{Drained, Patience, drain};
pub use probe::{Probed, probe};
pub use progress::{Moment, Progress};
pub use trust::check_ca_file;
