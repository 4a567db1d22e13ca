//! Captured pushes, before the policy has decided all of their updates.
//!
//! Each push is one file, named `<push id>.<next update>.<tries>`. The name says how many updates
//! are decided and how many claims did not end in order. After a process died over a capture, its
//! updates are decided one by one, and the name ends in `.alone` while the policy runs; so the
//! update that kills is known. A process that works on a capture holds a lock on it, which ends with
//! the process.

use std::{
    fs::File,
    io::{self, Seek as _},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

pub use super::capture_file::Captured;
use super::{
    Failed, capture_file,
    files::{self, StateError},
    listing::{self, Weight},
    lock,
};
use crate::{
    facts::Past,
    push::{LearnedUpdate, PushId, Source},
    sys::fault::{self, Step},
    sys::time::{self, Timestamp},
};

/// The directory of captures.
#[derive(Clone, Debug)]
pub struct Inbox {
    dir: PathBuf,
}

/// A capture that this process has locked.
#[derive(Debug)]
pub struct Capture {
    dir: PathBuf,
    name: Name,
    file: File,
}

/// The name of a capture's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    push_id: PushId,
    next: usize,
    tries: u32,
    is_alone: bool,
}

/// Suffix of the name while the policy decides the next update alone.
const ALONE: &str = "alone";

impl Name {
    fn parse(name: &str) -> Option<Self> {
        let mut fields = name.split('.');
        let parsed = Self {
            push_id: fields.next()?.parse().ok()?,
            next: fields.next()?.parse().ok()?,
            tries: fields.next()?.parse().ok()?,
            is_alone: false,
        };
        let last = fields.next();
        let is_whole = last.is_none_or(|last| last == ALONE) && fields.next().is_none();
        is_whole.then_some(Self { is_alone: last.is_some(), ..parsed })
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.push_id, self.next, self.tries)?;
        if self.is_alone { write!(f, ".{ALONE}") } else { Ok(()) }
    }
}

/// The outcome of claiming a capture.
#[derive(Debug)]
pub enum Claim {
    /// This process holds the capture now.
    Ours(Capture),
    /// Another process holds the capture, has renamed it or is done with it.
    Taken,
}

impl Inbox {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Returns true if a capture can have this name.
    pub(super) fn gives(name: &str) -> bool {
        Name::parse(name).is_some()
    }

