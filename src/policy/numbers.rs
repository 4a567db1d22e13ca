//! Conversions to numbers, in place of Rhai's own: these never return a wrong number, and a script
//! that catches their errors gets a text.

use rhai::{Engine, EvalAltResult};

use super::api::mistake;
use crate::text;

type NumberResult<T> = Result<T, Box<EvalAltResult>>;

/// Registers all functions of this module.
pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("to_int", to_int)
        .register_fn("parse_int", |text: &str| parse_int(text, 10))
        .register_fn("parse_int", parse_int)
        .register_fn("parse_float", parse_float);
}

fn to_int(n: f64) -> NumberResult<i64> {
    // `i64::MAX` is not representable as `f64`, but `i64::MAX + 1` is. NaN is not in the range
    // either.
    const RANGE: std::ops::Range<f64> = i64::MIN as f64..-(i64::MIN as f64);
    if RANGE.contains(&n) {
        Ok(n as i64)
    } else {
        Err(mistake(format!("{n} does not fit into a 64-bit integer")))
    }
}

fn parse_int(digits: &str, radix: i64) -> NumberResult<i64> {
    let base = u32::try_from(radix).ok().filter(|base| (2..=36).contains(base));
    let base = base.ok_or_else(|| mistake(format!("the radix must be from 2 to 36, found {radix}")))?;
    i64::from_str_radix(digits.trim(), base).map_err(|err| unread(digits, "an integer", &err))
}

fn parse_float(digits: &str) -> NumberResult<f64> {
    digits.trim().parse().map_err(|err| unread(digits, "a number", &err))
}

fn unread(digits: &str, what: &str, why: &dyn std::error::Error) -> Box<EvalAltResult> {
    mistake(format!("`{}` cannot be read as {what}: {why}", text::line(digits)))
}

#[cfg(test)]
mod tests;
