//! Keeps the ids of spans unique in a trace, and the parents of deployments to spans that exist.
//!
//! Builds compute the id of a change's or a release's span from the commit. If such a marker is made
//! again for the same commit, only the first one has that id.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use super::{DecideRequest, Decider, EarlyEnd, SpanOwner};
use crate::{
    facts::Facts,
    marker::{Marker, SpanId},
    policy::Trace,
    push::RefKind,
};

/// Maximum number of spans that a decider remembers. A state directory remembers those of earlier
/// slices.
const MAX_RECENT: usize = 16_384;

/// Maximum number of tags of a push that are searched for the release of a deployment.
const MAX_TAGS: usize = 64;

/// The spans of changes and releases that a decider made.
#[derive(Debug, Default)]
pub(super) struct RecentSpans {
    owners: RefCell<HashMap<SpanId, SpanOwner>>,
    /// True while a later update is decided to find a release.
    is_ahead: Cell<bool>,
}

impl Decider<'_> {
    /// Marks a repeat, and removes a parent that no marker has as its span, or that starts later than
    /// its child.
    pub(super) fn identify_span(
        &self,
        marker: &mut Marker,
        asking: &DecideRequest<'_>,
    ) -> Result<(), EarlyEnd> {
        if let Some(span) = marker.commit_span() {
            match self.span_owner(span) {
                Some(owner) => marker.is_repeat = owner.marker != marker.id,
                None => {
                    let mut recent = self.spans.owners.borrow_mut();
                    if recent.len() == MAX_RECENT {
                        recent.clear();
                    }
                    recent.insert(span, SpanOwner { marker: marker.id, time: marker.time });
                }
            }
        }
        let Some(parent) = marker.parent else { return Ok(()) };
        if self.span_owner(parent).is_none() {
            self.decide_later_tags(asking)?;
        }
        let start = marker.interval.map_or(marker.time, |interval| interval.start);
        let is_known = self.span_owner(parent).is_some_and(|release| release.time <= start);
        marker.parent = marker.parent.filter(|_| is_known);
        Ok(())
    }

    /// Decides the later updates of the push that tag the same commit, because one of them may make
    /// the release: git lists branches before tags. Only the spans are kept. Each update is decided
    /// again in its turn, with the same result.
    fn decide_later_tags(&self, asking: &DecideRequest<'_>) -> Result<(), EarlyEnd> {
        if self.spans.is_ahead.get() {
            return Ok(());
        }
        let facts = &asking.update_context.facts;
        let Ok(Some(commit)) = facts.commit_id() else { return Ok(()) };
        let later = self.push.updates().iter().enumerate().skip(facts.index() + 1);
        let tags = later.filter(|(_, update)| matches!(update.ref_name().kind(), RefKind::Tag(_)));
        for (index, _) in tags.take(MAX_TAGS) {
            let tag = Rc::new(Facts::new(self.push.clone(), index, self.repository.clone()));
            if tag.commit_id().is_ok_and(|tagged| tagged == Some(commit)) {
                self.spans.is_ahead.set(true);
                let decided = self.verdict_on(&tag, asking.budget, asking.deadline, &mut Trace::off());
                self.spans.is_ahead.set(false);
                if let Err(EarlyEnd::OutOfTime(failure)) = decided {
                    return Err(EarlyEnd::OutOfTime(failure));
                }
            }
        }
        Ok(())
    }

    fn span_owner(&self, span: SpanId) -> Option<SpanOwner> {
        let recent = self.spans.owners.borrow().get(&span).copied();
        recent.or_else(|| self.memory.span_owner(span))
    }
}
