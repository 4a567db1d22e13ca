//! The timer, which delivers what an outage left, finds ref changes that no hook saw, and covers new
//! repositories: units of systemd, or lines of a crontab.

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use bstr::ByteSlice as _;

use super::{SAFE_PATH, SystemPlan, SystemRun, actors::Actor, changes::exists};
use crate::{
    install::{command::sh_quoted, dirfd},
    sys::fault::Step,
    text,
};

const DELIVER_TIMER: &str = "gitea-lightstep-deliver.timer";
const INSTALL_TIMER: &str = "gitea-lightstep-install.timer";
const SCAN_TIMER: &str = "gitea-lightstep-scan.timer";

/// The units with their texts. Timers come first, because they are stopped before their services.
const UNITS: [(&str, &str); 6] = [
    (DELIVER_TIMER, include_str!("../../../scripts/timer/gitea-lightstep-deliver.timer")),
    (INSTALL_TIMER, include_str!("../../../scripts/timer/gitea-lightstep-install.timer")),
    (SCAN_TIMER, include_str!("../../../scripts/timer/gitea-lightstep-scan.timer")),
    (
        "gitea-lightstep-deliver.service",
        include_str!("../../../scripts/timer/gitea-lightstep-deliver.service"),
    ),
    (
        "gitea-lightstep-install.service",
        include_str!("../../../scripts/timer/gitea-lightstep-install.service"),
    ),
    ("gitea-lightstep-scan.service", include_str!("../../../scripts/timer/gitea-lightstep-scan.service")),
];

const CRONTAB: &str = include_str!("../../../scripts/timer/crontab");

/// First line of each file that is ours.
const MADE_BY: &str = "# gitea-lightstep: made by install.sh --timer; install.sh --uninstall takes it out.";

/// First and last line of our part of a user's crontab.
const BEGIN: &str =
    "# gitea-lightstep: begin. Made by install.sh --timer; install.sh --uninstall takes it out.";
const END: &str = "# gitea-lightstep: end.";

/// Maximum size of a file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The caller's choice about the timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerWish {
    /// Leave it alone.
    No,
    /// Install it if there is a place for it.
    IfPossible,
    /// Fail if it cannot be installed.
    Required,
}

/// The place of the timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TimerPlace {
    None,
    /// A directory of systemd's units, and true if systemd runs and reads it.
    Units(PathBuf, bool),
    /// A file in a directory like /etc/cron.d, whose lines name the user.
    CronFile(PathBuf),
    /// The crontab of Gitea's user.
    Crontab(PathBuf),
}

/// Where root installs the timer by default.
const SYSTEMD_DIR: &str = "/etc/systemd/system";
const CRON_FILE: &str = "/etc/cron.d/gitea-lightstep";
const CRONTABS: &str = "/etc/crontabs";

impl TimerPlace {
    pub fn find(plan: &SystemPlan, is_root: bool) -> Self {
        let is_dir = |dir: &str| Path::new(dir).is_dir();
        if let Some(dir) = &plan.systemd_dir {
            Self::Units(dir.clone(), false)
        } else if let Some(dir) = &plan.cron_dir {
            Self::CronFile(dir.join("gitea-lightstep"))
        } else if plan.data_dir.is_some() || !is_root {
            Self::None
        } else if is_dir("/run/systemd/system") {
            Self::Units(SYSTEMD_DIR.into(), true)
        } else if is_dir("/etc/cron.d") {
            Self::CronFile(CRON_FILE.into())
        } else if let Some(name) = plan.run_user.name().filter(|_| is_dir(CRONTABS)) {
            Self::Crontab(Path::new(CRONTABS).join(name))
        } else {
            Self::None
        }
    }
}

