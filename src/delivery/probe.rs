//! A request with nothing in it: whether a destination can be reached, knows us and takes what it is sent.

use std::time::Duration;

use super::{http::Client, retry::Outcome};
use crate::{config::Destination, marker::Signal, otlp, time::Timestamp};

/// What a destination says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// It takes what it is sent.
    Takes,
    /// It does not now, or cannot be reached; what is sent to it would be tried again.
    Later(String),
    /// It refuses for good, with this status.
    Refuses {
        /// The HTTP status.
        status: u16,
        /// What it said.
        why: String,
    },
}

/// Sends a request with nothing in it, and returns what came of it and what time it is there.
pub fn probe(destination: &Destination, timeout: Duration) -> (Probed, Option<Timestamp>) {
    let client = Client::new(destination, timeout);
    let probed =
        match otlp::encode(Signal::Logs, &[], Timestamp::now(), destination.protocol, destination.spans) {
            Ok(body) => match client.post(Signal::Logs, body) {
                Outcome::Accepted { .. } => Probed::Takes,
                Outcome::Retry { why, .. } => Probed::Later(why),
                Outcome::Refused { status, why } => Probed::Refuses { status, why },
            },
            Err(err) => Probed::Later(format!("failed to encode: {err}")),
        };
    (probed, client.clock())
}
