//! Finds all names that a repository has had, from the journal's records of pushes.
//!
//! Gitea's id identifies a repository, outside of Gitea its directory. A name alone does not: after
//! a rename, another repository can get the old name.

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use bstr::Finder;
use serde::Deserialize;

use crate::{
    push::{GitDir, PushId, RepositoryIdentity},
    state::Journal,
};

/// Number of bytes at the start of a line that contain its record type, which follows the time.
pub(super) const HEAD: usize = 80;

/// All names of a repository.
#[derive(Debug, Default)]
pub(super) struct RepositoryNames {
    /// Its names in the journal, the newest last, each once if case is ignored. If the journal has
    /// no push to it, the name that the user gave.
    names: Vec<String>,
    /// How records of pushes describe other repositories that have or had one of the names.
    foreign: HashSet<Vec<u8>>,
    /// Its directory at the newest push, if the journal has one.
    git_dir: Option<GitDir>,
    /// Gitea's id and base URL at the newest push, if the journal has them.
    id: Option<i64>,
    root_url: Option<String>,
    /// True if the journal has a push to it.
    is_known: bool,
}

/// The last record of a push with some description.
#[derive(Default)]
struct LastRecord {
    nth: usize,
    root_url: Vec<u8>,
}

/// The repository in the record of a push.
#[derive(Debug, Deserialize)]
struct PushHeader {
    repository: String,
    git_dir: Option<GitDir>,
    repository_id: Option<i64>,
    root_url: Option<String>,
}

impl PushHeader {
    fn is_same(&self, other: &Self) -> bool {
        match (self.repository_id, other.repository_id) {
            (Some(id), Some(other)) => id == other,
            // Before the first push, `backfill` knows only the directory.
            _ => self.git_dir.is_some() && self.git_dir == other.git_dir,
        }
    }

    fn has_name(&self, name: &str) -> bool {
        let of_dir = || self.git_dir.as_ref().map(RepositoryIdentity::of_dir);
        self.repository.eq_ignore_ascii_case(name)
            || of_dir().is_some_and(|named| named.full_name().eq_ignore_ascii_case(name))
    }
}

impl RepositoryNames {
    /// Looks for the repository in this directory, or with this name now or formerly.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn find(journal: &Journal, name: &str, git_dir: Option<&GitDir>) -> anyhow::Result<Self> {
        // Thousands of records say the same, so each description is parsed once.
        let mut last_seen: HashMap<Vec<u8>, LastRecord> = HashMap::new();
        let finder = DescriptionFinder::new();
        let mut nth = 0;
        journal.each_line("", |_, line| {
            if let Some(description) = finder.in_line(line) {
                nth += 1;
                let seen = match last_seen.get_mut(description) {
                    Some(seen) => seen,
                    None => last_seen.entry(description.to_vec()).or_default(),
                };
                seen.nth = nth;
                let root_url = finder.root_url(line);
                if seen.root_url != root_url {
                    seen.root_url = root_url.to_vec();
                }
            }
            Ok(())
        })?;
        let mut described: Vec<(usize, Vec<u8>, PushHeader)> = last_seen
            .into_iter()
            .filter_map(|(text, LastRecord { nth, root_url })| {
                let json = [&b"{"[..], &text, &root_url, b"}"].concat();
                Some((nth, text, serde_json::from_slice(&json).ok()?))
            })
            .collect();
        described.sort_unstable_by_key(|(nth, ..)| *nth);
        // The hook's path has no symbolic links.
        let real = git_dir.and_then(|dir| fs::canonicalize(dir.as_path()).ok());
        let is_in_dir = |header: &PushHeader| {
            header.git_dir.as_ref().is_some_and(|dir| {
                git_dir == Some(dir) || real.as_deref().is_some_and(|real| real == dir.as_path())
            })
        };
        let latest = |is_it: &dyn Fn(&PushHeader) -> bool| {
            described.iter().rev().map(|(.., header)| header).find(|header| is_it(header))
        };
        let Some(it) = latest(&is_in_dir).or_else(|| latest(&|header| header.has_name(name))) else {
            return Ok(Self::only(name));
        };
        let mut found = Self { is_known: true, ..Self::default() };
        for (.., header) in described.iter().filter(|(.., header)| header.is_same(it)) {
            found.names.retain(|known| !known.eq_ignore_ascii_case(&header.repository));
            found.names.push(header.repository.clone());
            found.git_dir.clone_from(&header.git_dir);
            found.id = header.repository_id;
            found.root_url.clone_from(&header.root_url);
        }
        let is_foreign = |header: &PushHeader| !header.is_same(it) && found.has(&header.repository);
        let foreign = described.iter().filter(|(.., header)| is_foreign(header));
        found.foreign = foreign.map(|(_, text, _)| text.clone()).collect();
        Ok(found)
    }

    /// Returns a repository that has only had this name.
    pub fn only(name: &str) -> Self {
        Self { names: vec![name.to_string()], ..Self::default() }
    }

    /// Returns true if the journal has a push to it.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Returns its directory at the newest push, if it is still there.
    pub fn git_dir(&self) -> Option<&GitDir> {
        self.git_dir.as_ref().filter(|dir| dir.as_path().join("HEAD").exists())
    }

    /// Returns Gitea's id of it, if the journal has it.
    pub fn id(&self) -> Option<i64> {
        self.id
    }

    /// Returns Gitea's base URL at the newest push, if the journal has it.
    pub fn root_url(&self) -> Option<&str> {
        self.root_url.as_deref()
    }

    /// Returns its names, the newest last.
    pub fn all(&self) -> &[String] {
        &self.names
    }

    /// Returns its newest name.
    pub fn newest(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }

    /// Returns true if this is or was its name. Case is ignored.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// The pushes to other repositories with one of the names, found while the journal is read.
