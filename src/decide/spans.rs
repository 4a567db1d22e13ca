//! Keeps the ids of spans unique in a trace, and the parents of deployments to spans that exist.
//!
//! Builds compute the id of a change's or a release's span from the commit. If such a marker is made
//! again for the same commit, only the first one has that id.

use std::{cell::RefCell, collections::HashMap};

use super::{Decider, SpanOwner};
use crate::marker::{Marker, SpanId};

/// Maximum number of spans that a decider remembers. A state directory remembers those of earlier
/// slices.
const MAX_RECENT: usize = 16_384;

/// The spans of changes and releases that a decider made.
pub(super) type RecentSpans = RefCell<HashMap<SpanId, SpanOwner>>;

impl Decider<'_> {
    /// Marks a repeat, and removes a parent that no marker has as its span, or that starts later than
    /// its child.
    pub(super) fn identify_span(&self, marker: &mut Marker) {
        if let Some(span) = marker.commit_span() {
            match self.span_owner(span) {
                Some(owner) => marker.is_repeat = owner.marker != marker.id,
                None => {
                    let mut recent = self.spans.borrow_mut();
                    if recent.len() == MAX_RECENT {
                        recent.clear();
                    }
                    recent.insert(span, SpanOwner { marker: marker.id, time: marker.time });
                }
            }
        }
        let start = marker.interval.map_or(marker.time, |interval| interval.start);
        let is_known = |span| self.span_owner(span).is_some_and(|release| release.time <= start);
        marker.parent = marker.parent.filter(|span| is_known(*span));
    }

    fn span_owner(&self, span: SpanId) -> Option<SpanOwner> {
        let recent = self.spans.borrow().get(&span).copied();
        recent.or_else(|| self.memory.span_owner(span))
    }
}
