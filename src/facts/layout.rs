//! Where a repository keeps its parts, and what its own configuration says of how they are read.
//!
//! gix could open the whole of a repository, with its work tree, user, filters and replaced objects. A push
//! needs its objects and its HEAD, and finding out about the rest takes the hook a tenth of its time.

use std::{
    collections::HashSet,
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bstr::{BString, ByteSlice as _};
use gix::{
    config::{File, Source, file::Metadata},
    refs::file::Store,
};

use super::{FactError, repository::told};

/// How large the list of a shallow clone's edge may be, in bytes.
const MAX_SHALLOW: u64 = 8 << 20;

/// What has to be known to read a repository.
pub(super) struct Layout {
    /// Where HEAD is.
    dir: PathBuf,
    /// Where everything else is: the same, but for a linked work tree.
    common: PathBuf,
    /// The directory of the objects.
    pub objects: PathBuf,
    /// The format of ids.
    pub hash: gix::hash::Kind,
    /// Whether the file of the commit graph may be trusted.
    pub has_commit_graph: bool,
    /// Whether the index over all packs may be.
    pub has_multi_pack_index: bool,
    /// Where a clone is from.
    pub origin: Option<BString>,
}

impl Layout {
    /// Reads the repository's own configuration; no system or user file and no environment has a say.
    pub fn of(dir: &Path) -> Result<Self, FactError> {
        // What a linked work tree calls its repository keeps HEAD; the rest is where `commondir` says.
        let common = match gix::discover::path::from_plain_file(&dir.join("commondir")) {
            Some(named) => {
                dir.join(named.map_err(|err| FactError::new(format!("failed to read commondir: {err}")))?)
            }
            None => dir.to_path_buf(),
        };
        let config = read(&common.join("config"))?;
        Ok(Self {
            dir: dir.into(),
            objects: common.join("objects"),
            hash: hash(&config)?,
            has_commit_graph: is_on(&config, "core.commitGraph")?,
            has_multi_pack_index: is_on(&config, "core.multiPackIndex")?,
            origin: config.string("remote.origin.url").map(|url| url.to_vec().into()),
            common,
        })
    }

    /// Returns the refs; nothing is read yet.
    pub fn refs(&self) -> Store {
        let (dir, options) = (self.dir.clone(), Default::default());
        if self.common == self.dir {
            return Store::at_opts(dir, self.hash, options);
        }
        Store::for_linked_worktree_opts(dir, self.common.clone(), self.hash, options)
    }

    /// Returns the commits whose parents were not fetched: none in a repository that has all of its history.
    pub fn shallow(&self) -> Result<HashSet<gix::ObjectId>, FactError> {
        let wrong = |why: &dyn fmt::Display| FactError::new(format!("failed to read `shallow`: {why}"));
        let file = match fs::File::open(self.common.join("shallow")) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
            opened => opened.map_err(|err| wrong(&err))?,
        };
        let mut text = Vec::new();
        file.take(MAX_SHALLOW + 1).read_to_end(&mut text).map_err(|err| wrong(&err))?;
        if text.len() as u64 > MAX_SHALLOW {
            return Err(wrong(&format!("it is larger than {MAX_SHALLOW} bytes")));
        }
        let id = |line| gix::ObjectId::from_hex(line).map_err(|_| wrong(&"a line of it is no id"));
        text.lines().filter(|line| !line.is_empty()).map(id).collect()
    }

    /// Returns whether the repository has only a part of its history (`git clone --depth`).
    pub fn is_shallow(&self) -> bool {
        self.common.join("shallow").metadata().is_ok_and(|file| file.is_file() && file.len() > 0)
    }
}

fn read(path: &Path) -> Result<File, FactError> {
    let text = match fs::read(path) {
        // Git takes a repository without one for what all were once.
        Err(err) if err.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(|err| FactError::new(format!("failed to read its configuration: {err}")))?,
    };
    File::from_bytes_no_includes(&text, Metadata::from(Source::Local), Default::default())
        .map_err(|err| FactError::new(format!("failed to read its configuration: {}", told(&err))))
}

/// Returns the format of ids. It is an extension, which git takes from a repository of version 1 only.
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

/// Returns what a switch says that is on by default.
fn is_on(config: &File, key: &str) -> Result<bool, FactError> {
    Ok(config.boolean(key).map_err(|err| wrong(key, &err))?.unwrap_or(true))
}

fn wrong(key: &str, err: &gix::Error) -> FactError {
    FactError::new(format!("`{key}` is wrong: {}", told(err)))
}
