//! Encodes markers as log records, one per marker. Every back end accepts these.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
};

use super::{event_name, resource};
use crate::{
    marker::{Kind, Marker},
    state::Tip,
    sys::time::Timestamp,
};

/// Flag bits of a sampled trace (W3C Trace Context, section 3.2).
const SAMPLED: u32 = 1;

/// Number of digits of a commit id in the text of a record.
const SHORT_ID: usize = 12;

pub(super) fn request(
    markers: &[&Marker],
    observed: Timestamp,
    head: Option<Tip>,
) -> ExportLogsServiceRequest {
    let mut resource_logs: Vec<_> = resource::by_service(markers)
        .into_iter()
        .map(|(key, markers)| ResourceLogs {
            resource: Some(resource::resource(key)),
            scope_logs: vec![ScopeLogs {
                scope: Some(resource::scope()),
                log_records: markers.into_iter().map(|marker| record(marker, observed)).collect(),
                schema_url: resource::SCHEMA_URL.into(),
            }],
            schema_url: resource::SCHEMA_URL.into(),
        })
        .collect();
    let last = resource_logs.last_mut().and_then(|logs| logs.scope_logs.last_mut()?.log_records.last_mut());
    if let Some((last, head)) = last.zip(head) {
        last.attributes.push(resource::head(head));
    }
    ExportLogsServiceRequest { resource_logs }
}

fn record(marker: &Marker, observed: Timestamp) -> LogRecord {
    let (severity, severity_text) = severity(marker);
    LogRecord {
        time_unix_nano: resource::unix_nanos(marker.time),
        observed_time_unix_nano: resource::unix_nanos(observed),
        severity_number: severity.into(),
        severity_text: severity_text.into(),
        event_name: event_name(marker.kind).into(),
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(body(marker))) }),
        attributes: resource::attributes(marker),
        flags: SAMPLED,
        trace_id: marker.trace_id.as_bytes().to_vec(),
        span_id: marker.span_id().as_bytes().to_vec(),
        ..LogRecord::default()
    }
}

fn severity(marker: &Marker) -> (SeverityNumber, &'static str) {
    match marker.kind {
        Kind::Deployment | Kind::Rollback if marker.has_failed() => (SeverityNumber::Error, "ERROR"),
        Kind::Rollback => (SeverityNumber::Warn, "WARN"),
        Kind::Change | Kind::Release | Kind::Deployment => (SeverityNumber::Info, "INFO"),
    }
}

/// Returns the first digits of a version that is a full commit id, and any other version unchanged.
fn short(version: &str) -> &str {
    let is_id = matches!(version.len(), 40 | 64) && version.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { &version[..SHORT_ID] } else { version }
}

/// Returns a line that a person understands without the attributes, such as `deployment checkout
/// 1.2.0 to production: TITLE`.
fn body(marker: &Marker) -> String {
    let failed = if marker.kind.is_deployment() && marker.has_failed() { "failed " } else { "" };
    let mut body = format!("{failed}{} {}", marker.kind.as_str(), marker.service);
    if !marker.version.is_empty() {
        body.push_str(&format!(" {}", short(&marker.version)));
    }
    if let Some(environment) = marker.environment.as_ref().filter(|_| marker.kind.is_deployment()) {
        body.push_str(&format!(" to {environment}"));
    }
    if !marker.title.is_empty() {
        body.push_str(&format!(": {}", marker.title));
    }
    body
}
