//! What the repository says of an update, read only when somebody asks. gix stays in here.
//!
//! Ids come from the push, never from reading refs: another push may have moved the ref since.

mod ancestry;
mod brought;
mod commit;
mod contents;
mod describe;
mod error;
mod file;
mod history;
mod layout;
mod lookup;
mod message;
mod paths;
mod pull_request;
mod range;
mod repository;
mod version;
mod walk;

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use bstr::ByteSlice as _;

pub use brought::{Brought, MAX_VISITED_SINCE, Relation};
pub use commit::{Commit, Person, Tag, Target};
pub use contents::{Contents, MAX_TOLD};
pub use describe::Description;
pub use error::FactError;
pub use file::MAX_FILE;
pub use history::{CACHE, History, Past};
pub use message::{Conventional, tickets};
pub use paths::{ChangedPaths, MAX_PATHS};
pub use range::{MAX_COMMITS, MAX_VISITED, Range};
pub use repository::Repository;
pub use version::VersionTag;
pub use walk::Patience;

use crate::push::{MergeStep, ObjectId, PullRequest, Push, RefKind, Update};

/// How many files of one update are remembered.
const MAX_FILES: usize = 16;

/// How many ranges since what ran before are remembered: services are seldom all at different commits.
const MAX_BROUGHT: usize = 16;

/// Files by commit and path.
type Files = HashMap<(ObjectId, String), Option<Rc<str>>>;

/// The facts of one update. Each is read at most once, and an error is a fact too: it is
/// remembered and told again.
pub struct Facts {
    push: Rc<Push>,
    index: usize,
    repository: Result<Rc<Repository>, FactError>,
    target: OnceCell<Result<Rc<Target>, FactError>>,
    old_commit: OnceCell<Result<Option<ObjectId>, FactError>>,
    range: OnceCell<Result<Rc<Range>, FactError>>,
    paths: OnceCell<Result<Rc<ChangedPaths>, FactError>>,
    description: OnceCell<Result<Option<Description>, FactError>>,
    descriptions: RefCell<describe::OfServices>,
    previous: OnceCell<Result<Option<Description>, FactError>>,
    range_since_version: OnceCell<Result<Rc<Range>, FactError>>,
    files: RefCell<Files>,
    brought: RefCell<Vec<(ObjectId, Rc<Brought>)>>,
}

impl Facts {
    /// Returns the facts of the update at `index` of `push`; nothing is read yet.
    ///
    /// # Panics
    /// If the push has no such update.
    pub fn new(push: Rc<Push>, index: usize, repository: Result<Rc<Repository>, FactError>) -> Self {
        assert!(index < push.updates().len(), "the push has no update {index}");
        Self {
            push,
            index,
            repository,
            target: OnceCell::new(),
            old_commit: OnceCell::new(),
            range: OnceCell::new(),
            paths: OnceCell::new(),
            description: OnceCell::new(),
            descriptions: RefCell::default(),
            previous: OnceCell::new(),
            range_since_version: OnceCell::new(),
            files: RefCell::default(),
            brought: RefCell::default(),
        }
    }

    /// Returns the push.
    pub fn push(&self) -> &Push {
        &self.push
    }

    /// Returns the update.
    pub fn update(&self) -> &Update {
        &self.push.updates()[self.index]
    }

    /// Returns whether the update is of the branch that `HEAD` names.
    pub fn is_default_branch(&self) -> Result<bool, FactError> {
        let RefKind::Branch(branch) = self.update().ref_name().kind() else {
            return Ok(false);
        };
        Ok(self.repository()?.default_branch()? == Some(branch))
    }

    /// Returns the version that the update's tag names, `None` for any other ref.
    pub fn version_tag(&self) -> Option<VersionTag> {
        match self.update().ref_name().kind() {
            RefKind::Tag(tag) => VersionTag::parse(tag.to_str().ok()?),
            RefKind::Branch(_) | RefKind::Other => None,
        }
    }

    /// Returns what the new id comes to when every annotated tag is followed.
    ///
    /// # Errors
    /// If the ref was deleted, or an object is missing, broken or too large.
    pub fn target(&self) -> Result<Rc<Target>, FactError> {
        let read = || {
            let id = self
                .update()
                .new_id()
                .ok_or_else(|| FactError::new("the ref was deleted, it names no commit"))?;
            self.repository()?.target(id)
        };
        self.target.get_or_init(read).clone()
    }

    /// Returns the id of the commit that the ref names now, `None` for a tag of a tree or a blob.
    pub fn commit_id(&self) -> Result<Option<ObjectId>, FactError> {
        Ok(self.target()?.commit.as_ref().map(|commit| commit.id))
    }

