//! Encodes a test event, which is not a marker. `connect` sends it to try a destination.

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind},
};
use prost::Message;
use serde::Serialize;

use super::resource;
use crate::{
    config::Protocol,
    marker::{Signal, name},
    sys::time::Timestamp,
};

/// Event name. It differs from those of all kinds, so that queries for markers do not find it.
const EVENT_NAME: &str = "gitea_lightstep.test";

/// Text for a person who finds the event.
const BODY: &str = "gitea-lightstep connect: markers of this server arrive here";

/// Returns the request body that carries a test event. Its service is named after this program.
///
/// The span is of kind `Internal`, so that it does not count as a request. Destinations that take
/// logs should not get the span: a new version in a span may be drawn as a deployment.
///
/// # Errors
/// Returns an error if the event cannot be written as JSON.
pub fn encode_test(signal: Signal, now: Timestamp, protocol: Protocol) -> Result<Vec<u8>, serde_json::Error> {
    match signal {
        Signal::Logs => bytes(&logs(now), protocol),
        Signal::Traces => bytes(&traces(now), protocol),
    }
}

fn bytes<M: Message + Serialize>(request: &M, protocol: Protocol) -> Result<Vec<u8>, serde_json::Error> {
    match protocol {
        Protocol::Protobuf => Ok(request.encode_to_vec()),
        Protocol::Json => serde_json::to_vec(request),
    }
}

fn own_resource() -> Resource {
    let attributes = vec![
        resource::text(name::SERVICE_NAME, env!("CARGO_PKG_NAME")),
        resource::text(name::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
    ];
    Resource { attributes, ..Resource::default() }
}

fn logs(now: Timestamp) -> ExportLogsServiceRequest {
    let time = resource::unix_nanos(now);
    let record = LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: SeverityNumber::Info.into(),
        severity_text: "INFO".into(),
        event_name: EVENT_NAME.into(),
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(BODY.into())) }),
        attributes: vec![resource::text(name::EVENT_NAME, EVENT_NAME)],
        ..LogRecord::default()
    };
    let scope_logs = ScopeLogs {
        scope: Some(resource::scope()),
        log_records: vec![record],
        schema_url: resource::SCHEMA_URL.into(),
    };
    let resource_logs = ResourceLogs {
        resource: Some(own_resource()),
        scope_logs: vec![scope_logs],
        schema_url: resource::SCHEMA_URL.into(),
    };
    ExportLogsServiceRequest { resource_logs: vec![resource_logs] }
}

fn traces(now: Timestamp) -> ExportTraceServiceRequest {
    let time = resource::unix_nanos(now);
    let span = Span {
        trace_id: fastrand::u128(1..).to_be_bytes().to_vec(),
        span_id: fastrand::u64(1..).to_be_bytes().to_vec(),
        name: EVENT_NAME.into(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: time,
        end_time_unix_nano: time,
        attributes: vec![resource::text(name::EVENT_NAME, EVENT_NAME)],
        ..Span::default()
    };
    let scope_spans = ScopeSpans {
        scope: Some(resource::scope()),
        spans: vec![span],
        schema_url: resource::SCHEMA_URL.into(),
    };
    let resource_spans = ResourceSpans {
        resource: Some(own_resource()),
        scope_spans: vec![scope_spans],
        schema_url: resource::SCHEMA_URL.into(),
    };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}
