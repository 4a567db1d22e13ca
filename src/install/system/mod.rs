//! Sets up a machine, or clears it: the binary, a configuration to fill in, the state directory, the
//! timer and the hook. `install.sh` verifies the binary and then runs this.
//!
//! A run does everything or nothing: if it fails or is stopped, it undoes its steps.

mod actors;
mod changes;
mod hook;
mod removal;
mod timer;

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::geteuid;
use sha2::{Digest as _, Sha256};

use self::{
    actors::Actor,
    changes::{Changes, Stopped, exists, stop_asked},
    timer::TimerPlace,
};
use super::{RefHookWish, RunUser, check, dirfd, run};
use crate::{
    config, proposal,
    sys::{fault::Step, users},
    text,
};

pub use self::timer::TimerWish;

/// `PATH` of the system's own programs.
pub const SAFE_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Maximum run time of `gitea-lightstep check`.
const PATIENCE: Duration = Duration::from_secs(60);

/// The output of a run.
pub trait Console {
    /// Prints a line about what was done.
    ///
    /// # Errors
    /// If the output is closed.
    fn say(&self, line: &str) -> anyhow::Result<()>;
    /// Prints a message.
    fn tell(&self, line: &str);
}

/// What to install, and where. All paths are absolute.
#[derive(Debug)]
pub struct SystemPlan {
    /// Directory that gets `bin/gitea-lightstep`.
    pub prefix: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// State directory of a new configuration.
    pub state_dir: PathBuf,
    /// True if that directory was named, and is not the default.
    pub is_state_dir_named: bool,
    /// Data volume of a container, if everything is put there.
    pub data_dir: Option<PathBuf>,
    /// Binary to install.
    pub source: PathBuf,
    /// Expected SHA-256 of the binary, in lower case.
    pub sha256: Option<String>,
    /// Sample configuration.
    pub sample: &'static str,
    /// The caller's choice about the timer.
    pub timer: TimerWish,
    /// Directory for units of systemd.
    pub systemd_dir: Option<PathBuf>,
    /// Directory for a file of cron.
    pub cron_dir: Option<PathBuf>,
    /// Options with paths for `install` and `uninstall` of the hook, which the timer uses too.
    pub gitea_paths: Vec<(&'static str, PathBuf)>,
    /// Options for `install` and `uninstall` of the hook, or `None` to leave the hook alone.
    pub hook: Option<Vec<OsString>>,
    /// The caller's choice about the hook for ref changes.
    pub ref_hook: RefHookWish,
    /// Gitea's user.
    pub run_user: RunUser,
    /// Remove the configuration and the state too.
    pub is_purge: bool,
    /// Do not ask for confirmation.
    pub is_confirmed: bool,
    /// Change nothing.
    pub is_dry_run: bool,
}

/// The end of a run. What failed was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemOutcome {
    /// Everything is in order.
    Done,
    /// It failed and was undone, or it worked and something needs attention.
    NeedsAttention,
    /// It was stopped by this signal and undone.
    Stopped(i32),
}

/// Sets up the machine.
pub fn install(plan: &SystemPlan, console: &dyn Console) -> SystemOutcome {
    SystemRun::transact(plan, console, SystemRun::install)
}

/// Removes what [`install`] set up.
pub fn uninstall(plan: &SystemPlan, console: &dyn Console) -> SystemOutcome {
    SystemRun::transact(plan, console, SystemRun::uninstall)
}

impl SystemPlan {
    /// Returns true if the timer is wanted and has a place.
    pub fn has_timer(&self) -> bool {
        self.timer != TimerWish::No && TimerPlace::find(self, geteuid().is_root()) != TimerPlace::None
    }

    fn installed(&self) -> PathBuf {
        self.prefix.join("bin/gitea-lightstep")
    }
}

/// A run in progress.
struct SystemRun<'a> {
    plan: &'a SystemPlan,
    console: &'a dyn Console,
    changes: Changes,
    timer: TimerPlace,
    /// True if something needs attention.
    has_found: bool,
}

impl<'a> SystemRun<'a> {
    fn transact(
        plan: &'a SystemPlan,
        console: &'a dyn Console,
        work: fn(&mut Self) -> anyhow::Result<()>,
    ) -> SystemOutcome {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let changes = Changes::new(&plan.run_user);
        let timer = TimerPlace::find(plan, changes.actors.is_root());
        let mut run = Self { plan, console, changes, timer, has_found: false };
        match run.changes.actors.find_groups().and_then(|()| work(&mut run)) {
            Ok(()) if run.has_found => SystemOutcome::NeedsAttention,
            Ok(()) => SystemOutcome::Done,
            Err(err) => {
                let stopped = err.downcast_ref::<Stopped>().copied().or_else(stop_asked);
                match stopped {
                    Some(stopped) => {
                        console.tell(&format!("{stopped} while trying to {}", run.changes.doing));
                    }
                    None => console.tell(&format!("{err:#}")),
                }
                run.changes.roll_back(console);
                stopped
                    .map_or(SystemOutcome::NeedsAttention, |Stopped(signal)| SystemOutcome::Stopped(signal))
            }
        }
    }

