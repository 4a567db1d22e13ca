//! Retention: removes the oldest files of the journal.
//!
//! A summary of each file is appended to the journal first. It has the hash that the first line of
//! the next file carries, so that verification begins there. Only whole files are removed, and never
//! the newest one.

use jiff::{ToSpan as _, civil::Date, tz::TimeZone};

use super::{
    StateError,
    chain::{LineHash, Tip},
    files,
    journal::{Journal, JournalEntry, PrunedRecord, Record},
    journal_end,
};
use crate::{config::Retention, sys::time::Timestamp};

impl Journal {
    /// Removes the files of months that ended too long ago, and then the oldest ones of a journal that
    /// is too large. After a crash in between, the next call repeats the summaries of what is left.
    ///
    /// # Errors
    /// If the journal cannot be read or written. Nothing is removed without its summary on disk.
    pub fn prune(&self, retention: Retention, now: Timestamp) -> Result<(), StateError> {
        if retention == Retention::default() {
            return Ok(());
        }
        let names = journal_end::files_of(&self.dir)?;
        let size_of = |name: &String| self.dir.join(name).symlink_metadata().map_or(0, |file| file.len());
        let mut size: u64 = names.iter().map(size_of).sum();
        let old = names.iter().take(names.len().saturating_sub(1)).take_while(|name| {
            let is_old = retention.keep.is_some_and(|keep| {
                end_of_month(name)
                    .and_then(|end| end.checked_add(keep).ok())
                    .is_some_and(|until| until <= now)
            });
            let is_large = retention.max_size.is_some_and(|most| size > most);
            size = size.saturating_sub(size_of(name));
            is_old || is_large
        });
        let old: Vec<&String> = old.collect();
        let summaries = old.iter().map(|name| self.summary(name)).collect::<Result<Vec<_>, _>>()?;
        if summaries.is_empty() {
            return Ok(());
        }
        self.append(summaries.into_iter().map(Record::Pruned))?;
        // The summaries are on disk before the lines go.
        if self.witness().is_some() {
            old.iter().try_for_each(|name| files::remove(&self.dir.join(name)))?;
        }
        Ok(())
    }

    fn summary(&self, name: &str) -> Result<PrunedRecord, StateError> {
        let mut tip = Tip::default();
        let (mut lines, mut first) = (0, None);
        let (mut from, mut to) = (None, None);
        self.each_place(&[name.to_string()], &mut |_, line| {
            lines += 1;
            first = first.or_else(|| Some(LineHash::of(line)));
            tip.pass(line);
            if let Some(entry) = JournalEntry::read(line) {
                from = from.or(Some(entry.time));
                to = Some(entry.time);
            }
            true
        })?;
        let first = first.unwrap_or_default();
        Ok(PrunedRecord { file: name.into(), lines, from, to, first, last: tip.hash })
    }
}

/// Returns the end of the month that a file has the name of.
fn end_of_month(name: &str) -> Option<Timestamp> {
    let first: Date = format!("{}-01", name.strip_suffix(".jsonl")?).parse().ok()?;
    let next = first.checked_add(1.month()).ok()?;
    Some(next.to_zoned(TimeZone::UTC).ok()?.timestamp())
}
