//! Finding a commit by what a person calls it, and the refs that lead to it.

use super::{
    FactError, Repository,
    repository::{own_id, told},
};
use crate::push::ObjectId;

impl Repository {
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