    fn install(&mut self) -> anyhow::Result<()> {
        let plan = self.plan;
        let is_config_new = !exists(&plan.config);
        let had_check = self.put_binary()?;
        let state_dir = self.put_config()?;
        if let Some(dir) = &state_dir {
            self.put_state(dir)?;
        }
        let can_run = plan.is_dry_run || self.check_config(had_check)?;
        self.put_timer(state_dir.as_deref())?;
        if can_run {
            self.put_hook()?;
        }
        self.has_found |= !can_run;
        if plan.is_dry_run {
            return Ok(());
        }
        self.has_found |= !self.changes.commit(self.console)?;
        if is_config_new { self.say_next() } else { Ok(()) }
    }

    /// Installs the binary. Returns true if it replaced one that accepted the configuration.
    fn put_binary(&mut self) -> anyhow::Result<bool> {
        let installed = self.plan.installed();
        let shown = text::path(&installed);
        self.changes.doing = format!("read `{}`", text::path(&self.plan.source));
        self.changes.pass(Step::Read, &self.plan.source)?;
        let bytes = fs::read(&self.plan.source).with_context(|| self.changes.failed())?;
        // The bytes that are written below are those that are checked here.
        if let Some(expected) = &self.plan.sha256 {
            let found = text::Hex(&Sha256::digest(&bytes)).to_string();
            if found != *expected {
                bail!(
                    "`{}` does not match --sha256: its SHA-256 is {found}; nothing was changed",
                    text::path(&self.plan.source)
                );
            }
        }
        let how = match fs::metadata(&installed) {
            Ok(old) if old.mode() & 0o7777 == 0o755 && self.is_same(&installed, &old, &bytes) => "unchanged",
            Ok(_) => "replaced",
            Err(_) => "new",
        };
        if self.plan.is_dry_run {
            self.console.say(&format!("would install  {shown} ({how})"))?;
            return Ok(false);
        }
        self.changes.sweep(&installed)?;
        let had_check = how == "replaced" && self.check(&installed).is_ok_and(|(accepts, _)| accepts);
        self.changes.pass(Step::Program, &installed)?;
        if how != "unchanged" {
            let staged = self.changes.stage(&installed, 0o755, None, &bytes)?;
            self.changes.place(&staged)?;
        }
        self.console.say(&format!("binary         {shown} ({how})"))?;
        let dir = installed.parent().unwrap_or(&installed);
        let is_theirs =
            !self.changes.actors.is_root() || self.changes.actors.writer_of(dir)? == Actor::RunUser;
        if self.plan.data_dir.is_none() && is_theirs {
            self.console.tell(&format!(
                "note: {} may write to `{}`, so an attacker who breaks into Gitea can replace the binary; to \
                 prevent that, install as root into /usr/local",
                self.plan.run_user,
                text::path(dir)
            ));
        }
        Ok(had_check)
    }

    /// Returns true if the installed file has this content.
    fn is_same(&self, installed: &Path, old: &fs::Metadata, bytes: &[u8]) -> bool {
        let read = || {
            self.changes.pass(Step::Read, installed).ok()?;
            // Gitea's user may be able to replace it by now, for example by a FIFO.
            dirfd::read_file(installed, bytes.len() as u64).ok()
        };
        old.is_file() && old.len() == bytes.len() as u64 && read().as_deref() == Some(bytes)
    }

    /// Installs the configuration if there is none. Returns its state directory, if it has one.
    fn put_config(&mut self) -> anyhow::Result<Option<PathBuf>> {
        let (config, state_dir) = (&self.plan.config, &self.plan.state_dir);
        let shown = text::path(config);
        if !self.plan.is_dry_run {
            self.changes.sweep(config)?;
        }
        if exists(config) {
            let configured = config::state_dir_meant(config);
            if self.plan.is_state_dir_named && configured.as_ref().is_some_and(|dir| dir != state_dir) {
                self.console.tell(&format!(
                    "note: `{shown}` is kept and has a different state_dir; --state-dir applies only to a new \
                     configuration"
                ));
            }
            self.console.say(&format!("configuration  {shown} (kept)"))?;
            return Ok(configured);
        }
        if self.plan.is_dry_run {
            self.console.say(&format!("would write    {shown} (new)"))?;
            return Ok(Some(state_dir.clone()));
        }
        let text = sample_with(self.plan.sample, state_dir)?;
        let staged = self.changes.stage(config, 0o640, Some(self.plan.run_user.gid()), text.as_bytes())?;
        self.changes.place(&staged)?;
        self.console.say(&format!("configuration  {shown} (new: add a destination to it)"))?;
        Ok(Some(state_dir.clone()))
    }

