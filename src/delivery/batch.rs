//! A batch of files from an outbox that are being sent, with the delivery state of each marker.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};

use crate::{
    config::Destination,
    marker::{Marker, MarkerId, Signal},
    push::PushId,
    state::{
        Outbox, Salvaged, State, StateError,
        destination_health::DestinationHealth,
        journal::{DeliveryRecord, Record, Sent, Trouble},
        outbox::{Alone, EncodedBatch, OutboxFileName, WaitingMarkers},
    },
    sys::time::{self, Timestamp},
};

/// Journal text for a marker whose kind the destination does not take.
const NOT_OF_ITS_KINDS: &str = "its kind is not one of the destination's `kinds`";

/// Both signals, in the order in which they are sent.
pub(super) const SIGNALS: [Signal; 2] = [Signal::Logs, Signal::Traces];

/// Files of an outbox with their markers.
#[derive(Default)]
pub(super) struct Batch {
    files: Vec<BatchFile>,
    /// Markers and signals that are already due in this batch. After a crash, the outbox may hold a
    /// file and also the file with its rest.
    due: HashSet<(MarkerId, Signal)>,
    /// Number of markers that became dead letters while the batch was read.
    pub dead: usize,
    /// True if a file was damaged. Its intact markers were moved to another file.
    pub has_salvaged: bool,
    /// Number of files that cannot be read now.
    pub passed_over: usize,
}

struct BatchFile {
    name: OutboxFileName,
    only: Option<Signal>,
    items: Vec<BatchItem>,
}

/// A marker with its delivery state for each signal.
pub(super) struct BatchItem {
    pub marker: Marker,
    legs: [SignalState; 2],
    /// True if a state changed since the file was read.
    is_touched: bool,
    /// True if the destination accepted the marker as at least one signal.
    has_arrived: bool,
    /// The server's message about a part of the request that it rejected.
    rejected: Option<Arc<str>>,
    /// The reason why the marker is not for this destination.
    passed_over: Option<Arc<str>>,
    /// The reason why the marker waits alone from now on.
    aside: Option<Arc<str>>,
}

/// Delivery state of a marker for one signal.
#[derive(Clone, PartialEq)]
enum SignalState {
    /// Delivered, or not wanted by the destination.
    Done,
    /// Still to be sent.
    Due,
    /// Permanently refused.
    Refused(Arc<str>),
}

/// Result of recording a batch, in markers.
pub(super) struct PutAway {
    pub delivered: usize,
    pub dead: usize,
    pub left: usize,
}

