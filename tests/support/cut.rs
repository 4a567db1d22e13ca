//! Generates the disk states that POSIX allows after a power cut. `tests/faulty/main.rs` records
//! the order in which processes wrote, renamed and synchronised files.
//!
//! The content of a file without fsync may be missing, cut off, zero-filled or complete. A
//! directory entry without fsync may exist or not. [`Order::Journaled`] applies the changes in
//! order, as a journaling file system does, and [`Order::Any`] applies each one independently. A
//! rename is either complete or not done.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use fastrand::Rng;
use serde::Deserialize;

/// Content of the state directory by path: the inode, and the content in hexadecimal for files.
pub type Tree = BTreeMap<String, (u64, Option<String>)>;

/// One step of a process, and the state just before it.
#[derive(Deserialize)]
pub struct Recorded {
    pub step: String,
    /// Path relative to the state directory if it is inside, otherwise the full path.
    pub path: String,
    pub thread: String,
    pub tree: Tree,
}

/// A change to a directory entry.
#[derive(Clone, Debug)]
enum Change {
    Create { path: String, inode: u64, is_dir: bool },
    Rename { from: String, to: String, inode: u64 },
    Remove { path: String },
}

impl Change {
    fn paths(&self) -> Vec<&str> {
        match self {
            Self::Create { path, .. } | Self::Remove { path } => vec![path],
            Self::Rename { from, to, .. } => vec![from, to],
        }
    }

    fn is_in(&self, dir: &str) -> bool {
        self.paths().into_iter().any(|path| parent(path) == dir)
    }
}

/// The recorded steps of several processes that ran one after the other.
#[derive(Default)]
pub struct Log {
    /// All steps. A moment is the number of steps that have started.
    steps: Vec<Recorded>,
    /// Changes to directory entries, each with the first moment at which it may be on disk.
    changes: Vec<(usize, Change)>,
    /// Contents of each file by inode, each with the first moment at which it may be on disk.
    contents: BTreeMap<u64, Vec<(usize, Vec<u8>)>>,
    /// Synchronisations: the moment at which one started, and the first moment at which it is
    /// complete.
    synced: Vec<(usize, usize)>,
    last: Tree,
}

/// The order in which directory entries reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The order in which they changed.
    Journaled,
    /// Any order.
    Any,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits"))
        .collect()
}

impl Log {
    /// Adds the steps of a process that has exited, and the final state.
    pub fn add(&mut self, mut steps: Vec<Recorded>, end: Tree) {
        steps.push(Recorded { step: "End".into(), path: String::new(), thread: String::new(), tree: end });
        let from = self.steps.len();
        for step in steps {
            self.see(&step.tree);
            self.steps.push(step);
        }
        let end = self.steps.len();
        for nth in from..end {
            if self.steps[nth].step.starts_with("Sync") {
                let is_next = |later: &usize| self.steps[*later].thread == self.steps[nth].thread;
                self.synced.push((nth, (nth + 1..end).find(is_next).unwrap_or(end - 1)));
            }
        }
    }

    /// Records the changes that happened before the next step.
    fn see(&mut self, after: &Tree) {
        let moment = self.steps.len();
        let before = std::mem::replace(&mut self.last, after.clone());
        let path_of =
            |tree: &Tree, inode| tree.iter().find(|(_, it)| it.0 == inode).map(|(path, _)| path.clone());
        let mut gone: BTreeSet<&String> = before.keys().filter(|path| !after.contains_key(*path)).collect();
        for (path, (inode, content)) in after {
            if before.get(path).is_none_or(|it| it.0 != *inode) {
                let change = match path_of(&before, *inode).filter(|from| !after.contains_key(from)) {
                    Some(from) => {
                        gone.remove(&from);
                        Change::Rename { from, to: path.clone(), inode: *inode }
                    }
                    None => Change::Create { path: path.clone(), inode: *inode, is_dir: content.is_none() },
                };
                self.changes.push((moment, change));
            }
            if let Some(content) = content {
                let versions = self.contents.entry(*inode).or_default();
                let content = bytes(content);
                if versions.last().is_none_or(|(_, last)| *last != content) {
                    versions.push((moment, content));
                }
            }
        }
        for path in gone {
            self.changes.push((moment, Change::Remove { path: path.clone() }));
        }
    }

    /// Returns the number of moments.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Returns the indices of the requests that were answered before a moment.
    pub fn answered(&self, moment: usize) -> Vec<usize> {
        let mut sent = 0;
        let mut answered = Vec::new();
        for step in &self.steps[..moment] {
            sent += usize::from(step.step == "Send");
            // This step starts after the answer has arrived.
            answered.extend((step.step == "Acknowledge").then(|| sent - 1));
        }
        answered
    }

