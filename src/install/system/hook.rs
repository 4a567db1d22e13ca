//! Puts the hook into Gitea and takes it out, by another process of this program. Root's becomes
//! Gitea's user there.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{SystemRun, actors::Actor, changes::exists};
use crate::sys::{child, fault::Step};

impl SystemRun<'_> {
    /// Returns this program with the arguments of `install` or `uninstall` for the hook.
    fn hook(&self, options: &[OsString], words: &[&str]) -> Command {
        child::withhold_descriptors();
        let mut command = Command::new("/proc/self/exe");
        command.arg0("gitea-lightstep").args(words).arg("--config").arg(&self.plan.config).args(options);
        if words.first() == Some(&"install") {
            command.arg("--binary").arg(self.plan.installed());
            command.args(self.plan.ref_hook.option());
        }
        command
    }

    /// Returns true if Gitea contains anything that `uninstall` with these flags would remove.
    fn is_hooked(&mut self, options: &[OsString], flags: &[&str]) -> anyhow::Result<bool> {
        const FAILED: &str = "failed to check whether the hook is in Gitea; see the error above, or skip the \
                              hook with --no-hook";
        self.changes.doing = "check whether the hook is in Gitea".into();
        self.changes.pass(Step::Program, Path::new("uninstall"))?;
        let mut command = self.hook(options, &[&["uninstall", "--dry-run", "--json"], flags].concat());
        let output = command.stderr(Stdio::inherit()).output().context(FAILED)?;
        let json: Value = serde_json::from_slice(&output.stdout).context(FAILED)?;
        let is_changed = |key: &str| {
            let changed = &json[key]["changed"];
            changed == true || changed.as_u64().is_some_and(|count| count > 0)
        };
        Ok(["git_config", "template", "repositories"].into_iter().any(is_changed))
    }

    /// Runs `install` or `uninstall` for the hook. If it could not do everything, it prints what it
    /// did. If it did nothing, it prints nothing.
    fn run_hook(&mut self, options: &[OsString], words: &[&str], verb: &str) -> anyhow::Result<()> {
        self.changes.doing = format!("have the hook {verb} Gitea");
        self.changes.pass(Step::Program, Path::new(words[0]))?;
        let mut command = self.hook(options, words);
        let output = command.stdin(Stdio::inherit()).stderr(Stdio::inherit()).output();
        let output = output.with_context(|| self.changes.failed())?;
        let answer = String::from_utf8_lossy(&output.stdout);
        let answer = answer.trim_end();
        if !answer.is_empty() {
            self.console.say(answer)?;
        }
        if !output.status.success() {
            self.changes.pass(Step::Program, Path::new(words[0]))?;
            if answer.is_empty() {
                bail!(
                    "the hook could not be {verb} Gitea; see the error above, or skip the hook with --no-hook"
                );
            }
            self.has_found = true;
        }
        Ok(())
    }

    /// Records that the hook is put back as it was, by this command.
    fn note_hook(&mut self, options: &[OsString], verb: &'static str) {
        let mut command = self.hook(options, &[verb, "--quiet"]);
        self.changes.note(Actor::Caller, format!("{verb} the hook"), move || {
            let status = command.status()?;
            if status.success() {
                Ok(())
            } else {
                Err(std::io::Error::other(format!("it ended with {status}")))
            }
        });
    }

    pub fn put_hook(&mut self) -> anyhow::Result<()> {
        let Some(options) = &self.plan.hook else { return Ok(()) };
        if self.plan.is_dry_run {
            let status = self.hook(options, &["install", "--dry-run"]).status()?;
            self.has_found |= !status.success();
            return Ok(());
        }
        if !self.is_hooked(options, &[])? {
            self.note_hook(options, "uninstall");
        }
        self.run_hook(options, &["install"], "put into")
    }

    /// Returns true if the process that removes the hook also removes the state, which it finds
    /// through the configuration.
    pub fn purges_with_hook(&self) -> bool {
        self.plan.is_purge && self.plan.hook.is_some() && exists(&self.plan.config)
    }

    pub fn take_hook(&mut self) -> anyhow::Result<()> {
        let Some(options) = &self.plan.hook else { return Ok(()) };
        let purge = if self.purges_with_hook() { &["--purge"][..] } else { &[] };
        if self.is_hooked(options, purge)? && !self.plan.is_dry_run {
            self.note_hook(options, "install");
        }
        let confirmed = if self.plan.is_confirmed && !purge.is_empty() { &["--yes"][..] } else { &[] };
        let dry_run = if self.plan.is_dry_run { &["--dry-run"][..] } else { &[] };
        self.run_hook(options, &[&["uninstall"], purge, confirmed, dry_run].concat(), "removed from")
    }
}