impl Batch {
    /// Reads files in the order of `names` until there are `enough` markers. A file holds at most
    /// the markers of one slice of a push, or as many from several pushes. Files without markers,
    /// or with markers that are too old, become dead letters.
    ///
    /// # Errors
    /// Returns an error if the state directory cannot be written.
    pub fn read(
        names: &mut impl Iterator<Item = OutboxFileName>,
        state: &State,
        outbox: &Outbox,
        destination: &Destination,
        enough: usize,
        give_up_after: Duration,
        health: &DestinationHealth,
    ) -> Result<Self, StateError> {
        let mut load = Self::default();
        let mut size = 0;
        while size < enough {
            let Some(name) = names.next() else { break };
            let waiting = match outbox.read(&name) {
                Ok(waiting) => waiting,
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                Err(err) if err.may_pass() && !is_too_old(outbox, &name, give_up_after) => {
                    load.passed_over += 1;
                    let push = name.push();
                    let what = format!("the markers stay queued until the next delivery: {err}").into();
                    state.journal().note([Record::Trouble(Trouble { push, repository: None, what })]);
                    continue;
                }
                Err(err) => {
                    let why = err.to_string();
                    load.has_salvaged = true;
                    match state.salvage(outbox, &name)? {
                        Salvaged::Nothing => {
                            load.dead += 1;
                            bury(state, outbox, &name, &[], &why)?;
                        }
                        Salvaged::Rest(0) => {}
                        Salvaged::Rest(lost) => {
                            load.dead += lost;
                            note_dead(state, outbox, &[], &why);
                        }
                    }
                    continue;
                }
            };
            // The age of a file counts from the time it was put back, if the administrator did
            // that.
            let has_waited = outbox.waits_since(&name).is_none_or(|since| is_over(since, give_up_after));
            if has_waited && waiting.markers.iter().all(|marker| is_over(marker.captured(), give_up_after)) {
                load.dead += waiting.markers.len();
                let said = waiting.markers.first().and_then(|marker| health.alone.get(&marker.id));
                let said =
                    said.map(|said| format!("; last error when retried alone: {said}")).unwrap_or_default();
                let why = format!("older than [delivery] give_up_after{said}");
                bury(state, outbox, &name, &waiting.markers, &why)?;
                continue;
            }
            size += waiting.markers.len();
            let file = BatchFile::new(name, waiting, destination, &mut load.due);
            load.files.push(file);
        }
        Ok(load)
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns all items, oldest push first.
    pub fn items(&mut self) -> Vec<&mut BatchItem> {
        self.files.iter_mut().flat_map(|file| &mut file.items).collect()
    }

    /// Returns the items that are still due as `signal`, oldest push first.
    pub fn due(&mut self, signal: Signal) -> Vec<&mut BatchItem> {
        self.items().into_iter().filter(|item| item.is_due(signal)).collect()
    }

    /// Records the result of every marker, and keeps only unsent markers in the outbox.
    ///
    /// # Errors
    /// Returns an error if the outbox or the dead letters cannot be written. Markers that were sent
    /// may then be sent again.
    pub fn put_away(self, state: &State, outbox: &Outbox, took: Duration) -> Result<PutAway, StateError> {
        let mut sum = PutAway { delivered: 0, dead: 0, left: 0 };
        let mut aside = Vec::new();
        let mut taken: BTreeMap<(Sent, Option<&str>), Vec<MarkerId>> = BTreeMap::new();
        for item in self.files.iter().flat_map(|file| &file.items) {
            if let Some(why) = &item.aside {
                sum.left += 1;
                aside.push((item.marker.id, why));
            } else if matches!(item.rest(None), StillDue::As(_)) {
                sum.left += 1;
            } else if item.refusal().is_some() {
                sum.dead += 1;
            } else if item.has_arrived {
                sum.delivered += 1;
                let rejected = item.rejected.as_deref();
                let sent = if rejected.is_none() { Sent::Delivered } else { Sent::Rejected };
                taken.entry((sent, rejected)).or_default().push(item.marker.id);
            } else if let Some(why) = &item.passed_over {
                taken.entry((Sent::PassedOver, Some(&**why))).or_default().push(item.marker.id);
            }
        }
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let record = |outcome, markers, waiting, why: String| {
            let destination = outbox.destination().into();
            Record::Delivery(DeliveryRecord { destination, outcome, markers, waiting, why: why.into(), ms })
        };
        let aside = aside
            .into_iter()
            .map(|(id, why)| record(Sent::Retried, vec![id], 1, format!("the marker waits alone: {why}")));
        let taken = taken
            .into_iter()
            .map(|((outcome, why), markers)| record(outcome, markers, 0, why.unwrap_or_default().into()));
        state.journal().note(taken.chain(aside));
        for file in &self.files {
            file.put_away(state, outbox)?;
        }
        Ok(sum)
    }
}

impl BatchFile {
    fn new(
        name: OutboxFileName,
        waiting: WaitingMarkers,
        destination: &Destination,
        due: &mut HashSet<(MarkerId, Signal)>,
    ) -> Self {
        let only = waiting.only;
        let mut item = |marker: Marker| {
            let legs = SIGNALS.map(|signal| {
                let is_due = only.is_none_or(|only| only == signal)
                    && destination.target.takes(marker.kind, signal)
                    && due.insert((marker.id, signal));
                if is_due { SignalState::Due } else { SignalState::Done }
            });
            let is_touched = !legs.contains(&SignalState::Due);
            let kinds = destination.target.scripted().map(|http| &http.kinds);
            let is_of_its_kinds = kinds.is_none_or(|kinds| kinds.contains(&marker.kind));
            let passed_over = (!is_of_its_kinds).then(|| NOT_OF_ITS_KINDS.into());
            BatchItem {
                legs,
                marker,
                is_touched,
                has_arrived: false,
                rejected: None,
                passed_over,
                aside: None,
            }
        };
        Self { name, only, items: waiting.markers.into_iter().map(&mut item).collect() }
    }

