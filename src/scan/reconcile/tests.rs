use proptest::prelude::*;

use super::missing;
use crate::push::{ObjectId, RefName, Update};

fn id(value: u8) -> ObjectId {
    ObjectId::from_raw(&[value; 20]).expect("20 bytes")
}

fn name() -> RefName {
    RefName::new(b"refs/heads/main").expect("a name")
}

fn update(from: u8, to: u8) -> Update {
    Update::new(name(), id(from), id(to)).expect("an update")
}

/// Returns the missing changes, sorted.
fn found(ends: (u8, u8), captured: &[(u8, u8)]) -> Vec<(u8, u8)> {
    let captured: Vec<_> = captured.iter().map(|(from, to)| update(*from, *to)).collect();
    let captured: Vec<&Update> = captured.iter().collect();
    let found = missing(&name(), (id(ends.0), id(ends.1)), &captured);
    let mut found: Vec<_> = found
        .iter()
        .map(|update| (update.raw_old_id().as_bytes()[0], update.raw_new_id().as_bytes()[0]))
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn gaps_between_captured_changes_are_found() {
    for (ends, known, expected) in [
        ((1, 1), &[][..], &[][..]),
        ((1, 2), &[], &[(1, 2)]),
        ((1, 2), &[(1, 2)], &[]),
        ((1, 3), &[(2, 3)], &[(1, 2)]),
        ((1, 3), &[(1, 2)], &[(2, 3)]),
        ((1, 4), &[(2, 3)], &[(1, 2), (3, 4)]),
        // The captured change is in the middle, and the values of the ends differ from it.
        ((1, 2), &[(3, 1), (1, 2)], &[(1, 3)]),
        // Recorded in the other order.
        ((1, 3), &[(2, 3), (1, 2)], &[]),
        // A tag that was deleted and pushed again, twice.
        ((1, 0), &[(1, 0), (0, 1), (1, 0)], &[]),
        ((1, 1), &[(1, 0)], &[(0, 1)]),
        // A circle that the shortest walk passes by.
        ((1, 3), &[(1, 3), (1, 2), (2, 1)], &[]),
    ] {
        assert_eq!(found(ends, known), expected, "{ends:?} {known:?}");
    }
}

proptest! {
    /// Whatever part of a ref's history hooks captured, and in whatever order: what was captured and what
    /// is found are one walk from the first value to the last, and nothing is found if all was captured.
    #[test]
    fn captured_and_found_changes_are_one_walk(
        values in prop::collection::vec(0..5u8, 1..14),
        captured in prop::collection::vec(any::<bool>(), 14),
        seed in any::<u64>(),
    ) {
        let mut values = values;
        values.dedup();
        let steps: Vec<(u8, u8)> = values.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let mut known: Vec<(u8, u8)> = steps
            .iter()
            .zip(&captured)
            .filter(|(_, captured)| **captured)
            .map(|(step, _)| *step)
            .collect();
        let is_whole = known.len() == steps.len();
        fastrand::Rng::with_seed(seed).shuffle(&mut known);
        let ends = (values[0], values[values.len() - 1]);
        let found = found(ends, &known);
        if is_whole {
            prop_assert_eq!(&found, &[]);
        }
        // Leaving a value as often as reaching it, but for the ends.
        let mut balance = [0i32; 5];
        for (from, to) in known.iter().chain(&found).copied() {
            balance[usize::from(from)] += 1;
            balance[usize::from(to)] -= 1;
        }
        balance[usize::from(ends.0)] -= 1;
        balance[usize::from(ends.1)] += 1;
        prop_assert_eq!(balance, [0; 5]);
        // Never more than was missing.
        prop_assert!(found.len() <= steps.len() - known.len(), "{:?} of {:?}, found {:?}", known, steps, found);
    }
}
