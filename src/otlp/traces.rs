//! Encodes markers as spans, one per marker. Lightstep draws deployment markers from them.
//!
//! No span has zero length, which Jaeger reports as a fault. A deployment is longer than its
//! release: Jaeger moves a shorter child that is not inside its parent, and warns of clock skew.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status},
};

use super::{event_name, resource};
use crate::{
    config::{Otlp, SpanRole, Spans},
    marker::{Interval, Kind, Marker, Traceparent, name},
    state::Tip,
};

/// Message of a failed deployment's span.
const FAILED: &str = "the deployment failed";

/// Returns the export request for these markers.
///
/// The span of a deployment has a parent only if the destination also gets the spans of releases.
/// Otherwise it is a root span, because back ends report a missing parent as an error.
pub(super) fn request(markers: &[&Marker], head: Option<Tip>, otlp: &Otlp) -> ExportTraceServiceRequest {
    let mut resource_spans: Vec<_> = resource::by_service(markers)
        .into_iter()
        .map(|(key, markers)| ResourceSpans {
            resource: Some(resource::resource(key)),
            scope_spans: vec![ScopeSpans {
                scope: Some(resource::scope()),
                spans: markers.into_iter().map(|marker| span(marker, otlp)).collect(),
                schema_url: resource::SCHEMA_URL.into(),
            }],
            schema_url: resource::SCHEMA_URL.into(),
        })
        .collect();
    let last = resource_spans.last_mut().and_then(|spans| spans.scope_spans.last_mut()?.spans.last_mut());
    if let Some((last, head)) = last.zip(head) {
        last.attributes.push(resource::head(head));
    }
    ExportTraceServiceRequest { resource_spans }
}

fn span(marker: &Marker, otlp: &Otlp) -> Span {
    // The version is on the resource as well, but Lightstep reads it from the attributes of spans.
    let mut attributes = resource::attributes(marker);
    let repeated =
        [(name::SERVICE_VERSION, Some(&marker.version)), (name::ENVIRONMENT, marker.environment.as_ref())];
    let repeated = repeated.into_iter().filter_map(|(name, value)| Some((name, value?)));
    attributes.extend(
        repeated.filter(|(_, value)| !value.is_empty()).map(|(name, value)| resource::text(name, value)),
    );
    let parent = marker.parent_span_id().filter(|_| otlp.spans == Spans::All);
    let (start_time_unix_nano, end_time_unix_nano) = times(marker);
    let status = match marker.kind.is_deployment() && marker.has_failed() {
        true => Status { message: FAILED.into(), code: status::StatusCode::Error.into() },
        false => Status::default(),
    };
    let kind = match otlp.span_role {
        SpanRole::Internal => span::SpanKind::Internal,
        SpanRole::Server => span::SpanKind::Server,
    };
    Span {
        trace_id: marker.trace_id.as_bytes().to_vec(),
        span_id: marker.span_id().as_bytes().to_vec(),
        parent_span_id: parent.map_or_else(Vec::new, |parent| parent.as_bytes().to_vec()),
        name: event_name(marker.kind).into(),
        kind: kind.into(),
        start_time_unix_nano,
        end_time_unix_nano,
        attributes,
        links: marker.links.iter().map(link).collect(),
        // A missing status would be `null` in JSON.
        status: Some(status),
        ..Span::default()
    }
}

/// Returns start and end. Only a deployment can have an interval. Spools of older versions also have
/// changes with one, from the first commit on, which some back ends drop because of its age.
fn times(marker: &Marker) -> (u64, u64) {
    let instant = Interval { start: marker.time, end: marker.time };
    let (interval, least) = match marker.kind {
        Kind::Change | Kind::Release => (instant, 1_000),
        Kind::Deployment | Kind::Rollback => (marker.interval.unwrap_or(instant), 2_000),
    };
    let start = resource::unix_nanos(interval.start);
    (start, resource::unix_nanos(interval.end).max(start.saturating_add(least)))
}

fn link(to: &Traceparent) -> span::Link {
    span::Link {
        trace_id: to.trace_id.as_bytes().to_vec(),
        span_id: to.span_id.as_bytes().to_vec(),
        ..span::Link::default()
    }
}
