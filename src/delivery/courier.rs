//! One destination's courier: takes its outbox away, load by load, as long as there is patience.

use std::{
    cell::OnceCell,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    drain::{Drained, Patience},
    http::Client,
    load::{Item, Load, SIGNALS},
    progress::{Progress, Share},
    retry::{self, Backoff, Outcome},
    scripted::{Fate, Scripted},
};
use crate::{
    config::{Config, Destination, Http, Limits, Otlp, SpoolCap, Target},
    marker::{Marker, Signal},
    otlp,
    state::{
        Outbox, State, StateError, cap,
        journal::{Delivery, Record, Sent},
        merge,
        standing::Standing,
    },
    time::{Deadline, Timestamp},
};

/// How many names of waiting files are held at once, some 2 MiB of them. A longer backlog is listed
/// again for the next ones.
const LISTED: usize = 16_384;

/// How many markers one request carries.
const MAX_MARKERS: usize = 512;

/// How much text the markers of one request hold, in bytes, unless a single one holds more. OTLP receivers
/// commonly take 4 MiB, and not every one says how much.
const MAX_TEXT: usize = 1 << 20;

/// How often it is noted that a destination takes what it gets, while nothing else happens.
const NOTE_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Courier<'a> {
    state: &'a State,
    destination: &'a Destination,
    outbox: Outbox,
    client: Client<'a>,
    /// The script of an `http` destination, compiled when the first marker is there.
    scripted: OnceCell<Scripted<'a>>,
    limits: Limits,
    give_up_after: Duration,
    cap: SpoolCap,
    merge_at: usize,
    /// How long a push is tried for, if later ones get as much.
    linger: Option<Duration>,
    /// When patience ends; without one it is never more than the first try.
    deadline: Option<Deadline>,
    /// When no request of a script begins any more.
    stop_at: Option<Deadline>,
    /// When the newest push came of which that was taken into account.
    newest: Option<Timestamp>,
    backoff: Backoff,
    standing: Standing,
    noted: Option<Instant>,
    /// What could not be written down, though everything else could be done.
    failure: Option<StateError>,
    drained: Drained,
    share: Share<'a>,
}

/// What came of the files of one listing.
enum Round {
    /// They went out, or most of them.
    Sent,
    /// None of them can be read just now.
    NothingReadable,
    /// The destination does not take them now.
    Stopped(Stop),
}

/// Why a destination is left alone for now.
struct Stop {
    /// How long it asked for.
    after: Option<Duration>,
    /// Empty where patience is over and nothing is wrong.
    why: String,
}

impl<'a> Courier<'a> {
    pub fn new(
        config: &'a Config,
        state: &'a State,
        destination: &'a Destination,
        patience: Patience,
        progress: &'a Progress,
    ) -> Self {
        let (deadline, linger) = match patience {
            Patience::Once | Patience::OnceWithin(_) => (None, None),
            Patience::Until(deadline) => (Some(deadline), None),
            Patience::Linger(time) => (Some(Deadline::after(time)), Some(time)),
        };
        let stop_at = match patience {
            Patience::OnceWithin(deadline) | Patience::Until(deadline) => Some(deadline),
            Patience::Once | Patience::Linger(_) => None,
        };
        Self {
            state,
            destination,
            outbox: state.outbox(&destination.name),
            client: Client::new(destination, config.delivery.timeout),
            scripted: OnceCell::new(),
            limits: config.limits,
            give_up_after: config.delivery.give_up_after,
            cap: config.spool,
            merge_at: config.merge_at,
            linger,
            deadline,
            stop_at,
            newest: None,
            backoff: Backoff::default(),
            standing: Standing::default(),
            noted: None,
            failure: None,
            drained: Drained::default(),
            share: progress.share(),
        }
    }

    /// Empties the outbox as far as the destination lets it.
    ///
    /// # Errors
    /// If the state directory cannot be read or written. A journal that takes no note stops nothing.
    pub fn run(mut self) -> Result<Drained, StateError> {
        loop {
            let Some(lock) = self.outbox.try_lock()? else {
                // Whoever holds the lock looks once more after letting it go.
                self.drained.busy = 1;
                break;
            };
            let is_done = self.empty()?;
            drop(lock);
            // A push that landed while the lock was held may have found it held and left.
            let goes_on = if is_done { !self.outbox.is_empty()? } else { self.lingers_on()? };
            if !goes_on {
                break;
            }
        }
        self.drained.left = self.outbox.count()?;
        self.failure.map_or(Ok(self.drained), Err)
    }

