//! Compares two trees as `git diff-tree -r --no-renames` does, within bounds.
//!
//! A few small trees can name 2^100 paths, because each level can contain the same tree under
//! several names. The walk therefore spends the repository's allowance, holds a bounded number of
//! bytes, and does not enter the same pair of trees again if it found nothing of interest there. If
//! it has to skip anything, the comparison is truncated.

use std::{cmp::Ordering, collections::HashSet, hash::Hash};

use bstr::ByteSlice as _;

use super::{
    FactError, Repository,
    repository::{Unread, spent_on},
};
use crate::work::Spent;

/// Maximum size of the trees on the current path, in bytes.
const MAX_HELD: usize = 64 << 20;
/// Maximum size of the set of pairs without anything of interest, in bytes.
const MAX_REMEMBERED: usize = 32 << 20;
/// Cost of an entry, in units of work, in addition to the cost of processing it.
const ENTRY: u64 = 2;

/// The criterion of a comparison.
pub(super) trait PathVisitor {
    /// State that depends on a directory's path. Two directories with equal states and equal trees
    /// give the same result.
    type At: Clone + Eq + Hash;

    /// Enters a directory. Returns `None` if nothing in it can be of interest.
    fn enter(&mut self, at: &Self::At, name: &[u8]) -> Option<Self::At>;

    /// Processes a file that was changed, added or removed. Symbolic links and submodules are
    /// files.
    fn look(&mut self, at: &Self::At, name: &[u8], file: ChangedFile<'_>) -> VisitResult;

    /// Returns the units of work since the last call.
    fn work(&mut self) -> u64;

    /// Returns the heap size of the state, in bytes.
    fn size(at: &Self::At) -> usize;
}

/// A file that was changed, added or removed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChangedFile<'f> {
    pub path: &'f [u8],
    /// True if it is or was a submodule or a symbolic link. Files that the tree does not list may
    /// have changed below it.
    pub may_be_directory: bool,
}

/// Result of processing a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VisitResult {
    /// Not of interest here, nor in any directory with an equal state.
    Nothing,
    /// Recorded.
    Noted,
    /// Found enough. The walk can stop.
    Enough,
}

/// Ids of the old and the new tree, `None` if there is none.
type Pair = (Option<gix::ObjectId>, Option<gix::ObjectId>);

/// A directory that is being compared.
struct ComparedDir<A> {
    old: Tree,
    new: Tree,
    pair: Pair,
    /// Length of its path, with the slash.
    path: usize,
    at: A,
    /// True if anything below was recorded or skipped.
    is_of_interest: bool,
}

/// A tree, and the offset of its next entry.
#[derive(Default)]
struct Tree {
    data: Vec<u8>,
    next: usize,
}

/// An entry of a tree.
#[derive(Clone, Copy)]
struct TreeEntry<'t> {
    mode: u32,
    name: &'t [u8],
    id: &'t [u8],
    /// Offset of the next entry.
    end: usize,
}

impl Repository {
    /// Compares two trees. Returns true if something of interest may have been skipped.
    pub(super) fn compare_trees<I: PathVisitor>(
        &self,
        pair: Pair,
        at: I::At,
        interest: &mut I,
    ) -> Result<bool, FactError> {
        let mut walk = TreeWalk {
            repository: self,
            interest,
            levels: Vec::new(),
            path: Vec::new(),
            held: 0,
            dull: HashSet::new(),
            remembered: 0,
            is_truncated: false,
        };
        if pair.0 == pair.1 {
            return Ok(false);
        }
        match walk.enter(pair, at, 0).and_then(|()| walk.run()) {
            Ok(()) => Ok(walk.is_truncated),
            Err(TreeWalkError::Spent(Spent::Work)) => Ok(true),
            Err(TreeWalkError::Spent(spent)) => Err(spent_on(spent, "comparing trees")),
            Err(TreeWalkError::Failed(err)) => Err(err),
        }
    }
}

/// Reason for the early end of a walk.
enum TreeWalkError {
    Spent(Spent),
    Failed(FactError),
}

