//! Takes a capture to the outbox: decides its updates, writes the markers, records the decisions
//! and removes the capture.
//!
//! The hook does this within its time budget. A decider of the delivery does it for captures that a
//! crash or the budget left. The markers of a slice are synchronised before the capture's name
//! counts the slice as decided, so a crash repeats work but loses no marker. The protocol is
//! described in [`crate::state`].

mod slice;

use std::{io, mem, ops::Range, path::PathBuf};

use slice::Slice;

use crate::{
    config::Config,
    decide::{Budget, Cause, Decider, Failure, LayeredHistory, Made, Outcome, Verdict},
    policy::{Fingerprint, Rule},
    push::{Push, UpdateSource},
    state::{
        Capture, State, StateError,
        failed::{FailedPush, Updates},
        inbox::Captured,
        journal::{PushRecord, Record, Trouble},
    },
    sys::time::{self, Deadline},
};

/// Maximum number of updates that are decided before their markers are written. Bounds the memory
/// for a push of 100,000 refs, and the work that a crash repeats.
const SLICE: usize = 2_000;

/// The outcome of settling a push.
#[derive(Debug, Default)]
pub struct Settled {
    /// The first few markers, in the order of their updates, and the rules that asked for them.
    pub markers: Vec<Made>,
    /// Number of all markers.
    pub marked: usize,
    /// Number of markers that are releases of old tags.
    pub backfilled: usize,
    /// The errors of the first few updates on which the policy failed.
    pub failed: Vec<Failure>,
    /// Lines for the pusher about what is not marked, each once. Only the first few are kept.
    pub replies: Vec<String>,
    /// True if updates are left to be decided. The capture stays where it is.
    pub is_left: bool,
    /// The error by which the system kept the rest from being decided.
    pub postponed: Option<String>,
    /// The last decision of the push. A command has only one.
    pub last: Option<LastDecision>,
    /// True if `on_placed` was called, after the last markers were placed in the outbox.
    pub called_on_placed: bool,
}

/// A decision without its markers.
#[derive(Debug)]
pub struct LastDecision {
    /// Outcome of the decision.
    pub outcome: Outcome,
    /// Rule that skipped the update or refused a marker.
    pub by: Option<Rule>,
    /// Problems that did not keep the update from being decided.
    pub missing: Option<String>,
}

/// A callback for the time in which the last markers, already placed in the outbox, are
/// synchronised.
pub type OnPlaced<'a> = &'a (dyn Fn() + Sync);

/// Maximum number of markers of one push that are returned for the reply.
pub const MAX_HANDED_BACK: usize = 16;

/// Maximum number of releases of old tags that are returned one by one.
pub const MAX_BACKFILLED: usize = 10;

/// The process that decides a captured push, and its limits.
#[derive(Clone, Copy)]
pub enum Mode<'a> {
    /// The hook, which stops at a deadline.
    Hook {
        /// The time at which the rest is left to the delivery.
        deadline: Deadline,
        /// Called while the last markers are being synchronised. A delivery that it starts finds
        /// the markers, and the pusher does not wait for its start.
        on_placed: Option<OnPlaced<'a>>,
    },
    /// A decider, which works for a turn and leaves the rest for its next turn.
    Background {
        /// The end of the turn. Each turn tries at least one slice.
        turn: Deadline,
    },
}

impl Mode<'_> {
    fn budget(self) -> Budget {
        match self {
            Self::Hook { deadline, .. } => Budget::Push(deadline),
            Self::Background { .. } => Budget::Update,
        }
    }

    fn is_turn_over(self) -> bool {
        matches!(self, Self::Background { turn } if turn.is_over())
    }
}