    /// Writes a push to the inbox as it came from git, and locks it. Does not synchronise it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn capture(
        &self,
        push_id: PushId,
        time: Timestamp,
        source: &Source,
        hook_page: Option<&Path>,
        stdin: &[u8],
    ) -> Result<Capture, StateError> {
        self.write(push_id, time, (source, hook_page), stdin, &[])
    }

    /// Writes past updates to the inbox, which are decided in this order, each as a separate push.
    /// Synchronises them, and releases their lock.
    ///
    /// # Errors
    /// If they cannot be written or synchronised.
    pub fn capture_past(
        &self,
        push_id: PushId,
        source: &Source,
        hook_page: Option<&Path>,
        past: &[Past],
    ) -> Result<(), StateError> {
        let mut lines = Vec::new();
        for Past { update, .. } in past {
            lines.extend(format!("{} {} ", update.raw_old_id(), update.raw_new_id()).bytes());
            lines.extend_from_slice(update.ref_name().as_bstr());
            lines.push(b'\n');
        }
        let times: Vec<Timestamp> = past.iter().map(|past| past.time).collect();
        let time = push_id.time().unwrap_or_else(time::now);
        // A power cut must not leave a part of it: its push has no markers that would tell that it
        // was decided.
        self.write(push_id, time, (source, hook_page), &lines, &times)?.keep()
    }

    fn write(
        &self,
        push_id: PushId,
        time: Timestamp,
        (source, hook_page): (&Source, Option<&Path>),
        stdin: &[u8],
        times: &[Timestamp],
    ) -> Result<Capture, StateError> {
        let name = Name { push_id, next: 0, tries: 0, is_alone: false };
        let line = capture_file::first_line(push_id, time, source, hook_page, stdin, times)
            .map_err(|err| StateError::new("write", &self.dir.join(name.to_string()), err.into()))?;
        let file = files::write_new(&self.dir, &name.to_string(), &[&line, stdin], true)?.into_file();
        Ok(Capture { dir: self.dir.clone(), name, file })
    }

    /// Reads a capture without claiming it. Returns `None` if it has another name by now.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn look(&self, name: &str) -> Result<Option<Captured>, StateError> {
        let path = self.dir.join(name);
        match files::open(&path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => capture_file::read(&opened?, &path).map(Some),
        }
    }

    /// Synchronises the capture of a push, under whatever name it has by now.
    ///
    /// This is for a hook that no longer has the [`Capture`]. Another process may rename or remove
    /// it meanwhile.
    ///
    /// # Errors
    /// If the system cannot synchronise it.
    pub fn keep(&self, push_id: PushId) -> Result<(), StateError> {
        if let Some(name) = self.find(push_id)? {
            let path = self.dir.join(name);
            match files::open(&path) {
                // Another process has claimed or removed it since. That process has read the push,
                // and removes the capture only after it has synchronised the markers.
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
                opened => files::sync_file(&opened?, &path)?,
            }
        }
        files::sync_dir(&self.dir)
    }

    /// Returns the push of a capture's file name, or `None` for a file that is not a capture.
    pub fn push_of(name: &str) -> Option<PushId> {
        Name::parse(name).map(|name| name.push_id)
    }

    /// Returns the present name of the capture of a push, or `None` if it is not in this directory.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn find(&self, push: PushId) -> Result<Option<String>, StateError> {
        let mut found = None;
        listing::each(&self.dir, |name| {
            if Self::push_of(name) == Some(push) {
                found = Some(name.to_string());
            }
            Ok::<_, StateError>(())
        })?;
        Ok(found)
    }

    /// Reads a capture that another process may hold or remove meanwhile.
    ///
    /// # Errors
    /// If it is gone, or not a whole capture.
    pub fn peek(&self, name: &str) -> Result<Captured, StateError> {
        let path = self.dir.join(name);
        capture_file::read(&files::open(&path)?, &path)
    }

    /// Returns true if a readable capture of the push will have its updates from `next` on decided
    /// again.
    pub(super) fn has_whole(&self, push_id: PushId, next: usize) -> bool {
        let mut has = false;
        let listed = listing::each(&self.dir, |name| {
            let is_meant = Name::parse(name).is_some_and(|name| name.push_id == push_id && name.next <= next);
            let path = self.dir.join(name);
            has |= is_meant && files::open(&path).and_then(|file| capture_file::read(&file, &path)).is_ok();
            Ok::<_, StateError>(())
        });
        listed.is_ok() && has
    }

    /// Returns the push of a capture that is damaged, and the damage. Returns `None` if some
    /// updates are already decided, or if reading it again may work.
    pub(super) fn why_broken(&self, name: &str) -> Option<(PushId, String)> {
        let push = Name::parse(name).filter(|name| name.next == 0)?.push_id;
        let path = self.dir.join(name);
        match files::open(&path).and_then(|file| capture_file::read(&file, &path)) {
            Err(err) if err.kind() == io::ErrorKind::InvalidData => Some((push, err.to_string())),
            _ => None,
        }
    }

    /// Synchronises the directory, so that a power cut cannot bring back captures that were
    /// removed. Errors are ignored.
    pub fn sync_names(&self) {
        // If this fails, a power cut may turn a push that was delivered into a dead letter.
        let _ = files::sync_dir(&self.dir);
    }

    /// Returns the names of all captures, oldest first.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Vec<String>, StateError> {
        listing::list(&self.dir)
    }

    pub(super) fn weight(&self) -> Result<Weight, StateError> {
        listing::weigh_all(&self.dir)
    }

    /// Claims a capture unless another process holds it, and counts the claim in its name.
    ///
    /// # Errors
    /// If the file cannot be opened, locked or renamed.
    pub fn claim(&self, name: &str) -> Result<Claim, StateError> {
        let Some(mut parsed) = Name::parse(name) else {
            return Ok(Claim::Taken);
        };
        let path = self.dir.join(name);
        let file = match files::open(&path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Claim::Taken),
            opened => opened?,
        };
        if !lock::try_lock(&file, &path)? {
            return Ok(Claim::Taken);
        }
        // Between the open and the lock, its holder may have renamed or removed it.
        let is_same = match (file.metadata(), path.symlink_metadata()) {
            (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
            _ => false,
        };
        if !is_same {
            return Ok(Claim::Taken);
        }
        parsed.tries += 1;
        files::rename(&path, &self.dir.join(parsed.to_string()))?;
        Ok(Claim::Ours(Capture { dir: self.dir.clone(), name: parsed, file }))
    }
}

impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Capture {
    /// Returns the ID of the captured push.
    pub fn push_id(&self) -> PushId {
        self.name.push_id
    }

    /// Returns the number of the first update that is not decided.
    pub fn next(&self) -> usize {
        self.name.next
    }

    /// Returns true if a process died over it, so that its updates are to be decided one by one.
    pub fn has_killed(&self) -> bool {
        self.name.is_alone || self.name.tries > 1
    }

    /// Returns the number of claims that did not end in order, including the present one.
    pub fn attempts(&self) -> u32 {
        self.name.tries
    }

    /// Returns true if the last holder was deciding the next update alone when it ended.
    pub fn was_alone(&self) -> bool {
        self.name.is_alone
    }

    /// Moves the capture to the failed pushes and synchronises it and both directories. If it is
    /// there already, only its NEXT and TRIES become 0.
    ///
    /// # Errors
    /// If it cannot be moved or synchronised.
    pub fn fail(&mut self, failed: &Failed) -> Result<(), StateError> {
        let name = Name { next: 0, tries: 0, is_alone: false, ..self.name };
        if self.dir == failed.dir() {
            return self.rename(name);
        }
        files::make_dir(failed.dir())?;
        fault::point(Step::Sync, &self.path())
            .and_then(|()| self.file.sync_all())
            .map_err(|err| StateError::new("synchronise", &self.path(), err))?;
        files::rename(&self.path(), &failed.dir().join(name.to_string()))?;
        files::sync_dir(failed.dir())?;
        files::sync_dir(&self.dir)?;
        self.dir = failed.dir().into();
        self.name = name;
        Ok(())
    }

    /// Returns true if the capture is among the failed pushes.
    pub fn has_failed(&self, failed: &Failed) -> bool {
        self.dir == failed.dir()
    }

    /// Marks in the name that the update `next` is being decided alone.
    ///
    /// # Errors
    /// If the file cannot be renamed.
    pub fn begin_alone(&mut self, next: usize) -> Result<(), StateError> {
        self.rename(Name { next, tries: self.name.tries.max(1), is_alone: true, ..self.name })
    }

    /// Removes that mark: if the process dies from here on, the policy is not to blame.
    ///
    /// # Errors
    /// If the file cannot be renamed.
    pub fn end_alone(&mut self) -> Result<(), StateError> {
        self.rename(Name { is_alone: false, ..self.name })
    }

    /// Reads the push again from the start of the file.
    ///
    /// # Errors
    /// If the file is not a whole capture, for example because a power cut shortened it.
    pub fn read(&mut self) -> Result<Captured, StateError> {
        let path = self.path();
        self.file.rewind().map_err(|err| StateError::new("read", &path, err))?;
        capture_file::read(&self.file, &path)
    }

    /// Adds facts from Gitea's API to the capture, and returns it. The new file replaces the old one
    /// under the same name, locked and synchronised.
    ///
    /// # Errors
    /// If the capture cannot be read or written. The file is then the old one, or already the new one.
    pub fn learn(&mut self, learned: Vec<LearnedUpdate>) -> Result<Captured, StateError> {
        let path = self.path();
        self.file.rewind().map_err(|err| StateError::new("read", &path, err))?;
        let mut content = capture_file::content(&self.file, &path)?;
        let (line, stdin, captured) = capture_file::with_learned(&mut content, learned)
            .map_err(|why| capture_file::invalid(&path, why))?;
        let written = files::replace_locked(&self.dir, &self.name.to_string(), &[&line, stdin])?;
        let synchronised = written.sync_name();
        // Whatever comes next, the lock on the old file protects nothing any more.
        self.file = written.into_file();
        synchronised.map(|()| captured)
    }

    /// Records in the name that all updates before `next` are decided and written. Resets the
    /// number of tries.
    ///
    /// # Errors
    /// If the file cannot be renamed.
    pub fn advance(&mut self, next: usize) -> Result<(), StateError> {
        self.rename(Name { next, tries: 0, is_alone: false, ..self.name })
    }

    fn rename(&mut self, name: Name) -> Result<(), StateError> {
        if name != self.name {
            files::rename(&self.path(), &self.dir.join(name.to_string()))?;
            self.name = name;
        }
        Ok(())
    }

    /// Synchronises the capture and its directory.
    ///
    /// # Errors
    /// If the system cannot synchronise one of them.
    pub fn keep(&self) -> Result<(), StateError> {
        files::sync_file(&self.file, &self.path())?;
        files::sync_dir(&self.dir)
    }

    /// Takes back the claim's count in the name, because the capture was not to blame that it could
    /// not be settled.
    ///
    /// # Errors
    /// If the file cannot be renamed.
    pub fn give_back(&mut self) -> Result<(), StateError> {
        self.rename(Name { tries: self.name.tries.saturating_sub(1), ..self.name })
    }

    /// Removes the capture, because everything in it is decided and written. Does not synchronise
    /// the directory.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn done(&self) -> Result<(), StateError> {
        files::remove(&self.path())
    }

    pub(super) fn weight(&self) -> Result<Weight, StateError> {
        listing::weigh(&self.path())
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.join(self.name.to_string())
    }
}
