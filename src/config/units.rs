//! Durations and sizes with a unit, such as `"250ms"` and `"64MiB"`.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

/// A duration in the file: a whole number with `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationText(pub Duration);

/// A size in the file: a whole number with `B`, `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeText(pub u64);

const DURATIONS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A text that is not a number with a unit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected {expected}, found `{found}`")]
pub struct UnitError {
    expected: &'static str,
    found: String,
}

/// Parses a duration such as `30s`.
///
/// # Errors
/// With a message that says what is expected.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    with_unit(text, DURATIONS, "a duration such as \"250ms\", \"10s\", \"5m\", \"12h\" or \"7d\"")
        .map(Duration::from_millis)
}

/// Formats a duration for the file, in the largest unit that divides it.
pub fn duration_text(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".into();
    }
    in_largest_unit(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), DURATIONS)
}

/// Formats a size for the file, in the largest unit that divides it.
pub fn size_text(bytes: u64) -> String {
    in_largest_unit(bytes, SIZES)
}

fn in_largest_unit(amount: u64, units: &[(&str, u64)]) -> String {
    let is_whole = |(_, factor): &&(&str, u64)| amount.is_multiple_of(*factor) && amount > 0;
    let (unit, factor) = units.iter().rev().find(is_whole).unwrap_or(&units[0]);
    format!("{}{unit}", amount / factor)
}

/// Parses a size such as `64MiB`.
///
/// # Errors
/// With a message that says what is expected.
pub fn size(text: &str) -> Result<u64, UnitError> {
    with_unit(text, SIZES, "a size such as \"512KiB\" or \"64MiB\"")
}

fn with_unit(text: &str, units: &[(&str, u64)], expected: &'static str) -> Result<u64, UnitError> {
    let wrong = || UnitError { expected, found: crate::text::line(text) };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.replace('_', "").parse().map_err(|_| wrong())?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
    number.checked_mul(*factor).ok_or_else(wrong)
}

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a duration with a unit, such as \"10s\"", |text: &str| {
            duration(text).map(Self)
        }))
    }
}

impl<'de> Deserialize<'de> for SizeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_str(Text("a size with a unit, such as \"64MiB\"", |text: &str| size(text).map(Self)))
    }
}

/// Visitor that parses a string, so that errors keep their line and column in the file.
struct Text<F>(&'static str, F);

impl<T, F: FnOnce(&str) -> Result<T, UnitError>> de::Visitor<'_> for Text<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests;
