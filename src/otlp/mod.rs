//! Encodes markers as OTLP logs and traces (opentelemetry-proto 1.9), and decodes the responses.
//!
//! This module does not send anything. `delivery` does.

mod answer;
mod logs;
mod resource;
mod test;
mod traces;

pub use answer::{Cut, Success, status_message};
use prost::Message as _;
pub use test::encode_test;

use crate::{
    config::{Otlp, Protocol},
    marker::{Kind, Marker, Signal},
    sys::time::Timestamp,
};

/// Returns the request body that carries `markers` as `signal`, in the destination's encoding.
///
/// # Errors
/// Returns an error if a marker cannot be written as JSON.
pub fn encode(
    signal: Signal,
    markers: &[&Marker],
    observed: Timestamp,
    otlp: &Otlp,
) -> Result<Vec<u8>, serde_json::Error> {
    match (signal, otlp.protocol) {
        (Signal::Logs, Protocol::Protobuf) => Ok(logs::request(markers, observed).encode_to_vec()),
        (Signal::Logs, Protocol::Json) => serde_json::to_vec(&logs::request(markers, observed)),
        (Signal::Traces, Protocol::Protobuf) => Ok(traces::request(markers, otlp).encode_to_vec()),
        (Signal::Traces, Protocol::Json) => serde_json::to_vec(&traces::request(markers, otlp)),
    }
}

/// Returns the media type of request bodies.
pub fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Protobuf => "application/x-protobuf",
        Protocol::Json => "application/json",
    }
}

/// Returns the event name of a kind: constant, fully qualified, outside OpenTelemetry's namespaces.
pub fn event_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Change => "gitea_lightstep.change",
        Kind::Release => "gitea_lightstep.release",
        Kind::Deployment => "gitea_lightstep.deployment",
        Kind::Rollback => "gitea_lightstep.rollback",
    }
}
