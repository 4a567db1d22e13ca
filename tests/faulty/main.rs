//! The program with one injected fault.
//!
//! It behaves like gitea-lightstep, except that it never starts the detached deliverer, so that the
//! test controls each delivery. `GITEA_LIGHTSTEP_FAULT` selects the fault and the step:
//!
//! | value | effect |
//! |---|---|
//! | `kill@7` | the 7th step kills the process |
//! | `stall@7` | the 7th step blocks forever, as on a network file system without its server |
//! | `stall@7+` | the 7th and every later step blocks forever, in every thread |
//! | `ENOSPC@7` | the 7th step that can fail with this error fails with it |
//! | `ENOSPC@7+` | so does every later one |
//! | `short@2` | the 2nd write stores the first few bytes, then the disk is full |
//! | `torn@2` | the 2nd write stores the first few bytes, then the process is killed |
//! | `ENOSPC@/outbox/` | every such step whose path contains `/outbox/` fails |
//! | `stall@/outbox/` | every step on such a path blocks forever |
//! | `read:EIO@3` | the 3rd reading step fails; also ENFILE, ESTALE, ENOENT, EACCES and ENOMEM |
//! | `TERM@7` | the process gets this signal at the 7th step, and goes on; also INT |
//! | `system:EIO@3` | any of these faults, but only in `install --system` and `uninstall --system` |
//! | `decider:EIO@3` | any of these faults, but only in the decider process in the background |
//!
//! `GITEA_LIGHTSTEP_FAULT_CLOCK` sets the program's clock, in seconds since 1970.
//!
//! `GITEA_LIGHTSTEP_FAULT_RECORD` names a file that receives a snapshot of the directory
//! `GITEA_LIGHTSTEP_FAULT_RECORD_OF` before each step.
//!
//! `GITEA_LIGHTSTEP_FAULT_TRACE` names a file that receives one line for each step, with its path.
//!
//! `GITEA_LIGHTSTEP_FAULT_REPORT` names a file that is created when the fault occurs. It contains
//! the step, and the line `accepted` if a capture already had its final name, because its push is
//! accepted from then on.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write as _},
    os::unix::fs::DirEntryExt as _,
    path::Path,
    process::ExitCode,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gitea_lightstep::{
    cli,
    internals::fault::{self, Step},
};
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit},
};

/// Number of bytes that a truncated write stores; all files of the program are larger.
const TAKEN: u64 = 25;

struct Plan {
    act: Act,
    nth: usize,
    goes_on: bool,
    /// Substring of the paths to which the fault applies.
    on: String,
}

#[derive(Clone, Copy)]
enum Act {
    Kill,
    Stall,
    Send(Signal),
    Fail(Errno),
    /// Fails a step that reads.
    FailRead(Errno),
    /// Truncates a write, then fails with an error, or kills the process if there is none.
    Cut(Option<Errno>),
}

static PLAN: OnceLock<Plan> = OnceLock::new();
static STEPS: AtomicUsize = AtomicUsize::new(0);
static IS_CUT: AtomicBool = AtomicBool::new(false);
static HAS_CAPTURE: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let is_started_with = |start: &str| env::args().any(|arg| arg.starts_with(start));
    let plan = env::var("GITEA_LIGHTSTEP_FAULT").ok().and_then(|plan| match plan.split_once(':') {
        Some(("decider", plan)) => is_started_with("--decide").then(|| plan.to_string()),
        Some(("system", plan)) => is_started_with("--system").then(|| plan.to_string()),
        _ => Some(plan).filter(|plan| !plan.is_empty()),
    });
    if let Some(plan) = plan {
        let plan = parse(&plan).unwrap_or_else(|| panic!("cannot read GITEA_LIGHTSTEP_FAULT `{plan}`"));
        PLAN.get_or_init(|| plan);
    }
    fault::arm(step);
    fault::arm_clock(clock);
    cli::run(env::args_os())
}

fn parse(plan: &str) -> Option<Plan> {
    let (act, nth) = plan.split_once('@')?;
    let on = if nth.starts_with('/') { nth } else { "" };
    let nth = if nth.starts_with('/') { "1+" } else { nth };
    let act = match act.strip_prefix("read:") {
        Some(errno) => {
            return Some(Plan {
                act: Act::FailRead(read_errno(errno)?),
                nth: nth.parse().ok()?,
                goes_on: false,
                on: on.into(),
            });
        }
        None => act,
    };
    let act = match act {
        "kill" => Act::Kill,
        "stall" => Act::Stall,
        "TERM" => Act::Send(Signal::TERM),
        "INT" => Act::Send(Signal::INT),
        "short" => Act::Cut(Some(Errno::NOSPC)),
        "torn" => Act::Cut(None),
        "ENOSPC" => Act::Fail(Errno::NOSPC),
        "EDQUOT" => Act::Fail(Errno::DQUOT),
        "EAGAIN" => Act::Fail(Errno::AGAIN),
        "EROFS" => Act::Fail(Errno::ROFS),
        "EMFILE" => Act::Fail(Errno::MFILE),
        "EIO" => Act::Fail(Errno::IO),
        "EACCES" => Act::Fail(Errno::ACCESS),
        _ => return None,
    };
    let goes_on = nth.ends_with('+');
    Some(Plan { act, nth: nth.trim_end_matches('+').parse().ok()?, goes_on, on: on.into() })
}

