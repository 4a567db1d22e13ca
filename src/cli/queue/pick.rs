//! Finds the entries for the IDs that the user typed.

use std::collections::HashMap;

use anyhow::bail;

use crate::{
    proposal,
    state::{
        State,
        queue::{EntryId, IdPrefix, QueueEntry, QueuePlace},
    },
    text,
};

use super::summary;

/// Maximum number of entries listed for an ambiguous ID.
const MAX_NAMED: usize = 5;

/// The entries whose IDs begin with the typed digits.
#[derive(Default)]
struct Matches {
    entries: Vec<QueueEntry>,
    count: usize,
}

/// Choice between a waiting entry and a dead letter with the same ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefer {
    /// Neither: the user has to choose with `--dead`.
    Neither,
    /// The dead letter.
    Dead,
}

/// Finds the entry for each ID in one pass over the queue. An ID without exactly one match yields
/// an error that says what to do.
///
/// # Errors
/// If the state cannot be read.
pub(super) fn pick(
    state: &State,
    places: &[QueuePlace],
    ids: &[IdPrefix],
    prefer: Prefer,
) -> anyhow::Result<Vec<anyhow::Result<QueueEntry>>> {
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
    fn only(mut self, id: &str, prefer: Prefer) -> anyhow::Result<QueueEntry> {
        let Some(first) = self.entries.first().map(QueueEntry::id) else {
            bail!(
                "no entry has the ID `{id}`: it may have been delivered; `{}` shows all entries",
                proposal::command("queue list")
            );
        };
        if self.entries.iter().any(|entry| entry.id() != first) {
            let mut named: Vec<_> = self
                .entries
                .iter()
                .map(|entry| format!("`{}` ({})", entry.id(), summary::place(entry)))
                .collect();
            if self.count > named.len() {
                named.push(format!("{} more", self.count - named.len()));
            }
            bail!("`{id}` matches {} ids; give more digits: {}", self.count, named.join(", "));
        }
        if self.count > 1 {
            if prefer == Prefer::Neither {
                let places: Vec<_> = self.entries.iter().map(summary::place).collect();
                bail!(
                    "`{first}` exists twice, in {}; use --dead for the dead letter",
                    text::line(places.join(" and in "))
                );
            }
            self.entries.sort_by_key(|entry| entry.place != QueuePlace::Dead);
        }
        Ok(self.entries.swap_remove(0))
    }
}