impl From<Spent> for TreeWalkError {
    fn from(spent: Spent) -> Self {
        Self::Spent(spent)
    }
}

struct TreeWalk<'w, I: PathVisitor> {
    repository: &'w Repository,
    interest: &'w mut I,
    levels: Vec<ComparedDir<I::At>>,
    path: Vec<u8>,
    /// Total size of the trees of all levels, in bytes.
    held: usize,
    /// Pairs without anything of interest.
    dull: HashSet<(Pair, I::At)>,
    /// Size of `dull`, in bytes.
    remembered: usize,
    is_truncated: bool,
}

impl<I: PathVisitor> TreeWalk<'_, I> {
    fn run(&mut self) -> Result<(), TreeWalkError> {
        let length = self.repository.hash().len_in_bytes();
        while let Some(level) = self.levels.last_mut() {
            let broken = |_: Malformed| {
                TreeWalkError::Failed(FactError::new("failed to compare trees: an entry is malformed"))
            };
            let old = entry(&level.old.data, level.old.next, length).map_err(broken)?;
            let new = entry(&level.new.data, level.new.next, length).map_err(broken)?;
            let order = match (&old, &new) {
                (None, None) => {
                    self.leave();
                    continue;
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.in_order(new),
            };
            let old = old.filter(|_| order != Ordering::Greater);
            let new = new.filter(|_| order != Ordering::Less);
            level.old.next = old.map_or(level.old.next, |entry| entry.end);
            level.new.next = new.map_or(level.new.next, |entry| entry.end);
            let Some(entry) = new.or(old) else { continue };
            let is_same = |old: &TreeEntry<'_>, new: &TreeEntry<'_>| old.id == new.id && old.mode == new.mode;
            if let (Some(old), Some(new)) = (&old, &new)
                && is_same(old, new)
            {
                self.repository.spend(ENTRY)?;
                continue;
            }
            self.repository.spend(ENTRY + self.interest.work())?;
            self.path.truncate(level.path);
            self.path.extend_from_slice(entry.name);
            if entry.is_tree() {
                if let Some(at) = self.interest.enter(&level.at, entry.name) {
                    let id = |entry: TreeEntry<'_>| gix::ObjectId::from_bytes_or_panic(entry.id);
                    let pair = (old.map(id), new.map(id));
                    self.path.push(b'/');
                    let path = self.path.len();
                    self.enter(pair, at, path)?;
                }
                continue;
            }
            let is_or_was_link = [&old, &new].into_iter().flatten().any(TreeEntry::is_link);
            let file = ChangedFile { path: &self.path, may_be_directory: is_or_was_link };
            match self.interest.look(&level.at, entry.name, file) {
                VisitResult::Nothing => {}
                VisitResult::Noted => level.is_of_interest = true,
                VisitResult::Enough => return Ok(()),
            }
        }
        Ok(())
    }

    fn enter(&mut self, pair: Pair, at: I::At, path: usize) -> Result<(), TreeWalkError> {
        let key = (pair, at);
        if self.dull.contains(&key) {
            return Ok(());
        }
        let (pair, at) = key;
        let (Some(old), Some(new)) = (self.tree(pair.0)?, self.tree(pair.1)?) else {
            self.pass_over();
            return Ok(());
        };
        let level = ComparedDir { old, new, pair, path, at, is_of_interest: false };
        if self.held + level.bytes::<I>() > MAX_HELD {
            self.pass_over();
            return Ok(());
        }
        self.held += level.bytes::<I>();
        self.levels.push(level);
        Ok(())
    }

    fn leave(&mut self) {
        let Some(level) = self.levels.pop() else { return };
        self.held -= level.bytes::<I>();
        if level.is_of_interest {
            if let Some(above) = self.levels.last_mut() {
                above.is_of_interest = true;
            }
            return;
        }
        let bytes = 2 * size_of::<(Pair, I::At)>() + I::size(&level.at);
        if self.remembered + bytes <= MAX_REMEMBERED {
            self.remembered += bytes;
            self.dull.insert((level.pair, level.at));
        }
    }

    /// Records that a directory was skipped.
    fn pass_over(&mut self) {
        self.is_truncated = true;
        if let Some(level) = self.levels.last_mut() {
            level.is_of_interest = true;
        }
    }

    /// Reads a tree. Returns `None` if it exceeds the size limit for objects.
    fn tree(&self, id: Option<gix::ObjectId>) -> Result<Option<Tree>, TreeWalkError> {
        let Some(id) = id else { return Ok(Some(Tree::default())) };
        let failed =
            |why: String| TreeWalkError::Failed(FactError::new(format!("failed to compare trees: {why}")));
        match self.repository.read(&id) {
            Ok(object) if object.kind == gix::objs::Kind::Tree => {
                Ok(Some(Tree { data: object.data, next: 0 }))
            }
            Ok(object) => Err(failed(format!("object {id} is a {}, not a tree", object.kind))),
            Err(Unread::TooLarge) => Ok(None),
            Err(Unread::Spent(spent)) => Err(spent.into()),
            Err(Unread::Failed(err)) => Err(TreeWalkError::Failed(err.in_context("failed to compare trees"))),
        }
    }
}

