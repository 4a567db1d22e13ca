//! Log records and spans that the receiver got, described from the received data alone.

use std::time::Instant;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    resource::v1::Resource,
};

use super::{
    git::FinishedPush,
    receiver::{Export, Received},
};
use crate::{
    marker::{Signal, name},
    text::{self, Hex},
};

/// A log record or a span.
pub(super) struct Arrival {
    pub at: Instant,
    pub signal: Signal,
    pub event: String,
    trace_id: String,
    span_id: String,
    /// Attributes of the resource, then of the record or span.
    attributes: Vec<KeyValue>,
}

/// Returns the items of one request.
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
    /// Returns the marker's ID, which identifies a repeated delivery.
    pub fn marker_id(&self) -> String {
        self.attribute(name::MARKER_ID).unwrap_or_default()
    }

    /// Returns the attributes to show, each with a label. A span is shown in short, because its
    /// marker also arrives as a log record.
    pub fn report_lines(&self) -> Vec<(&'static str, String)> {
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

    /// Returns the time of arrival, relative to the push.
    pub fn when(&self, push: &FinishedPush) -> String {
        let began = self.at.saturating_duration_since(push.began).as_millis();
        // A delivery can arrive before the push ends, because git has work left after its hooks.
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
mod tests;
