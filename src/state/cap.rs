//! The cap of the spool, which bounds its size while destinations or deliveries are down.
//!
//! The oldest changes are dropped first, before any release, deployment or rollback, because a
//! graph that lacks one of those is wrong. Each drop is recorded in the journal. Making room looks
//! at every file, so it frees a twentieth of the cap at once instead of doing that for every push.
//!
//! Files of several pushes lose their changes, too. That makes no file fewer, but what is left of
//! them is small and is merged into one file.

use super::{
    Inbox, Journal, Outbox, State,
    files::StateError,
    inbox::{Captured, Claim},
    journal::{DeliveryRecord, Record, Sent, Trouble},
    listing::Weight,
    merge,
    outbox::{EncodedBatch, OutboxFileName},
};
use crate::{
    config::SpoolCap,
    marker::{Kind, Marker, MarkerId},
    push::RefKind,
};

/// Number of names held in memory at once.
const LISTED: usize = 4096;

/// The markers that may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// Changes, and captures that are unlikely to hold anything else.
    Changes,
    /// All markers and captures.
    All,
}

/// Drops the oldest markers of an outbox whose lock is held if it exceeds its cap, and returns
/// their number.
///
/// # Errors
/// If the state directory cannot be read or written.
pub fn make_room(state: &State, outbox: &Outbox, cap: SpoolCap) -> Result<usize, StateError> {
    let Some(mut excess) = Excess::of(outbox.weight()?, cap) else {
        return Ok(0);
    };
    let mut dropped = 0;
    loop {
        dropped += drop_oldest(state, outbox, Worth::Changes, cap, &mut excess)?;
        if excess.on_credit == 0 {
            break;
        }
        merge::merge_all(outbox)?;
        excess = Excess::beyond(outbox.weight()?, cap);
    }
    Ok(dropped + drop_oldest(state, outbox, Worth::All, cap, &mut excess)?)
}

fn drop_oldest(
    state: &State,
    outbox: &Outbox,
    worth: Worth,
    cap: SpoolCap,
    excess: &mut Excess,
) -> Result<usize, StateError> {
    let mut dropped = 0;
    let mut after = String::new();
    while excess.is_left() {
        let names = outbox.after(&after, LISTED)?;
        let Some(last) = names.last() else { break };
        after = last.to_string();
        for name in &names {
            if !excess.is_left() {
                break;
            }
            dropped += drop_markers(state, outbox, name, worth, cap, excess)?;
        }
    }
    Ok(dropped)
}

fn drop_markers(
    state: &State,
    outbox: &Outbox,
    name: &OutboxFileName,
    worth: Worth,
    cap: SpoolCap,
    excess: &mut Excess,
) -> Result<usize, StateError> {
    // Skip a file that cannot be read; the delivery makes a dead letter of it.
    let Ok(waiting) = outbox.read(name) else { return Ok(0) };
    let (goes, stays): (Vec<&Marker>, Vec<&Marker>) =
        waiting.markers.iter().partition(|marker| worth == Worth::All || marker.kind == Kind::Change);
    let is_merged = name.push() != name.newest_push();
    // If a release stays in the file, dropping its changes frees bytes only, unless the rest can be
    // merged with other files.
    if goes.is_empty() || (!stays.is_empty() && excess.bytes == 0 && !is_merged) {
        return Ok(0);
    }
    let mut freed = outbox.weight_of(name)?;
    note(&state.journal(), outbox, goes.iter().map(|marker| marker.id).collect(), cap);
    if !stays.is_empty() {
        let rest = EncodedBatch::of_some(name, waiting.only, &stays)
            .map_err(|err| StateError::in_dir(state.dir(), err))?;
        let placed = outbox.place(&rest)?;
        placed.sync()?;
        freed = freed.without(outbox.weight_of(&placed.name())?);
        if is_merged && excess.files > 0 {
            excess.files -= 1;
            excess.on_credit += 1;
        }
    }
    outbox.remove(name)?;
    excess.free(freed);
    Ok(goes.len())
}

fn note(journal: &Journal, outbox: &Outbox, markers: Vec<MarkerId>, cap: SpoolCap) {
    journal.note([Record::Delivery(DeliveryRecord {
        destination: outbox.destination().into(),
        outcome: Sent::Dropped,
        markers,
        waiting: 0,
        why: why(cap).into(),
        ms: 0,
    })]);
}

