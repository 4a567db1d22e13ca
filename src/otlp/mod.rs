//! Markers in the wire's words: OTLP logs and traces (opentelemetry-proto 1.9).

mod answer;
mod logs;
mod resource;
mod traces;

pub use answer::{PartialSuccess, partial_success, status_message};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;

use crate::{
    config::{Protocol, Spans},
    marker::Marker,
    policy::Kind,
    time::Timestamp,
};

/// Which of the two signals a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// One log record a marker.
    Logs,
    /// One root span a marker.
    Traces,
}

/// Returns the request body that carries `markers` as log records.
///
/// # Errors
/// If a marker cannot be written as JSON.
pub fn encode_logs(
    markers: &[&Marker],
    observed: Timestamp,
    protocol: Protocol,
) -> Result<Vec<u8>, serde_json::Error> {
    let request: ExportLogsServiceRequest = logs::request(markers, observed);
    match protocol {
        Protocol::Protobuf => Ok(request.encode_to_vec()),
        Protocol::Json => serde_json::to_vec(&request),
    }
}

/// Returns the request body that carries `markers` as root spans.
///
/// # Errors
/// If a marker cannot be written as JSON.
pub fn encode_traces(markers: &[&Marker], protocol: Protocol) -> Result<Vec<u8>, serde_json::Error> {
    let request: ExportTraceServiceRequest = traces::request(markers);
    match protocol {
        Protocol::Protobuf => Ok(request.encode_to_vec()),
        Protocol::Json => serde_json::to_vec(&request),
    }
}

/// Returns whether a marker is also a span.
pub fn is_span(marker: &Marker, spans: Spans) -> bool {
    match spans {
        Spans::All => true,
        Spans::None => false,
        Spans::Deployments => matches!(marker.kind, Kind::Deployment | Kind::Rollback),
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
