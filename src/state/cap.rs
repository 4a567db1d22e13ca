//! The cap of the spool: what goes when a destination, or the whole delivery, has been away for too long.
//!
//! What is dropped is chosen by what it is worth: the oldest changes go before any release, deployment or
//! rollback, of which a graph without them says something wrong. Each drop is in the journal. To make room
//! at every push would cost each of them a look at every file, so more goes than must: a twentieth of the cap.
//!
//! Files that hold several pushes lose their changes too, though that makes no file less: what is left of them is small, and
//! becomes one file again.

use super::{
    Inbox, Journal, Outbox, State,
    files::StateError,
    inbox::{Captured, Claim},
    journal::{Delivery, Record, Sent, Trouble},
    listing::Weight,
    merge,
    outbox::Parcel,
};
use crate::{
    config::SpoolCap,
    marker::{Marker, MarkerId},
    policy::Kind,
    push::RefKind,
};

/// How many names are held at once.
const LISTED: usize = 4096;

/// What may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// Changes, and captures that can hardly be more.
    Changes,
    /// Everything.
    All,
}

/// Drops the oldest markers of an outbox whose lock is held, if it is over its cap, and returns how many.
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
        after.clone_from(last);
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
    name: &str,
    worth: Worth,
    cap: SpoolCap,
    excess: &mut Excess,
) -> Result<usize, StateError> {
    // Whoever delivers makes a dead letter of what cannot be read.
    let Ok(waiting) = outbox.read(name) else { return Ok(0) };
    let (goes, stays): (Vec<&Marker>, Vec<&Marker>) =
        waiting.markers.iter().partition(|marker| worth == Worth::All || marker.kind == Kind::Change);
    let is_merged = Outbox::push_of(name) != Outbox::newest_push_of(name);
    // A change that leaves a release behind in its file makes room in bytes only, unless the rest becomes a part of another.
    if goes.is_empty() || (!stays.is_empty() && excess.bytes == 0 && !is_merged) {
        return Ok(0);
    }
    let mut freed = outbox.weight_of(name)?;
    note(&state.journal(), outbox, goes.iter().map(|marker| marker.id).collect(), cap)?;
    if !stays.is_empty() {
        let rest = Parcel::of_some(name, waiting.only, &stays)
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

fn note(journal: &Journal, outbox: &Outbox, markers: Vec<MarkerId>, cap: SpoolCap) -> Result<(), StateError> {
    journal.append([Record::Delivery(Delivery {
        destination: outbox.destination().into(),
        outcome: Sent::Dropped,
        markers,
        waiting: 0,
        why: why(cap).into(),
        ms: 0,
    })])
}

fn why(cap: SpoolCap) -> String {
    format!("the spool is over its cap of {} files or {} MiB ([spool])", cap.files, cap.bytes >> 20)
}

/// Drops the oldest captures if the inbox is over its cap, pushes of branches alone before the others, and
/// returns how many. What a capture holds is not decided yet, but a push without a tag and without an
/// option is no release and no deployment unless a script says so.
///
/// # Errors
/// If the state directory cannot be read or written.
pub fn make_room_in_inbox(state: &State, cap: SpoolCap) -> Result<usize, StateError> {
    let inbox = state.inbox();
    let Some(mut excess) = Excess::of(inbox.weight()?, cap) else {
        return Ok(0);
    };
    let names = inbox.list()?;
    let mut dropped = 0;
    for worth in [Worth::Changes, Worth::All] {
        for name in &names {
            if !excess.is_left() {
                return Ok(dropped);
            }
            dropped += usize::from(drop_capture(state, &inbox, name, worth, cap, &mut excess)?);
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
    state.journal().append([Record::Trouble(Trouble {
        push: Some(capture.push_id()),
        repository: None,
        what: format!("a captured push is dropped: {}", why(cap)).into(),
    })])?;
    capture.done()?;
    excess.free(freed);
    Ok(true)
}

fn may_be_more_than_a_change(captured: &Captured) -> bool {
    let push = &captured.push;
    push.source().options.iter().next().is_some()
        || push.updates().iter().any(|update| matches!(update.ref_name().kind(), RefKind::Tag(_)))
}

/// How much has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Excess {
    files: u64,
    bytes: u64,
    /// How many files count as gone that will be once they are merged.
    on_credit: u64,
}

impl Excess {
    /// Returns how much has to go, `None` if nothing has.
    fn of(weight: Weight, cap: SpoolCap) -> Option<Self> {
        let is_over = weight.files > cap.files || weight.bytes > cap.bytes;
        is_over.then(|| Self::beyond(weight, cap))
    }

    /// Returns how much has to go until a twentieth of the cap is free.
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
mod tests {
    use super::*;

    #[test]
    fn more_goes_than_must() {
        let cap = SpoolCap { files: 100, bytes: 1000 };
        let weight = |files, bytes| Weight { files, bytes };
        assert_eq!(Excess::of(weight(100, 1000), cap), None);
        assert_eq!(Excess::of(weight(101, 10), cap), Some(Excess { files: 6, bytes: 0, on_credit: 0 }));
        assert_eq!(Excess::of(weight(1, 1500), cap), Some(Excess { files: 0, bytes: 550, on_credit: 0 }));
        let mut excess = Excess { files: 1, bytes: 10, on_credit: 0 };
        excess.free(weight(5, 4));
        assert!(excess.is_left());
        excess.free(weight(0, 6));
        assert!(!excess.is_left());
    }
}
