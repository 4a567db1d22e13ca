//! Encodes markers as log records, one per marker. Every back end accepts these.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
};

use super::{event_name, resource};
use crate::{marker::Marker, sys::time::Timestamp};

/// Flag bits of a sampled trace (W3C Trace Context, section 3.2).
const SAMPLED: u32 = 1;

pub(super) fn request(markers: &[&Marker], observed: Timestamp) -> ExportLogsServiceRequest {
    let resource_logs = resource::by_service(markers)
        .into_iter()
        .map(|(key, markers)| ResourceLogs {
            resource: Some(resource::resource(key)),
            scope_logs: vec![ScopeLogs {
                scope: Some(resource::scope()),
                log_records: markers.into_iter().map(|marker| record(marker, observed)).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        })
        .collect();
    ExportLogsServiceRequest { resource_logs }
}

fn record(marker: &Marker, observed: Timestamp) -> LogRecord {
    LogRecord {
        time_unix_nano: resource::unix_nanos(marker.time),
        observed_time_unix_nano: resource::unix_nanos(observed),
        severity_number: SeverityNumber::Info.into(),
        severity_text: "INFO".into(),
        event_name: event_name(marker.kind).into(),
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(marker.title.clone())) }),
        attributes: resource::attributes(marker),
        flags: SAMPLED,
        trace_id: marker.trace_id.as_bytes().to_vec(),
        span_id: marker.span_id().as_bytes().to_vec(),
        ..LogRecord::default()
    }
}
