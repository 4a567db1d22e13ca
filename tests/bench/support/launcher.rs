//! Runs a hook from a small process, and reports the resources of the hook and its background
//! processes.
//!
//! Linux includes the memory that the parent had at the fork in the peak of the child, so the
//! parent has to be small. The bench therefore starts a fresh copy of itself for each hook.

use std::{
    ffi::OsString,
    fs::File,
    io,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::process;

/// First argument of the process between the bench and the hook.
pub const FLAG: &str = "--launch";

/// Resources of a hook, and of all its background processes together.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measured {
    /// The hook. Its wall time is what the pusher waits.
    pub hook: Used,
    /// The background processes, `None` if there were none. The wall time starts with the hook.
    pub background: Option<Used>,
}

/// Resources that a process used.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Used {
    pub wall: Duration,
    /// User and system time.
    pub cpu: Duration,
    /// Maximum resident set size, in bytes.
    pub peak: u64,
}

impl Measured {
    /// Returns the user and system time of all processes.
    pub fn cpu(&self) -> Duration {
        self.hook.cpu + self.background.map_or(Duration::ZERO, |used| used.cpu)
    }
}

/// Runs `command` with the content of `stdin` in a pipe, like git and Gitea's delegate pass it on.
pub fn measure(command: &Command, stdin: &Path) -> Measured {
    let own = std::env::current_exe().expect("the bench knows its own file");
    let mut launcher = Command::new(own);
    launcher.arg(FLAG).arg(stdin).arg(command.get_program()).args(command.get_args()).env_clear();
    launcher.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = command.get_current_dir() {
        launcher.current_dir(dir);
    }
    let output = launcher.stderr(Stdio::inherit()).output().expect("the bench starts itself");
    assert!(output.status.success(), "the launcher failed: {}", output.status);
    serde_json::from_slice(&output.stdout).expect("the launcher reports JSON")
}

/// Runs the launcher with the arguments `STDIN PROGRAM [ARG...]`.
pub fn run(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut stdin = File::open(args.next().expect("the first argument is a file"))
        .expect("the file of updates can be opened");
    process::adopt_orphans();
    let start = Instant::now();
    #[expect(clippy::zombie_processes, reason = "the loop below waits for it and its detached process")]
    let mut hook = Command::new(args.next().expect("a program"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the hook starts");
    io::copy(&mut stdin, &mut hook.stdin.take().expect("stdin is piped"))
        .expect("the hook reads its whole input");

    let mut ended: Option<Used> = None;
    let mut background: Option<Used> = None;
    while let Some(process) = process::wait_for_any() {
        let used = Used { wall: start.elapsed(), cpu: process.cpu, peak: process.peak };
        if process.pid == hook.id() {
            ended = Some(used);
        } else {
            let before = background.unwrap_or(Used { wall: Duration::ZERO, cpu: Duration::ZERO, peak: 0 });
            let (cpu, peak) = (before.cpu + used.cpu, before.peak.max(used.peak));
            background = Some(Used { wall: used.wall, cpu, peak });
        }
    }
    let measured = Measured { hook: ended.expect("the hook was a child"), background };
    serde_json::to_writer(io::stdout().lock(), &measured).expect("the bench reads it");
    ExitCode::SUCCESS
}
