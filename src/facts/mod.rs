//! Facts about an update that come from the repository, read lazily. gix is used only in this
//! module and in `golden`.
//!
//! The object ids come from the push, not from refs, because another push may have moved the ref
//! since.

mod ancestry;
mod commit;
mod commit_range;
mod default_branch;
mod describe;
mod encoding;
mod error;
mod file;
mod fork;
mod history;
mod imported;
mod layout;
mod lookup;
mod message;
mod message_rules;
mod object_headers;
mod paths;
mod person;
mod pull_request;
mod quotation;
mod range;
mod range_summary;
mod reachable;
mod ref_list;
mod ref_update;
mod refs;
mod release_page;
mod release_version;
mod repository;
mod second_look;
mod signature;
mod signed_object;
mod tags;
mod tickets;
mod trailer_block;
mod trailers;
mod trees;
mod version;
mod walk;

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    path::PathBuf,
    rc::Rc,
};

use bstr::ByteSlice as _;

pub(crate) use commit::commit_of_bytes;
pub use commit::{Commit, PeeledObject, Tag};
pub use commit_range::{Brought, MAX_VISITED_SINCE, Relation};
pub use describe::Description;
pub use error::FactError;
pub use history::{CACHE, History, HistoryRange, Past};
pub use message::Conventional;
pub use message_rules::MessageRules;
pub use paths::{ChangedPath, ChangedPaths};
pub use person::Person;
pub use pull_request::PullRequestPages;
pub use range::{MAX_COMMITS, MAX_VISITED, Range};
pub use range_summary::RangeSummary;
pub use ref_list::{RefList, RefStamps, RefValue};
pub use ref_update::RefUpdate;
pub use repository::Repository;
pub(crate) use signature::signatures_of_bytes;
pub use tickets::TicketProjects;
pub use version::{TagNames, TaggedService, VersionTag, is_version};
pub use walk::WalkLimit;

use crate::{
    glob::Globs,
    push::{MergeStep, ObjectId, PullRequest, Push, RefKind, Update},
    work::Spent,
};

/// Files by commit and path.
type Files = HashMap<(ObjectId, String), Option<Rc<str>>>;

/// The facts of one update. Each fact is read at most once, and its error is cached like a value.
pub struct Facts {
    push: Rc<Push>,
    index: usize,
    repository: Result<Rc<Repository>, FactError>,
    /// True if a fact that needs the repository was requested.
    was_asked: Cell<bool>,
    target: OnceCell<Result<Rc<PeeledObject>, FactError>>,
    old_commit: OnceCell<Result<Option<ObjectId>, FactError>>,
    ref_update: OnceCell<Option<RefUpdate>>,
    range: OnceCell<Result<Rc<Range>, FactError>>,
    paths: OnceCell<Result<Rc<ChangedPaths>, FactError>>,
    description: OnceCell<Result<Option<Description>, FactError>>,
    descriptions: RefCell<describe::OfServices>,
    previous: OnceCell<Result<Option<Description>, FactError>>,
    range_since_version: OnceCell<Result<Rc<Range>, FactError>>,
    on_default_branch: OnceCell<Option<bool>>,
    files: RefCell<Files>,
    brought: RefCell<Vec<(ObjectId, Rc<Brought>)>>,
    tag_names: OnceCell<TagNames>,
    message_rules: OnceCell<Rc<MessageRules>>,
    version_tag: OnceCell<Option<VersionTag>>,
    signature_keys: OnceCell<Vec<PathBuf>>,
}

impl Facts {
    /// Returns the facts of the update at `index` of `push`. This does not read anything yet.
    ///
    /// # Panics
    /// Panics if the push has no such update.
    pub fn new(push: Rc<Push>, index: usize, repository: Result<Rc<Repository>, FactError>) -> Self {
        assert!(index < push.updates().len(), "the push has no update {index}");
        let push = push.as_of_update(index).map_or(push, Rc::new);
        Self {
            push,
            index,
            repository,
            was_asked: Cell::default(),
            target: OnceCell::new(),
            old_commit: OnceCell::new(),
            ref_update: OnceCell::new(),
            range: OnceCell::new(),
            paths: OnceCell::new(),
            description: OnceCell::new(),
            descriptions: RefCell::default(),
            previous: OnceCell::new(),
            range_since_version: OnceCell::new(),
            on_default_branch: OnceCell::new(),
            files: RefCell::default(),
            brought: RefCell::default(),
            tag_names: OnceCell::new(),
            message_rules: OnceCell::new(),
            version_tag: OnceCell::new(),
            signature_keys: OnceCell::new(),
        }
    }

    /// Returns the index of the update in its push.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the first error by which the system refused to let a requested fact be read.
    /// Decisions that used the facts may be wrong then.
    pub fn trouble(&self) -> Option<FactError> {
        match &self.repository {
            Ok(repository) => repository.trouble(),
            Err(err) => Some(err.clone()).filter(|_| self.was_asked.get()),
        }
    }

