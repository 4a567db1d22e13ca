//! The commands, one module each, and the helpers that they share.

mod age;
mod backfill;
mod called_as;
mod check;
mod completions;
mod connect;
mod deliver;
pub mod demo;
mod doctor;
mod explain;
mod gitea;
mod hook;
mod hook_owner;
mod install;
mod install_report;
mod log;
mod mark;
mod named_repository;
mod notes;
mod output;
mod past;
mod place;
mod progress;
mod queue;
mod reasons;
mod ref_hook;
mod reply;
mod repository_names;
mod resource;
mod scan;
mod seen_names;
mod start_delivery;
mod status;
mod survive;
mod system;
mod terminal;
mod test;
mod through_api;
mod trial;
mod uninstall;
mod watch;
mod when;

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ColorChoice, CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use rustix::process::geteuid;
use terminal::Terminal;

use crate::{
    config::{self, Config},
    delivery,
    install::{self as installation, RunUser},
    proposal,
    push::RepositoryIdentity,
    secret::SecretSource,
    state::{State, StateError},
    sys::{signals, users},
    text,
};

/// The version with the commit, its date and the target, from `build.rs`.
const VERSION: &str = env!("GITEA_LIGHTSTEP_VERSION");

/// Turn pushes to Gitea into deployment markers in Lightstep or any OTLP back end.
#[derive(Debug, Parser)]
#[command(name = "gitea-lightstep", version = VERSION, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Run as the post-receive hook: handle a push from git
// Separate from `Cli`, because building the parsers of all commands takes longer than parsing the
// hook's own arguments.
#[derive(Debug, Parser)]
#[command(name = "gitea-lightstep hook", bin_name = "gitea-lightstep hook", version = VERSION, max_term_width = 100)]
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
    /// Default: $GITEA_LIGHTSTEP_CONFIG, else config.toml beside the binary, else
    /// /etc/gitea-lightstep/config.toml.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print only answers and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Use colours
    ///
    /// By default, only on a terminal, and not if NO_COLOR is set or TERM is `dumb`.
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value_t = ColorChoice::Auto, hide_default_value = true)]
    color: ColorChoice,
}

