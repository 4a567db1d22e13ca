//! Parts that logs and traces share: resource, scope and attributes.

use std::collections::HashMap;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
};

use super::event_name;
use crate::{
    marker::{Marker, Value, name},
    state::Tip,
    sys::time::Timestamp,
};

/// URL of the semantic conventions that the names of attributes are from.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Identity of a resource. Markers with the same key go into one envelope.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ServiceKey<'a> {
    service: &'a str,
    namespace: Option<&'a str>,
    version: &'a str,
    environment: Option<&'a str>,
}

/// Groups markers by their resource, in the order of each group's first marker. A back end that
/// shows events in order of arrival then shows the older push first.
pub(super) fn by_service<'a>(markers: &[&'a Marker]) -> Vec<(ServiceKey<'a>, Vec<&'a Marker>)> {
    let mut groups: Vec<(_, Vec<_>)> = Vec::new();
    let mut places = HashMap::new();
    for marker in markers {
        let key = ServiceKey {
            service: &marker.service,
            namespace: namespace(marker),
            version: &marker.version,
            environment: marker.environment.as_deref(),
        };
        let place = *places.entry(key).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(*marker);
    }
    groups
}

pub(super) fn resource(key: ServiceKey<'_>) -> Resource {
    let of_key = [
        (name::SERVICE_NAME, Some(key.service)),
        (name::SERVICE_VERSION, Some(key.version)),
        (name::SERVICE_NAMESPACE, key.namespace),
        (name::ENVIRONMENT, key.environment),
    ];
    let given = of_key.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let attributes =
        given.filter(|(_, value)| !value.is_empty()).map(|(name, value)| text(name, value)).collect();
    Resource { attributes, ..Resource::default() }
}

/// Returns the namespace of a marker's service. A script may have set or removed it.
fn namespace(marker: &Marker) -> Option<&str> {
    match marker.attributes.get(name::SERVICE_NAMESPACE) {
        Some(Value::Text(namespace)) => Some(namespace),
        _ => None,
    }
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: env!("CARGO_PKG_NAME").into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    }
}

/// Returns a marker's attributes.
///
/// They repeat the event name, because back ends index attributes and not all of them index the
/// name of an event. Empty texts and lists are left out, because a chart would show them as a group
/// without a name.
pub(super) fn attributes(marker: &Marker) -> Vec<KeyValue> {
    let own = [text(name::KIND, marker.kind.as_str()), text(name::EVENT_NAME, event_name(marker.kind))];
    // Keys must be unique (LogRecord.attributes), and a script may have used one of ours.
    let given = marker.all_attributes().into_iter().filter(|(key, _)| !OWN.contains(&key.as_ref()));
    let given = given.filter_map(|(key, value)| Some(key_value(key.into_owned(), any_value(value)?)));
    own.into_iter().chain(given).collect()
}

/// Returns the attribute with the journal's head, for the last marker of a request.
pub(super) fn head(head: Tip) -> KeyValue {
    text(name::JOURNAL_HEAD, &head.to_string())
}

/// Attributes that only this module sets.
const OWN: [&str; 7] = [
    name::KIND,
    name::EVENT_NAME,
    name::JOURNAL_HEAD,
    name::SERVICE_NAME,
    name::SERVICE_NAMESPACE,
    name::SERVICE_VERSION,
    name::ENVIRONMENT,
];

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    key_value(key, AnyValue { value: Some(any_value::Value::StringValue(value.into())) })
}

fn key_value(key: impl Into<String>, value: AnyValue) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

/// Returns the value on the wire, or `None` if it is empty.
fn any_value(value: Value) -> Option<AnyValue> {
    let string = any_value::Value::StringValue;
    let value = match value {
        Value::Bool(bool) => any_value::Value::BoolValue(bool),
        Value::Int(int) => any_value::Value::IntValue(int),
        Value::Float(float) => any_value::Value::DoubleValue(float),
        Value::Text(value) if value.is_empty() => return None,
        Value::Text(value) => string(value),
        Value::List(list) => {
            let texts = list.into_iter().filter(|text| !text.is_empty());
            let values: Vec<_> = texts.map(|text| AnyValue { value: Some(string(text)) }).collect();
            if values.is_empty() {
                return None;
            }
            any_value::Value::ArrayValue(ArrayValue { values })
        }
    };
    Some(AnyValue { value: Some(value) })
}

/// Returns nanoseconds since 1970, or 0 for times before 1970 or after 2554, which OTLP cannot
/// express.
pub(super) fn unix_nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or_default()
}