/// Decides the remaining updates of a captured push and writes their markers to the outbox.
///
/// A capture is removed when all its updates are decided. If the policy failed on some, it moves to
/// [`crate::state::Failed`]. If it is left in the middle, it stays where it is, and its name says
/// how far it got.
///
/// If this returns without an error, a capture that is left is on disk.
///
/// # Errors
/// If the outbox or the errors of failed updates cannot be written. The capture is decided again
/// later, and its markers get the same IDs.
pub fn settle(
    config: &Config,
    state: &State,
    capture: &mut Capture,
    captured: Captured,
    mode: Mode<'_>,
) -> Result<Settled, StateError> {
    let settled = Settlement::begin(config, state, capture, &captured, mode)
        .and_then(|settlement| settlement.decide(captured, mode));
    if settled.as_ref().map_or(true, |settled| settled.is_left) {
        // The policy is only to blame for an attempt if the process died, so this attempt does not
        // count. The error that kept the outbox from being written may prevent this rename, too;
        // then it counts.
        let _ = capture.give_back();
    }
    if settled.as_ref().is_ok_and(|settled| settled.is_left) {
        capture.keep()?;
    }
    settled
}

/// Records the next update as failed, because its policy killed the process that decided it. Leaves
/// the rest of the push.
///
/// # Errors
/// If the record cannot be written.
pub fn fail_next(
    config: &Config,
    state: &State,
    capture: &mut Capture,
    captured: &Captured,
    policy: Fingerprint,
    why: &str,
) -> Result<(), StateError> {
    let mode = Mode::Background { turn: Deadline::never() };
    let next = capture.next();
    let mut settlement =
        Settlement { policy: Some(policy), ..Settlement::begin(config, state, capture, captured, mode)? };
    if settlement.work.is_empty() {
        return settlement.end();
    }
    let is_past = !captured.times.is_empty();
    let mut slice = Slice::begin(config, &captured.push, &settlement.repository, next, is_past);
    let part = captured.times.get(next).and_then(|time| captured.push.part(next, *time));
    let (push, update) = part.as_ref().map_or((&captured.push, next), |part| (part, 0));
    let verdict = Verdict::failed(update, Failure::of_policy(why));
    slice.add(push, next, &verdict).map_err(|err| StateError::in_dir(state.dir(), err))?;
    slice.write(state, None)?;
    settlement.put_down(next..next + 1, slice.failed)?;
    if settlement.work.iter().all(|range| range.end == next + 1) { settlement.end() } else { Ok(()) }
}

/// A captured push that is being decided.
struct Settlement<'a> {
    config: &'a Config,
    state: &'a State,
    capture: &'a mut Capture,
    repository: String,
    hook_page: Option<PathBuf>,
    /// The ranges of updates to be decided.
    work: Vec<Range<usize>>,
    end: usize,
    /// The updates on which the policy failed.
    failed: FailedPush,
    /// True if a record of such updates is on disk.
    is_noted: bool,
    /// Fingerprint of the scripts from before the policy was loaded. `None` in the hook, which does
    /// not take the time to compute it, and if a part of the push failed with other scripts.
    policy: Option<Fingerprint>,
}

impl<'a> Settlement<'a> {
    fn begin(
        config: &'a Config,
        state: &'a State,
        capture: &'a mut Capture,
        captured: &Captured,
        mode: Mode<'_>,
    ) -> Result<Self, StateError> {
        let end = captured.push.updates().len();
        let hook_page = captured.hook_page.clone();
        let (known, policy) = match mode {
            // The push was captured a moment ago, so there is no record of it.
            Mode::Hook { .. } => (None, None),
            Mode::Background { .. } => {
                let known = match state.failed().read(capture.push_id()) {
                    // The failed updates are unknown, so all updates are decided again.
                    Err(err) if err.kind() == io::ErrorKind::InvalidData => {
                        Some(FailedPush { updates: Updates::all(end), ..FailedPush::default() })
                    }
                    known => known?,
                };
                (known, Some(Fingerprint::of(config).with_page(hook_page.as_deref())))
            }
        };
        let is_noted = known.is_some();
        let failed = known.unwrap_or_default();
        // The scripts may have changed since the attempt that got as far as the name says. What failed
        // in it may succeed now.
        let has_changed = !failed.updates.is_empty() && failed.attempt != policy;
        let is_again = capture.has_failed(&state.failed());
        let rest = if is_again && has_changed { 0..end } else { capture.next()..end };
        let work = if is_again { failed.updates.within(&rest) } else { vec![rest] };
        let policy = policy.filter(|_| is_again || !has_changed);
        let repository = captured.push.source().repository.full_name();
        Ok(Self { config, state, capture, repository, hook_page, work, end, failed, is_noted, policy })
    }

