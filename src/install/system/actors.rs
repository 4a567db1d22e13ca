//! Makes each change as the user who has to make it.
//!
//! Where Gitea's user may write, it could also plant a link that root would follow. Root therefore
//! writes there as that user, in a thread that gives up root's IDs for good. Linux keeps these IDs
//! for each thread, and the standard library's file operations stay in theirs.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
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
    install::{RunUser, bare},
    text,
};

const STICKY: u32 = 0o1000;

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
        let is_root = geteuid().is_root();
        let groups = user.name().filter(|_| is_root).map(groups_of).unwrap_or_default();
        Self { user: user.clone(), groups, is_root }
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
        let near = nearest(dir).with_context(|| format!("failed to inspect `{}`", text::path(dir)))?;
        if !self.is_root {
            if access(&near, Access::WRITE_OK).is_err() {
                bail!(
                    "{} cannot write to `{}`; run this as root, or choose other paths with --prefix, \
                     --config, --state-dir or --container",
                    self.user,
                    text::path(&near)
                );
            }
            return Ok(Actor::Caller);
        }
        if self.user.uid() == 0 {
            return Ok(Actor::Caller);
        }
        let uid = self.user.uid();
        let may_replace = || {
            for (nth, dir) in near.ancestors().enumerate() {
                let metadata = fs::metadata(dir)?;
                // In a sticky directory only the owner can replace an entry.
                let is_guarded = nth > 0 && metadata.permissions().mode() & STICKY != 0;
                if metadata.uid() == uid || (!is_guarded && access(dir, Access::WRITE_OK).is_ok()) {
                    return Ok(Actor::RunUser);
                }
            }
            Ok(Actor::Caller)
        };
        self.run(Actor::RunUser, may_replace).with_context(|| {
            format!("failed to check as `{}` who may write to `{}`", self.user, text::path(&near))
        })
    }
}

/// Returns the nearest existing directory at or above `dir`, without links.
fn nearest(dir: &Path) -> io::Result<PathBuf> {
    let found = dir.ancestors().find(|dir| dir.is_dir());
    fs::canonicalize(found.unwrap_or(Path::new("/")))
}

/// Returns the groups of a user. `id` also knows those from a directory service.
fn groups_of(name: &str) -> Vec<Gid> {
    let output = Command::new("id").args(["-G", name]).env("PATH", SAFE_PATH).output();
    let stdout = output.map(|output| output.stdout).unwrap_or_default();
    let ids = String::from_utf8_lossy(&stdout);
    ids.split_whitespace().filter_map(|id| id.parse().ok()).map(Gid::from_raw).collect()
}
