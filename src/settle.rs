//! From a capture to the outbox: decide, write the markers down, note the verdicts, drop the
//! capture. The hook does it within its budget, the deliverer with what a crash or the budget left.

use std::{
    mem,
    panic::resume_unwind,
    sync::{Arc, mpsc},
    thread,
};

use crate::{
    config::{Config, UNASSIGNED},
    decide::{Budget, Decider, Deployed, Outcome, Place, Verdict},
    fault::{self, Step},
    marker::Marker,
    push::Push,
    state::{
        Capture, State, StateError, Written,
        inbox::{Captured, MAX_TRIES},
        journal::{Decision, Lines, Marked, Pushed, Record, Trouble, Verdict as Noted},
        outbox::Parcel,
    },
};

/// How many updates are decided before what came of them is on disk. It bounds the memory that a push of
/// 100,000 refs needs, and how much work a crash can cost.
const SLICE: usize = 2_000;

/// How many malformed lines of one push are told one by one.
const MAX_TOLD: usize = 20;

/// What settling a push came to.
#[derive(Debug, Default)]
pub struct Settled {
    /// The markers, in the order of their updates; all but the first few are counted only.
    pub markers: Vec<Marker>,
    /// How many markers there are.
    pub marked: usize,
    /// Why updates have no marker that should perhaps have one.
    pub failed: Vec<String>,
    /// Whether the budget was used up first: the rest is left to the background.
    pub is_left: bool,
    /// Whether `meanwhile` was called: the last markers lay in the outbox by then.
    pub called_meanwhile: bool,
}

/// What is done while the disk takes the last of the markers, which lie in the outbox by then.
pub type Meanwhile<'a> = &'a (dyn Fn() + Sync);

/// How many markers of one push are handed back to be told.
pub const MAX_HANDED_BACK: usize = 16;

/// Decides what is left of a captured push and brings its markers to the outbox.
///
/// While the disk takes the last of the markers, `meanwhile` is called: a delivery that it starts finds
/// them, and costs the pusher no time.
///
/// # Errors
/// If the outbox or the journal cannot be written. The capture is there still, and decided again
/// later; ids do not change by that.
pub fn settle(
    config: &Config,
    state: &State,
    mut capture: Capture,
    captured: Captured,
    budget: Budget,
    meanwhile: Option<Meanwhile<'_>>,
) -> Result<Settled, StateError> {
    let settled = decide_rest(config, state, &mut capture, captured, budget, meanwhile).and_then(|settled| {
        if !settled.is_left {
            capture.done()?;
        }
        Ok(settled)
    });
    if settled.is_err() {
        // An error is no death. What keeps the outbox from being written may keep the name as well: then it counts.
        let _ = capture.give_back();
    }
    settled
}

fn decide_rest(
    config: &Config,
    state: &State,
    capture: &mut Capture,
    captured: Captured,
    budget: Budget,
    meanwhile: Option<Meanwhile<'_>>,
) -> Result<Settled, StateError> {
    let repository = captured.push.source().repository.full_name();
    if capture.next() == 0 && !captured.malformed.is_empty() {
        state.journal().append(malformed(&captured, &repository))?;
    }
    let mut settled = Settled::default();
    let mut is_careful = capture.has_killed();
    if capture.is_next_deadly() {
        give_up_next(config, state, capture, &captured, &repository)?;
        is_careful = false;
    }
    let hook_page = captured.hook_page;
    let memory = state.memory();
    let decider = Decider::new(config, captured.push, hook_page.clone(), &memory);
    let push = decider.push();
    let mut heading = Some(Pushed::of(push, &repository, hook_page.as_deref(), decider.policy()));
    let end = push.updates().len();
    let mut next = capture.next();
    while next < end && !settled.is_left {
        let mut slice = Slice::begin(push, &repository, next);
        let until = end.min(next + if is_careful { 1 } else { SLICE });
        if is_careful {
            capture.begin_alone()?;
        }
        while next < until && !settled.is_left {
            let decided = decider.decide(next..until, budget);
            next += decided.verdicts.len();
            settled.is_left = decided.is_out_of_time;
            for verdict in decided.verdicts {
                let added = heading.take().map_or(Ok(()), |heading| slice.begin_with(heading));
                added
                    .and_then(|()| slice.add(&verdict))
                    .map_err(|err| StateError::in_dir(state.dir(), err))?;
                settled.add(verdict);
            }
        }
        capture.end_alone()?;
        let meanwhile = meanwhile.filter(|_| next == end && !slice.parcel.is_empty());
        settled.called_meanwhile = meanwhile.is_some();
        slice.write(config, state, meanwhile)?;
        if next < end {
            capture.advance(next)?;
        }
    }
    if matches!(budget, Budget::Push(_)) {
        // The hook ends next. What a policy and a repository are made of goes with its process, at once.
        mem::forget(decider);
    }
    Ok(settled)
}

/// Notes that nothing becomes of the next update, which has killed its readers.
fn give_up_next(
    config: &Config,
    state: &State,
    capture: &mut Capture,
    captured: &Captured,
    repository: &str,
) -> Result<(), StateError> {
    let next = capture.next();
    if next < captured.push.updates().len() {
        let why = format!(
            "its policy killed the process {MAX_TRIES} times, so it is passed over; \
             look for what its scripts do, and report it: their limits should have stopped them"
        );
        let mut slice = Slice::begin(&captured.push, repository, next);
        let verdict = Verdict::given_up(next, why);
        slice.add(&verdict).map_err(|err| StateError::in_dir(state.dir(), err))?;
        slice.write(config, state, None)?;
    }
    capture.advance(next + 1)
}

