//! The loop: settle what the inbox holds, then send what the outbox holds, and go on until both are
//! empty or the time is up.

use std::{thread, time::Duration};

use super::{
    batch::{Batch, Sent},
    http::Client,
    retry::Backoff,
};
use crate::{
    config::{Config, Destination, UNASSIGNED},
    decide::Budget,
    settle::settle,
    state::{
        Capture, Outbox, State, StateError,
        inbox::{Claim, MAX_TRIES},
        journal::{Record, Trouble},
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
    /// Files that wait still.
    pub left: usize,
    /// Destinations that another process is delivering to.
    pub busy: usize,
}

impl Drained {
    fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.dead += other.dead;
        self.left += other.left;
        self.busy += other.busy;
    }
}

/// How often a drain tries.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Each destination once.
    Once,
    /// With backoff, until everything is off the spool or the time is up.
    Until(Deadline),
}

/// Empties the spool as far as the destinations let it.
///
/// # Errors
/// If the state directory cannot be read or written.
pub fn drain(config: &Config, state: &State, patience: Patience) -> Result<Drained, StateError> {
    state.sweep();
    // What cannot be decided now, perhaps because the disk is full, must not hold up what can be sent.
    let settled = settle_inbox(config, state);
    let outboxes: Vec<_> =
        config.destinations.iter().map(|destination| state.outbox(&destination.name)).collect();
    let unassigned = state.outbox(UNASSIGNED);
    if outboxes.is_empty() {
        return settled.and(Ok(Drained { left: unassigned.list()?.len(), ..Drained::default() }));
    }
    if !unassigned.list()?.is_empty()
        && let Some(_lock) = unassigned.try_lock()?
    {
        unassigned.assign_to(&outboxes)?;
    }
    // A destination that is down must hold no other up, so each has a thread.
    thread::scope(|scope| {
        let threads: Vec<_> = config
            .destinations
            .iter()
            .map(|destination| scope.spawn(move || deliver(config, state, destination, patience)))
            .collect();
        let mut drained = Drained::default();
        for thread in threads {
            drained.add(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        settled.and(Ok(drained))
    })
}

/// Settles every capture that no living process works on. One that cannot be settled does not stop the
/// rest; the first error is returned.
fn settle_inbox(config: &Config, state: &State) -> Result<(), StateError> {
    let mut settled = Ok(());
    for name in state.inbox().list()? {
        settled = settled.and(settle_one(config, state, &name));
    }
    settled
}

fn settle_one(config: &Config, state: &State, name: &str) -> Result<(), StateError> {
    let Claim::Ours(mut capture) = state.inbox().claim(name)? else {
        return Ok(());
    };
    if capture.tries() > MAX_TRIES {
        return bury(state, &capture, &format!("its reader died {MAX_TRIES} times"));
    }
    let settled = match capture.read() {
        Ok(captured) => settle(config, state, &mut capture, captured, Budget::Update, None),
        Err(err) if err.may_pass() => Err(err),
        Err(err) => return bury(state, &capture, &err.to_string()),
    };
    if settled.is_err() {
        // An error is no death: a disk that is full for a day must not make dead letters.
        let _ = capture.give_back();
    }
    settled.map(drop)
}

fn bury(state: &State, capture: &Capture, why: &str) -> Result<(), StateError> {
    state.dead_letters().bury_capture(capture, why)?;
    let what = format!("a captured push is a dead letter: {why}").into();
    let push = Some(capture.push_id());
    state.journal().append([Record::Trouble(Trouble { push, repository: None, what })])
}

fn deliver(
    config: &Config,
    state: &State,
    destination: &Destination,
    patience: Patience,
) -> Result<Drained, StateError> {
    let outbox = state.outbox(&destination.name);
    let client = Client::new(destination, config.delivery.timeout);
    let mut backoff = Backoff::default();
    let mut drained = Drained::default();
    let mut unreadable = Vec::new();
    loop {
        let Some(lock) = outbox.try_lock()? else {
            // Whoever holds the lock looks once more after letting it go.
            return Ok(Drained { busy: 1, left: outbox.list()?.len(), ..drained });
        };
        // The directory is listed once for many batches: a long backlog would be long to list.
        let mut names = waiting(&outbox, &unreadable)?.into_iter();
        loop {
            let (batch, dead) =
                Batch::read(&mut names, state, &outbox, config.delivery.give_up_after, &mut unreadable)?;
            drained.dead += dead;
            if batch.is_empty() {
                break;
            }
            match batch.send(state, &outbox, destination, &client)? {
                Sent::Off { delivered, dead } => {
                    backoff.reset();
                    drained.delivered += delivered;
                    drained.dead += dead;
                }
                Sent::Stays { after } => {
                    let wait = backoff.next(after);
                    if !has_patience(patience, wait) {
                        drained.left = outbox.list()?.len();
                        return Ok(drained);
                    }
                    thread::sleep(wait);
                    names = waiting(&outbox, &unreadable)?.into_iter();
                }
            }
        }
        drop(lock);
        // A push that landed while the lock was held may have found it held and left.
        if waiting(&outbox, &unreadable)?.is_empty() {
            drained.left = unreadable.len();
            return Ok(drained);
        }
    }
}

/// Returns the names of the files that wait, without those that could not be read this time.
fn waiting(outbox: &Outbox, unreadable: &[String]) -> Result<Vec<String>, StateError> {
    let mut names = outbox.list()?;
    names.retain(|name| !unreadable.contains(name));
    Ok(names)
}

fn has_patience(patience: Patience, wait: Duration) -> bool {
    match patience {
        Patience::Once => false,
        Patience::Until(deadline) => deadline.left() > wait,
    }
}
