//! Builds a marker from a finished draft and the facts of its update.

use super::{
    attributes::{self, Site},
    options::TRACEPARENT,
};
use crate::{
    config::Placeholder,
    facts::Facts,
    marker::{Attributes, Interval, Kind, Marker, MarkerId, SpanId, TraceId, Traceparent, Value, name},
    policy::Draft,
    push::UpdateSource,
    service::Service,
    sys::time::Timestamp,
};

/// Time before and after a marker that a link to a graph covers, in milliseconds.
const AROUND: i64 = 30 * 60 * 1000;

/// Maximum number of trace contexts that one marker links to.
const MAX_TRACEPARENTS: usize = 8;

/// Inputs of a marker besides its draft and its update.
#[derive(Clone, Copy, Debug)]
pub(super) struct MarkerContext<'a> {
    /// The rule of the marker's service, if it has one.
    pub service: Option<&'a Service>,
    /// Start and end, if known.
    pub interval: Option<Interval>,
    /// True if the deployed version is a release of the service.
    pub is_of_release: bool,
    /// Date of the old tag that the marker is a release of.
    pub backfilled: Option<Timestamp>,
    /// The kind that the policy asked for. The id is computed from this kind, because a deployment
    /// may later turn out to be a rollback.
    pub asked: Kind,
}

/// Makes the marker for a draft and the update that `facts` describes.
///
/// Facts that cannot be read are left out, because an incomplete marker is better than none.
pub(super) fn build(mut draft: Draft, facts: &Facts, site: Site<'_>, context: MarkerContext<'_>) -> Marker {
    let push = facts.push();
    let update = facts.update();
    let source = push.source();
    let redact = |text: &mut String| {
        if let Some(redaction) = site.redaction {
            redaction.apply(text);
        }
    };
    [&mut draft.service, &mut draft.version, &mut draft.title]
        .into_iter()
        .chain(&mut draft.environment)
        .for_each(redact);
    // What `backfill` finds keeps its ID when the repository is renamed.
    let named = match source.found_by {
        UpdateSource::Backfill => source.service_key(&draft.service),
        UpdateSource::Push | UpdateSource::Scan | UpdateSource::Command => &draft.service,
    };
    let id = MarkerId::of(push.id(), update.ref_name(), named, draft.environment.as_deref(), context.asked);
    let mut attributes: Attributes =
        attributes::of(facts, site).into_iter().map(|(key, value)| (key.into(), value)).collect();
    attributes.extend(draft.attributes);
    if context.backfilled.is_some() {
        attributes.insert(name::BACKFILL.into(), Value::Bool(true));
    } else {
        attributes.remove(name::BACKFILL);
    }
    attributes.insert(name::POLICY.into(), Value::List(site.policy.to_vec()));
    let mut source = attributes::source(facts, site);
    // A policy may set the attributes of the source too. An empty text hides the pusher.
    source.take_from(&mut attributes);
    attributes.retain(|_, value| !value.is_blank());
    attributes.values_mut().flat_map(Value::texts_mut).for_each(redact);
    [&mut source.ref_name, &mut source.pusher].into_iter().flatten().for_each(redact);
    // A tag may point to a tree and have no commit. Use the tag's own id then.
    let commit_id = facts.commit_id().ok().flatten().unwrap_or(update.raw_new_id());
    let trace_id = TraceId::of(commit_id);
    let parent = (draft.kind.is_deployment() && context.is_of_release)
        .then(|| SpanId::of_release(trace_id, &draft.service, &draft.version));
    let mut marker = Marker {
        id,
        kind: draft.kind,
        service: draft.service,
        version: draft.version,
        environment: draft.environment,
        time: context.backfilled.unwrap_or(push.time()),
        title: draft.title,
        trace_id,
        links: traceparents(facts),
        parent,
        is_repeat: false,
        interval: context.interval,
        push: push.id(),
        source,
        attributes,
    };
    if let Some(service) = context.service {
        add_service(&mut marker, service, &push.source().repository.full_name(), &commit_id.to_string());
    }
    marker
}

/// Adds the owner and the links from the service's rule.
fn add_service(marker: &mut Marker, service: &Service, repository: &str, commit: &str) {
    if let Some(owner) = &service.owner {
        marker.attributes.entry(name::SERVICE_OWNER.into()).or_insert_with(|| owner.clone().into());
    }
    let millis = marker.time.as_millisecond();
    for (key, link) in &service.links {
        let filled = link.fill(|placeholder| {
            Some(match placeholder {
                Placeholder::Service => marker.service.clone(),
                Placeholder::Version => marker.version.clone(),
                Placeholder::Environment => marker.environment.clone()?,
                Placeholder::Commit => commit.to_string(),
                Placeholder::TraceId => marker.trace_id.to_string(),
                Placeholder::Repository => repository.to_string(),
                Placeholder::From => (millis - AROUND).to_string(),
                Placeholder::To => (millis + AROUND).to_string(),
            })
        });
        if let Some(filled) = filled {
            marker.attributes.entry(format!("{}{key}", name::LINK).into()).or_insert_with(|| filled.into());
        }
    }
}

/// Returns the contexts from `git push -o traceparent=...` and from `Traceparent:` trailers of
/// the tag and the commit.
///
/// Duplicates and invalid contexts are left out. At most `MAX_TRACEPARENTS` are returned.
fn traceparents(facts: &Facts) -> Vec<Traceparent> {
    let options = facts.push().source().options.iter();
    let options = options.filter(|(key, _)| *key == TRACEPARENT).map(|(_, value)| value.to_string());
    let mut said: Vec<String> = options.collect();
    if let Ok(target) = facts.target() {
        let of_tag = target.tag.iter().flat_map(|tag| &tag.trailers);
        let of_commit = target.commit.iter().flat_map(|commit| &commit.trailers);
        let named = of_tag.chain(of_commit).filter(|(key, _)| key.eq_ignore_ascii_case(TRACEPARENT));
        said.extend(named.map(|(_, value)| value.clone()));
    }
    let mut given = Vec::new();
    for context in said.iter().filter_map(|said| said.parse().ok()) {
        if !given.contains(&context) && given.len() < MAX_TRACEPARENTS {
            given.push(context);
        }
    }
    given
}
