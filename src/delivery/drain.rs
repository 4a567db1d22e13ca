//! The loop: settle what the inbox holds, then send what the outbox holds, and go on until both are
//! empty or the time is up.

use std::{panic::resume_unwind, thread, time::Duration};

use super::{courier::Courier, progress::Progress};
use crate::{
    config::{Config, Destination, Target, UNASSIGNED},
    decide::Budget,
    fault::{self, Step},
    policy::Confined,
    settle::settle,
    state::{
        State, StateError, cap,
        inbox::{Claim, MAX_TRIES},
        journal::{Record, Trouble},
        merge,
    },
    time::Deadline,
};

/// What a drain came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Markers that arrived, counted once a destination.
    pub delivered: usize,
    /// Markers that are dead letters now.
    pub dead: usize,
    /// Markers that had to go because the spool was over its cap.
    pub dropped: usize,
    /// Files that wait still.
    pub left: usize,
    /// Destinations that another process is delivering to.
    pub busy: usize,
}

impl Drained {
    fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.dead += other.dead;
        self.dropped += other.dropped;
        self.left += other.left;
        self.busy += other.busy;
    }
}

/// How often a drain tries.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Each destination once.
    Once,
    /// Each destination once, while somebody waits: where each marker is a request of its own, none begins after that.
    OnceWithin(Deadline),
    /// With backoff, until everything is off the spool or the time is up.
    Until(Deadline),
    /// With backoff, until everything is off the spool or has been tried for so long: a push that lands
    /// meanwhile gets all of that time too.
    Linger(Duration),
}

/// Empties the spool as far as the destinations let it, and notes in `progress` how far it is.
///
/// # Errors
/// If the state directory cannot be read or written. What else could be done is done by then.
pub fn drain(
    config: &Config,
    state: &State,
    patience: Patience,
    progress: &Progress,
) -> Result<Drained, StateError> {
    state.sweep();
    let mut drained = Drained::default();
    loop {
        // What cannot be settled, for want of room perhaps, holds up nothing that can be sent, which makes room.
        let settled = settle_inbox(config, state).and_then(|settled| {
            assign(config, state)?;
            Ok(settled)
        });
        let round = deliver(config, state, patience, progress)?;
        drained.delivered += round.delivered;
        drained.dead += round.dead;
        drained.dropped += round.dropped;
        drained.left = round.left;
        drained.busy = round.busy;
        // A hook may have died meanwhile, or there is room now.
        let has_moved = round.delivered > 0 || settled.as_ref().is_ok_and(|settled| *settled > 0);
        if !has_moved || state.inbox().list()?.is_empty() {
            return settled.map(|_| drained);
        }
    }
}

/// Settles every capture that no living process works on, and returns how many.
fn settle_inbox(config: &Config, state: &State) -> Result<usize, StateError> {
    let inbox = state.inbox();
    let mut settled = 0;
    let mut failure = None;
    for name in inbox.list()? {
        match settle_one(config, state, &name) {
            Ok(is_settled) => settled += usize::from(is_settled),
            // The next one may be smaller.
            Err(err) => failure = failure.or(Some(err)),
        }
    }
    failure.map_or(Ok(settled), Err)
}

fn settle_one(config: &Config, state: &State, name: &str) -> Result<bool, StateError> {
    let Claim::Ours(mut capture) = state.inbox().claim(name)? else {
        return Ok(false);
    };
    let why = if capture.is_deadly() {
        format!("its reader died {MAX_TRIES} times")
    } else {
        match capture.read() {
            Ok(captured) => {
                settle(config, state, capture, captured, Budget::Update, None)?;
                return Ok(true);
            }
            Err(err) if err.may_pass() => {
                // An error is no death: a disk that fails for a day must not make dead letters.
                let _ = capture.give_back();
                return Err(err);
            }
            Err(err) => err.to_string(),
        }
    };
    state.dead_letters().bury_capture(&capture, &why)?;
    let what = format!("a captured push is a dead letter: {why}").into();
    let trouble = Trouble { push: Some(capture.push_id()), repository: None, what };
    state.journal().append([Record::Trouble(trouble)])?;
    Ok(true)
}

/// Gives what was accepted before there was a destination to those that there are now.
fn assign(config: &Config, state: &State) -> Result<(), StateError> {
    let unassigned = state.outbox(UNASSIGNED);
    if config.destinations.is_empty() || unassigned.is_empty()? {
        return Ok(());
    }
    let Some(_lock) = unassigned.try_lock()? else {
        return Ok(());
    };
    let outboxes: Vec<_> =
        config.destinations.iter().map(|destination| state.outbox(&destination.name)).collect();
    unassigned.assign_to(&outboxes)
}

/// Empties the outboxes side by side, each in a thread of its own but the last: a destination that is down must
/// hold no other up.
fn deliver(
    config: &Config,
    state: &State,
    patience: Patience,
    progress: &Progress,
) -> Result<Drained, StateError> {
    let Some((last, others)) = config.destinations.split_last() else {
        let unassigned = state.outbox(UNASSIGNED);
        let dropped = match unassigned.try_lock()? {
            Some(_lock) => {
                merge::merge(&unassigned, config.merge_at)?;
                cap::make_room(state, &unassigned, config.spool)?
            }
            None => 0,
        };
        return Ok(Drained { dropped, left: unassigned.count()?, ..Drained::default() });
    };
    // What a script builds may lie deep.
    let builder = |destination: &Destination| match destination.target {
        Target::Otlp(_) => thread::Builder::new(),
        Target::Http(_) => thread::Builder::new().stack_size(Confined::STACK),
    };
    let courier = |destination| move || Courier::new(config, state, destination, patience, progress).run();
    thread::scope(|scope| {
        let start = |destination| {
            fault::point(Step::Thread, state.dir())
                .and_then(|()| builder(destination).spawn_scoped(scope, courier(destination)))
                // The machine has no room for one more: then one after the other.
                .map_err(|_| courier(destination))
        };
        let others: Vec<_> = others.iter().map(start).collect();
        let mut drained = courier(last)()?;
        for other in others {
            drained.add(match other {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic))?,
                Err(courier) => courier()?,
            });
        }
        Ok(drained)
    })
}
