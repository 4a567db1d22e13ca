//! From the ids that a person typed to the entries that are meant.

use std::collections::HashMap;

use anyhow::bail;

use crate::{
    state::{
        State,
        queue::{Entry, EntryId, IdPrefix, Place},
    },
    text,
};

use super::told;

/// How many entries an ambiguous id names.
const MAX_NAMED: usize = 5;

/// The entries that an id may stand for.
#[derive(Default)]
struct Matches {
    entries: Vec<Entry>,
    count: usize,
}

/// Which of two entries of one id is meant, where one waits and the other is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefer {
    /// Neither: it has to be said.
    Neither,
    /// The dead letter.
    Dead,
}

/// Finds each id's entry in one pass over the queue; those in the wrong come with what to do about it.
///
/// # Errors
/// If the state cannot be read.
pub(super) fn pick(
    state: &State,
    places: &[Place],
    ids: &[IdPrefix],
    prefer: Prefer,
) -> anyhow::Result<Vec<anyhow::Result<Entry>>> {
    let mut wanted: HashMap<&str, Matches> = ids.iter().map(|id| (id.as_str(), Matches::default())).collect();
    state.each_entry(places, |entry| {
        let id = entry.id().to_string();
        for digits in IdPrefix::MIN..=IdPrefix::MAX {
            if let Some(matches) = wanted.get_mut(&id[..digits]) {
                matches.count += 1;
                if matches.entries.len() < MAX_NAMED {
                    matches.entries.push(entry.clone());
                }
            }
        }
        anyhow::Ok(())
    })?;
    let mut seen: Vec<EntryId> = Vec::new();
    let mut picked = Vec::new();
    for id in ids {
        let Some(matches) = wanted.remove(id.as_str()) else { continue };
        let entry = matches.only(id.as_str(), prefer);
        if let Ok(entry) = &entry {
            if seen.contains(&entry.id()) {
                continue;
            }
            seen.push(entry.id());
        }
        picked.push(entry);
    }
    Ok(picked)
}

impl Matches {
    fn only(mut self, id: &str, prefer: Prefer) -> anyhow::Result<Entry> {
        let Some(first) = self.entries.first().map(Entry::id) else {
            bail!(
                "there is no entry `{id}`: what waited may have been delivered meanwhile; \
                 `gitea-lightstep queue list` shows what there is"
            );
        };
        if self.entries.iter().any(|entry| entry.id() != first) {
            let mut named: Vec<_> = self
                .entries
                .iter()
                .map(|entry| format!("`{}` ({})", entry.id(), told::place(entry)))
                .collect();
            if self.count > named.len() {
                named.push(format!("{} more", self.count - named.len()));
            }
            bail!("`{id}` is the beginning of {} ids, give more digits: {}", self.count, named.join(", "));
        }
        if self.count > 1 {
            if prefer == Prefer::Neither {
                let places: Vec<_> = self.entries.iter().map(told::place).collect();
                bail!(
                    "`{first}` is there twice, in {}; say --dead for the dead letter",
                    text::line(places.join(" and in "))
                );
            }
            self.entries.sort_by_key(|entry| entry.place != Place::Dead);
        }
        Ok(self.entries.swap_remove(0))
    }
}
