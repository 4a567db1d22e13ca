//! What a repository's history was: the pushes that its commits and tags might have come with.

use bstr::{BStr, BString, ByteSlice as _};
use gix::{error::ResultExt as _, revwalk::Graph};

use super::{
    FactError, Repository,
    repository::{gix_id, own_id, told},
};
use crate::{
    push::{ObjectId, RefName, Update},
    time::Timestamp,
};

/// How much memory objects may take while a history is judged, in bytes: neighbours in it share most of their trees.
pub const CACHE: usize = 32 << 20;

/// The ref changes of a branch and of all tags, as far as history tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The short name of the branch, `None` if there are no commits.
    pub branch: BString,
    /// The ref changes, oldest first.
    pub past: Vec<Past>,
    /// Whether there are older ones that were not asked for.
    pub is_cut: bool,
    /// Whether the repository has only a part of its history (`git clone --depth`).
    pub is_shallow: bool,
}

/// One ref change, taken as a push of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The branch went from a commit's first parent to the commit, or the tag was created.
    pub update: Update,
    /// The committer's time, or the tagger's; where neither tells one, the beginning of time (1970).
    pub time: Timestamp,
}

impl Repository {
    /// Returns the newest `last` ref changes: each commit that leads to the branch's tip by first parents is one, and
    /// each tag. A commit never comes before its parent, whatever their clocks said, nor a tag before its commit if
    /// both are of one second.
    ///
    /// # Errors
    /// If there is no such branch, or a commit on the way is missing or broken.
    pub fn history(&self, branch: Option<&BStr>, last: usize) -> Result<History, FactError> {
        let branch = match branch {
            Some(branch) => branch,
            None => self.default_branch()?.ok_or_else(|| {
                FactError::new(
                    "HEAD names no branch, so nobody knows which one is meant; name it with `--branch`",
                )
            })?,
        };
        let ref_name = RefName::new(&[b"refs/heads/", branch.as_bytes()].concat()).ok_or_else(|| {
            FactError::new(format!("`{}` cannot be the name of a branch", crate::text::line(branch)))
        })?;
        let mut walked = self.walk(&ref_name, last)?;
        let tags = self.created_tags()?;
        let commits = walked.past.len();
        walked.past.extend(tags);
        let past = &mut walked.past;
        // A commit counts as no older than those before it. The sort is stable, so tags come after commits.
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

    /// Walks a branch by first parents, and returns the newest `last` of its commits, oldest first.
    fn walk(&self, ref_name: &RefName, last: usize) -> Result<Walked, FactError> {
        let failed = |err: &gix::Error| {
            FactError::new(format!("failed to walk the history of `{}`: {}", ref_name.to_text(), told(err)))
        };
        let tip = self.layout.refs().try_find(ref_name.as_bstr()).map_err(|err| failed(&err))?.ok_or_else(
            || FactError::new(format!("there is no `{}` in this repository", ref_name.to_text())),
        )?;
        let tip = tip
            .target
            .try_id()
            .ok_or_else(|| {
                FactError::new(format!("`{}` names another ref and no commit", ref_name.to_text()))
            })
            .and_then(own_id)?;
        let cache = self.commit_graph()?;
        let mut graph = Graph::<()>::new(&self.objects, cache);
        let mut walked = Walked { past: Vec::new(), is_cut: false, is_shallow: false };
        let is_shallow = self.layout.is_shallow();
        let mut next = Some(tip);
        while let Some(id) = next {
            if walked.past.len() == last {
                walked.is_cut = true;
                break;
            }
            let Some(commit) = graph.try_lookup(&gix_id(id)).map_err(|err| failed(&err))? else {
                if is_shallow && !walked.past.is_empty() {
                    // What lies before it is not here, so nobody can say what this commit changed.
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
                update: Update::new(ref_name.clone(), next.unwrap_or(ObjectId::null(id)), id)
                    .ok_or_else(|| FactError::new(format!("commit {id} has a parent of another kind")))?,
                time: Timestamp::from_second(time).unwrap_or(Timestamp::UNIX_EPOCH),
            });
        }
        walked.past.reverse();
        Ok(walked)
    }

    /// Returns every tag as it was created, in the order of their names.
    pub(super) fn created_tags(&self) -> Result<Vec<Past>, FactError> {
        let failed = |err: &gix::Error| FactError::new(format!("failed to list the tags: {}", told(err)));
        let mut tags = Vec::new();
        for tag in self.tags().map_err(|err| failed(&err))? {
            let tag = tag.map_err(|err| failed(&err))?;
            // A tag that names another ref is no tag that anybody could have pushed.
            let Some(id) = tag.target.try_id().map(own_id).transpose()? else { continue };
            let update =
                RefName::new(tag.name.as_bstr()).and_then(|name| Update::new(name, ObjectId::null(id), id));
            if let Some(update) = update {
                tags.push(Past { update, time: self.time_of(id) });
            }
        }
        Ok(tags)
    }

    /// Returns the refs of all tags, in the order of their names, and what is wrong with those that cannot be read.
    pub(super) fn tags(&self) -> Result<Vec<Result<gix::refs::Reference, gix::Error>>, gix::Error> {
        let refs = self.layout.refs();
        let refs = refs.iter()?;
        Ok(refs.prefixed(b"refs/tags/".try_into()?).or_error()?.collect())
    }

    /// Returns when what a tag names was made.
    pub fn time_of(&self, id: ObjectId) -> Timestamp {
        let Ok(target) = self.target(id) else { return Timestamp::UNIX_EPOCH };
        let tagger = target.tag.as_ref().and_then(|tag| tag.tagger.as_ref());
        let committer = target.commit.as_ref().map(|commit| &commit.committer);
        tagger.or(committer).and_then(|who| who.time).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The commits of a branch.
struct Walked {
    past: Vec<Past>,
    is_cut: bool,
    is_shallow: bool,
}
