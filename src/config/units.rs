//! Durations and sizes with a unit, as people write them: `"250ms"`, `"64MiB"`.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// A duration in the file: a whole number with `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationText(pub Duration);

/// A size in the file: a whole number with `B`, `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeText(pub u64);

const DURATIONS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Parses a duration such as `30s`.
///
/// # Errors
/// A text that says what is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    with_unit(text, DURATIONS, "a duration such as \"250ms\", \"10s\", \"5m\", \"12h\" or \"7d\"")
        .map(Duration::from_millis)
}

/// Returns a duration as it is written in the file, in the largest unit that it is a whole number of.
pub fn duration_text(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".into();
    }
    in_largest_unit(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), DURATIONS)
}

/// Returns a size as it is written in the file, in the largest unit that it is a whole number of.
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
/// A text that says what is expected.
pub fn size(text: &str) -> Result<u64, String> {
    with_unit(text, SIZES, "a size such as \"512KiB\" or \"64MiB\"")
}

fn with_unit(text: &str, units: &[(&str, u64)], expected: &str) -> Result<u64, String> {
    let wrong = || format!("expected {expected}, found `{}`", crate::text::line(text));
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

/// Visits a string and parses it, so that the file's line and column stay with the error.
struct Text<F>(&'static str, F);

impl<T, F: FnOnce(&str) -> Result<T, String>> de::Visitor<'_> for Text<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_need_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for text in ["250ms", "90s", "15m", "36h", "7d", "0s"] {
            assert_eq!(duration(text).map(duration_text).as_deref(), Ok(text));
        }
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1_000 KiB"), Ok(1_024_000));
        for bad in ["", "10", "s", "-1s", "1.5s", "10 minutes", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(
            size("64MB").expect_err("no unit of ours"),
            "expected a size such as \"512KiB\" or \"64MiB\", found `64MB`"
        );
    }
}
