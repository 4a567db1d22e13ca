//! Finds the Gitea that `install`, `uninstall` and `doctor` work on, and switches from root to the
//! user that it runs as.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use rustix::process::{DumpableBehavior, getegid, geteuid, set_dumpable_behavior};
use thiserror::Error;

use super::{
    Common, Completion,
    called_as::{self, AS_RUN_USER},
};
use crate::{
    config,
    install::{self, Exposed, FoundConfig, Git, Gitea, Process, RepositoriesRoot, RunUser},
    proposal,
    sys::{child, users},
    text,
};

/// Variables that the process gets from root's environment when it switches to Gitea's user. It
/// also gets the safe directories of `PATH`. `TMPDIR` is left out: the user who became root may
/// have set it to a directory of their own.
const ALLOWED: [&str; 6] = ["LANG", "LC_ALL", "TERM", "NO_COLOR", "TZ", "COLUMNS"];

/// Heading of the options in the help of commands that need no Gitea.
pub(super) const GITEA: &str = "As root, run as Gitea's user";

#[derive(Debug, Default, Args)]
pub(super) struct GiteaArgs {
    /// Path of Gitea's app.ini
    ///
    /// Default: the one in the usual places, else that of a running Gitea or Forgejo. It must
    /// belong to root or Gitea's user, and no other user may be able to change it.
    #[arg(long, value_name = "FILE")]
    gitea_config: Option<PathBuf>,
    /// The user that Gitea runs as: a name, or UID:GID
    ///
    /// Default: RUN_USER of app.ini, else the owner of app.ini, else the owner of the repositories.
    /// Root switches to this user before it writes any of Gitea's files.
    #[arg(long, value_name = "USER")]
    run_user: Option<String>,
    /// Directory of all repositories (OWNER/NAME.git), if there is no app.ini
    #[arg(long, value_name = "DIR", conflicts_with = "gitea_config")]
    root: Option<PathBuf>,
    /// Path of the git that Gitea runs
    ///
    /// Default: `[git] PATH` of app.ini, else the git in the PATH of the running Gitea, else in
    /// ours. It must belong to root or Gitea's user.
    #[arg(long, value_name = "FILE")]
    git: Option<PathBuf>,
    /// Gitea's work path, if app.ini does not set it
    #[arg(long, value_name = "DIR", hide = true)]
    work_path: Option<PathBuf>,
    /// Root has already switched to Gitea's user
    #[arg(long, hide = true)]
    as_run_user: bool,
}

/// The Gitea to work on, as seen by the user that it runs as.
#[derive(Debug)]
pub(super) struct GiteaInstance {
    pub place: RepositoriesRoot,
    pub run_user: RunUser,
    process: Option<Process>,
    git: Option<PathBuf>,
}

/// This user is not the one that Gitea runs as.
#[derive(Debug, Error)]
#[error("{why}; {fix}, or correct Gitea's user with --run-user")]
pub(super) struct WrongUser {
    pub why: String,
    pub fix: String,
}

/// The process that does the work.
pub(super) enum Worker {
    /// This process, because it already runs as Gitea's user.
    This(Box<GiteaInstance>),
    /// Another process, which ran as Gitea's user and has ended.
    Other(Completion),
}

impl GiteaArgs {
    /// True if root started this process as Gitea's user.
    pub fn is_from_root(&self) -> bool {
        self.as_run_user
    }

    /// Finds the Gitea to work on. Root runs the command again as Gitea's user, with `words` as its
    /// arguments: the command and the command's own options.
    pub fn worker(
        &self,
        common: &Common,
        words: impl FnOnce() -> anyhow::Result<Vec<OsString>>,
    ) -> anyhow::Result<Worker> {
        self.keep_to_ourselves();
        let subject = self.instance()?;
        let uid = geteuid().as_raw();
        if uid == subject.run_user.uid() {
            return Ok(Worker::This(Box::new(subject)));
        }
        let mut words = words()?;
        let user = &subject.run_user;
        words.push(AS_RUN_USER.into());
        words.extend(["--run-user".into(), format!("{}:{}", user.uid(), user.gid()).into()]);
        words.extend(subject.words()?);
        words.extend(common.words());
        become_user(user, &words, &secret_variables(common)).map(Worker::Other)
    }

