//! Scans one repository whose refs may have changed.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    thread,
    time::Duration,
};

use super::{FoundChange, RepositoryScanError, Scan, in_flight, reconcile::missing};
use crate::{
    facts::{RefList, RefValue, Repository},
    push::{GitDir, ObjectId, PushId, RefName, RepositoryIdentity, Source, Update, UpdateSource, lines},
    state::{
        StateError,
        ref_log::RefLogEntry,
        ref_snapshot::{DirectoryId, RefSnapshot, SnapshotHead},
    },
    sys::time::{self, Timestamp},
};

/// Maximum number of updates in one capture.
const MAX_UPDATES: usize = 50_000;

/// Interval between two looks at the running processes.
const TICK: Duration = Duration::from_millis(10);

/// Number of times that the refs are read again, because they changed before the captures were known.
const ATTEMPTS: usize = 5;

impl Scan<'_> {
    /// Reads the refs of a repository for the first time, and returns the time before that. Returns `None`
    /// if they keep changing.
    pub(super) fn first_look(&self, dir: &Path) -> Result<Option<Timestamp>, RepositoryScanError> {
        let git_dir = GitDir::resolve(None, dir);
        let directory = DirectoryId::of(dir).map_err(RepositoryScanError::Directory)?;
        // What is captured from now on may be among the refs or not.
        let as_of = time::now();
        let Some(list) = Repository::open(&git_dir)?.ref_list()? else { return Ok(None) };
        let (repository, root_url) =
            self.evidence.identity(dir).unwrap_or_else(|| (RepositoryIdentity::of_dir(&git_dir), None));
        let RefList { stamps, refs } = list;
        let boot = self.boot.clone();
        let head = SnapshotHead { git_dir, directory, repository, root_url, as_of, boot, stamps };
        // A snapshot that a power cut damages is made again.
        self.snapshots.write(&RefSnapshot { head, refs }, false)?;
        Ok(Some(as_of))
    }

    /// Compares a repository with its snapshot, captures what changed without a capture, and writes a
    /// new snapshot. Returns false if the repository is being pushed to.
    ///
    /// A hook takes the time of its push before its capture is there. Only after all pushes to the refs
    /// that were read have ended are all captures up to that time known.
    pub(super) fn compare(&mut self, dir: &Path, name: &str) -> Result<bool, RepositoryScanError> {
        let old = match self.snapshots.read(name) {
            Err(err) if err.kind() == std::io::ErrorKind::InvalidData => {
                self.snapshots.remove(name)?;
                self.unknown.push(dir.into());
                return Err(RepositoryScanError::Damaged(err));
            }
            read => read?,
        };
        let Some(old) = old else { return Ok(false) };
        let directory = DirectoryId::of(dir).map_err(RepositoryScanError::Directory)?;
        if directory != old.head.directory {
            self.report.appeared.insert(dir.into());
        }
        let repository = Repository::open(&old.head.git_dir)?;
        for _ in 0..ATTEMPTS {
            let Some(list) = repository.ref_list()? else { return Ok(false) };
            let read_at = time::now();
            if directory != old.head.directory && is_other(&old.refs, &list.refs) {
                self.snapshots.remove(name)?;
                self.report.made_again.push(dir.into());
                self.unknown.push(dir.into());
                return Ok(true);
            }
            if !self.wait_for_pushes(dir)? {
                return Ok(false);
            }
            self.evidence.refresh()?;
            if !list.stamps.are_current(dir) {
                continue;
            }
            let mut comparison = Comparison::of(&old, &list.refs, self.evidence.of(dir), read_at);
            if old.head.boot != self.boot {
                self.remove_waiting(&mut comparison.found, &old.head, &repository)?;
            }
            self.finish(&old, directory, list, comparison)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Removes the changes whose marker waits in an outbox, because a power cut may have lost what
    /// the log had of them.
    fn remove_waiting(
        &mut self,
        found: &mut Vec<Update>,
        head: &SnapshotHead,
        repository: &Repository,
    ) -> Result<(), RepositoryScanError> {
        let name = head.repository.full_name().to_lowercase();
        let mut left = Vec::new();
        for update in found.drain(..) {
            let commit = match update.new_id() {
                Some(id) => repository.commit_of(&id.to_string())?.or(Some(id)),
                None => None,
            };
            let is_marked = match commit {
                Some(commit) => {
                    let marked = [name.clone(), update.short_name(), commit.to_string()];
                    self.evidence.has_waiting_marker(&marked, head.as_of)?
                }
                None => false,
            };
            if !is_marked {
                left.push(update);
            }
        }
        *found = left;
        Ok(())
    }

    /// Waits until no push to the repository is running. Returns false if that takes too long.
    fn wait_for_pushes(&self, dir: &Path) -> Result<bool, RepositoryScanError> {
        while in_flight::pushed_to().map_err(RepositoryScanError::Processes)?.contains(dir) {
            if self.patience.is_over() {
                return Ok(false);
            }
            thread::sleep(TICK);
        }
        Ok(true)
    }

    /// Captures what was found, and then writes the new snapshot.
    fn finish(
        &mut self,
        old: &RefSnapshot,
        directory: DirectoryId,
        list: RefList,
        comparison: Comparison,
    ) -> Result<(), RepositoryScanError> {
        let dir = old.head.git_dir.as_path();
        let known = (old.head.repository.clone(), old.head.root_url.clone());
        let (repository, root_url) = self.evidence.identity(dir).unwrap_or(known);
        let Comparison { found, read_at, as_of } = comparison;
        let source = Source {
            found_by: UpdateSource::Scan,
            root_url: root_url.clone(),
            ..Source::unknown(old.head.git_dir.clone(), repository.clone())
        };
        for updates in found.chunks(MAX_UPDATES) {
            self.capture(read_at, &source, updates)?;
        }
        let found = found.into_iter();
        self.report
            .changes
            .extend(found.map(|update| FoundChange { repository: repository.clone(), update }));
        let head = SnapshotHead {
            git_dir: old.head.git_dir.clone(),
            directory,
            repository,
            root_url,
            as_of,
            boot: self.boot.clone(),
            stamps: list.stamps,
        };
        self.snapshots.write(&RefSnapshot { head, refs: list.refs }, true)?;
        Ok(())
    }

    fn capture(&self, time: Timestamp, source: &Source, updates: &[Update]) -> Result<(), StateError> {
        let id = PushId::derived(time, &source.repository_key(), updates);
        let page = (self.hook_page)(source.git_dir.as_path());
        let inbox = self.state.inbox();
        inbox.capture(id, time, source, page.as_deref(), &lines::render(updates))?.keep()
    }
}

/// The changes between a snapshot and the present refs that no hook captured.
struct Comparison {
    found: Vec<Update>,
    /// Time at which the refs were read. The capture gets this time.
    read_at: Timestamp,
    /// Time up to which captured changes are part of the new snapshot.
    as_of: Timestamp,
}

impl Comparison {
    fn of(old: &RefSnapshot, refs: &[RefValue], known: &[RefLogEntry], read_at: Timestamp) -> Self {
        // After the clock was set back, times say nothing.
        let is_new = |entry: &&RefLogEntry| entry.time > old.head.as_of || read_at < old.head.as_of;
        let mut as_of = read_at;
        let mut captured: BTreeMap<&RefName, Vec<&Update>> = BTreeMap::new();
        for entry in known.iter().filter(is_new) {
            as_of = as_of.max(entry.time);
            for update in &entry.updates {
                captured.entry(update.ref_name()).or_default().push(update);
            }
        }
        let changed = changed_refs(&old.refs, refs);
        let names: BTreeSet<&RefName> = changed.keys().chain(captured.keys()).copied().collect();
        let mut found = Vec::new();
        for name in names {
            let captured = captured.get(name).map_or(&[][..], Vec::as_slice);
            let (before, after) = changed.get(name).copied().unwrap_or_else(|| {
                let same = value(refs, name);
                (same, same)
            });
            let any = before.or(after).or_else(|| captured.first().map(|update| update.raw_old_id()));
            let Some(null) = any.map(ObjectId::null) else { continue };
            found.extend(missing(name, (before.unwrap_or(null), after.unwrap_or(null)), captured));
        }
        Self { found, read_at, as_of }
    }
}

/// Returns the refs that differ between two lists in the order of names, each with both values.
fn changed_refs<'r>(
    old: &'r [RefValue],
    new: &'r [RefValue],
) -> BTreeMap<&'r RefName, (Option<ObjectId>, Option<ObjectId>)> {
    let mut changed = BTreeMap::new();
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some((one, _)), Some((other, _))) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return changed,
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        if let Some((name, _)) = before.or(after)
            && before != after
        {
            changed.insert(name, (before.map(|(_, id)| *id), after.map(|(_, id)| *id)));
        }
    }
}

fn value(refs: &[RefValue], name: &RefName) -> Option<ObjectId> {
    let nth = refs.binary_search_by(|(known, _)| known.cmp(name)).ok()?;
    refs.get(nth).map(|(_, id)| *id)
}

/// Returns true if two repositories at the same path have nothing in common.
fn is_other(old: &[RefValue], new: &[RefValue]) -> bool {
    let old: HashSet<&RefValue> = old.iter().collect();
    !old.is_empty() && !new.iter().any(|reference| old.contains(reference))
}
