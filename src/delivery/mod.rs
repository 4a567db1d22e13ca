//! Sending what is in the spool: the inbox first, then each destination's outbox. HTTP stays in here.

mod courier;
mod credentials;
mod detach;
mod drain;
mod http;
mod load;
mod retry;

pub use detach::{detach, leave};
pub use drain::{Drained, Patience, drain};
