//! `uninstall`: removes what `install` put in.

use std::ffi::OsString;

use clap::Args;

use super::{
    Common, Completion, Verbosity,
    gitea::{GiteaArgs, Worker},
    install::{ref_hook_wish, watched},
    install_report::InstallReport,
    system::{SystemArgs, SystemOptions},
    terminal::Terminal,
    through_api::{self, ThroughApiArgs},
};
use crate::{
    config,
    install::{self, InstallJob, RefHookWish, Walking},
    state::State,
};

#[derive(Debug, Args)]
pub(super) struct UninstallArgs {
    #[command(flatten)]
    gitea: GiteaArgs,
    /// Accepted because `install` has it
    #[arg(long, hide = true, conflicts_with = "no_ref_hook")]
    ref_hook: bool,
    /// Accepted because `install` has it
    #[arg(long, hide = true)]
    no_ref_hook: bool,
    /// Remove the hook only from this repository (can be repeated)
    #[arg(long = "repository", value_name = "OWNER/NAME", value_parser = super::repository_names)]
    repositories: Vec<(String, String)>,
    #[command(flatten)]
    through_api: ThroughApiArgs,
    /// Also remove the state directory: the queue, the dead letters and the journal
    #[arg(long, conflicts_with_all = ["repositories", "url"])]
    purge: bool,
    /// Do not ask for confirmation
    #[arg(short, long, requires = "purge")]
    yes: bool,
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub verbosity: Verbosity,
    #[command(flatten)]
    system: SystemArgs,
}

pub(super) fn run(args: &UninstallArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    if args.system.system {
        let options = SystemOptions {
            system: &args.system,
            gitea: &args.gitea,
            ref_hook: ref_hook_wish(args.ref_hook, args.no_ref_hook),
            is_removal: true,
            is_purge: args.purge,
            is_confirmed: args.yes,
            is_dry_run: args.dry_run,
        };
        return options.run(common, terminal);
    }
    if let Some(api) = args.through_api.api()? {
        return through_api::run(&api, &args.repositories, None, (args.dry_run, args.json), terminal);
    }
    let words = || {
        let mut words: Vec<OsString> = vec!["uninstall".into()];
        words.extend(super::repository_words(&args.repositories));
        if let Some(config) = config::find(common.config.as_deref()) {
            // The other process has a different working directory and does not inherit our
            // environment.
            words.extend(["--config".into(), std::path::absolute(config)?.into()]);
        }
        let flags = [
            (args.purge, "--purge"),
            (args.yes, "--yes"),
            (args.dry_run, "--dry-run"),
            (args.json, "--json"),
        ];
        words.extend(flags.into_iter().filter(|(is_said, _)| *is_said).map(|(_, flag)| flag.into()));
        words.extend(args.verbosity.verbose.then(|| "--verbose".into()));
        Ok(words)
    };
    let subject = match args.gitea.worker(common, words)? {
        Worker::This(subject) => subject,
        Worker::Other(ending) => return Ok(ending),
    };
    let state = match args.purge.then(|| confirm_purge(args, common, terminal)).transpose()? {
        Some(Purge::Declined(completion)) => return Ok(completion),
        Some(Purge::Confirmed(state)) => Some(state),
        None => None,
    };
    let walking = Walking::default();
    let job = InstallJob {
        place: &subject.place,
        is_real: !args.dry_run,
        ref_hook: RefHookWish::No,
        walking: &walking,
    };
    let covered = watched(&walking, !args.json && terminal.is_watched(), || {
        if args.repositories.is_empty() {
            install::uninstall(job)
        } else {
            install::uninstall_from(job, &args.repositories)
        }
    })?;
    let mut told = InstallReport::uninstall(&subject, &covered, args.dry_run);
    if let Some(state) = &state {
        told.state(state.dir(), if args.dry_run { None } else { Some(state.purge()?) });
    }
    told.print(args.json, terminal)
}

/// The answer to the question whether to remove the state directory.
enum Purge {
    Confirmed(State),
    Declined(Completion),
}

/// Finds the state directory to remove. Asks for confirmation if it holds entries, unless `--yes` or
/// `--dry-run` was given.
fn confirm_purge(args: &UninstallArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Purge> {
    let config = common.load()?;
    let state = super::own_state(&config)?;
    let backlog = state.backlog()?.filter(|_| !args.yes && !args.dry_run);
    let Some(backlog) = backlog else { return Ok(Purge::Confirmed(state)) };
    match terminal.asks(format_args!("{backlog}; permanently remove them and the journal?")) {
        Some(true) => Ok(Purge::Confirmed(state)),
        Some(false) => {
            terminal.message("nothing was changed");
            Ok(Purge::Declined(Completion::Found))
        }
        None => {
            terminal.message(format_args!(
                "{backlog}, which --purge would permanently remove; confirm with --yes"
            ));
            Ok(Purge::Declined(Completion::Misused))
        }
    }
}