impl Settled {
    fn add(&mut self, verdict: Verdict) {
        self.marked += verdict.markers.len();
        let room = MAX_HANDED_BACK.saturating_sub(self.markers.len());
        self.markers.extend(verdict.markers.into_iter().map(|made| made.marker).take(room));
        if let Outcome::Failed(why) = verdict.outcome
            && self.failed.len() < MAX_HANDED_BACK
        {
            self.failed.push(why);
        }
    }
}

/// What came of some updates of a push, in the form in which it is written down.
struct Slice<'a> {
    push: &'a Push,
    repository: &'a str,
    parcel: Parcel,
    deployed: Vec<(Place, Deployed)>,
    lines: Lines,
}

impl<'a> Slice<'a> {
    fn begin(push: &'a Push, repository: &'a str, from: usize) -> Self {
        Self {
            push,
            repository,
            parcel: Parcel::new(push.id(), from),
            deployed: Vec::new(),
            lines: Lines::now(),
        }
    }

    /// Notes the push itself, in front of its first decision.
    fn begin_with(&mut self, heading: Pushed<'_>) -> Result<(), serde_json::Error> {
        self.lines.add(Record::Push(Box::new(heading)))
    }

    fn add(&mut self, verdict: &Verdict) -> Result<(), serde_json::Error> {
        for made in &verdict.markers {
            self.parcel.add(&made.marker)?;
            self.deployed.extend(made.deployed.clone());
        }
        self.lines.add(noted(self.push, verdict, self.repository))
    }

    /// Writes the markers and the verdicts, and returns when the markers are on disk. What runs where is remembered after
    /// that; if it cannot be, the markers are as good without.
    fn write(
        &self,
        config: &Config,
        state: &State,
        meanwhile: Option<Meanwhile<'_>>,
    ) -> Result<(), StateError> {
        self.write_markers(config, state, meanwhile)?;
        match state.memory().remember(&self.deployed) {
            Ok(()) => Ok(()),
            Err(err) => state.journal().append([Record::Trouble(Trouble {
                push: Some(self.push.id()),
                repository: Some(self.repository.into()),
                what: format!("what runs where now is not remembered: {err}").into(),
            })]),
        }
    }

    fn write_markers(
        &self,
        config: &Config,
        state: &State,
        meanwhile: Option<Meanwhile<'_>>,
    ) -> Result<(), StateError> {
        let note = || state.journal().append_lines(&self.lines);
        let Some(meanwhile) = meanwhile else {
            self.place(config, state)?.iter().try_for_each(Written::sync)?;
            return note();
        };
        // The names are asked for while the content is on its way, so that one commit of the disk holds both. What is
        // noted of a push that the disk then does not take is noted once more when its capture is decided again.
        let rest = |placed: &[Written]| {
            meanwhile();
            let noted = note();
            placed.iter().try_for_each(Written::sync_name).and(noted)
        };
        thread::scope(|scope| {
            // A thread takes as long to begin as the file to be written, so it is there when the file is.
            let (hand_over, placed) = mpsc::sync_channel::<Arc<[Written]>>(1);
            let thread = fault::point(Step::Thread, state.dir()).and_then(|()| {
                thread::Builder::new()
                    .spawn_scoped(scope, move || placed.recv().map_or(Ok(()), |placed| rest(&placed)))
            });
            let placed: Arc<[Written]> = self.place(config, state)?.into();
            let sync = || placed.iter().try_for_each(Written::sync_content);
            let Ok(thread) = thread else {
                // The machine has no room for one more: it takes longer, then.
                let rest = rest(&placed);
                return sync().and(rest);
            };
            // It waits for nothing else, and is gone only if it panicked, which the end tells.
            let _ = hand_over.send(placed.clone());
            let content = sync();
            content.and(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }

    fn place(&self, config: &Config, state: &State) -> Result<Vec<Written>, StateError> {
        if self.parcel.is_empty() {
            return Ok(Vec::new());
        }
        let unassigned = config.destinations.is_empty().then_some(UNASSIGNED);
        let names = config.destinations.iter().map(|destination| destination.name.as_str());
        names.chain(unassigned).map(|name| state.outbox(name).place(&self.parcel)).collect()
    }
}

fn noted<'a>(push: &'a Push, verdict: &'a Verdict, repository: &'a str) -> Record<'a> {
    let update = &push.updates()[verdict.update];
    Record::Decision(Decision {
        push: push.id(),
        repository: repository.into(),
        ref_name: update.ref_name().to_text().into(),
        old_id: update.raw_old_id(),
        new_id: update.raw_new_id(),
        outcome: Noted::from(&verdict.outcome),
        by: verdict.by.as_ref().map(|rule| rule.to_string().into()),
        why: verdict.outcome.why().into(),
        missing: verdict.missing.as_ref().map(|err| err.to_string().into()),
        markers: verdict.markers.iter().map(|made| Marked::of(&made.marker, made.by.to_string())).collect(),
    })
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
        captured.malformed.iter().take(MAX_TOLD).map(|line| trouble(format!("passed over {line}"))).collect();
    if captured.malformed.len() > MAX_TOLD {
        records.push(trouble(format!(
            "passed over {} more malformed lines",
            captured.malformed.len() - MAX_TOLD
        )));
    }
    records
}
