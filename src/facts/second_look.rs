//! Checks whether an object that was not found is really missing.
//!
//! gix ignores a pack whose index it cannot open, so it reports the pack's objects as not found
//! although the system refused the read. Without this check, a marker would lack the facts from
//! that pack.

use std::fs;

use gix::odb::{HeaderExt as _, store::init::Slots};

use super::{FactError, Repository, layout::Layout, repository::open_objects};
use crate::sys::regular_file;

impl Repository {
    /// Returns the system error that kept the object `id` from being found, `None` if it is really
    /// missing.
    pub(super) fn second_look(&self, id: &gix::hash::oid) -> Option<FactError> {
        let again = self.again.get_or_init(|| {
            let objects = open_objects(&self.layout, Slots::default())?;
            check_indexes(&self.layout)?;
            Ok(objects)
        });
        let err = match again {
            Ok(objects) if objects.header(id).is_ok() => {
                FactError::system(format!("failed to read object {id}: failed to open its pack"))
            }
            Ok(_) => return None,
            Err(err) if err.is_of_system() => err.clone(),
            Err(_) => return None,
        };
        Some(self.noted(err))
    }
}

/// Opens every pack index, as gix does, and returns the error that gix ignores.
fn check_indexes(layout: &Layout) -> Result<(), FactError> {
    let dir = layout.objects.join("pack");
    let failed = |err| FactError::from_io(format_args!("failed to list `{}`", dir.display()), &err);
    for entry in fs::read_dir(&dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "idx") {
            regular_file::open(&path).map_err(|err| {
                FactError::from_io(format_args!("failed to open `{}`", path.display()), &err)
            })?;
        }
    }
    Ok(())
}