    fn decide(mut self, captured: Captured, mode: Mode<'_>) -> Result<Settled, StateError> {
        let (state, budget) = (self.state, mode.budget());
        let is_first = self.capture.next() == 0 && !self.capture.has_failed(&state.failed());
        if is_first {
            self.log_refs(&captured.push);
        }
        if self.capture.next() == 0 && !captured.malformed.is_empty() {
            state.journal().note(malformed(&captured, &self.repository));
        }
        let stored = state.memory();
        let memory = LayeredHistory::over(&stored);
        let times = captured.times;
        let access = state.access().for_push(self.config, captured.push.source(), time::now());
        let push = captured.push.with_access(access);
        let mut decider = Decider::new(self.config, push, captured.hook_page, &memory);
        let whole = decider.shared_push();
        let page = self.hook_page.clone();
        let repository = self.repository.clone();
        let mut has_heading = false;
        let mut settled = Settled::default();
        let is_careful = self.capture.has_killed();
        let slice_len = if is_careful { 1 } else { SLICE };
        let mut is_kept = false;
        for range in mem::take(&mut self.work) {
            let mut next = range.start;
            while next < range.end && !settled.is_left {
                let from = next;
                let mut slice = Slice::begin(self.config, &whole, &repository, from, !times.is_empty());
                if is_careful {
                    self.capture.begin_alone(from)?;
                }
                while next < range.end.min(from + slice_len) {
                    let part = times.get(next).and_then(|time| whole.part(next, *time));
                    let is_past = part.is_some();
                    if is_past && next > from && mode.is_turn_over() {
                        break;
                    }
                    let update = if is_past { 0 } else { next };
                    part.into_iter().for_each(|part| decider.turn_to(part));
                    let Some(verdict) = decider.decide(update, budget) else {
                        settled.is_left = true;
                        break;
                    };
                    if let Some(failure) = failure_of_system(&decider, &verdict, mode) {
                        settled.is_left = true;
                        settled.postponed = Some(failure.why().to_string());
                        break;
                    }
                    let push = decider.push();
                    let is_first = is_past || !mem::replace(&mut has_heading, true);
                    let added = match is_first {
                        true => slice.begin_with(PushRecord::of(
                            push,
                            &repository,
                            page.as_deref(),
                            decider.policy(),
                        )),
                        false => Ok(()),
                    };
                    added
                        .and_then(|()| slice.add(push, next, &verdict))
                        .map_err(|err| StateError::in_dir(state.dir(), err))?;
                    next += 1;
                    if is_past {
                        let deployed = verdict.markers.iter().filter_map(|made| made.deployed.clone());
                        deployed.for_each(|(place, deployed)| memory.remember(place, deployed));
                    }
                    settled.add(verdict);
                }
                if is_careful {
                    self.capture.end_alone()?;
                }
                let on_placed = match mode {
                    Mode::Hook { on_placed, .. } => {
                        on_placed.filter(|_| next == self.end && !slice.is_empty())
                    }
                    Mode::Background { .. } => None,
                };
                settled.called_on_placed = on_placed.is_some();
                if next < self.end && !is_kept {
                    // After this slice, the outbox knows the push. If a power cut then emptied the
                    // capture, recovery would take the push for decided, although updates are left.
                    self.capture.keep()?;
                    is_kept = true;
                }
                slice.write(state, on_placed)?;
                self.put_down(from..next, slice.failed)?;
                settled.is_left |= next < self.end && mode.is_turn_over();
            }
        }
        if !settled.is_left {
            self.end()?;
        }
        if matches!(mode, Mode::Hook { .. }) {
            // The hook ends next. Skip the destructors of the policy and the repository; the system
            // frees their memory.
            mem::forget(decider);
        }
        Ok(settled)
    }

