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

/// Number of commits in a row that are older than [`HistoryRange::since`] before the walk ends. A
/// few commits with a date that is too early, as from a machine without a clock, do not end it.
const MAX_OLDER: usize = 1_000;

/// The part of a history to read.
#[derive(Clone, Copy, Debug)]
pub struct HistoryRange {
    /// Maximum number of ref changes, the newest ones.
    pub last: usize,
    /// Earliest time of a ref change.
    pub since: Option<Timestamp>,
    /// The time before which a ref change was made.
    pub until: Option<Timestamp>,
}

impl HistoryRange {
    /// Returns the range of the newest `last` ref changes.
    pub fn newest(last: usize) -> Self {
        Self { last, since: None, until: None }
    }

    fn is_before(&self, time: Timestamp) -> bool {
        self.since.is_some_and(|since| time < since)
    }

    fn has(&self, time: Timestamp) -> bool {
        !self.is_before(time) && self.until.is_none_or(|until| time < until)
    }
}

/// Ref changes of a branch and of all tags, reconstructed from history.
///
/// A commit takes about 50 bytes here, because a repository can have millions of them.
#[derive(Clone, Debug)]
pub struct History {
    /// Short name of the branch.
    pub branch: BString,
    /// True if older ref changes were left out, because there are more than [`HistoryRange::last`].
    pub is_cut: bool,
    /// True if the walk reached the edge of a shallow clone (`git clone --depth`).
    pub is_shallow: bool,
    ref_name: RefName,
    /// The commits of the branch, oldest first.
    commits: Vec<BranchCommit>,
    /// First parent of the first commit.
    base: Option<ObjectId>,
    /// The tags, ordered by name.
    tags: Vec<Past>,
    /// Positions in `commits` followed by `tags`, in the order of the ref changes.
    order: Vec<u32>,
}

/// A commit on a branch.
#[derive(Clone, Copy, Debug)]
struct BranchCommit {
    id: ObjectId,
    time: Timestamp,
}

/// One ref change, treated as a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// A branch that moved from a commit's first parent to the commit, or a tag that was created.
    pub update: Update,
    /// Time of the committer or the tagger, or 1970 if unknown.
    pub time: Timestamp,
}

impl History {
    /// Returns the number of ref changes.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Returns true if there are no ref changes.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Returns the number of ref changes that create a tag.
    pub fn tag_count(&self) -> usize {
        self.order.iter().filter(|place| **place as usize >= self.commits.len()).count()
    }

    /// Returns the ref changes, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Past> {
        self.order.iter().filter_map(|place| self.get(*place as usize))
    }

    /// Returns the oldest ref change.
    pub fn first(&self) -> Option<Past> {
        self.iter().next()
    }

    /// Returns the newest ref change.
    pub fn last(&self) -> Option<Past> {
        self.iter().next_back()
    }

    /// Returns the branch's commits, oldest first.
    pub fn commit_ids(&self) -> impl DoubleEndedIterator<Item = ObjectId> {
        self.commits.iter().map(|commit| commit.id)
    }

    fn get(&self, place: usize) -> Option<Past> {
        let Some(commit) = self.commits.get(place) else {
            return self.tags.get(place - self.commits.len()).cloned();
        };
        let parent = match place {
            0 => self.base,
            _ => self.commits.get(place - 1).map(|parent| parent.id),
        };
        let old = parent.unwrap_or(ObjectId::null(commit.id));
        Some(Past { update: Update::new(self.ref_name.clone(), old, commit.id)?, time: commit.time })
    }

    /// Sorts the ref changes by time and keeps those in `range`.
    fn arrange(&mut self, range: &HistoryRange) {
        // A commit counts as at least as new as its ancestors. The sort is stable, so tags come
        // after commits.
        let mut newest = Timestamp::MIN;
        let commits = self.commits.iter().map(|commit| {
            newest = newest.max(commit.time);
            (newest, commit.time)
        });
        let tags = self.tags.iter().map(|tag| (tag.time, tag.time));
        let mut places: Vec<(Timestamp, u32)> = Vec::with_capacity(self.commits.len() + self.tags.len());
        for (place, (sorted_by, time)) in (0..).zip(commits.chain(tags)) {
            if range.has(time) {
                places.push((sorted_by, place));
            }
        }
        places.sort();
        let surplus = places.len().saturating_sub(range.last);
        self.is_cut |= surplus > 0;
        self.order = places[surplus..].iter().map(|(_, place)| *place).collect();
    }
}

impl Repository {
    /// Returns the ref changes in `range`. Each commit on the first-parent chain of the branch is
    /// one, and so is each tag.
    ///
    /// A commit never comes before its parent, whatever its time. A tag comes after its commit if
    /// both have the same second.
    ///
    /// # Errors
    /// Returns an error if there is no such branch, or if a commit on the way is missing or broken.
    pub fn history(&self, branch: Option<&BStr>, range: &HistoryRange) -> Result<History, FactError> {
        let branch = match branch {
            Some(branch) => branch,
            None => self.default_branch()?.ok_or_else(|| {
                FactError::new("HEAD does not point to a branch; choose one with `--branch`")
            })?,
        };
        let ref_name = RefName::new(&[b"refs/heads/", branch.as_bytes()].concat()).ok_or_else(|| {
            FactError::new(format!("`{}` is not a valid branch name", crate::text::line(branch)))
        })?;
        let mut history = self.walk(branch, ref_name, range)?;
        history.tags = self.created_tags()?;
        history.arrange(range);
        Ok(history)
    }

    /// Walks a branch by first parents, and returns its newest commits.
    fn walk(&self, branch: &BStr, ref_name: RefName, range: &HistoryRange) -> Result<History, FactError> {
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
        let mut commits: Vec<BranchCommit> = Vec::new();
        let (mut is_cut, mut is_edge) = (false, false);
        let is_shallow = self.layout.is_shallow();
        let mut older = 0;
        let mut next = Some(tip);
        while let Some(id) = next {
            is_cut = commits.len() == range.last;
            if is_cut || older == MAX_OLDER {
                break;
            }
            let Some(commit) = graph.try_lookup(&gix_id(id)).map_err(|err| failed(&err))? else {
                if is_shallow && !commits.is_empty() {
                    // The last commit's parent was not fetched, so the change is unknown.
                    next = commits.pop().map(|commit| commit.id);
                    is_edge = true;
                    break;
                }
                return Err(FactError::new(format!("commit {id} of `{}` is missing", ref_name.to_text())));
            };
            let time = commit.committer_timestamp().map_err(|err| failed(&err))?;
            let time = Timestamp::from_second(time).unwrap_or(Timestamp::UNIX_EPOCH);
            let parent = commit.iter_parents().next().transpose().map_err(|err| failed(&err))?;
            next = parent.map(|parent| own_id(&parent)).transpose()?;
            if next.is_some_and(|parent| parent.as_bytes().len() != id.as_bytes().len()) {
                return Err(FactError::new(format!("commit {id} has a parent whose id has another length")));
            }
            older = if range.is_before(time) { older + 1 } else { 0 };
            commits.push(BranchCommit { id, time });
        }
        commits.reverse();
        Ok(History {
            branch: branch.to_owned(),
            is_cut,
            is_shallow: is_edge,
            ref_name,
            commits,
            base: next,
            tags: Vec::new(),
            order: Vec::new(),
        })
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
