//! Markers in the wire's words: OTLP logs and traces (opentelemetry-proto 1.9).

mod answer;
mod logs;
mod resource;
mod test;
mod traces;

pub use answer::{PartialSuccess, partial_success, status_message};
use prost::Message as _;
pub use test::encode_test;

pub use crate::marker::Signal;
use crate::{
    config::{Logs, Otlp, Protocol, Spans},
    marker::Marker,
    policy::Kind,
    time::Timestamp,
};

/// Returns the request body that carries `markers` in the form of `signal`, as the destination wants it.
///
/// # Errors
/// If a marker cannot be written as JSON.
pub fn encode(
    signal: Signal,
    markers: &[&Marker],
    observed: Timestamp,
    otlp: &Otlp,
) -> Result<Vec<u8>, serde_json::Error> {
    let has_releases = otlp.spans == Spans::All;
    match (signal, otlp.protocol) {
        (Signal::Logs, Protocol::Protobuf) => Ok(logs::request(markers, observed).encode_to_vec()),
        (Signal::Logs, Protocol::Json) => serde_json::to_vec(&logs::request(markers, observed)),
        (Signal::Traces, Protocol::Protobuf) => Ok(traces::request(markers, has_releases).encode_to_vec()),
        (Signal::Traces, Protocol::Json) => serde_json::to_vec(&traces::request(markers, has_releases)),
    }
}

/// Returns whether a destination gets a marker in the form of `signal`.
pub fn is_wanted(signal: Signal, marker: &Marker, otlp: &Otlp) -> bool {
    match signal {
        Signal::Logs => otlp.logs == Logs::All,
        Signal::Traces => match otlp.spans {
            Spans::All => true,
            Spans::None => false,
            Spans::Deployments => matches!(marker.kind, Kind::Deployment | Kind::Rollback),
        },
    }
}

/// Returns the form in which a destination gets every marker: log records, or spans where it has no place for those.
pub fn first_signal(otlp: &Otlp) -> Signal {
    match otlp.logs {
        Logs::All => Signal::Logs,
        Logs::None => Signal::Traces,
    }
}

/// Returns the media type of requests and answers.
pub fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Protobuf => "application/x-protobuf",
        Protocol::Json => "application/json",
    }
}

/// Returns the event name of a kind: static, fully qualified, outside OpenTelemetry's namespaces.
pub fn event_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Change => "gitea_lightstep.change",
        Kind::Release => "gitea_lightstep.release",
        Kind::Deployment => "gitea_lightstep.deployment",
        Kind::Rollback => "gitea_lightstep.rollback",
    }
}
