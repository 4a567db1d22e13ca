//! The ref changes that are known already: from the captures in the inbox and from the log.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use bstr::ByteSlice as _;

use crate::{
    push::{PushId, RepositoryIdentity, UpdateSource},
    state::{
        State, StateError,
        inbox::Inbox,
        journal::{JournalEntry, Record},
        ref_log::{RefLogEntry, RefLogTail},
    },
    sys::time::Timestamp,
};

/// The known changes of all repositories since their snapshots.
pub(super) struct Evidence<'a> {
    state: &'a State,
    tail: RefLogTail,
    /// Names of the logs that were moved away.
    moved: Vec<String>,
    known: HashMap<PathBuf, Vec<RefLogEntry>>,
    seen: HashSet<PushId>,
    /// The names and IDs of repositories in the journal, and the base URLs of their Gitea.
    recorded: HashMap<PathBuf, (RepositoryIdentity, Option<String>)>,
    /// The markers in the outboxes that were read: repository, short name of the ref, commit.
    waiting: HashSet<[String; 3]>,
    /// Names of the outbox files that were read.
    outbox_files: HashSet<String>,
    /// The repositories that the logs mention which were moved away.
    logged: HashSet<PathBuf>,
}

impl<'a> Evidence<'a> {
    /// Moves the log away and reads it.
    pub fn begin(state: &'a State, now: Timestamp) -> Result<Self, StateError> {
        let log = state.ref_log();
        log.move_away(now)?;
        let mut evidence = Self {
            state,
            tail: log.tail(),
            moved: log.moved()?,
            known: HashMap::new(),
            seen: HashSet::new(),
            recorded: HashMap::new(),
            waiting: HashSet::new(),
            outbox_files: HashSet::new(),
            logged: HashSet::new(),
        };
        for name in evidence.moved.clone() {
            log.each(&name, |entry| {
                evidence.logged.insert(entry.git_dir.as_path().into());
                evidence.add(entry);
            })?;
        }
        Ok(evidence)
    }

    fn add(&mut self, entry: RefLogEntry) {
        if self.seen.insert(entry.push) {
            self.known.entry(entry.git_dir.as_path().into()).or_default().push(entry);
        }
    }

    /// Adds what was captured or logged since. The inbox comes first: a capture is logged before it
    /// leaves the inbox.
    pub fn refresh(&mut self) -> Result<(), StateError> {
        let inbox = self.state.inbox();
        for name in inbox.list()? {
            let Some(push) = Inbox::push_of(&name).filter(|push| !self.seen.contains(push)) else { continue };
            if let Some(entry) = captured(&inbox, &name, push) {
                self.add(entry);
            }
        }
        let mut new = Vec::new();
        self.tail.each_new(|entry| new.push(entry))?;
        new.into_iter().for_each(|entry| self.add(entry));
        Ok(())
    }

    /// Returns the changes of a repository.
    pub fn of(&self, dir: &Path) -> &[RefLogEntry] {
        self.known.get(dir).map_or(&[], Vec::as_slice)
    }

    /// Returns true if a hook logged a change of this repository since the last scan.
    pub fn is_logged(&self, dir: &Path) -> bool {
        self.logged.contains(dir)
    }

    /// Returns true if a marker of this ref at this commit waits in an outbox, made of a push after
    /// `since`. A power cut can lose the log's entry of such a push, but not its markers.
    pub fn has_waiting_marker(&mut self, marked: &[String; 3], since: Timestamp) -> Result<bool, StateError> {
        for destination in self.state.outboxes()? {
            let outbox = self.state.outbox(&destination);
            for name in outbox.list()? {
                let is_new = name.newest_push().and_then(PushId::time).is_some_and(|time| time > since);
                if is_new && self.outbox_files.insert(name.to_string()) {
                    // A file that a delivery has removed meanwhile is in the log.
                    self.waiting.extend(outbox.intact_markers(&name).into_iter().filter_map(|marker| {
                        let repository = marker.source.full_name()?.to_lowercase();
                        Some([repository, marker.source.ref_name?, marker.source.commit?])
                    }));
                }
            }
        }
        Ok(self.waiting.contains(marked))
    }

    /// Moves the changes of a repository to its new directory.
    pub fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(mut entries) = self.known.remove(from) {
            entries.extend(self.known.remove(to).unwrap_or_default());
            self.known.insert(to.into(), entries);
        }
    }

    /// Returns the newest name and ID of a repository, and the base URL of its Gitea.
    pub fn identity(&self, dir: &Path) -> Option<(RepositoryIdentity, Option<String>)> {
        match self.of(dir).iter().rev().find(|entry| entry.repository.id.is_some()) {
            Some(last) => Some((last.repository.clone(), last.root_url.clone())),
            None => self.recorded.get(dir).cloned(),
        }
    }

    /// Reads the names and IDs of all repositories from the journal, for the first scan: what was
    /// pushed before is not in the log. Without a readable journal, the directory has to name a
    /// repository until its next push.
    pub fn read_journal(&mut self) {
        let _ = self.state.journal().each_line("", |_, line| {
            if line.contains_str("\"record\":\"push\"")
                && let Some(JournalEntry { record: Record::Push(push), .. }) = JournalEntry::read(line)
                && let Some(git_dir) = push.git_dir.as_deref().cloned()
            {
                let path = git_dir.as_path().to_path_buf();
                let source = push.source(git_dir);
                if source.repository.id.is_some() {
                    self.recorded.insert(path, (source.repository, source.root_url));
                }
            }
            Ok(())
        });
    }

    /// Removes the logs that were moved away, but keeps the changes of the repositories for which
    /// `is_left` returns true, because they were not scanned.
    pub fn end(self, is_left: impl Fn(&Path) -> bool) -> Result<(), StateError> {
        let left = self.known.iter().filter(|(dir, _)| is_left(dir));
        let kept: Vec<&RefLogEntry> = left.flat_map(|(_, entries)| entries).collect();
        self.state.ref_log().replace_moved(&self.moved, &kept)
    }
}

/// Reads the changes of a capture. One that cannot be read proves nothing: its push is lost unless
/// the scan finds it.
fn captured(inbox: &Inbox, name: &str, push: PushId) -> Option<RefLogEntry> {
    let captured = inbox.peek(name).ok()?;
    let source = captured.push.source();
    if !matches!(source.found_by, UpdateSource::Push | UpdateSource::Scan) {
        return None;
    }
    Some(RefLogEntry {
        push,
        time: captured.push.time(),
        git_dir: source.git_dir.clone(),
        repository: source.repository.clone(),
        root_url: source.root_url.clone(),
        updates: captured.push.updates().to_vec(),
    })
}
