//! Finds out whether one commit is in the history of another, for histories that are too long to
//! list.

use std::{collections::HashSet, mem};

use super::{
    FactError, MAX_VISITED, Repository, WalkLimit,
    ancestry::{Ancestry, UNKNOWN},
    repository::gix_id,
};
use crate::push::ObjectId;

/// Maximum number of commits in the commit-graph that one search may visit. A visit there takes
/// well below a microsecond.
const MAX_IN_GRAPH: usize = 1_000_000;

/// Number of visits between two checks of the deadline.
const BETWEEN_LOOKS: usize = 1024;

impl Repository {
    /// Returns true if `old` is `new` or in its history. Returns `None` if the search would be too
    /// long, which is always so for an `old` outside the commit-graph.
    ///
    /// Generation numbers bound the search: an ancestor has a lower one than its descendants, so
    /// commits that are not above `old` need no visit.
    pub(super) fn is_in_history(
        &self,
        old: ObjectId,
        new: ObjectId,
        patience: WalkLimit,
    ) -> Result<Option<bool>, FactError> {
        let mut ancestry = Ancestry::of(self)?;
        let (Some(old), Some(new)) = (ancestry.number(&gix_id(old))?, ancestry.number(&gix_id(new))?) else {
            return Ok(None);
        };
        if old == new {
            return Ok(Some(true));
        }
        let floor = ancestry.generation(old);
        if floor == UNKNOWN {
            // The graph has all ancestors of its commits.
            return Ok((new < ancestry.in_graph() && old >= ancestry.in_graph()).then_some(false));
        }
        let in_graph = ancestry.in_graph() as usize;
        let mut is_seen = vec![false; in_graph];
        let mut others_seen = HashSet::new();
        let mut open = vec![new];
        let mut parents = Vec::new();
        let (mut visits_in_graph, mut visits_outside) = (0, 0);
        while let Some(number) = open.pop() {
            let visits =
                if (number as usize) < in_graph { &mut visits_in_graph } else { &mut visits_outside };
            *visits += 1;
            if visits_in_graph > MAX_IN_GRAPH || visits_outside > MAX_VISITED {
                return Ok(None);
            }
            if let WalkLimit::Until(deadline) | WalkLimit::VisitsUntil(_, deadline) = patience
                && (visits_in_graph + visits_outside) % BETWEEN_LOOKS == 0
                && deadline.is_over()
            {
                return Err(FactError::out_of_time(
                    "searching the history for the old commit ran out of time",
                ));
            }
            ancestry.parents(number, &mut parents)?;
            for parent in parents.drain(..) {
                if parent == old {
                    return Ok(Some(true));
                }
                let is_new = match is_seen.get_mut(parent as usize) {
                    Some(is_seen) => !mem::replace(is_seen, true),
                    None => others_seen.insert(parent),
                };
                if is_new && ancestry.generation(parent) > floor {
                    open.push(parent);
                }
            }
        }
        Ok(Some(false))
    }
}