pub(super) struct ForeignPushes<'n> {
    names: &'n RepositoryNames,
    finder: DescriptionFinder,
    pushes: HashSet<PushId>,
}

impl<'n> ForeignPushes<'n> {
    /// Starts without any pushes.
    pub fn new(names: &'n RepositoryNames) -> Self {
        Self { names, finder: DescriptionFinder::new(), pushes: HashSet::new() }
    }

    /// Notes the push of this line, if it is the record of one. The record of a push is before those
    /// of its decisions.
    pub fn note(&mut self, line: &[u8]) {
        if !self.names.foreign.is_empty()
            && self.finder.in_line(line).is_some_and(|description| self.names.foreign.contains(description))
        {
            self.pushes.extend(push_of(line));
        }
    }

    /// Returns true if this line is the record of a decision on one of these pushes.
    pub fn has_decision(&self, line: &[u8]) -> bool {
        !self.pushes.is_empty() && push_of(line).is_some_and(|push| self.pushes.contains(&push))
    }
}

/// Returns the push of a record.
fn push_of(line: &[u8]) -> Option<PushId> {
    #[derive(Deserialize)]
    struct OfPush {
        push: PushId,
    }
    serde_json::from_slice(line).ok().map(|OfPush { push }| push)
}

/// Finds the part of a push's record that describes the repository.
struct DescriptionFinder {
    record: Finder<'static>,
    begin: Finder<'static>,
    end: Finder<'static>,
    root_url: Finder<'static>,
}

impl DescriptionFinder {
    fn new() -> Self {
        Self {
            record: Finder::new(b"\"record\":\"push\""),
            begin: Finder::new(b"\"repository\":"),
            end: Finder::new(b",\"captured\":"),
            root_url: Finder::new(b",\"root_url\":\""),
        }
    }

    /// Returns the member `root_url` with the comma before it, or nothing. A text cannot contain its
    /// beginning, because quotation marks are escaped there. A URL with a quotation mark is not read.
    fn root_url<'l>(&self, line: &'l [u8]) -> &'l [u8] {
        let Some(at) = self.root_url.find(line) else { return b"" };
        let rest = &line[at..];
        let value = self.root_url.needle().len();
        let end = rest[value..].iter().position(|byte| *byte == b'"').map(|end| value + end + 1);
        end.map_or(b"", |end| &rest[..end])
    }

    fn in_line<'l>(&self, line: &'l [u8]) -> Option<&'l [u8]> {
        self.record.find(&line[..line.len().min(HEAD)])?;
        let rest = &line[self.begin.find(line)?..];
        Some(&rest[..self.end.find(rest)?])
    }
}
