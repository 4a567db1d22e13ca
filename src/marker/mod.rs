//! Markers: points in a service's history, with their ids and attributes.

mod attributes;
mod id;
mod traceparent;

pub use attributes::name;
pub use id::{MarkerId, SpanId, TraceId};
use serde::{Deserialize, Serialize};
pub use traceparent::Traceparent;

use std::collections::BTreeMap;

use crate::{
    facts::Facts,
    policy::{Draft, Kind, Value},
    push::PushId,
    time::Timestamp,
};

/// A point in a service's history: what one back end draws as one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// The same for every attempt to deliver it, and for every time that its push is decided.
    pub id: MarkerId,
    /// What it marks.
    pub kind: Kind,
    /// `service.name`.
    pub service: String,
    /// `service.version`.
    pub version: String,
    /// `deployment.environment.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// When the push was captured, however late it is delivered.
    pub time: Timestamp,
    /// The line that a person reads.
    pub title: String,
    /// The trace of the commit.
    pub trace_id: TraceId,
    /// A trace that the pusher named, to which the span links. It is untrusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Traceparent>,
    /// Everything else, by its name on the wire.
    pub attributes: BTreeMap<String, Value>,
}

/// In which form a marker goes out. Each of the two is sent, refused and tried again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// A log record.
    Logs,
    /// A root span.
    Traces,
}

impl Signal {
    /// Returns the name that OTLP's paths have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Traces => "traces",
        }
    }

    /// Returns the one that has this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Logs, Self::Traces].into_iter().find(|signal| signal.as_str() == name)
    }
}

/// What is taken from the site and not from the push.
#[derive(Clone, Copy, Debug, Default)]
pub struct Site<'a> {
    /// The address of Gitea, where the configuration names one.
    pub public_url: Option<&'a str>,
    /// The layers of the policy and their hashes in short.
    pub policy: &'a [String],
}

impl Marker {
    /// Makes the marker that `draft` describes of the update that `facts` tell of.
    ///
    /// Facts that cannot be read are left out: a marker without a title is better than none.
    pub fn new(draft: Draft, facts: &Facts, site: Site<'_>) -> Self {
        let push = facts.push();
        let update = facts.update();
        let id = MarkerId::of(
            push.id(),
            update.ref_name(),
            &draft.service,
            draft.environment.as_deref(),
            draft.kind,
        );
        let commit_id = facts.commit_id().ok().flatten();
        let mut attributes = draft.attributes;
        for (key, value) in attributes::of(facts, site) {
            attributes.entry(key.to_string()).or_insert(value);
        }
        attributes.insert(name::MARKER_ID.into(), id.to_string().into());
        attributes.insert(name::PUSH_ID.into(), push.id().to_string().into());
        attributes.insert(name::POLICY.into(), Value::List(site.policy.to_vec()));
        Self {
            id,
            kind: draft.kind,
            service: draft.service,
            version: draft.version,
            environment: draft.environment,
            time: push.time(),
            title: draft.title,
            // A tag of a tree has no commit; its own object still names one thing for good.
            trace_id: TraceId::of(commit_id.unwrap_or(update.raw_new_id())),
            link: Traceparent::given(facts),
            attributes,
        }
    }

    /// Returns the push that it comes from.
    pub fn push_id(&self) -> Option<PushId> {
        match self.attributes.get(name::PUSH_ID)? {
            Value::Text(id) => id.parse().ok(),
            _ => None,
        }
    }

    /// Returns how much text it holds, in bytes, which is nearly all of it.
    pub fn text_size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(key, value)| key.len() + value.text_size());
        self.service.len() + self.version.len() + self.title.len() + attributes.sum::<usize>()
    }

    /// Returns the id of the marker's span, and of its place in the commit's trace.
    pub fn span_id(&self) -> SpanId {
        self.id.span_id()
    }
}