    /// Returns true if the default branch or the object that the ref points to cannot be read, for
    /// a reason other than time.
    pub fn is_broken(&self) -> bool {
        let is_broken = |err: FactError| !err.is_out_of_time();
        self.is_default_branch().is_err_and(is_broken)
            || (self.update().new_id().is_some() && self.target().is_err_and(is_broken))
    }

    /// Returns the push.
    pub fn push(&self) -> &Push {
        &self.push
    }

    /// Returns the update.
    pub fn update(&self) -> &Update {
        &self.push.updates()[self.index]
    }

    /// Sets how the version tags of the repository are named. The first call counts; without any,
    /// the text before a version is the service.
    pub fn name_tags(&self, names: TagNames) {
        let _ = self.tag_names.set(names);
    }

    fn tag_names(&self) -> &TagNames {
        self.tag_names.get_or_init(TagNames::default)
    }

    /// Returns the text before the version in the name of the updated tag, if it is not a service of
    /// the repository.
    pub fn unknown_tag_prefix(&self) -> Option<&str> {
        match self.update().ref_name().kind() {
            RefKind::Tag(tag) => self.tag_names().unknown_prefix(tag.to_str().ok()?),
            RefKind::Branch(_) | RefKind::Other => None,
        }
    }

    /// Returns the version in the name of the updated tag, `None` for any other ref.
    pub fn version_tag(&self) -> Option<&VersionTag> {
        let read = || match self.update().ref_name().kind() {
            RefKind::Tag(tag) => self.tag_names().parse(tag.to_str().ok()?),
            RefKind::Branch(_) | RefKind::Other => None,
        };
        self.version_tag.get_or_init(read).as_ref()
    }

    /// Returns the object that the new id leads to through annotated tags.
    ///
    /// # Errors
    /// Returns an error if the ref was deleted, or if an object is missing, broken or too large.
    pub fn target(&self) -> Result<Rc<PeeledObject>, FactError> {
        let read = || {
            let id = self
                .update()
                .new_id()
                .ok_or_else(|| FactError::new("the ref was deleted, so it has no commit"))?;
            self.repository()?.target(id)
        };
        self.target.get_or_init(read).clone()
    }

    /// Returns the id of the commit that the ref leads to now, `None` for a tag of a tree or a
    /// blob.
    pub fn commit_id(&self) -> Result<Option<ObjectId>, FactError> {
        Ok(self.target()?.commit.as_ref().map(|commit| commit.id))
    }

    /// Returns the commit that the ref leads to now.
    pub fn commit(&self) -> Result<Option<Rc<Commit>>, FactError> {
        Ok(self.target()?.commit.clone())
    }

    /// Returns the number of the pull request that the push merged. Returns `None` if it merged
    /// none, or if the number is unknown.
    ///
    /// # Errors
    /// Returns an error if the commit cannot be read.
    pub fn merged_pull_request(&self) -> Result<Option<i64>, FactError> {
        let merged = self.push.source().pull_request.filter(|pr| pr.step == MergeStep::Merged);
        match merged {
            // Gitea before 1.26 does not pass the number, but its merge message has it.
            Some(PullRequest { number: None, .. }) => {
                let pages = self.message_rules().pages.as_ref();
                let commit = self.commit()?;
                Ok(commit.and_then(|commit| pull_request::number(&commit, pages, self.push.time())))
            }
            Some(merged) => Ok(merged.number),
            None => Ok(None),
        }
    }

    /// Returns the commits between the old id and the new one, none if the ref was not moved. The walk
    /// ends after [`MAX_VISITED`] commits.
    pub fn range(&self) -> Result<Rc<Range>, FactError> {
        let read = || {
            let Some(new) = self.commit_id()?.filter(|_| self.update().is_moved()) else {
                return Ok(Rc::new(Range::default()));
            };
            let old = self.old_commit()?;
            Ok(Rc::new(self.repository()?.range(old, new)?))
        };
        self.range.get_or_init(read).clone()
    }

    /// Returns true if the ref moved to a commit that does not have the old one in its history.
    /// Returns false if [`Self::ref_update`] does not know.
    ///
    /// # Errors
    /// Returns an error if the history cannot be read.
    pub fn is_rewind(&self) -> Result<bool, FactError> {
        let moved = self.ref_update(WalkLimit::Visits(MAX_VISITED))?;
        Ok(matches!(moved, Some(RefUpdate::Forced { .. } | RefUpdate::Rewound { .. })))
    }

    /// Returns the paths in which the new commit differs from the old one. For a ref that was created or
    /// not moved, compares with the commit's first parent.
    pub fn changed_paths(&self) -> Result<Rc<ChangedPaths>, FactError> {
        let read = || {
            let Some(commit) = self.commit()? else {
                return Ok(Rc::new(ChangedPaths::default()));
            };
            Ok(Rc::new(self.repository()?.changed_paths(self.base()?, commit.id)?))
        };
        self.paths.get_or_init(read).clone()
    }

