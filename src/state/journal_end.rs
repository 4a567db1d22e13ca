//! The end of the journal, where lines are appended.
//!
//! Each line carries the hash of the one before it ([`super::chain`]), so the processes that append
//! take turns: they lock `journal-head.json`, which holds the hash and the length of the file at the
//! end of the last append. It is written after the lines and never synchronised, so after a crash it
//! is older than the journal. Then the rest of the file is read. If the journal is shorter than the
//! record says, lines were removed, or a power cut lost them: the next line carries the recorded hash
//! nevertheless, so that verification finds the place.

use std::{
    fs::File,
    io::{self, IoSlice},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    chain::Tip,
    files::{self, StateError},
    journal::{self, JournalLines},
    listing, lock,
    seal::{self, SealCheck},
};

/// Name of the record in the state directory.
pub(super) const FILE: &str = "journal-head.json";

/// Maximum time that a hook waits for processes that are appending. Each takes some hundred
/// microseconds, but on a machine with many pushes at once it may have to wait for a processor.
const WAIT_OF_HOOK: Duration = Duration::from_millis(500);

/// The same for a process for which git does not wait. A delivery to hundreds of destinations appends
/// from as many threads.
const WAIT: Duration = Duration::from_secs(10);

/// Maximum number of bytes read at the end of a file. A process writes less at a time.
const MAX_READ: u64 = 16 << 20;

/// Maximum size of the record.
const MAX_RECORD: u64 = 1 << 10;

/// The record: the end of the chain, and the file that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Name of the newest file.
    pub file: String,
    /// Its length in bytes.
    pub length: u64,
    #[serde(flatten)]
    pub tip: Tip,
}

/// The lines after the record.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    /// The file ends where the record says, or in lines of the chain.
    Chained,
    /// It has other lines, or lines are missing.
    Other,
}

/// The journal's end while this process holds its lock.
pub(super) struct JournalEnd<'a> {
    dir: &'a Path,
    record: File,
    head: Option<Head>,
}

impl Head {
    /// Reads a record. Returns `None` if it is missing or damaged, or names a file elsewhere.
    pub fn read(record: &File) -> Option<Self> {
        let mut content = [0; MAX_RECORD as usize];
        let len = record.read_at(&mut content, 0).ok()?;
        let end = content[..len].iter().position(|byte| *byte == b'\n')?;
        match seal::check(&mut content[..end]) {
            SealCheck::Whole(object) => {
                serde_json::from_slice(object).ok().filter(|head: &Self| is_file_of_journal(&head.file))
            }
            SealCheck::Unsealed(_) | SealCheck::Broken => None,
        }
    }

    /// Moves the end to that of the file.
    fn catch_up(&mut self, file: &File) -> io::Result<Rest> {
        let len = file.metadata()?.len();
        let mut rest = if len < self.length { Rest::Other } else { Rest::Chained };
        if len > self.length && len - self.length <= MAX_READ {
            let mut unread = vec![0; usize::try_from(len - self.length).unwrap_or_default()];
            file.read_exact_at(&mut unread, self.length)?;
            for line in unread.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                if self.tip.pass(line).is_none() {
                    rest = Rest::Other;
                }
            }
        } else if len > self.length {
            rest = Rest::Other;
        }
        self.length = len;
        Ok(rest)
    }

    /// Makes the record of a journal from its files. `month` is the file of a journal without any.
    fn of_files(dir: &Path, month: &str) -> Result<Self, StateError> {
        let mut head = Self { file: month.into(), length: 0, tip: Tip::of_new_chain() };
        let names = files_of(dir)?;
        // The newest one may have no whole line yet.
        for name in &names[names.len().saturating_sub(2)..] {
            let path = dir.join(name);
            let file = files::open(&path)?;
            let failed = |err| StateError::new("read", &path, err);
            let len = file.metadata().map_err(failed)?.len();
            head = Self { file: name.clone(), length: len.saturating_sub(MAX_READ), tip: head.tip };
            head.catch_up(&file).map_err(failed)?;
        }
        Ok(head)
    }
}

