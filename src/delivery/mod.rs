//! Sending what is in the spool: the inbox first, then each destination's outbox. HTTP stays in here.

mod batch;
mod credentials;
mod detach;
mod drain;
mod http;
mod retry;

pub use detach::{detach, leave};
pub use drain::{Drained, Patience, drain};