/// What the commands take that can say more.
#[derive(Debug, Args)]
struct Verbosity {
    /// Print more details
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run as the post-receive hook: handle a push from git
    Hook(hook::HookArgs),
    /// Deliver everything in the spool now
    Deliver(deliver::DeliverArgs),
    /// Show the backlog, the state of each destination, and the dead letters
    Status(status::StatusArgs),
    /// List, show, retry or drop queued entries and dead letters
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Show the journal: every decision and every delivery
    Log(log::LogArgs),
    /// Try a policy on the history of a repository
    Try(trial::TryArgs),
    /// Mark the commits, tags and deployments of a repository's history
    ///
    /// Each marker has the time of its commit or tag. What the journal has a decision for is not
    /// marked again, so the command can be stopped and repeated at any time.
    Backfill(backfill::BackfillArgs),
    /// Explain how an update was decided and delivered
    Explain(explain::ExplainArgs),
    /// Mark a deployment, rollback, release or change that no push marks
    ///
    /// The policy decides as for a push, with the same push options. Exits with 1 if it refuses.
    /// With --run, runs COMMAND, marks it as a deployment, and exits as COMMAND does.
    Mark(mark::MarkArgs),
    /// Find the ref changes that no hook saw, and capture them
    ///
    /// These are tags and releases made in Gitea's pages or its API, branches deleted or renamed
    /// there, what a mirror fetches, and what a hook that was killed left. The first scan only writes
    /// down the refs of each repository.
    ///
    /// Where `install` put a file into each repository, a scan of all repositories also puts it into
    /// those that appeared since the last one.
    Scan(scan::ScanArgs),
    /// Print OTEL_RESOURCE_ATTRIBUTES and the trace context for a commit
    ///
    /// The values are the same as in the commit's markers. A checkout is enough, and no server is
    /// contacted. Without a configuration, the repository's own .gitea/lightstep.toml defines the
    /// services.
    Resource(resource::ResourceArgs),
    /// Check the configuration and every script
    Check(check::CheckArgs),
    /// Run the golden tests of policies: `*.test.toml` beside the scripts
    Test(test::TestArgs),
    /// Install the hook for all repositories of Gitea, including future ones
    ///
    /// With git 2.54 or newer, this is one config hook in Gitea's own .gitconfig. With an older
    /// git, it is a file in each repository and a template for new ones; `scan` and another
    /// `install` cover repositories that were adopted or restored since. What is already correct is
    /// not changed. The hook runs this binary, with the configuration that --config names or the
    /// default one.
    Install(install::InstallArgs),
    /// Remove what `install` put in
    ///
    /// Only files and settings that `install` marked as ours are removed. The configuration and the
    /// binary stay, and so does the state directory unless --purge is given.
    Uninstall(uninstall::UninstallArgs),
    /// Find out why markers are missing, and print a fix for each problem
    Doctor(doctor::DoctorArgs),
    #[expect(rustdoc::broken_intra_doc_links, reason = "the help names a table of the configuration")]
    /// Send a test marker to each destination, and set up Lightstep
    ///
    /// The test marker belongs to the service gitea-lightstep. It is a log record wherever logs are
    /// accepted, so that no deployment is drawn. A destination of kind "http" is probed instead.
    /// With organization, project and api_key in [lightstep], an event query is created, and reused
    /// on later runs. Steps without an API are printed.
    Connect(connect::ConnectArgs),
    /// Demonstrate pushes, markers and deliveries on a throw-away repository
    Demo(demo::DemoArgs),
    /// Print a script that completes commands and options in a shell
    ///
    /// For bash, save it as /usr/share/bash-completion/completions/gitea-lightstep; for zsh, as
    /// _gitea-lightstep in a directory of $fpath; for fish, as
    /// /usr/share/fish/vendor_completions.d/gitea-lightstep.fish.
    Completions(completions::CompletionsArgs),
    /// Print a manual page
    ///
    /// `gitea-lightstep man | man -l -` shows it. With --output, the pages of all commands are
    /// written, for a directory such as /usr/local/share/man/man1.
    Man(completions::ManArgs),
}

impl Command {
    /// Returns true if more details are wanted.
    fn is_verbose(&self) -> bool {
        match self {
            Self::Log(args) => args.verbosity.verbose,
            Self::Try(args) => args.verbosity.verbose,
            Self::Backfill(args) => args.verbosity.verbose,
            Self::Resource(args) => args.verbosity.verbose,
            Self::Check(args) => args.verbosity.verbose,
            Self::Test(args) => args.verbosity.verbose,
            Self::Install(args) => args.verbosity.verbose,
            Self::Uninstall(args) => args.verbosity.verbose,
            _ => false,
        }
    }
}

/// Outcome of a command that did not return an error.
#[derive(Clone, Copy, Debug)]
enum Completion {
    /// Everything is in order.
    Done,
    /// The command worked and found something that needs attention.
    Found,
    /// A required argument, setting or confirmation is missing.
    Misused,
    /// An exit status that is meant for the process that started this one.
    Status(ExitCode),
}

