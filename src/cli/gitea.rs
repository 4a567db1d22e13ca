//! Which Gitea is meant, as `install`, `uninstall` and `doctor` are told or find out, and becoming the user that it runs as.

use std::{
    ffi::OsString,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use rustix::process::{DumpableBehavior, geteuid, set_dumpable_behavior};

use super::{Common, Ending};
use crate::{
    install::{self, Found, Git, Gitea, Place, Process, RunUser},
    text,
};

/// What a process gets of root's environment that becomes the user of Gitea.
const ALLOWED: [&str; 8] = ["PATH", "LANG", "LC_ALL", "TERM", "NO_COLOR", "TZ", "COLUMNS", "TMPDIR"];

/// Said to the process that becomes the user of Gitea, so that it does not try to do so itself.
const AS_RUN_USER: &str = "--as-run-user";

#[derive(Debug, Default, Args)]
pub(super) struct GiteaArgs {
    /// Gitea's app.ini
    ///
    /// Otherwise that of a running Gitea or Forgejo, else the one in the usual places.
    #[arg(long, value_name = "FILE")]
    gitea_config: Option<PathBuf>,
    /// The user that Gitea runs as: a name, or UID:GID
    ///
    /// Otherwise RUN_USER of app.ini, else the owner of the running Gitea, else that of the repositories. Root becomes this
    /// user before anything of Gitea's is written.
    #[arg(long, value_name = "USER")]
    run_user: Option<String>,
    /// The directory of all repositories, where there is no app.ini: a tree of OWNER/NAME.git
    #[arg(long, value_name = "DIR", conflicts_with = "gitea_config")]
    root: Option<PathBuf>,
    /// The git that Gitea runs
    ///
    /// Otherwise `[git] PATH` of app.ini, else the git in the PATH of the running Gitea, else in ours.
    #[arg(long, value_name = "FILE")]
    git: Option<PathBuf>,
    /// Where Gitea works, for an app.ini that does not say
    #[arg(long, value_name = "DIR", hide = true)]
    work_path: Option<PathBuf>,
    /// Root has become the user of Gitea
    #[arg(long, hide = true)]
    as_run_user: bool,
}

/// The Gitea that is meant, seen by the user that it runs as.
#[derive(Debug)]
pub(super) struct Subject {
    pub place: Place,
    pub run_user: RunUser,
    process: Option<Process>,
    git: Option<PathBuf>,
}

/// Which process does the work.
pub(super) enum Worker {
    /// This process: it is of the user of Gitea.
    This(Box<Subject>),
    /// Another one went on in our place, and ended so.
    Other(Ending),
}

impl GiteaArgs {
    /// Finds the Gitea. Root hands on to a process of the user of Gitea, which is told `words` besides: the command and
    /// its own options.
    pub fn worker(
        &self,
        common: &Common,
        words: impl FnOnce() -> anyhow::Result<Vec<OsString>>,
    ) -> anyhow::Result<Worker> {
        if self.as_run_user {
            // Whoever else is this user may not look into a process that root's terminal belongs to.
            let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        }
        let found = match self.root {
            Some(_) => None,
            None => Some(install::find(self.gitea_config.as_deref())?),
        };
        let process = found.as_ref().and_then(Found::process).cloned();
        let place = self.place(found.as_ref(), process.as_ref())?;
        let run_user = self.run_user(&place, process.as_ref())?;
        let uid = geteuid().as_raw();
        if uid == run_user.uid() {
            return Ok(Worker::This(Box::new(Subject { place, run_user, process, git: self.git.clone() })));
        }
        if uid != 0 || self.as_run_user {
            bail!(
                "Gitea runs as `{run_user}`, and this is the user with the id {uid}: what it made, Gitea could not change; run this as \
                 root or as `{run_user}`, or say --run-user if that is wrong"
            );
        }
        let mut words = words()?;
        words.push(AS_RUN_USER.into());
        words.extend(["--run-user".into(), format!("{}:{}", run_user.uid(), run_user.gid()).into()]);
        let subject = Subject { place, run_user, process, git: self.git.clone() };
        words.extend(subject.words()?);
        words.extend(common.words());
        become_user(&subject.run_user, &words).map(Worker::Other)
    }

    fn place(&self, found: Option<&Found>, process: Option<&Process>) -> anyhow::Result<Place> {
        match (found, &self.root) {
            (Some(found), _) => {
                let work_path = self.work_path.as_deref().or_else(|| process.map(Process::work_path));
                let config = std::path::absolute(found.config())?;
                Ok(Place::of(Gitea::read(&config, work_path)?))
            }
            (None, Some(root)) => Ok(Place::plain(std::path::absolute(root)?)),
            (None, None) => Err(anyhow!("no Gitea is named")),
        }
    }

    /// Tells as whom Gitea runs. That it is root must be said outright: app.ini may be in the hands of its user.
    fn run_user(&self, place: &Place, process: Option<&Process>) -> anyhow::Result<RunUser> {
        if let Some(named) = &self.run_user {
            return Ok(RunUser::named(named)?);
        }
        let written = place.gitea().and_then(Gitea::run_user);
        let (user, whence) = match (written, process) {
            (Some(name), _) => {
                let config = place.gitea().map(|gitea| text::path(gitea.config())).unwrap_or_default();
                let user = RunUser::named(name).with_context(|| format!("`RUN_USER` in `{config}`"))?;
                (user, format!("`RUN_USER` in `{config}`"))
            }
            (None, Some(process)) => {
                let (uid, gid) = process.owner();
                (RunUser::with_ids(uid, gid), format!("the owner of the process {}", process.pid()))
            }
            (None, None) => {
                let owner = std::fs::metadata(place.root())
                    .with_context(|| format!("failed to read who owns `{}`", text::path(place.root())))?;
                let whence = format!("the owner of `{}`", text::path(place.root()));
                (RunUser::with_ids(owner.uid(), owner.gid()), whence)
            }
        };
        if user.uid() == 0 {
            bail!(
                "{whence} is root, as whom Gitea does not run; say --run-user with the user that it runs as"
            );
        }
        Ok(user)
    }
}

impl Subject {
    /// Returns the git that Gitea runs.
    pub fn git(&self) -> anyhow::Result<Git> {
        let named = self.git.as_deref().or_else(|| self.place.gitea().and_then(Gitea::git));
        let name = named.unwrap_or(Path::new("git"));
        let own = std::env::var_os("PATH");
        let paths = [self.process.as_ref().and_then(Process::path), own.as_deref()];
        paths.into_iter().flatten().find_map(|path| Git::find(name, path)).ok_or_else(|| {
            anyhow!("found no `{}`, which Gitea runs; name its git with --git", text::path(name))
        })
    }

    /// Returns the options that name all this outright.
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
        // Of one that is not found, the process itself tells.
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

/// Runs this program again as another user, who has none of root's groups and nothing of its environment.
fn become_user(user: &RunUser, words: &[OsString]) -> anyhow::Result<Ending> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("gitea-lightstep")
        .args(words)
        .uid(user.uid())
        .gid(user.gid())
        .env_clear()
        .envs(ALLOWED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .current_dir("/");
    let status = command.status().with_context(|| format!("failed to become the user `{user}`"))?;
    match status.code() {
        Some(0) => Ok(Ending::Done),
        Some(1) => Ok(Ending::Found),
        Some(2) => Ok(Ending::Misused),
        _ => bail!("the process of the user `{user}` ended with {status}"),
    }
}