fn read_errno(name: &str) -> Option<Errno> {
    Some(match name {
        "EIO" => Errno::IO,
        "EMFILE" => Errno::MFILE,
        "ENFILE" => Errno::NFILE,
        "ESTALE" => Errno::STALE,
        "ENOENT" => Errno::NOENT,
        "EACCES" => Errno::ACCESS,
        "ENOMEM" => Errno::NOMEM,
        _ => return None,
    })
}

fn step(step: Step, what: &Path) -> io::Result<()> {
    trace(step, what)?;
    record(step, what)?;
    let is_struck =
        |plan: &&Plan| is_meant(plan.act, step, what) && what.to_string_lossy().contains(&plan.on);
    if let Some(plan) = PLAN.get().filter(is_struck) {
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

/// Records the tree before a step. It may include a change that another thread is making.
fn record(step: Step, what: &Path) -> io::Result<()> {
    static ONE: Mutex<()> = Mutex::new(());
    let (Some(path), Some(dir)) =
        (env::var_os("GITEA_LIGHTSTEP_FAULT_RECORD"), env::var_os("GITEA_LIGHTSTEP_FAULT_RECORD_OF"))
    else {
        return Ok(());
    };
    let _one = ONE.lock();
    let dir = Path::new(&dir);
    let mut tree = tree(dir);
    // A file that is renamed during the listing is seen twice or not at all, so list until two
    // results agree.
    loop {
        let again = self::tree(dir);
        if again == tree {
            break;
        }
        tree = again;
    }
    let thread = format!("{:?}", std::thread::current().id());
    let step = serde_json::json!({
        "step": format!("{step:?}"), "path": what.to_string_lossy(), "thread": thread, "tree": tree
    });
    let mut file = fs::File::options().create(true).append(true).open(path)?;
    file.write_all(format!("{step}\n").as_bytes())
}

/// Returns the paths below a directory with their inodes, and the content of files in hexadecimal.
fn tree(dir: &Path) -> BTreeMap<String, (u64, Option<String>)> {
    let mut tree = BTreeMap::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
            let content = fs::read(&path).ok();
            let content = content.map(|content| content.iter().map(|byte| format!("{byte:02x}")).collect());
            tree.insert(name, (entry.ino(), content));
            if path.is_dir() {
                dirs.push(path);
            }
        }
    }
    tree
}

/// Returns the time of `GITEA_LIGHTSTEP_FAULT_CLOCK` if it is set, otherwise the real time.
fn clock() -> SystemTime {
    static SAYS: OnceLock<Option<i64>> = OnceLock::new();
    let says = SAYS.get_or_init(|| env::var("GITEA_LIGHTSTEP_FAULT_CLOCK").ok()?.parse().ok());
    let moved = says.and_then(|seconds| {
        let distance = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
    });
    moved.unwrap_or_else(SystemTime::now)
}

fn trace(step: Step, what: &Path) -> io::Result<()> {
    // A truncated write works through a file size limit, which would affect the trace too.
    let is_cut = IS_CUT.load(Ordering::SeqCst);
    let Some(path) = env::var_os("GITEA_LIGHTSTEP_FAULT_TRACE").filter(|_| !is_cut) else { return Ok(()) };
    let mut file = fs::File::options().create(true).append(true).open(path)?;
    file.write_all(format!("{step:?} {}\n", what.display()).as_bytes())
}

/// Returns true if the fault can occur at a step. `kill`, signals and EIO can occur at
/// every step.
fn is_meant(act: Act, step: Step, what: &Path) -> bool {
    use Step::*;
    match act {
        Act::Kill | Act::Send(_) | Act::Fail(Errno::IO) => true,
        Act::FailRead(_) => matches!(step, Open | Read | List),
        // Starting a process or thread does not wait for a disk.
        Act::Stall => !matches!(step, Spawn | Decider | Thread),
        Act::Cut(_) => step == Write,
        Act::Fail(Errno::MFILE) => matches!(step, List | Create | Open | SyncDir | Send | Spawn | Decider),
        Act::Fail(Errno::AGAIN) => matches!(step, Spawn | Decider | Thread),
        Act::Fail(Errno::ACCESS) => matches!(step, MakeDir | List | Create | Open | Rename | Remove),
        Act::Fail(Errno::ROFS) => matches!(step, MakeDir | Create | Rename | Remove),
        // On a full disk, existing files can still be opened and renamed.
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
        Act::Send(signal) => kill_process(getpid(), signal).map_err(Into::into),
        Act::Fail(errno) | Act::FailRead(errno) => Err(errno.into()),
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
    // The signal may arrive a moment later.
    stall()
}

fn stall() -> io::Result<()> {
    loop {
        std::thread::park();
    }
}
