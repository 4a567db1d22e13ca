//! Lists the paths in which two commits differ.

use bstr::BString;

use super::{
    Commit, FactError, Repository,
    repository::gix_id,
    trees::{ChangedFile, PathVisitor, VisitResult},
};
use crate::{
    glob::{Globs, Matcher, Position},
    push::ObjectId,
};

/// Maximum number of changed paths in a list. A longer list is marked as truncated.
pub const MAX_PATHS: usize = 10_000;
/// Maximum total length of the listed paths, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// The paths in which two commits differ. Renames are not detected: a moved file is two paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedPaths {
    /// The paths, in tree order.
    pub paths: Vec<ChangedPath>,
    /// True if paths may be missing, because the list is full or not all trees could be read.
    pub is_truncated: bool,
}

/// A path in which two commits differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedPath {
    /// The path, as bytes.
    pub path: BString,
    /// True if it is or was a submodule or a symbolic link. Everything below it may have changed.
    pub may_be_directory: bool,
}

impl Repository {
    /// Compares the trees of two commits. Without a `base`, everything in `commit` is a change.
    pub(super) fn changed_paths(
        &self,
        base: Option<ObjectId>,
        commit: ObjectId,
    ) -> Result<ChangedPaths, FactError> {
        let mut list = List { paths: Vec::new(), bytes: 0, work: 0, is_full: false };
        let is_truncated = self.compare_trees(self.trees(base, commit)?, (), &mut list)?;
        Ok(ChangedPaths { paths: list.paths, is_truncated: is_truncated || list.is_full })
    }

    /// Returns true if a commit differs from its first parent in a path that one of `globs`
    /// matches. If the parent is missing in a shallow clone, everything in the commit is a change.
    pub(super) fn touches(
        &self,
        commit: &Commit,
        globs: &Globs,
        is_shallow: bool,
    ) -> Result<bool, FactError> {
        let mut base = commit.parents.first().copied();
        if is_shallow && base.is_some_and(|parent| self.commit(parent).is_err()) {
            base = None;
        }
        self.differ(base, commit.id, globs)
    }

    /// Returns true if two commits differ in a path that one of `globs` matches. Without a `base`,
    /// everything in `commit` is a change.
    ///
    /// If the trees are too large to compare, the answer is true, because a superfluous marker is
    /// better than a lost one.
    pub(super) fn differ(
        &self,
        base: Option<ObjectId>,
        commit: ObjectId,
        globs: &Globs,
    ) -> Result<bool, FactError> {
        let mut matcher = globs.matcher();
        matcher.begin();
        let root = matcher.position().clone();
        let mut search = Search { matcher, is_found: false };
        let is_truncated = self.compare_trees(self.trees(base, commit)?, root, &mut search)?;
        Ok(search.is_found || is_truncated)
    }

    fn trees(
        &self,
        base: Option<ObjectId>,
        commit: ObjectId,
    ) -> Result<(Option<gix::ObjectId>, Option<gix::ObjectId>), FactError> {
        let tree = |commit: ObjectId| Ok(gix_id(self.commit(commit)?.tree));
        Ok((base.map(tree).transpose()?, Some(tree(commit)?)))
    }
}

/// Collects every path.
struct List {
    paths: Vec<ChangedPath>,
    bytes: usize,
    work: u64,
    is_full: bool,
}

impl PathVisitor for List {
    type At = ();

    fn enter(&mut self, (): &(), _name: &[u8]) -> Option<()> {
        Some(())
    }

    fn look(&mut self, (): &(), _name: &[u8], file: ChangedFile<'_>) -> VisitResult {
        let ChangedFile { path, may_be_directory } = file;
        if self.paths.len() == MAX_PATHS || self.bytes + path.len() > MAX_BYTES {
            self.is_full = true;
            return VisitResult::Enough;
        }
        self.bytes += path.len();
        self.work += 1 + path.len() as u64 / 16;
        self.paths.push(ChangedPath { path: path.into(), may_be_directory });
        VisitResult::Noted
    }

    fn work(&mut self) -> u64 {
        std::mem::take(&mut self.work)
    }

    fn size((): &()) -> usize {
        0
    }
}

/// Searches for a path that matches.
struct Search<'g> {
    matcher: Matcher<'g>,
    is_found: bool,
}

impl PathVisitor for Search<'_> {
    type At = Position;

    fn enter(&mut self, at: &Position, name: &[u8]) -> Option<Position> {
        self.matcher.go_to(at);
        (self.matcher.goes_on(name) && self.matcher.goes_on(b"/")).then(|| self.matcher.position().clone())
    }

    fn look(&mut self, at: &Position, name: &[u8], file: ChangedFile<'_>) -> VisitResult {
        self.matcher.go_to(at);
        self.is_found = self.matcher.goes_on(name)
            && (self.matcher.is_at_end() || file.may_be_directory && self.matcher.goes_on(b"/"));
        if self.is_found { VisitResult::Enough } else { VisitResult::Nothing }
    }

    fn work(&mut self) -> u64 {
        self.matcher.work()
    }

    fn size(at: &Position) -> usize {
        at.size()
    }
}
