//! `install --system` and `uninstall --system`: the whole machine, as install.sh runs them.

use std::{
    ffi::OsString,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use clap::Args;
use rustix::process::{getegid, geteuid};

use super::{Common, Completion, check, gitea::GiteaArgs, terminal::Terminal};
use crate::{
    install::{
        RefHookWish, RunUser,
        system::{self, Console, SystemOutcome, SystemPlan, TimerWish},
    },
    sys::signals,
    text,
};

#[derive(Debug, Args)]
// As in a shell script, the last of several equal options counts.
#[command(next_help_heading = "With --system", args_override_self = true)]
pub(super) struct SystemArgs {
    /// Act on the whole machine, as install.sh does: also on the binary, a configuration, the state
    /// directory and the timer
    #[arg(long, conflicts_with_all = ["repositories", "url", "json"])]
    pub system: bool,
    /// Directory for bin/gitea-lightstep (default: /usr/local)
    #[arg(long, value_name = "DIR", requires = "system")]
    prefix: Option<PathBuf>,
    /// State directory (default: /var/lib/gitea-lightstep)
    #[arg(long, value_name = "DIR", requires = "system")]
    state_dir: Option<PathBuf>,
    /// Data volume of a container: everything is in DIR/gitea-lightstep
    #[arg(long, value_name = "DIR", requires = "system")]
    data_dir: Option<PathBuf>,
    /// Fail if there is no place for the timer, of systemd or cron (default: go without it)
    #[arg(long, requires = "system", conflicts_with = "no_timer")]
    timer: bool,
    /// Do not install the timer
    #[arg(long, requires = "system", conflicts_with_all = ["systemd_dir", "cron_dir"])]
    no_timer: bool,
    /// Directory of the timer's systemd units, which are not started
    #[arg(long, value_name = "DIR", requires = "system", conflicts_with = "cron_dir")]
    systemd_dir: Option<PathBuf>,
    /// Directory of the timer's file for cron
    #[arg(long, value_name = "DIR", requires = "system")]
    cron_dir: Option<PathBuf>,
    /// Leave the hook alone
    #[arg(long, requires = "system")]
    no_hook: bool,
    /// Binary to install (default: this one)
    #[arg(long, value_name = "FILE", requires = "system")]
    source: Option<PathBuf>,
    /// SHA-256 that the binary must have
    #[arg(long, value_name = "HEX", requires = "system")]
    sha256: Option<String>,
}

/// The options that `install` and `uninstall` share with `--system`.
pub(super) struct SystemOptions<'a> {
    pub system: &'a SystemArgs,
    pub gitea: &'a GiteaArgs,
    pub ref_hook: RefHookWish,
    pub is_removal: bool,
    pub is_purge: bool,
    pub is_confirmed: bool,
    pub is_dry_run: bool,
}

impl Console for Terminal {
    fn say(&self, line: &str) -> anyhow::Result<()> {
        Ok(Self::say(self, line)?)
    }

    fn tell(&self, line: &str) {
        self.message(line);
    }
}