impl SystemRun<'_> {
    /// Installs the timer.
    pub fn put_timer(&mut self, state_dir: Option<&Path>) -> anyhow::Result<()> {
        match (self.timer_obstacle(), self.plan.timer) {
            (_, TimerWish::No) => return Ok(()),
            (Some((why, _)), TimerWish::IfPossible) => {
                return self.console.say(&format!("timer          none, because {why}"));
            }
            (Some((why, fix)), TimerWish::Required) => {
                bail!("--timer: {why}; {fix}, or leave the timer out with --no-timer")
            }
            (None, _) => {}
        }
        match self.timer.clone() {
            TimerPlace::None => Ok(()),
            TimerPlace::Units(dir, is_live) => self.put_units(&dir, is_live, state_dir),
            TimerPlace::CronFile(file) => {
                let user = self.plan.run_user.name().map(|name| format!("{name} ")).unwrap_or_default();
                self.check_ours(&file)?;
                let text = [MADE_BY.as_bytes(), b"\n", &*self.cron_lines(&user)].concat();
                self.put_text(&file, 0o644, &text)
            }
            TimerPlace::Crontab(file) => {
                let (mut text, mode) = match exists(&file) {
                    true => (self.without_block(&file)?, mode_of(&file)?),
                    false => (Vec::new(), 0o600),
                };
                let lines = self.cron_lines("");
                text.extend_from_slice(&[BEGIN.as_bytes(), b"\n", &*lines, END.as_bytes(), b"\n"].concat());
                self.put_text(&file, mode, &text)
            }
        }
    }

    /// Returns the reason why the timer cannot be installed, and what to do.
    fn timer_obstacle(&self) -> Option<(&'static str, &'static str)> {
        let is_cron = match self.timer {
            TimerPlace::None => {
                return Some((
                    "by default this needs root, outside a container, and systemd, /etc/cron.d or /etc/crontabs",
                    "name a directory with --systemd-dir or --cron-dir, use the host's timer for a container \
                     (docs/containers.md)",
                ));
            }
            TimerPlace::Units(..) => false,
            TimerPlace::CronFile(_) | TimerPlace::Crontab(_) => true,
        };
        if is_cron && self.plan.run_user.name().is_none() {
            return Some(("cron needs the name of a user, not UID:GID", "name the user with --run-user"));
        }
        if is_cron && self.cron_values("").iter().any(|(_, value)| value.contains(&b'%')) {
            return Some(("paths in a crontab must not contain a percent sign", "use other paths"));
        }
        None
    }

    fn put_units(&mut self, dir: &Path, is_live: bool, state_dir: Option<&Path>) -> anyhow::Result<()> {
        let plan = self.plan;
        let timers: Vec<_> =
            self.units().map(|(name, _)| name).filter(|name| name.ends_with("timer")).collect();
        let new_timers: Vec<_> = timers.iter().copied().filter(|name| !exists(&dir.join(name))).collect();
        if is_live && !plan.is_dry_run {
            self.changes.note(Actor::Caller, "reload the units".into(), || systemctl(&["daemon-reload"]));
        }
        // systemd expands neither variables nor quotes in the name of the program.
        let installed = plan.installed();
        let binary = if installed.as_os_str().as_bytes().find_byteset(b"\"'\\").is_some() {
            [b"/usr/bin/env ", &*in_unit(&installed)].concat()
        } else {
            quoted(&installed.as_os_str().as_bytes().replace("%", "%%"))
        };
        // Here systemd removes the quotes and expands nothing but its specifiers.
        let protection = match state_dir.map(|dir| dir.as_os_str().as_bytes()) {
            // Gitea's user may be able to change the configuration, which names this directory.
            Some(dir) if !dir.iter().any(|byte| byte.is_ascii_control() || b"\"\\".contains(byte)) => {
                [b"ProtectSystem=strict\nReadWritePaths=\"-", &*dir.replace("%", "%%"), b"\""].concat()
            }
            _ => b"ProtectSystem=full".to_vec(),
        };
        let values = [
            ("user", plan.run_user.name().map_or(plan.run_user.uid().to_string(), Into::into).into_bytes()),
            ("group", plan.run_user.gid().to_string().into_bytes()),
            ("binary", binary),
            ("config", in_unit(&plan.config)),
            ("options", self.options(in_unit)),
            ("install_options", self.install_options(in_unit)),
            ("protection", protection),
        ];
        for (name, template) in self.units() {
            let file = dir.join(name);
            self.check_ours(&file)?;
            self.put_text(&file, 0o644, &fill(template, &values))?;
        }
        if !is_live {
            self.console.tell(&format!(
                "to start the timers, run this where systemd reads these units: systemctl daemon-reload; \
                 systemctl enable --now {}",
                timers.join(" ")
            ));
        } else if !plan.is_dry_run {
            self.systemctl("reload the units of systemd", &["daemon-reload"])?;
            let with = |verb, timers: &[&'static str]| [&[verb, "--quiet", "--now"], timers].concat();
            if !new_timers.is_empty() {
                let disable = with("disable", &new_timers);
                self.changes.note(Actor::Caller, "stop the timers".into(), move || systemctl(&disable));
            }
            self.systemctl("start the timers", &with("enable", &timers))?;
        }
        Ok(())
    }

    /// Returns the units to install. Without the hook there is nothing to put into new repositories, and
    /// a scan would take every push for a change that no hook saw.
    fn units(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let has_hook = self.plan.hook.is_some();
        UNITS.into_iter().filter(move |(name, _)| has_hook || name.contains("-deliver."))
    }

    /// Removes the timer.
    pub fn take_timer(&mut self) -> anyhow::Result<()> {
        match self.timer.clone() {
            TimerPlace::None => {
                self.mention_timer_of_root();
                Ok(())
            }
            TimerPlace::Units(dir, is_live) => {
                for (name, _) in UNITS {
                    self.take_unit(&dir.join(name), is_live.then_some(name))?;
                }
                if is_live && !self.plan.is_dry_run {
                    self.systemctl("reload the units of systemd", &["daemon-reload"])?;
                }
                Ok(())
            }
            TimerPlace::CronFile(file) => self.take_unit(&file, None),
            TimerPlace::Crontab(file) => {
                if !self.plan.is_dry_run {
                    self.changes.sweep(&file)?;
                }
                let is_in = |text: Vec<u8>| text.lines().any(|line| line == BEGIN.as_bytes());
                if !exists(&file) || !is_in(self.read(&file)?) {
                    return Ok(());
                }
                let text = self.without_block(&file)?;
                if self.plan.is_dry_run {
                    self.console.say(&format!("would change   {}", text::path(&file)))
                } else if text.is_empty() {
                    self.take(&file)
                } else {
                    self.put_text(&file, mode_of(&file)?, &text)
                }
            }
        }
    }

    /// Reports a timer that root installed for this binary, which only root can remove.
    fn mention_timer_of_root(&mut self) {
        let installed = self.plan.installed();
        for file in [Path::new(SYSTEMD_DIR).join("gitea-lightstep-deliver.service"), CRON_FILE.into()] {
            let text = dirfd::read_file(&file, MAX_FILE).unwrap_or_default();
            let is_ours = text.lines().next() == Some(MADE_BY.as_bytes());
            if is_ours && text.contains_str(installed.as_os_str().as_bytes()) {
                self.has_found = true;
                self.console.tell(&format!(
                    "`{}` still runs this binary; remove it as root with install.sh --uninstall --no-hook",
                    text::path(&file)
                ));
            }
        }
        // It is closed to others, even to the user whose crontab it is.
        let crontab = self.plan.run_user.name().map(|name| Path::new(CRONTABS).join(name));
        if let Some(file) = crontab.filter(|file| exists(file) && dirfd::read_file(file, MAX_FILE).is_err()) {
            self.console.tell(&format!(
                "note: `{}` cannot be read, and may still run this binary; as root, install.sh --uninstall \
                 --no-hook removes that",
                text::path(&file)
            ));
        }
    }

    /// Removes a file of the timer, and stops it first if it is a unit that systemd has started.
    fn take_unit(&mut self, file: &Path, unit: Option<&'static str>) -> anyhow::Result<()> {
        if !self.plan.is_dry_run {
            self.changes.sweep(file)?;
        }
        if !exists(file) || !self.is_ours(file)? {
            return Ok(());
        }
        if let Some(unit) = unit.filter(|unit| unit.ends_with(".timer") && !self.plan.is_dry_run) {
            let undo = move || systemctl(&["enable", "--quiet", "--now", unit]);
            self.changes.note(Actor::Caller, format!("start {unit} again"), undo);
            self.systemctl(&format!("stop {unit}"), &["disable", "--quiet", "--now", unit])?;
        }
        self.take(file)
    }

    /// Writes a file of the timer, unless it has this text.
    fn put_text(&mut self, file: &Path, mode: u32, text: &[u8]) -> anyhow::Result<()> {
        if !self.plan.is_dry_run {
            self.changes.sweep(file)?;
        }
        let shown = text::path(file);
        if exists(file) && self.read(file)? == text {
            return self.console.say(&format!("timer          {shown} (unchanged)"));
        }
        if self.plan.is_dry_run {
            return self.console.say(&format!("would write    {shown}"));
        }
        let staged = self.changes.stage(file, mode, None, text)?;
        self.changes.place(&staged)?;
        self.console.say(&format!("timer          {shown}"))
    }

    fn read(&mut self, file: &Path) -> anyhow::Result<Vec<u8>> {
        self.changes.doing = format!("read `{}`", text::path(file));
        self.changes.pass(Step::Read, file)?;
        dirfd::read_file(file, MAX_FILE).with_context(|| self.changes.failed())
    }

    fn is_ours(&mut self, file: &Path) -> anyhow::Result<bool> {
        Ok(self.read(file)?.lines().next() == Some(MADE_BY.as_bytes()))
    }

    fn check_ours(&mut self, file: &Path) -> anyhow::Result<()> {
        if exists(file) && !self.is_ours(file)? {
            bail!("`{}` was not written by install.sh; move it away, or use --no-timer", text::path(file));
        }
        Ok(())
    }

    /// Returns the text of a crontab without our lines.
    fn without_block(&mut self, file: &Path) -> anyhow::Result<Vec<u8>> {
        let mut is_inside = false;
        let mut kept = Vec::new();
        for line in self.read(file)?.lines() {
            is_inside |= line == BEGIN.as_bytes();
            if !is_inside {
                kept.extend_from_slice(line);
                kept.push(b'\n');
            }
            is_inside &= line != END.as_bytes();
        }
        Ok(kept)
    }

    fn cron_values(&self, user: &str) -> [(&'static str, Vec<u8>); 5] {
        [
            ("user", user.into()),
            ("binary", sh_quoted(&self.plan.installed())),
            ("config", sh_quoted(&self.plan.config)),
            ("options", self.options(sh_quoted)),
            ("install_options", self.install_options(sh_quoted)),
        ]
    }

    fn cron_lines(&self, user: &str) -> Vec<u8> {
        let lines = CRONTAB.split_inclusive('\n').take(if self.plan.hook.is_some() { usize::MAX } else { 1 });
        fill(&lines.collect::<String>(), &self.cron_values(user))
    }

    /// Returns the options that only the timer's `install` has, quoted.
    fn install_options(&self, quote: fn(&Path) -> Vec<u8>) -> Vec<u8> {
        let ref_hook = self.plan.ref_hook.option().map_or(String::new(), |option| format!(" {option}"));
        [b"--binary ", &*quote(&self.plan.installed()), ref_hook.as_bytes()].concat()
    }

    /// Returns the options of the timer's `install` and `scan`, quoted. They name everything that these
    /// would otherwise look for.
    fn options(&self, quote: fn(&Path) -> Vec<u8>) -> Vec<u8> {
        let mut options = [b"--config ", &*quote(&self.plan.config)].concat();
        for (option, path) in &self.plan.gitea_paths {
            options.extend_from_slice(&[b" ", option.as_bytes(), b" ", &*quote(path)].concat());
        }
        options
    }

    fn systemctl(&mut self, doing: &str, args: &[&str]) -> anyhow::Result<()> {
        self.changes.doing = doing.into();
        self.changes.pass(Step::Program, Path::new("systemctl"))?;
        systemctl(args).with_context(|| self.changes.failed())
    }
}

fn systemctl(args: &[&str]) -> std::io::Result<()> {
    let status = Command::new("systemctl").args(args).env("PATH", SAFE_PATH).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(std::io::Error::other(format!("systemctl ended with {status}")))
    }
}

fn mode_of(file: &Path) -> anyhow::Result<u32> {
    let metadata = fs::metadata(file).with_context(|| format!("failed to inspect `{}`", text::path(file)))?;
    Ok(metadata.permissions().mode() & 0o7777)
}

/// Replaces each `{{name}}` by its value.
fn fill(template: &str, values: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = template;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
    {
        text.extend_from_slice(before.as_bytes());
        let value = values.iter().find(|(known, _)| *known == name);
        text.extend_from_slice(value.map_or(&[], |(_, value)| value));
        rest = after;
    }
    text.extend_from_slice(rest.as_bytes());
    text
}

/// Quotes a path for the command line of a unit (systemd.service(5)).
fn in_unit(path: &Path) -> Vec<u8> {
    let mut text = path.as_os_str().as_bytes().to_vec();
    for (from, to) in [("\\", "\\\\"), ("\"", "\\\""), ("%", "%%"), ("$", "$$")] {
        text = text.replace(from, to);
    }
    quoted(&text)
}

fn quoted(text: &[u8]) -> Vec<u8> {
    [b"\"", text, b"\""].concat()
}
