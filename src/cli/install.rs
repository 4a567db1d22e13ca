//! `install`: has every repository of a Gitea covered, those to come included.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use rustix::fs::{Access, access};

use super::{
    Common, Ending,
    covered::Told,
    gitea::{GiteaArgs, Subject, Worker},
    progress::{HowFar, while_working},
    terminal::Terminal,
    through_api::{self, ThroughApiArgs},
};
use crate::{
    config,
    install::{self, Covered, CoveringError, HookCommand, Job, Walking},
    text,
};

#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    #[command(flatten)]
    gitea: GiteaArgs,
    /// What the hook runs; otherwise this binary
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Only this repository, by a file in it (can be repeated)
    #[arg(long = "repository", value_name = "OWNER/NAME", value_parser = super::repository_names)]
    repositories: Vec<(String, String)>,
    #[command(flatten)]
    through_api: ThroughApiArgs,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &InstallArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Ending> {
    if let Some(api) = args.through_api.api()? {
        let (Some(binary), Some(config)) = (&args.binary, &common.config) else {
            terminal.message(
                "with --through-api, --binary and --config must say where the two are on Gitea's own machine",
            );
            return Ok(Ending::Misused);
        };
        let command = HookCommand::new(binary.clone(), config.clone())?;
        let told = (args.dry_run, args.json);
        return through_api::run(&api, &args.repositories, Some(&command), told, terminal);
    }
    let words = || {
        let command = hook_command(args, common)?;
        let mut words: Vec<OsString> = vec!["install".into()];
        words.extend([
            "--binary".into(),
            command.binary().into(),
            "--config".into(),
            command.config().into(),
        ]);
        words.extend(super::repository_words(&args.repositories));
        words.extend(args.dry_run.then(|| "--dry-run".into()));
        words.extend(args.json.then(|| "--json".into()));
        Ok(words)
    };
    let subject = match args.gitea.worker(common, words)? {
        Worker::This(subject) => subject,
        Worker::Other(ending) => return Ok(ending),
    };
    let command = hook_command(args, common)?;
    // A dry run may come before either is in its place.
    if !args.dry_run {
        may_run(&command, &subject)?;
    }
    let git = subject.git()?;
    let version = git.version()?;
    let walking = Walking::default();
    let job = Job { place: &subject.place, is_real: !args.dry_run, walking: &walking };
    let covered = watched(&walking, !args.json && terminal.is_watched(), || {
        if args.repositories.is_empty() {
            install::install(job, &command, &git, version)
        } else {
            install::install_in(job, &args.repositories, &command, version)
        }
    })?;
    Told::install(&subject, &covered, version, args.dry_run).print(args.json, terminal)
}

/// Does `work`, with a bar on the terminal if it takes its time.
pub(super) fn watched(
    walking: &Walking,
    is_watched: bool,
    work: impl FnOnce() -> Result<Covered, CoveringError>,
) -> Result<Covered, CoveringError> {
    let how_far = || {
        let (done, of) = walking.now();
        HowFar { done, of, what: "repositories".into() }
    };
    if is_watched { while_working(how_far, work) } else { work() }
}

/// Returns what the hook is to start: this binary, and the configuration that is in force here.
fn hook_command(args: &InstallArgs, common: &Common) -> anyhow::Result<HookCommand> {
    let binary = args.binary.clone().map_or_else(own_binary, Ok)?;
    let Some(config) = config::find(common.config.as_deref()) else {
        bail!(
            "found no configuration for the hook; write one (docs/config.toml is one to start from) to \
             /etc/gitea-lightstep/config.toml, or name it with --config"
        );
    };
    Ok(HookCommand::new(std::path::absolute(binary)?, std::path::absolute(config)?)?)
}

/// Returns this binary by the name that it was called with, which stays right when a link is set to a newer one.
fn own_binary() -> anyhow::Result<PathBuf> {
    let real = std::env::current_exe().context("failed to find this binary; name it with --binary")?;
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let candidate = if called.components().nth(1).is_some() {
        std::path::absolute(&called).ok()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|dir| dir.join(&called)).find(|candidate| candidate.is_file())
    };
    let is_real = |candidate: &PathBuf| std::fs::canonicalize(candidate).is_ok_and(|path| path == real);
    Ok(candidate.filter(is_real).unwrap_or(real))
}

/// Sees to it that the user of Gitea can start what the hook starts.
fn may_run(command: &HookCommand, subject: &Subject) -> anyhow::Result<()> {
    let may = |path: &Path, how: Access| path.is_file() && access(path, how).is_ok();
    let user = &subject.run_user;
    if !may(command.binary(), Access::EXEC_OK) {
        bail!(
            "`{}` cannot be run by `{user}`, as whom Gitea runs its hooks: it needs to be there, executable, in directories that everybody \
             may enter, and not on a file system that is mounted with noexec; put it into /usr/local/bin, or name another with --binary",
            text::path(command.binary())
        );
    }
    if !may(command.config(), Access::READ_OK) {
        bail!(
            "`{0}` cannot be read by `{user}`, as whom Gitea runs its hooks: `chgrp {1} '{0}'` and `chmod 640 '{0}'`, and its directories must be \
             open to that group",
            text::path(command.config()),
            user.gid()
        );
    }
    Ok(())
}
