//! The default branch of a repository, and whether an update is on it.

use std::{collections::HashSet, ops::ControlFlow};

use bstr::{BStr, BString, ByteSlice as _};

use super::{FactError, Facts, Repository, WalkLimit, repository::own_id};
use crate::push::{ObjectId, RefKind, RefName, Update};

impl Facts {
    /// Returns true if the updated ref is the default branch: the one that `HEAD` points to, or the
    /// first branch of an empty repository, which Gitea is about to point `HEAD` to.
    pub fn is_default_branch(&self) -> Result<bool, FactError> {
        let RefKind::Branch(branch) = self.update().ref_name().kind() else {
            return Ok(false);
        };
        match self.repository()?.default_branch()? {
            Some(default) if default == branch => Ok(true),
            Some(default) => self.is_first_branch(default),
            None => Ok(false),
        }
    }

    /// Returns true if the updated ref is the first branch that the push created, all branches of
    /// the repository are from this push, and the default branch is not one of them.
    fn is_first_branch(&self, default: &BStr) -> Result<bool, FactError> {
        let created = || {
            let is_created = |update: &&Update| update.old_id().is_none() && update.new_id().is_some();
            let updates = self.push.updates().iter().filter(is_created);
            updates.filter_map(|update| match update.ref_name().kind() {
                RefKind::Branch(branch) => Some(branch),
                RefKind::Tag(_) | RefKind::Other => None,
            })
        };
        let RefKind::Branch(own) = self.update().ref_name().kind() else { return Ok(false) };
        if created().next() != Some(own) {
            return Ok(false);
        }
        let created: HashSet<&BStr> = created().collect();
        let (mut is_there, mut has_others) = (false, false);
        self.repository()?.each_ref("refs/heads/", "failed to list the branches", &mut |branch| {
            if let Ok(branch) = branch {
                let name = branch.name.shorten();
                is_there |= name == own;
                has_others |= name == default || !created.contains(name);
            }
            Ok(if has_others { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(is_there && !has_others)
    }

    /// Returns true if the default branch contains the commit now. Returns `None` if the walk ended
    /// before it found out, or if there is no such branch.
    ///
    /// # Errors
    /// Returns an error if the history cannot be read, or if time is up.
    pub fn is_on_default_branch(&self, patience: WalkLimit) -> Result<Option<bool>, FactError> {
        if let Some(known) = self.on_default_branch.get() {
            return Ok(*known);
        }
        let repository = self.repository()?;
        let is_on_it = if self.is_default_branch()? {
            Some(true)
        } else {
            match (self.commit_id()?, repository.default_branch_tip()?) {
                (Some(commit), Some(tip)) => repository.is_ancestor(commit, tip, patience)?,
                _ => None,
            }
        };
        Ok(*self.on_default_branch.get_or_init(|| is_on_it))
    }
}

impl Repository {
    /// Returns the short name of the branch that `HEAD` points to, `None` if it does not point to a
    /// branch.
    pub fn default_branch(&self) -> Result<Option<&BStr>, FactError> {
        // Read only HEAD. The commit of the branch is not needed.
        let read = || {
            if self.layout.has_reftables {
                let head = self.head_in_reftables()?;
                return Ok(head.and_then(|name| name.strip_prefix(b"refs/heads/").map(BString::from)));
            }
            let head = self.layout.head().map_err(|err| self.noted(err))?;
            // Every repository has a HEAD. If it is missing, the repository is not mounted, was
            // moved, or is half deleted.
            let head =
                head.ok_or_else(|| self.noted(FactError::system("failed to read HEAD: it is missing")))?;
            let name = head.strip_prefix(b"ref:").map(<[u8]>::trim_ascii);
            if name.is_none() && gix::ObjectId::from_hex(head.trim_ascii()).is_err() {
                return Err(FactError::new("failed to read HEAD: it names neither a ref nor a commit"));
            }
            Ok(name.and_then(|name| name.strip_prefix(b"refs/heads/")).map(BString::from))
        };
        match self.default_branch.get_or_init(read) {
            Ok(branch) => Ok(branch.as_ref().map(|branch| branch.as_bstr())),
            Err(err) => Err(err.clone()),
        }
    }

    /// Returns the tip of the default branch, `None` if there is no such branch.
    pub(super) fn default_branch_tip(&self) -> Result<Option<ObjectId>, FactError> {
        let Some(branch) = self.default_branch()? else { return Ok(None) };
        let Some(name) = RefName::new(&[b"refs/heads/", branch.as_bytes()].concat()) else { return Ok(None) };
        let found = self.find_ref(name.as_bstr(), &format!("failed to read `{}`", name.to_text()))?;
        found.and_then(|tip| tip.target.try_id().map(own_id)).transpose()
    }
}
