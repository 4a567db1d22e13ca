//! Removes what an installation set up.

use std::{fs, io, path::Path};

use anyhow::bail;

use super::{SystemRun, actors::Actor, changes::exists};
use crate::{
    config,
    state::{State, purge::Purged},
    text,
};

/// Directories that belong to the system, which are never removed.
const OF_SYSTEM: [&str; 17] = [
    "/",
    "/bin",
    "/data",
    "/etc",
    "/home",
    "/opt",
    "/root",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/local",
    "/usr/local/bin",
    "/var",
    "/var/lib",
    "/var/lib/gitea",
    "",
];

impl SystemRun<'_> {
    pub fn uninstall(&mut self) -> anyhow::Result<()> {
        let plan = self.plan;
        let (installed, config) = (plan.installed(), &plan.config);
        let state_dir = config::state_dir_meant(config).unwrap_or_else(|| plan.state_dir.clone());
        let may_act = self.may_act_on(&state_dir)?;
        self.take_timer()?;
        let is_purged_with_hook = self.purges_with_hook();
        if plan.is_purge && !is_purged_with_hook {
            self.check_backlog(&state_dir)?;
        }
        self.take_hook()?;
        if plan.is_purge {
            if !is_purged_with_hook {
                self.purge(&state_dir)?;
            }
            self.take(config)?;
        }
        // As long as the binary is there, install.sh can complete a run that was killed.
        if plan.is_dry_run {
            return self.take(&installed);
        }
        let is_there = self.changes.take_last(&installed)?;
        self.has_found |= !self.changes.commit(self.console)?;
        if is_there && !exists(&installed) {
            self.console.say(&format!("removed        {}", text::path(&installed)))?;
        }
        self.remove_empty_dirs(&state_dir, may_act)?;
        if !plan.is_purge {
            let shown = text::path(config);
            return self
                .console
                .say(&format!("kept           {shown} and the state; --purge removes them too"));
        }
        for dir in config.parent().into_iter().chain([&*state_dir]).filter(|dir| dir.is_dir()) {
            self.console.say(&format!("kept           {} and the other files in it", text::path(dir)))?;
        }
        Ok(())
    }

    /// Stops unless the state may be removed: nothing waits in it, or this was confirmed.
    fn check_backlog(&self, state_dir: &Path) -> anyhow::Result<()> {
        if self.plan.is_confirmed || self.plan.is_dry_run || !state_dir.is_dir() {
            return Ok(());
        }
        let read = || State::at(state_dir).backlog().map_err(io::Error::other);
        match self.changes.actors.run(Actor::RunUser, read)? {
            Some(backlog) => {
                bail!("{backlog}, which --purge would permanently remove; confirm with --yes")
            }
            None => Ok(()),
        }
    }

    /// Removes the state as Gitea's user, who owns it.
    fn purge(&self, state_dir: &Path) -> anyhow::Result<()> {
        let shown = text::path(state_dir);
        if self.plan.is_dry_run {
            return if exists(state_dir) {
                self.console.say(&format!("would remove   {shown}"))
            } else {
                Ok(())
            };
        }
        let remove = || State::at(state_dir).purge().map_err(io::Error::other);
        match self.changes.actors.run(Actor::RunUser, remove)? {
            Purged::Gone => self.console.say(&format!("removed        {shown}")),
            Purged::Emptied => self.console.say(&format!("emptied        {shown}")),
            Purged::WasNone => Ok(()),
        }
    }

    /// Removes the directories that an installation makes, if they are empty. No record says which
    /// existed before.
    fn remove_empty_dirs(&mut self, state_dir: &Path, may_act: bool) -> anyhow::Result<()> {
        let plan = self.plan;
        let bin = plan.prefix.join("bin");
        let purged = plan.config.parent().into_iter().chain([state_dir]).chain(state_dir.parent());
        let purged = purged.filter(|dir| may_act || plan.config.parent() == Some(*dir));
        let dirs = [&*bin, &*plan.prefix].into_iter().chain(purged.filter(|_| plan.is_purge));
        for dir in dirs {
            let is_of_system = OF_SYSTEM.iter().any(|of_system| dir == Path::new(of_system));
            if is_of_system || plan.data_dir.as_deref() == Some(dir) || !dir.is_dir() {
                continue;
            }
            let Ok(actor) = self.changes.actors.writer_of(dir.parent().unwrap_or(dir)) else { continue };
            if self.changes.actors.run(actor, || fs::remove_dir(dir)).is_ok() {
                self.console.say(&format!("removed        {}", text::path(dir)))?;
            }
        }
        Ok(())
    }

    /// Removes a file, if it is there, and says so.
    pub fn take(&mut self, file: &Path) -> anyhow::Result<()> {
        let shown = text::path(file);
        if self.plan.is_dry_run {
            return if exists(file) { self.console.say(&format!("would remove   {shown}")) } else { Ok(()) };
        }
        if self.changes.take(file)? { self.console.say(&format!("removed        {shown}")) } else { Ok(()) }
    }
}
