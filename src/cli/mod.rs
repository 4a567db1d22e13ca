//! The commands, one file each, and what they share of the terminal.

mod age;
mod check;
mod connect;
mod covered;
mod deliver;
pub mod demo;
mod doctor;
mod explain;
mod gitea;
mod hook;
mod install;
mod log;
mod notes;
mod output;
mod place;
mod progress;
mod queue;
mod reply;
mod resource;
mod status;
mod terminal;
mod test;
mod through_api;
mod trial;
mod turn;
mod uninstall;
mod watch;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, error::ErrorKind};
use terminal::Terminal;

use crate::{
    config::{self, Config},
    delivery,
    push::Repository,
    state::State,
};

/// Turns pushes to Gitea into deployment markers in Lightstep or any OTLP back end.
#[derive(Debug, Parser)]
#[command(name = "gitea-lightstep", version, max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Take a push from git: the post-receive hook itself
// Apart from the others: to prepare every command for the case that it is meant takes longer than the hook's
// own arguments.
#[derive(Debug, Parser)]
#[command(name = "gitea-lightstep hook", bin_name = "gitea-lightstep hook", version, max_term_width = 100)]
struct HookCli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    hook: hook::HookArgs,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Common {
    /// Read the configuration from FILE
    ///
    /// Otherwise $GITEA_LIGHTSTEP_CONFIG, config.toml beside the binary, and
    /// /etc/gitea-lightstep/config.toml are looked for, in this order.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Say more
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Say nothing but answers and errors
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take a push from git: the post-receive hook itself
    Hook(hook::HookArgs),
    /// Send what waits in the spool now
    Deliver(deliver::DeliverArgs),
    /// Show what waits, how each destination stands, and the dead letters
    Status(status::StatusArgs),
    /// Look into the spool and the dead letters, and act on them
    #[command(subcommand, disable_help_subcommand = true)]
    Queue(queue::QueueCommand),
    /// Show the journal: every decision and every delivery
    Log(log::LogArgs),
    /// Try a policy on the history of a repository
    Try(trial::TryArgs),
    /// Show the whole way of an update: who pushed, which rules spoke, what was sent
    Explain(explain::ExplainArgs),
    /// Print who a build or a deploy of a commit is: OTEL_RESOURCE_ATTRIBUTES and TRACEPARENT
    ///
    /// They are those of the commit's markers. No server is asked, and a checkout is enough; without a configuration the
    /// repository's own .gitea/lightstep.toml says which services there are.
    Resource(resource::ResourceArgs),
    /// Check the configuration and every script
    Check(check::CheckArgs),
    /// Run the golden tests of policies: `*.test.toml` beside the scripts
    Test(test::TestArgs),
    /// Put the hook into Gitea: every repository is covered, those to come included
    ///
    /// With git 2.54 or newer this is one config hook in Gitea's own .gitconfig. With an older git it is a file in each
    /// repository and a template for new ones; run it again to cover what was adopted or restored since. What is right already is
    /// not touched. The hook runs this binary with the configuration that --config names, or that is found as always.
    Install(install::InstallArgs),
    /// Take out what install put in
    ///
    /// Only what has our mark is taken out. The configuration and the binary stay, and so does the state without --purge.
    Uninstall(uninstall::UninstallArgs),
    /// Find out why no marker came: everything that is known to go wrong, each with what to do
    Doctor(doctor::DoctorArgs),
    /// Send a test marker to each destination, and set the Lightstep side up
    ///
    /// The test marker is of the service gitea-lightstep, and a log record wherever logs are taken, so that no deployment is drawn. With organization,
    /// project and api_key in [lightstep] an event query is created, once however often this is run. What no API can do is said.
    Connect(connect::ConnectArgs),
    /// Show everything at work on a throw-away repository
    Demo(demo::DemoArgs),
}

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All is well.
    Done,
    /// The command worked, and found something that somebody should look at.
    Found,
    /// The command was not given what it needs.
    Misused,
}

