//! The log of ref changes that were captured, for the next scan.
//!
//! A hook cannot afford to rewrite what is known of a repository with 100,000 refs. It appends its
//! changes to `refs/log`, which `scan` moves away and takes into the snapshots. Before the first scan
//! the directory `refs` does not exist, and nothing is logged.
//!
//! An entry is an empty line, one line of JSON with checksums, and the lines of git's standard input.
//! A process that died while writing leaves a part of an entry. Readers go on at the next line that
//! begins with a brace, which no line of git's does.

use std::{
    borrow::Cow,
    fs::File,
    io::{IoSlice, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use bstr::ByteSlice as _;
use serde::{Deserialize, Serialize};

use super::{
    files::{self, StateError},
    listing, lock,
    seal::{self, SealCheck},
    sweep,
};
use crate::{
    push::{GitDir, Push, PushId, RepositoryIdentity, Update, lines},
    sys::time::Timestamp,
};

/// Directory of everything that scans keep, below the state directory.
pub(super) const DIR: &str = "refs";

/// Name of the file that hooks append to.
const LOG: &str = "log";

/// Name of the file that a scan locks.
const LOCK: &str = "lock";

/// Prefix of the names of logs that were moved away. The time of that follows.
const MOVED: &str = "log.";

/// Maximum size of the log, in bytes: some 100,000 pushes.
const MAX_LOG: u64 = 64 << 20;

/// Number of attempts to append to a log that scans move away meanwhile.
const ATTEMPTS: usize = 8;

/// The log of ref changes.
#[derive(Clone, Debug)]
pub struct RefLog {
    dir: PathBuf,
}

/// The right to scan, until this is dropped.
#[derive(Debug)]
pub struct ScanLock {
    _file: File,
}

/// The changes of one push or one scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefLogEntry {
    /// The push.
    pub push: PushId,
    /// Time of the capture.
    pub time: Timestamp,
    /// The repository's directory.
    pub git_dir: GitDir,
    /// Names and ID of the repository.
    pub repository: RepositoryIdentity,
    /// Base URL of Gitea.
    pub root_url: Option<String>,
    /// The changes.
    pub updates: Vec<Update>,
}

#[derive(Serialize, Deserialize)]
struct RefLogHeader<'a> {
    push: PushId,
    time: Timestamp,
    git_dir: Cow<'a, GitDir>,
    repository: Cow<'a, RepositoryIdentity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_url: Option<Cow<'a, str>>,
    bytes: usize,
    lines_crc32: String,
}

/// Reads what hooks append while a scan is running.
#[derive(Debug)]
pub struct RefLogTail {
    log: RefLog,
    read: u64,
}

impl RefLog {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Takes the lock of the scans, or returns `None` if another process scans. From now on, hooks log
    /// their changes.
    ///
    /// # Errors
    /// If the directory or the lock file cannot be created or locked.
    pub fn lock_scans(&self) -> Result<Option<ScanLock>, StateError> {
        files::make_dir(&self.dir)?;
        let path = self.dir.join(LOCK);
        let file = files::open_to_append(&path)?;
        if !lock::try_lock(&file, &path)? {
            return Ok(None);
        }
        sweep::sweep(&self.dir);
        Ok(Some(ScanLock { _file: file }))
    }

