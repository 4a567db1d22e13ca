//! The text of a file at a commit.

use std::rc::Rc;

use bstr::ByteSlice as _;
use gix::{objs::TreeRefIter, odb::HeaderExt as _};

use super::{
    FactError, Repository,
    repository::{own_id, told},
};
use crate::push::ObjectId;

/// How large a file may be whose text is read, in bytes. A script's strings end there as well.
pub const MAX_FILE: usize = 256 << 10;

impl Repository {
    /// Returns the text of the file at `path` in a commit, `None` if no file is there: a directory, a link
    /// and a submodule are none. What is not UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// If it is larger than [`MAX_FILE`], or an object is missing or broken.
    pub(super) fn file(&self, commit: ObjectId, path: &str) -> Result<Option<Rc<str>>, FactError> {
        let failed = |err: &gix::Error| {
            let path = crate::text::line(path);
            FactError::new(format!("failed to read `{path}` at {commit}: {}", told(err)))
        };
        let tree = self.object(self.commit(commit)?.tree)?.data;
        let entry = TreeRefIter::from_bytes(&tree, self.hash())
            .lookup_entry(&self.objects, &mut Vec::new(), path.as_bytes().split_str("/"))
            .map_err(|err| failed(&err))?;
        let Some(entry) = entry.filter(|entry| entry.mode.is_blob()) else {
            return Ok(None);
        };
        // The size is known before the content is unpacked.
        let size = self.objects.header(entry.oid).map_err(|err| failed(&err))?.size();
        if size > MAX_FILE as u64 {
            return Err(FactError::new(format!(
                "`{}` has {size} bytes, the limit is {MAX_FILE}",
                crate::text::line(path)
            )));
        }
        let blob = self.object(own_id(&entry.oid)?)?;
        Ok(Some(blob.data.to_str_lossy().into()))
    }
}
