//! Markers: events in a service's history, with their ids and attributes.
//!
//! A marker does not know its wire format. `otlp` encodes it.

mod id;
mod kind;
pub mod name;
mod source;
mod traceparent;
mod value;

pub use id::{MarkerId, SpanId, TraceId};
pub use kind::Kind;
use serde::{Deserialize, Serialize};
pub use source::MarkerSource;
pub use traceparent::Traceparent;
pub use value::{Attributes, Value};

use crate::{push::PushId, sys::time::Timestamp, text};

/// Value of `deployment.status` for a deployment that changed nothing.
pub const FAILED: &str = "failed";

/// `deployment.status` of a deployment that succeeded.
pub const SUCCEEDED: &str = "succeeded";

/// An event in a service's history. A back end draws it as one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// Stable id. It is the same for every delivery attempt and each time the push is decided.
    pub id: MarkerId,
    /// Kind of event.
    pub kind: Kind,
    /// `service.name`.
    pub service: String,
    /// `service.version`.
    pub version: String,
    /// `deployment.environment.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Time of the event: that at which the push was captured, or the date of an old tag or of what
    /// `backfill` found. It does not depend on the time of delivery.
    pub time: Timestamp,
    /// One line for people to read.
    pub title: String,
    /// Trace of the commit.
    pub trace_id: TraceId,
    /// Traces that the pusher or the commit named. The span links to them. They are untrusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Traceparent>,
    /// Span of the deployed release, in the same trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SpanId>,
    /// True if an earlier marker has the span id that is computed from the commit: the commit was
    /// pushed again, or the release was tagged again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_repeat: bool,
    /// Start and end of a deployment, if its push options give them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// The push that the marker comes from.
    pub push: PushId,
    /// Repository, ref, commit and pusher.
    pub source: MarkerSource,
    /// All other attributes, by their names on the wire.
    pub attributes: Attributes,
}

/// Start and end of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Start time.
    pub start: Timestamp,
    /// End time, not before `start`.
    pub end: Timestamp,
}

/// The OTLP signal that carries a marker. The worker sends and retries the two signals separately,
/// and a server can refuse one and accept the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// A log record.
    Logs,
    /// A span.
    Traces,
}

impl Signal {
    /// Returns the name in OTLP's URL paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Traces => "traces",
        }
    }

    /// Returns the signal with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Logs, Self::Traces].into_iter().find(|signal| signal.as_str() == name)
    }
}

/// Leaves a field out of the JSON, so that older versions can read markers that do not need it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Marker {
    /// Returns all attributes, with those that repeat the ids and the source. `otlp` adds the ones for
    /// kind, version and environment.
    pub fn all_attributes(&self) -> Attributes {
        let mut all = self.attributes.clone();
        for (name, field) in self.source.clone().fields() {
            if let Some(text) = field.take() {
                all.entry(name.into()).or_insert(Value::Text(text));
            }
        }
        all.insert(name::MARKER_ID.into(), self.id.to_string().into());
        all.insert(name::PUSH_ID.into(), self.push.to_string().into());
        all
    }

    /// Reads a marker from before it had `push` and `source`, whose attributes say the same.
    ///
    /// # Errors
    /// If the JSON is not such a marker.
    pub fn from_old_json(json: &[u8]) -> serde_json::Result<Self> {
        let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json)?;
        let attributes = fields.get_mut("attributes").and_then(|attributes| attributes.as_object_mut());
        let push = attributes.and_then(|attributes| attributes.remove(name::PUSH_ID)).unwrap_or_default();
        fields.insert("push".into(), push);
        fields.insert("source".into(), serde_json::json!({}));
        let mut marker: Self = serde_json::from_value(fields.into())?;
        marker.source.take_from(&mut marker.attributes);
        marker.attributes.remove(name::MARKER_ID);
        Ok(marker)
    }

    /// Returns the time at which the push was captured.
    pub fn captured(&self) -> Timestamp {
        Some(self.time).filter(|_| !self.is_backfill()).or(self.push.time()).unwrap_or(self.time)
    }

    /// Returns true if the marker is a release of an old tag, or was found by `backfill`. It is dated
    /// by the tag or the commit.
    pub fn is_backfill(&self) -> bool {
        self.attributes.get(name::BACKFILL) == Some(&Value::Bool(true))
    }

    /// Returns true if `backfill` made the marker, so that its push is as old as the event.
    pub fn is_past(&self) -> bool {
        self.is_backfill() && self.push.time() == Some(self.time)
    }

    /// Returns what a reader must know besides the kind, service and version: the deployment failed,
    /// or the push took commits out of the ref.
    pub fn remark(&self) -> Option<String> {
        let word_of = |key| match self.attributes.get(key) {
            Some(Value::Text(word)) => Some(word.as_str()),
            _ => None,
        };
        if matches!(self.kind, Kind::Deployment | Kind::Rollback) {
            return self.has_failed().then(|| FAILED.to_string());
        }
        let (is_rewound, word) = match word_of(name::REF_UPDATE)? {
            "rewound" => (true, "rewound"),
            "forced" => (false, "forced"),
            _ => return None,
        };
        Some(match self.attributes.get(name::REF_REMOVED) {
            Some(Value::Int(removed)) => {
                let commits = text::count(usize::try_from(*removed).unwrap_or(0), "commit");
                if is_rewound { format!("{word} by {commits}") } else { format!("{word} over {commits}") }
            }
            _ => word.to_string(),
        })
    }

    /// Returns the size of the marker's text, in bytes. Text is nearly all of a marker.
    pub fn text_size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(key, value)| key.len() + value.text_size());
        let own = self.service.len() + self.version.len() + self.title.len() + self.source.text_size();
        own + attributes.sum::<usize>()
    }

    /// Returns true for a deployment that failed. The previously deployed version is then still
    /// running.
    pub fn has_failed(&self) -> bool {
        matches!(self.attributes.get(name::DEPLOYMENT_STATUS), Some(Value::Text(status)) if status == FAILED)
    }

    /// Returns the id of the marker's span in the commit's trace.
    ///
    /// For a change or a release, the id is computed from the commit, so that builds and deploys can
    /// compute it too. Each deployment, and each repeat, has an id of its own.
    pub fn span_id(&self) -> SpanId {
        self.commit_span().filter(|_| !self.is_repeat).unwrap_or_else(|| self.id.span_id())
    }

    /// Returns the id that a build computes for the span of this change or release. `None` for a
    /// deployment.
    pub fn commit_span(&self) -> Option<SpanId> {
        match self.kind {
            Kind::Change => Some(SpanId::of_change(self.trace_id, &self.service)),
            Kind::Release => Some(SpanId::of_release(self.trace_id, &self.service, &self.version)),
            Kind::Deployment | Kind::Rollback => None,
        }
    }

    /// Returns the id of the span of the deployed release. Only deployments have one.
    ///
    /// It is computed again, because older versions stored an id without the version.
    pub fn parent_span_id(&self) -> Option<SpanId> {
        self.parent.map(|_| SpanId::of_release(self.trace_id, &self.service, &self.version))
    }
}

#[cfg(test)]
mod tests;
