//! Finds out whether a push was decided, from everything else that the state holds about it.
//!
//! The hook removes a capture without synchronising the directory, because the markers are on disk
//! by then. A power cut may bring the name back with no content or a part of it. Such a file is a
//! lost push only if nothing else in the state knows of the push.

use std::path::Path;

use bstr::ByteSlice as _;

use super::{
    State, contents,
    dead::WHY,
    inbox::Claim,
    journal::{self, JournalEntry, Record, RecordedOutcome, Trouble},
    listing,
    name::OutboxFileName,
};
use crate::{config::INBOX, push::PushId};

/// Maximum time by which the journal's file may seem older than the push, because clocks are set
/// back.
const SLACK: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

impl State {
    /// Returns true if a captured push with NEXT at 0 in its name was decided nevertheless.
    ///
    /// Unreadable files count as not knowing the push. If a push has more than one slice,
    /// [`crate::settle::settle`] synchronises its capture before the first markers. So if a push
    /// has markers and its capture is not whole, these are all of its markers.
    pub fn is_finished(&self, push: PushId) -> bool {
        self.is_in_an_outbox(push)
            || self.is_a_dead_letter(push)
            || self.has_failed(push)
            || self.is_in_the_journal(push)
    }

    /// Removes damaged captures of pushes that were decided before a power cut. A delivery calls
    /// this before it sends, and thereby removes, the markers that prove it.
    ///
    /// Errors are ignored: the process that decides the capture checks again.
    pub fn remove_finished(&self) {
        let inbox = self.inbox();
        for name in inbox.list().unwrap_or_default() {
            let Some((push, why)) = inbox.why_broken(&name).filter(|(push, _)| self.is_finished(*push))
            else {
                continue;
            };
            let Ok(Claim::Ours(capture)) = inbox.claim(&name) else { continue };
            if capture.done().is_ok() {
                let what =
                    format!("removed a damaged capture of a push that was decided before a power cut: {why}");
                let trouble = Trouble { push: Some(push), repository: None, what: what.into() };
                self.journal().note([Record::Trouble(trouble)]);
            }
        }
    }

    fn is_in_an_outbox(&self, push: PushId) -> bool {
        self.outboxes().unwrap_or_default().iter().any(|destination| {
            let dir = self.outbox(destination).new_dir();
            any(&dir, |name| holds(&dir.join(name), &name.into(), push))
        })
    }

    fn is_a_dead_letter(&self, push: PushId) -> bool {
        let dir = self.dead_letters().dir().to_path_buf();
        any(&dir, |name| match name.split_once('.') {
            _ if name.ends_with(WHY) => false,
            Some((INBOX, id)) => id.parse() == Ok(push),
            Some((_, file)) => holds(&dir.join(name), &file.into(), push),
            None => false,
        })
    }

    fn has_failed(&self, push: PushId) -> bool {
        let id = format!("{push}.");
        any(&self.dir.join("failed"), |name| name.starts_with(&id))
    }

    /// A decision is noted while its markers are being synchronised, so a decision with markers
    /// counts only if the journal has an outcome for each of them.
    fn is_in_the_journal(&self, push: PushId) -> bool {
        let id = push.to_string();
        let since = push.time().and_then(|time| time.checked_sub(SLACK).ok());
        let from = since.map_or_else(String::new, journal::file_name);
        let mut is_decided = false;
        let mut open = Vec::new();
        let read = self.journal().each_line(&from, |_, line| {
            open.retain(|marker: &String| !line.contains_str(marker));
            if line.contains_str(&id)
                && let Some(JournalEntry { record: Record::Decision(decision), .. }) =
                    JournalEntry::read(line)
                && decision.push == push
            {
                is_decided |= decision.outcome != RecordedOutcome::Failed;
                open.extend(decision.markers.iter().map(|marker| marker.id.to_string()));
            }
            Ok(())
        });
        read.is_ok() && is_decided && open.is_empty()
    }
}

/// Returns true if `is_meant` holds for a name in the directory.
pub(super) fn any(dir: &Path, mut is_meant: impl FnMut(&str) -> bool) -> bool {
    let mut found = false;
    let listed = listing::each(dir, |name| {
        found = found || is_meant(name);
        Ok::<_, super::StateError>(())
    });
    listed.is_ok() && found
}

/// Returns true if a file of markers holds one of `push`. The name tells, except for pushes between
/// the oldest and the newest one of a merged file.
fn holds(path: &Path, name: &OutboxFileName, push: PushId) -> bool {
    let Some(name) = name.fields() else { return false };
    if name.push() == push || name.newest() == push {
        return true;
    }
    let id = push.to_string();
    let mut found = false;
    if name.push() < push && push < name.newest() {
        let read = contents::each_line(path, |line| {
            found = found || line.contains_str(&id);
            Ok::<_, super::StateError>(())
        });
        // If the file cannot be read to its end, what was found so far counts.
        drop(read);
    }
    found
}
