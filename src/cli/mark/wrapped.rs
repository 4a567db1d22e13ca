//! `mark --run`: runs a deploy script and has its outcome marked.
//!
//! Nothing that goes wrong with the mark may keep the script from running or change its exit status. So
//! another process makes the mark, as the same command without `--run`, and what this process reads of
//! the repository is read in a thread that it does not wait for long.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::AsFd as _,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    process::{Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::{MarkArgs, marking};
use crate::{
    cli::{
        Common,
        resource::{self, ResourceArgs},
        terminal::Terminal,
    },
    config,
    decide::DeploymentStatus,
    push::ObjectId,
    sys::{
        child, signals,
        time::{self, Deadline, Timestamp},
    },
    text,
};

/// Maximum time for reading the repository before the command is started.
const READING: Duration = Duration::from_secs(10);

/// Maximum time for making the mark.
const MARKING: Duration = Duration::from_secs(60);

/// Exit statuses of a shell for a command that does not exist, and for one that cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Added to the number of a signal, as in the exit status of a shell.
const OF_SIGNAL: u8 = 128;

/// The facts about the deployment before it begins.
struct BeforeRun {
    /// The object that REV names now. It may name another one when the command has ended.
    object: ObjectId,
    variables: anyhow::Result<[(&'static str, String); 2]>,
}

/// The end of the command.
enum CommandEnd {
    Ended(ExitStatus),
    NotStarted(u8),
}

/// Runs the command and marks it. Returns its exit status.
pub(super) fn run(args: &MarkArgs, common: &Common, terminal: &Terminal) -> ExitCode {
    let (object, variables) = match before_run(args, common, terminal) {
        Ok(BeforeRun { object, variables }) => (Some(object), variables),
        Err(err) => (None, Err(err)),
    };
    let variables = variables.map_or_else(
        |err| {
            let program = args.command.first().map(|program| text::path(program.as_ref()));
            let program = program.unwrap_or_default();
            terminal.message(format_args!("`{program}` runs without OTEL_RESOURCE_ATTRIBUTES: {err:#}"));
            Vec::new()
        },
        Vec::from,
    );
    signals::forward_stops();
    let started = time::now();
    let ending = run_command(&args.command, variables, terminal);
    // The clock may have been set back.
    let ended = time::now().max(started);
    let is_success =
        matches!(ending, CommandEnd::Ended(status) if status.success()) && signals::stop().is_none();
    let status = if is_success { DeploymentStatus::Succeeded } else { DeploymentStatus::Failed };
    if let Err(err) = mark(object, status, [started, ended]) {
        terminal.message(format_args!("the deployment is not marked: {err:#}"));
    }
    match ending {
        CommandEnd::NotStarted(code) => code.into(),
        CommandEnd::Ended(status) => exit_as(status),
    }
}

/// Reads the repository. A repository that hangs, as on a dead file server, is left alone.
fn before_run(args: &MarkArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<BeforeRun> {
    let wanted = ResourceArgs::of_deployment(
        args.repo.clone(),
        args.rev.clone(),
        args.environment.clone(),
        args.service.clone(),
        args.version.clone(),
    );
    let path = config::find(common.config.as_deref());
    let (repo, rev, terminal) = (args.repo.clone(), args.rev.clone(), *terminal);
    let (sender, receiver) = mpsc::sync_channel(1);
    let read = move || -> anyhow::Result<BeforeRun> {
        let config = config::load(path.as_deref()).context("failed to load the configuration")?;
        let object = marking::object(&repo, &rev, &config)?;
        Ok(BeforeRun { object, variables: resource::variables(&wanted, &config, &terminal) })
    };
    // The receiver may be gone by then.
    thread::Builder::new().spawn(move || drop(sender.send(read())))?;
    receiver.recv_timeout(READING).context("failed to read the repository")?
}

/// Runs the command with these variables, except those that are set, and waits for its end.
fn run_command(
    words: &[OsString],
    variables: Vec<(&'static str, String)>,
    terminal: &Terminal,
) -> CommandEnd {
    let Some((program, arguments)) = words.split_first() else { return CommandEnd::NotStarted(NOT_FOUND) };
    let mut command = Command::new(program);
    command.args(arguments);
    command.envs(variables.into_iter().filter(|(name, _)| std::env::var_os(name).is_none()));
    signals::before_child();
    let ended = command.spawn().and_then(|mut child| {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        signals::forward_to(pid);
        // Until it is collected by `wait`, no other process can get its ID and with it the signals.
        let waited = pid.map_or(Ok(None), |pid| {
            rustix::io::retry_on_intr(|| {
                waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            })
        });
        signals::forward_to(None);
        waited.map_err(io::Error::from).and(child.wait())
    });
    ended.map_or_else(
        |err| {
            terminal.message(format_args!("failed to run `{}`: {err}", text::path(program.as_ref())));
            let is_missing = err.kind() == io::ErrorKind::NotFound;
            CommandEnd::NotStarted(if is_missing { NOT_FOUND } else { NOT_EXECUTABLE })
        },
        CommandEnd::Ended,
    )
}

/// Marks the deployment in another process, which runs as Gitea's user if this is root. What it prints
/// goes to stderr, because stdout is the command's.
fn mark(
    object: Option<ObjectId>,
    status: DeploymentStatus,
    [started, ended]: [Timestamp; 2],
) -> anyhow::Result<()> {
    let mut own = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    command.arg0(own.next().unwrap_or_else(|| "gitea-lightstep".into()));
    // No option has a value that begins with two hyphens.
    command.args(own.take_while(|arg| arg != "--").filter(|arg| arg != "--run"));
    command.arg(format!("--status={}", status.as_str()));
    command.args([format!("--started={started}"), format!("--ended={ended}")]);
    command.arg("--after-run").args(object.map(|object| format!("--object={object}")));
    // A signal of the terminal must not end it.
    command.process_group(0).stdin(Stdio::null()).stdout(io::stderr().as_fd().try_clone_to_owned()?);
    let mut marking = command.spawn().context("failed to start another process of this program")?;
    match child::wait(&mut marking, Deadline::after(MARKING))? {
        // It has said why.
        Some(status) if status.code().is_some() => Ok(()),
        Some(status) => anyhow::bail!("the process that marks it ended with {status}"),
        None => anyhow::bail!("the process that marks it took longer than {} s", MARKING.as_secs()),
    }
}

/// Ends this process like the command, or returns the exit status of a shell for it.
fn exit_as(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal() {
        signals::end_by(signal);
    }
    let code = status.code().or(status.signal().map(|signal| signal + i32::from(OF_SIGNAL)));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