    /// Tells the next scan that these ref changes are captured. If that fails, the scan will take
    /// them for changes that no hook captured, which is better than no markers now.
    fn log_refs(&self, push: &Push) {
        if !matches!(push.source().found_by, UpdateSource::Push | UpdateSource::Scan) {
            return;
        }
        if let Err(err) = self.state.ref_log().append(push) {
            self.state.journal().note([Record::Trouble(Trouble {
                push: Some(push.id()),
                repository: Some(self.repository.as_str().into()),
                what: format!("the next scan may mark this push again: {err}").into(),
            })]);
        }
    }

    /// Records the failed updates and then, in the capture's name, how far the push is decided.
    fn put_down(&mut self, decided: Range<usize>, failed: Vec<(usize, String)>) -> Result<(), StateError> {
        let updates: Vec<usize> = failed.iter().map(|(update, _)| *update).collect();
        let has_changed = self.failed.updates.replace(&decided, &updates);
        if let Some((_, why)) = failed.into_iter().next() {
            self.failed.time = time::now();
            self.failed.why = why;
        }
        if decided.end == self.end {
            return Ok(());
        }
        let is_other_attempt = self.is_noted && self.failed.attempt != self.policy;
        if has_changed || is_other_attempt {
            self.failed.attempt = self.policy;
            self.state.failed().write(self.capture.push_id(), &self.failed)?;
            self.is_noted = true;
        }
        self.capture.advance(decided.end)
    }

    /// Removes the capture, or moves it to the failed pushes.
    fn end(self) -> Result<(), StateError> {
        let failed = self.state.failed();
        let push = self.capture.push_id();
        if !self.failed.updates.is_empty() {
            let (policy, hook_page) = (self.policy, self.hook_page);
            failed.write(push, &FailedPush { policy, attempt: None, hook_page, ..self.failed })?;
            return self.capture.fail(&failed);
        }
        self.capture.done()?;
        if self.is_noted { failed.forget(push) } else { Ok(()) }
    }
}

impl Settled {
    fn add(&mut self, verdict: Verdict) {
        self.marked += verdict.markers.len();
        for made in verdict.markers {
            let is_backfill = made.marker.is_backfill();
            self.backfilled += usize::from(is_backfill);
            // Many old tags leave room for the events of today.
            let is_one_of_many = is_backfill && self.backfilled > MAX_BACKFILLED;
            if self.markers.len() < MAX_HANDED_BACK && !is_one_of_many {
                self.markers.push(made);
            }
        }
        for line in verdict.replies {
            if self.replies.len() < MAX_HANDED_BACK && !self.replies.contains(&line) {
                self.replies.push(line);
            }
        }
        if let Outcome::Failed(failure) = &verdict.outcome
            && self.failed.len() < MAX_HANDED_BACK
        {
            self.failed.push(failure.clone());
        }
        let missing = verdict.missing.map(|missing| missing.to_string());
        self.last = Some(LastDecision { outcome: verdict.outcome, by: verdict.by, missing });
    }
}

impl From<Verdict> for Settled {
    fn from(verdict: Verdict) -> Self {
        let mut settled = Self::default();
        settled.add(verdict);
        settled
    }
}

/// Returns the system's error if it affected a decision. The update is decided again later then.
fn failure_of_system(decider: &Decider<'_>, verdict: &Verdict, mode: Mode<'_>) -> Option<Failure> {
    match (&verdict.outcome, mode) {
        (Outcome::Failed(failure), _) if failure.cause() == Cause::System => Some(failure.clone()),
        // git has just shown the pushed objects to the hook. A decider runs later and has to check.
        (_, Mode::Hook { .. }) => None,
        (_, Mode::Background { .. }) => decider.check_pushed(verdict.update).err(),
    }
}

fn malformed<'a>(captured: &'a Captured, repository: &'a str) -> Vec<Record<'a>> {
    let trouble = |what: String| {
        Record::Trouble(Trouble {
            push: Some(captured.push.id()),
            repository: Some(repository.into()),
            what: what.into(),
        })
    };
    let mut records: Vec<_> =
        captured.malformed.iter().map(|line| trouble(format!("skipped {line}"))).collect();
    if captured.more_malformed > 0 {
        records.push(trouble(format!("skipped {} more malformed lines", captured.more_malformed)));
    }
    records
}