    /// Returns the commit that the ref names now.
    pub fn commit(&self) -> Result<Option<Rc<Commit>>, FactError> {
        Ok(self.target()?.commit.clone())
    }

    /// Returns the number of the pull request that the push merged, `None` if it merged none or nobody says which.
    ///
    /// # Errors
    /// If the commit cannot be read.
    pub fn merged_pull_request(&self) -> Result<Option<i64>, FactError> {
        let merged = self.push.source().pull_request.filter(|pr| pr.step == MergeStep::Merged);
        match merged {
            // Gitea before 1.26 says that it merged, and its message says what.
            Some(PullRequest { number: None, .. }) => {
                Ok(self.commit()?.and_then(|commit| pull_request::number(&commit)))
            }
            Some(merged) => Ok(merged.number),
            None => Ok(None),
        }
    }

    /// Returns the commits between the old id and the new, by a walk that ends after
    /// [`MAX_VISITED`] commits.
    pub fn range(&self) -> Result<Rc<Range>, FactError> {
        let read = || {
            let Some(new) = self.commit_id()? else {
                return Ok(Rc::new(Range::default()));
            };
            let old = self.old_commit()?;
            Ok(Rc::new(self.repository()?.range(old, new)?))
        };
        self.range.get_or_init(read).clone()
    }

    /// Returns whether the ref was moved to a commit that does not have the old one in its history.
    pub fn is_rewind(&self) -> Result<bool, FactError> {
        if self.update().is_created() || self.update().is_deleted() {
            return Ok(false);
        }
        let range = self.range()?;
        if range.is_truncated && !range.is_fast_forward {
            return Err(FactError::new(format!(
                "the walk ended after {MAX_VISITED} commits, before it met the old commit"
            )));
        }
        Ok(!range.is_fast_forward)
    }

    /// Returns the paths in which the new commit differs from the old one; for a created ref,
    /// from the commit's first parent.
    pub fn changed_paths(&self) -> Result<Rc<ChangedPaths>, FactError> {
        let read = || {
            let Some(commit) = self.commit()? else {
                return Ok(Rc::new(ChangedPaths::default()));
            };
            Ok(Rc::new(self.repository()?.changed_paths(self.base()?, commit.id)?))
        };
        self.paths.get_or_init(read).clone()
    }

    /// Returns the text of a file at the new commit, `None` if it is not there.
    ///
    /// # Errors
    /// If it is larger than [`MAX_FILE`], or cannot be read.
    pub fn file(&self, path: &str) -> Result<Option<Rc<str>>, FactError> {
        self.file_at(self.commit_id()?, path)
    }

    /// Returns the text of a file as it was before the push: at the old commit; for a created ref, at the
    /// commit's first parent.
    ///
    /// # Errors
    /// If it is larger than [`MAX_FILE`], or cannot be read.
    pub fn file_before(&self, path: &str) -> Result<Option<Rc<str>>, FactError> {
        self.file_at(self.base()?, path)
    }

    fn file_at(&self, commit: Option<ObjectId>, path: &str) -> Result<Option<Rc<str>>, FactError> {
        let Some(commit) = commit else { return Ok(None) };
        let key = (commit, path.to_string());
        if let Some(text) = self.files.borrow().get(&key) {
            return Ok(text.clone());
        }
        let text = self.repository()?.file(commit, path)?;
        let mut files = self.files.borrow_mut();
        if files.len() == MAX_FILES {
            files.clear();
        }
        files.insert(key, text.clone());
        Ok(text)
    }

    /// Returns the nearest tag in the new commit's history, as `git describe --tags` does.
    ///
    /// # Errors
    /// If the tags or the history cannot be read.
    pub fn describe(&self) -> Result<Option<Description>, FactError> {
        let read = || match self.commit_id()? {
            Some(commit) => self.repository()?.describe(commit, |_| Some(())),
            None => Ok(None),
        };
        self.description.get_or_init(read).clone()
    }

    /// Returns the version that a tag gives to the new commit itself: a tag of `service` counts more than one that names no
    /// service, then the highest version. A tag of another service says nothing.
    ///
    /// # Errors
    /// If the tags cannot be listed.
    pub fn release_of(&self, service: &str) -> Result<Option<VersionTag>, FactError> {
        let commit = self.commit_id()?;
        commit.map_or(Ok(None), |commit| self.repository()?.release_of(commit, service))
    }

    /// Returns the nearest version in the new commit's history, beside the one that the update names: of the
    /// same service, and no pre-release unless the update names one.
    ///
    /// # Errors
    /// If the tags or the history cannot be read.
    pub fn previous_version(&self) -> Result<Option<VersionTag>, FactError> {
        Ok(self.previous()?.and_then(|found| VersionTag::parse(&found.tag)))
    }

