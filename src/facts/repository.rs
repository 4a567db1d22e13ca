//! The bare repository, opened read-only.

use std::{
    cell::{OnceCell, Ref, RefCell},
    collections::HashMap,
    fmt,
    path::Path,
    rc::Rc,
};

use bstr::BString;
use gix::{
    commitgraph::Graph,
    objs::{Exists as _, FindExt as _},
    odb::{
        HeaderExt as _,
        pack::cache::object::MemoryCappedHashmap,
        store::init::{Options, Slots},
    },
};

use super::{
    FactError, PeeledObject,
    commit::{self, Commit},
    fork,
    layout::{self, Layout},
    signature::VerifiedObject,
    tags::TagList,
};
use crate::{
    push::{GitDir, ObjectId},
    signature::KeyRing,
    sys::fault::{self, Step},
    sys::time::{Deadline, Timestamp},
    work::{Allowance, Spent},
};

/// Maximum size of an object that is read, in bytes, so that a message of 100 MB costs no memory.
const MAX_OBJECT: usize = 8 << 20;

/// Cost of finding an object, in units of work.
pub(super) const FIND: u64 = 500;

/// Number of bytes of an object that cost one unit of work.
pub(super) const BYTES: u64 = 8;

/// Maximum number of peeled objects and of signatures that are cached, for pushes of many refs.
pub(super) const REMEMBERED: usize = 4096;

/// Maximum number of pack indexes that gix can open (`PackId::max_indices`), and the number that may
/// be added between the listing and the look-up of an object.
const MAX_SLOTS: u16 = (1 << 15) - 1;
const SPARE_SLOTS: usize = 64;

/// A repository that is open for reading.
pub struct Repository {
    pub(super) layout: Layout,
    pub(super) objects: gix::odb::Handle,
    parent: Option<String>,
    pub(super) default_branch: OnceCell<Result<Option<BString>, FactError>>,
    targets: RefCell<HashMap<ObjectId, Rc<PeeledObject>>>,
    pub(super) tag_list: RefCell<Option<Rc<TagList>>>,
    commit_graph: OnceCell<Result<Option<Graph>, FactError>>,
    /// The object database, reopened after an object was not found.
    pub(super) again: OnceCell<Result<gix::odb::Handle, FactError>>,
    /// The keys of the signers, read when the first signature is verified.
    pub(super) key_ring: OnceCell<Result<KeyRing, FactError>>,
    /// Commits and tags whose signatures were verified, by object and time of the push.
    pub(super) verified: RefCell<HashMap<(ObjectId, Timestamp), Rc<VerifiedObject>>>,
    /// The first error of a read that the system refused.
    trouble: RefCell<Option<FactError>>,
    /// The remaining allowance for reads.
    allowance: RefCell<Allowance>,
}

impl Repository {
    /// Opens the repository with its own configuration only. System files, user files and the
    /// environment are ignored.
    ///
    /// Replacements in `refs/replace` are ignored, as git under Gitea does. Otherwise a push of
    /// such a ref could change the content of a marker.
    ///
    /// # Errors
    /// Returns an error if `dir` is not a repository, or cannot be read.
    pub fn open(dir: &GitDir) -> Result<Self, FactError> {
        let dir = dir.as_path();
        let what = format!("failed to open the repository `{}`", dir.display());
        let layout = Layout::of(dir).map_err(|err| err.in_context(&what))?;
        let (object_dirs, files) = layout.check_objects().map_err(|err| {
            err.in_context(format_args!("failed to open the repository `{}`", dir.display()))
        })?;
        let objects = open_objects(&layout, slots(files)).map_err(|err| err.in_context(&what))?;
        Ok(Self {
            parent: fork::parent(&layout, &object_dirs),
            layout,
            objects,
            again: OnceCell::new(),
            default_branch: OnceCell::new(),
            targets: RefCell::default(),
            tag_list: RefCell::default(),
            commit_graph: OnceCell::new(),
            key_ring: OnceCell::new(),
            verified: RefCell::default(),
            trouble: RefCell::default(),
            allowance: RefCell::new(Allowance::new(u64::MAX, Deadline::never())),
        })
    }

