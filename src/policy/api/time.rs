//! Points in time and durations, in UTC. Scripts cannot read a clock; they only get the times of
//! the push, its commits and its tags.

use std::fmt;

use jiff::tz::TimeZone;
use rhai::{Engine, EvalAltResult};

use super::property::{ApiFunction, Property, Type, View, mistake, register_ordered, word};
use crate::{config, sys::time::Timestamp};

/// A point in time, as seen by a script.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) struct TimeView(Timestamp);

impl TimeView {
    pub fn new(time: Timestamp) -> Self {
        Self(time)
    }

    fn utc(self) -> jiff::Zoned {
        self.0.to_zoned(TimeZone::UTC)
    }

    fn plus(self, seconds: i64) -> Result<Self, Box<EvalAltResult>> {
        let sum = self.0.as_second().checked_add(seconds).and_then(|sum| Timestamp::from_second(sum).ok());
        sum.map(Self).ok_or_else(|| mistake(format!("{self} plus {seconds} seconds is out of range")))
    }
}

/// Formats the time by RFC 3339, to the second.
impl fmt::Display for TimeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

/// Registers comparison and arithmetic of times.
pub(super) fn register(engine: &mut Engine) {
    register_ordered::<TimeView>(engine);
    engine
        .register_fn("-", |a: TimeView, b: TimeView| a.0.as_second() - b.0.as_second())
        .register_fn("+", |time: TimeView, seconds: i64| time.plus(seconds))
        .register_fn("-", |time: TimeView, seconds: i64| time.plus(seconds.saturating_neg()));
}

impl View for TimeView {
    const NAME: &'static str = "time";
    const ABOUT: &'static str = "A point in time, in UTC. Times can be compared; the difference of two is \
                                 a number of seconds, and seconds can be added. Converted to a string, it \
                                 is RFC 3339.";
    const WORDS: &'static [Property<Self>] = &[
        word("year", Type::Int, "the year", "update.push.time.year >= 2026", |t| {
            Ok(i64::from(t.utc().year()).into())
        }),
        word("month", Type::Int, "1 to 12", "update.push.time.month <= 12", |t| {
            Ok(i64::from(t.utc().month()).into())
        }),
        word("day", Type::Int, "1 to 31", "update.push.time.day >= 1", |t| {
            Ok(i64::from(t.utc().day()).into())
        }),
        word("hour", Type::Int, "0 to 23", "update.push.time.hour < 24", |t| {
            Ok(i64::from(t.utc().hour()).into())
        }),
        word("minute", Type::Int, "0 to 59", "update.push.time.minute < 60", |t| {
            Ok(i64::from(t.utc().minute()).into())
        }),
        word(
            "weekday",
            Type::Int,
            "1 for Monday to 7 for Sunday",
            "update.author.time.weekday in 1..=7",
            |t| Ok(i64::from(t.utc().weekday().to_monday_one_offset()).into()),
        ),
        word("unix", Type::Int, "seconds since 1970", "update.author.time.unix > 1_700_000_000", |t| {
            Ok(t.0.as_second().into())
        }),
        word(
            "unix_ms",
            Type::Int,
            "milliseconds since 1970",
            "update.author.time.unix_ms == update.author.time.unix * 1000",
            |t| Ok(t.0.as_millisecond().into()),
        ),
    ];
}

/// Functions for durations.
pub(super) const FUNCTIONS: &[ApiFunction] = &[ApiFunction {
    name: "duration",
    takes: &[("text", Type::Text)],
    gives: Type::Int,
    about: "Returns a duration such as `90s`, `5m`, `12h` or `7d` in seconds.",
    example: r#"update.push.time - duration("2h") < update.push.time"#,
    register: |engine, name| {
        engine.register_fn(name, |text: &str| {
            let duration = config::duration(text).map_err(|err| mistake(err.to_string()))?;
            Ok::<_, Box<EvalAltResult>>(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
        });
    },
}];
