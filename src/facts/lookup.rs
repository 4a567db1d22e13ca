//! Finding a commit by what a person calls it, and the refs that lead to it.

use bstr::ByteSlice as _;

use super::{
    FactError, Repository,
    repository::{own_id, told},
};
use crate::push::{self, ObjectId, RefName};

/// How many refs may name each other.
const MAX_NAMES: usize = 5;

impl Repository {
    /// Returns what a person means by a ref, a branch, a tag, or the id of a commit or its beginning: the ref, if it is one, and what it
    /// names. `HEAD` is the branch that it names.
    ///
    /// # Errors
    /// If there is no such thing, or it cannot be read.
    pub fn resolve(&self, rev: &str) -> Result<(Option<RefName>, ObjectId), FactError> {
        let shown = crate::text::line(rev);
        let failed =
            |err: &gix::Error| FactError::new(format!("failed to look for `{shown}`: {}", told(err)));
        let refs = self.layout.refs();
        let mut name = rev.as_bytes().to_vec();
        for _ in 0..MAX_NAMES {
            // What cannot be the name of a ref may still be the beginning of an id.
            let Ok(partial) = <&gix::refs::PartialNameRef>::try_from(name.as_bstr()) else { break };
            let Some(found) = refs.try_find(partial).map_err(|err| failed(&err))? else { break };
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
            "HEAD names no commit: nothing was committed yet".to_string()
        } else {
            format!("`{shown}` is no branch, no tag and no beginning of one commit's id")
        }))
    }

    /// Returns the commit whose id begins with these digits, annotated tags followed; `None` if there is none, or more
    /// than one.
    ///
    /// # Errors
    /// If the objects cannot be searched.
    pub fn commit_of(&self, digits: &str) -> Result<Option<ObjectId>, FactError> {
        let Ok(prefix) = gix::hash::Prefix::from_hex(digits) else { return Ok(None) };
        let found = self
            .objects
            .lookup_prefix(prefix, None)
            .map_err(|err| FactError::new(format!("failed to look for `{digits}`: {}", told(&err))))?;
        let Some(Ok(id)) = found else { return Ok(None) };
        Ok(self.target(own_id(&id)?)?.commit.as_ref().map(|commit| commit.id))
    }

    /// Returns the name that a clone's `origin` has for the repository: the last two parts of its address.
    pub fn origin(&self) -> Option<push::Repository> {
        let address = self.layout.origin.as_ref()?.to_str().ok()?.trim_end_matches('/');
        let path = address.strip_suffix(".git").unwrap_or(address);
        let (rest, name) = path.rsplit_once('/')?;
        // `git@host:owner/name`, and `ssh://host/owner/name`.
        let owner = rest.rsplit(['/', ':']).next().filter(|owner| !owner.is_empty())?;
        (!name.is_empty()).then(|| push::Repository::named(Some(owner.to_string()), name.to_string()))
    }

    /// Returns the annotated tags that name a commit, by the ids of their own objects, which is what git tells a hook.
    ///
    /// # Errors
    /// If the tags cannot be listed.
    pub fn tags_of(&self, commit: ObjectId) -> Result<Vec<ObjectId>, FactError> {
        let leads_there = |id: &ObjectId| {
            let target = self.target(*id).ok();
            target.and_then(|target| target.commit.as_ref().map(|commit| commit.id)) == Some(commit)
        };
        let ids = self.created_tags()?.into_iter().filter_map(|past| past.update.new_id());
        Ok(ids.filter(|id| *id != commit).filter(leads_there).collect())
    }

    /// Returns whether `commit` came in when a ref was moved from `old` to `new`: it leads to the one and not to the other.
    ///
    /// # Errors
    /// If one of them is missing or broken.
    pub fn brought(&self, old: Option<ObjectId>, new: ObjectId, commit: ObjectId) -> Result<bool, FactError> {
        let has = |tip: ObjectId| -> Result<bool, FactError> {
            match &self.target(tip)?.commit {
                Some(tip) => Ok(self.range(Some(commit), tip.id)?.is_fast_forward),
                None => Ok(false),
            }
        };
        Ok(has(new)? && !old.map_or(Ok(false), has)?)
    }
}
