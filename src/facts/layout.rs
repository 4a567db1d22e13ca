//! Paths of a repository's parts, and the settings in its own configuration that affect reading.
//!
//! gix could open the whole repository, with its work tree, user, filters and replaced objects. A
//! push needs only objects, refs and HEAD, and opening the rest takes a tenth of the hook's time.

use std::{
    collections::HashSet,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use bstr::{BString, ByteSlice as _};
use gix::{
    config::{File, Source, file::Metadata},
    refs::file::Store,
};

use super::FactError;
use crate::sys::regular_file;

/// Maximum size of the `shallow` file, in bytes.
const MAX_SHALLOW: u64 = 8 << 20;

/// Maximum size of `commondir`, HEAD and `.git`, in bytes. Each holds one file or ref name.
const MAX_NAME: u64 = 64 << 10;

/// Maximum size of the repository's configuration, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// Maximum size of the packed refs, in bytes. A million refs take 90 MB. The file is mapped, not
/// copied.
const MAX_PACKED_REFS: u64 = 256 << 20;

/// Maximum size of `info/alternates` and of the commit-graph chain, in bytes.
const MAX_LIST: u64 = 64 << 10;

/// Maximum number of object directories that a repository may borrow from, including indirect ones.
const MAX_ALTERNATES: usize = 64;

/// Limit for mapped files, in bytes: none. These are packs, their indexes and the commit-graph.
const MAX_MAPPED: u64 = u64::MAX;

/// Paths and settings that are needed to read a repository.
pub(super) struct Layout {
    /// Directory that holds HEAD.
    pub dir: PathBuf,
    /// Directory that holds everything else. It differs from `dir` in a linked work tree.
    common: PathBuf,
    /// Directory that holds the objects.
    pub objects: PathBuf,
    /// Hash function of the object ids.
    pub hash: gix::hash::Kind,
    /// True if the commit-graph may be used (`core.commitGraph`).
    pub has_commit_graph: bool,
    /// True if the multi-pack index may be used (`core.multiPackIndex`).
    pub has_multi_pack_index: bool,
    /// True if refs are stored as reftables (`extensions.refStorage`), which gix cannot read.
    pub has_reftables: bool,
    /// URL of the remote `origin`.
    pub origin: Option<BString>,
}

impl Layout {
    /// Reads the repository's own configuration. System files, user files and the environment are
    /// ignored.
    pub fn of(dir: &Path) -> Result<Self, FactError> {
        // The git directory of a linked work tree holds its HEAD. `commondir` names the directory
        // with the rest.
        let common = match named_in(&dir.join("commondir"), b"")? {
            Some(named) => dir.join(named),
            None => dir.to_path_buf(),
        };
        let config = read(&common.join("config"))?;
        Ok(Self {
            dir: dir.into(),
            objects: common.join("objects"),
            hash: hash(&config)?,
            has_commit_graph: is_on(&config, "core.commitGraph")?,
            has_multi_pack_index: is_on(&config, "core.multiPackIndex")?,
            has_reftables: has_reftables(&config)?,
            origin: config.string("remote.origin.url").map(|url| url.to_vec().into()),
            common,
        })
    }

    /// Returns the content of HEAD, `None` if it does not exist.
    ///
    /// # Errors
    /// Returns an error if it cannot be read, is not a regular file, or is too large.
    pub fn head(&self) -> Result<Option<Vec<u8>>, FactError> {
        read_if_there(&self.dir.join("HEAD"), MAX_NAME)
            .map_err(|err| FactError::from_io("failed to read HEAD", &err))
    }

    /// Checks the files that gix opens when it looks up objects. Opening a FIFO among them could
    /// block forever. Returns the object directories, the own one first, then those that the
    /// repository borrows from, and the number of files beside their packs.
    ///
    /// # Errors
    /// Returns an error if one of them is not a regular file, or is too large.
    pub fn check_objects(&self) -> Result<(Vec<PathBuf>, usize), FactError> {
        let mut dirs = vec![self.objects.clone()];
        let (mut next, mut files) = (0, 0);
        while let Some(dir) = dirs.get(next).cloned() {
            next += 1;
            files += check_packs(&dir.join("pack"))?;
            let path = dir.join("info/alternates");
            let Some(text) = read_if_there(&path, MAX_LIST).map_err(|err| failed(&path, &err))? else {
                continue;
            };
            for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
                // Relative paths start at the first object directory, as in gix.
                let dir = self.objects.join(line.to_path_lossy());
                if dirs.contains(&dir) {
                    continue;
                }
                if dirs.len() > MAX_ALTERNATES {
                    let why = format!("it exceeds the limit of {MAX_ALTERNATES} alternate directories");
                    return Err(failed(&path, &io::Error::other(why)));
                }
                dirs.push(dir);
            }
        }
        Ok((dirs, files))
    }

    /// Checks the files of the commit-graph, which gix opens without checking.
    ///
    /// # Errors
    /// Returns an error if one of them is not a regular file.
    pub fn check_commit_graph(&self) -> Result<(), FactError> {
        let info = self.objects.join("info");
        check(&info.join("commit-graph"), MAX_MAPPED)?;
        let chain = info.join("commit-graphs/commit-graph-chain");
        let Some(text) = read_if_there(&chain, MAX_LIST).map_err(|err| failed(&chain, &err))? else {
            return Ok(());
        };
        let named =
            |hash: &[u8]| info.join(format!("commit-graphs/graph-{}.graph", hash.to_str_lossy().trim()));
        text.lines().try_for_each(|hash| check(&named(hash), MAX_MAPPED))
    }

    /// Returns the ref store. This does not read any refs yet.
    ///
    /// # Errors
    /// Returns an error if `packed-refs`, which gix opens without checking, is not a regular file
    /// or is too large.
    pub fn refs(&self) -> Result<Store, FactError> {
        check(&self.common.join("packed-refs"), MAX_PACKED_REFS)?;
        Ok(self.store())
    }

    fn store(&self) -> Store {
        let (dir, options) = (self.dir.clone(), Default::default());
        if self.common == self.dir {
            return Store::at_opts(dir, self.hash, options);
        }
        Store::for_linked_worktree_opts(dir, self.common.clone(), self.hash, options)
    }

    /// Returns the commits whose parents were not fetched. The set is empty in a full clone.
    pub fn shallow(&self) -> Result<HashSet<gix::ObjectId>, FactError> {
        let wrong = |why: &dyn fmt::Display| FactError::new(format!("failed to read `shallow`: {why}"));
        let text = read_if_there(&self.common.join("shallow"), MAX_SHALLOW)
            .map_err(|err| FactError::from_io("failed to read `shallow`", &err))?;
        let Some(text) = text else { return Ok(HashSet::new()) };
        let id = |line| gix::ObjectId::from_hex(line).map_err(|_| wrong(&"a line is not an object id"));
        text.lines().filter(|line| !line.is_empty()).map(id).collect()
    }

    /// Returns true if the repository is a shallow clone (`git clone --depth`).
    pub fn is_shallow(&self) -> bool {
        self.common.join("shallow").metadata().is_ok_and(|file| file.is_file() && file.len() > 0)
    }
}