impl<'a> JournalEnd<'a> {
    /// Locks the end of the journal in `dir`, and waits a moment for other processes.
    ///
    /// # Errors
    /// If the record cannot be opened, or another process holds the lock for too long.
    pub fn lock(dir: &'a Path, is_hook: bool) -> Result<Self, StateError> {
        let path = record_path(dir);
        let record = match files::open_to_update(&path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                files::make_dir(dir)?;
                files::open_to_update(&path)?
            }
            opened => opened?,
        };
        lock::lock_within(&record, &path, if is_hook { WAIT_OF_HOOK } else { WAIT })?;
        let head = Head::read(&record);
        Ok(Self { dir, record, head })
    }

    /// Appends lines in one write. First ends a line that a crash or a full disk cut off, so that
    /// only that line is lost.
    ///
    /// # Errors
    /// If the lines cannot be written.
    pub fn append(mut self, lines: &JournalLines) -> Result<(), StateError> {
        let month = journal::file_name(lines.time());
        let mut notice = None;
        let mut head = match self.head.take() {
            Some(head) => head,
            None => {
                let head = Head::of_files(self.dir, &month)?;
                notice = (head.tip.n > 0).then(|| JournalLines::of_lost_record(lines.time()));
                self.write(&head);
                head
            }
        };
        // Lines whose time is in an earlier month go to the newest file, too: the order of the files is
        // that of the chain.
        if month > head.file {
            let path = self.dir.join(&head.file);
            match files::open(&path) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                file => {
                    head.catch_up(&file?).map_err(|err| StateError::new("read", &path, err))?;
                }
            }
            head = Head { file: month, length: 0, tip: head.tip };
            self.write(&head);
        }
        let path = self.dir.join(&head.file);
        let mut file = match files::open_after_lock(&path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                files::make_dir(self.dir)?;
                files::open_after_lock(&path)?
            }
            opened => opened?,
        };
        head.catch_up(&file).map_err(|err| StateError::new("read", &path, err))?;
        let end: &[u8] = if files::ends_within_a_line(&file) { b"\n" } else { b"" };
        let mut linked = Vec::with_capacity(lines.text().len() + 128);
        for lines in notice.iter().chain([lines]) {
            head.tip.link(lines.text(), &mut linked);
        }
        files::write_all(&mut file, vec![IoSlice::new(end), IoSlice::new(&linked)], &path)?;
        head.length += (end.len() + linked.len()) as u64;
        self.write(&head);
        Ok(())
    }

    /// Writes the record. Without it, the next process makes it again from the file.
    fn write(&self, head: &Head) {
        if let Ok(line) = seal::line(head) {
            let _ = self.record.write_all_at(&line, 0);
        }
    }
}

/// Returns the last line of the chain after synchronising it, for the outside witness. Returns
/// `None` if that is not possible, or if lines that are not of the chain stand after it.
pub(super) fn witness(dir: &Path, is_hook: bool) -> Option<Tip> {
    let path = record_path(dir);
    let record = files::open(&path).ok()?;
    lock::lock_within(&record, &path, if is_hook { WAIT_OF_HOOK } else { WAIT }).ok()?;
    let mut head = Head::read(&record)?;
    let rest = head.catch_up(&files::open(&dir.join(&head.file)).ok()?).ok()?;
    drop(record);
    // A power cut must not take back a line that the witness knows. The newest file may have just been
    // begun, so the one before it is synchronised as well.
    for name in files_of(dir).ok()?.iter().rev().take(2) {
        let path = dir.join(name);
        files::sync_file(&files::open(&path).ok()?, &path).ok()?;
    }
    files::sync_dir(dir).ok()?;
    (rest == Rest::Chained && head.tip.n > 0).then_some(head.tip)
}

/// Returns the record of the end, without waiting long for processes that are appending.
pub(super) fn record(dir: &Path) -> Option<Head> {
    let path = record_path(dir);
    let record = files::open(&path).ok()?;
    // A process that is stopped must not keep others from reading.
    let _ = lock::lock_within(&record, &path, WAIT_OF_HOOK);
    Head::read(&record)
}

/// Returns the names of the journal's files, oldest first.
pub(super) fn files_of(dir: &Path) -> Result<Vec<String>, StateError> {
    let mut names = listing::list(dir)?;
    names.retain(|name| is_file_of_journal(name));
    Ok(names)
}

fn is_file_of_journal(name: &str) -> bool {
    name.ends_with(".jsonl") && !name.contains('/')
}

/// Returns the path of the record for the journal in `dir`.
pub(super) fn record_path(dir: &Path) -> PathBuf {
    dir.with_file_name(FILE)
}