    /// Runs a command that needs no Gitea as Gitea's user, if this is root: what root can read and
    /// write says nothing about the hook. Returns the outcome, or `None` if this process has to do the
    /// work, because it is not root, or neither a Gitea nor its user was named or found.
    pub fn as_gitea_user(
        &self,
        common: &Common,
        words: impl FnOnce() -> Vec<OsString>,
    ) -> anyhow::Result<Option<Completion>> {
        let config = config::find(common.config.as_deref());
        if self.as_run_user {
            self.keep_to_ourselves();
            // The configuration may name commands, which must not run as Gitea's user if another user
            // can change it.
            let user = RunUser::with_ids(geteuid().as_raw(), getegid().as_raw());
            let exposed = config.and_then(|path| install::check(&path, &user).err());
            return exposed
                .filter(|exposed| !exposed.is_unseen())
                .map_or(Ok(None), |exposed| Err(refused(&exposed)));
        }
        let is_named = self.gitea_config.is_some() || self.root.is_some();
        let user = match &self.run_user {
            _ if !geteuid().is_root() => return Ok(None),
            _ if is_named || install::find(None).is_ok() => self.instance()?.run_user,
            Some(name) => RunUser::named(name)?,
            None => return Ok(None),
        };
        if user.uid() == 0 {
            return Ok(None);
        }
        let mut words = words();
        if let Some(path) = config {
            words.extend(["--config".into(), std::path::absolute(path)?.into()]);
        }
        words.extend([
            AS_RUN_USER.into(),
            "--run-user".into(),
            format!("{}:{}", user.uid(), user.gid()).into(),
        ]);
        words.extend(common.words());
        become_user(&user, &words, &secret_variables(common)).map(Some)
    }

    /// Keeps other processes of this user from tracing this one, which has access to root's terminal.
    fn keep_to_ourselves(&self) {
        if self.as_run_user {
            let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        }
    }

    /// Returns the user that `--run-user` names.
    pub fn named_user(&self) -> Option<&str> {
        self.run_user.as_deref()
    }

    /// Returns the user of the Gitea that is found here.
    pub fn found_user(&self) -> anyhow::Result<RunUser> {
        Ok(self.instance()?.run_user)
    }

    /// Returns the options that name paths. With `is_whole`, Gitea's configuration is among them even
    /// if it has to be found.
    pub fn paths(&self, is_whole: bool) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
        let mut config = self.gitea_config.clone();
        if is_whole && config.is_none() && self.root.is_none() {
            let found = self.instance().context(
                "cannot determine Gitea's app.ini, which the timer's commands name; name it with --gitea-config, \
                 or the repositories with --root",
            )?;
            config = found.place.gitea().map(|gitea| gitea.config().into());
        }
        let named = [("--gitea-config", &config), ("--root", &self.root), ("--git", &self.git)];
        let named = named.into_iter().filter_map(|(option, path)| Some((option, path.as_ref()?)));
        named.map(|(option, path)| Ok((option, std::path::absolute(path)?))).collect()
    }

    /// Finds the Gitea, and checks who can change its configuration.
    fn instance(&self) -> anyhow::Result<GiteaInstance> {
        let found = match self.root {
            Some(_) => None,
            None => Some(install::find(self.gitea_config.as_deref())?),
        };
        let process = found.as_ref().and_then(FoundConfig::process);
        let place = self.place(found.as_ref(), process)?;
        let run_user = self.run_user(&place)?;
        let uid = geteuid().as_raw();
        if uid != run_user.uid() && (uid != 0 || self.as_run_user) {
            bail!(WrongUser {
                why: format!(
                    "Gitea runs as `{run_user}`, and could not change files that {} creates",
                    users::user(uid)
                ),
                fix: format!("run `{}`", proposal::same_as_user(run_user.uid())),
            });
        }
        // Check this before acting as that user. A file that a third user can change could name any
        // user as Gitea's.
        match place.gitea() {
            Some(gitea) => gitea.check(&run_user),
            None => install::check(place.root(), &run_user),
        }
        .map_err(|exposed| refused(&exposed))?;
        let process = process.filter(|process| process.is_run_by(&run_user).is_ok()).cloned();
        Ok(GiteaInstance { place, run_user, process, git: self.git.clone() })
    }

    fn place(
        &self,
        found: Option<&FoundConfig>,
        process: Option<&Process>,
    ) -> anyhow::Result<RepositoriesRoot> {
        match (found, &self.root) {
            (Some(found), _) => {
                let work_path = self.work_path.as_deref().or_else(|| process.map(Process::work_path));
                let config = std::path::absolute(found.config())?;
                Ok(RepositoriesRoot::of(Gitea::read(&config, work_path)?))
            }
            (None, Some(root)) => Ok(RepositoriesRoot::plain(std::path::absolute(root)?)),
            (None, None) => Err(anyhow!("no Gitea was named")),
        }
    }

    /// Returns the user that Gitea runs as. Root is accepted from `--run-user` only, because
    /// Gitea's user may be able to change app.ini.
    fn run_user(&self, place: &RepositoriesRoot) -> anyhow::Result<RunUser> {
        if let Some(named) = &self.run_user {
            return Ok(RunUser::named(named)?);
        }
        let (user, whence) = match place.gitea() {
            Some(gitea) => (gitea.user()?, format!("the user that `{}` names", text::path(gitea.config()))),
            None => {
                let whence = format!("the owner of `{}`", text::path(place.root()));
                (RunUser::owner_of(place.root()).map_err(|exposed| refused(&exposed))?, whence)
            }
        };
        if user.uid() == 0 {
            bail!("{whence} is root, but Gitea does not run as root; name its user with --run-user");
        }
        Ok(user)
    }
}

