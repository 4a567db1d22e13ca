//! Finds the ref changes that no hook captured: tags and releases made in Gitea's pages, branches
//! deleted or renamed there, what a mirror fetches, and what a hook that was killed left.
//!
//! A scan compares the refs of each repository with those of the last scan
//! ([`crate::state::ref_snapshot`]), and subtracts what hooks captured since
//! ([`crate::state::ref_log`]). What is left becomes a capture in the inbox, as if it had been pushed, and
//! is decided in the background. The first scan of a repository only writes down its refs.
//!
//! Every change is decided once, although pushes go on meanwhile and any process may die:
//!
//! - A hook captures its push before it logs it, and logs it before the capture leaves the inbox. The
//!   scan reads the inbox first and then the log, so it knows of every capture that exists.
//! - A ref changes before its hook captures that. The refs count only if no push to the repository
//!   is running any more, and if the inbox and the log were read after that was found out.
//! - The refs are read at one moment ([`crate::facts::RefList`]), and they are read again if they changed
//!   before the captures were known.
//! - A snapshot holds the effect of all changes that were captured up to its time `as_of`, and a later
//!   scan ignores these. The capture that a scan makes has a time before that. If the scan dies before it
//!   writes the snapshot, the next one finds this capture among the known changes.

mod evidence;
mod in_flight;
mod reconcile;
mod repository;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use evidence::Evidence;
use thiserror::Error;

use crate::{
    facts::FactError,
    install,
    push::{GitDir, RepositoryIdentity, Update},
    state::{
        RefSnapshots, State, StateError,
        ref_snapshot::{DirectoryId, SnapshotHead},
    },
    sys::time::{self, Deadline},
};

/// Maximum time for which a scan waits until the pushes to one repository have ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// File with a random ID of the system's start.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// A scan of some or all repositories.
pub struct Scan<'a> {
    state: &'a State,
    snapshots: RefSnapshots,
    evidence: Evidence<'a>,
    /// Returns the script of a repository's Git Hooks page, if it is a policy.
    hook_page: &'a dyn Fn(&Path) -> Option<PathBuf>,
    report: ScanReport,
    /// Directories of the repositories whose snapshot is up to date.
    finished: HashSet<PathBuf>,
    /// Names of the snapshots that were looked at.
    visited: HashSet<String>,
    /// Repositories without a snapshot.
    unknown: Vec<PathBuf>,
    /// Directories whose refs this scan wrote down for the first time, each with the time.
    first_seen: HashMap<PathBuf, time::Timestamp>,
    /// ID of the system's start (random(4)), empty if unknown.
    boot: String,
    /// Time that is left for waiting until pushes have ended.
    patience: Deadline,
}

/// The result of a scan.
#[derive(Debug, Default)]
pub struct ScanReport {
    /// Number of repositories that were looked at.
    pub repositories: usize,
    /// Number of repositories whose refs were written down for the first time.
    pub first_seen: usize,
    /// Directories that hold another repository than at the last scan, or held none.
    pub appeared: BTreeSet<PathBuf>,
    /// Repositories that were renamed or transferred, by their old and new directory.
    pub renamed: Vec<(PathBuf, PathBuf)>,
    /// Directories of repositories that are gone.
    pub gone: Vec<PathBuf>,
    /// Repositories that were deleted and made again.
    pub made_again: Vec<PathBuf>,
    /// The changes that no hook captured.
    pub changes: Vec<FoundChange>,
    /// Repositories that are pushed to right now, so that the next scan looks at them.
    pub deferred: Vec<PathBuf>,
    /// Repositories that could not be scanned, each with the reason.
    pub failed: Vec<(PathBuf, String)>,
}

/// A ref change that no hook captured.
#[derive(Clone, Debug)]
pub struct FoundChange {
    /// The repository.
    pub repository: RepositoryIdentity,
    /// The change.
    pub update: Update,
}

