//! The names of outbox files, which identify the pushes of a file without reading it.
//!
//! A name is `PUSH.FROM[+AGAIN][.LAST][.MARKER][.FORM][.alone-TRIES-UNTIL]`. PUSH is the oldest
//! push in the file, and FROM is its first update in there. AGAIN counts files with otherwise equal
//! names, from 1. LAST is the newest push of a merged file. MARKER is the first marker of a file
//! that was split or merged. FORM is `logs` or `traces` if the markers are to be sent in this form
//! only. The last field belongs to a marker that is retried alone.

use std::{fmt, ops::Deref, str::FromStr};

use crate::{
    marker::{Marker, MarkerId, Signal},
    push::PushId,
    sys::time::Timestamp,
};

/// Prefix of the name's last field if the marker is retried alone.
const ALONE: &str = "alone-";

/// Length of a push ID as text. A marker ID has the same digits without hyphens.
const PUSH_ID_LEN: usize = 36;

/// A parsed name. Names sort by the time of their oldest push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParcelName {
    push: PushId,
    from: usize,
    /// Number of files with otherwise equal names before this one.
    again: u32,
    last: Option<PushId>,
    marker: Option<MarkerId>,
    only: Option<Signal>,
    alone: Option<Alone>,
}

/// The retries of a marker that is sent alone, because the destination fails on it and accepts
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alone {
    /// Number of times that it failed alone.
    pub tries: u32,
    /// Earliest time of the next attempt, in seconds since 1970.
    pub until: i64,
}

impl Alone {
    /// Back-off after the first attempt, in seconds. It doubles with each further one.
    const FIRST: i64 = 60;
    const LONGEST: i64 = 3600;

    /// Returns the back-off after `tries` failures, the last one at `now`.
    pub fn after(tries: u32, now: Timestamp) -> Self {
        let wait = (Self::FIRST << tries.saturating_sub(1).min(16)).min(Self::LONGEST);
        Self { tries, until: now.as_second().saturating_add(wait) }
    }

    /// Returns true if the back-off is over. One that is longer than the maximum dates from before
    /// the clock was set back.
    pub fn is_due(self, now: Timestamp) -> bool {
        !(1..=Self::LONGEST).contains(&self.until.saturating_sub(now.as_second()))
    }
}

impl ParcelName {
    /// Returns the name for the markers of a push's updates from `from` on.
    pub fn new(push: PushId, from: usize) -> Self {
        Self { push, from, again: 0, last: None, marker: None, only: None, alone: None }
    }

    /// Returns the name for `markers`, which are in the order of their pushes and come from this
    /// file, or from this file and the ones after it. They are to be sent in the form `only`, or in
    /// all forms.
    pub fn for_some(self, markers: &[&Marker], only: Option<Signal>) -> Self {
        let first = markers.first().map_or(self.push, |marker| marker.push);
        // If the push is not the first in its file, none of its slices is in an earlier file.
        let from = if first == self.push { self.from } else { 0 };
        let last = markers.last().map(|marker| marker.push).filter(|last| *last != first);
        let marker = markers.first().map(|marker| marker.id);
        Self { push: first, from, again: 0, last, marker, only, alone: None }
    }

    /// Returns this name and then the alternatives with AGAIN counting up. A writer takes the first
    /// free one, because it must not replace a file that is waiting.
    pub fn and_others(self) -> impl Iterator<Item = Self> {
        (self.again..).map(move |again| Self { again, ..self })
    }

    /// Returns the name for the same markers, which are retried alone from now on or no longer are.
    pub fn with_alone(self, alone: Option<Alone>) -> Self {
        Self { alone, ..self }
    }

    /// Returns the retry state of a marker that is sent alone, or `None` for a file that is sent
    /// with others.
    pub fn alone(&self) -> Option<Alone> {
        self.alone
    }

    /// Returns the push, or the oldest one if there are several.
    pub fn push(&self) -> PushId {
        self.push
    }

    /// Returns the first update of that push in the file.
    pub fn from(&self) -> usize {
        self.from
    }

