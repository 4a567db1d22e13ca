//! Reads the text of a file at a commit. Symbolic links are followed as long as they stay inside the
//! tree.

use std::rc::Rc;

use bstr::ByteSlice as _;
use gix::odb::HeaderExt as _;

use super::{
    FactError, Facts, Repository,
    repository::{gix_id, own_id, spent_on},
    trees,
};
use crate::{document, push::ObjectId, text};

/// Maximum size of a file that is read, in bytes. It is also the limit for documents.
pub const MAX_FILE: usize = document::MAX_SIZE;

/// Maximum number of symbolic links on the way to a file.
const MAX_LINKS: usize = 8;

/// Maximum length of the target of a symbolic link, in bytes. It is Linux's own limit.
const MAX_TARGET: u64 = 4096;

/// Maximum number of files that one update caches.
const MAX_FILES: usize = 16;

/// File types in a tree.
const KIND: u32 = 0o170_000;
const TREE: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Cost of parsing a byte of a file, in units of work. YAML is the slowest format.
const PARSE: u64 = 16;

impl Facts {
    /// Returns the text of a file at the new commit, `None` if there is no such file. Symbolic links
    /// inside the repository are followed.
    ///
    /// # Errors
    /// Returns an error if the file is larger than 256 KiB, if a link leaves the repository, or if
    /// the file cannot be read.
    pub fn file(&self, path: &str) -> Result<Option<Rc<str>>, FactError> {
        self.file_at(self.commit_id()?, path)
    }

    /// Returns the text of a file before the push: at the old commit, or for a ref that was created or not
    /// moved at the commit's first parent.
    ///
    /// # Errors
    /// Returns an error if the file is larger than 256 KiB, or cannot be read.
    pub fn file_before(&self, path: &str) -> Result<Option<Rc<str>>, FactError> {
        self.file_at(self.base()?, path)
    }

    /// Returns true if a file was asked for that does not exist.
    pub fn misses_file(&self) -> bool {
        self.files.borrow().values().any(Option::is_none)
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

    /// Returns the text of a file like [`Facts::file`], for a caller that parses it. Spends the work
    /// of parsing.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if time is up.
    pub fn file_to_parse(&self, path: &str) -> Result<Option<Rc<str>>, FactError> {
        let Some(content) = self.file(path)? else { return Ok(None) };
        let spent = self.repository()?.spend(PARSE * content.len() as u64);
        spent.map_err(|spent| spent_on(spent, "parsing version files"))?;
        Ok(Some(content))
    }
}

impl Repository {
    /// Returns the text of the file at `path` in a commit. Invalid UTF-8 becomes U+FFFD. Returns
    /// `None` if there is nothing at `path`, or a directory, a submodule or a symbolic link to
    /// nothing.
    ///
    /// # Errors
    /// Returns an error if the file is larger than [`MAX_FILE`], if a symbolic link leaves the
    /// repository or leads through too many others, or if an object is missing or broken.
    pub(super) fn file(&self, commit: ObjectId, path: &str) -> Result<Option<Rc<str>>, FactError> {
        let Some(id) = self.find_file(commit, path)? else { return Ok(None) };
        // Check the size before the content is unpacked.
        let size = self.size(id, commit, path)?;
        if size > MAX_FILE as u64 {
            return Err(FactError::new(format!(
                "`{}` has {size} bytes, the limit is {MAX_FILE}",
                text::line(path)
            )));
        }
        let blob = self.object(own_id(&id)?)?;
        Ok(Some(blob.data.to_str_lossy().into()))
    }

    /// Returns the object of the file at `path`.
    fn find_file(&self, commit: ObjectId, path: &str) -> Result<Option<gix::ObjectId>, FactError> {
        let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..");
        if !path.as_bytes().split_str("/").all(is_name) {
            return Ok(None);
        }
        // The directories on the way, and the names that are still to be found, the next one last.
        let mut dirs = vec![gix_id(self.commit(commit)?.tree)];
        let mut names: Vec<Vec<u8>> = path.as_bytes().rsplit_str("/").map(<[u8]>::to_vec).collect();
        let mut links = 0;
        while let Some(name) = names.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    dirs.pop();
                    if dirs.is_empty() {
                        return Err(broken_link(path, "leads out of the repository"));
                    }
                    continue;
                }
                _ => {}
            }
            let Some(dir) = dirs.last() else { return Ok(None) };
            let tree = self.object(own_id(dir)?)?;
            let Some((mode, found)) = trees::find(&tree.data, &name, self.hash().len_in_bytes()) else {
                return Ok(None);
            };
            let id = gix::ObjectId::from_bytes_or_panic(found);
            match mode & KIND {
                TREE => dirs.push(id),
                FILE => return Ok(names.is_empty().then_some(id)),
                LINK => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(broken_link(path, &format!("leads through more than {MAX_LINKS} links")));
                    }
                    if self.size(id, commit, path)? > MAX_TARGET {
                        return Err(broken_link(
                            path,
                            &format!("has a target of more than {MAX_TARGET} bytes"),
                        ));
                    }
                    let target = self.object(own_id(&id)?)?.data;
                    if target.starts_with(b"/") {
                        let target = text::line(&target);
                        return Err(broken_link(path, &format!("has the absolute target `{target}`")));
                    }
                    names.extend(target.rsplit_str("/").map(<[u8]>::to_vec));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn size(&self, id: gix::ObjectId, commit: ObjectId, path: &str) -> Result<u64, FactError> {
        let header = self.objects.header(id).map_err(|err| {
            let path = text::line(path);
            self.failed(format_args!("failed to read `{path}` at {commit}"), &err)
        })?;
        Ok(header.size())
    }
}

fn broken_link(path: &str, why: &str) -> FactError {
    let path = text::line(path);
    FactError::new(format!(
        "cannot read `{path}`: a symbolic link on its path {why}; use a link to a file of the repository"
    ))
}
