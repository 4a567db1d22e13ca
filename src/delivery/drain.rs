//! Drains the spool: sends the outboxes and decides captured pushes, until both are done or
//! patience ends.

use std::{mem, panic::resume_unwind, sync::mpsc, thread};

use super::{
    access,
    decider::Deciders,
    drained::{Drained, RetryLimit},
    progress::Progress,
    worker::DestinationWorker,
};
use crate::{
    config::{Config, Destination, UNASSIGNED},
    policy::Confined,
    state::{
        State, StateError, cap,
        journal::{Record, Trouble},
        merge,
    },
    sys::fault::{self, Step},
    sys::time::{self, Deadline},
};

/// Drains the spool, as far as the destinations accept it, and counts in `progress`.
///
/// Markers that are ready are sent first. Captured pushes are decided in parallel with that, so
/// that a slow or hanging push does not delay the markers of other pushes.
///
/// # Errors
/// Returns an error if the state directory cannot be read or written. The rest of the work is done
/// first.
pub fn drain(
    config: &Config,
    state: &State,
    patience: RetryLimit,
    progress: &Progress,
) -> Result<Drained, StateError> {
    state.sweep();
    state.end_journal_gap();
    forget_abandoned_scans(state);
    if !matches!(patience, RetryLimit::OnceWithin(_)) {
        state.remove_finished();
        // The next delivery tries again.
        let _ = state.journal().prune(config.journal, time::now());
    }
    let mut drained = Drained::default();
    let mut send = || {
        assign(config, state)?;
        let round = deliver(config, state, patience, progress)?;
        drained.delivered += round.delivered;
        drained.dead += round.dead;
        drained.dropped += round.dropped;
        drained.left = round.left;
        drained.busy = round.busy;
        Ok::<_, StateError>(())
    };
    let mut sent = send();
    let mut decided = Ok(());
    // While a hook waits for its own push, other pushes are not decided.
    if !matches!(patience, RetryLimit::OnceWithin(_)) {
        thread::scope(|scope| {
            let (settled, has_settled) = mpsc::channel();
            let decide = move || decide_captured(config, state, patience, &settled);
            let started = fault::point(Step::Thread, state.dir())
                .and_then(|()| thread::Builder::new().spawn_scoped(scope, decide.clone()));
            let decider = match started {
                Ok(thread) => Some(thread),
                Err(_) => {
                    decided = decide();
                    None
                }
            };
            drop(decide);
            while has_settled.recv().is_ok() {
                // Send the markers of several pushes together.
                while has_settled.try_recv().is_ok() {}
                sent = mem::replace(&mut sent, Ok(())).and(send());
            }
            if let Some(thread) = decider {
                decided = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            }
        });
    }
    if !matches!(patience, RetryLimit::OnceWithin(_)) {
        access::keep_fresh(config, state)?;
    }
    drained.undecided = state.inbox().list()?.len();
    drained.failed = state.failed().list()?.len();
    sent.and(decided).map(|()| drained)
}

/// Keeps the log for the next scan from growing if no scan runs any more.
fn forget_abandoned_scans(state: &State) {
    let what = match state.ref_log().forget_if_abandoned() {
        Ok(false) => return,
        Ok(true) => "no scan has run for long, so the next one only writes down the refs again".to_string(),
        Err(err) => err.to_string(),
    };
    state.journal().note([Record::Trouble(Trouble { push: None, repository: None, what: what.into() })]);
}

/// Decides captured pushes until none is due within the deadline. Sends to `settled` after each.
fn decide_captured(
    config: &Config,
    state: &State,
    patience: RetryLimit,
    settled: &mpsc::Sender<()>,
) -> Result<(), StateError> {
    let deadline = match patience {
        RetryLimit::Once | RetryLimit::OnceWithin(_) => None,
        RetryLimit::Until(deadline) => Some(deadline),
        RetryLimit::Linger(time) => Some(Deadline::after(time)),
    };
    // The receiver outlives this thread.
    let on_settled = || {
        let _ = settled.send(());
    };
    // A manual `deliver` decides postponed pushes at once.
    let mut at_once = !matches!(patience, RetryLimit::Linger(_));
    loop {
        let pass = Deciders::new(config, state, &on_settled).pass(at_once)?;
        at_once = false;
        let wait = pass.next.filter(|wait| deadline.is_some_and(|deadline| *wait < deadline.left()));
        match wait {
            Some(wait) => thread::sleep(wait),
            None => return pass.failure.map_or(Ok(()), Err),
        }
    }
}

/// Assigns markers that were accepted without any destination to the configured destinations.
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

/// Drains the outboxes in parallel, one thread per destination, so that a destination that is down
/// does not delay the others. The last outbox is drained on this thread.
fn deliver(
    config: &Config,
    state: &State,
    patience: RetryLimit,
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
    // Scripts can build deeply nested values, which need a larger stack.
    let builder = |destination: &Destination| match destination.target.scripted() {
        None => thread::Builder::new(),
        Some(_) => thread::Builder::new().stack_size(Confined::STACK),
    };
    let worker =
        |destination| move || DestinationWorker::new(config, state, destination, patience, progress).run();
    thread::scope(|scope| {
        let start = |destination| {
            fault::point(Step::Thread, state.dir())
                .and_then(|()| builder(destination).spawn_scoped(scope, worker(destination)))
                // If the system cannot start another thread, this one runs later on the current
                // thread.
                .map_err(|_| worker(destination))
        };
        let others: Vec<_> = others.iter().map(start).collect();
        let mut drained = worker(last)()?;
        for other in others {
            drained.add(match other {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic))?,
                Err(worker) => worker()?,
            });
        }
        Ok(drained)
    })
}