/// Runs the program and returns its exit status: 0 done, 1 something was found or failed, 2 usage.
/// The hook's is always 0.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(args) = hook_arguments(args.get(1..).unwrap_or_default()) {
        if let [_, option, config] = &args[..]
            && option == "--config"
            && !config.is_empty()
            && !config.as_encoded_bytes().starts_with(b"-")
        {
            // What the wrapper says. To prepare a parser for it would take the hook a tenth of its instructions.
            return hook::run(&hook::HookArgs::default(), Some(config.as_ref()));
        }
        return match HookCli::try_parse_from(&args) {
            Ok(cli) => hook::run(&cli.hook, cli.common.config.as_deref()),
            Err(err) if matches!(err.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                answered(&err)
            }
            Err(err) => hook::misused(&err.to_string()),
        };
    }
    if args.get(2).is_some_and(|arg| arg == deliver::DETACHED) {
        // Before anything else: every bit of work that waits leaves the processor to the end of the push.
        delivery::leave();
    }
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(err) => return answered(&err),
    };
    let terminal = Terminal::new(cli.common.quiet, cli.common.verbose);
    let ending = match &cli.command {
        Command::Hook(args) => return hook::run(args, cli.common.config.as_deref()),
        Command::Deliver(args) => deliver::run(args, &cli.common, &terminal),
        Command::Status(args) => status::run(args, &cli.common, &terminal),
        Command::Queue(command) => queue::run(command, &cli.common, &terminal),
        Command::Log(args) => log::run(args, &cli.common, &terminal),
        Command::Try(args) => trial::run(args, &cli.common, &terminal),
        Command::Explain(args) => explain::run(args, &cli.common, &terminal),
        Command::Resource(args) => resource::run(args, &cli.common, &terminal),
        Command::Check(args) => check::run(args, &cli.common, &terminal),
        Command::Test(args) => test::run(args, &cli.common, &terminal),
        Command::Install(args) => install::run(args, &cli.common, &terminal),
        Command::Uninstall(args) => uninstall::run(args, &cli.common, &terminal),
        Command::Doctor(args) => doctor::run(args, &cli.common, &terminal),
        Command::Connect(args) => connect::run(args, &cli.common, &terminal),
        Command::Demo(args) => demo::run(args, &terminal),
    };
    match ending {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Found) => ExitCode::FAILURE,
        Ok(Ending::Misused) => ExitCode::from(2),
        Err(err) if terminal::is_broken_pipe(&err) => ExitCode::SUCCESS,
        Err(err) => {
            terminal.error(&err);
            ExitCode::FAILURE
        }
    }
}

/// Returns the arguments of the hook, if it is the hook that is meant. The first line of a Git Hooks page may be written on
/// Windows, say more than `hook`, or nothing at all.
fn hook_arguments(args: &[OsString]) -> Option<Vec<OsString>> {
    let is_page = |path: &Path| path.components().nth(1).is_some() && turn::is_page(path);
    match args {
        [script] if is_page(Path::new(script)) => Some(vec!["hook".into(), script.clone()]),
        _ => turn::divided(args),
    }
}

/// Prints what clap has to say instead of a command: help, the version, or what is wrong with the usage.
fn answered(err: &clap::Error) -> ExitCode {
    // That the terminal is gone changes nothing.
    let _ = err.print();
    if err.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

impl Common {
    /// Returns the options that say how much is said.
    fn words(&self) -> impl Iterator<Item = OsString> {
        let said = [(self.verbose, "--verbose"), (self.quiet, "--quiet")];
        said.into_iter().filter(|(is_said, _)| *is_said).map(|(_, word)| word.into())
    }

    /// Loads the configuration.
    fn load(&self) -> anyhow::Result<Config> {
        config::load(config::find(self.config.as_deref()).as_deref()).context("the configuration is wrong")
    }
}

/// Returns the state that `command` may write into.
///
/// # Errors
/// If it belongs to another user.
fn own_state(config: &Config, command: &str) -> anyhow::Result<State> {
    let state = State::at(&config.state_dir);
    if let Some(owner) = state.foreign_owner() {
        bail!(
            "`{dir}` belongs to the user with the id {owner}, who could not write to what you would make there; \
             run this as that user, for instance with `runuser -u \"$(stat -c %U '{dir}')\" -- gitea-lightstep {command}`",
            dir = state.dir().display()
        );
    }
    Ok(state)
}

/// Reads OWNER/NAME.
fn repository(name: &str) -> Result<Repository, String> {
    repository_names(name).map(|(owner, name)| Repository::named(Some(owner), name))
}

/// Reads OWNER/NAME as two names, each fit to be a directory's.
fn repository_names(name: &str) -> Result<(String, String), String> {
    match name.split_once('/') {
        Some((owner, name))
            if [owner, name].iter().all(|name| !matches!(*name, "" | "." | "..")) && !name.contains('/') =>
        {
            Ok((owner.to_string(), name.to_string()))
        }
        _ => Err("expected OWNER/NAME, such as acme/shop".to_string()),
    }
}

/// Returns the options that name these repositories.
fn repository_words(repositories: &[(String, String)]) -> impl Iterator<Item = OsString> {
    repositories.iter().flat_map(|(owner, name)| ["--repository".into(), format!("{owner}/{name}").into()])
}
