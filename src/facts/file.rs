//! Reads the text of a file at a commit.

use std::rc::Rc;

use bstr::ByteSlice as _;
use gix::odb::HeaderExt as _;

use super::{
    FactError, Repository,
    repository::{gix_id, own_id},
    trees,
};
use crate::push::ObjectId;

/// Maximum size of a file that is read, in bytes. It is also the limit for strings in scripts.
pub const MAX_FILE: usize = 256 << 10;

impl Repository {
    /// Returns the text of the file at `path` in a commit. Invalid UTF-8 becomes U+FFFD. Returns
    /// `None` if there is nothing at `path`, or a directory, a symbolic link or a submodule.
    ///
    /// # Errors
    /// Returns an error if the file is larger than [`MAX_FILE`], or if an object is missing or
    /// broken.
    pub(super) fn file(&self, commit: ObjectId, path: &str) -> Result<Option<Rc<str>>, FactError> {
        let mut mode = 0o040_000;
        let mut id = gix_id(self.commit(commit)?.tree);
        for name in path.as_bytes().split_str("/") {
            if mode != 0o040_000 {
                return Ok(None);
            }
            let tree = self.object(own_id(&id)?)?;
            let Some((found, next)) = trees::find(&tree.data, name, self.hash().len_in_bytes()) else {
                return Ok(None);
            };
            mode = found;
            id = gix::ObjectId::from_bytes_or_panic(next);
        }
        if mode & 0o170_000 != 0o100_000 {
            return Ok(None);
        }
        let failed = |err: &gix::Error| {
            let path = crate::text::line(path);
            self.failed(format_args!("failed to read `{path}` at {commit}"), err)
        };
        // Check the size before the content is unpacked.
        let size = self.objects.header(id).map_err(|err| failed(&err))?.size();
        if size > MAX_FILE as u64 {
            return Err(FactError::new(format!(
                "`{}` has {size} bytes, the limit is {MAX_FILE}",
                crate::text::line(path)
            )));
        }
        let blob = self.object(own_id(&id)?)?;
        Ok(Some(blob.data.to_str_lossy().into()))
    }
}
