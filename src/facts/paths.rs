//! The paths in which two commits differ.

use std::ops::ControlFlow;

use bstr::{BStr, BString, ByteSlice as _};
use gix::{
    diff::tree::{self, Recorder, Visit, visit},
    objs::TreeRefIter,
};

use super::{FactError, Repository};
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
        let old = base.map(|base| self.tree_of(base)).transpose()?.unwrap_or_default();
        let new = self.tree_of(commit)?;
        let kind = self.hash();
        let mut listed = Listed { recorder: Recorder::default(), found: ChangedPaths::default() };
        let outcome = gix::diff::tree(
            TreeRefIter::from_bytes(&old, kind),
            TreeRefIter::from_bytes(&new, kind),
            tree::State::default(),
            &self.objects,
            &mut listed,
        );
        match outcome {
            Err(err) if !listed.found.is_truncated => Err(FactError::new(format!(
                "failed to compare the trees of {commit}: {}",
                crate::text::line(err.to_string())
            ))),
            _ => Ok(listed.found),
        }
    }

    fn tree_of(&self, commit: ObjectId) -> Result<Vec<u8>, FactError> {
        let tree = self.commit(commit)?.tree;
        Ok(self.object(tree)?.data)
    }
}

/// Keeps the paths of files; the recorder does the bookkeeping of where the walk is.
struct Listed {
    recorder: Recorder,
    found: ChangedPaths,
}

impl Visit for Listed {
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
        if self.found.paths.len() == MAX_PATHS {
            self.found.is_truncated = true;
            return ControlFlow::Break(());
        }
        self.found.paths.push(self.recorder.path().as_bstr().to_owned());
        ControlFlow::Continue(())
    }
}
