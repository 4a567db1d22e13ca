//! One ref change of a push.

use bstr::{BStr, BString, ByteSlice as _};

use super::ObjectId;
use crate::text;

/// Maximum length of a ref name in the journal and in markers, in characters.
const MAX_SHOWN: usize = 1024;

/// Full name of a ref, as bytes. Git allows anything except control characters, space and `~^:?*[\`
/// (git-check-ref-format(1)), and does not require UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(BString);

/// Kind of a ref, with its short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind<'a> {
    /// Below `refs/heads/`.
    Branch(&'a BStr),
    /// Below `refs/tags/`.
    Tag(&'a BStr),
    /// Everything else: pull request heads, notes, refs that a tool keeps for itself.
    Other,
}

impl RefName {
    /// Returns the name, or `None` if git cannot have sent it: it is empty, or contains a space or
    /// a control character.
    pub fn new(name: &[u8]) -> Option<Self> {
        let is_possible = !name.is_empty() && name.iter().all(|b| *b > b' ' && *b != 0x7f);
        is_possible.then(|| Self(name.into()))
    }

    /// Returns the full name.
    pub fn as_bstr(&self) -> &BStr {
        self.0.as_bstr()
    }

    /// Returns the full name as bounded text. Invalid UTF-8 becomes U+FFFD.
    pub fn to_text(&self) -> String {
        text::name(&self.0, MAX_SHOWN)
    }

    /// Returns the kind of the ref.
    pub fn kind(&self) -> RefKind<'_> {
        let name = self.as_bstr();
        if let Some(branch) = name.strip_prefix(b"refs/heads/") {
            RefKind::Branch(branch.as_bstr())
        } else if let Some(tag) = name.strip_prefix(b"refs/tags/") {
            RefKind::Tag(tag.as_bstr())
        } else {
            RefKind::Other
        }
    }
}

/// One ref change: name, old id, new id. At most one of the ids is null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    ref_name: RefName,
    old_id: ObjectId,
    new_id: ObjectId,
}

impl Update {
    /// Returns the update, or `None` if both ids are null or differ in length. Git never sends
    /// either.
    pub fn new(ref_name: RefName, old_id: ObjectId, new_id: ObjectId) -> Option<Self> {
        let is_possible =
            old_id.as_bytes().len() == new_id.as_bytes().len() && !(old_id.is_null() && new_id.is_null());
        is_possible.then_some(Self { ref_name, old_id, new_id })
    }

    /// Returns the full name of the ref.
    pub fn ref_name(&self) -> &RefName {
        &self.ref_name
    }

    /// Returns the name of a branch or a tag without its prefix, or the whole name of another ref, as
    /// bounded text.
    pub fn short_name(&self) -> String {
        let name = match self.ref_name.kind() {
            RefKind::Branch(name) | RefKind::Tag(name) => name,
            RefKind::Other => self.ref_name.as_bstr(),
        };
        text::name(name, MAX_SHOWN)
    }

    /// Returns the object the ref pointed to before the push, `None` if the push created it.
    pub fn old_id(&self) -> Option<ObjectId> {
        (!self.old_id.is_null()).then_some(self.old_id)
    }

    /// Returns the object the ref points to after the push, `None` if the push deleted it. For an
    /// annotated tag this is the tag object.
    pub fn new_id(&self) -> Option<ObjectId> {
        (!self.new_id.is_null()).then_some(self.new_id)
    }

    /// Returns the old id as git sent it, null or not.
    pub fn raw_old_id(&self) -> ObjectId {
        self.old_id
    }

    /// Returns the new id as git sent it, null or not.
    pub fn raw_new_id(&self) -> ObjectId {
        self.new_id
    }

    /// Returns true if the ref is a branch.
    pub fn is_of_branch(&self) -> bool {
        matches!(self.ref_name.kind(), RefKind::Branch(_))
    }

    /// Returns true if the push created the ref.
    pub fn is_created(&self) -> bool {
        self.old_id.is_null()
    }

    /// Returns true if the ref points to another object than before. It does after every push; `mark`
    /// leaves the ref where it is.
    pub fn is_moved(&self) -> bool {
        self.old_id != self.new_id
    }

    /// Returns true if the push deleted the ref.
    pub fn is_deleted(&self) -> bool {
        self.new_id.is_null()
    }
}
