//! A batch: whole files of an outbox, as many as one request carries.

use std::time::{Duration, Instant};

use super::{
    http::Client,
    retry::{self, Outcome},
};
use crate::{
    config::Destination,
    marker::Marker,
    otlp::{self, Signal},
    push::PushId,
    state::{Outbox, State, StateError, journal},
    time::Timestamp,
};

/// How many markers one request carries. A file is never divided between two requests, so that it is
/// gone as a whole; a file holds at most a slice of a push.
const MAX_MARKERS: usize = 512;

/// Files of an outbox with their markers.
#[derive(Default)]
pub(super) struct Batch {
    files: Vec<(String, Vec<Marker>)>,
}

/// What became of a batch.
pub(super) enum Sent {
    /// It is off the spool: delivered or dead.
    Off {
        /// How many markers arrived.
        delivered: usize,
        /// How many are dead letters now.
        dead: usize,
    },
    /// It stays, and the destination wants to be left alone.
    Stays {
        /// How long the destination asked for.
        after: Option<Duration>,
    },
}

impl Batch {
    /// Reads the files that `names` names until a request is full. Those that cannot be read, or are too
    /// old, become dead letters on the way and are counted. Those that the system cannot read at present
    /// are left, and added to `unreadable`.
    ///
    /// # Errors
    /// If the state directory cannot be read or written.
    pub fn read(
        names: &mut impl Iterator<Item = String>,
        state: &State,
        outbox: &Outbox,
        give_up_after: Duration,
        unreadable: &mut Vec<String>,
    ) -> Result<(Self, usize), StateError> {
        let mut batch = Self::default();
        let mut dead = 0;
        while batch.len() < MAX_MARKERS {
            let Some(name) = names.next() else { break };
            let markers = match outbox.read(&name) {
                Ok(markers) => markers,
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => continue,
                Err(err) if err.may_pass() && !is_push_too_old(&name, give_up_after) => {
                    let what = format!("markers wait for the next delivery: {err}").into();
                    // Where the file cannot be read, the journal may not take a line either.
                    let _ = state.journal().append([journal::Record::Trouble(journal::Trouble {
                        push: Outbox::push_of(&name),
                        repository: None,
                        what,
                    })]);
                    unreadable.push(name);
                    continue;
                }
                Err(err) => {
                    dead += 1;
                    bury(state, outbox, &name, &[], &err.to_string())?;
                    continue;
                }
            };
            if markers.iter().all(|marker| is_too_old(marker, give_up_after)) {
                dead += markers.len();
                bury(state, outbox, &name, &markers, "older than [delivery] give_up_after")?;
                continue;
            }
            batch.files.push((name, markers));
        }
        Ok((batch, dead))
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn len(&self) -> usize {
        self.files.iter().map(|(_, markers)| markers.len()).sum()
    }

    fn markers(&self) -> Vec<&Marker> {
        self.files.iter().flat_map(|(_, markers)| markers).collect()
    }

    /// Sends the batch and takes it off the spool if it will not be sent again.
    ///
    /// # Errors
    /// If the state directory cannot be written.
    pub fn send(
        self,
        state: &State,
        outbox: &Outbox,
        destination: &Destination,
        client: &Client<'_>,
    ) -> Result<Sent, StateError> {
        let start = Instant::now();
        let outcome = exchange(&self.markers(), destination, client);
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let note = |outcome, why: &str| {
            let delivery = journal::Delivery {
                destination: (&*destination.name).into(),
                outcome,
                markers: self.markers().iter().map(|marker| marker.id).collect(),
                why: why.to_string().into(),
                ms,
            };
            state.journal().append([journal::Record::Delivery(delivery)])
        };
        match outcome {
            Outcome::Accepted { rejected } => {
                let delivered = self.len();
                let noted = note(
                    if rejected.is_empty() { journal::Sent::Delivered } else { journal::Sent::Rejected },
                    &rejected,
                )
                .and(journal_standing(outbox, None));
                // First they go: a disk that takes no note must not have them sent again and again.
                for (name, _) in &self.files {
                    outbox.remove(name)?;
                }
                noted?;
                Ok(Sent::Off { delivered, dead: 0 })
            }
            Outcome::Retry { after, why } => {
                note(journal::Sent::Retried, &why)?;
                journal_standing(outbox, Some(&why))?;
                Ok(Sent::Stays { after })
            }
            // One bad file must not take its neighbours with it.
            Outcome::Refused { status, .. } if self.files.len() > 1 && retry::is_about_content(status) => {
                self.send_halves(state, outbox, destination, client)
            }
            Outcome::Refused { why, .. } => {
                journal_standing(outbox, Some(&why))?;
                let dead = self.len();
                for (name, markers) in &self.files {
                    bury(state, outbox, name, markers, &why)?;
                }
                Ok(Sent::Off { delivered: 0, dead })
            }
        }
    }

    fn send_halves(
        mut self,
        state: &State,
        outbox: &Outbox,
        destination: &Destination,
        client: &Client<'_>,
    ) -> Result<Sent, StateError> {
        let second = Self { files: self.files.split_off(self.files.len() / 2) };
        let (mut delivered, mut dead) = (0, 0);
        for half in [self, second] {
            match half.send(state, outbox, destination, client)? {
                Sent::Off { delivered: d, dead: n } => {
                    delivered += d;
                    dead += n;
                }
                stays @ Sent::Stays { .. } => return Ok(stays),
            }
        }
        Ok(Sent::Off { delivered, dead })
    }
}

/// Sends the markers as records and, those that are spans, as spans too.
fn exchange(markers: &[&Marker], destination: &Destination, client: &Client<'_>) -> Outcome {
    let broken =
        |err: serde_json::Error| Outcome::Refused { status: 0, why: format!("failed to encode: {err}") };
    let logs = match otlp::encode_logs(markers, Timestamp::now(), destination.protocol) {
        Ok(body) => client.post(Signal::Logs, body),
        Err(err) => return broken(err),
    };
    let Outcome::Accepted { rejected } = logs else {
        return logs;
    };
    let spans: Vec<_> =
        markers.iter().copied().filter(|marker| otlp::is_span(marker, destination.spans)).collect();
    if spans.is_empty() {
        return Outcome::Accepted { rejected };
    }
    let traces = match otlp::encode_traces(&spans, destination.protocol) {
        Ok(body) => client.post(Signal::Traces, body),
        Err(err) => return broken(err),
    };
    match traces {
        Outcome::Accepted { rejected: also } if rejected.is_empty() => Outcome::Accepted { rejected: also },
        Outcome::Accepted { .. } => Outcome::Accepted { rejected },
        other => other,
    }
}

fn is_too_old(marker: &Marker, give_up_after: Duration) -> bool {
    is_over(marker.time, give_up_after)
}

/// The same for a file whose markers cannot be read: its name says when the push was.
fn is_push_too_old(name: &str, give_up_after: Duration) -> bool {
    Outbox::push_of(name).and_then(PushId::time).is_none_or(|time| is_over(time, give_up_after))
}

/// What a clock that was set back has from the future is not old.
fn is_over(time: Timestamp, give_up_after: Duration) -> bool {
    Duration::try_from(Timestamp::now().duration_since(time)).is_ok_and(|age| age > give_up_after)
}

fn bury(state: &State, outbox: &Outbox, name: &str, markers: &[Marker], why: &str) -> Result<(), StateError> {
    state.dead_letters().bury_markers(outbox, name, why)?;
    let delivery = journal::Delivery {
        destination: outbox.destination().into(),
        outcome: journal::Sent::Refused,
        markers: markers.iter().map(|marker| marker.id).collect(),
        why: why.into(),
        ms: 0,
    };
    state.journal().append([journal::Record::Delivery(delivery)])
}

fn journal_standing(outbox: &Outbox, failure: Option<&str>) -> Result<(), StateError> {
    use crate::state::standing::Standing;
    match failure {
        None => Standing::succeeded(outbox),
        Some(why) => Standing::failed(outbox, why),
    }
}