impl<A> ComparedDir<A> {
    fn bytes<I: PathVisitor<At = A>>(&self) -> usize {
        size_of::<Self>() + self.old.data.capacity() + self.new.data.capacity() + I::size(&self.at)
    }
}

impl TreeEntry<'_> {
    fn is_tree(&self) -> bool {
        self.mode == 0o40_000
    }

    /// Returns true for a submodule and a symbolic link.
    fn is_link(&self) -> bool {
        matches!(self.mode, 0o160_000 | 0o120_000)
    }

    /// Compares two entries in git's order, which sorts directories as if their names ended in a
    /// slash.
    fn in_order(&self, other: &Self) -> Ordering {
        let length = self.name.len().min(other.name.len());
        let end =
            |entry: &Self| entry.name.get(length).copied().unwrap_or(if entry.is_tree() { b'/' } else { 0 });
        self.name[..length].cmp(&other.name[..length]).then_with(|| end(self).cmp(&end(other)))
    }
}

/// An entry of a tree that git could not have written.
#[derive(Debug)]
struct Malformed;

/// Parses the entry of a tree at offset `at`. Returns `None` after the last entry.
///
/// # Errors
/// If the entry is malformed.
fn entry(tree: &[u8], at: usize, length: usize) -> Result<Option<TreeEntry<'_>>, Malformed> {
    let rest = &tree[at..];
    if rest.is_empty() {
        return Ok(None);
    }
    let space =
        rest.iter().take(8).position(|byte| *byte == b' ').filter(|space| *space > 0).ok_or(Malformed)?;
    let mut mode = 0;
    for digit in &rest[..space] {
        if !(b'0'..=b'7').contains(digit) {
            return Err(Malformed);
        }
        mode = mode << 3 | u32::from(digit - b'0');
    }
    let name = &rest[space + 1..];
    let name = &name[..name.find_byte(0).ok_or(Malformed)?];
    let id = space + 1 + name.len() + 1;
    let id_bytes = rest.get(id..id + length).ok_or(Malformed)?;
    if name.is_empty() {
        return Err(Malformed);
    }
    Ok(Some(TreeEntry { mode: canonical(mode), name, id: id_bytes, end: at + id + length }))
}

/// Returns the mode as git interprets it. Git knows five modes and treats any other as a submodule.
fn canonical(mode: u32) -> u32 {
    match mode & 0o170_000 {
        0o100_000 if mode & 0o100 != 0 => 0o100_755,
        0o100_000 => 0o100_644,
        kind @ (0o120_000 | 0o040_000) => kind,
        _ => 0o160_000,
    }
}

/// Finds an entry of a tree by name.
pub(super) fn find<'t>(tree: &'t [u8], name: &[u8], length: usize) -> Option<(u32, &'t [u8])> {
    let mut at = 0;
    while let Ok(Some(found)) = entry(tree, at, length) {
        if found.name == name {
            return Some((found.mode, found.id));
        }
        at = found.end;
    }
    None
}