    /// Returns why pushes to the repository in `dir` cannot be decided, if its format or its HEAD
    /// cannot be read.
    pub fn flaw(dir: &Path) -> Option<String> {
        let has_reftables = match Layout::of(dir) {
            Err(err) => return Some(err.to_string()),
            Ok(layout) => layout.has_reftables,
        };
        // git reads reftables, so it is worth a try.
        let repository = has_reftables.then(|| Self::open(&GitDir::resolve(None, dir)))?;
        repository
            .and_then(|repository| repository.default_branch().map(|_| ()))
            .err()
            .map(|err| err.to_string())
    }

    /// Returns the full name of the repository that this one is a fork of.
    pub fn parent(&self) -> Option<&str> {
        self.parent.as_deref()
    }

    /// Sets the allowance for reads from now on. The default is unlimited.
    pub fn allow(&self, allowance: Allowance) {
        self.allowance.replace(allowance);
    }

    /// Returns the units of work that were spent since the allowance was set.
    pub fn spent(&self) -> u64 {
        self.allowance.borrow().spent()
    }

    /// Spends units of work.
    pub(super) fn spend(&self, units: u64) -> Result<(), Spent> {
        self.allowance.borrow().spend(units)
    }

    /// Returns the remaining allowance, for work on the repository's content.
    pub(super) fn allowance(&self) -> Ref<'_, Allowance> {
        self.allowance.borrow()
    }

    /// Returns the first error by which the system refused a read of this repository.
    ///
    /// Facts that were read later may be wrong without an error, because some readers treat a file
    /// that they cannot read as missing.
    pub fn trouble(&self) -> Option<FactError> {
        self.trouble.borrow().clone()
    }

    /// Returns the error of a read by gix, and records it if the system refused the read.
    pub(super) fn failed(&self, what: impl fmt::Display, err: &gix::Error) -> FactError {
        self.noted(FactError::from_gix(what, err))
    }

    /// Records an error if the system caused it.
    pub(super) fn noted(&self, err: FactError) -> FactError {
        if err.is_of_system() {
            self.trouble.borrow_mut().get_or_insert_with(|| err.clone());
        }
        err
    }

    /// Finds the git directory for a path: that of a bare repository, or of a clone with a work
    /// tree.
    ///
    /// # Errors
    /// Returns an error if there is none.
    pub fn locate(path: &Path) -> Result<GitDir, FactError> {
        let none =
            |why: String| FactError::new(format!("`{}` is not a git repository: {why}", path.display()));
        let path = std::path::absolute(path).map_err(|err| none(err.to_string()))?;
        if path.join("HEAD").is_file() && path.join("objects").is_dir() {
            return Ok(GitDir::resolve(None, &path));
        }
        if !path.join(".git").exists() {
            let found =
                if path.is_dir() { "it has neither `HEAD` nor `.git`" } else { "there is no such directory" };
            return Err(none(found.into()));
        }
        // In a linked work tree, `.git` is a file that names the directory.
        let git_dir = path.join(".git");
        let git_dir = if git_dir.is_dir() {
            git_dir
        } else {
            let named = layout::named_in(&git_dir, b"gitdir: ").map_err(|err| none(err.to_string()))?;
            path.join(named.ok_or_else(|| none("`.git` has been removed".into()))?)
        };
        if !git_dir.join("HEAD").is_file() {
            return Err(none(format!("`{}` has no `HEAD`", git_dir.display())));
        }
        Ok(GitDir::resolve(None, &git_dir))
    }

    /// Caches objects in up to `bytes` of memory, for callers that read a long history.
    #[must_use]
    pub fn with_cache(mut self, bytes: usize) -> Self {
        self.objects.set_object_cache(move || Box::new(MemoryCappedHashmap::new(bytes)));
        self
    }

    /// Returns the object that `id` leads to through annotated tags.
    pub(super) fn target(&self, id: ObjectId) -> Result<Rc<PeeledObject>, FactError> {
        if let Some(target) = self.targets.borrow().get(&id) {
            return Ok(target.clone());
        }
        let target = Rc::new(commit::peel(self, id)?);
        let mut targets = self.targets.borrow_mut();
        if targets.len() == REMEMBERED {
            targets.clear();
        }
        targets.insert(id, target.clone());
        Ok(target)
    }

    /// Returns the commit `id`, from the cache if it was read before.
    pub(super) fn commit(&self, id: ObjectId) -> Result<Rc<Commit>, FactError> {
        let target = self.target(id)?;
        target.commit.clone().ok_or_else(|| FactError::new(format!("object {id} is not a commit")))
    }

    /// Returns the commit `id` if it is in the cache.
    pub(super) fn known_commit(&self, id: ObjectId) -> Option<Rc<Commit>> {
        self.targets.borrow().get(&id)?.commit.clone()
    }

    /// Reads the object `id`.
    pub(super) fn object(&self, id: ObjectId) -> Result<RawObject, FactError> {
        self.read(&gix_id(id)).map_err(|unread| match unread {
            Unread::TooLarge => FactError::new(format!(
                "failed to read object {id}: it is larger than the limit of {MAX_OBJECT} bytes"
            )),
            Unread::Spent(spent) => spent_on(spent, &format!("reading object {id}")),
            Unread::Failed(err) => err,
        })
    }

    /// Reads the object `id`, and spends its cost.
    pub(super) fn read(&self, id: &gix::hash::oid) -> Result<RawObject, Unread> {
        let mut data = Vec::new();
        // The empty tree exists in every repository, even if it is not stored.
        if id == gix::ObjectId::empty_tree(self.layout.hash) {
            return Ok(RawObject { kind: gix::objs::Kind::Tree, data });
        }
        self.spend(FIND)?;
        let refused = |err| Unread::Failed(self.noted(FactError::from_io("failed to read an object", &err)));
        fault::point(Step::Read, &self.layout.objects).map_err(refused)?;
        let kind = match self.objects.find(id, &mut data) {
            Ok(found) => found.kind,
            Err(err)
                if err.is_not_found()
                    && let Some(refused) = self.second_look(id) =>
            {
                return Err(Unread::Failed(refused));
            }
            Err(err) => {
                let is_large =
                    || self.objects.header(id).is_ok_and(|header| header.size() > MAX_OBJECT as u64);
                if is_large() {
                    return Err(Unread::TooLarge);
                }
                return Err(Unread::Failed(self.failed(format_args!("failed to read object {id}"), &err)));
            }
        };
        self.spend(data.len() as u64 / BYTES)?;
        Ok(RawObject { kind, data })
    }

    /// Checks that a pushed object exists. If it does not, the repository was replaced by another
    /// one, or a restore has brought back only part of it.
    ///
    /// # Errors
    /// Returns a system error if the object is missing.
    pub fn check_pushed(&self, id: ObjectId) -> Result<(), FactError> {
        let gix_id = gix_id(id);
        if gix_id == gix::ObjectId::empty_tree(self.layout.hash) || self.objects.exists(&gix_id) {
            return Ok(());
        }
        let err = self.second_look(&gix_id).unwrap_or_else(|| {
            FactError::system(format!(
                "pushed object {id} is missing from the repository; was the repository replaced?"
            ))
        });
        Err(self.noted(err))
    }

    /// Returns the hash function of the object ids.
    pub(super) fn hash(&self) -> gix::hash::Kind {
        self.layout.hash
    }

    /// Returns the commit-graph, if it exists and the configuration allows it. It is opened once.
    /// Like git, this ignores one that is broken, for example empty after a power cut: it holds nothing
    /// that the commits do not say.
    ///
    /// # Errors
    /// Returns an error if the system refused to read it.
    pub(super) fn commit_graph(&self) -> Result<Option<&Graph>, FactError> {
        let open = || {
            self.layout.check_commit_graph().map_err(|err| self.noted(err))?;
            let info = self.layout.objects.join("info");
            fault::point(Step::Open, &info)
                .map_err(|err| self.noted(FactError::from_io("failed to open the commit-graph", &err)))?;
            Graph::at(&info, self.layout.hash, Some(MAX_OBJECT)).map_err(|err| {
                if err.is_not_found() {
                    return FactError::new("the commit-graph does not exist");
                }
                self.failed("failed to open the commit-graph", &err)
            })
        };
        let open_if_usable = || {
            if !self.layout.has_commit_graph {
                return Ok(None);
            }
            match open() {
                Err(err) if !err.is_of_system() => Ok(None),
                opened => opened.map(Some),
            }
        };
        match self.commit_graph.get_or_init(open_if_usable) {
            Ok(graph) => Ok(graph.as_ref()),
            Err(err) => Err(err.clone()),
        }
    }

    /// Returns true if `id` is a commit in the commit-graph. This does not read objects.
    pub(super) fn is_in_commit_graph(&self, id: ObjectId) -> Result<bool, FactError> {
        let id = gix_id(id);
        Ok(id.kind() == self.hash() && self.commit_graph()?.is_some_and(|graph| graph.lookup(id).is_some()))
    }
}

