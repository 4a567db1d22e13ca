//! The worker of one destination. It sends the destination's outbox, batch by batch, until the
//! outbox is empty or patience ends.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    batch::{Batch, BatchItem, PutAway, SIGNALS},
    drained::{Drained, RetryLimit},
    progress::{Progress, Share},
    retry::{Backoff, LAST_ATTEMPT},
    suspect::{self, SearchOutcome, Suspended},
    target::{self, DestinationApi},
};
use crate::{
    config::{Config, Destination, SpoolCap},
    state::{
        Outbox, State, StateError, cap,
        destination_health::DestinationHealth,
        journal::{DeliveryRecord, Record, Sent},
        merge,
        outbox::{Alone, OutboxFileName},
    },
    sys::time::{self, Deadline, Timestamp},
};

/// Maximum number of file names held at once, about 2 MiB. A longer backlog is listed in several
/// rounds.
const LISTED: usize = 16_384;

/// Maximum number of bad markers that are searched for in a row. Further ones first need a few more
/// failures.
const MAX_BAD_AT_ONCE: usize = 8;

/// Interval at which continued success is written to the destination's status.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// Interval between attempts to take a lock.
const LOCK_TICK: Duration = Duration::from_millis(100);

pub(super) struct DestinationWorker<'a> {
    state: &'a State,
    destination: &'a Destination,
    outbox: Outbox,
    api: Box<dyn DestinationApi + 'a>,
    give_up_after: Duration,
    cap: SpoolCap,
    merge_at: usize,
    /// Time for which each push is retried, if later pushes extend the deadline.
    linger: Option<Duration>,
    /// End of patience. Without a deadline, only one attempt is made.
    deadline: Option<Deadline>,
    /// Deadline after which no request of a script starts.
    stop_at: Option<Deadline>,
    /// Time of the newest push that extended the deadline.
    newest: Option<Timestamp>,
    backoff: Backoff,
    health: DestinationHealth,
    /// True if markers that wait alone are tried before their time.
    is_impatient: bool,
    /// Number of markers that were set aside.
    bad: usize,
    noted: Option<Instant>,
    /// The first status or merge that could not be written. It does not stop the delivery.
    failure: Option<StateError>,
    drained: Drained,
    share: Share<'a>,
}

/// Result of sending the files of one listing.
enum Round {
    /// Some were sent, or became dead letters.
    Sent,
    /// None of them can be read now.
    NothingReadable,
    /// The destination does not accept them now.
    Stopped(Suspended),
}

impl<'a> DestinationWorker<'a> {
    pub fn new(
        config: &'a Config,
        state: &'a State,
        destination: &'a Destination,
        patience: RetryLimit,
        progress: &'a Progress,
    ) -> Self {
        let (deadline, linger, stop_at) = match patience {
            RetryLimit::Once => (None, None, None),
            RetryLimit::OnceWithin(deadline) => (None, None, Some(deadline)),
            RetryLimit::Until(deadline) => (Some(deadline), None, Some(deadline)),
            RetryLimit::Linger(time) => (Some(Deadline::after(time)), Some(time), None),
        };
        Self {
            state,
            destination,
            outbox: state.outbox(&destination.name),
            api: target::api(config, destination, stop_at),
            give_up_after: config.delivery.give_up_after,
            cap: config.spool,
            merge_at: config.merge_at,
            linger,
            deadline,
            stop_at,
            newest: None,
            backoff: Backoff::default(),
            health: DestinationHealth::default(),
            is_impatient: matches!(patience, RetryLimit::Once),
            bad: 0,
            noted: None,
            failure: None,
            drained: Drained::default(),
            share: progress.share(),
        }
    }

