//! Reads all refs of a repository at one moment, and tells cheaply if one of them may have changed
//! since.
//!
//! A repository may be written to while its refs are read: a ref that `git pack-refs` moves just then
//! would seem to be deleted. git changes a ref by renaming a file, which changes the times of the
//! directory, or by replacing `packed-refs` or the reftables' list of tables. The stamps of these are
//! taken before and after the reading.

use std::{
    ffi::OsStr,
    fs, io,
    ops::ControlFlow,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{FactError, Repository, repository::own_id};
use crate::{
    push::{ObjectId, RefName},
    sys::time,
};

/// Time after which a change has another stamp than the one before. Linux stamps files with the time
/// of the last timer interrupt, at most 10 ms ago.
const TICK: Duration = Duration::from_millis(20);

/// Maximum number of attempts to read the refs between two changes.
const ATTEMPTS: usize = 5;

/// Maximum number of directories of refs.
const MAX_DIRS: usize = 200_000;

/// A ref and the ID of its object.
pub type RefValue = (RefName, ObjectId);

/// All refs of a repository at one moment.
#[derive(Debug)]
pub struct RefList {
    /// Stamps of the files and directories that hold the refs.
    pub stamps: RefStamps,
    /// The refs, ordered by name, without symbolic ones.
    pub refs: Vec<RefValue>,
}

/// The stamps of everything that changes with a ref.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefStamps(Vec<RefStamp>);

/// The identity, times and size of a file or a directory, zero if it does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RefStamp {
    /// Path in the repository.
    path: PathBuf,
    /// Inode, modification and change time in nanoseconds, size.
    seen: [i64; 4],
}

impl Repository {
    /// Reads all refs, or returns `None` if they changed during each attempt.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn ref_list(&self) -> Result<Option<RefList>, FactError> {
        let dir = &self.layout.dir;
        let take = || {
            RefStamps::take(dir, self.layout.has_reftables)
                .map_err(|err| self.noted(FactError::from_io("failed to look at the refs", &err)))
        };
        let mut stamps = take()?;
        for _ in 0..ATTEMPTS {
            if stamps.are_young() {
                thread::sleep(TICK);
                let later = take()?;
                if later != stamps {
                    stamps = later;
                    continue;
                }
            }
            // A ref may disappear between the listing of its directory and the reading.
            let refs = self.read_refs();
            let after = take()?;
            if after == stamps {
                return Ok(Some(RefList { stamps, refs: refs? }));
            }
            stamps = after;
        }
        Ok(None)
    }

    fn read_refs(&self) -> Result<Vec<RefValue>, FactError> {
        let what = "failed to list the refs";
        let mut refs = Vec::new();
        self.each_ref("refs/", what, &mut |reference| {
            let reference = reference.map_err(|err| self.failed(what, &err))?;
            if let (Some(id), Some(name)) =
                (reference.target.try_id(), RefName::new(reference.name.as_bstr()))
            {
                refs.push((name, own_id(id)?));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        refs.sort_unstable();
        Ok(refs)
    }
}

impl RefStamps {
    fn take(dir: &Path, has_reftables: bool) -> io::Result<Self> {
        if has_reftables {
            return Ok(Self(vec![RefStamp::of(dir, "reftable/tables.list".into())?]));
        }
        let mut stamps = vec![RefStamp::of(dir, "packed-refs".into())?];
        let mut dirs = vec![PathBuf::from("refs")];
        while let Some(path) = dirs.pop() {
            // Its stamp comes first: what is added during the listing changes the next one.
            stamps.push(RefStamp::of(dir, path.clone())?);
            let entries = match fs::read_dir(dir.join(&path)) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    dirs.push(path.join(entry.file_name()));
                }
            }
            if stamps.len() + dirs.len() > MAX_DIRS {
                let why =
                    format!("the refs are in more than {MAX_DIRS} directories; run git pack-refs --all");
                return Err(io::Error::other(why));
            }
        }
        stamps.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(Self(stamps))
    }

    /// Returns true if no ref of the repository in `dir` changed since the stamps were taken.
    pub fn are_current(&self, dir: &Path) -> bool {
        !self.0.is_empty()
            && self.0.iter().all(|stamp| RefStamp::of(dir, stamp.path.clone()).is_ok_and(|now| now == *stamp))
    }

    /// Returns true if the next change might have the same stamp as the last one.
    fn are_young(&self) -> bool {
        let now = i64::try_from(time::now().as_nanosecond()).unwrap_or(i64::MAX);
        let tick = i64::try_from(TICK.as_nanos()).unwrap_or(i64::MAX);
        self.0.iter().any(|stamp| stamp.seen[1].max(stamp.seen[2]) > now.saturating_sub(tick))
    }

    /// Appends one line for each stamp.
    pub fn write(&self, out: &mut Vec<u8>) {
        for RefStamp { path, seen: [inode, modified, changed, size] } in &self.0 {
            out.extend_from_slice(format!("{inode} {modified} {changed} {size} ").as_bytes());
            out.extend_from_slice(path.as_os_str().as_bytes());
            out.push(b'\n');
        }
    }

    /// Parses the lines that [`Self::write`] made.
    pub fn parse<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Option<Self> {
        lines.map(RefStamp::parse).collect::<Option<_>>().map(Self)
    }

    /// Returns the number of lines that [`Self::write`] makes.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl RefStamp {
    fn of(dir: &Path, path: PathBuf) -> io::Result<Self> {
        let seen = match fs::metadata(dir.join(&path)) {
            Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                [0; 4]
            }
            found => {
                let found = found?;
                let nanos =
                    |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
                [
                    found.ino().cast_signed(),
                    nanos(found.mtime(), found.mtime_nsec()),
                    nanos(found.ctime(), found.ctime_nsec()),
                    found.size().cast_signed(),
                ]
            }
        };
        Ok(Self { path, seen })
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.splitn(5, |byte| *byte == b' ');
        let mut seen = [0; 4];
        for value in &mut seen {
            *value = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        }
        Some(Self { path: OsStr::from_bytes(fields.next()?).into(), seen })
    }
}
