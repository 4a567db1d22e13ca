//! Markers: points in a service's history, with their ids and attributes.

mod attributes;
mod id;
pub mod name;
mod people;
mod traceparent;

pub use id::{MarkerId, SpanId, TraceId};
pub use people::{AddressKey, Addresses};
use serde::{Deserialize, Serialize};
pub use traceparent::Traceparent;

use crate::{
    config::Placeholder,
    facts::Facts,
    policy::{Attributes, Draft, Kind, Value},
    push::PushId,
    service::Service,
    time::Timestamp,
};

/// How far around a marker a link to a graph reaches, in milliseconds.
const AROUND: i64 = 30 * 60 * 1000;

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
    /// Traces that the pusher or the commit named, to which the span links. They are untrusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Traceparent>,
    /// The span of the release that is deployed, in the same trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SpanId>,
    /// How long it took, `None` for a point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Everything else, by its name on the wire.
    pub attributes: Attributes,
}

/// The time that a span takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// When it began.
    pub start: Timestamp,
    /// When it was over, no earlier than that.
    pub end: Timestamp,
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
    /// What is said of mail addresses.
    pub addresses: Addresses<'a>,
}

/// What is known of a marker beside its draft and its update.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Its service's rule, if there is one.
    pub service: Option<&'a Service>,
    /// How long it took.
    pub interval: Option<Interval>,
    /// Whether a release of the service is what is deployed.
    pub is_of_release: bool,
    /// The kind that the policy asked for, before anybody looked whether it goes back: the one that the id is made of.
    pub asked: Kind,
}

impl Marker {
    /// Makes the marker that `draft` describes of the update that `facts` tell of.
    ///
    /// Facts that cannot be read are left out: a marker without a title is better than none.
    pub fn new(draft: Draft, facts: &Facts, site: Site<'_>, context: Context<'_>) -> Self {
        let push = facts.push();
        let update = facts.update();
        let id = MarkerId::of(
            push.id(),
            update.ref_name(),
            &draft.service,
            draft.environment.as_deref(),
            context.asked,
        );
        let commit_id = facts.commit_id().ok().flatten();
        let mut attributes: Attributes =
            attributes::of(facts, site).into_iter().map(|(key, value)| (key.into(), value)).collect();
        attributes.extend(draft.attributes);
        attributes.extend([
            (name::MARKER_ID.into(), id.to_string().into()),
            (name::PUSH_ID.into(), push.id().to_string().into()),
            (name::POLICY.into(), Value::List(site.policy.to_vec())),
        ]);
        // A tag of a tree has no commit; its own object still names one thing for good.
        let commit_id = commit_id.unwrap_or(update.raw_new_id());
        let trace_id = TraceId::of(commit_id);
        let is_deployment = matches!(draft.kind, Kind::Deployment | Kind::Rollback);
        let parent = (is_deployment && context.is_of_release)
            .then(|| SpanId::of_commit(trace_id, &draft.service, Kind::Release));
        let mut marker = Self {
            id,
            kind: draft.kind,
            service: draft.service,
            version: draft.version,
            environment: draft.environment,
            time: push.time(),
            title: draft.title,
            trace_id,
            links: Traceparent::given(facts),
            parent,
            interval: context.interval,
            attributes,
        };
        if let Some(service) = context.service {
            marker.add_service(service, &push.source().repository.full_name(), &commit_id.to_string());
        }
        marker
    }

    /// Adds what a service's rule says: who answers for it, and where to look.
    fn add_service(&mut self, service: &Service, repository: &str, commit: &str) {
        if let Some(owner) = &service.owner {
            self.attributes.entry(name::SERVICE_OWNER.into()).or_insert_with(|| owner.clone().into());
        }
        let millis = self.time.as_millisecond();
        for (key, link) in &service.links {
            let filled = link.fill(|placeholder| {
                Some(match placeholder {
                    Placeholder::Service => self.service.clone(),
                    Placeholder::Version => self.version.clone(),
                    Placeholder::Environment => self.environment.clone()?,
                    Placeholder::Commit => commit.to_string(),
                    Placeholder::TraceId => self.trace_id.to_string(),
                    Placeholder::Repository => repository.to_string(),
                    Placeholder::From => (millis - AROUND).to_string(),
                    Placeholder::To => (millis + AROUND).to_string(),
                })
            });
            if let Some(filled) = filled {
                self.attributes.entry(format!("{}{key}", name::LINK).into()).or_insert_with(|| filled.into());
            }
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

    /// Returns the id of the marker's span, and of its place in the commit's trace. That of a change or a release is computed from
    /// the commit, so that builds and deploys can name it; a deployment has one of its own each time.
    pub fn span_id(&self) -> SpanId {
        match self.kind {
            Kind::Change | Kind::Release => SpanId::of_commit(self.trace_id, &self.service, self.kind),
            Kind::Deployment | Kind::Rollback => self.id.span_id(),
        }
    }
}
