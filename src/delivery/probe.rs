//! A request that changes nothing: whether a destination can be reached, knows us and takes what it is sent.

use super::{http::Client, retry::Outcome, scripted::Scripted};
use crate::{
    config::{Config, Destination, Target},
    otlp,
    time::Timestamp,
};

/// What a destination says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// It takes what it is sent.
    Takes,
    /// Something answers there. Whether it knows us, a marker will show: the script has no question to ask.
    Answers,
    /// It does not now, or cannot be reached; what is sent to it would be tried again.
    Later(String),
    /// It refuses for good, with this status.
    Refuses {
        /// The HTTP status, 0 where none was got.
        status: u16,
        /// What it said.
        why: String,
    },
}

/// Sends a request that changes nothing, and returns what came of it and what time it is there.
pub fn probe(destination: &Destination, config: &Config) -> (Probed, Option<Timestamp>) {
    let client = Client::new(destination, config.delivery.timeout);
    let probed = match &destination.target {
        Target::Otlp(otlp) => {
            let signal = otlp::first_signal(otlp);
            match otlp::encode(signal, &[], Timestamp::now(), otlp) {
                Ok(body) => Probed::by(client.post(otlp, signal, body)),
                Err(err) => Probed::Later(format!("failed to encode: {err}")),
            }
        }
        Target::Http(http) => match Scripted::load(http, &config.limits) {
            Ok(scripted) => match scripted.probe(&client) {
                Some(outcome) => Probed::by(outcome),
                None => client.reach(&http.endpoint).map_or_else(Probed::Later, |()| Probed::Answers),
            },
            Err(why) => Probed::Refuses { status: 0, why },
        },
    };
    (probed, client.clock())
}

impl Probed {
    fn by(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted { .. } => Self::Takes,
            Outcome::Retry { why, .. } => Self::Later(why),
            Outcome::Refused { status, why } => Self::Refuses { status, why },
        }
    }
}