fn why(cap: SpoolCap) -> String {
    format!("the spool is over its cap of {} files or {} MiB ([spool])", cap.files, cap.bytes >> 20)
}

/// Drops the oldest captures if the inbox and the failed pushes together exceed the cap, and
/// returns their number. Pushes of branches go before others: without a tag and without a push
/// option, a push is neither a release nor a deployment unless a script says so.
///
/// # Errors
/// If the state directory cannot be read or written.
pub fn make_room_in_inbox(state: &State, cap: SpoolCap) -> Result<usize, StateError> {
    let (inbox, failed) = (state.inbox(), state.failed());
    let Some(mut excess) = Excess::of(inbox.weight()?.with(failed.captures().weight()?), cap) else {
        return Ok(0);
    };
    let of =
        |captures: Inbox, names: Vec<String>| names.into_iter().map(move |name| (captures.clone(), name));
    let mut captured: Vec<_> =
        of(inbox.clone(), inbox.list()?).chain(of(failed.captures(), failed.list()?)).collect();
    captured.sort_by_key(|(_, name)| Inbox::push_of(name));
    let mut dropped = 0;
    for worth in [Worth::Changes, Worth::All] {
        for (captures, name) in &captured {
            if !excess.is_left() {
                return Ok(dropped);
            }
            dropped += usize::from(drop_capture(state, captures, name, worth, cap, &mut excess)?);
        }
    }
    Ok(dropped)
}

fn drop_capture(
    state: &State,
    inbox: &Inbox,
    name: &str,
    worth: Worth,
    cap: SpoolCap,
    excess: &mut Excess,
) -> Result<bool, StateError> {
    let Claim::Ours(mut capture) = inbox.claim(name)? else {
        return Ok(false);
    };
    if worth == Worth::Changes && capture.read().is_ok_and(|captured| may_be_more_than_a_change(&captured)) {
        capture.give_back()?;
        return Ok(false);
    }
    let freed = capture.weight()?;
    state.journal().note([Record::Trouble(Trouble {
        push: Some(capture.push_id()),
        repository: None,
        what: format!("dropped a captured push: {}", why(cap)).into(),
    })]);
    capture.done()?;
    state.failed().forget(capture.push_id())?;
    excess.free(freed);
    Ok(true)
}

fn may_be_more_than_a_change(captured: &Captured) -> bool {
    let push = &captured.push;
    push.source().options.iter().next().is_some()
        || push.updates().iter().any(|update| matches!(update.ref_name().kind(), RefKind::Tag(_)))
}

/// Returns true if an outbox that nothing is sent from is over its cap, or has files to merge. The
/// latter is worth a process each time that `merge_at` more files wait.
///
/// # Errors
/// If a file cannot be examined.
pub fn is_due(outbox: &Outbox, cap: SpoolCap, merge_at: usize) -> Result<bool, StateError> {
    let weight = outbox.weight()?;
    Ok(Excess::of(weight, cap).is_some() || weight.files.is_multiple_of(merge_at as u64))
}

/// Number of files and bytes to be freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Excess {
    files: u64,
    bytes: u64,
    /// Number of files that were counted as freed although they are only freed by merging.
    on_credit: u64,
}

impl Excess {
    /// Returns what has to be freed, or `None` if the cap is not exceeded.
    fn of(weight: Weight, cap: SpoolCap) -> Option<Self> {
        let is_over = weight.files > cap.files || weight.bytes > cap.bytes;
        is_over.then(|| Self::beyond(weight, cap))
    }

    /// Returns what has to be freed so that a twentieth of the cap is free.
    fn beyond(weight: Weight, cap: SpoolCap) -> Self {
        Self {
            files: weight.files.saturating_sub(cap.files - cap.files / 20),
            bytes: weight.bytes.saturating_sub(cap.bytes - cap.bytes / 20),
            on_credit: 0,
        }
    }

    fn is_left(self) -> bool {
        self.files > 0 || self.bytes > 0
    }

    fn free(&mut self, weight: Weight) {
        self.files = self.files.saturating_sub(weight.files);
        self.bytes = self.bytes.saturating_sub(weight.bytes);
    }
}

#[cfg(test)]
mod tests;