    /// Sends the outbox, as far as the destination accepts it.
    ///
    /// # Errors
    /// Returns an error if the state directory cannot be read or written.
    pub fn run(mut self) -> Result<Drained, StateError> {
        loop {
            let Some(lock) = self.outbox.try_lock()? else {
                // The process that holds the lock checks the outbox once more after releasing it.
                if self.linger.is_none() && self.waits(LOCK_TICK) {
                    continue; // `deliver --follow` takes over.
                }
                self.drained.busy = 1;
                break;
            };
            let is_done = self.empty()?;
            drop(lock);
            // A hook may have added files and given up on the lock while it was held.
            let goes_on = if is_done { self.outbox.has_common()? } else { self.lingers_on()? };
            if !goes_on {
                break;
            }
        }
        self.drained.left = self.outbox.count()?;
        self.failure.map_or(Ok(self.drained), Err)
    }

    /// Sends the outbox. Returns true if it is empty at the end, except for markers that wait
    /// alone. Returns false if patience ended, or if none of the files can be read.
    fn empty(&mut self) -> Result<bool, StateError> {
        self.health = DestinationHealth::read(&self.outbox);
        // Without a deadline, make the one attempt even if the destination asked to wait.
        if self.deadline.is_some()
            && let Some(wait) = self.health.asked_to_wait(time::now())
            && !self.waits(wait)
        {
            self.tidy()?;
            return Ok(!self.outbox.has_common()?);
        }
        loop {
            let mut names = self.outbox.oldest(LISTED)?;
            // The captures of these files were removed. Sync that before the markers go. Otherwise
            // a power cut could bring a capture back after its markers are gone.
            self.api.attest(self.state.sync_decided());
            let listed = names.len();
            // Most outboxes fit into one listing and need not be counted.
            let others = if listed < LISTED { 0 } else { self.outbox.count()?.saturating_sub(LISTED) };
            names.retain(|name| name.alone().is_none());
            if names.is_empty() {
                if listed > 0 {
                    self.try_alone()?;
                }
                return Ok(true);
            }
            match self.send_all(&mut names.into_iter(), others)? {
                Round::Sent => {}
                Round::NothingReadable => {
                    self.try_alone()?;
                    return Ok(false);
                }
                Round::Stopped(stop) => {
                    self.tidy()?;
                    match self.backoff.next_within(stop.after, self.time_to_retry()) {
                        Some(wait) => thread::sleep(wait),
                        None => return Ok(false),
                    }
                }
            }
        }
    }

    /// Extends the deadline if a newer push arrived, so that it is retried for its full time.
    /// Returns true if the deadline was extended.
    fn lingers_on(&mut self) -> Result<bool, StateError> {
        let (Some(linger), Some(newest)) = (self.linger, self.outbox.newest()?) else {
            return Ok(false);
        };
        if self.newest.replace(newest) >= Some(newest) {
            return Ok(false);
        }
        // A push from the future, before the clock was set back, counts as new.
        let age = Duration::try_from(time::now().duration_since(newest)).unwrap_or_default();
        let deadline = Deadline::after(linger.saturating_sub(age));
        let is_later = self.deadline.is_some_and(|before| before.left() < deadline.left());
        if is_later {
            self.deadline = Some(deadline);
        }
        Ok(is_later)
    }

    /// Sends the files in `names`, batch by batch. `others` is the number of files that come after
    /// them.
    fn send_all(
        &mut self,
        names: &mut impl ExactSizeIterator<Item = OutboxFileName>,
        others: usize,
    ) -> Result<Round, StateError> {
        let mut round = Round::NothingReadable;
        loop {
            self.share.leaves(names.len() + others);
            let load = self.read(names)?;
            if load.dead > 0 || load.has_salvaged {
                round = Round::Sent;
            }
            if load.is_empty() {
                return Ok(round);
            }
            let bad = self.bad;
            if let stopped @ Round::Stopped(_) = self.send(load)? {
                return Ok(stopped);
            }
            self.backoff.reset();
            round = Round::Sent;
            if self.bad > bad {
                // Restart with a new listing, because the rest of this batch is older than the next
                // files.
                return Ok(round);
            }
        }
    }

