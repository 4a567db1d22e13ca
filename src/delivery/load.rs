//! A load: files of an outbox on their way, and what became of each of their markers.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};

use crate::{
    config::{Destination, Target},
    marker::{Marker, MarkerId, Signal},
    otlp,
    push::PushId,
    state::{
        Outbox, State, StateError,
        journal::{Delivery, Record, Sent, Trouble},
        outbox::{Parcel, Waiting},
    },
    time::Timestamp,
};

/// How many markers a load holds before no further file is added to it. A file holds at most what a slice
/// of a push came to, or as much of several pushes.
const ENOUGH: usize = 512;

/// As many where each marker is a request of its own: what a process that dies has sent and not noted is sent again.
const ENOUGH_REQUESTS: usize = 16;

/// Why a marker that is not of the right kind goes nowhere.
const NOT_OF_ITS_KINDS: &str = "it is none of the destination's `kinds`";

/// Both forms, in the order in which they are sent.
pub(super) const SIGNALS: [Signal; 2] = [Signal::Logs, Signal::Traces];

/// Files of an outbox with their markers.
#[derive(Default)]
pub(super) struct Load {
    files: Vec<File>,
    /// What is due so far. After a crash, a file and the rest that was written of it may both be there.
    due: HashSet<(MarkerId, Signal)>,
    /// Markers that became dead letters while the load was made up.
    pub dead: usize,
    /// Files that cannot be read just now.
    pub passed_over: usize,
}

struct File {
    name: String,
    only: Option<Signal>,
    items: Vec<Item>,
}

/// A marker, and what became of it in each of its two forms.
pub(super) struct Item {
    pub marker: Marker,
    legs: [Leg; 2],
    /// Whether any leg changed since the file was read.
    is_touched: bool,
    /// Whether the destination took it, in one form or the other.
    has_arrived: bool,
    /// What the back end said when it took the request but not all of it.
    rejected: Option<Arc<str>>,
    /// Why it is not for this destination.
    passed_over: Option<Arc<str>>,
}

/// What became of a marker in one form.
#[derive(Clone, PartialEq)]
enum Leg {
    /// The destination does not want it, or has it.
    Done,
    /// It is still to be sent.
    Due,
    /// It was refused for good.
    Refused(Arc<str>),
}

/// What putting a load away came to, in markers.
pub(super) struct PutAway {
    pub delivered: usize,
    pub dead: usize,
    pub left: usize,
    /// Whether the journal has it all.
    pub noted: Result<(), StateError>,
}