/// Runs the program and returns its exit status: 0 for success, 1 for a finding or a failure, 2 for
/// wrong usage. The hook always returns 0.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    signals::outlive_large_files();
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(args) = hook_arguments(args.get(1..).unwrap_or_default()) {
        return survive::survive(|| run_hook(&args));
    }
    if args.get(2).is_some_and(|arg| arg == deliver::DETACHED || arg == scan::WANTED) {
        // Do this first, so that later work does not compete with the end of the push for the
        // processor.
        delivery::leave();
    }
    proposal::set(called_as::called_as);
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(err) => return answered(&err, called_as::colour(&args)),
    };
    let terminal = Terminal::new(cli.common.quiet, cli.command.is_verbose(), cli.common.color);
    let ending = match &cli.command {
        Command::Hook(args) => return survive::survive(|| hook::run(args, cli.common.config.as_deref())),
        Command::Deliver(args) => deliver::run(args, &cli.common, &terminal),
        Command::Status(args) => status::run(args, &cli.common, &terminal),
        Command::Queue(command) => queue::run(command, &cli.common, &terminal),
        Command::Log(args) => log::run(args, &cli.common, &terminal),
        Command::Try(args) => trial::run(args, &cli.common, &terminal),
        Command::Backfill(args) => backfill::run(args, &cli.common, &terminal),
        Command::Explain(args) => explain::run(args, &cli.common, &terminal),
        Command::Mark(args) => mark::run(args, &cli.common, &terminal),
        Command::Resource(args) => resource::run(args, &cli.common, &terminal),
        Command::Scan(args) => scan::run(args, &cli.common, &terminal),
        Command::Check(args) => check::run(args, &cli.common, &terminal),
        Command::Test(args) => test::run(args, &cli.common, &terminal),
        Command::Install(args) => install::run(args, &cli.common, &terminal),
        Command::Uninstall(args) => uninstall::run(args, &cli.common, &terminal),
        Command::Doctor(args) => doctor::run(args, &cli.common, &terminal),
        Command::Connect(args) => connect::run(args, &cli.common, &terminal),
        Command::Demo(args) => demo::run(args, &terminal),
        Command::Completions(args) => completions::run(args, &Cli::command()),
        Command::Man(args) => completions::man(args, &Cli::command(), &terminal),
    };
    match ending {
        Ok(Completion::Done) => ExitCode::SUCCESS,
        Ok(Completion::Found) => ExitCode::FAILURE,
        Ok(Completion::Misused) => ExitCode::from(2),
        Ok(Completion::Status(status)) => status,
        Err(err) if terminal::is_broken_pipe(&err) => ExitCode::SUCCESS,
        Err(err) => {
            let owner = proposal::other_owner()
                .filter(|_| err.chain().filter_map(|cause| cause.downcast_ref()).any(StateError::is_denied));
            terminal.error(&match owner {
                Some(owner) => anyhow!("{err:#}; run `{}`", proposal::same_as_user(owner)),
                None => err,
            });
            ExitCode::FAILURE
        }
    }
}

/// Parses the hook's arguments and runs it.
fn run_hook(args: &[OsString]) -> ExitCode {
    if let Some((args, config)) = installed_arguments(args) {
        return hook::run(&args, Some(&config));
    }
    match HookCli::try_parse_from(args) {
        Ok(cli) => hook::run(&cli.hook, cli.common.config.as_deref()),
        Err(err) if matches!(err.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // The help is that of the whole program's definition, in its order.
            let whole = Cli::try_parse_from(["gitea-lightstep".into()].iter().chain(args));
            let help = whole.err().filter(|whole| whole.kind() == ErrorKind::DisplayHelp);
            answered(&help.unwrap_or(err), called_as::colour(args))
        }
        Err(err) => hook::misused(&err.to_string()),
    }
}

/// Returns the hook's arguments if this process was started as the hook. The first line of a Git
/// Hooks page may name this program alone, with `hook`, or with `hook` and options. It may also end
/// in a carriage return.
fn hook_arguments(args: &[OsString]) -> Option<Vec<OsString>> {
    let is_page = |path: &Path| path.components().nth(1).is_some() && hook_owner::is_page(path);
    match args {
        [script] if is_page(Path::new(script)) => Some(vec!["hook".into(), script.clone()]),
        _ => hook_owner::divided(args),
    }
}

/// Parses the arguments of an installed hook without clap. Building a clap parser would take a
/// tenth of the hook's instructions.
fn installed_arguments(args: &[OsString]) -> Option<(hook::HookArgs, PathBuf)> {
    let (config, state_dir) = match args {
        [_, option, config] if option == "--config" => (config, None),
        [_, option, config, other, dir] if option == "--config" && other == "--state-dir" => {
            (config, Some(dir))
        }
        _ => return None,
    };
    let is_value = |arg: &&OsString| !arg.is_empty() && !arg.as_encoded_bytes().starts_with(b"-");
    let are_values = [config].into_iter().chain(state_dir).all(|arg| is_value(&arg));
    are_values.then(|| (hook::HookArgs::installed(state_dir.map(Into::into)), config.into()))
}