    fn read(&mut self, names: &mut impl Iterator<Item = OutboxFileName>) -> Result<Batch, StateError> {
        let (state, outbox) = (self.state, &self.outbox);
        let load = Batch::read(
            names,
            state,
            outbox,
            self.destination,
            self.api.batch_size(),
            self.give_up_after,
            &self.health,
        )?;
        self.drained.dead += load.dead;
        Ok(load)
    }

    /// Sends each marker that waits alone and is due, as long as the destination answers.
    fn try_alone(&mut self) -> Result<(), StateError> {
        let alone = self.outbox.alone()?;
        let now = time::now();
        let has_come = |alone: &Alone| self.is_impatient || alone.is_due(now);
        let (is_due, mut stays): (Vec<_>, Vec<_>) = alone.into_iter().partition(|(_, alone)| has_come(alone));
        let mut is_there = true;
        for (name, _) in is_due {
            let is_over = self.stop_at.is_some_and(Deadline::is_over);
            let load = self.read(&mut std::iter::once(name))?;
            if !load.is_empty() && is_there && !is_over {
                is_there = self.send_alone(load)?;
            }
        }
        // Markers that are not due may still be too old, and become dead letters.
        for (name, _) in stays.drain(..) {
            self.read(&mut std::iter::once(name))?;
        }
        let ids: Vec<_> = self.outbox.alone()?.iter().filter_map(|(name, _)| name.marker()).collect();
        let before = self.health.alone.len();
        self.health.alone.retain(|id, _| ids.contains(id));
        if self.health.alone.len() != before {
            self.health.write(&self.outbox)?;
        }
        Ok(())
    }

    /// Sends a marker that waits alone, in separate requests for the log record and the span.
    /// Returns true if the destination answers.
    fn send_alone(&mut self, mut load: Batch) -> Result<bool, StateError> {
        let start = Instant::now();
        let mut last_refusal = None;
        let (mut sent, mut has_failed) = (Ok(()), false);
        for signal in SIGNALS {
            let mut due = load.due(signal);
            match self.api.request(&mut due, signal, &mut last_refusal) {
                Err(stop) if stop.may_be_content => {
                    for item in due {
                        self.health.says_of(item.marker.id, &stop.why);
                        item.set_aside(&stop.why);
                    }
                    has_failed = true;
                }
                Err(stop) => sent = Err(stop),
                Ok(()) => {}
            }
        }
        if has_failed && sent.is_ok() {
            // A failure of this marker alone says nothing new about the destination.
            self.account(&load.put_away(self.state, &self.outbox, start.elapsed())?);
            self.health.write(&self.outbox)?;
        } else {
            self.put_away(load, &sent, last_refusal, start)?;
        }
        Ok(sent.is_ok())
    }

    /// Sends a batch in requests of bounded size, and records the result.
    ///
    /// If the destination answers and fails repeatedly, the worker searches for a single marker
    /// that causes the failure. That marker then waits alone.
    fn send(&mut self, mut load: Batch) -> Result<Round, StateError> {
        let start = Instant::now();
        let mut last_refusal = None;
        let mut sent = self.api.send(&mut load, &mut last_refusal);
        if let Err(stop) = &sent
            && stop.may_be_content
        {
            self.health.strike();
            if self.health.is_suspicious() || (1..MAX_BAD_AT_ONCE).contains(&self.bad) {
                sent = self.search(&mut load, stop, &mut last_refusal);
            }
        }
        self.put_away(load, &sent, last_refusal, start)?;
        Ok(sent.map_or_else(Round::Stopped, |()| Round::Sent))
    }

