//! Finds imported history in a range: commits that share no ancestor with the repository's own, as
//! `git subtree add` brings them.

use std::collections::{HashMap, HashSet};

use super::{
    FactError, WalkLimit,
    ancestry::{CommitNumber, Time},
    walk::WalkResult,
};

/// Maximum number of commits of a range that is searched for imported history. It takes about 40
/// bytes for each.
const MAX_SEARCHED: usize = 1_000_000;

/// Number of commits between two checks of the deadline.
const BETWEEN_LOOKS: usize = 64;

/// The commits of a range, and how they are connected.
#[derive(Default)]
struct RangeGraph {
    /// Pairs of a parent in the range and its child, as indexes, sorted by the parent.
    edges: Vec<(u32, u32)>,
    first_parents: Vec<Option<u32>>,
    /// True for commits that are known to belong to the repository's own history.
    is_own: Vec<bool>,
}

impl WalkResult<'_> {
    /// Returns the imported commits among `found`, the commits that only `tip` reaches.
    ///
    /// A commit is imported if none of its ancestors is common to both ends. If the ends have nothing
    /// in common, the history of the first parents is the repository's own. A range without a root
    /// needs no search: everything in it continues the common history.
    ///
    /// # Errors
    /// Returns an error if time is up, or if a commit is missing or broken.
    pub fn imported(
        &mut self,
        tip: CommitNumber,
        found: &[(Time, CommitNumber)],
        patience: WalkLimit,
    ) -> Result<HashSet<CommitNumber>, FactError> {
        if self.roots.is_empty() || self.is_truncated || found.len() > MAX_SEARCHED {
            return Ok(HashSet::new());
        }
        let number_of = |(_, number): &(Time, CommitNumber)| *number;
        let indexes: HashMap<CommitNumber, u32> = found.iter().map(number_of).zip(0..).collect();
        if !self.roots.iter().any(|root| indexes.contains_key(root)) {
            return Ok(HashSet::new());
        }
        let mut graph = self.graph(found, &indexes, patience)?;
        if !graph.is_own.contains(&true) {
            graph.take_first_parents(indexes.get(&tip).copied());
        }
        graph.spread();
        Ok(found.iter().zip(&graph.is_own).filter(|(_, is_own)| !**is_own).map(|(of, _)| of.1).collect())
    }

    fn graph(
        &mut self,
        found: &[(Time, CommitNumber)],
        indexes: &HashMap<CommitNumber, u32>,
        patience: WalkLimit,
    ) -> Result<RangeGraph, FactError> {
        let mut graph = RangeGraph::default();
        let mut parents = Vec::new();
        for (child, (nth, (_, number))) in (0..).zip(found.iter().enumerate()) {
            if let WalkLimit::Until(deadline) | WalkLimit::VisitsUntil(_, deadline) = patience
                && nth % BETWEEN_LOOKS == 0
                && deadline.is_over()
            {
                return Err(FactError::out_of_time("searching for imported history ran out of time"));
            }
            self.ancestry.parents(*number, &mut parents)?;
            // History beyond the edge of a shallow clone is unknown.
            let mut is_own = self.ancestry.met_edge;
            for parent in &parents {
                match indexes.get(parent) {
                    Some(parent) => graph.edges.push((*parent, child)),
                    None => is_own = true,
                }
            }
            graph.is_own.push(is_own);
            graph.first_parents.push(parents.first().and_then(|first| indexes.get(first).copied()));
        }
        graph.edges.sort_unstable();
        Ok(graph)
    }
}

impl RangeGraph {
    /// Marks the root that the first parents of the tip lead to as the repository's own.
    fn take_first_parents(&mut self, tip: Option<u32>) {
        let Some(mut last) = tip else { return };
        for _ in 0..self.first_parents.len() {
            match self.first_parents.get(last as usize) {
                Some(Some(parent)) => last = *parent,
                _ => break,
            }
        }
        if let Some(is_own) = self.is_own.get_mut(last as usize) {
            *is_own = true;
        }
    }

    /// Marks every commit with an ancestor of the repository's own history.
    fn spread(&mut self) {
        let mut waiting: Vec<u32> =
            (0..).zip(&self.is_own).filter(|(_, is_own)| **is_own).map(|(index, _)| index).collect();
        while let Some(parent) = waiting.pop() {
            let from = self.edges.partition_point(|(of, _)| *of < parent);
            for (_, child) in self.edges.iter().skip(from).take_while(|(of, _)| *of == parent) {
                if let Some(is_own) = self.is_own.get_mut(*child as usize).filter(|is_own| !**is_own) {
                    *is_own = true;
                    waiting.push(*child);
                }
            }
        }
    }
}
