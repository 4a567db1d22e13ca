//! The changes of one run, and how to undo them.
//!
//! A step is recorded before it is taken, and undoing one that was not taken does nothing. A new
//! file is written beside its place and renamed. A file that is replaced or removed stays beside its
//! place until the end, so that after SIGKILL each file is the old one or the new one. The next run
//! removes what a killed run left behind.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, bail};

use super::{
    Console,
    actors::{Actor, Actors},
};
use crate::{
    install::RunUser,
    sys::{
        fault::{self, Step},
        signals,
    },
    text,
};

/// The run was stopped by this signal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopped(pub i32);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped by {}", signals::name(self.0))
    }
}

impl std::error::Error for Stopped {}

/// How to undo a step.
struct Undo {
    what: String,
    actor: Actor,
    act: Box<dyn FnOnce() -> io::Result<()> + Send>,
}

/// A new file beside its place.
pub(super) struct Staged {
    actor: Actor,
    path: PathBuf,
    temporary: PathBuf,
}

/// The changes of one run.
pub(super) struct Changes {
    pub actors: Actors,
    /// What the run is doing now, for messages: `write /etc/...`.
    pub doing: String,
    /// Newest last.
    undo: Vec<Undo>,
    /// Files that were replaced or removed, under their temporary names.
    kept: Vec<(Actor, PathBuf)>,
    /// Files that are removed at the very end.
    last: Vec<(Actor, PathBuf)>,
}

impl Changes {
    pub fn new(user: &RunUser) -> Self {
        Self {
            actors: Actors::new(user),
            doing: format!("find the groups of `{user}`"),
            undo: Vec::new(),
            kept: Vec::new(),
            last: Vec::new(),
        }
    }

    /// Records how to undo the next step.
    pub fn note(
        &mut self,
        actor: Actor,
        what: String,
        act: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) {
        self.undo.push(Undo { what, actor, act: Box::new(act) });
    }

    /// Passes a fault point, and fails if a signal has asked this run to stop.
    pub fn pass(&self, step: Step, path: &Path) -> anyhow::Result<()> {
        fault::point(step, path).with_context(|| self.failed())?;
        match stop_asked() {
            Some(stopped) => Err(stopped.into()),
            None => Ok(()),
        }
    }

    /// Returns the beginning of an error about the current step.
    pub fn failed(&self) -> String {
        format!("failed to {}", self.doing)
    }

    fn run<T: Send>(
        &self,
        actor: Actor,
        step: Step,
        path: &Path,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> anyhow::Result<T> {
        self.pass(step, path)?;
        self.actors.run(actor, work).with_context(|| self.failed())
    }

    /// Removes files that a killed run left beside `path`.
    pub fn sweep(&mut self, path: &Path) -> anyhow::Result<()> {
        let Some(dir) = path.parent() else { return Ok(()) };
        let name = path.file_name().unwrap_or_default();
        let prefix = [b".", name.as_bytes(), b".install-"].concat();
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let stray = entry.file_name();
            let Some(rest) = stray.as_bytes().strip_prefix(&*prefix) else { continue };
            let rest = String::from_utf8_lossy(rest);
            let pid = rest.strip_suffix("-new").or_else(|| rest.strip_suffix("-old"));
            let Some(pid) = pid.and_then(|pid| pid.parse().ok()) else { continue };
            if is_running(pid) {
                continue;
            }
            let stray = entry.path();
            self.doing = format!("remove `{}`, which a killed run left behind", text::path(&stray));
            let actor = self.actors.writer_of(dir)?;
            self.run(actor, Step::Remove, &stray, || {
                if fs::symlink_metadata(&stray)?.is_dir() { fs::remove_dir(&stray) } else { remove(&stray) }
            })?;
        }
        Ok(())
    }

