//! The bare repository, opened read-only.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    fmt,
    path::Path,
    rc::Rc,
};

use bstr::{BStr, BString, ByteSlice as _};
use gix::{
    commitgraph::Graph,
    objs::FindExt as _,
    odb::{pack::cache::object::MemoryCappedHashmap, store::init::Options},
};

use super::{
    FactError, Target,
    commit::{self, Commit},
    describe::Releases,
    layout::Layout,
};
use crate::push::{GitDir, ObjectId};

/// No object above this size is read, in bytes, so that a message of 100 MB costs no memory.
const MAX_OBJECT: usize = 8 << 20;

/// How many peeled objects are remembered during a push of many refs.
const REMEMBERED: usize = 4096;

/// A repository that is open for reading.
pub struct Repository {
    pub(super) layout: Layout,
    pub(super) objects: gix::odb::Handle,
    default_branch: OnceCell<Result<Option<BString>, FactError>>,
    targets: RefCell<HashMap<ObjectId, Rc<Target>>>,
    pub(super) releases: OnceCell<Result<Releases, FactError>>,
    commit_graph: OnceCell<Result<Option<Graph>, FactError>>,
}

impl Repository {
    /// Opens the repository with its own configuration alone: no system or user file and no
    /// environment has a say. An object that `refs/replace` has another for is read as it was pushed, as git under
    /// Gitea does: what can be pushed there must not change what a marker says.
    ///
    /// # Errors
    /// If it is no repository or cannot be read.
    pub fn open(dir: &GitDir) -> Result<Self, FactError> {
        let dir = dir.as_path();
        let failed = |why: &dyn fmt::Display| {
            FactError::new(format!("failed to open the repository `{}`: {why}", dir.display()))
        };
        let layout = Layout::of(dir).map_err(|err| failed(&err))?;
        let options = Options {
            use_multi_pack_index: layout.has_multi_pack_index,
            alloc_limit_bytes: Some(MAX_OBJECT),
            current_dir: Some(dir.into()),
            ..Options::default()
        };
        let objects = gix::odb::at_opts(&layout.objects, layout.hash, None, options)
            .map_err(|err| failed(&crate::text::line(err.to_string())))?;
        Ok(Self {
            layout,
            objects,
            default_branch: OnceCell::new(),
            targets: RefCell::default(),
            releases: OnceCell::new(),
            commit_graph: OnceCell::new(),
        })
    }

    /// Finds the git directory of what a person calls a repository: a bare one, or a clone with its files.
    ///
    /// # Errors
    /// If there is none.
    pub fn locate(path: &Path) -> Result<GitDir, FactError> {
        let none = |why: String| FactError::new(format!("`{}` is no git repository: {why}", path.display()));
        let path = std::path::absolute(path).map_err(|err| none(err.to_string()))?;
        if path.join("HEAD").is_file() && path.join("objects").is_dir() {
            return Ok(GitDir::resolve(None, &path));
        }
        if !path.join(".git").exists() {
            let found =
                if path.is_dir() { "it has neither `HEAD` nor `.git`" } else { "there is no such directory" };
            return Err(none(found.into()));
        }
        let gix = gix::open_opts(&path, gix::open::Options::isolated()).map_err(|err| none(told(&err)))?;
        Ok(GitDir::resolve(None, gix.git_dir()))
    }

    /// Has objects that were read remembered in up to `bytes` of memory, for whoever reads a long history.
    #[must_use]
    pub fn with_cache(mut self, bytes: usize) -> Self {
        self.objects.set_object_cache(move || Box::new(MemoryCappedHashmap::new(bytes)));
        self
    }

    /// Returns the short name of the branch that `HEAD` names, `None` if it names no branch.
    pub fn default_branch(&self) -> Result<Option<&BStr>, FactError> {
        // HEAD itself says it; what the branch names is of no interest here, and not read.
        let read = || {
            let head = self
                .layout
                .refs()
                .try_find_loose("HEAD")
                .map_err(|err| FactError::new(format!("failed to read HEAD: {}", told(&err))))?;
            let name =
                head.as_ref().and_then(|head| head.target.try_name().map(|name| name.as_bstr().to_owned()));
            Ok(name.and_then(|name| name.strip_prefix(b"refs/heads/").map(BString::from)))
        };
        match self.default_branch.get_or_init(read) {
            Ok(branch) => Ok(branch.as_ref().map(|branch| branch.as_bstr())),
            Err(err) => Err(err.clone()),
        }
    }

    /// Returns what `id` comes to when every annotated tag is followed.
    pub(super) fn target(&self, id: ObjectId) -> Result<Rc<Target>, FactError> {
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

    /// Returns the commit `id`, read before or not.
    pub(super) fn commit(&self, id: ObjectId) -> Result<Rc<Commit>, FactError> {
        let target = self.target(id)?;
        target.commit.clone().ok_or_else(|| FactError::new(format!("object {id} is no commit")))
    }

    /// Reads the object `id`.
    pub(super) fn object(&self, id: ObjectId) -> Result<Object, FactError> {
        let mut data = Vec::new();
        // Every repository has this one, and none needs to hold it.
        if gix_id(id) == gix::ObjectId::empty_tree(self.layout.hash) {
            return Ok(Object { kind: gix::objs::Kind::Tree, data });
        }
        let kind = self
            .objects
            .find(&gix_id(id), &mut data)
            .map_err(|err| FactError::new(format!("failed to read object {id}: {}", told(&err))))?
            .kind;
        Ok(Object { kind, data })
    }

    /// Returns the format of ids.
    pub(super) fn hash(&self) -> gix::hash::Kind {
        self.layout.hash
    }

    /// Returns the commit-graph, if there is one and the repository wants it used; it is opened once.
    pub(super) fn commit_graph(&self) -> Result<Option<&Graph>, FactError> {
        let open = || {
            if !self.layout.has_commit_graph {
                return Ok(None);
            }
            let info = self.layout.objects.join("info");
            match Graph::at(&info, self.layout.hash, Some(MAX_OBJECT)) {
                Err(err) if err.is_not_found() => Ok(None),
                Err(err) => Err(FactError::new(format!("failed to open the commit-graph: {}", told(&err)))),
                Ok(graph) => Ok(Some(graph)),
            }
        };
        match self.commit_graph.get_or_init(open) {
            Ok(graph) => Ok(graph.as_ref()),
            Err(err) => Err(err.clone()),
        }
    }

    /// Returns whether this is the id of a commit for certain, without a look at objects.
    pub(super) fn is_in_commit_graph(&self, id: ObjectId) -> Result<bool, FactError> {
        let id = gix_id(id);
        Ok(id.kind() == self.hash() && self.commit_graph()?.is_some_and(|graph| graph.lookup(id).is_some()))
    }
}

/// An object of the repository.
pub(super) struct Object {
    pub kind: gix::objs::Kind,
    pub data: Vec<u8>,
}

/// Returns our id of gix's.
pub(super) fn own_id(id: &gix::hash::oid) -> Result<ObjectId, FactError> {
    ObjectId::from_raw(id.as_bytes()).ok_or_else(|| FactError::new("an id is neither SHA-1 nor SHA-256"))
}

/// Returns gix's id of ours.
pub(super) fn gix_id(id: ObjectId) -> gix::ObjectId {
    gix::ObjectId::from_bytes_or_panic(id.as_bytes())
}

/// Returns an error with its causes as one line; gix's own `Display` shows only the first.
pub(super) fn told(err: &gix::Error) -> String {
    crate::text::line(format!("{err:#}"))
}
