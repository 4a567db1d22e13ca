//! One root span a marker: what Lightstep draws deployment markers from. A marker is a point, so its
//! span begins and ends at one time.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span},
};

use super::{event_name, resource};
use crate::marker::{Marker, name};

pub(super) fn request(markers: &[&Marker]) -> ExportTraceServiceRequest {
    let resource_spans = resource::by_service(markers)
        .into_iter()
        .map(|(key, markers)| ResourceSpans {
            resource: Some(resource::resource(key)),
            scope_spans: vec![ScopeSpans {
                scope: Some(resource::scope()),
                spans: markers.into_iter().map(span).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

fn span(marker: &Marker) -> Span {
    // The version stands on the resource and again here: Lightstep registers a span's attribute.
    let mut attributes = resource::attributes(marker);
    attributes.push(resource::text(name::SERVICE_VERSION, &marker.version));
    attributes.extend(
        marker.environment.as_deref().map(|environment| resource::text(name::ENVIRONMENT, environment)),
    );
    let links = marker.link.map(|link| span::Link {
        trace_id: link.trace_id.as_bytes().to_vec(),
        span_id: link.span_id.as_bytes().to_vec(),
        ..span::Link::default()
    });
    let time = resource::unix_nanos(marker.time);
    Span {
        trace_id: marker.trace_id.as_bytes().to_vec(),
        span_id: marker.span_id().as_bytes().to_vec(),
        name: event_name(marker.kind).into(),
        kind: span::SpanKind::Server.into(),
        start_time_unix_nano: time,
        end_time_unix_nano: time,
        attributes,
        links: links.into_iter().collect(),
        ..Span::default()
    }
}
