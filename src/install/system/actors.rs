//! Makes each change as the user who has to make it.
//!
//! Where Gitea's user may write, it could also plant a link that root would follow. Root therefore
//! writes there as that user, in a thread that gives up root's IDs for good. Linux keeps these IDs
//! for each thread, and the standard library's file operations stay in theirs.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, bail};
use rustix::{
    fs::{Access, access},
    process::{DumpableBehavior, Gid, Uid, geteuid, set_dumpable_behavior},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use super::SAFE_PATH;
use crate::{
    install::{RunUser, bare, ownership::Ownership},
    text,
};

/// The user that makes a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    /// The user of this process.
    Caller,
    /// Gitea's user.
    RunUser,
}

/// The caller and Gitea's user. They are the same user unless root runs this.
#[derive(Debug)]
pub(super) struct Actors {
    user: RunUser,
    /// Supplementary groups of Gitea's user.
    groups: Vec<Gid>,
    is_root: bool,
}

impl Actors {
    pub fn new(user: &RunUser) -> Self {
        Self { user: user.clone(), groups: Vec::new(), is_root: geteuid().is_root() }
    }

    /// Finds the groups of Gitea's user, which decide what it may change.
    ///
    /// # Errors
    /// If they cannot be determined.
    pub fn find_groups(&mut self) -> anyhow::Result<()> {
        if let Some(name) = self.user.name().filter(|_| self.is_root) {
            self.groups = groups_of(name)?;
        }
        Ok(())
    }

    pub fn user(&self) -> &RunUser {
        &self.user
    }

    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// Runs file operations as this user.
    pub fn run<T: Send>(&self, actor: Actor, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        if actor == Actor::Caller || !self.is_root || self.user.uid() == 0 {
            return work();
        }
        let become_and_work = || {
            let (uid, gid) = (Uid::from_raw(self.user.uid()), Gid::from_raw(self.user.gid()));
            set_thread_groups(&self.groups)?;
            set_thread_res_gid(gid, gid, gid)?;
            set_thread_res_uid(uid, uid, uid)?;
            // Keep the other processes of this user from tracing this one.
            set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
            work()
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, become_and_work)?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread of Gitea's user panicked")))
        })
    }

    /// Returns a command that runs as Gitea's user.
    pub fn command(&self, program: &Path) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = bare(program);
        command.current_dir("/");
        if self.is_root && self.user.uid() != 0 {
            command.uid(self.user.uid()).gid(self.user.gid());
        }
        command
    }

    /// Returns the user that creates or replaces files in `dir`, which may not exist yet.
    pub fn writer_of(&self, dir: &Path) -> anyhow::Result<Actor> {
        let near = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
        if !self.is_root {
            if access(near, Access::WRITE_OK).is_err() {
                bail!(
                    "{} cannot write to `{}`; run this as root, or choose other paths with --prefix, \
                     --config, --state-dir or --container",
                    self.user,
                    text::path(near)
                );
            }
            return Ok(Actor::Caller);
        }
        if self.user.uid() == 0 {
            return Ok(Actor::Caller);
        }
        let failed = || format!("failed to check who may write to `{}`", text::path(near));
        // The links in the path count too: who replaces one decides where root writes.
        let ownership = Ownership::of(near).with_context(failed)?;
        if ownership.is_any_owned_by(self.user.uid()) {
            return Ok(Actor::RunUser);
        }
        let open_dirs: Vec<PathBuf> = ownership.dirs_open_to_writers().map(Into::into).collect();
        let may_write = || Ok(open_dirs.iter().any(|dir| access(dir, Access::WRITE_OK).is_ok()));
        let may_write = self.run(Actor::RunUser, may_write).with_context(failed)?;
        Ok(if may_write { Actor::RunUser } else { Actor::Caller })
    }
}

/// Returns the groups of a user. `id` also knows those from a directory service.
fn groups_of(name: &str) -> anyhow::Result<Vec<Gid>> {
    let output = Command::new("id")
        .args(["-G", name])
        .env("PATH", SAFE_PATH)
        .output()
        .with_context(|| format!("failed to run `id -G {name}`"))?;
    if !output.status.success() {
        bail!("`id -G {name}` ended with {}, so the groups of `{name}` are unknown", output.status);
    }
    let ids = String::from_utf8_lossy(&output.stdout);
    ids.split_whitespace()
        .map(|id| id.parse().map(Gid::from_raw).with_context(|| format!("`id -G {name}` printed `{id}`")))
        .collect()
}