/// Returns an error that says why a file is not trusted and how to fix it.
pub(super) fn refused(exposed: &Exposed) -> anyhow::Error {
    anyhow!("{exposed}; {}", exposed.fix())
}

impl GiteaInstance {
    /// Returns the git that Gitea runs, if only root and Gitea's user can change it.
    pub fn git(&self) -> anyhow::Result<Git> {
        let named = self.git.as_deref().or_else(|| self.place.gitea().and_then(Gitea::git));
        let name = named.unwrap_or(Path::new("git"));
        let own = std::env::var_os("PATH");
        let paths = [self.process.as_ref().and_then(Process::path), own.as_deref()];
        let mut doubt = None;
        for git in paths.into_iter().flatten().flat_map(|path| Git::all(name, path)) {
            match install::check(git.program(), &self.run_user) {
                Ok(()) => return Ok(git),
                Err(exposed) => doubt = doubt.or(Some(exposed)),
            }
        }
        Err(match doubt {
            Some(exposed) => refused(&exposed).context("the git that Gitea runs is not trusted"),
            None => anyhow!("found no `{}`, which Gitea runs; name its git with --git", text::path(name)),
        })
    }

    /// Returns the options that name all of this explicitly, for the process of Gitea's user.
    fn words(&self) -> anyhow::Result<Vec<OsString>> {
        let mut words: Vec<OsString> = Vec::new();
        let mut say = |option: &str, path: &Path| words.extend([option.into(), path.as_os_str().into()]);
        match self.place.gitea() {
            Some(gitea) => say("--gitea-config", gitea.config()),
            None => say("--root", self.place.root()),
        }
        if let Some(process) = &self.process {
            say("--work-path", process.work_path());
        }
        // If git is not found here, the other process searches again and reports it.
        match &self.git {
            Some(git) if git.components().nth(1).is_some() => say("--git", &std::path::absolute(git)?),
            Some(git) => say("--git", git),
            None => {
                if let Ok(git) = self.git() {
                    say("--git", git.program());
                }
            }
        }
        Ok(words)
    }
}

/// Runs this program as another user, without root's groups, and with only the environment
/// variables in `ALLOWED` and `secrets` and a safe `PATH`.
fn become_user(user: &RunUser, words: &[OsString], secrets: &[String]) -> anyhow::Result<Completion> {
    child::withhold_descriptors();
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("gitea-lightstep")
        .args(words)
        .uid(user.uid())
        .gid(user.gid())
        .env_clear()
        .envs(secrets.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(ALLOWED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs([called_as::variable()])
        .env("PATH", safe_path(&std::env::var_os("PATH").unwrap_or_default(), user))
        .current_dir("/");
    let status = command.status().with_context(|| format!("failed to switch to the user `{user}`"))?;
    match status.code() {
        Some(0) => Ok(Completion::Done),
        Some(1) => Ok(Completion::Found),
        Some(2) => Ok(Completion::Misused),
        _ => bail!("the process of the user `{user}` ended with {status}"),
    }
}

/// Returns the environment variables from which the configuration reads secrets, if only root can
/// change the configuration. Gitea's user has them in its own environment.
fn secret_variables(common: &Common) -> Vec<String> {
    let path = config::find(common.config.as_deref());
    let path = path.filter(|path| install::check(path, &RunUser::with_ids(0, 0)).is_ok());
    let Some(config) = path.and_then(|path| config::load(Some(&path)).ok()) else { return Vec::new() };
    config.secrets().filter_map(|source| source.variable().map(ToString::to_string)).collect()
}

/// Returns the directories of a `PATH` in which only root and this user can create files.
fn safe_path(path: &OsStr, user: &RunUser) -> OsString {
    let is_safe = |dir: &PathBuf| dir.is_absolute() && install::check(dir, user).is_ok();
    std::env::join_paths(std::env::split_paths(path).filter(is_safe)).unwrap_or_default()
}