/// Prints clap's help, version or usage error and returns the exit status.
fn answered(err: &clap::Error, colour: ColorChoice) -> ExitCode {
    // Ignore errors when writing to a closed terminal. Escape the text: clap repeats arguments, and
    // the user may have pasted them from somewhere else.
    let rendered = err.render();
    let print = |stream: &mut dyn Write, has_colour: bool| {
        let text = if has_colour { rendered.ansi().to_string() } else { rendered.to_string() };
        stream.write_all(text::printable(&text, has_colour).as_bytes())
    };
    let _ = if err.use_stderr() {
        print(&mut io::stderr().lock(), terminal::wants_colour(&io::stderr(), colour))
    } else {
        print(&mut io::stdout().lock(), terminal::wants_colour(&io::stdout(), colour))
    };
    if err.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

impl Common {
    /// Returns the options for the output, to pass them on to another process.
    fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = self.quiet.then(|| "--quiet".into()).into_iter().collect();
        words.extend(["--color".into(), self.color.to_string().into()]);
        words
    }

    /// Loads and checks the configuration.
    fn load(&self) -> anyhow::Result<Config> {
        let config = config::load(config::find(self.config.as_deref()).as_deref())
            .context("failed to load the configuration")?;
        proposal::set_state(&config.state_dir);
        may_run_commands(&config)?;
        Ok(config)
    }
}

/// Checks that root does not run a command from a configuration that another user can change.
///
/// # Errors
/// If this process runs as root, the configuration names a command, and another user can change the
/// configuration.
fn may_run_commands(config: &Config) -> anyhow::Result<()> {
    let Some(path) = config.path.as_deref().filter(|_| geteuid().is_root()) else { return Ok(()) };
    if config.secrets().any(|source| matches!(source, SecretSource::Command(_)))
        && let Err(exposed) = installation::check(path, &RunUser::with_ids(0, 0))
    {
        let owner =
            std::fs::metadata(&config.state_dir).ok().map(|dir| dir.uid()).filter(|owner| *owner != 0);
        let fix = match owner {
            Some(owner) => format!("run `{}`", proposal::same_as_user(owner)),
            None => "run this as Gitea's user".to_string(),
        };
        bail!("{exposed}, so root does not run the command in the configuration; {fix}");
    }
    Ok(())
}

/// Opens the state directory for a command that writes to it.
///
/// # Errors
/// If the directory belongs to another user.
fn own_state(config: &Config) -> anyhow::Result<State> {
    let state = State::at(&config.state_dir);
    if let Some(owner) = state.foreign_owner() {
        let fix = match owner {
            0 => format!("`{}` shows how to give it to Gitea's user", proposal::command("doctor")),
            owner => format!("run `{}`", proposal::same_as_user(owner)),
        };
        bail!(
            "`{}` belongs to {}, who could not change files that you create there; {fix}",
            text::path(state.dir()),
            users::user(owner),
        );
    }
    Ok(state)
}

/// Opens the state directory for a command that creates it if it is missing.
///
/// # Errors
/// If the directory belongs to another user, or if root would have to create it.
fn own_or_new_state(config: &Config) -> anyhow::Result<State> {
    if geteuid().is_root() && !config.state_dir.exists() {
        bail!(
            "the state directory `{}` does not exist, and root does not create it, because the hook could not write \
             to it; check `state_dir`, or run this as Gitea's user",
            text::path(&config.state_dir)
        );
    }
    own_state(config)
}

/// Parses OWNER/NAME into a repository.
fn repository(name: &str) -> Result<RepositoryIdentity, String> {
    repository_names(name).map(|(owner, name)| RepositoryIdentity::named(Some(owner), name))
}

/// Parses OWNER/NAME into two names that are usable as directory names.
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

/// Returns the options that name these repositories, to pass them on to another process.
fn repository_words(repositories: &[(String, String)]) -> impl Iterator<Item = OsString> {
    repositories.iter().flat_map(|(owner, name)| ["--repository".into(), format!("{owner}/{name}").into()])
}