    /// Returns the commits since the previous version; without one, all of the history. The walk ends after
    /// [`MAX_VISITED`] commits.
    ///
    /// # Errors
    /// If the tags or the history cannot be read.
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

    /// Returns what a deployment of the new commit brings where `old` runs; with `paths`, globs as in `[[service]]`, only
    /// what touches them ([`Brought::is_filtered`]). It is remembered once it is whole.
    ///
    /// # Errors
    /// If patience ends ([`FactError::is_out_of_time`]), the update names no commit, or one on the way is missing or broken.
    pub fn brought_since(
        &self,
        old: ObjectId,
        paths: &[String],
        patience: Patience,
    ) -> Result<Rc<Brought>, FactError> {
        let brought = match self.known_since(old) {
            Some(brought) => brought,
            None => {
                let new = self.deployed()?;
                let brought = Rc::new(self.repository()?.brought_between(old, new, MAX_COMMITS, patience)?);
                let mut remembered = self.brought.borrow_mut();
                if !brought.is_truncated && remembered.len() < MAX_BROUGHT {
                    remembered.push((old, brought.clone()));
                }
                brought
            }
        };
        if paths.is_empty() {
            return Ok(brought);
        }
        let ends = (old, self.deployed()?);
        Ok(Rc::new(self.repository()?.only_touching(&brought, ends, paths, patience)?))
    }

    /// Returns the previous version with its commit.
    ///
    /// # Errors
    /// If the tags or the history cannot be read.
    pub fn previous_release(&self) -> Result<Option<(VersionTag, ObjectId)>, FactError> {
        Ok(self.previous()?.and_then(|found| Some((VersionTag::parse(&found.tag)?, found.tagged))))
    }

    /// Returns the same for whoever wants to know how many commits and since when: without paths, and with no commit read
    /// ([`Brought::commits`] may be empty).
    ///
    /// # Errors
    /// As for [`Self::brought_since`].
    pub fn counted_since(&self, old: ObjectId, patience: Patience) -> Result<Rc<Brought>, FactError> {
        match self.known_since(old) {
            Some(brought) => Ok(brought),
            None => {
                let repository = self.repository()?;
                // What the commit-graph knows is a commit, and needs no object to be looked for.
                let new = match self.update().new_id() {
                    Some(id) if repository.is_in_commit_graph(id)? => id,
                    _ => self.deployed()?,
                };
                Ok(Rc::new(repository.brought_between(old, new, 0, patience)?))
            }
        }
    }

    fn known_since(&self, old: ObjectId) -> Option<Rc<Brought>> {
        self.brought.borrow().iter().find(|(since, _)| *since == old).map(|(_, brought)| brought.clone())
    }

    /// Returns the commit that a deployment of what the ref names now would run.
    fn deployed(&self) -> Result<ObjectId, FactError> {
        self.commit_id()?.ok_or_else(|| FactError::new("the ref names no commit, so it brings nothing"))
    }

    /// Returns the tag of the previous version.
    fn previous(&self) -> Result<Option<Description>, FactError> {
        let read = || {
            let Some(commit) = self.commit_id()? else { return Ok(None) };
            let own = self.version_tag();
            let service = own.as_ref().and_then(VersionTag::service);
            let may_be_early = own.as_ref().is_some_and(VersionTag::is_prerelease);
            let rank = |tag: &str| {
                let tag = VersionTag::parse(tag).filter(|tag| {
                    tag.service() == service
                        && (may_be_early || !tag.is_prerelease())
                        && own.as_ref().is_none_or(|own| own.version() != tag.version())
                })?;
                Some(tag.version().clone())
            };
            self.repository()?.describe(commit, rank)
        };
        self.previous.get_or_init(read).clone()
    }

    /// Returns what the new commit is compared with: the old one, or else its first parent.
    fn base(&self) -> Result<Option<ObjectId>, FactError> {
        let old = self.old_commit()?;
        let parent = || Ok(self.commit()?.and_then(|commit| commit.parents.first().copied()));
        old.map_or_else(parent, |old| Ok(Some(old)))
    }

    /// Returns the commit that the ref named before, `None` if it was created by this push or
    /// named something else.
    ///
    /// # Errors
    /// If the old object is missing or broken.
    pub fn old_commit(&self) -> Result<Option<ObjectId>, FactError> {
        let read = || match self.update().old_id() {
            Some(id) => Ok(self.repository()?.target(id)?.commit.as_ref().map(|commit| commit.id)),
            None => Ok(None),
        };
        self.old_commit.get_or_init(read).clone()
    }

    fn repository(&self) -> Result<&Repository, FactError> {
        self.repository.as_deref().map_err(FactError::clone)
    }
}
