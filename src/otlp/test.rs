//! Encodes a test event, which is not a marker. `connect` sends it to try a destination.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
};
use prost::Message as _;

use super::resource;
use crate::{config::Protocol, marker::name, sys::time::Timestamp};

/// Event name. It differs from those of all kinds, so that queries for markers do not find it.
const EVENT_NAME: &str = "gitea_lightstep.test";

/// Text for a person who finds the event.
const BODY: &str = "gitea-lightstep connect: markers of this server arrive here";

/// Returns the request body that carries a test event as a log record. Its service is named after
/// this program.
///
/// A test event is never a span: a back end may draw a new version in a span as a deployment.
///
/// # Errors
/// Returns an error if the event cannot be written as JSON.
pub fn encode_test(now: Timestamp, protocol: Protocol) -> Result<Vec<u8>, serde_json::Error> {
    match protocol {
        Protocol::Protobuf => Ok(logs(now).encode_to_vec()),
        Protocol::Json => serde_json::to_vec(&logs(now)),
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