    /// Returns true if a changed path matches one of `paths`, globs as in `[[service]]`, or if
    /// `paths` is empty.
    ///
    /// If there are too many paths to compare, the answer is true, because a superfluous marker is
    /// better than a lost one.
    ///
    /// # Errors
    /// Returns an error if the paths cannot be read, or if time is up.
    pub fn is_touched(&self, paths: &[String]) -> Result<bool, FactError> {
        if paths.is_empty() {
            return Ok(true);
        }
        let changed = self.changed_paths()?;
        if changed.is_truncated {
            return Ok(true);
        }
        let repository = self.repository()?;
        let globs = Globs::new(paths);
        let mut matcher = globs.matcher();
        for ChangedPath { path, may_be_directory } in &changed.paths {
            match matcher.matches_within(path, &repository.allowance()) {
                Ok(false) if *may_be_directory && matcher.goes_on(b"/") => return Ok(true),
                Ok(false) => {}
                Ok(true) | Err(Spent::Work) => return Ok(true),
                Err(spent) => return Err(repository::spent_on(spent, "matching the changed paths")),
            }
        }
        Ok(false)
    }

    /// Returns the nearest tag in the new commit's history, as `git describe --tags` does.
    ///
    /// # Errors
    /// Returns an error if the tags or the history cannot be read.
    pub fn describe(&self) -> Result<Option<Description>, FactError> {
        let read = || match self.commit_id()? {
            Some(commit) => self.repository()?.describe(commit, |_| Some(())),
            None => Ok(None),
        };
        self.description.get_or_init(read).clone()
    }

    /// Returns the version that a tag gives to the new commit itself. A tag of `service` wins over
    /// a tag without a service, then the highest version wins. Tags of other services are ignored.
    ///
    /// # Errors
    /// Returns an error if the tags cannot be listed.
    pub fn release_of(&self, service: &str) -> Result<Option<VersionTag>, FactError> {
        let commit = self.commit_id()?;
        commit.map_or(Ok(None), |commit| self.repository()?.release_of(commit, service, self.tag_names()))
    }

    /// Returns the nearest version of the same service in the new commit's history, except the one
    /// that the update names. Pre-releases count only if the update names one.
    ///
    /// # Errors
    /// Returns an error if the tags or the history cannot be read.
    pub fn previous_version(&self) -> Result<Option<VersionTag>, FactError> {
        Ok(self.previous()?.and_then(|found| self.tag_names().parse(&found.tag)))
    }

    /// Returns the commits since the previous version, or the whole history if there is none. The
    /// walk ends after [`MAX_VISITED`] commits.
    ///
    /// # Errors
    /// Returns an error if the tags or the history cannot be read.
    pub fn range_since_version(&self) -> Result<Rc<Range>, FactError> {
        let read = || {
            let Some(commit) = self.commit_id()? else {
                return Ok(Rc::new(Range::default()));
            };
            let previous = self.previous()?.map(|found| found.tagged);
            Ok(Rc::new(self.repository()?.range(previous, commit)?))
        };
        self.range_since_version.get_or_init(read).clone()
    }

    /// Returns the previous version with its commit.
    ///
    /// # Errors
    /// Returns an error if the tags or the history cannot be read.
    pub fn previous_release(&self) -> Result<Option<(VersionTag, ObjectId)>, FactError> {
        Ok(self.previous()?.and_then(|found| Some((self.tag_names().parse(&found.tag)?, found.tagged))))
    }

    /// Returns the tag of the previous version.
    fn previous(&self) -> Result<Option<Description>, FactError> {
        let read = || {
            let Some(commit) = self.commit_id()? else { return Ok(None) };
            let own = self.version_tag();
            let service = own.and_then(VersionTag::service);
            let may_be_early = own.is_some_and(VersionTag::is_prerelease);
            let rank = |tag: &str| {
                let tag = self.tag_names().parse(tag).filter(|tag| {
                    tag.service() == service
                        && (may_be_early || !tag.is_prerelease())
                        && own.is_none_or(|own| own.version() != tag.version())
                })?;
                Some(tag.into_rank())
            };
            self.repository()?.describe(commit, rank)
        };
        self.previous.get_or_init(read).clone()
    }

    /// Returns the commit that the new one is compared with: the old one, or else its first parent.
    fn base(&self) -> Result<Option<ObjectId>, FactError> {
        let old = self.old_commit()?;
        let parent = || Ok(self.commit()?.and_then(|commit| commit.parents.first().copied()));
        old.map_or_else(parent, |old| Ok(Some(old)))
    }

    /// Returns the commit that the ref led to before. Returns `None` if the ref was created or not moved,
    /// or if it did not lead to a commit.
    ///
    /// # Errors
    /// Returns an error if the old object is missing or broken.
    pub fn old_commit(&self) -> Result<Option<ObjectId>, FactError> {
        let read = || match self.update().old_id().filter(|_| self.update().is_moved()) {
            Some(id) => Ok(self.repository()?.target(id)?.commit.as_ref().map(|commit| commit.id)),
            None => Ok(None),
        };
        self.old_commit.get_or_init(read).clone()
    }

    fn repository(&self) -> Result<&Repository, FactError> {
        self.was_asked.set(true);
        self.repository.as_deref().map_err(FactError::clone)
    }
}
