//! Reads the push options that describe a deployment: its start, end, id and status.

use std::time::Duration;

use thiserror::Error;

use super::options::{FINISHED, ID, STARTED, STATUS};
use crate::{
    marker::{FAILED, Interval, SUCCEEDED, Value, name},
    policy::Draft,
    push::Push,
    sys::time::Timestamp,
    text,
};

/// Maximum duration of a deployment, and maximum time between its end and the push. A larger value
/// in a push option is taken for a mistake.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// Maximum lead of the pusher's clock over ours.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// Maximum length of a deployment's id, in characters.
const MAX_NAME: usize = 256;

/// Values of `deployment.status` (semantic conventions 1.44).
const STATUSES: [&str; 2] = [SUCCEEDED, FAILED];

/// A reason why a deployment cannot have run at the reported times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IntervalError {
    /// The start is later than now.
    #[error("starts in the future")]
    StartsInFuture,
    /// The end is later than now.
    #[error("ends in the future")]
    EndsInFuture,
    /// The end is earlier than the start.
    #[error("ends before it starts")]
    EndsBeforeStart,
    /// The end is more than [`LONGEST`] ago.
    #[error("ended more than seven days ago")]
    TooOld,
    /// It took more than [`LONGEST`].
    #[error("took more than seven days")]
    TooLong,
}

/// Returns the interval of the deployment that the push options give. Adds to `troubles` what is
/// wrong with them.
pub(super) fn stated_interval(push: &Push, troubles: &mut Vec<String>) -> Option<Interval> {
    let mut read = |key: &str| {
        let said = push.source().options.get(key)?;
        let time = time(said);
        if time.is_none() {
            troubles.push(format!(
                "the push option `{key}` is `{}`, expected a time such as 2026-11-26T10:00:00Z or seconds since 1970",
                text::line(said)
            ));
        }
        time
    };
    let (start, finished) = (read(STARTED), read(FINISHED));
    let (start, end) = (start?, finished.unwrap_or(push.time()));
    let possible = possible_interval(start, end, push.time());
    if possible.is_err() {
        troubles.push(format!(
            "the push options say that the deployment ran from {start} to {end}; it may take at most seven \
             days, and must end within the seven days before the push"
        ));
    }
    possible.ok()
}

/// Returns the interval of a deployment that is reported now.
///
/// # Errors
/// If it cannot be true.
pub fn possible_interval(
    start: Timestamp,
    end: Timestamp,
    now: Timestamp,
) -> Result<Interval, IntervalError> {
    let is_longer = |from: Timestamp, to: Timestamp, most: Duration| {
        Duration::try_from(to.duration_since(from)).is_ok_and(|took| took > most)
    };
    if is_longer(now, start, AHEAD) {
        Err(IntervalError::StartsInFuture)
    } else if is_longer(now, end, AHEAD) {
        Err(IntervalError::EndsInFuture)
    } else if end < start {
        Err(IntervalError::EndsBeforeStart)
    } else if is_longer(end, now, LONGEST) {
        Err(IntervalError::TooOld)
    } else if is_longer(start, end, LONGEST) {
        Err(IntervalError::TooLong)
    } else {
        Ok(Interval { start, end })
    }
}

/// Adds the deployment's id and status from the push options, under OpenTelemetry's attribute
/// names.
pub(super) fn describe(draft: &mut Draft, push: &Push, troubles: &mut Vec<String>) {
    let options = &push.source().options;
    let mut add = |name: &'static str, value: &str| {
        let value = text::name(value.as_bytes(), MAX_NAME);
        draft.attributes.entry(name.into()).or_insert(Value::Text(value));
    };
    if let Some(id) = options.get(ID).filter(|id| !id.is_empty()) {
        add(name::DEPLOYMENT_ID, id);
    }
    match options.get(STATUS) {
        Some(status) if STATUSES.contains(&status) => add(name::DEPLOYMENT_STATUS, status),
        Some(status) => troubles.push(format!(
            "the push option `{STATUS}` is `{}`, expected `succeeded` or `failed`",
            text::line(status)
        )),
        None => {}
    }
}

fn time(said: &str) -> Option<Timestamp> {
    let said = said.trim();
    match said.parse::<i64>() {
        Ok(seconds) => Timestamp::from_second(seconds).ok(),
        Err(_) => said.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
