//! What logs and spans share: resource, scope, attributes.

use std::collections::HashMap;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
};

use super::event_name;
use crate::{
    marker::{Marker, name},
    policy::Value,
    time::Timestamp,
};

/// What makes a resource: markers that share all three share an envelope.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ServiceKey<'a> {
    service: &'a str,
    version: &'a str,
    environment: Option<&'a str>,
}

/// Groups markers by their resource. Groups come in the order of their first markers: a back end that
/// shows what arrives shows the older push first.
pub(super) fn by_service<'a>(markers: &[&'a Marker]) -> Vec<(ServiceKey<'a>, Vec<&'a Marker>)> {
    let mut groups: Vec<(_, Vec<_>)> = Vec::new();
    let mut places = HashMap::new();
    for marker in markers {
        let key = ServiceKey {
            service: &marker.service,
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
    let mut attributes =
        vec![text(name::SERVICE_NAME, key.service), text(name::SERVICE_VERSION, key.version)];
    attributes.extend(key.environment.map(|environment| text(name::ENVIRONMENT, environment)));
    Resource { attributes, ..Resource::default() }
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: env!("CARGO_PKG_NAME").into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    }
}

/// Returns a marker's attributes. The event's name stands among them again, because back ends index
/// attributes and not all of them the name.
pub(super) fn attributes(marker: &Marker) -> Vec<KeyValue> {
    let own = [text(name::KIND, marker.kind.as_str()), text(name::EVENT_NAME, event_name(marker.kind))];
    // Keys must be unique (LogRecord.attributes), and a script may have chosen one of ours.
    let given = marker.attributes.iter().filter(|(key, _)| !OWN.contains(&key.as_ref()));
    own.into_iter().chain(given.map(|(key, value)| key_value(key, any_value(value)))).collect()
}

/// The attributes that are made of a marker's own fields.
const OWN: [&str; 4] = [name::KIND, name::EVENT_NAME, name::SERVICE_VERSION, name::ENVIRONMENT];

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    key_value(key, AnyValue { value: Some(any_value::Value::StringValue(value.into())) })
}

fn key_value(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

pub(super) fn any_value(value: &Value) -> AnyValue {
    let value = match value {
        Value::Bool(bool) => any_value::Value::BoolValue(*bool),
        Value::Int(int) => any_value::Value::IntValue(*int),
        Value::Float(float) => any_value::Value::DoubleValue(*float),
        Value::Text(text) => any_value::Value::StringValue(text.clone()),
        Value::List(list) => any_value::Value::ArrayValue(ArrayValue {
            values: list
                .iter()
                .map(|text| AnyValue { value: Some(any_value::Value::StringValue(text.clone())) })
                .collect(),
        }),
    };
    AnyValue { value: Some(value) }
}

/// Returns nanoseconds since 1970; OTLP has no room for what was before or is after 2554.
pub(super) fn unix_nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or_default()
}
