//! Reconstructs past pushes from a repository's commits and tags.

use std::ops::ControlFlow;

use bstr::{BStr, BString, ByteSlice as _};
use gix::revwalk::Graph;

use super::{
    FactError, Repository, WalkLimit,
    repository::{gix_id, own_id},
};
use crate::{
    push::{ObjectId, RefName, Update},
    sys::time::Timestamp,
};

/// Size of the object cache for reading a history, in bytes. Neighbouring commits share most of
/// their trees.
pub const CACHE: usize = 32 << 20;

/// Ref changes of a branch and of all tags, reconstructed from history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Short name of the branch.
    pub branch: BString,
    /// The ref changes, oldest first.
    pub past: Vec<Past>,
    /// True if older ref changes were left out.
    pub is_cut: bool,
    /// True if the walk reached the edge of a shallow clone (`git clone --depth`).
    pub is_shallow: bool,
}

/// One ref change, treated as a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// A branch that moved from a commit's first parent to the commit, or a tag that was created.
    pub update: Update,
    /// Time of the committer or the tagger, or 1970 if unknown.
    pub time: Timestamp,
}

impl Repository {
    /// Returns the newest `last` ref changes. Each commit on the first-parent chain of the branch
    /// is one, and so is each tag.
    ///
    /// A commit never comes before its parent, whatever its time. A tag comes after its commit if
    /// both have the same second.
    ///
    /// # Errors
    /// Returns an error if there is no such branch, or if a commit on the way is missing or broken.
    pub fn history(&self, branch: Option<&BStr>, last: usize) -> Result<History, FactError> {
        let branch = match branch {
            Some(branch) => branch,
            None => self.default_branch()?.ok_or_else(|| {
                FactError::new("HEAD does not point to a branch; choose one with `--branch`")
            })?,
        };
        let ref_name = RefName::new(&[b"refs/heads/", branch.as_bytes()].concat()).ok_or_else(|| {
            FactError::new(format!("`{}` is not a valid branch name", crate::text::line(branch)))
        })?;
        let mut walked = self.walk(&ref_name, last)?;
        let tags = self.created_tags()?;
        let commits = walked.past.len();
        walked.past.extend(tags);
        let past = &mut walked.past;
        // A commit counts as at least as new as its ancestors. The sort is stable, so tags come
        // after commits.
        let mut newest = Timestamp::MIN;
        let mut places: Vec<_> = past
            .iter()
            .enumerate()
            .map(|(nth, past)| {
                if nth >= commits {
                    return (past.time, nth);
                }
                newest = newest.max(past.time);
                (newest, nth)
            })
            .collect();
        places.sort();
        let is_cut = walked.is_cut || places.len() > last;
        let first = places.len().saturating_sub(last);
        let past = places[first..].iter().map(|(_, nth)| past[*nth].clone()).collect();
        Ok(History { branch: branch.to_owned(), past, is_cut, is_shallow: walked.is_shallow })
    }

    /// Walks a branch by first parents, and returns its newest `last` commits, oldest first.
    fn walk(&self, ref_name: &RefName, last: usize) -> Result<BranchWalk, FactError> {
        let what = format!("failed to walk the history of `{}`", ref_name.to_text());
        let failed = |err: &gix::Error| self.failed(&what, err);
        let tip = self.find_ref(ref_name.as_bstr(), &what)?.ok_or_else(|| {
            FactError::new(format!("there is no `{}` in this repository", ref_name.to_text()))
        })?;
        let tip = tip
            .target
            .try_id()
            .ok_or_else(|| {
                FactError::new(format!("`{}` is a symbolic ref, expected a commit", ref_name.to_text()))
            })
            .and_then(own_id)?;
        let cache = self.commit_graph()?;
        let mut graph = Graph::<()>::new(&self.objects, cache);
        let mut walked = BranchWalk { past: Vec::new(), is_cut: false, is_shallow: false };
        let is_shallow = self.layout.is_shallow();
        let mut next = Some(tip);
        while let Some(id) = next {
            if walked.past.len() == last {
                walked.is_cut = true;
                break;
            }
            let Some(commit) = graph.try_lookup(&gix_id(id)).map_err(|err| failed(&err))? else {
                if is_shallow && !walked.past.is_empty() {
                    // The last commit's parent was not fetched, so the change is unknown.
                    walked.past.pop();
                    walked.is_shallow = true;
                    break;
                }
                return Err(FactError::new(format!("commit {id} of `{}` is missing", ref_name.to_text())));
            };
            let time = commit.committer_timestamp().map_err(|err| failed(&err))?;
            let parent = commit.iter_parents().next().transpose().map_err(|err| failed(&err))?;
            next = parent.map(|parent| own_id(&parent)).transpose()?;
            walked.past.push(Past {
                update: Update::new(ref_name.clone(), next.unwrap_or(ObjectId::null(id)), id).ok_or_else(
                    || FactError::new(format!("commit {id} has a parent whose id has another length")),
                )?,
                time: Timestamp::from_second(time).unwrap_or(Timestamp::UNIX_EPOCH),
            });
        }
        walked.past.reverse();
        Ok(walked)
    }

    /// Returns true if `commit` is in the history of `tip`, or `None` if the walk ended before it
    /// found out.
    pub(super) fn is_ancestor(
        &self,
        commit: ObjectId,
        tip: ObjectId,
        patience: WalkLimit,
    ) -> Result<Option<bool>, FactError> {
        if commit == tip {
            return Ok(Some(true));
        }
        let Some(walked) = self.walk_between(Some(commit), tip, patience)? else { return Ok(None) };
        match (walked.new_has_old, walked.is_truncated) {
            (true, _) => Ok(Some(true)),
            (false, false) => Ok(Some(false)),
            (false, true) => self.is_in_history(commit, tip, patience),
        }
    }

    /// Returns the creation of every tag, ordered by name.
    pub(super) fn created_tags(&self) -> Result<Vec<Past>, FactError> {
        let what = "failed to list the tags";
        let mut tags = Vec::new();
        self.each_ref("refs/tags/", what, &mut |tag| {
            let tag = tag.map_err(|err| self.failed(what, &err))?;
            // Skip symbolic refs. A push cannot create one.
            if let Some(id) = tag.target.try_id().map(own_id).transpose()?
                && let Some(name) = RefName::new(tag.name.as_bstr())
                && let Some(update) = Update::new(name, ObjectId::null(id), id)
            {
                tags.push(Past { update, time: self.time_of(id) });
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(tags)
    }

    /// Returns the time of the tagger or the committer of the object, or 1970 if unknown.
    pub fn time_of(&self, id: ObjectId) -> Timestamp {
        let Ok(target) = self.target(id) else { return Timestamp::UNIX_EPOCH };
        let tagger = target.tag.as_ref().and_then(|tag| tag.tagger.as_ref());
        let committer = target.commit.as_ref().map(|commit| &commit.committer);
        tagger.or(committer).and_then(|who| who.time).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The commits of a branch.
struct BranchWalk {
    past: Vec<Past>,
    is_cut: bool,
    is_shallow: bool,
}