    /// Replaces the file by files for what is left of it. These are written and synced before the
    /// file is removed. A crash in between duplicates markers, with the same ids, and never loses
    /// any.
    fn put_away(&self, state: &State, outbox: &Outbox) -> Result<(), StateError> {
        if !self.items.iter().any(|item| item.is_touched) {
            return Ok(());
        }
        let unwritable = |err| StateError::in_dir(state.dir(), err);
        for ((only, why), markers) in group(&self.items, BatchItem::refusal) {
            let parcel = EncodedBatch::of_some(&self.name, only, &markers).map_err(unwritable)?;
            state.dead_letters().bury_batch(outbox, &parcel, &why)?;
            note_dead(state, outbox, &markers, &why);
        }
        let modified = outbox.waits_since(&self.name).unwrap_or_else(time::now);
        let tries = self.name.alone().map_or(0, |alone| alone.tries);
        for item in self.items.iter().filter(|item| item.aside.is_some()) {
            let StillDue::As(only) = item.due(self.only) else { continue };
            let parcel = EncodedBatch::of_some(&self.name, only, &[&item.marker]).map_err(unwritable)?;
            outbox.set_aside(&parcel, Alone::after(tries.saturating_add(1), time::now()), modified)?;
        }
        let rest = |item: &BatchItem| match item.rest(self.only) {
            StillDue::As(only) => Some(only),
            StillDue::Nothing => None,
        };
        for (only, markers) in group(&self.items, rest) {
            let parcel = EncodedBatch::of_some(&self.name, only, &markers).map_err(unwritable)?;
            outbox.place(&parcel)?.sync()?;
        }
        outbox.remove(&self.name)
    }
}

impl BatchItem {
    /// Returns true if the marker is still due as `signal`.
    pub fn is_due(&self, signal: Signal) -> bool {
        *self.leg(signal) == SignalState::Due
    }

    /// Records that the destination accepted the marker. `rejected` is its message if it rejected a
    /// part of the request.
    pub fn taken(&mut self, signal: Signal, rejected: Option<&Arc<str>>) {
        self.set(signal, SignalState::Done);
        self.has_arrived = true;
        self.rejected = self.rejected.take().or_else(|| rejected.cloned());
    }

    /// Records that the marker is not for this destination.
    pub fn pass_over(&mut self, why: &str) {
        self.set(Signal::Logs, SignalState::Done);
        self.passed_over = Some(why.into());
    }

    /// Records that the destination refused the marker permanently.
    pub fn refused(&mut self, signal: Signal, why: &Arc<str>) {
        self.set(signal, SignalState::Refused(why.clone()));
    }

    /// Records that the marker waits alone from now on, because the destination fails on it.
    pub fn set_aside(&mut self, why: &str) {
        self.is_touched = true;
        self.aside = Some(why.into());
    }

    fn set(&mut self, signal: Signal, leg: SignalState) {
        self.is_touched = true;
        self.legs[signal as usize] = leg;
    }

    fn leg(&self, signal: Signal) -> &SignalState {
        &self.legs[signal as usize]
    }