    fn put_state(&mut self, dir: &Path) -> anyhow::Result<()> {
        let (shown, user) = (text::path(dir), &self.plan.run_user);
        match fs::metadata(dir).ok().filter(fs::Metadata::is_dir) {
            Some(metadata) => {
                let (owner, mode) = (metadata.uid(), metadata.permissions().mode() & 0o7777);
                if owner != user.uid() {
                    bail!(
                        "`{shown}` belongs to {}, so {user} cannot write to it; run `{}`, or use another state directory",
                        users::user(owner),
                        proposal::as_root(&format!(
                            "chown -R {} {}",
                            users::user_word(user.uid()),
                            text::shell(dir)
                        ))
                    );
                }
                if mode != 0o700 && self.plan.is_dry_run {
                    self.console.say(&format!("would change   {shown} (mode {mode:o} to 700)"))?;
                } else if mode != 0o700 {
                    self.changes.set_mode(dir, (mode, 0o700))?;
                }
            }
            None if !self.may_act_on(dir)? => bail!(
                "`{shown}` does not exist, and root does not create it, because {user} may change the \
                 configuration that names it; create it, or correct `state_dir` in `{}`",
                text::path(&self.plan.config)
            ),
            None if self.plan.is_dry_run => self.console.say(&format!("would create   {shown}"))?,
            None => self.changes.make_state_dir(dir)?,
        }
        if self.plan.is_dry_run { Ok(()) } else { self.console.say(&format!("state          {shown}")) }
    }

    /// Returns true if a directory can be created or removed that the configuration may name. Root
    /// does that only if no other user could have named it.
    fn may_act_on(&self, dir: &Path) -> anyhow::Result<bool> {
        let root = RunUser::with_ids(0, 0);
        let actors = &self.changes.actors;
        Ok(!actors.is_root()
            || dir == self.plan.state_dir
            || check(&self.plan.config, &root).is_ok()
            || actors.writer_of(dir.parent().unwrap_or(dir))? == Actor::RunUser)
    }

    /// Checks that Gitea's user can run the binary, and that it accepts the configuration if the
    /// previous one did. Returns false if it cannot be run.
    fn check_config(&mut self, had_check: bool) -> anyhow::Result<bool> {
        let (installed, config) = (self.plan.installed(), text::path(&self.plan.config));
        self.changes.doing = format!("check `{config}`");
        self.changes.pass(Step::Program, &installed)?;
        let version = run(self.changes.actors.command(&installed).arg("--version"), PATIENCE);
        self.changes.pass(Step::Program, &installed)?;
        if !version.is_ok_and(|output| output.is_success) {
            self.console.tell(&format!(
                "{0} cannot run `{1}`: its file system is mounted noexec, or {0} may not enter a directory \
                 above it. Pushes still work, but make no markers. Fix this or choose another place with \
                 --prefix, then run this again",
                self.plan.run_user,
                text::path(&installed)
            ));
            return Ok(false);
        }
        let (accepts, answer) = self.check(&installed).with_context(|| self.changes.failed())?;
        self.changes.pass(Step::Program, &installed)?;
        if !accepts && had_check {
            bail!("the new binary rejects `{config}`, which the old binary accepted:\n{answer}");
        }
        if !accepts {
            self.has_found = true;
            self.console.tell(&format!("`{config}` needs attention:\n{answer}"));
        }
        Ok(true)
    }

    /// Runs `check` of a binary as Gitea's user. Returns true if it accepts the configuration, and
    /// its output.
    fn check(&self, binary: &Path) -> std::io::Result<(bool, String)> {
        let mut command = self.changes.actors.command(binary);
        let output = run(command.args(["check", "--config"]).arg(&self.plan.config), PATIENCE)?;
        let answer = [output.stdout, output.stderr].concat();
        Ok((output.is_success, String::from_utf8_lossy(&answer).trim_end().to_string()))
    }

    fn say_next(&self) -> anyhow::Result<()> {
        let plan = self.plan;
        let is_default = plan.config == Path::new(config::SYSTEM_FILE);
        let option =
            if is_default { String::new() } else { format!(" --config {}", text::shell(&plan.config)) };
        let program = if plan.prefix == Path::new("/usr/local") {
            "gitea-lightstep".to_string()
        } else {
            text::shell(&plan.installed())
        };
        let named = plan.gitea_paths.iter().find(|(option, _)| ["--gitea-config", "--root"].contains(option));
        let gitea =
            named.map(|(option, path)| format!(" {option} {}", text::shell(path))).unwrap_or_default();
        let token = plan.config.with_file_name("token");
        self.console.say(&format!(
            "\nNext: add a destination to the configuration. Put its token into a separate file that\n\
             {user} can read: {token}, group {gid}, mode 640.\n\
             Then run `{program} check{option}` and `{program} doctor{option}{gitea}` to check the installation.",
            user = plan.run_user,
            token = text::path(&token),
            gid = users::group_word(plan.run_user.gid())
        ))
    }
}

/// Returns the sample configuration with this state directory.
fn sample_with(sample: &str, state_dir: &Path) -> anyhow::Result<String> {
    let Some(dir) = state_dir.to_str() else {
        bail!(
            "`{}` is not UTF-8, so it cannot be the state directory of a configuration",
            text::path(state_dir)
        );
    };
    let dir = dir.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = String::new();
    for line in sample.lines() {
        match line.strip_prefix("state_dir = \"").and_then(|rest| rest.rsplit_once('"')) {
            Some((_, comment)) => text.push_str(&format!("state_dir = \"{dir}\"{comment}")),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    Ok(text)
}