    /// Creates a directory and those above it.
    pub fn make_dir(&mut self, dir: &Path) -> anyhow::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        if let Some(parent) = dir.parent() {
            self.make_dir(parent)?;
        }
        self.doing = format!("create the directory `{}`", text::path(dir));
        check_absent(dir)?;
        let actor = self.actors.writer_of(dir)?;
        self.note_dir(actor, dir);
        self.run(actor, Step::MakeDir, dir, || fs::DirBuilder::new().mode(0o755).create(dir))
    }

    /// Creates a directory of Gitea's user that is closed to others. It gets its name once it has
    /// its owner.
    pub fn make_state_dir(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.sweep(dir)?;
        let parent = dir.parent().unwrap_or(dir);
        self.make_dir(parent)?;
        self.doing = format!("create the directory `{}`", text::path(dir));
        check_absent(dir)?;
        let actor = self.actors.writer_of(parent)?;
        let temporary = beside(dir, "new");
        self.note_dir(actor, &temporary);
        let (user, is_given) = (self.actors.user(), actor == Actor::Caller && self.actors.is_root());
        self.run(actor, Step::MakeDir, &temporary, || {
            fs::DirBuilder::new().mode(0o700).create(&temporary)?;
            if is_given {
                std::os::unix::fs::lchown(&temporary, Some(user.uid()), Some(user.gid()))?;
            }
            Ok(())
        })?;
        self.note_dir(actor, dir);
        self.run(actor, Step::Rename, dir, || fs::rename(&temporary, dir))
    }

    fn note_dir(&mut self, actor: Actor, dir: &Path) {
        let made = dir.to_path_buf();
        self.note(actor, format!("remove `{}`", text::path(dir)), move || absent(fs::remove_dir(&made)));
    }

    /// Sets the mode of a directory of Gitea's user.
    pub fn set_mode(&mut self, dir: &Path, (old, new): (u32, u32)) -> anyhow::Result<()> {
        self.doing = format!("set the mode of `{}` to {new:o}", text::path(dir));
        let changed = dir.to_path_buf();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        self.note(Actor::RunUser, format!("set its mode back to {old:o}"), move || set(&changed, old));
        self.run(Actor::RunUser, Step::Create, dir, || set(dir, new))
    }

    /// Writes a new file beside `path`. Root gives it to `group`, if that is set.
    pub fn stage(
        &mut self,
        path: &Path,
        mode: u32,
        group: Option<u32>,
        bytes: &[u8],
    ) -> anyhow::Result<Staged> {
        self.doing = format!("write `{}`", text::path(path));
        if path.is_dir() {
            bail!("`{}` is a directory; remove it, or name another file", text::path(path));
        }
        let dir = path.parent().unwrap_or(path);
        self.make_dir(dir)?;
        self.doing = format!("write `{}`", text::path(path));
        let actor = self.actors.writer_of(dir)?;
        let temporary = beside(path, "new");
        self.note_file(actor, &temporary);
        let group = group.filter(|_| actor == Actor::Caller && self.actors.is_root());
        self.run(actor, Step::Create, &temporary, || {
            // `create_new` follows no link and opens no existing file.
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            std::os::unix::fs::fchown(&file, None, group)?;
            file.set_permissions(fs::Permissions::from_mode(mode))
        })?;
        Ok(Staged { actor, path: path.into(), temporary })
    }

    fn note_file(&mut self, actor: Actor, path: &Path) {
        let made = path.to_path_buf();
        self.note(actor, format!("remove `{}`", text::path(path)), move || absent(remove(&made)));
    }

    /// Moves a staged file into place.
    pub fn place(&mut self, staged: &Staged) -> anyhow::Result<()> {
        let Staged { actor, path, temporary } = staged;
        self.doing = format!("install `{}`", text::path(path));
        if exists(path) {
            let kept = beside(path, "old");
            self.kept.push((*actor, kept.clone()));
            self.note_file(*actor, &kept);
            // Not every file system has hard links.
            let linked = self.run(*actor, Step::Rename, &kept, || fs::hard_link(path, &kept));
            if linked.is_err() {
                self.run(*actor, Step::Create, &kept, || copy(path, &kept))?;
            }
            // The kept file is complete from here on, so it can be restored.
            self.note_restoration(*actor, path, &kept);
        } else {
            self.note_file(*actor, path);
        }
        self.run(*actor, Step::Rename, path, || fs::rename(temporary, path))
    }

    /// Removes a file, if it is there, and returns true if it was. It is kept until the end.
    pub fn take(&mut self, path: &Path) -> anyhow::Result<bool> {
        self.sweep(path)?;
        if !exists(path) {
            return Ok(false);
        }
        self.doing = format!("remove `{}`", text::path(path));
        let actor = self.actors.writer_of(path.parent().unwrap_or(path))?;
        let kept = beside(path, "old");
        self.note_restoration(actor, path, &kept);
        self.kept.push((actor, kept.clone()));
        self.run(actor, Step::Rename, path, || fs::rename(path, &kept))?;
        Ok(true)
    }

    /// Removes a file at the very end, if it is there, and returns true if it is.
    pub fn take_last(&mut self, path: &Path) -> anyhow::Result<bool> {
        self.sweep(path)?;
        if !exists(path) {
            return Ok(false);
        }
        self.doing = format!("remove `{}`", text::path(path));
        let actor = self.actors.writer_of(path.parent().unwrap_or(path))?;
        self.last.push((actor, path.into()));
        Ok(true)
    }

    fn note_restoration(&mut self, actor: Actor, path: &Path, kept: &Path) {
        let (path, kept) = (path.to_path_buf(), kept.to_path_buf());
        self.note(actor, format!("restore `{}`", text::path(&path)), move || {
            let id = |path: &Path| fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()));
            match id(&kept) {
                None => Ok(()),
                // rename(2) does nothing if both are names of one file.
                kept_id if kept_id == id(&path) => remove(&kept),
                Some(_) => fs::rename(&kept, &path),
            }
        });
    }

    /// Ends the run: removes the kept files. Nothing can be undone once the first is gone. Returns
    /// false if a file stays.
    pub fn commit(&mut self, console: &dyn Console) -> anyhow::Result<bool> {
        self.doing = "remove the backups of the replaced files".into();
        self.pass(Step::Lock, Path::new(""))?;
        let mut is_whole = true;
        for (actor, path) in self.kept.drain(..).chain(self.last.drain(..)) {
            let removed = fault::point(Step::Remove, &path)
                .and_then(|()| self.actors.run(actor, || absent(remove(&path))));
            match removed {
                Ok(()) => self.undo.clear(),
                Err(err) if self.undo.is_empty() => {
                    is_whole = false;
                    console.tell(&format!(
                        "failed to remove `{}`: {err}; remove it, or run this again",
                        text::path(&path)
                    ));
                }
                Err(err) => {
                    return Err(err).with_context(|| format!("failed to {}", self.doing));
                }
            }
        }
        self.undo.clear();
        Ok(is_whole)
    }

    /// Undoes every step.
    pub fn roll_back(&mut self, console: &dyn Console) {
        if self.undo.is_empty() {
            return;
        }
        let mut is_undone = true;
        while let Some(Undo { what, actor, act }) = self.undo.pop() {
            if let Err(err) = self.actors.run(actor, act) {
                is_undone = false;
                console.tell(&format!("failed to undo a change: {what}: {err}"));
            }
        }
        if is_undone {
            console.tell("all changes were undone");
        }
    }
}

/// Returns the signal that has asked this run to stop. From a terminal it also ends the programs that
/// the run has started, so their failures mean nothing then.
pub(super) fn stop_asked() -> Option<Stopped> {
    signals::stop().map(Stopped)
}

/// Returns the temporary name of this run for the file at `path`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = b".".to_vec();
    name.extend_from_slice(path.file_name().unwrap_or_default().as_bytes());
    name.extend_from_slice(format!(".install-{}-{suffix}", process::id()).as_bytes());
    path.with_file_name(std::ffi::OsString::from_vec(name))
}

/// Returns true if this process ID belongs to another run. Another process may have it by now.
fn is_running(pid: u32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pid != process::id() && words.split(|byte| *byte == 0).any(|word| word == b"--system")
}

pub(super) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Checks that nothing is in the place of a new directory.
fn check_absent(dir: &Path) -> anyhow::Result<()> {
    if exists(dir) {
        bail!("`{}` is not a directory; remove it, or choose another path", text::path(dir));
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Ignores that a file or directory does not exist.
fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Copies a file with its owner, mode and time, or a link.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut fs::File::open(from)?, &mut file)?;
    std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
    file.set_permissions(metadata.permissions())?;
    file.set_modified(metadata.modified()?)
}
