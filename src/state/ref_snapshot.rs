//! The refs of each repository as the last scan saw them.
//!
//! `refs/HASH` is the snapshot of the repository whose directory has this hash. It starts with one
//! line of JSON. The stamps of the repository's refs follow, then the refs, one a line. An unchanged repository costs the start of this file and a look at its stamps.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use bstr::ByteSlice;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    files::{self, StateError},
    listing,
    seal::{self, SealCheck},
};
use crate::{
    facts::{RefStamps, RefValue},
    push::{GitDir, ObjectId, RefName, RepositoryIdentity},
    sys::time::Timestamp,
    text::Hex,
};

/// The format that this version writes.
const FORMAT: u32 = 1;

/// Number of bytes of a directory's hash in the name of its snapshot.
const HASHED: usize = 16;

/// Suffix of the name after the repository's directory has disappeared.
const GONE: &str = ".gone";

/// Time for which the snapshot of a repository that is gone is kept, in case that its file system was
/// only not mounted.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// The directory of snapshots.
#[derive(Clone, Debug)]
pub struct RefSnapshots {
    dir: PathBuf,
}

/// The refs of a repository at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefSnapshot {
    /// The beginning: everything but the refs.
    pub head: SnapshotHead,
    /// The refs, ordered by name.
    pub refs: Vec<RefValue>,
}

/// The beginning of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The repository's directory.
    pub git_dir: GitDir,
    /// The file system's identity of the directory, which a rename keeps.
    pub directory: DirectoryId,
    /// Names and ID of the repository, from its last push.
    pub repository: RepositoryIdentity,
    /// Base URL of Gitea, from the last push.
    pub root_url: Option<String>,
    /// Changes that were captured up to this time are in the snapshot.
    pub as_of: Timestamp,
    /// ID of the system's start during which the snapshot was written.
    pub boot: String,
    /// The stamps of the refs.
    pub stamps: RefStamps,
}

/// Device, inode and time of creation in nanoseconds, of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DirectoryId(u64, u64, u64);

#[derive(Serialize, Deserialize)]
struct SnapshotHeader {
    format: u32,
    git_dir: GitDir,
    directory: DirectoryId,
    repository: RepositoryIdentity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_url: Option<String>,
    as_of: Timestamp,
    boot: String,
    stamps: usize,
    refs: usize,
    lines_crc32: String,
}

impl DirectoryId {
    /// Returns the identity of the directory at `path`.
    ///
    /// # Errors
    /// If it cannot be examined.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let found = std::fs::metadata(path)?;
        // Not every file system has it.
        let created = found.created().unwrap_or(UNIX_EPOCH).duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self(found.dev(), found.ino(), u64::try_from(created.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl RefSnapshots {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Returns the name of the snapshot of a directory.
    pub fn name_of(git_dir: &Path) -> String {
        let hash = Sha256::digest(git_dir.as_os_str().as_bytes());
        Hex(&hash[..HASHED]).to_string()
    }

    /// Returns true if there is a snapshot of this directory.
    pub fn has(&self, git_dir: &Path) -> bool {
        self.dir.join(Self::name_of(git_dir)).exists()
    }

    /// Returns the names of all snapshots, and those of repositories that are gone.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<(Vec<String>, Vec<String>), StateError> {
        let mut names = listing::list(&self.dir)?;
        names.retain(|name| name.len() >= 2 * HASHED && name.bytes().take(2 * HASHED).all(is_hex_digit));
        let (gone, mut names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.ends_with(GONE));
        names.retain(|name| name.len() == 2 * HASHED);
        Ok((names, gone))
    }

    /// Reads the beginning of a snapshot, or returns `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn head(&self, name: &str) -> Result<Option<SnapshotHead>, StateError> {
        let path = self.dir.join(name);
        let Some(file) = self.open(&path)? else { return Ok(None) };
        let mut reader = BufReader::new(file);
        let read = read_header(&mut reader).and_then(|header| {
            let mut lines = Vec::new();
            for _ in 0..header.stamps {
                reader.read_until(b'\n', &mut lines)?;
            }
            head(header, &mut ByteSlice::lines(&lines[..]))
        });
        read.map(|(head, _)| Some(head)).map_err(|err| StateError::new("read", &path, err))
    }

    /// Reads a whole snapshot, or returns `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn read(&self, name: &str) -> Result<Option<RefSnapshot>, StateError> {
        let path = self.dir.join(name);
        let Some(file) = self.open(&path)? else { return Ok(None) };
        read_all(BufReader::new(file)).map(Some).map_err(|err| StateError::new("read", &path, err))
    }

