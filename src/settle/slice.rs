//! A slice of a push's decided updates, and how it is written to the outboxes and the journal.

use std::{
    panic::resume_unwind,
    sync::{Arc, mpsc},
    thread,
};

use super::OnPlaced;
use crate::{
    config::{Config, UNASSIGNED},
    decide::{Deployed, DeploymentTarget, Outcome, SpanOwner, Verdict},
    marker::{Kind, Marker, Signal, SpanId},
    push::Push,
    state::{
        State, StateError, WrittenFile,
        journal::{
            DecisionRecord, JournalLines, Marked, PushRecord, Record, RecordedOutcome as Noted, Trouble,
        },
        outbox::EncodedBatch,
    },
    sys::fault::{self, Step},
};

/// The decisions of some updates, serialised for the outboxes and the journal.
pub(super) struct Slice<'a> {
    config: &'a Config,
    push: &'a Push,
    repository: &'a str,
    /// True if each update is a separate push, from history.
    is_past: bool,
    parcel: EncodedBatch,
    /// The markers of past pushes. They are sorted before they go to `parcel`, because dates in a
    /// history may be out of order and a file's name has its oldest and its newest push.
    past: Vec<Marker>,
    deployed: Vec<(DeploymentTarget, Deployed)>,
    /// The spans computed from a commit that a destination gets.
    spans: Vec<(SpanId, SpanOwner)>,
    lines: JournalLines,
    /// The updates on which the policy failed, each with its error.
    pub failed: Vec<(usize, String)>,
}

impl<'a> Slice<'a> {
    pub fn begin(
        config: &'a Config,
        push: &'a Push,
        repository: &'a str,
        from: usize,
        is_past: bool,
    ) -> Self {
        Self {
            config,
            push,
            repository,
            is_past,
            parcel: EncodedBatch::new(push.id(), from),
            past: Vec::new(),
            deployed: Vec::new(),
            spans: Vec::new(),
            lines: JournalLines::now(),
            failed: Vec::new(),
        }
    }

    /// Returns true if the slice has no markers.
    pub fn is_empty(&self) -> bool {
        self.parcel.is_empty() && self.past.is_empty()
    }

    /// Adds the journal's record of the push, ahead of its first decision.
    pub fn begin_with(&mut self, heading: PushRecord<'_>) -> Result<(), serde_json::Error> {
        self.lines.add(Record::Push(Box::new(heading)))
    }

    /// Adds the verdict on update number `index`. `push` is the past push that consists of it, or the
    /// whole push.
    pub fn add(&mut self, push: &Push, index: usize, verdict: &Verdict) -> Result<(), serde_json::Error> {
        for made in &verdict.markers {
            let marker = &made.marker;
            match self.is_past {
                true => self.past.push(marker.clone()),
                false => self.parcel.add(marker)?,
            }
            self.deployed.extend(made.deployed.clone());
            if !marker.is_repeat
                && self.sends_spans(marker.kind)
                && let Some(span) = marker.commit_span()
            {
                self.spans.push((span, SpanOwner { marker: marker.id, time: marker.time }));
            }
        }
        if let Outcome::Failed(failure) = &verdict.outcome {
            self.failed.push((index, failure.why().to_string()));
        }
        self.lines.add(noted(push, verdict, self.repository))
    }

    /// Writes the markers and the decisions, and synchronises the markers. Then records the
    /// deployments and the spans. An error there does not affect the markers.
    pub fn write(&mut self, state: &State, on_placed: Option<OnPlaced<'_>>) -> Result<(), StateError> {
        self.past.sort_by_key(|marker| marker.push);
        if let Some(first) = self.past.first() {
            self.parcel = EncodedBatch::of_several(first.push, &self.past)
                .map_err(|err| StateError::in_dir(state.dir(), err))?;
        }
        self.write_markers(state, on_placed)?;
        let memory = state.memory();
        let recorded = [
            ("deployments", memory.remember(&self.deployed, self.is_past)),
            ("spans", memory.remember_spans(&self.spans)),
        ];
        for (what, result) in recorded {
            if let Err(err) = result {
                state.journal().note([Record::Trouble(Trouble {
                    push: Some(self.push.id()),
                    repository: Some(self.repository.into()),
                    what: format!("failed to record the {what} of this push: {err}").into(),
                })]);
            }
        }
        Ok(())
    }

    /// Returns true if a destination gets the spans of this kind.
    fn sends_spans(&self, kind: Kind) -> bool {
        self.config.destinations.iter().any(|to| to.target.takes(kind, Signal::Traces))
    }

    fn write_markers(&self, state: &State, on_placed: Option<OnPlaced<'_>>) -> Result<(), StateError> {
        let note = || state.journal().note_lines(&self.lines);
        let Some(on_placed) = on_placed else {
            self.place(state)?.iter().try_for_each(WrittenFile::sync)?;
            note();
            return Ok(());
        };
        // The directories are synchronised at the same time as the contents, so that one commit of
        // the file system's journal can hold both. If the disk then fails, the capture is decided
        // again, and its decisions are in the journal twice.
        let rest = |placed: &[WrittenFile]| {
            on_placed();
            note();
            placed.iter().try_for_each(WrittenFile::sync_name)
        };
        thread::scope(|scope| {
            // Starting a thread takes about as long as writing the file, so start it first.
            let (hand_over, placed) = mpsc::sync_channel::<Arc<[WrittenFile]>>(1);
            let thread = fault::point(Step::Thread, state.dir()).and_then(|()| {
                thread::Builder::new()
                    .spawn_scoped(scope, move || placed.recv().map_or(Ok(()), |placed| rest(&placed)))
            });
            let placed: Arc<[WrittenFile]> = self.place(state)?.into();
            let sync = || placed.iter().try_for_each(WrittenFile::sync_content);
            let Ok(thread) = thread else {
                // The system cannot start another thread, so do the same work one after the other.
                let rest = rest(&placed);
                return sync().and(rest);
            };
            // The thread waits for this message only. If it panicked, `join` below reports it.
            let _ = hand_over.send(placed.clone());
            let content = sync();
            content.and(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }

    fn place(&self, state: &State) -> Result<Vec<WrittenFile>, StateError> {
        if self.parcel.is_empty() {
            return Ok(Vec::new());
        }
        let destinations = &self.config.destinations;
        let unassigned = destinations.is_empty().then_some(UNASSIGNED);
        let names = destinations.iter().map(|destination| destination.name.as_str());
        names.chain(unassigned).map(|name| state.outbox(name).place(&self.parcel)).collect()
    }
}

fn noted<'a>(push: &'a Push, verdict: &'a Verdict, repository: &'a str) -> Record<'a> {
    let update = &push.updates()[verdict.update];
    Record::Decision(DecisionRecord {
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
