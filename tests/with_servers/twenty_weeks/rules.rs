//! The rules that back ends have for spans and log records, checked on everything that arrived.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::rotel::{Record, Span};

/// Microseconds in nanoseconds.
const MICROSECOND: u64 = 1_000;

/// Asserts that no back end finds fault with the spans and records of the whole history.
pub fn are_obeyed(records: &[Record], spans: &[Span]) {
    let mut known = BTreeMap::new();
    for span in spans {
        let length = span.end_time_unix_nano.checked_sub(span.start_time_unix_nano);
        let length = length.unwrap_or_else(|| panic!("a negative duration: {span:?}"));
        let is_deployment = ["gitea_lightstep.deployment", "gitea_lightstep.rollback"].contains(&&*span.name);
        if is_deployment {
            assert!(length >= 2 * MICROSECOND, "{span:?}");
        } else {
            assert_eq!(length, MICROSECOND, "{span:?}");
        }
        assert_eq!(span.kind, "SPAN_KIND_INTERNAL", "{span:?}");
        let is_failed = span.attributes.get("deployment.status").is_some_and(|status| status == "failed");
        assert_eq!(span.status.starts_with("STATUS_CODE_ERROR"), is_failed, "{span:?}");
        let twin = known.insert((&span.trace_id, &span.span_id), span);
        assert!(twin.is_none(), "two spans have one ID: {span:?} {twin:?}");
    }
    for span in spans.iter().filter(|span| !span.parent_span_id.is_empty()) {
        let parent = known.get(&(&span.trace_id, &span.parent_span_id));
        let parent = parent.unwrap_or_else(|| panic!("the parent did not arrive: {span:?}"));
        assert_eq!(parent.name, "gitea_lightstep.release", "{span:?}");
        assert_eq!(parent.resource["service.version"], span.resource["service.version"], "{span:?}");
        assert!(parent.start_time_unix_nano <= span.start_time_unix_nano, "clock skew: {parent:?} {span:?}");
    }
    let mut severities = BTreeSet::new();
    for record in records {
        let is_failed = record.attributes.get("deployment.status").is_some_and(|status| status == "failed");
        let expected = match record.event_name.as_str() {
            _ if is_failed => "SEVERITY_NUMBER_ERROR(17)",
            "gitea_lightstep.rollback" => "SEVERITY_NUMBER_WARN(13)",
            _ => "SEVERITY_NUMBER_INFO(9)",
        };
        assert_eq!(record.severity, expected, "{record:?}");
        severities.insert(expected);
        assert!(record.observed_time_unix_nano >= record.time_unix_nano, "{record:?}");
        for (place, attributes) in [("record", &record.attributes), ("resource", &record.resource)] {
            assert!(attributes.values().all(|value| !value.is_empty()), "empty in the {place}: {record:?}");
        }
        let kind = record.event_name.trim_start_matches("gitea_lightstep.");
        assert!(record.body.contains(&format!("{kind} {}", record.resource["service.name"])), "{record:?}");
    }
    assert_eq!(severities.len(), 3, "the history has a failure and a rollback");
}
