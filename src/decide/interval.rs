//! What a pusher says of a deployment beside its environment: when it began and ended, and how.

use std::time::Duration;

use crate::{
    marker::{Interval, name},
    policy::{Attributes, Draft, Value},
    push::Push,
    text,
    time::Timestamp,
};

/// When a deployment began: RFC 3339, or seconds since 1970.
const STARTED: &str = "deploy.started";
/// When it was over; without it, with the push.
const FINISHED: &str = "deploy.finished";
/// `deployment.id`.
const ID: &str = "deploy.id";
/// `deployment.status`.
const STATUS: &str = "deploy.status";

/// How long a deployment may have taken. What is older is a mistake of whoever wrote the option.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// How far the pusher's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// How long the id of a deployment may be, in characters.
const MAX_NAME: usize = 256;

/// What `deployment.status` may be (semantic conventions 1.44).
const STATUSES: [&str; 2] = ["succeeded", "failed"];

/// Returns the time that a deployment took, as the push options tell it, and what is wrong with them.
pub(super) fn told(push: &Push, troubles: &mut Vec<String>) -> Option<Interval> {
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
    let is_possible = start <= end
        && Duration::try_from(end.duration_since(start)).is_ok_and(|took| took <= LONGEST)
        && Duration::try_from(end.duration_since(push.time())).map_or(true, |ahead| ahead <= AHEAD)
        && Duration::try_from(push.time().duration_since(end)).map_or(true, |ago| ago <= LONGEST);
    if !is_possible {
        troubles.push(format!(
            "the push options say that the deployment went from {start} to {end}; it is at most seven days, \
             ends at most seven days before the push, and not after it"
        ));
    }
    is_possible.then_some(Interval { start, end })
}

/// Adds what the options say of a deployment by OpenTelemetry's names.
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

/// Returns whether a marker says that the deployment came to nothing: then what ran before runs still.
pub(super) fn has_failed(attributes: &Attributes) -> bool {
    matches!(attributes.get(name::DEPLOYMENT_STATUS), Some(Value::Text(status)) if status == "failed")
}

fn time(said: &str) -> Option<Timestamp> {
    let said = said.trim();
    match said.parse::<i64>() {
        Ok(seconds) => Timestamp::from_second(seconds).ok(),
        Err(_) => said.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_either_form() {
        let expected = "2026-11-26T10:00:00Z".parse().ok();
        for said in ["2026-11-26T10:00:00Z", " 1795687200 ", "2026-11-26T11:00:00+01:00"] {
            assert_eq!(time(said), expected, "{said}");
        }
        for wrong in ["", "now", "99999999999999999", "2026-11-26"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }
}