    /// Returns whether the outbox was empty in the end; if not, patience is, or nothing in it can be read.
    fn empty(&mut self) -> Result<bool, StateError> {
        self.standing = Standing::read(&self.outbox);
        // A person who calls `deliver` is not kept waiting.
        if self.deadline.is_some()
            && let Some(wait) = self.standing.asked_to_wait(Timestamp::now())
            && !self.waits(wait)
        {
            self.tidy()?;
            return self.outbox.is_empty();
        }
        loop {
            let mut names = self.outbox.oldest(LISTED)?.into_iter();
            if names.len() == 0 {
                return Ok(true);
            }
            // Most outboxes are listed as a whole, and need not be counted.
            let others = if names.len() < LISTED { 0 } else { self.outbox.count()?.saturating_sub(LISTED) };
            match self.send_all(&mut names, others)? {
                Round::Sent => {}
                Round::NothingReadable => return Ok(false),
                Round::Stopped(stop) => {
                    self.tidy()?;
                    let wait = self.backoff.next(stop.after);
                    if !self.waits(wait) {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Returns whether a push has come since whose own time is not over yet, and takes that time for patience.
    fn lingers_on(&mut self) -> Result<bool, StateError> {
        let (Some(linger), Some(newest)) = (self.linger, self.outbox.newest()?) else {
            return Ok(false);
        };
        if self.newest.replace(newest) >= Some(newest) {
            return Ok(false);
        }
        // One from the future, before the clock was set back, has come just now.
        let age = Duration::try_from(Timestamp::now().duration_since(newest)).unwrap_or_default();
        let deadline = Deadline::after(linger.saturating_sub(age));
        let is_later = self.deadline.is_some_and(|before| before.left() < deadline.left());
        if is_later {
            self.deadline = Some(deadline);
        }
        Ok(is_later)
    }

    /// Sends the files that `names` names, load by load; behind them `others` wait.
    fn send_all(
        &mut self,
        names: &mut impl ExactSizeIterator<Item = String>,
        others: usize,
    ) -> Result<Round, StateError> {
        let mut round = Round::NothingReadable;
        loop {
            self.share.leaves(names.len() + others);
            let load = Load::read(names, self.state, &self.outbox, self.destination, self.give_up_after)?;
            self.drained.dead += load.dead;
            if load.dead > 0 {
                round = Round::Sent;
            }
            if load.is_empty() {
                return Ok(round);
            }
            if let Err(stop) = self.send(load)? {
                return Ok(Round::Stopped(stop));
            }
            self.backoff.reset();
            round = Round::Sent;
        }
    }

    /// Sends a load in requests of bounded size, and puts it away.
    fn send(&mut self, mut load: Load) -> Result<Result<(), Stop>, StateError> {
        let start = Instant::now();
        let mut last_refusal = None;
        let sent = match &self.destination.target {
            Target::Otlp(otlp) => requests(&mut load.items()).into_iter().try_for_each(|items| {
                SIGNALS.into_iter().try_for_each(|signal| {
                    let mut due: Vec<_> = items.iter_mut().filter(|item| item.is_due(signal)).collect();
                    self.request(otlp, &mut due, signal, &mut last_refusal)
                })
            }),
            Target::Http(http) => self.render(http, &mut load.items(), &mut last_refusal),
        };
        let put_away = load.put_away(self.state, &self.outbox, start.elapsed())?;
        self.drained.delivered += put_away.delivered;
        self.share.delivers(put_away.delivered);
        self.drained.dead += put_away.dead;
        let noted =
            put_away.noted.and_then(|()| self.note(&sent, last_refusal, put_away.left, start.elapsed()));
        self.failure = self.failure.take().or(noted.err());
        Ok(sent)
    }

    /// Notes how the destination stands, and in the journal that `left` markers wait for it.
    fn note(
        &mut self,
        sent: &Result<(), Stop>,
        refusal: Option<Arc<str>>,
        left: usize,
        took: Duration,
    ) -> Result<(), StateError> {
        let mut is_news = true;
        match (sent, refusal) {
            // Nothing is wrong, there was no more time.
            (Err(stop), None) if stop.why.is_empty() => return Ok(()),
            (Err(stop), Some(why)) if stop.why.is_empty() => self.standing.failed(&why, None),
            (Err(stop), _) => {
                self.state.journal().append([Record::Delivery(Delivery {
                    destination: self.outbox.destination().into(),
                    outcome: Sent::Retried,
                    markers: Vec::new(),
                    waiting: left,
                    why: stop.why.as_str().into(),
                    ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                })])?;
                let until = stop.after.and_then(|after| Timestamp::now().checked_add(after).ok());
                self.standing.failed(&stop.why, until);
            }
            (Ok(()), Some(why)) => self.standing.failed(&why, None),
            (Ok(()), None) => is_news = self.standing.succeeded(),
        }
        if is_news || self.noted.is_none_or(|noted| noted.elapsed() > NOTE_EVERY) {
            self.noted = Some(Instant::now());
            self.standing.write(&self.outbox)?;
        }
        Ok(())
    }

    /// Sends markers in one request; if the request is refused for what is in it, halves of it, until the one
    /// bad marker stands alone and has taken no neighbour with it.
    fn request(
        &self,
        otlp: &Otlp,
        due: &mut [&mut &mut Item],
        signal: Signal,
        last_refusal: &mut Option<Arc<str>>,
    ) -> Result<(), Stop> {
        if due.is_empty() {
            return Ok(());
        }
        let markers: Vec<&Marker> = due.iter().map(|item| &item.marker).collect();
        match self.exchange(otlp, &markers, signal) {
            Outcome::Accepted { rejected } => {
                let rejected: Option<Arc<str>> = (!rejected.is_empty()).then(|| rejected.into());
                due.iter_mut().for_each(|item| item.taken(signal, rejected.as_ref()));
                Ok(())
            }
            Outcome::Retry { after, why } => Err(Stop { after, why }),
            Outcome::Refused { status, .. } if due.len() > 1 && retry::is_about_content(status) => {
                let (first, second) = due.split_at_mut(due.len() / 2);
                self.request(otlp, first, signal, last_refusal)?;
                self.request(otlp, second, signal, last_refusal)
            }
            Outcome::Refused { why, .. } => {
                let why: Arc<str> = why.into();
                due.iter_mut().for_each(|item| item.refused(signal, &why));
                *last_refusal = Some(why);
                Ok(())
            }
        }
    }

    fn exchange(&self, otlp: &Otlp, markers: &[&Marker], signal: Signal) -> Outcome {
        match otlp::encode(signal, markers, Timestamp::now(), otlp) {
            Ok(body) => self.client.post(otlp, signal, body),
            Err(err) => Outcome::Refused { status: 0, why: format!("failed to encode: {err}") },
        }
    }

    /// Sends each marker in the requests that the destination's script makes of it.
    fn render(
        &self,
        http: &'a Http,
        items: &mut [&mut Item],
        last_refusal: &mut Option<Arc<str>>,
    ) -> Result<(), Stop> {
        for item in items.iter_mut().filter(|item| item.is_due(Signal::Logs)) {
            // Whoever waits for this delivery does not wait for the whole backlog.
            if self.stop_at.is_some_and(Deadline::is_over) {
                return Err(Stop { after: None, why: String::new() });
            }
            let scripted = match self.scripted.get() {
                Some(scripted) => scripted,
                None => {
                    // The script is at fault and no marker: they wait until it is right.
                    let loaded = Scripted::load(http, &self.limits);
                    let loaded = loaded.map_err(|why| Stop { after: None, why })?;
                    self.scripted.get_or_init(|| loaded)
                }
            };
            match scripted.send(&self.client, &item.marker) {
                Fate::Arrived => item.taken(Signal::Logs, None),
                Fate::PassedOver(why) => item.pass_over(&why),
                Fate::Refused(why) => {
                    let why: Arc<str> = why.into();
                    item.refused(Signal::Logs, &why);
                    *last_refusal = Some(why);
                }
                Fate::Later { after, why } => return Err(Stop { after, why }),
            }
        }
        Ok(())
    }

    /// Puts in order what has to wait: in few files, and no more than the cap. The outbox grows only while the
    /// destination does not take what it gets.
    fn tidy(&mut self) -> Result<(), StateError> {
        match merge::merge(&self.outbox, self.merge_at) {
            Ok(saved) => self.share.merged(saved),
            // On a full disk small files stay small, and are sent all the same.
            Err(err) => self.failure = self.failure.take().or(Some(err)),
        }
        self.drained.dropped += cap::make_room(self.state, &self.outbox, self.cap)?;
        Ok(())
    }

    /// Waits, unless that is longer than there is patience for.
    fn waits(&self, wait: Duration) -> bool {
        let waits = self.deadline.is_some_and(|deadline| deadline.left() > wait);
        if waits {
            thread::sleep(wait);
        }
        waits
    }
}

/// Divides items among requests of bounded size.
fn requests<'a, 'b>(mut items: &'a mut [&'b mut Item]) -> Vec<&'a mut [&'b mut Item]> {
    let mut requests = Vec::new();
    while !items.is_empty() {
        let mut text = 0;
        let fits = |item: &&&mut Item| {
            text += item.marker.text_size();
            text <= MAX_TEXT
        };
        let count = items.iter().take(MAX_MARKERS).take_while(fits).count().max(1);
        let (request, rest) = items.split_at_mut(count);
        requests.push(request);
        items = rest;
    }
    requests
}