/// Returns the directory that a file names after the prefix `before`, `None` if there is no such
/// file.
///
/// # Errors
/// Returns an error if the file cannot be read, or does not name a directory.
pub(super) fn named_in(path: &Path, before: &[u8]) -> Result<Option<PathBuf>, FactError> {
    let Some(text) = read_if_there(path, MAX_NAME).map_err(|err| failed(path, &err))? else {
        return Ok(None);
    };
    let named = text.strip_prefix(before).map(|named| named.trim_end_with(|end| matches!(end, '\n' | '\r')));
    match named.filter(|named| !named.is_empty()) {
        Some(named) => Ok(Some(named.to_path_lossy().into_owned())),
        None => Err(failed(path, &io::Error::other("it does not name a directory"))),
    }
}

fn read_if_there(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    regular_file::open_if_there(path)?.map(|file| regular_file::read_rest(file, limit)).transpose()
}

fn check(path: &Path, limit: u64) -> Result<(), FactError> {
    regular_file::check(path, limit).map_err(|err| failed(path, &err))
}

fn failed(path: &Path, err: &io::Error) -> FactError {
    FactError::from_io(format_args!("failed to read `{}`", path.display()), err)
}

/// Checks the files in a directory of packs, and returns their number. The file types come from the
/// directory listing, which saves a `stat` per file.
fn check_packs(dir: &Path) -> Result<usize, FactError> {
    let entries = match fs::read_dir(dir) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(|err| failed(dir, &err))?,
    };
    let mut files = 0;
    for entry in entries {
        let entry = entry.map_err(|err| failed(dir, &err))?;
        if !entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir()) {
            check(&entry.path(), MAX_MAPPED)?;
        }
        files += 1;
    }
    Ok(files)
}

fn read(path: &Path) -> Result<File, FactError> {
    // Git treats a repository without a configuration file as one of format version 0.
    let text = read_if_there(path, MAX_CONFIG)
        .map_err(|err| FactError::from_io("failed to read its configuration", &err))?
        .unwrap_or_default();
    File::from_bytes_no_includes(&text, Metadata::from(Source::Local), Default::default())
        .map_err(|err| FactError::from_gix("failed to read its configuration", &err))
}

/// Returns the hash function of the object ids. It is an extension, which git accepts only in
/// repositories of format version 1.
fn hash(config: &File) -> Result<gix::hash::Kind, FactError> {
    let key = "core.repositoryFormatVersion";
    let version = config.integer(key).map_err(|err| wrong(key, &err))?.unwrap_or(0);
    let format = config.string("extensions.objectFormat");
    match (version, format.as_deref()) {
        (0 | 1, None) => Ok(gix::hash::Kind::Sha1),
        (1, Some(format)) => format.to_str_lossy().parse().map_err(|_| {
            FactError::new(format!(
                "`extensions.objectFormat` is `{}`, expected `sha1` or `sha256`",
                crate::text::line(format)
            ))
        }),
        (0, Some(_)) => {
            Err(FactError::new("`extensions.objectFormat` needs `core.repositoryFormatVersion` to be 1"))
        }
        _ => Err(FactError::new(format!("`core.repositoryFormatVersion` is {version}, expected 0 or 1"))),
    }
}

/// Returns true if the refs are stored as reftables, false if they are files.
fn has_reftables(config: &File) -> Result<bool, FactError> {
    let Some(format) = config.string("extensions.refStorage") else { return Ok(false) };
    // The name may be followed by `://` and a path (git-config(1)).
    match format.split_str("://").next().unwrap_or_default() {
        b"files" => Ok(false),
        b"reftable" => Ok(true),
        _ => Err(FactError::new(format!(
            "`extensions.refStorage` is `{}`, expected `files` or `reftable`",
            crate::text::line(&*format)
        ))),
    }
}

/// Returns the value of a boolean setting that defaults to true.
fn is_on(config: &File, key: &str) -> Result<bool, FactError> {
    Ok(config.boolean(key).map_err(|err| wrong(key, &err))?.unwrap_or(true))
}

fn wrong(key: &str, err: &gix::Error) -> FactError {
    FactError::from_gix(format_args!("`{key}` is not valid"), err)
}