/// Returns room for the pack indexes of a repository with this many files beside its packs, so that
/// gix need not list them to find out. A pack has an index and at least one more file.
fn slots(files: usize) -> Slots {
    Slots::Given(u16::try_from(files / 2 + SPARE_SLOTS).unwrap_or(u16::MAX).min(MAX_SLOTS))
}

/// Opens the object database of a repository.
pub(super) fn open_objects(layout: &Layout, slots: Slots) -> Result<gix::odb::Handle, FactError> {
    let options = Options {
        slots,
        use_multi_pack_index: layout.has_multi_pack_index,
        alloc_limit_bytes: Some(MAX_OBJECT),
        current_dir: Some(layout.dir.clone()),
        ..Options::default()
    };
    let what = "failed to open its objects";
    fault::point(Step::Open, &layout.objects).map_err(|err| FactError::from_io(what, &err))?;
    gix::odb::at_opts(&layout.objects, layout.hash, None, options)
        .map_err(|err| FactError::from_source(what, &err))
}

/// Reason for an object that was not read.
pub(super) enum Unread {
    /// The object exceeds the size limit.
    TooLarge,
    Spent(Spent),
    Failed(FactError),
}

impl From<Spent> for Unread {
    fn from(spent: Spent) -> Self {
        Self::Spent(spent)
    }
}

/// An object of the repository.
pub(super) struct RawObject {
    pub kind: gix::objs::Kind,
    pub data: Vec<u8>,
}

/// Returns the error for work that exceeded its allowance.
pub(super) fn spent_on(spent: Spent, what: &str) -> FactError {
    match spent {
        Spent::Time => FactError::out_of_time(format!("{what} ran out of time")),
        Spent::Work => FactError::new(format!("{what} exceeds the work limit of one update")),
    }
}

/// Converts gix's id to ours.
pub(super) fn own_id(id: &gix::hash::oid) -> Result<ObjectId, FactError> {
    ObjectId::from_raw(id.as_bytes()).ok_or_else(|| FactError::new("an id is neither SHA-1 nor SHA-256"))
}

/// Converts our id to gix's.
pub(super) fn gix_id(id: ObjectId) -> gix::ObjectId {
    gix::ObjectId::from_bytes_or_panic(id.as_bytes())
}
