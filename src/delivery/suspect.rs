//! Finds the marker on which a destination fails, if every request with that marker fails.
//!
//! First, a single marker is sent. If it passes, the destination is up, and a binary search finds
//! the bad marker. If it fails, a second one is sent. If that passes, the first one is bad, else
//! the destination is down.
//!
//! A destination that is down therefore gets two extra requests. One that is up gets as many as the
//! logarithm of the batch's size.

/// Reason to suspend delivery to a destination for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suspended {
    /// The wait that the destination asked for.
    pub after: Option<std::time::Duration>,
    /// Explanation. Empty if nothing failed and only the time was up.
    pub why: String,
    /// True if the destination answered, and the content of the request may be at fault.
    pub may_be_content: bool,
}

/// Result of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SearchOutcome<T> {
    /// This item fails alone while another one passed. The text is the server's answer to it.
    Bad(T, String),
    /// All items pass by now.
    None,
    /// The failed item is the only one, so the search cannot compare it with another.
    Unknown,
}

/// Searches `suspects`, which failed together, with one request at a time. Items that pass are
/// delivered by that. `others` have not been tried yet.
///
/// # Errors
/// Returns an error if the destination is down.
pub(super) fn search<T>(
    mut suspects: Vec<T>,
    mut others: Vec<T>,
    request: &mut dyn FnMut(&mut [T]) -> Result<(), Suspended>,
    failed: &Suspended,
) -> Result<SearchOutcome<T>, Suspended> {
    let mut passes = |some: &mut [T]| match request(some) {
        Ok(()) => Ok(None),
        Err(stop) if stop.may_be_content => Ok(Some(stop.why)),
        Err(stop) => Err(stop),
    };
    if suspects.len() <= 1 {
        if others.is_empty() || suspects.is_empty() {
            return Ok(SearchOutcome::Unknown);
        }
        let other = fastrand::usize(..others.len());
        let is_up = passes(&mut others[other..=other])?.is_none();
        let bad = suspects.remove(0);
        return if is_up { Ok(SearchOutcome::Bad(bad, failed.why.clone())) } else { Err(failed.clone()) };
    }
    let mut first = suspects.remove(fastrand::usize(..suspects.len()));
    if let Some(why) = passes(std::slice::from_mut(&mut first))? {
        let second = fastrand::usize(..suspects.len());
        let is_up = passes(&mut suspects[second..=second])?.is_none();
        return if is_up { Ok(SearchOutcome::Bad(first, why)) } else { Err(failed.clone()) };
    }
    let (mut from, mut to) = (0, suspects.len());
    while from < to {
        let middle = from + (to - from).div_ceil(2);
        match passes(&mut suspects[from..middle])? {
            None => from = middle,
            Some(why) if middle - from == 1 => return Ok(SearchOutcome::Bad(suspects.remove(from), why)),
            Some(_) => to = middle,
        }
    }
    Ok(SearchOutcome::None)
}

#[cfg(test)]
mod tests;
