//! Times as the reader sees them, and times that the reader gives.
//!
//! A time is shown in the reader's zone (`$TZ`, or else the machine's) with its offset from UTC, and
//! what is shown can be given to an option again.

use jiff::{
    Span, Zoned,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::sys::time::{self, Timestamp};

/// Forms of a time that [`parse`] takes, for messages.
const EXPECTED: &str = "expected a time such as 2026-11-22T10:00:00Z, 2026-11-22, 10:24, yesterday, 2h or \
                        \"3 days ago\"";

/// Returns a time in a zone, to the second: `2026-11-22T11:00:00+01:00`.
pub(super) fn shown(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Returns a time in the reader's zone.
pub(super) fn local(time: Timestamp) -> String {
    shown(time, &TimeZone::system())
}

/// Parses a time that a person gives. One without an offset is in the reader's zone, and one without
/// a date is of today.
///
/// # Errors
/// If it has none of the known forms, or is out of range.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    parse_at(text.trim(), &time::now().to_zoned(TimeZone::system()))
}

fn parse_at(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let zoned = |local: DateTime| {
        let zoned = local.to_zoned(now.time_zone().clone());
        zoned.map(|zoned| zoned.timestamp()).map_err(|err| err.to_string())
    };
    let day = |date: Result<Date, jiff::Error>| {
        date.map_err(|err| err.to_string()).and_then(|date| zoned(date.into()))
    };
    match text.to_ascii_lowercase().as_str() {
        "now" => return Ok(now.timestamp()),
        "today" => return day(Ok(now.date())),
        "yesterday" => return day(now.date().yesterday()),
        _ => {}
    }
    // A text with a time also parses as a date, so the time comes first.
    if let (true, Ok(local)) = (text.contains(':'), text.parse::<DateTime>()) {
        return zoned(local);
    }
    if let (true, Ok(time)) = (text.contains(':'), text.parse::<Time>()) {
        return zoned(now.date().to_datetime(time));
    }
    if let Ok(date) = text.parse::<Date>() {
        return day(Ok(date));
    }
    let age = text.parse::<Span>().map_err(|_| EXPECTED.to_string())?;
    let past = now.checked_sub(age.abs()).map_err(|err| err.to_string())?;
    Ok(past.timestamp())
}

#[cfg(test)]
mod tests;
