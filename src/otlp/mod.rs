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
    state::Tip,
    sys::time::Timestamp,
};

/// Returns the request body that carries `markers` as `signal`, in the destination's encoding. The last
/// one in it has the journal's head.
///
/// # Errors
/// Returns an error if a marker cannot be written as JSON.
pub fn encode(
    signal: Signal,
    markers: &[&Marker],
    observed: Timestamp,
    head: Option<Tip>,
    otlp: &Otlp,
) -> Result<Vec<u8>, serde_json::Error> {
    let is_json = otlp.protocol == Protocol::Json;
    match signal {
        Signal::Logs => {
            let request = logs::request(markers, observed, head);
            if is_json { serde_json::to_vec(&request) } else { Ok(request.encode_to_vec()) }
        }
        Signal::Traces => {
            let request = traces::request(markers, head, otlp);
            if is_json { serde_json::to_vec(&request) } else { Ok(request.encode_to_vec()) }
        }
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
