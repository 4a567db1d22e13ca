//! Decides captured pushes in the background, each in its own process.
//!
//! Policies and repositories are untrusted input, and may crash or hang the process that decides.
//! The deliverer must survive that, so it starts a decider for each push, with limits on processor
//! time and wall time. The decider's exit tells what to do with the push:
//!
//! | exit of the decider | the push |
//! |---|---|
//! | normal exit | is decided, continues at once, or was postponed by the decider |
//! | memory ceiling, processor time limit, crash | is decided again, one update at a time |
//! | the same again, on a single update | goes on without that update, which is marked as failed |
//! | wall time limit, killed from outside, error | is postponed, twice as long each time |

use std::{
    collections::VecDeque,
    env,
    io::{self, Read as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Signal, getpid};

use super::{
    decide_one::{AT_CEILING, CPU, HAS_DELAYED, HAS_MORE, HAS_POSTPONED},
    detach,
    postpone::{captures, put_off},
};
use crate::{
    config::Config,
    policy::Fingerprint,
    push::PushId,
    settle,
    state::{Capture, Inbox, State, StateError, inbox::Claim},
    sys::child,
    sys::fault::{self, Step},
    sys::time::{self, Deadline},
    text,
};

/// Maximum number of pushes that are decided at once. A push that hangs blocks only one worker.
const AT_ONCE: usize = 4;

/// Wall time limit of a decider. The deliverer kills the decider then.
const WALL: Duration = Duration::from_secs(60);

/// Maximum number of crashes of a push's deciders without a known faulty update. After that, the
/// push is postponed.
const MAX_DEATHS: u32 = 3;

/// Maximum number of bytes that are read from a decider's standard error.
const MAX_SAID: u64 = 8 << 10;

/// Interval between two looks at a push that another process is deciding.
const HELD_TICK: Duration = Duration::from_millis(20);

/// A captured push to decide, by file name. The name changes while the push is decided. The id does
/// not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PendingDecision {
    has_failed: bool,
    push: PushId,
    name: String,
}

/// Decides all captured pushes.
pub(super) struct Deciders<'a> {
    config: &'a Config,
    state: &'a State,
    /// Fingerprint of the scripts from before any decider read them.
    policy: Fingerprint,
    /// Pushes that wait for Gitea's API.
    delayed: Mutex<Vec<PushId>>,
    /// Called whenever new markers may be in the outboxes.
    on_settled: &'a (dyn Fn() + Sync),
}

/// Result of one pass over all captured pushes.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Time until the first postponed push is due.
    pub next: Option<Duration>,
    /// The first error that kept a push from being decided.
    pub failure: Option<StateError>,
}

/// Result of one decider run.
enum DeciderExit {
    /// The push is decided or postponed, or another process has it.
    Over,
    /// The push has to be decided again at once.
    Again,
}

impl<'a> Deciders<'a> {
    pub fn new(config: &'a Config, state: &'a State, on_settled: &'a (dyn Fn() + Sync)) -> Self {
        Self { config, state, policy: Fingerprint::of(config), delayed: Mutex::default(), on_settled }
    }

