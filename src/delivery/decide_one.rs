//! The decider: the process that decides one captured push.

use std::{process::ExitCode, time::Duration};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};

use super::{
    enrich,
    postpone::{bury, captures, note, put_off},
};
use crate::{
    config::Config,
    settle::{Mode, settle},
    state::{State, StateError, inbox::Claim},
    sys::alloc_meter,
    sys::time::Deadline,
};

/// Time for which a decider works on one push before it exits normally with the rest undecided.
const TURN: Duration = Duration::from_secs(20);

/// Processor time limit of a decider, in seconds. The kernel kills the decider then.
pub(super) const CPU: u64 = 60;

/// Exit status of a decider that left the rest of a push to be decided at once.
pub(super) const HAS_MORE: u8 = 80;
/// Exit status of a decider that postponed its push.
pub(super) const HAS_POSTPONED: u8 = 81;
/// Exit status of a decider whose push waits for Gitea's API.
pub(super) const HAS_DELAYED: u8 = 83;
/// Exit status of a decider that reached the memory ceiling.
pub(super) const AT_CEILING: u8 = 82;

/// Decides one captured push. This runs in the process that a drain started for it. With `gitea_rests`,
/// Gitea's API did not answer for another push a moment ago, and is not asked.
///
/// # Errors
/// Returns an error if the state cannot be read or written.
pub fn decide_one(
    config: &Config,
    state: &State,
    name: &str,
    has_failed: bool,
    parent: i32,
    gitea_rests: bool,
) -> Result<ExitCode, StateError> {
    alloc_meter::exit_at_ceiling(AT_CEILING);
    confine();
    if Pid::as_raw(getppid()) != parent {
        // The parent died before `confine` asked the kernel to kill this process with it.
        return Ok(ExitCode::SUCCESS);
    }
    let Claim::Ours(mut capture) = captures(state, has_failed).claim(name)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let push = capture.push_id();
    let captured = match capture.read() {
        Ok(captured) => captured,
        Err(err) if err.is_of_system() => {
            put_off(config, state, &mut capture, &err.to_string())?;
            return Ok(ExitCode::from(HAS_POSTPONED));
        }
        Err(err) if capture.next() == 0 && !has_failed && state.is_finished(push) => {
            capture.done()?;
            note(
                state,
                push,
                format!("removed a damaged capture of a push that was decided before a power cut: {err}"),
            );
            return Ok(ExitCode::SUCCESS);
        }
        Err(err) => {
            bury(state, &capture, &err.to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let captured = match enrich::enrich(config, state, &mut capture, captured, gitea_rests) {
        Ok(Some(captured)) => captured,
        Ok(None) => {
            capture.give_back()?;
            return Ok(ExitCode::from(HAS_DELAYED));
        }
        Err(err) => {
            put_off(config, state, &mut capture, &err.to_string())?;
            return Ok(ExitCode::from(HAS_POSTPONED));
        }
    };
    let mode = Mode::Background { turn: Deadline::after(TURN) };
    match settle(config, state, &mut capture, captured, mode) {
        Ok(settled) => match settled.postponed {
            Some(why) => {
                put_off(config, state, &mut capture, &why)?;
                Ok(ExitCode::from(HAS_POSTPONED))
            }
            None if settled.is_left => Ok(ExitCode::from(HAS_MORE)),
            None => {
                state.postponed().forget(push)?;
                Ok(ExitCode::SUCCESS)
            }
        },
        Err(err) => {
            put_off(config, state, &mut capture, &err.to_string())?;
            Ok(ExitCode::from(HAS_POSTPONED))
        }
    }
}

/// Limits this process, so that a hostile push cannot use up the machine. The kernel kills it when
/// its parent dies.
fn confine() {
    // A hostile push cannot make any of these calls fail.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    for (resource, limit) in [(Resource::Cpu, CPU), (Resource::Core, 0)] {
        let maximum = getrlimit(resource).maximum;
        let current = Some(maximum.map_or(limit, |maximum| maximum.min(limit)));
        let _ = setrlimit(resource, Rlimit { current, maximum });
    }
}