    /// Returns the newest push if there are several.
    pub fn last(&self) -> Option<PushId> {
        self.last
    }

    /// Returns the push, or the newest one if there are several.
    pub fn newest(&self) -> PushId {
        self.last.unwrap_or(self.push)
    }

    /// Returns the only form in which the markers are to be sent, or `None` for all that the
    /// destination wants.
    pub fn only(&self) -> Option<Signal> {
        self.only
    }
}

/// The name of a file in an outbox, as found there. It has no fields if this program did not give
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxFileName {
    text: String,
    fields: Option<ParcelName>,
}

impl OutboxFileName {
    /// Returns the fields of the name.
    pub fn fields(&self) -> Option<ParcelName> {
        self.fields
    }

    /// Returns the push, or the oldest one if there are several.
    pub fn push(&self) -> Option<PushId> {
        self.text.split('.').next()?.parse().ok()
    }

    /// Returns the push, or the newest one if there are several.
    pub fn newest_push(&self) -> Option<PushId> {
        self.fields.map_or_else(|| self.push(), |name| Some(name.newest()))
    }

    /// Returns the ID of the first marker if the name has it.
    pub fn marker(&self) -> Option<MarkerId> {
        self.fields?.marker
    }

    /// Returns the retry state of a marker that is sent alone, or `None` for a file that is sent
    /// with others.
    pub fn alone(&self) -> Option<Alone> {
        self.fields?.alone
    }

    /// Returns the name without the field of a marker that is sent alone. `queue` derives entry IDs
    /// from it, so they stay the same.
    pub fn without_alone(&self) -> String {
        self.fields.map_or_else(|| self.text.clone(), |name| name.with_alone(None).to_string())
    }
}

impl<S: Into<String>> From<S> for OutboxFileName {
    fn from(text: S) -> Self {
        let text = text.into();
        Self { fields: text.parse().ok(), text }
    }
}

impl Deref for OutboxFileName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ParcelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { push, from, again, last, marker, only, alone } = self;
        write!(f, "{push}.{from}")?;
        if *again > 0 {
            write!(f, "+{again}")?;
        }
        last.map_or(Ok(()), |last| write!(f, ".{last}"))?;
        marker.map_or(Ok(()), |marker| write!(f, ".{marker}"))?;
        only.map_or(Ok(()), |only| write!(f, ".{}", only.as_str()))?;
        alone.map_or(Ok(()), |Alone { tries, until }| write!(f, ".{ALONE}{tries}-{until}"))
    }
}

/// A file name that this program does not produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign;

impl FromStr for ParcelName {
    type Err = Foreign;

    fn from_str(name: &str) -> Result<Self, Foreign> {
        let mut fields = name.split('.').peekable();
        let push = fields.next().and_then(|push| push.parse().ok()).ok_or(Foreign)?;
        let from = fields.next().ok_or(Foreign)?;
        let (from, again) = from.split_once('+').unwrap_or((from, "0"));
        let (from, again) = (from.parse().map_err(|_| Foreign)?, again.parse().map_err(|_| Foreign)?);
        let last = fields.next_if(|field| field.len() == PUSH_ID_LEN);
        let last = last.map(|last| last.parse().map_err(|_| Foreign)).transpose()?;
        let marker = fields.peek().and_then(|marker| marker.parse().ok());
        fields.next_if(|_| marker.is_some());
        let only = fields.peek().and_then(|form| Signal::named(form));
        fields.next_if(|_| only.is_some());
        let alone = fields.next_if(|field| field.starts_with(ALONE)).map(|field| {
            let (tries, until) = field[ALONE.len()..].split_once('-').ok_or(Foreign)?;
            let tries = tries.parse().map_err(|_| Foreign)?;
            Ok(Alone { tries, until: until.parse().map_err(|_| Foreign)? })
        });
        let alone = alone.transpose()?;
        if fields.next().is_some() {
            Err(Foreign)
        } else {
            Ok(Self { push, from, again, last, marker, only, alone })
        }
    }
}

#[cfg(test)]
mod tests;
