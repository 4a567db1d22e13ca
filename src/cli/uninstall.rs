//! `uninstall`: takes out what `install` put in.

use std::ffi::OsString;

use clap::Args;

use super::{
    Common, Ending,
    covered::Told,
    gitea::{GiteaArgs, Turn},
    install::watched,
    terminal::Terminal,
};
use crate::install::{self, Job, Walking};

#[derive(Debug, Args)]
pub(super) struct UninstallArgs {
    #[command(flatten)]
    gitea: GiteaArgs,
    /// Only from this repository (can be repeated)
    #[arg(long = "repository", value_name = "OWNER/NAME", value_parser = super::repository_names)]
    repositories: Vec<(String, String)>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &UninstallArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    let words = || {
        let mut words: Vec<OsString> = vec!["uninstall".into()];
        words.extend(super::repository_words(&args.repositories));
        words.extend(args.dry_run.then(|| "--dry-run".into()));
        words.extend(args.json.then(|| "--json".into()));
        Ok(words)
    };
    let subject = match args.gitea.turn(common, words)? {
        Turn::Ours(subject) => subject,
        Turn::Theirs(ending) => return Ok(ending),
    };
    let walking = Walking::default();
    let job = Job { place: &subject.place, is_real: !args.dry_run, walking: &walking };
    let covered = watched(&walking, !args.json && terminal.is_watched(), || {
        if args.repositories.is_empty() {
            install::uninstall(job)
        } else {
            install::in_some(job, &args.repositories, None)
        }
    })?;
    Told::uninstall(&subject, &covered, args.dry_run).print(args.json, terminal)
}
