//! Classifies responses by the retry rules of OTLP/HTTP (opentelemetry-proto docs/specification.md,
//! "OTLP/HTTP Response", v1.9), and computes the wait before a retry.

use std::time::Duration;

use crate::sys::time::Timestamp;

/// Outcome of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The back end accepted it. A part that it rejected is not sent again.
    Accepted {
        /// The server's message about the rejected part, empty if there is none.
        rejected: String,
    },
    /// The request failed, and may succeed later.
    Retry {
        /// The wait that the back end asked for.
        after: Option<Duration>,
        /// Reason for the failure.
        why: String,
        /// True if the back end answered, and a single marker in the request may be at fault.
        may_be_content: bool,
    },
    /// The request was refused, and a retry would fail as well.
    Refused {
        /// The HTTP status, `None` if no response refused it.
        status: Option<u16>,
        /// The back end's message.
        why: String,
    },
}

impl RequestOutcome {
    /// Returns the outcome of a request that got no valid response.
    pub fn unreached(why: String) -> Self {
        Self::Retry { after: None, why, may_be_content: false }
    }
}

/// Returns true if a retry may succeed: for 408, 425 and 429, and for all server errors except 501
/// and 505, which are permanent.
///
/// OTLP would give up at most of these. A proxy on the way may return them as well, for problems
/// that pass (RFC 9110, 15.5.9 and 15.6; RFC 8470, 5.2; RFC 6585, 4 and 6).
pub fn is_retryable(status: u16) -> bool {
    match status {
        408 | 425 | 429 => true,
        501 | 505 => false,
        _ => status >= 500,
    }
}

/// Returns true if a single marker in a refused request may be at fault.
pub fn is_about_content(status: u16) -> bool {
    matches!(status, 400 | 413 | 422)
}

/// Maximum wait that a back end can ask for. A longer one is taken for a mistake.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Parses `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Duration::try_from(http_date(value)?.duration_since(now)).unwrap_or_default(),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Parses a date in a header (RFC 9110, 5.6.7).
pub fn http_date(value: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(value.trim()).ok()
}

/// Time before the deadline at which the last attempt starts, if requests must not start after it.
pub const LAST_ATTEMPT: Duration = Duration::from_millis(50);

/// Exponential back-off with full jitter. Each wait is random, up to a bound that doubles, so that
/// the clients of one back end do not all return at once.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(500);
    const LAST: Duration = Duration::from_secs(60);

    /// Returns the wait after one more failure. `asked` is a lower bound.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let bound = Self::FIRST.saturating_mul(1 << self.failures.min(16)).min(Self::LAST);
        self.failures += 1;
        let drawn = bound.mul_f64(fastrand::f64());
        asked.map_or(drawn, |asked| asked + drawn.min(Self::FIRST))
    }

    /// Returns the wait after one more failure if `left` of the time for retries remains, `None` if
    /// there is no further attempt.
    ///
    /// The wait ends when that time does, so that the last attempt is as late as possible. A wait
    /// that the back end asked for is never shortened.
    pub fn next_within(&mut self, asked: Option<Duration>, left: Duration) -> Option<Duration> {
        let wait = self.next(asked).min(left);
        (!left.is_zero() && asked.is_none_or(|asked| asked <= wait)).then_some(wait)
    }

    /// Resets the back-off after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests;