    /// Searches a failed batch for the marker that causes the failure, and sets it aside.
    fn search(
        &mut self,
        load: &mut Batch,
        failed: &Suspended,
        last_refusal: &mut Option<Arc<str>>,
    ) -> Result<(), Suspended> {
        // The first request that is still due is the one that failed.
        let Some(signal) = SIGNALS.into_iter().find(|signal| !load.due(*signal).is_empty()) else {
            return Ok(());
        };
        let mut suspects = load.due(signal);
        let others = suspects.split_off(self.api.in_one_request(&suspects));
        let mut request = |some: &mut [&mut BatchItem]| {
            // The caller waits for this delivery, so do not start a search after the deadline.
            if self.stop_at.is_some_and(Deadline::is_over) {
                return Err(Suspended { after: None, why: String::new(), may_be_content: false });
            }
            self.api.request(some, signal, last_refusal)
        };
        let found = suspect::search(suspects, others, &mut request, failed);
        match found {
            Ok(SearchOutcome::Bad(item, why)) => {
                item.set_aside(&why);
                self.health.says_of(item.marker.id, &why);
                self.bad += 1;
                Ok(())
            }
            Ok(SearchOutcome::None) => Ok(()),
            Ok(SearchOutcome::Unknown) => Err(failed.clone()),
            Err(stop) => {
                self.health.suspected_in_vain();
                Err(stop)
            }
        }
    }

    /// Writes the results of a sent batch to the outbox, the journal and the destination's status.
    fn put_away(
        &mut self,
        load: Batch,
        sent: &Result<(), Suspended>,
        last_refusal: Option<Arc<str>>,
        start: Instant,
    ) -> Result<(), StateError> {
        let put_away = load.put_away(self.state, &self.outbox, start.elapsed())?;
        self.account(&put_away);
        let noted = self.note(sent, last_refusal, put_away.left, start.elapsed());
        self.failure = self.failure.take().or(noted.err());
        Ok(())
    }

    fn account(&mut self, put_away: &PutAway) {
        self.drained.delivered += put_away.delivered;
        self.share.delivers(put_away.delivered);
        self.drained.dead += put_away.dead;
    }

    /// Updates the destination's status. After a failure, records in the journal that `left`
    /// markers wait.
    fn note(
        &mut self,
        sent: &Result<(), Suspended>,
        refusal: Option<Arc<str>>,
        left: usize,
        took: Duration,
    ) -> Result<(), StateError> {
        let mut is_news = true;
        match (sent, refusal) {
            // Nothing failed. The time was up.
            (Err(stop), None) if stop.why.is_empty() => return Ok(()),
            (Err(stop), Some(why)) if stop.why.is_empty() => self.health.failed(&why, None),
            (Err(stop), _) => {
                self.state.journal().note([Record::Delivery(DeliveryRecord {
                    destination: self.outbox.destination().into(),
                    outcome: Sent::Retried,
                    markers: Vec::new(),
                    waiting: left,
                    why: stop.why.as_str().into(),
                    ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                })]);
                let until = stop.after.and_then(|after| time::now().checked_add(after).ok());
                self.health.failed(&stop.why, until);
            }
            (Ok(()), Some(why)) => self.health.failed(&why, None),
            (Ok(()), None) => is_news = self.health.succeeded(),
        }
        if is_news || self.noted.is_none_or(|noted| noted.elapsed() > NOTE_EVERY) {
            self.noted = Some(Instant::now());
            self.health.write(&self.outbox)?;
        }
        Ok(())
    }

    /// Merges the waiting files and enforces the spool's cap. The outbox grows only while the
    /// destination does not accept markers, so this runs only before a wait.
    fn tidy(&mut self) -> Result<(), StateError> {
        match merge::merge(&self.outbox, self.merge_at) {
            Ok(saved) => self.share.merged(saved),
            // On a full disk the small files stay, and are sent as they are.
            Err(err) => self.failure = self.failure.take().or(Some(err)),
        }
        self.drained.dropped += cap::make_room(self.state, &self.outbox, self.cap)?;
        Ok(())
    }

    /// Returns the time until the last attempt must start.
    fn time_to_retry(&self) -> Duration {
        // A script sends no request after `stop_at`.
        let margin = self.stop_at.map(|_| LAST_ATTEMPT).unwrap_or_default();
        self.deadline.map(Deadline::left).unwrap_or_default().saturating_sub(margin)
    }

    /// Sleeps for `wait` and returns true, unless the deadline is earlier.
    fn waits(&self, wait: Duration) -> bool {
        self.deadline.is_some_and(|deadline| deadline.sleeps(wait))
    }
}