    fn open(&self, path: &Path) -> Result<Option<File>, StateError> {
        match files::open(path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Writes a snapshot, and with `is_durable` synchronises it before it replaces the old one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, snapshot: &RefSnapshot, is_durable: bool) -> Result<(), StateError> {
        let name = Self::name_of(snapshot.head.git_dir.as_path());
        let content = render(snapshot).map_err(|err| StateError::in_dir(&self.dir, err))?;
        if is_durable {
            return files::write_durable(&self.dir, &name, &[&content], None);
        }
        files::write_new(&self.dir, &name, &[&content], false).map(|_| ())
    }

    /// Removes a snapshot.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        files::remove(&self.dir.join(name))
    }

    /// Notes that the repository of a snapshot is gone.
    ///
    /// # Errors
    /// If the snapshot cannot be renamed.
    pub fn put_away(&self, name: &str) -> Result<(), StateError> {
        files::rename(&self.dir.join(name), &self.dir.join(format!("{name}{GONE}")))
    }

    /// Takes the snapshot of a repository back that was gone. Returns false if there is none.
    ///
    /// # Errors
    /// If the snapshot cannot be renamed.
    pub fn take_back(&self, name: &str) -> Result<bool, StateError> {
        let gone = self.dir.join(format!("{name}{GONE}"));
        if gone.symlink_metadata().is_err() {
            return Ok(false);
        }
        files::rename(&gone, &self.dir.join(name)).map(|()| true)
    }

    /// Removes the snapshot of a repository that was gone for a month.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn expire(&self, gone: &str, now: Timestamp) -> Result<(), StateError> {
        let path = self.dir.join(gone);
        let Ok(found) = path.symlink_metadata() else { return Ok(()) };
        // The rename set this time.
        let since = found.ctime();
        let kept = i64::try_from(KEPT_FOR.as_secs()).unwrap_or(i64::MAX);
        if now.as_second().saturating_sub(since) > kept { files::remove(&path) } else { Ok(()) }
    }
}

fn is_hex_digit(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn render(snapshot: &RefSnapshot) -> Result<Vec<u8>, serde_json::Error> {
    let RefSnapshot { head, refs } = snapshot;
    let mut lines = Vec::with_capacity(refs.len() * 80 + 1024);
    head.stamps.write(&mut lines);
    for (name, id) in refs {
        lines.extend_from_slice(id.to_string().as_bytes());
        lines.push(b' ');
        lines.extend_from_slice(name.as_bstr());
        lines.push(b'\n');
    }
    let mut content = seal::line(&SnapshotHeader {
        format: FORMAT,
        git_dir: head.git_dir.clone(),
        directory: head.directory,
        repository: head.repository.clone(),
        root_url: head.root_url.clone(),
        as_of: head.as_of,
        boot: head.boot.clone(),
        stamps: head.stamps.len(),
        refs: refs.len(),
        lines_crc32: seal::sum_text(&lines),
    })?;
    content.extend(lines);
    Ok(content)
}

fn damaged(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}

fn read_header(reader: &mut BufReader<File>) -> std::io::Result<SnapshotHeader> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let end = line.trim_end_with(|end| end == '\n').len();
    let SealCheck::Whole(json) = seal::check(&mut line[..end]) else {
        return Err(damaged("its first line is damaged"));
    };
    let header: SnapshotHeader = serde_json::from_slice(json)?;
    if header.format != FORMAT {
        return Err(damaged("its format is that of another version"));
    }
    Ok(header)
}

/// Returns the beginning of a snapshot, and the number of its refs.
fn head<'l>(
    header: SnapshotHeader,
    lines: &mut impl Iterator<Item = &'l [u8]>,
) -> std::io::Result<(SnapshotHead, usize)> {
    let stamps = RefStamps::parse(lines.take(header.stamps)).filter(|stamps| stamps.len() == header.stamps);
    let head = SnapshotHead {
        git_dir: header.git_dir,
        directory: header.directory,
        repository: header.repository,
        root_url: header.root_url,
        as_of: header.as_of,
        boot: header.boot,
        stamps: stamps.ok_or_else(|| damaged("a stamp is damaged"))?,
    };
    Ok((head, header.refs))
}

fn read_all(mut reader: BufReader<File>) -> std::io::Result<RefSnapshot> {
    let header = read_header(&mut reader)?;
    let mut content = Vec::new();
    reader.read_to_end(&mut content)?;
    if seal::sum_text(&content) != header.lines_crc32 {
        return Err(damaged(&seal::Broken.to_string()));
    }
    let mut lines = ByteSlice::lines(&content[..]);
    let (head, refs) = head(header, &mut lines)?;
    let refs = lines.take(refs).map(reference).collect::<Option<_>>();
    refs.map(|refs| RefSnapshot { head, refs }).ok_or_else(|| damaged("a line is damaged"))
}

fn reference(line: &[u8]) -> Option<RefValue> {
    let (id, name) = line.split_once_str(" ")?;
    Some((RefName::new(name)?, ObjectId::from_hex(id)?))
}

#[cfg(test)]
mod tests;