impl Load {
    /// Reads the files that `names` names until there are enough markers. Those that hold no markers, or
    /// too old ones, become dead letters on the way.
    ///
    /// # Errors
    /// If the state directory cannot be written.
    pub fn read(
        names: &mut impl Iterator<Item = String>,
        state: &State,
        outbox: &Outbox,
        destination: &Destination,
        give_up_after: Duration,
    ) -> Result<Self, StateError> {
        let mut load = Self::default();
        let mut size = 0;
        let enough = match destination.target {
            Target::Otlp(_) => ENOUGH,
            Target::Http(_) => ENOUGH_REQUESTS,
        };
        while size < enough {
            let Some(name) = names.next() else { break };
            let waiting = match outbox.read(&name) {
                Ok(waiting) => waiting,
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                Err(err) if err.may_pass() && !is_push_too_old(&name, give_up_after) => {
                    load.passed_over += 1;
                    let push = Outbox::push_of(&name);
                    let what = format!("markers wait for the next delivery: {err}").into();
                    // Where the file cannot be read, the journal may not take a line either.
                    let _ =
                        state.journal().append([Record::Trouble(Trouble { push, repository: None, what })]);
                    continue;
                }
                Err(err) => {
                    load.dead += 1;
                    bury(state, outbox, &name, &[], &err.to_string())?;
                    continue;
                }
            };
            // What a person put back counts from then.
            let has_waited = outbox.waits_since(&name).is_none_or(|since| is_over(since, give_up_after));
            if has_waited && waiting.markers.iter().all(|marker| is_over(marker.time, give_up_after)) {
                load.dead += waiting.markers.len();
                bury(state, outbox, &name, &waiting.markers, "older than [delivery] give_up_after")?;
                continue;
            }
            size += waiting.markers.len();
            let file = File::new(name, waiting, destination, &mut load.due);
            load.files.push(file);
        }
        Ok(load)
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns all items, oldest push first.
    pub fn items(&mut self) -> Vec<&mut Item> {
        self.files.iter_mut().flat_map(|file| &mut file.items).collect()
    }

    /// Notes what became of every marker, and leaves in the outbox what is still to be sent and nothing else.
    /// A journal that takes no note stops nothing: what arrived must not be sent again and again.
    ///
    /// # Errors
    /// If the outbox or the dead letters cannot be written. What was sent may then be sent once more.
    pub fn put_away(self, state: &State, outbox: &Outbox, took: Duration) -> Result<PutAway, StateError> {
        let mut sum = PutAway { delivered: 0, dead: 0, left: 0, noted: Ok(()) };
        let mut taken: BTreeMap<(Sent, Option<&str>), Vec<MarkerId>> = BTreeMap::new();
        for item in self.files.iter().flat_map(|file| &file.items) {
            if item.rest(None).is_some() {
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
        sum.noted = state.journal().append(taken.into_iter().map(|((outcome, why), markers)| {
            Record::Delivery(Delivery {
                destination: outbox.destination().into(),
                outcome,
                markers,
                waiting: 0,
                why: why.unwrap_or_default().into(),
                ms,
            })
        }));
        for file in &self.files {
            let noted = file.put_away(state, outbox)?;
            sum.noted = sum.noted.and(noted);
        }
        Ok(sum)
    }
}

impl File {
    fn new(
        name: String,
        waiting: Waiting,
        destination: &Destination,
        due: &mut HashSet<(MarkerId, Signal)>,
    ) -> Self {
        let only = waiting.only;
        let mut item = |marker: Marker| {
            let legs = SIGNALS.map(|signal| {
                let is_due = only.is_none_or(|only| only == signal)
                    && is_wanted(signal, &marker, destination)
                    && due.insert((marker.id, signal));
                if is_due { Leg::Due } else { Leg::Done }
            });
            let is_touched = !legs.contains(&Leg::Due);
            let passed_over = (!is_of_its_kinds(&marker, destination)).then(|| NOT_OF_ITS_KINDS.into());
            Item { legs, marker, is_touched, has_arrived: false, rejected: None, passed_over }
        };
        Self { name, only, items: waiting.markers.into_iter().map(&mut item).collect() }
    }

    /// Whatever is new is written and synchronised before the file goes: a crash between leaves markers
    /// twice, with the same ids, and never not at all.
    ///
    /// Returns whether the journal has what was refused.
    fn put_away(&self, state: &State, outbox: &Outbox) -> Result<Result<(), StateError>, StateError> {
        let mut noted = Ok(());
        if !self.items.iter().any(|item| item.is_touched) {
            return Ok(noted);
        }
        let unwritable = |err| StateError::in_dir(state.dir(), err);
        for ((only, why), markers) in group(&self.items, Item::refusal) {
            let parcel = Parcel::of_some(&self.name, only, &markers).map_err(unwritable)?;
            state.dead_letters().bury_parcel(outbox, &parcel, &why)?;
            noted = noted.and(note_dead(state, outbox, &markers, &why));
        }
        for (only, markers) in group(&self.items, |item| item.rest(self.only)) {
            let parcel = Parcel::of_some(&self.name, only, &markers).map_err(unwritable)?;
            outbox.place(&parcel)?.sync()?;
        }
        outbox.remove(&self.name)?;
        Ok(noted)
    }
}

impl Item {
    /// Returns whether it is still to be sent as `signal`.
    pub fn is_due(&self, signal: Signal) -> bool {
        *self.leg(signal) == Leg::Due
    }

    /// Notes that the destination has it, and what it said if it did not take all of the request.
    pub fn taken(&mut self, signal: Signal, rejected: Option<&Arc<str>>) {
        self.set(signal, Leg::Done);
        self.has_arrived = true;
        self.rejected = self.rejected.take().or_else(|| rejected.cloned());
    }

    /// Notes that it is not for this destination.
    pub fn pass_over(&mut self, why: &str) {
        self.set(Signal::Logs, Leg::Done);
        self.passed_over = Some(why.into());
    }

    /// Notes that the destination refused it for good.
    pub fn refused(&mut self, signal: Signal, why: &Arc<str>) {
        self.set(signal, Leg::Refused(why.clone()));
    }

    fn set(&mut self, signal: Signal, leg: Leg) {
        self.is_touched = true;
        self.legs[signal as usize] = leg;
    }

    fn leg(&self, signal: Signal) -> &Leg {
        &self.legs[signal as usize]
    }

    /// Returns in which form it was refused, `None` for both, and why.
    fn refusal(&self) -> Option<(Option<Signal>, Arc<str>)> {
        match &self.legs {
            [Leg::Refused(logs), Leg::Refused(traces)] if logs == traces => Some((None, logs.clone())),
            [Leg::Refused(logs), Leg::Refused(traces)] => {
                Some((None, format!("as log record: {logs}; as span: {traces}").into()))
            }
            [Leg::Refused(logs), _] => Some((Some(Signal::Logs), logs.clone())),
            [_, Leg::Refused(traces)] => Some((Some(Signal::Traces), traces.clone())),
            [_, _] => None,
        }
    }

    /// Returns in which form it is still to be sent, `None` outside if it is not, and inside for all that
    /// the destination wants. `only` is what its file says. Log records are sent first.
    fn rest(&self, only: Option<Signal>) -> Option<Option<Signal>> {
        match &self.legs {
            [Leg::Due, _] => Some(only),
            [_, Leg::Due] => Some(Some(Signal::Traces)),
            [_, _] => None,
        }
    }
}

fn is_of_its_kinds(marker: &Marker, destination: &Destination) -> bool {
    match &destination.target {
        Target::Otlp(_) => true,
        Target::Http(http) => http.kinds.contains(&marker.kind),
    }
}

/// Returns whether a destination gets a marker in the form of `signal`. Where a script says what is sent, there is one form.
fn is_wanted(signal: Signal, marker: &Marker, destination: &Destination) -> bool {
    match &destination.target {
        Target::Otlp(target) => otlp::is_wanted(signal, marker, target),
        Target::Http(_) => signal == Signal::Logs && is_of_its_kinds(marker, destination),
    }
}

/// Groups the markers of items by what `key` says of them, and leaves out those of which it says nothing.
fn group<K: Ord>(items: &[Item], key: impl Fn(&Item) -> Option<K>) -> BTreeMap<K, Vec<&Marker>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for item in items {
        if let Some(key) = key(item) {
            groups.entry(key).or_default().push(&item.marker);
        }
    }
    groups
}

/// Returns whether a file whose markers cannot be read is too old: its name says when the newest push was.
fn is_push_too_old(name: &str, give_up_after: Duration) -> bool {
    Outbox::newest_push_of(name).and_then(PushId::time).is_none_or(|time| is_over(time, give_up_after))
}

/// What a clock that was set back has from the future is not old.
fn is_over(time: Timestamp, give_up_after: Duration) -> bool {
    Duration::try_from(Timestamp::now().duration_since(time)).is_ok_and(|age| age > give_up_after)
}

/// Makes a dead letter of a whole file.
fn bury(state: &State, outbox: &Outbox, name: &str, markers: &[Marker], why: &str) -> Result<(), StateError> {
    state.dead_letters().bury_markers(outbox, name, why)?;
    note_dead(state, outbox, &markers.iter().collect::<Vec<_>>(), why)
}

fn note_dead(state: &State, outbox: &Outbox, markers: &[&Marker], why: &str) -> Result<(), StateError> {
    state.journal().append([Record::Delivery(Delivery {
        destination: outbox.destination().into(),
        outcome: Sent::Refused,
        markers: markers.iter().map(|marker| marker.id).collect(),
        waiting: 0,
        why: why.into(),
        ms: 0,
    })])
}
