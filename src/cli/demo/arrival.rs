//! What arrived, told from the receiver's side: nothing here but what the wire said.

use std::time::Instant;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    resource::v1::Resource,
};

use super::{
    git::Pushed,
    receiver::{Export, Received},
};
use crate::{
    marker::name,
    otlp::Signal,
    text::{self, Hex},
};

/// One log record or one span.
pub(super) struct Arrival {
    pub at: Instant,
    pub signal: Signal,
    pub event: String,
    trace_id: String,
    span_id: String,
    /// Of the resource first, then of the record or span itself.
    attributes: Vec<KeyValue>,
}

/// Returns what one request carried.
pub(super) fn arrivals(received: Received) -> Vec<Arrival> {
    let at = received.at;
    match received.export {
        Export::Logs(export) => export
            .resource_logs
            .into_iter()
            .flat_map(|of_resource| {
                let resource = of_resource.resource;
                let records = of_resource.scope_logs.into_iter().flat_map(|scope| scope.log_records);
                records.map(move |record| Arrival {
                    at,
                    signal: Signal::Logs,
                    event: text::line(record.event_name),
                    trace_id: Hex(&record.trace_id).to_string(),
                    span_id: Hex(&record.span_id).to_string(),
                    attributes: joined(resource.as_ref(), record.attributes),
                })
            })
            .collect(),
        Export::Traces(export) => export
            .resource_spans
            .into_iter()
            .flat_map(|of_resource| {
                let resource = of_resource.resource;
                let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.map(move |span| Arrival {
                    at,
                    signal: Signal::Traces,
                    event: text::line(span.name),
                    trace_id: Hex(&span.trace_id).to_string(),
                    span_id: Hex(&span.span_id).to_string(),
                    attributes: joined(resource.as_ref(), span.attributes),
                })
            })
            .collect(),
    }
}

impl Arrival {
    /// Returns the id by which a repeat is known.
    pub fn marker_id(&self) -> String {
        self.attribute(name::MARKER_ID).unwrap_or_default()
    }

    /// Returns what it says of itself, by what a person would call it. A span's marker has arrived as
    /// a record, so it is told in short.
    pub fn told(&self) -> Vec<(&'static str, String)> {
        let mut told = vec![
            ("service", self.attribute(name::SERVICE_NAME)),
            ("version", self.attribute(name::SERVICE_VERSION)),
            ("environment", self.attribute(name::ENVIRONMENT)),
        ];
        if self.signal == Signal::Logs {
            told.push(("pushed by", self.attribute(name::USER_NAME)));
            told.push(("commit", self.attribute(name::COMMIT_TITLE)));
        }
        told.push(("trace", Some(self.trace_id.clone())));
        if self.signal == Signal::Traces {
            told.push(("span", Some(self.span_id.clone())));
        }
        told.push(("marker", self.attribute(name::MARKER_ID)));
        told.into_iter().filter_map(|(what, value)| Some((what, value?))).collect()
    }

    /// Says when it arrived, seen from the push.
    pub fn when(&self, push: &Pushed) -> String {
        let began = self.at.saturating_duration_since(push.began).as_millis();
        // A delivery does not wait for git, which has a little to tidy up after its hooks.
        let (gap, side) = match push.ended.checked_duration_since(self.at) {
            Some(before) => (before.as_millis(), "before"),
            None => (self.at.saturating_duration_since(push.ended).as_millis(), "after"),
        };
        match gap {
            0 => format!("{began} ms after the push began, as it ended"),
            _ => format!("{began} ms after the push began, {gap} ms {side} it ended"),
        }
    }

    fn attribute(&self, key: &str) -> Option<String> {
        let attribute = self.attributes.iter().find(|attribute| attribute.key == key)?;
        match attribute.value.as_ref()? {
            AnyValue { value: Some(any_value::Value::StringValue(value)) } => Some(text::line(value)),
            _ => None,
        }
    }
}

fn joined(resource: Option<&Resource>, own: Vec<KeyValue>) -> Vec<KeyValue> {
    let of_resource = resource.into_iter().flat_map(|resource| resource.attributes.iter().cloned());
    of_resource.chain(own).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry_proto::tonic::{
        collector::logs::v1::ExportLogsServiceRequest,
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    };

    use super::*;

    fn text(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
        KeyValue { key: key.into(), value, ..KeyValue::default() }
    }

    fn arrival(at: Instant) -> Arrival {
        let record = LogRecord {
            event_name: "gitea_lightstep.release".into(),
            trace_id: vec![0xab; 16],
            attributes: vec![text(name::USER_NAME, "ann"), text(name::MARKER_ID, "0102")],
            ..LogRecord::default()
        };
        let resource_logs = ResourceLogs {
            resource: Some(Resource {
                attributes: vec![text(name::SERVICE_NAME, "shop\x1b[2J")],
                ..Resource::default()
            }),
            scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        };
        let export = Export::Logs(ExportLogsServiceRequest { resource_logs: vec![resource_logs] });
        arrivals(Received { at, export }).pop().expect("one record")
    }

    #[test]
    fn a_record_is_told_by_what_the_wire_said_and_nothing_else() {
        let arrival = arrival(Instant::now());
        assert_eq!(arrival.event, "gitea_lightstep.release");
        let told: Vec<_> =
            arrival.told().into_iter().map(|(what, value)| format!("{what}={value}")).collect();
        let trace = format!("trace={}", "ab".repeat(16));
        assert_eq!(told, ["service=shop\\u{1b}[2J", "pushed by=ann", &trace, "marker=0102"]);
    }

    #[test]
    fn the_time_is_told_from_both_ends_of_the_push() {
        let began = Instant::now();
        let after = |ms| began + Duration::from_millis(ms);
        let push = Pushed { began, ended: after(20), said: Vec::new() };
        let when = |ms| arrival(after(ms)).when(&push);
        assert_eq!(when(17), "17 ms after the push began, 3 ms before it ended");
        assert_eq!(when(20), "20 ms after the push began, as it ended");
        assert_eq!(when(25), "25 ms after the push began, 5 ms after it ended");
    }
}
