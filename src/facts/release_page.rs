//! The release of a tag on Gitea's pages. It comes from Gitea's API, not from the repository.

use super::Facts;
use crate::push::ReleasePage;

impl Facts {
    /// Returns the release of the updated tag, if Gitea's API knows it.
    pub fn release(&self) -> Option<&ReleasePage> {
        self.push().learned(self.index())?.release.as_ref()
    }
}
