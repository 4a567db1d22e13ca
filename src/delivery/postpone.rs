//! Postpones a captured push that could not be decided, or gives it up.

use std::time::Duration;

use crate::{
    config::{self, Config},
    push::PushId,
    state::{
        Capture, Inbox, State, StateError,
        journal::{Record, Trouble},
    },
    sys::time,
};

/// Postpones a push. If the system kept the push from being decided for too long, it becomes a dead
/// letter. A push whose policy failed before stays among the failed ones.
pub(super) fn put_off(
    config: &Config,
    state: &State,
    capture: &mut Capture,
    why: &str,
) -> Result<(), StateError> {
    let push = capture.push_id();
    let now = time::now();
    let postponed = state.postponed().note(push, why, now);
    let tried = postponed.as_ref().map_or(Duration::ZERO, |postponed| {
        Duration::try_from(now.duration_since(postponed.since)).unwrap_or_default()
    });
    if tried > config.delivery.give_up_after && !capture.has_failed(&state.failed()) {
        let tried_for = config::duration_text(config.delivery.give_up_after);
        bury(state, capture, &format!("the push could not be decided for {tried_for}; last error: {why}"))?;
        return state.postponed().forget(push);
    }
    capture.give_back()?;
    let postponed = postponed?;
    let what = format!(
        "the push stays queued and is retried after {} (attempt {} failed): {why}",
        postponed.next.strftime("%Y-%m-%dT%H:%M:%SZ"),
        postponed.attempts
    );
    note(state, push, what);
    Ok(())
}

pub(super) fn bury(state: &State, capture: &Capture, why: &str) -> Result<(), StateError> {
    state.dead_letters().bury_capture(capture, why)?;
    note(state, capture.push_id(), format!("the captured push became a dead letter: {why}"));
    Ok(())
}

pub(super) fn note(state: &State, push: PushId, what: String) {
    state.journal().note([Record::Trouble(Trouble {
        push: Some(push),
        repository: None,
        what: what.into(),
    })]);
}

pub(super) fn captures(state: &State, has_failed: bool) -> Inbox {
    if has_failed { state.failed().captures() } else { state.inbox() }
}
