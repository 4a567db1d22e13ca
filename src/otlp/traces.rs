//! Encodes markers as spans, one per marker. Lightstep draws deployment markers from them.
//!
//! A marker without a known duration becomes a span whose start and end are equal.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span},
};

use super::{event_name, resource};
use crate::marker::{Interval, Marker, Traceparent, name};

/// Returns the export request for these markers.
///
/// `has_releases` is true if the destination also gets the spans of releases. Only then may a
/// deployment's span have a parent. Otherwise it is a root span, because back ends report a missing
/// parent as an error.
pub(super) fn request(markers: &[&Marker], has_releases: bool) -> ExportTraceServiceRequest {
    let resource_spans = resource::by_service(markers)
        .into_iter()
        .map(|(key, markers)| ResourceSpans {
            resource: Some(resource::resource(key)),
            scope_spans: vec![ScopeSpans {
                scope: Some(resource::scope()),
                spans: markers.into_iter().map(|marker| span(marker, has_releases)).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

fn span(marker: &Marker, has_releases: bool) -> Span {
    // The version is on the resource as well, but Lightstep reads it from the attributes of spans.
    let mut attributes = resource::attributes(marker);
    attributes.push(resource::text(name::SERVICE_VERSION, &marker.version));
    attributes.extend(
        marker.environment.as_deref().map(|environment| resource::text(name::ENVIRONMENT, environment)),
    );
    let parent = marker.parent.filter(|_| has_releases);
    let Interval { start, end } =
        marker.interval.unwrap_or(Interval { start: marker.time, end: marker.time });
    Span {
        trace_id: marker.trace_id.as_bytes().to_vec(),
        span_id: marker.span_id().as_bytes().to_vec(),
        parent_span_id: parent.map_or_else(Vec::new, |parent| parent.as_bytes().to_vec()),
        name: event_name(marker.kind).into(),
        kind: span::SpanKind::Server.into(),
        start_time_unix_nano: resource::unix_nanos(start),
        end_time_unix_nano: resource::unix_nanos(end),
        attributes,
        links: marker.links.iter().map(link).collect(),
        ..Span::default()
    }
}

fn link(to: &Traceparent) -> span::Link {
    span::Link {
        trace_id: to.trace_id.as_bytes().to_vec(),
        span_id: to.span_id.as_bytes().to_vec(),
        ..span::Link::default()
    }
}