    /// Forgets everything that scans keep, if the log shows that no scan has run for long. The next scan is
    /// a first one again. Returns true if that happened.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn forget_if_abandoned(&self) -> Result<bool, StateError> {
        if self.dir.join(LOG).metadata().map_or(0, |log| log.len()) <= MAX_LOG {
            return Ok(false);
        }
        let Some(_lock) = self.lock_scans()? else { return Ok(false) };
        for name in listing::list(&self.dir)? {
            let is_kept = name == LOCK || self.dir.join(&name).is_dir();
            if !is_kept {
                files::remove(&self.dir.join(name))?;
            }
        }
        Ok(true)
    }

    /// Appends the changes of a captured push, unless no scan has run yet. Does not synchronise them.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn append(&self, push: &Push) -> Result<(), StateError> {
        if !self.dir.is_dir() {
            return Ok(());
        }
        let (source, lines) = (push.source(), lines::render(push.updates()));
        let path = self.dir.join(LOG);
        let header = RefLogHeader {
            push: push.id(),
            time: push.time(),
            git_dir: Cow::Borrowed(&source.git_dir),
            repository: Cow::Borrowed(&source.repository),
            root_url: source.root_url.as_deref().map(Cow::from),
            bytes: lines.len(),
            lines_crc32: seal::sum_text(&lines),
        };
        let header = seal::line(&header).map_err(|err| StateError::new("write", &path, err.into()))?;
        for _ in 0..ATTEMPTS {
            let mut file = files::open_to_append(&path)?;
            // A scan waits for the lock after it moved the log away, and before it reads it.
            let is_ours = file.try_lock_shared().is_ok()
                && path.symlink_metadata().ok().map(|there| there.ino())
                    == file.metadata().ok().map(|ours| ours.ino());
            if is_ours {
                let parts = [&b"\n"[..], &header, &lines].map(IoSlice::new);
                return files::write_all(&mut file, parts.to_vec(), &path);
            }
        }
        let why = std::io::Error::new(std::io::ErrorKind::WouldBlock, "scans keep moving it away");
        Err(StateError::new("write", &path, why))
    }

    /// Synchronises the log. A delivery does this before it removes markers, so that no power cut leaves a
    /// push that neither the outbox nor the log knows. Errors are ignored: it is a second precaution.
    pub fn sync(&self) {
        let path = self.dir.join(LOG);
        if let Ok(file) = files::open(&path) {
            // The file may be as new as its last entry.
            let _ = files::sync_file(&file, &path).and_then(|()| files::sync_dir(&self.dir));
        }
    }

    /// Moves the log away, so that hooks start another one, and waits for those that are still
    /// writing.
    ///
    /// # Errors
    /// If the log cannot be moved.
    pub fn move_away(&self, now: Timestamp) -> Result<(), StateError> {
        let path = self.dir.join(LOG);
        let file = match files::open(&path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        // Names sort by time.
        files::rename(&path, &self.dir.join(format!("{MOVED}{:020}", now.as_nanosecond().max(0))))?;
        lock::lock_soon(&file, &path)?;
        files::sync_file(&file, &path)
    }

    /// Returns the names of the logs that were moved away, oldest first.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn moved(&self) -> Result<Vec<String>, StateError> {
        let mut names = listing::list(&self.dir)?;
        names.retain(|name| name.starts_with(MOVED));
        Ok(names)
    }

    /// Calls `with` for each entry of a log that was moved away.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn each(&self, name: &str, with: impl FnMut(RefLogEntry)) -> Result<(), StateError> {
        let path = self.dir.join(name);
        let mut content = Vec::new();
        files::open(&path)?.read_to_end(&mut content).map_err(|err| StateError::new("read", &path, err))?;
        parse(&mut content, with);
        Ok(())
    }

    /// Replaces the logs that were moved away by one with these entries.
    ///
    /// # Errors
    /// If it cannot be written, or the others cannot be removed.
    pub fn replace_moved(&self, moved: &[String], kept: &[&RefLogEntry]) -> Result<(), StateError> {
        let mut moved = moved.iter();
        if !kept.is_empty()
            && let Some(first) = moved.next()
        {
            let mut content = Vec::new();
            for entry in kept {
                let lines = lines::render(&entry.updates);
                content.push(b'\n');
                content.extend(entry.header(&lines).map_err(|err| StateError::in_dir(&self.dir, err))?);
                content.extend(lines);
            }
            files::write_durable(&self.dir, first, &[&content], None)?;
        }
        moved.try_for_each(|name| files::remove(&self.dir.join(name)))
    }

    /// Returns a reader of what hooks append from now on.
    pub fn tail(&self) -> RefLogTail {
        RefLogTail { log: self.clone(), read: 0 }
    }
}

impl RefLogEntry {
    fn header(&self, lines: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        seal::line(&RefLogHeader {
            push: self.push,
            time: self.time,
            git_dir: Cow::Borrowed(&self.git_dir),
            repository: Cow::Borrowed(&self.repository),
            root_url: self.root_url.as_deref().map(Cow::from),
            bytes: lines.len(),
            lines_crc32: seal::sum_text(lines),
        })
    }
}

impl RefLogTail {
    /// Calls `with` for each entry that was completed since the last call.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn each_new(&mut self, with: impl FnMut(RefLogEntry)) -> Result<(), StateError> {
        let path = self.log.dir.join(LOG);
        let mut file = match files::open(&path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let mut content = Vec::new();
        file.seek(SeekFrom::Start(self.read))
            .and_then(|_| file.read_to_end(&mut content))
            .map_err(|err| StateError::new("read", &path, err))?;
        self.read += parse(&mut content, with) as u64;
        Ok(())
    }
}

/// Parses the entries of a log, and returns the position after the last whole one.
fn parse(content: &mut [u8], mut with: impl FnMut(RefLogEntry)) -> usize {
    let (mut at, mut whole) = (0, 0);
    while at < content.len() {
        let end = content[at..].find_byte(b'\n').map_or(content.len(), |len| at + len);
        let next = (end + 1).min(content.len());
        if content[at..end].starts_with(b"{") {
            let (head, body) = content.split_at_mut(next);
            if let Some((entry, len)) = entry(&mut head[at..end], body) {
                with(entry);
                at = next + len;
                whole = at;
                continue;
            }
        }
        at = next;
    }
    whole
}

fn entry(header: &mut [u8], body: &[u8]) -> Option<(RefLogEntry, usize)> {
    let SealCheck::Whole(json) = seal::check(header) else { return None };
    let header: RefLogHeader<'_> = serde_json::from_slice(json).ok()?;
    let lines = body.get(..header.bytes).filter(|lines| seal::sum_text(lines) == header.lines_crc32)?;
    let entry = RefLogEntry {
        push: header.push,
        time: header.time,
        git_dir: header.git_dir.into_owned(),
        repository: header.repository.into_owned(),
        root_url: header.root_url.map(Cow::into_owned),
        updates: lines::parse(lines).updates,
    };
    Some((entry, header.bytes))
}

#[cfg(test)]
mod tests;
