//! What an answer means: the retry classes of OTLP/HTTP (opentelemetry-proto
//! docs/specification.md, "OTLP/HTTP Response", v1.9), and how long to wait.

use std::time::Duration;

use crate::time::Timestamp;

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The back end has it. What it rejected of it is not sent again.
    Accepted {
        /// What it said about the part that it rejected, empty if there is none.
        rejected: String,
    },
    /// It may work later.
    Retry {
        /// How long the back end asked to be left alone.
        after: Option<Duration>,
        /// What happened.
        why: String,
    },
    /// It will never work.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the back end said.
        why: String,
    },
}

/// Returns whether a status may go away by itself: 429, 502, 503 and 504, no other.
pub fn is_retryable(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// Returns whether a status of a server that is no OTLP receiver may go away by itself. Beside those four: 408, 425 and 500,
/// of which OTLP alone says that they do not (RFC 9110, 15.5.9; RFC 8470, 5.2).
pub fn is_retryable_anywhere(status: u16) -> bool {
    is_retryable(status) || matches!(status, 408 | 425 | 500)
}

/// Returns whether a refusal may be the fault of a single marker in the request.
pub fn is_about_content(status: u16) -> bool {
    matches!(status, 400 | 413 | 422)
}

/// How long a back end may ask to be left alone; more is taken for a mistake.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Reads `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Duration::try_from(http_date(value)?.duration_since(now)).unwrap_or_default(),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Reads a date in a header (RFC 9110, 5.6.7).
pub fn http_date(value: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(value.trim()).ok()
}

/// Exponential backoff with full jitter: each wait is drawn evenly from nothing to a bound that
/// doubles, so that many clients of one back end do not come back all at once.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(500);
    const LAST: Duration = Duration::from_secs(60);

    /// Returns how long to wait after one more failure; `asked` is a lower bound.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let bound = Self::FIRST.saturating_mul(1 << self.failures.min(16)).min(Self::LAST);
        self.failures += 1;
        let drawn = bound.mul_f64(fastrand::f64());
        asked.map_or(drawn, |asked| asked + drawn.min(Self::FIRST))
    }

    /// Forgets all failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_four_statuses_are_tried_again() {
        let tried: Vec<_> = (100..600).filter(|status| is_retryable(*status)).collect();
        assert_eq!(tried, [429, 502, 503, 504]);
        let tried: Vec<_> = (100..600).filter(|status| is_retryable_anywhere(*status)).collect();
        assert_eq!(tried, [408, 425, 429, 500, 502, 503, 504]);
    }

    #[test]
    fn retry_after_has_two_forms() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("valid");
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 22 Nov 2026 12:00:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 22 Nov 2026 11:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("999999999", now), Some(MAX_RETRY_AFTER));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-1", now), None);
    }

    #[test]
    fn waits_stay_below_a_bound_that_doubles() {
        let mut backoff = Backoff::default();
        for nth in 0..20 {
            let bound = Backoff::FIRST.saturating_mul(1 << nth.min(16)).min(Backoff::LAST);
            assert!(backoff.next(None) <= bound);
        }
        backoff.reset();
        let asked = Duration::from_secs(30);
        let wait = backoff.next(Some(asked));
        assert!((asked..=asked + Backoff::FIRST).contains(&wait));
    }
}
