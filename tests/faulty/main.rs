//! The program, with one fault in it.
//!
//! It is gitea-lightstep in every other respect, but for the detached process, which it never starts:
//! so that a test knows who delivers. `GITEA_LIGHTSTEP_FAULT` says what happens at which step:
//!
//! | value | what happens |
//! |---|---|
//! | `kill@7` | the 7th step kills the process |
//! | `stall@7` | the 7th step never comes to an end, as on a file system whose server is gone |
//! | `stall@7+` | and no step after it does, in any thread |
//! | `ENOSPC@7` | the 7th step at which the system could say so fails with that error |
//! | `ENOSPC@7+` | and so does each one after it |
//! | `short@2` | the 2nd write takes the first few bytes, then the disk is full |
//! | `torn@2` | the 2nd write takes the first few bytes, then the process is killed |
//!
//! `GITEA_LIGHTSTEP_FAULT_REPORT` names a file that is made when it happens. It holds the step, and a second
//! line if a capture had its name by then: its push is accepted.

use std::{
    env, fs, io,
    path::Path,
    process::ExitCode,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use gitea_lightstep::{
    cli,
    fault::{self, Step},
};
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit},
};

/// How many bytes of a write that is cut short are taken: no file of ours is that small.
const TAKEN: u64 = 25;

struct Plan {
    act: Act,
    nth: usize,
    goes_on: bool,
}

#[derive(Clone, Copy)]
enum Act {
    Kill,
    Stall,
    Fail(Errno),
    /// The rest of a write fails with an error, or kills the process.
    Cut(Option<Errno>),
}

static PLAN: OnceLock<Plan> = OnceLock::new();
static STEPS: AtomicUsize = AtomicUsize::new(0);
static IS_CUT: AtomicBool = AtomicBool::new(false);
static HAS_CAPTURE: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    if let Some(plan) = env::var("GITEA_LIGHTSTEP_FAULT").ok().filter(|plan| !plan.is_empty()) {
        let plan = parse(&plan).unwrap_or_else(|| panic!("cannot read GITEA_LIGHTSTEP_FAULT `{plan}`"));
        PLAN.get_or_init(|| plan);
    }
    fault::arm(step);
    cli::run(env::args_os())
}

fn parse(plan: &str) -> Option<Plan> {
    let (act, nth) = plan.split_once('@')?;
    let act = match act {
        "kill" => Act::Kill,
        "stall" => Act::Stall,
        "short" => Act::Cut(Some(Errno::NOSPC)),
        "torn" => Act::Cut(None),
        "ENOSPC" => Act::Fail(Errno::NOSPC),
        "EDQUOT" => Act::Fail(Errno::DQUOT),
        "EAGAIN" => Act::Fail(Errno::AGAIN),
        "EROFS" => Act::Fail(Errno::ROFS),
        "EMFILE" => Act::Fail(Errno::MFILE),
        "EIO" => Act::Fail(Errno::IO),
        _ => return None,
    };
    let goes_on = nth.ends_with('+');
    Some(Plan { act, nth: nth.trim_end_matches('+').parse().ok()?, goes_on })
}

fn step(step: Step, what: &Path) -> io::Result<()> {
    if let Some(plan) = PLAN.get().filter(|plan| is_meant(plan.act, step, what)) {
        let nth = STEPS.fetch_add(1, Ordering::SeqCst) + 1;
        if nth == plan.nth || (nth > plan.nth && (plan.goes_on || IS_CUT.load(Ordering::SeqCst))) {
            happen(plan, nth, step, what)?;
        }
    }
    if step == Step::Rename && what.to_string_lossy().contains("/inbox/.") {
        HAS_CAPTURE.store(true, Ordering::SeqCst);
    }
    if step == Step::Spawn { Err(Errno::AGAIN.into()) } else { Ok(()) }
}

/// Returns whether a step can end so. `kill` and EIO can strike everywhere.
fn is_meant(act: Act, step: Step, what: &Path) -> bool {
    use Step::*;
    match act {
        Act::Kill | Act::Fail(Errno::IO) => true,
        // To start something, no disk is needed that could fail to answer.
        Act::Stall => !matches!(step, Spawn | Thread),
        Act::Cut(_) => step == Write,
        Act::Fail(Errno::MFILE) => matches!(step, List | Create | Open | SyncDir | Send | Spawn),
        Act::Fail(Errno::AGAIN) => matches!(step, Spawn | Thread),
        Act::Fail(Errno::ROFS) => matches!(step, MakeDir | Create | Rename | Remove),
        // A full disk still opens what is there, and gives it another name.
        Act::Fail(_) => {
            matches!(step, MakeDir | Write | Sync | SyncDir) || (step == Create && !what.exists())
        }
    }
}

fn happen(plan: &Plan, nth: usize, step: Step, what: &Path) -> io::Result<()> {
    if nth == plan.nth
        && let Some(report) = env::var_os("GITEA_LIGHTSTEP_FAULT_REPORT")
    {
        let has_capture = if HAS_CAPTURE.load(Ordering::SeqCst) { "\naccepted" } else { "" };
        fs::write(report, format!("{step:?} {}{has_capture}", what.display()))?;
    }
    match plan.act {
        Act::Kill => die(),
        Act::Stall => stall(),
        Act::Fail(errno) => Err(errno.into()),
        Act::Cut(_) if !IS_CUT.swap(true, Ordering::SeqCst) => {
            let there = fs::metadata(what).map_or(0, |file| file.len());
            limit_files(Some(there + TAKEN))
        }
        Act::Cut(end) => {
            IS_CUT.store(false, Ordering::SeqCst);
            limit_files(None)?;
            end.map_or_else(die, |errno| Err(errno.into()))
        }
    }
}

fn limit_files(bytes: Option<u64>) -> io::Result<()> {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).map_err(Into::into)
}

fn die() -> io::Result<()> {
    kill_process(getpid(), Signal::KILL)?;
    // The signal is on its way.
    stall()
}

fn stall() -> io::Result<()> {
    loop {
        std::thread::park();
    }
}