    /// Lists the last steps before a moment, for failure messages.
    pub fn describe(&self, moment: usize) -> String {
        let from = moment.saturating_sub(12);
        let steps = self.steps[from..=moment].iter().map(|step| format!("{} {}\n", step.step, step.path));
        steps.collect()
    }

    /// Writes to `dir` a random state that a power cut at this moment may leave.
    pub fn cut(&self, moment: usize, order: Order, rng: &mut Rng, dir: &Path) {
        let known: Vec<&Change> =
            self.changes.iter().filter(|(at, _)| *at <= moment).map(|(_, change)| change).collect();
        let is_applied = self.applied(moment, order, &known, rng);
        let mut names: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
        for (change, _) in known.iter().zip(&is_applied).filter(|(_, is_applied)| **is_applied) {
            match change {
                Change::Create { path, inode, is_dir } => drop(names.insert(path, (*inode, *is_dir))),
                Change::Rename { from, to, inode } => {
                    names.remove(&**from);
                    names.insert(to, (*inode, false));
                }
                Change::Remove { path } => drop(names.remove(&**path)),
            }
        }
        fs::create_dir(dir).expect("a directory");
        for (path, (inode, is_dir)) in names {
            let place: PathBuf = dir.join(path);
            if is_dir {
                fs::create_dir(place).expect("a directory");
            } else {
                fs::write(place, self.content(moment, inode, rng)).expect("a file");
            }
        }
    }

    /// Returns for each change whether it is on disk.
    fn applied(&self, moment: usize, order: Order, known: &[&Change], rng: &mut Rng) -> Vec<bool> {
        let mut is_durable = vec![false; known.len()];
        let done = self.synced.iter().filter(|(_, done)| *done <= moment);
        for (began, _) in done.filter(|(began, _)| self.steps[*began].step == "SyncDir") {
            let dir = &self.steps[*began].path;
            for (nth, change) in known.iter().enumerate() {
                is_durable[nth] |= self.changes[nth].0 <= *began && change.is_in(dir);
            }
        }
        if order == Order::Journaled {
            let least = is_durable.iter().rposition(|is_durable| *is_durable).map_or(0, |nth| nth + 1);
            let until = rng.usize(least..=known.len());
            return (0..known.len()).map(|nth| nth < until).collect();
        }
        // A change depends on earlier changes of the same paths and of its directory.
        let needs = |nth: usize| {
            let paths = known[nth].paths();
            let is_needed = move |change: &Change| {
                change
                    .paths()
                    .into_iter()
                    .any(|path| paths.iter().any(|it| *it == path || parent(it) == path))
            };
            (0..nth).filter(move |before| is_needed(known[*before]))
        };
        for nth in (0..known.len()).rev() {
            if is_durable[nth] {
                for before in needs(nth).collect::<Vec<_>>() {
                    is_durable[before] = true;
                }
            }
        }
        let mut is_applied = is_durable.clone();
        let likely = rng.f64();
        for nth in 0..known.len() {
            is_applied[nth] |= rng.f64() < likely && needs(nth).all(|before| is_applied[before]);
        }
        is_applied
    }

    /// Returns a possible content of a file after the power cut.
    fn content(&self, moment: usize, inode: u64, rng: &mut Rng) -> Vec<u8> {
        let versions = &self.contents[&inode];
        let at = |moment: usize| versions.iter().rfind(|(at, _)| *at <= moment).map_or(&[][..], |(_, it)| it);
        let latest = at(moment);
        let done = self.synced.iter().filter(|(_, done)| *done <= moment);
        let durable = done
            .filter(|(began, _)| {
                let step = &self.steps[*began];
                step.step == "Sync" && self.inode_at(&step.path, *began) == Some(inode)
            })
            .map(|(began, _)| at(*began))
            .next_back()
            .unwrap_or_default();
        let len = if latest.starts_with(durable) { durable.len() } else { 0 };
        if len == latest.len() {
            return latest.to_vec();
        }
        let cut = rng.usize(len..latest.len());
        match rng.u8(..4) {
            0 => latest[..len].to_vec(),
            1 => latest[..cut].to_vec(),
            2 => [&latest[..cut], &vec![0; latest.len() - cut]].concat(),
            _ => latest.to_vec(),
        }
    }

    /// Returns the inode that a path had at a moment.
    fn inode_at(&self, path: &str, moment: usize) -> Option<u64> {
        let mut inode = None;
        for (_, change) in self.changes.iter().filter(|(at, _)| *at <= moment) {
            match change {
                Change::Create { path: created, inode: it, .. } if created == path => inode = Some(*it),
                Change::Rename { to, inode: it, .. } if to == path => inode = Some(*it),
                Change::Rename { from: path_gone, .. } | Change::Remove { path: path_gone }
                    if path_gone == path =>
                {
                    inode = None;
                }
                _ => {}
            }
        }
        inode
    }
}
