//! Functions of numbers.
//!
//! They are those of Rhai's own package without the ones of angles: no policy has a use for a sine, and their tables
//! are 0.3 MB of the binary, several times each for different processors.

use rhai::{Engine, EvalAltResult};

use super::api::mistake;
use crate::text;

type Number<T> = Result<T, Box<EvalAltResult>>;

/// Registers everything.
pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("to_int", |n: i64| n)
        .register_fn("to_int", |c: char| i64::from(u32::from(c)))
        .register_fn("to_int", to_int)
        .register_fn("to_float", |n: i64| n as f64)
        .register_fn("to_float", |n: f64| n)
        .register_fn("parse_int", |text: &str| parse_int(text, 10))
        .register_fn("parse_int", parse_int)
        .register_fn("parse_float", parse_float)
        .register_fn("sqrt", f64::sqrt)
        .register_fn("exp", f64::exp)
        .register_fn("ln", f64::ln)
        .register_fn("log", f64::log10)
        .register_fn("log", f64::log);
    // With a dot they need no brackets.
    for (name, round) in [
        ("floor", f64::floor as fn(f64) -> f64),
        ("ceiling", f64::ceil),
        ("round", f64::round),
        ("int", f64::trunc),
        ("fraction", f64::fract),
    ] {
        engine.register_fn(name, round).register_get(name, move |n: &mut f64| round(*n));
    }
    for (name, is) in [
        ("is_nan", f64::is_nan as fn(f64) -> bool),
        ("is_finite", f64::is_finite),
        ("is_infinite", f64::is_infinite),
    ] {
        engine.register_fn(name, is).register_get(name, move |n: &mut f64| is(*n));
    }
}

fn to_int(n: f64) -> Number<i64> {
    // The highest whole number lies between two fractions, its successor is one. What is no number is not in the range.
    const RANGE: std::ops::Range<f64> = i64::MIN as f64..-(i64::MIN as f64);
    if RANGE.contains(&n) { Ok(n as i64) } else { Err(mistake(format!("{n} is no whole number of 64 bits"))) }
}

fn parse_int(digits: &str, radix: i64) -> Number<i64> {
    let base = u32::try_from(radix).ok().filter(|base| (2..=36).contains(base));
    let base = base.ok_or_else(|| mistake(format!("a radix is from 2 to 36, found {radix}")))?;
    i64::from_str_radix(digits.trim(), base).map_err(|err| unread(digits, "a whole number", &err))
}

fn parse_float(digits: &str) -> Number<f64> {
    digits.trim().parse().map_err(|err| unread(digits, "a number", &err))
}

fn unread(digits: &str, what: &str, why: &dyn std::error::Error) -> Box<EvalAltResult> {
    mistake(format!("`{}` cannot be read as {what}: {why}", text::line(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_rounded_and_refused() {
        let mut engine = Engine::new_raw();
        register(&mut engine);
        for (script, value) in [
            (r#"parse_int(" 42 ")"#, "42"),
            (r#"parse_int("-ff", 16)"#, "-255"),
            (r#"parse_float("2.5")"#, "2.5"),
            ("7.to_float()", "7.0"),
            ("'a'.to_int()", "97"),
            ("(-2.7).to_int()", "-2"),
            ("(-9223372036854775808.0).to_int()", "-9223372036854775808"),
            ("2.5.round", "3.0"),
            ("(-2.5).floor()", "-3.0"),
            ("2.25.ceiling", "3.0"),
            ("2.25.int", "2.0"),
            ("2.25.fraction", "0.25"),
            ("9.0.sqrt()", "3.0"),
            ("100.0.log()", "2.0"),
            ("8.0.log(2.0)", "3.0"),
            ("(-1.0).sqrt().is_nan", "true"),
        ] {
            let said = engine.eval::<rhai::Dynamic>(script).expect(script);
            assert_eq!(said.to_string(), value, "{script}");
        }
        for (script, why) in [
            ("9223372036854775808.0.to_int()", "9223372036854776000 is no whole number of 64 bits"),
            ("(-1.0).sqrt().to_int()", "NaN is no whole number of 64 bits"),
            (r#"parse_int("4 2")"#, "`4 2` cannot be read as a whole number: invalid digit found in string"),
            (r#"parse_int("1", 37)"#, "a radix is from 2 to 36, found 37"),
            (r#"parse_float("much")"#, "`much` cannot be read as a number: invalid float literal"),
        ] {
            let said = engine.eval::<rhai::Dynamic>(script).expect_err(script).to_string();
            assert!(said.contains(why), "{script}: {said}");
        }
    }
}