    /// Decides every captured push that is due, and with `at_once` the postponed ones as well.
    /// Pushes whose policy failed are due once their scripts or the configuration changed.
    ///
    /// # Errors
    /// Returns an error if the captured pushes cannot be listed.
    pub fn pass(&self, at_once: bool) -> Result<Pass, StateError> {
        let mut pass = Pass::default();
        let jobs = self.due(at_once, &mut pass)?;
        let workers = AT_ONCE.min(jobs.len());
        let (jobs, failure) = (Mutex::new(jobs), Mutex::new(None));
        let work = || {
            while let Some(job) = locked(&jobs).pop_front() {
                if let Err(err) = self.decide(job) {
                    locked(&failure).get_or_insert(err);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..workers {
                // If the system cannot start another thread, the existing ones do all the work.
                let _ = fault::point(Step::Thread, self.state.dir())
                    .and_then(|()| thread::Builder::new().spawn_scoped(scope, work));
            }
            work();
        });
        let now = time::now();
        let delayed = locked(&self.delayed);
        let waits = delayed.iter().filter_map(|push| Some(self.state.postponed().read(*push)?.wait(now)));
        pass.next = waits.chain(pass.next).min();
        pass.failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(pass)
    }

    fn due(&self, at_once: bool, pass: &mut Pass) -> Result<VecDeque<PendingDecision>, StateError> {
        let now = time::now();
        let mut jobs = VecDeque::new();
        let mut add = |job: PendingDecision| {
            let wait = self.state.postponed().read(job.push).map(|postponed| postponed.wait(now));
            match wait.filter(|wait| !wait.is_zero() && !at_once) {
                Some(wait) => pass.next = Some(pass.next.map_or(wait, |next| next.min(wait))),
                None => jobs.push_back(job),
            }
        };
        for name in self.state.inbox().list()? {
            if let Some(push) = Inbox::push_of(&name) {
                add(PendingDecision { has_failed: false, push, name });
            }
        }
        for name in self.state.failed().list()? {
            let Some(push) = Inbox::push_of(&name) else { continue };
            if !self.waits_for_a_change(push) {
                add(PendingDecision { has_failed: true, push, name });
            }
        }
        Ok(jobs)
    }

    /// Returns true if the present scripts failed on the push already.
    fn waits_for_a_change(&self, push: PushId) -> bool {
        // If the reason of the failure cannot be read, decide the push again.
        let known = self.state.failed().read(push).ok().flatten();
        known.is_some_and(|known| known.policy == Some(self.policy.with_page(known.hook_page.as_deref())))
    }

    fn decide(&self, mut job: PendingDecision) -> Result<(), StateError> {
        loop {
            let end = self.decide_once(&job);
            (self.on_settled)();
            match end? {
                // A part of it may have failed before the scripts changed.
                DeciderExit::Over if !job.has_failed && !self.waits_for_a_change(job.push) => {
                    job.has_failed = true;
                }
                DeciderExit::Over => return Ok(()),
                DeciderExit::Again => {}
            }
            match captures(self.state, job.has_failed).find(job.push)? {
                Some(name) => job.name = name,
                None => return Ok(()),
            }
        }
    }

    fn decide_once(&self, job: &PendingDecision) -> Result<DeciderExit, StateError> {
        let (status, said) = match self.run_decider(job) {
            Ok(ended) => ended,
            Err(err) => return self.postpone(job, &format!("failed to start the decider process: {err}")),
        };
        let Some(status) = status else {
            return self.postpone(job, &format!("not decided within {} s", WALL.as_secs()));
        };
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(DeciderExit::Over),
            (Some(code), _) if code == i32::from(HAS_MORE) => Ok(DeciderExit::Again),
            (Some(code), _) if code == i32::from(HAS_POSTPONED) => Ok(DeciderExit::Over),
            (Some(code), _) if code == i32::from(HAS_DELAYED) => {
                locked(&self.delayed).push(job.push);
                Ok(DeciderExit::Over)
            }
            (Some(code), _) if code == i32::from(AT_CEILING) => {
                self.blame(job, "the script used far more memory than `[policy.limits] memory` allows")
            }
            (_, Some(signal)) if signal == Signal::XCPU.as_raw() => {
                self.blame(job, &format!("the script used up its limit of {CPU} s of CPU time"))
            }
            (_, Some(signal)) if is_crash(signal) => self.blame(
                job,
                &format!(
                    "the script crashed the decider process with signal {signal}; please report this bug"
                ),
            ),
            (_, Some(signal)) => self.postpone(job, &format!("decider process killed by signal {signal}")),
            (code, _) => {
                let said = if said.is_empty() { "no error output".into() } else { said };
                self.postpone(
                    job,
                    &format!("decider process exited with status {}: {said}", code.unwrap_or(-1)),
                )
            }
        }
    }

