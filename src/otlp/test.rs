//! A log record that is no marker, by which `connect` tries a destination.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
};
use prost::Message as _;

use super::resource;
use crate::{config::Protocol, marker::name, time::Timestamp};

/// The event name: none of a kind, so that no query for markers finds it.
const EVENT_NAME: &str = "gitea_lightstep.test";

/// What a person reads who finds it.
const BODY: &str = "gitea-lightstep connect: markers of this server arrive here";

/// Returns the request body that carries a test marker of ours, from a service of our own name.
///
/// It is a log record and never a span: from a span Lightstep would draw a deployment of that service.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn encode_test(now: Timestamp, protocol: Protocol) -> Result<Vec<u8>, serde_json::Error> {
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
    let attributes = vec![
        resource::text(name::SERVICE_NAME, env!("CARGO_PKG_NAME")),
        resource::text(name::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
    ];
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_logs: vec![ScopeLogs {
                scope: Some(resource::scope()),
                log_records: vec![record],
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    };
    match protocol {
        Protocol::Protobuf => Ok(request.encode_to_vec()),
        Protocol::Json => serde_json::to_vec(&request),
    }
}
