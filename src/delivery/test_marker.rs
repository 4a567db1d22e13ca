//! A test marker: whether a destination takes what it is sent, told to the person who set it up.

use super::{
    http::Client,
    probe::{Probed, probe},
    retry::Outcome,
};
use crate::{
    config::{Config, Destination, Target},
    otlp,
    time::Timestamp,
};

/// What a destination said to a test marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// Whether it takes what it is sent.
    pub probed: Probed,
    /// What it said of the part that it did not take, empty if it took all.
    pub rejected: String,
}

/// Sends one test marker, once: a log record, or a span where there is no place for those. Nothing of it is spooled or noted. Where a script says what is sent, a test would be taken for
/// something that happened: there it is the question of the script's `probe` instead.
pub fn send_test(destination: &Destination, config: &Config) -> Tested {
    let later = |why| Tested { probed: Probed::Later(why), rejected: String::new() };
    let Target::Otlp(otlp) = &destination.target else {
        return Tested { probed: probe(destination, config).0, rejected: String::new() };
    };
    let signal = otlp::first_signal(otlp);
    let body = match otlp::encode_test(signal, Timestamp::now(), otlp.protocol) {
        Ok(body) => body,
        Err(err) => return later(format!("failed to encode: {err}")),
    };
    match Client::new(destination, config.delivery.timeout).post(otlp, signal, body) {
        Outcome::Accepted { rejected } => Tested { probed: Probed::Takes, rejected },
        Outcome::Retry { why, .. } => later(why),
        Outcome::Refused { status, why } => {
            Tested { probed: Probed::Refuses { status, why }, rejected: String::new() }
        }
    }
}