/// A repository that cannot be scanned.
#[derive(Debug, Error)]
enum RepositoryScanError {
    #[error(transparent)]
    Facts(#[from] FactError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("{0}; this scan writes down the refs again, and what changed since the last one is not marked")]
    Damaged(#[source] StateError),
    #[error("failed to examine its directory: {0}")]
    Directory(#[source] std::io::Error),
    #[error("failed to list the running processes, to see if one of them is a push: {0}")]
    Processes(#[source] std::io::Error),
}

impl<'a> Scan<'a> {
    /// Begins a scan. The caller holds the lock of the scans.
    ///
    /// # Errors
    /// If the state cannot be read or written.
    pub fn begin(
        state: &'a State,
        hook_page: &'a dyn Fn(&Path) -> Option<PathBuf>,
    ) -> Result<Self, StateError> {
        let snapshots = state.ref_snapshots();
        let mut evidence = Evidence::begin(state, time::now())?;
        if snapshots.list()?.0.is_empty() {
            evidence.read_journal();
        }
        Ok(Self {
            state,
            snapshots,
            evidence,
            hook_page,
            report: ScanReport::default(),
            finished: HashSet::new(),
            visited: HashSet::new(),
            unknown: Vec::new(),
            first_seen: HashMap::new(),
            boot: fs::read_to_string(BOOT).unwrap_or_default().trim().to_string(),
            patience: Deadline::after(PATIENCE),
        })
    }

    /// Scans the repository in `dir`, which is absolute and without symbolic links.
    pub fn visit(&mut self, dir: &Path) {
        let name = RefSnapshots::name_of(dir);
        if !self.visited.insert(name.clone()) {
            return;
        }
        if install::is_excluded(dir) {
            // If it is included again, the next look is a first one.
            match self.snapshots.remove(&name) {
                Ok(()) => drop(self.finished.insert(dir.into())),
                Err(err) => self.report.failed.push((dir.into(), err.to_string())),
            }
            return;
        }
        self.report.repositories += 1;
        match self.snapshots.head(&name) {
            Ok(Some(head)) if !self.evidence.is_logged(dir) && head.stamps.are_current(dir) => {
                self.finished.insert(dir.into());
            }
            Ok(None) => self.unknown.push(dir.into()),
            _ => self.look_at(dir, &name),
        }
    }

    fn look_at(&mut self, dir: &Path, name: &str) {
        match self.compare(dir, name) {
            Ok(true) => {
                self.finished.insert(dir.into());
            }
            Ok(false) => self.report.deferred.push(dir.into()),
            Err(err) => self.report.failed.push((dir.into(), err.to_string())),
        }
    }

    /// Scans the repositories that earlier scans know and this one did not visit, finds those that were
    /// renamed, and puts away the snapshots of those that are gone.
    ///
    /// # Errors
    /// If the snapshots cannot be listed.
    pub fn visit_known(&mut self) -> Result<(), StateError> {
        let (names, gone) = self.snapshots.list()?;
        let mut missing: HashMap<DirectoryId, (String, SnapshotHead)> = HashMap::new();
        for name in names {
            if self.visited.contains(&name) {
                continue;
            }
            match self.snapshots.head(&name)? {
                Some(head) if head.git_dir.as_path().join("HEAD").exists() => {
                    self.visit(head.git_dir.as_path());
                }
                Some(head) => {
                    missing.insert(head.directory, (name, head));
                }
                None => {}
            }
        }
        let mut unknown = std::mem::take(&mut self.unknown);
        unknown.retain(|dir| match DirectoryId::of(dir).ok().and_then(|id| missing.remove(&id)) {
            Some((name, head)) => {
                self.renamed(&name, head.git_dir.as_path(), dir);
                false
            }
            None => true,
        });
        self.unknown = unknown;
        for (name, head) in missing.into_values() {
            self.snapshots.put_away(&name)?;
            self.finished.insert(head.git_dir.as_path().into());
            self.report.gone.push(head.git_dir.as_path().into());
        }
        let now = time::now();
        gone.iter().try_for_each(|name| self.snapshots.expire(name, now))
    }

    fn renamed(&mut self, name: &str, from: &Path, to: &Path) {
        self.evidence.rename(from, to);
        let moved = self.snapshots.read(name).and_then(|snapshot| {
            let Some(mut snapshot) = snapshot else { return Ok(()) };
            let known = &snapshot.head.repository;
            let git_dir = GitDir::resolve(None, to);
            snapshot.head.repository =
                RepositoryIdentity { id: known.id, ..RepositoryIdentity::of_dir(&git_dir) };
            snapshot.head.git_dir = git_dir;
            self.snapshots.write(&snapshot, true)?;
            self.snapshots.remove(name)
        });
        match moved {
            Ok(()) => {
                self.report.renamed.push((from.into(), to.into()));
                self.report.appeared.insert(to.into());
                self.look_at(to, &RefSnapshots::name_of(to));
            }
            Err(err) => self.report.failed.push((to.into(), err.to_string())),
        }
    }

    /// Writes down the refs of the repositories that were not seen before, and ends the scan. With
    /// `is_whole`, every repository was visited, and what hooks logged of others is forgotten.
    ///
    /// # Errors
    /// If the state cannot be read or written.
    pub fn end(mut self, is_whole: bool) -> Result<ScanReport, StateError> {
        while let Some(dir) = self.unknown.pop() {
            let name = RefSnapshots::name_of(&dir);
            if self.snapshots.take_back(&name)? {
                self.look_at(&dir, &name);
                continue;
            }
            self.report.appeared.insert(dir.clone());
            match self.first_look(&dir) {
                Ok(Some(as_of)) => {
                    self.first_seen.insert(dir, as_of);
                }
                Ok(None) => self.report.deferred.push(dir),
                Err(err) => self.report.failed.push((dir, err.to_string())),
            }
        }
        self.check_first_looks()?;
        self.report.first_seen = self.first_seen.len();
        self.finished.extend(self.first_seen.into_keys());
        let (finished, report) = (self.finished, self.report);
        let is_open = |dir: &Path| {
            report.deferred.iter().chain(report.failed.iter().map(|(dir, _)| dir)).any(|open| open == dir)
        };
        self.evidence.end(|dir| if is_whole { is_open(dir) } else { !finished.contains(dir) })?;
        Ok(report)
    }

    /// Forgets the first look at a repository that was pushed to at the same time: its capture is
    /// later than the look, and the refs may have been read before or after its change.
    fn check_first_looks(&mut self) -> Result<(), StateError> {
        if self.first_seen.is_empty() {
            return Ok(());
        }
        // If the processes cannot be listed, the next scan has the same problem and tells of it.
        let busy = in_flight::pushed_to().unwrap_or_default();
        self.evidence.refresh()?;
        let evidence = &self.evidence;
        let is_disturbed = |dir: &Path, as_of: time::Timestamp| {
            busy.contains(dir) || evidence.of(dir).iter().any(|entry| entry.time > as_of)
        };
        let disturbed: Vec<PathBuf> = self
            .first_seen
            .iter()
            .filter(|(dir, as_of)| is_disturbed(dir, **as_of))
            .map(|(dir, _)| dir.clone())
            .collect();
        for dir in disturbed {
            self.first_seen.remove(&dir);
            self.snapshots.remove(&RefSnapshots::name_of(&dir))?;
            self.report.deferred.push(dir);
        }
        Ok(())
    }
}
