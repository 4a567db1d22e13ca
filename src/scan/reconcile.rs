//! Finds the ref changes that no hook captured.
//!
//! Between two looks, a ref went from the value of the first look to that of the second, through
//! values that only hooks saw. The known changes are edges between these values, and all of them are
//! part of one walk. What is missing for such a walk is what no hook captured. The hooks of concurrent
//! pushes may record their changes in any order, so the order of the record proves nothing.
//!
//! An edge from the last value to the first makes the walk a circuit, and a graph has one if every
//! value is left as often as it is reached, and all edges hang together (Euler). The gaps are the fewest
//! edges that achieve this: from each value that is reached too often to one that is left too often,
//! from one connected part of the graph to the next.

use std::collections::BTreeMap;

use crate::push::{ObjectId, RefName, Update};

/// A change of a value.
type Edge = (ObjectId, ObjectId);

/// Returns the changes of one ref that no hook captured, between `before` and `after`. A null ID means
/// that the ref does not exist.
pub(super) fn missing(
    ref_name: &RefName,
    (before, after): (ObjectId, ObjectId),
    captured: &[&Update],
) -> Vec<Update> {
    let edges: Vec<Edge> = captured.iter().map(|update| (update.raw_old_id(), update.raw_new_id())).collect();
    let gaps = gaps((before, after), &edges).into_iter();
    gaps.filter_map(|(from, to)| Update::new(ref_name.clone(), from, to)).collect()
}

/// A connected part of the graph.
#[derive(Default)]
struct Part {
    /// Number of times that each value is left, minus the number of times that it is reached.
    balances: BTreeMap<ObjectId, i64>,
}

impl Part {
    /// Returns the values that are reached too often, and those that are left too often, each as many
    /// times. A balanced part counts as reached and left at its first value.
    fn loose_ends(&self) -> (Vec<ObjectId>, Vec<ObjectId>) {
        let repeated = |sign: i64| {
            let times = move |balance: i64| usize::try_from(balance * sign).unwrap_or(0);
            let values = self.balances.iter();
            values.flat_map(move |(value, balance)| vec![*value; times(*balance)]).collect::<Vec<_>>()
        };
        let (ends, starts) = (repeated(-1), repeated(1));
        match self.balances.keys().next() {
            Some(first) if ends.is_empty() => (vec![*first], vec![*first]),
            _ => (ends, starts),
        }
    }
}

/// Returns the fewest changes that make one walk from `before` to `after` of these edges.
fn gaps((before, after): Edge, edges: &[Edge]) -> Vec<Edge> {
    let parts = parts(edges.iter().copied().chain([(after, before)]));
    if let [part] = &parts[..]
        && part.balances.values().all(|balance| *balance == 0)
    {
        return Vec::new();
    }
    let (ends, starts): (Vec<_>, Vec<_>) = parts.iter().map(Part::loose_ends).unzip();
    let (ends, mut starts) = (ends.concat(), starts.concat());
    // Each part's last end leads to the start of the next part, which links all parts.
    starts.rotate_left(1);
    ends.into_iter().zip(starts).collect()
}

/// Divides a graph into its connected parts.
fn parts(edges: impl Iterator<Item = Edge>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (from, to) in edges {
        let mut joined = Part::default();
        parts.retain_mut(|part| {
            let is_touched = part.balances.contains_key(&from) || part.balances.contains_key(&to);
            if is_touched {
                joined.balances.append(&mut part.balances);
            }
            !is_touched
        });
        *joined.balances.entry(from).or_default() += 1;
        *joined.balances.entry(to).or_default() -= 1;
        parts.push(joined);
    }
    parts
}

#[cfg(test)]
mod tests;