    /// Returns the refused signal, `None` for both, and the reason.
    fn refusal(&self) -> Option<(Option<Signal>, Arc<str>)> {
        match &self.legs {
            [SignalState::Refused(logs), SignalState::Refused(traces)] if logs == traces => {
                Some((None, logs.clone()))
            }
            [SignalState::Refused(logs), SignalState::Refused(traces)] => {
                Some((None, format!("as log record: {logs}; as span: {traces}").into()))
            }
            [SignalState::Refused(logs), _] => Some((Some(Signal::Logs), logs.clone())),
            [_, SignalState::Refused(traces)] => Some((Some(Signal::Traces), traces.clone())),
            [_, _] => None,
        }
    }

    /// Returns what [`Self::due`] does, or nothing if the marker waits alone.
    fn rest(&self, only: Option<Signal>) -> StillDue {
        if self.aside.is_none() { self.due(only) } else { StillDue::Nothing }
    }

    /// Returns the signals that are still due. `only` is the restriction of the marker's file. Log
    /// records are sent first.
    fn due(&self, only: Option<Signal>) -> StillDue {
        match &self.legs {
            [SignalState::Due, SignalState::Due] => StillDue::As(only),
            // For a marker that waits alone, the span may have been sent before the log record.
            [SignalState::Due, SignalState::Refused(_)] => StillDue::As(Some(Signal::Logs)),
            [SignalState::Due, _] if self.has_arrived => StillDue::As(Some(Signal::Logs)),
            [SignalState::Due, _] => StillDue::As(only),
            [_, SignalState::Due] => StillDue::As(Some(Signal::Traces)),
            [_, _] => StillDue::Nothing,
        }
    }
}

/// The signals of a marker that are still to be sent.
enum StillDue {
    Nothing,
    /// This signal, or with `None` all that the destination wants.
    As(Option<Signal>),
}

/// Groups the markers of items by `key`. Items without a key are left out.
fn group<K: Ord>(items: &[BatchItem], key: impl Fn(&BatchItem) -> Option<K>) -> BTreeMap<K, Vec<&Marker>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for item in items {
        if let Some(key) = key(item) {
            groups.entry(key).or_default().push(&item.marker);
        }
    }
    groups
}

/// Returns true if an unreadable file is too old, by the newest push in its name and by the time at
/// which it was written: a push that `backfill` found is as old as its commit.
fn is_too_old(outbox: &Outbox, name: &OutboxFileName, give_up_after: Duration) -> bool {
    let times = [name.newest_push().and_then(PushId::time), outbox.waits_since(name)];
    times.iter().all(|time| time.is_none_or(|time| is_over(time, give_up_after)))
}

/// Start of 2015. Earlier times come from a machine whose clock was not set.
const FIRST: Timestamp = Timestamp::constant(1_420_070_400, 0);

/// Returns true if `time` is longer ago than `give_up_after`. Times in the future and times before
/// [`FIRST`] come from a wrong clock, and do not count as old.
fn is_over(time: Timestamp, give_up_after: Duration) -> bool {
    time > FIRST && Duration::try_from(time::now().duration_since(time)).is_ok_and(|age| age > give_up_after)
}

/// Turns a whole file into a dead letter.
fn bury(
    state: &State,
    outbox: &Outbox,
    name: &OutboxFileName,
    markers: &[Marker],
    why: &str,
) -> Result<(), StateError> {
    state.dead_letters().bury_markers(outbox, name, why)?;
    note_dead(state, outbox, &markers.iter().collect::<Vec<_>>(), why);
    Ok(())
}

fn note_dead(state: &State, outbox: &Outbox, markers: &[&Marker], why: &str) {
    state.journal().note([Record::Delivery(DeliveryRecord {
        destination: outbox.destination().into(),
        outcome: Sent::Refused,
        markers: markers.iter().map(|marker| marker.id).collect(),
        waiting: 0,
        why: why.into(),
        ms: 0,
    })]);
}
