//! The name of a file in an outbox, which says of which pushes it is without that it has to be read:
//! `PUSH.FROM[+AGAIN][.LAST][.MARKER][.FORM]`.

use std::{fmt, str::FromStr};

use crate::{
    marker::{Marker, MarkerId, Signal},
    push::PushId,
};

/// How long a push id is as text. The id of a marker has the same digits without the hyphens.
const PUSH_ID_LEN: usize = 36;

/// What a name says. Names sort by the time of their oldest push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParcelName {
    push: PushId,
    from: usize,
    /// How many others have what else the name says.
    again: u32,
    last: Option<PushId>,
    marker: Option<MarkerId>,
    only: Option<Signal>,
}

impl ParcelName {
    /// Returns the name for the markers of the updates of a push from `from` on.
    pub fn new(push: PushId, from: usize) -> Self {
        Self { push, from, again: 0, last: None, marker: None, only: None }
    }

    /// Returns the name for `markers`, in the order of their pushes, which were taken from this file, or from it and
    /// those after it. They are left to go out in the one form `only`, or in all.
    pub fn for_some(self, markers: &[&Marker], only: Option<Signal>) -> Self {
        let push_of = |marker: Option<&&Marker>| marker.and_then(|marker| marker.push_id());
        let first = push_of(markers.first()).unwrap_or(self.push);
        // Of a push that is not the first in its file, no slice lies in an earlier one.
        let from = if first == self.push { self.from } else { 0 };
        let last = push_of(markers.last()).filter(|last| *last != first);
        let marker = markers.first().map(|marker| marker.id);
        Self { push: first, from, again: 0, last, marker, only }
    }

    /// Returns the names that say the same, this one first: a file may have to do with another, because no name is taken
    /// from a file that waits.
    pub fn and_others(self) -> impl Iterator<Item = Self> {
        (self.again..).map(move |again| Self { again, ..self })
    }

    /// Returns the push, the oldest one if there are several.
    pub fn push(&self) -> PushId {
        self.push
    }

    /// Returns the newest push if there are several.
    pub fn last(&self) -> Option<PushId> {
        self.last
    }

    /// Returns the push, the newest one if there are several.
    pub fn newest(&self) -> PushId {
        self.last.unwrap_or(self.push)
    }

    /// Returns the one form in which the markers are still to go out, `None` for all that the destination wants.
    pub fn only(&self) -> Option<Signal> {
        self.only
    }
}

impl fmt::Display for ParcelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { push, from, again, last, marker, only } = self;
        write!(f, "{push}.{from}")?;
        if *again > 0 {
            write!(f, "+{again}")?;
        }
        last.map_or(Ok(()), |last| write!(f, ".{last}"))?;
        marker.map_or(Ok(()), |marker| write!(f, ".{marker}"))?;
        only.map_or(Ok(()), |only| write!(f, ".{}", only.as_str()))
    }
}

/// The name of a file that somebody else put there.
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
        if fields.next().is_some() {
            Err(Foreign)
        } else {
            Ok(Self { push, from, again, last, marker, only })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: &str = "019ab0c5-9c3e-7d5b-8f3a-0123456789ab";
    const LAST: &str = "019ab0c5-9c3f-7d5b-8f3a-0123456789ab";
    const MARKER: &str = "00112233445566778899aabbccddeeff";

    #[test]
    fn every_name_is_read_as_it_is_written() {
        for tail in
            ["", "+1", "+12.LAST", ".LAST", ".MARKER", ".MARKER.logs", ".LAST.MARKER", ".LAST.MARKER.traces"]
        {
            let name = format!("{PUSH}.2000{tail}").replace("LAST", LAST).replace("MARKER", MARKER);
            let read: ParcelName = name.parse().expect("ours");
            assert_eq!(read.to_string(), name);
            let newest = if tail.contains("LAST") { LAST } else { PUSH };
            assert_eq!((read.push().to_string(), read.newest().to_string()), (PUSH.into(), newest.into()));
            assert_eq!(read.only().is_some(), tail.contains(".MARKER."));
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        for tail in [
            "",
            ".",
            ".x",
            ".0+",
            ".0+x",
            ".0.x",
            ".0.MARKER.LAST",
            ".0.LAST.MARKER.metrics",
            ".0.MARKER.logs.logs",
        ] {
            let name = format!("{PUSH}{tail}").replace("LAST", LAST).replace("MARKER", MARKER);
            assert_eq!(name.parse::<ParcelName>(), Err(Foreign), "{name}");
        }
    }
}
