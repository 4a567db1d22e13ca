//! `uninstall`: takes out what `install` put in.

use std::ffi::OsString;

use clap::Args;

use super::{
    Common, Ending,
    covered::Told,
    gitea::{GiteaArgs, Worker},
    install::watched,
    terminal::Terminal,
    through_api::{self, ThroughApiArgs},
};
use crate::{
    config,
    install::{self, Job, Walking},
    state::{State, queue::Place},
    text,
};

#[derive(Debug, Args)]
pub(super) struct UninstallArgs {
    #[command(flatten)]
    gitea: GiteaArgs,
    /// Only from this repository (can be repeated)
    #[arg(long = "repository", value_name = "OWNER/NAME", value_parser = super::repository_names)]
    repositories: Vec<(String, String)>,
    #[command(flatten)]
    through_api: ThroughApiArgs,
    /// Remove the state directory too: what waits, the dead letters and the journal
    #[arg(long, conflicts_with_all = ["repositories", "url"])]
    purge: bool,
    /// Do not ask
    #[arg(short, long, requires = "purge")]
    yes: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &UninstallArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    if let Some(api) = args.through_api.api()? {
        return through_api::run(&api, &args.repositories, None, (args.dry_run, args.json), terminal);
    }
    let words = || {
        let mut words: Vec<OsString> = vec!["uninstall".into()];
        words.extend(super::repository_words(&args.repositories));
        if let Some(config) = config::find(common.config.as_deref()) {
            // The other process has another working directory, and not our environment.
            words.extend(["--config".into(), std::path::absolute(config)?.into()]);
        }
        let flags = [
            (args.purge, "--purge"),
            (args.yes, "--yes"),
            (args.dry_run, "--dry-run"),
            (args.json, "--json"),
        ];
        words.extend(flags.into_iter().filter(|(is_said, _)| *is_said).map(|(_, flag)| flag.into()));
        Ok(words)
    };
    let subject = match args.gitea.worker(common, words)? {
        Worker::This(subject) => subject,
        Worker::Other(ending) => return Ok(ending),
    };
    let state = match args.purge.then(|| meant_state(args, common, terminal)).transpose()? {
        Some(Err(ending)) => return Ok(ending),
        Some(Ok(state)) => Some(state),
        None => None,
    };
    let walking = Walking::default();
    let job = Job { place: &subject.place, is_real: !args.dry_run, walking: &walking };
    let covered = watched(&walking, !args.json && terminal.is_watched(), || {
        if args.repositories.is_empty() {
            install::uninstall(job)
        } else {
            install::uninstall_from(job, &args.repositories)
        }
    })?;
    let mut told = Told::uninstall(&subject, &covered, args.dry_run);
    if let Some(state) = &state {
        told.state(state.dir(), if args.dry_run { None } else { Some(state.purge()?) });
    }
    told.print(args.json, terminal)
}

/// Returns the state that is to be removed, once it is sure that this is meant.
fn meant_state(
    args: &UninstallArgs,
    common: &Common,
    terminal: &Terminal,
) -> anyhow::Result<Result<State, Ending>> {
    let config = common.load()?;
    let state = super::own_state(&config, "uninstall --purge")?;
    let (mut waiting, mut dead) = (0, 0);
    state.each_entry(&[Place::Inbox, Place::Outbox, Place::Dead], |entry| {
        match entry.place {
            Place::Dead => dead += 1,
            Place::Inbox | Place::Outbox => waiting += 1,
        }
        anyhow::Ok(())
    })?;
    if args.yes || args.dry_run || waiting + dead == 0 {
        return Ok(Ok(state));
    }
    let backlog = format!(
        "`{}` holds {waiting} {} that {} not delivered and {}",
        text::path(state.dir()),
        if waiting == 1 { "entry" } else { "entries" },
        if waiting == 1 { "is" } else { "are" },
        text::count(dead, "dead letter"),
    );
    match terminal.asks(format_args!("{backlog}; remove them for good, with the journal?")) {
        Some(true) => Ok(Ok(state)),
        Some(false) => {
            terminal.message("nothing was changed");
            Ok(Err(Ending::Found))
        }
        None => {
            terminal.message(format_args!(
                "{backlog}, which --purge would remove for good; say --yes if that is meant"
            ));
            Ok(Err(Ending::Misused))
        }
    }
}
