//! Resolves the names and abbreviated ids that people use for commits, and finds the tags of a
//! commit.

use std::ops::ControlFlow;

use bstr::ByteSlice as _;

use super::{FactError, MAX_VISITED, Repository, WalkLimit, repository::own_id};
use crate::push::{self, ObjectId, RefName};

/// Maximum length of a chain of symbolic refs.
const MAX_NAMES: usize = 5;

impl Repository {
    /// Resolves a ref, a branch, a tag, or a full or abbreviated commit id. Returns the ref, if it
    /// is one, and its object. `HEAD` resolves to its branch.
    ///
    /// # Errors
    /// Returns an error if nothing has that name, or if it cannot be read.
    pub fn resolve(&self, rev: &str) -> Result<(Option<RefName>, ObjectId), FactError> {
        let shown = crate::text::line(rev);
        let mut name = rev.as_bytes().to_vec();
        for _ in 0..MAX_NAMES {
            let what = format!("failed to look for `{shown}`");
            let Some(found) = self.find_ref(name.as_bstr(), &what)? else { break };
            if let Some(id) = found.target.try_id() {
                return Ok((RefName::new(found.name.as_bstr()), own_id(id)?));
            }
            let Some(next) = found.target.try_name() else { break };
            name = next.as_bstr().to_vec();
        }
        if let Some(commit) = self.commit_of(rev)? {
            return Ok((None, commit));
        }
        Err(FactError::new(if rev == "HEAD" {
            "HEAD does not point to a commit; its branch has no commits yet".to_string()
        } else {
            format!("`{shown}` is not a branch, a tag or a unique prefix of a commit id")
        }))
    }

    /// Returns the commit whose id starts with these digits, following annotated tags. Returns
    /// `None` if there is none, or more than one.
    ///
    /// # Errors
    /// Returns an error if the objects cannot be searched.
    pub fn commit_of(&self, digits: &str) -> Result<Option<ObjectId>, FactError> {
        let Ok(prefix) = gix::hash::Prefix::from_hex(digits) else { return Ok(None) };
        let found = self
            .objects
            .lookup_prefix(prefix, None)
            .map_err(|err| self.failed(format_args!("failed to look for `{digits}`"), &err))?;
        let Some(Ok(id)) = found else { return Ok(None) };
        Ok(self.target(own_id(&id)?)?.commit.as_ref().map(|commit| commit.id))
    }

    /// Returns the repository's name from the URL of the remote `origin`: the last two parts of the
    /// path, in lower case as in Gitea's directories.
    pub fn origin(&self) -> Option<push::RepositoryIdentity> {
        let address = self.layout.origin.as_ref()?.to_str().ok()?.trim_end_matches('/');
        let path = address.strip_suffix(".git").unwrap_or(address);
        let (rest, name) = path.rsplit_once('/')?;
        // `git@host:owner/name`, and `ssh://host/owner/name`.
        let owner = rest.rsplit(['/', ':']).next().filter(|owner| !owner.is_empty())?;
        (!name.is_empty())
            .then(|| push::RepositoryIdentity::named(Some(owner.to_lowercase()), name.to_lowercase()))
    }

    /// Returns the annotated tags that lead to a commit, by the ids of the tag objects, which are
    /// the ids that git passes to a hook.
    ///
    /// # Errors
    /// Returns an error if the tags cannot be listed.
    pub fn tags_of(&self, commit: ObjectId) -> Result<Vec<ObjectId>, FactError> {
        let leads_there = |id: &ObjectId| {
            let target = self.target(*id).ok();
            target.and_then(|target| target.commit.as_ref().map(|commit| commit.id)) == Some(commit)
        };
        let ids = self.created_tags()?.into_iter().filter_map(|past| past.update.new_id());
        Ok(ids.filter(|id| *id != commit).filter(leads_there).collect())
    }

    /// Returns true if the repository has a tag.
    ///
    /// # Errors
    /// Returns an error if the tags cannot be listed.
    pub fn has_tags(&self) -> Result<bool, FactError> {
        let mut has_tags = false;
        self.each_ref("refs/tags/", "failed to list the tags", &mut |_| {
            has_tags = true;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(has_tags)
    }

    /// Returns true if the repository is a shallow clone (`git clone --depth`).
    pub fn is_shallow(&self) -> bool {
        self.layout.is_shallow()
    }

    /// Returns true if moving a ref from `old` to `new` added `commit`: it is in the history of
    /// `new` and not of `old`.
    ///
    /// # Errors
    /// Returns an error if one of them is missing or broken.
    pub fn brought(&self, old: Option<ObjectId>, new: ObjectId, commit: ObjectId) -> Result<bool, FactError> {
        let has = |tip: ObjectId| -> Result<bool, FactError> {
            match &self.target(tip)?.commit {
                Some(tip) => {
                    let limit = WalkLimit::Visits(MAX_VISITED);
                    Ok(self.is_ancestor(commit, tip.id, limit)?.unwrap_or(false))
                }
                None => Ok(false),
            }
        };
        Ok(has(new)? && !old.map_or(Ok(false), has)?)
    }
}
