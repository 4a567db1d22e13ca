//! The paths in which two commits differ.

use std::ops::ControlFlow;

use bstr::{BStr, BString};
use gix::{
    diff::tree::{self, Recorder, Visit, visit},
    objs::TreeRefIter,
};

use super::{Commit, FactError, Repository};
use crate::push::ObjectId;

/// How many changed paths are listed; beyond it the list says that it was cut.
pub const MAX_PATHS: usize = 10_000;

/// The paths in which two commits differ, without renames: a moved file is two paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedPaths {
    /// The paths, as bytes, in the order of the trees.
    pub paths: Vec<BString>,
    /// Whether there are more than [`MAX_PATHS`].
    pub is_truncated: bool,
}

impl Repository {
    /// Compares the trees of two commits; without a `base`, everything in `commit` is a change.
    pub(super) fn changed_paths(
        &self,
        base: Option<ObjectId>,
        commit: ObjectId,
    ) -> Result<ChangedPaths, FactError> {
        let mut found = ChangedPaths::default();
        self.compare(base, commit, |path| {
            if found.paths.len() == MAX_PATHS {
                found.is_truncated = true;
                return ControlFlow::Break(());
            }
            found.paths.push(path.to_owned());
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Returns whether a commit differs from its first parent in a path that one of `globs` matches. In a shallow clone
    /// a parent may be missing; everything in the commit is a change then.
    pub(super) fn touches(
        &self,
        commit: &Commit,
        globs: &[String],
        is_shallow: bool,
    ) -> Result<bool, FactError> {
        let mut base = commit.parents.first().copied();
        if is_shallow && base.is_some_and(|parent| self.commit(parent).is_err()) {
            base = None;
        }
        self.differ(base, commit.id, globs)
    }

    /// Returns whether two commits differ in a path that one of `globs` matches; without a `base`, everything in `commit` is a change.
    pub(super) fn differ(
        &self,
        base: Option<ObjectId>,
        commit: ObjectId,
        globs: &[String],
    ) -> Result<bool, FactError> {
        let mut is_touched = false;
        self.compare(base, commit, |path| {
            is_touched = globs.iter().any(|glob| {
                gix_glob::wildmatch(
                    glob.as_str().into(),
                    path,
                    gix_glob::wildmatch::Mode::NO_MATCH_SLASH_LITERAL,
                )
            });
            if is_touched { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(is_touched)
    }

    /// Tells `each` path in which two commits differ, until it has heard enough.
    fn compare(
        &self,
        base: Option<ObjectId>,
        commit: ObjectId,
        each: impl FnMut(&BStr) -> ControlFlow<()>,
    ) -> Result<(), FactError> {
        let old = base.map(|base| self.tree_of(base)).transpose()?.unwrap_or_default();
        let new = self.tree_of(commit)?;
        let kind = self.hash();
        let mut told = Told { recorder: Recorder::default(), each, is_over: false };
        let outcome = gix::diff::tree(
            TreeRefIter::from_bytes(&old, kind),
            TreeRefIter::from_bytes(&new, kind),
            tree::State::default(),
            &self.objects,
            &mut told,
        );
        match outcome {
            Err(err) if !told.is_over => Err(FactError::new(format!(
                "failed to compare the trees of {commit}: {}",
                crate::text::line(err.to_string())
            ))),
            _ => Ok(()),
        }
    }

    fn tree_of(&self, commit: ObjectId) -> Result<Vec<u8>, FactError> {
        let tree = self.commit(commit)?.tree;
        Ok(self.object(tree)?.data)
    }
}

/// Hands on the paths of files; the recorder does the bookkeeping of where the walk is.
struct Told<F> {
    recorder: Recorder,
    each: F,
    is_over: bool,
}

impl<F: FnMut(&BStr) -> ControlFlow<()>> Visit for Told<F> {
    fn pop_front_tracked_path_and_set_current(&mut self) {
        self.recorder.pop_front_tracked_path_and_set_current();
    }

    fn push_back_tracked_path_component(&mut self, component: &BStr) {
        self.recorder.push_back_tracked_path_component(component);
    }

    fn push_path_component(&mut self, component: &BStr) {
        self.recorder.push_path_component(component);
    }

    fn pop_path_component(&mut self) {
        self.recorder.pop_path_component();
    }

    fn visit(&mut self, change: visit::Change) -> visit::Action {
        // A changed directory is reported beside each of its files.
        if change.entry_mode().is_tree() {
            return ControlFlow::Continue(());
        }
        let said = (self.each)(self.recorder.path());
        self.is_over = said.is_break();
        match said {
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
            ControlFlow::Break(()) => ControlFlow::Break(()),
        }
    }
}