impl SystemOptions<'_> {
    pub fn run(&self, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
        signals::note_stops();
        let plan = self.plan(common)?;
        // Root's directory may be closed to Gitea's user.
        std::env::set_current_dir("/").context("failed to enter `/`")?;
        let outcome = if self.is_removal {
            system::uninstall(&plan, terminal)
        } else {
            system::install(&plan, terminal)
        };
        Ok(match outcome {
            SystemOutcome::Done => Completion::Done,
            SystemOutcome::NeedsAttention => Completion::Found,
            SystemOutcome::Stopped(signal) => {
                Completion::Status(ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)))
            }
        })
    }

    fn plan(&self, common: &Common) -> anyhow::Result<SystemPlan> {
        let args = self.system;
        let absolute = |path: &Option<PathBuf>| path.as_deref().map(usable).transpose();
        let data_dir = absolute(&args.data_dir)?;
        if let Some(dir) = data_dir.as_deref().filter(|dir| !dir.is_dir()) {
            bail!("--data-dir: `{}` is not a directory", text::path(dir));
        }
        let base = data_dir.as_ref().map(|dir| dir.join("gitea-lightstep"));
        let or = |named: &Option<PathBuf>, name: &str, default: &str| -> anyhow::Result<PathBuf> {
            let based = || base.as_ref().map_or_else(|| default.into(), |base| base.join(name));
            Ok(absolute(named)?.unwrap_or_else(based).components().collect())
        };
        let prefix = or(&args.prefix, "", "/usr/local")?;
        let config = or(&common.config, "config.toml", crate::config::SYSTEM_FILE)?;
        let state_dir = or(&args.state_dir, "state", crate::config::DEFAULT_STATE_DIR)?;
        let source = match absolute(&args.source)? {
            Some(source) => source,
            None => std::env::current_exe().context("failed to find this binary; name it with --source")?,
        };
        let run_user = self.run_user(&prefix.join("bin/gitea-lightstep"), &state_dir)?;
        let is_timer_named = args.timer || args.systemd_dir.is_some() || args.cron_dir.is_some();
        let timer = match () {
            () if self.is_removal || args.no_timer => TimerWish::No,
            () if is_timer_named => TimerWish::Required,
            () => TimerWish::IfPossible,
        };
        let mut plan = SystemPlan {
            prefix,
            config,
            state_dir,
            is_state_dir_named: args.state_dir.is_some(),
            data_dir,
            source,
            sha256: args.sha256.as_ref().map(|sum| sum.to_ascii_lowercase()),
            sample: check::SAMPLE,
            timer,
            systemd_dir: absolute(&args.systemd_dir)?,
            cron_dir: absolute(&args.cron_dir)?,
            gitea_paths: Vec::new(),
            hook: None,
            ref_hook: self.ref_hook,
            run_user,
            is_purge: self.is_purge,
            is_confirmed: self.is_confirmed,
            is_dry_run: self.is_dry_run,
        };
        let paths = self.gitea.paths(!args.no_hook && plan.has_timer())?.into_iter();
        plan.gitea_paths =
            paths.map(|(option, path)| Ok((option, usable(&path)?))).collect::<anyhow::Result<_>>()?;
        plan.hook = (!args.no_hook).then(|| self.hook(&plan, common));
        Ok(plan)
    }

    /// Returns the options for `install` and `uninstall` of the hook.
    fn hook(&self, plan: &SystemPlan, common: &Common) -> Vec<OsString> {
        let paths = plan.gitea_paths.iter().flat_map(|(option, path)| [option.into(), path.into()]);
        let (uid, gid) = (plan.run_user.uid(), plan.run_user.gid());
        let user = self.gitea.named_user().map(|_| ["--run-user".into(), format!("{uid}:{gid}").into()]);
        paths.chain(user.into_iter().flatten()).chain(common.words()).collect()
    }

    /// Returns Gitea's user: this one, unless it is root. A removal also recognises it by its files.
    fn run_user(&self, installed: &Path, state_dir: &Path) -> anyhow::Result<RunUser> {
        let named = self.gitea.named_user().map(|name| {
            let user = RunUser::named(name);
            user.or_else(|err| in_directory(name).ok_or(err))
        });
        let named = named.transpose()?;
        if !geteuid().is_root() {
            let own = RunUser::with_ids(geteuid().as_raw(), getegid().as_raw());
            if let Some(other) = named.filter(|user| user.uid() != own.uid()) {
                bail!(
                    "--run-user: this runs as `{own}` and cannot act as `{other}`; run it as root or as `{other}`"
                );
            }
            return Ok(own);
        }
        if let Some(user) = named {
            return Ok(user);
        }
        let owner = |path: &Path| {
            let file = std::fs::metadata(path).ok().filter(|file| self.is_removal && file.uid() != 0)?;
            Some(RunUser::with_ids(file.uid(), file.gid()))
        };
        match self.gitea.found_user() {
            Ok(user) => Ok(user),
            Err(err) => owner(installed).or_else(|| owner(state_dir)).ok_or(err).context(
                "cannot determine the user that Gitea runs as; name it with --run-user, or name Gitea's app.ini \
                 with --gitea-config",
            ),
        }
    }
}

/// Returns an absolute path that can be written into files line by line.
fn usable(path: &Path) -> anyhow::Result<PathBuf> {
    let path =
        std::path::absolute(path).with_context(|| format!("`{}` is not a usable path", text::path(path)))?;
    if path.as_os_str().as_bytes().iter().any(u8::is_ascii_control) {
        bail!("`{}` contains a control character; use a path without one", text::path(&path));
    }
    Ok(path.components().collect())
}

/// Finds a user that is not in /etc/passwd, but in a directory service.
fn in_directory(name: &str) -> Option<RunUser> {
    let id = |option: &str| {
        let output = Command::new("id").args([option, name]).env("PATH", system::SAFE_PATH).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    Some(RunUser::with_name(name, id("-u")?, id("-g")?))
}
