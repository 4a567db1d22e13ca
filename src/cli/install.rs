//! `install`: installs the hook for all repositories of a Gitea, including those created later.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use rustix::fs::{Access, access};

use super::{
    Common, Completion, Verbosity, called_as,
    gitea::{GiteaArgs, GiteaInstance, Worker, refused},
    install_report::InstallReport,
    progress::{HowFar, while_working},
    system::{SystemArgs, SystemOptions},
    terminal::Terminal,
    through_api::{self, ThroughApiArgs},
};
use crate::{
    config,
    install::{self, Covered, CoveringError, HookCommand, InstallJob, RefHookWish, Walking},
    proposal,
    sys::users,
    text,
};

#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    #[command(flatten)]
    gitea: GiteaArgs,
    /// Binary that the hook runs (default: this one)
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// With git older than 2.54, have ref changes that no push brings noticed at once
    ///
    /// Also puts git's hook `reference-transaction` into each repository. A newer git has it in its
    /// configuration, also without this option.
    #[arg(long, conflicts_with = "no_ref_hook")]
    ref_hook: bool,
    /// With git 2.54 or newer, do not have ref changes that no push brings noticed at once
    ///
    /// Without this option, `install` also adds a hook for git's event `reference-transaction`. With
    /// it, only the timer's `scan` finds these changes.
    #[arg(long)]
    no_ref_hook: bool,
    /// Install only in this repository, as a file (can be repeated)
    #[arg(long = "repository", value_name = "OWNER/NAME", value_parser = super::repository_names)]
    repositories: Vec<(String, String)>,
    #[command(flatten)]
    through_api: ThroughApiArgs,
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

/// Returns the choice that `--ref-hook` and `--no-ref-hook` make.
pub(super) fn ref_hook_wish(is_wanted: bool, is_unwanted: bool) -> RefHookWish {
    match (is_wanted, is_unwanted) {
        (true, _) => RefHookWish::Yes,
        (false, true) => RefHookWish::No,
        (false, false) => RefHookWish::Default,
    }
}

pub(super) fn run(args: &InstallArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let ref_hook = ref_hook_wish(args.ref_hook, args.no_ref_hook);
    if args.system.system {
        let options = SystemOptions {
            system: &args.system,
            gitea: &args.gitea,
            ref_hook,
            is_removal: false,
            is_purge: false,
            is_confirmed: false,
            is_dry_run: args.dry_run,
        };
        return options.run(common, terminal);
    }
    if let Some(api) = args.through_api.api()? {
        let (Some(binary), Some(config)) = (&args.binary, &common.config) else {
            terminal
                .message("--through-api needs --binary and --config, with the paths on Gitea's own machine");
            return Ok(Completion::Misused);
        };
        let command = HookCommand::new(binary.clone(), config.clone(), None)?;
        let told = (args.dry_run, args.json);
        return through_api::run(&api, &args.repositories, Some(&command), told, terminal);
    }
    let words = || {
        let (binary, config) = binary_and_config(args, common)?;
        let mut words: Vec<OsString> = vec!["install".into()];
        words.extend(["--binary".into(), binary.into(), "--config".into(), config.into()]);
        words.extend(super::repository_words(&args.repositories));
        words.extend(ref_hook.option().map(Into::into));
        words.extend(args.dry_run.then(|| "--dry-run".into()));
        words.extend(args.json.then(|| "--json".into()));
        words.extend(args.verbosity.verbose.then(|| "--verbose".into()));
        Ok(words)
    };
    let subject = match args.gitea.worker(common, words)? {
        Worker::This(subject) => subject,
        Worker::Other(ending) => return Ok(ending),
    };
    let (binary, config) = binary_and_config(args, common)?;
    // On a dry run, the binary and the configuration may not be in place yet.
    if !args.dry_run {
        may_run(&binary, &config, &subject)?;
    }
    let command = HookCommand::new(binary, config.clone(), state_dir(&config, args.dry_run)?)?;
    let git = subject.git()?;
    let version = git.version()?;
    let walking = Walking::default();
    let job = InstallJob { place: &subject.place, is_real: !args.dry_run, ref_hook, walking: &walking };
    let covered = watched(&walking, !args.json && terminal.is_watched(), || {
        if args.repositories.is_empty() {
            install::install(job, &command, &git, version)
        } else {
            install::install_in(job, &args.repositories, &command, version)
        }
    })?;
    InstallReport::install(&subject, &covered, version, args.dry_run).print(args.json, terminal)
}

/// Runs `work` with a progress bar if `is_watched` is true.
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

/// Returns what the hook will start: this binary or the named one, and the configuration in force.
fn binary_and_config(args: &InstallArgs, common: &Common) -> anyhow::Result<(PathBuf, PathBuf)> {
    let own = || called_as::own_binary().context("failed to find this binary; name it with --binary");
    let binary = args.binary.clone().map_or_else(own, Ok)?;
    let Some(config) = config::find(common.config.as_deref()) else {
        bail!(
            "found no configuration for the hook; write one to /etc/gitea-lightstep/config.toml (`{}` prints a \
             template), or name one with --config",
            proposal::command("check --sample")
        );
    };
    let (binary, config) = (std::path::absolute(binary)?, std::path::absolute(config)?);
    HookCommand::new(binary.clone(), config.clone(), None)?;
    Ok((binary, config))
}

/// Returns the state directory that the configuration names. The hook needs it when the
/// configuration cannot be read.
fn state_dir(config: &Path, is_dry_run: bool) -> anyhow::Result<Option<PathBuf>> {
    let dir = config::state_dir_meant(config);
    if dir.is_none() && !is_dry_run {
        bail!(
            "failed to read the state directory, which the hook needs, from `{}`; `{}` shows what is wrong",
            text::path(config),
            proposal::command("check")
        );
    }
    Ok(dir)
}

/// Checks that Gitea's user can run the binary and read the configuration.
fn may_run(binary: &Path, config: &Path, subject: &GiteaInstance) -> anyhow::Result<()> {
    let may = |path: &Path, how: Access| path.is_file() && access(path, how).is_ok();
    let user = &subject.run_user;
    if !may(binary, Access::EXEC_OK) {
        bail!(
            "`{}` cannot be executed by `{user}`, the user that runs Gitea's hooks: it must be an executable \
             file, in directories that all users may enter, on a file system without noexec; move it to \
             /usr/local/bin, or name another with --binary",
            text::path(binary)
        );
    }
    if !may(config, Access::READ_OK) {
        bail!(
            "`{}` cannot be read by `{user}`, the user that runs Gitea's hooks; run `{}`, and let that group enter \
             its directories",
            text::path(config),
            proposal::as_root_all(&[
                format!("chgrp {} {}", users::group_word(user.gid()), text::shell(config)),
                format!("chmod 640 {}", text::shell(config)),
            ])
        );
    }
    // Each push runs the binary, and the configuration can name commands to run.
    for path in [binary, config] {
        install::check(path, user).map_err(|exposed| refused(&exposed))?;
    }
    Ok(())
}