    /// Runs a decider. Returns `None` as its status if it was killed at the wall time limit.
    fn run_decider(&self, job: &PendingDecision) -> io::Result<(Option<ExitStatus>, String)> {
        let binary = detach::own_binary();
        let mut command = child::command(&binary);
        command
            .arg("deliver")
            .arg(if job.has_failed { "--decide-failed" } else { "--decide" })
            .arg(&job.name)
            .arg("--parent")
            .arg(getpid().as_raw_nonzero().to_string());
        // One push finds out that Gitea does not answer, and the others do not wait for that too.
        command.args((!locked(&self.delayed).is_empty()).then_some("--gitea-rests"));
        if let Some(path) = &self.config.path {
            command.arg("--config").arg(path);
        }
        command
            .envs(detach::secret_variables(self.config))
            .envs(fault::variables().iter().filter_map(|name| Some((name, env::var_os(name)?))))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for this process. If it ends, the kernel kills the decider.
            .process_group(0);
        fault::point(Step::Decider, &binary)?;
        let mut decider = command.spawn()?;
        let status = child::wait(&mut decider, Deadline::after(WALL))?;
        let mut said = Vec::new();
        if let Some(stderr) = decider.stderr.take() {
            // The decider has exited, so all of its output is in the pipe.
            let _ = stderr.take(MAX_SAID).read_to_end(&mut said);
        }
        Ok((status, text::line(said.trim_ascii())))
    }

    /// Finds the update that ended its decider, and marks it as failed once it is known.
    fn blame(&self, job: &PendingDecision, why: &str) -> Result<DeciderExit, StateError> {
        let Some(mut capture) = self.claim(job)? else { return Ok(DeciderExit::Over) };
        if capture.was_alone() {
            let captured = capture.read()?;
            let policy = self.policy.with_page(captured.hook_page.as_deref());
            settle::fail_next(self.config, self.state, &mut capture, &captured, policy, why)?;
            return Ok(DeciderExit::Again);
        }
        if capture.attempts() <= MAX_DEATHS {
            // The next decider decides one update at a time.
            return Ok(DeciderExit::Again);
        }
        put_off(self.config, self.state, &mut capture, why)?;
        Ok(DeciderExit::Over)
    }

    fn postpone(&self, job: &PendingDecision, why: &str) -> Result<DeciderExit, StateError> {
        if let Some(mut capture) = self.claim(job)? {
            put_off(self.config, self.state, &mut capture, why)?;
        }
        Ok(DeciderExit::Over)
    }

    fn claim(&self, job: &PendingDecision) -> Result<Option<Capture>, StateError> {
        let captures = captures(self.state, job.has_failed);
        let Some(name) = captures.find(job.push)? else { return Ok(None) };
        match captures.claim(&name)? {
            Claim::Ours(capture) => Ok(Some(capture)),
            Claim::Taken => Ok(None),
        }
    }
}

/// Decides every captured push that waits, whether or not it is due.
///
/// # Errors
/// Returns an error if the state cannot be read or written.
pub fn decide_waiting(config: &Config, state: &State) -> Result<(), StateError> {
    Deciders::new(config, state, &|| {}).pass(true)?.failure.map_or(Ok(()), Err)
}

/// Decides one captured push, and waits for another process that is deciding it. Returns the reason
/// if the push was postponed.
///
/// # Errors
/// Returns an error if the state cannot be read or written.
pub fn decide_push(config: &Config, state: &State, push: PushId) -> Result<Option<String>, StateError> {
    let deciders = Deciders::new(config, state, &|| {});
    while let Some(name) = state.inbox().find(push)? {
        deciders.decide(PendingDecision { has_failed: false, push, name })?;
        if state.inbox().find(push)?.is_none() {
            break;
        }
        if let Some(postponed) = state.postponed().read(push) {
            return Ok(Some(postponed.why));
        }
        // Another process holds the capture.
        thread::sleep(HELD_TICK);
    }
    Ok(None)
}

/// Returns true for signals that a fault of the process causes.
fn is_crash(signal: i32) -> bool {
    [Signal::SEGV, Signal::BUS, Signal::ILL, Signal::FPE, Signal::ABORT, Signal::SYS, Signal::TRAP]
        .iter()
        .any(|crash| crash.as_raw() == signal)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
