//! Starts the delivery after a push or a command was decided.

use crate::{
    config::{Config, DeliveryMode, Destination, UNASSIGNED},
    delivery::{self, Progress, RetryLimit},
    settle::Settled,
    state::{State, cap},
    sys::time::Deadline,
};

/// Starts a delivery if this push or an earlier one left work in the spool, unless one was started
/// already. With inline delivery, first calls `on_inline` and tries to send everything from this
/// process. Errors go to `trouble`.
pub(super) fn start(
    config: &Config,
    state: &State,
    settled: &Settled,
    on_inline: &dyn Fn(),
    trouble: &dyn Fn(&str),
) {
    if settled.is_left || !settled.failed.is_empty() {
        return detach(config, trouble);
    }
    if settled.called_on_placed || !has_work(config, state, settled.marked) {
        return;
    }
    if config.delivery.mode == DeliveryMode::Inline && !config.destinations.is_empty() {
        on_inline();
        let patience = RetryLimit::OnceWithin(Deadline::after(config.delivery.timeout));
        match delivery::drain(config, state, patience, &Progress::default()) {
            Ok(drained) if drained.left == 0 => return,
            Ok(_) => {}
            Err(err) => trouble(&err.to_string()),
        }
    }
    detach(config, trouble);
}

/// Starts the delivery in the background.
pub(super) fn detach(config: &Config, trouble: &dyn Fn(&str)) {
    if let Err(err) = delivery::detach(config) {
        trouble(&format!("failed to start the delivery; the next push retries: {err}"));
    }
}

/// Returns true if a delivery has work to do. Without a destination, it decides captures that were
/// left, and merges and caps what waits.
fn has_work(config: &Config, state: &State, marked: usize) -> bool {
    if state.inbox().list().is_ok_and(|names| !names.is_empty()) {
        return true;
    }
    if config.destinations.is_empty() {
        let unassigned = state.outbox(UNASSIGNED);
        return marked > 0 && cap::is_due(&unassigned, config.spool, config.merge_at).unwrap_or(true);
    }
    let waits =
        |destination: &Destination| state.outbox(&destination.name).is_empty().is_ok_and(|empty| !empty);
    marked > 0 || config.destinations.iter().any(waits)
}
