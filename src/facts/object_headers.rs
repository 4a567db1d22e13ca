//! Parses the headers of commits and tags as leniently as git does.
//!
//! git needs only the ids at the start of an object. Everything after them is text that can be
//! malformed, and one broken line must not cost the other facts.

use std::borrow::Cow;

use bstr::ByteSlice as _;

use super::encoding;

/// Maximum number of parents that are kept. A merge has two, and git's own octopus merges have a
/// few more.
const MAX_PARENTS: usize = 256;

/// The parts of a commit that are read. Further parents are skipped. A malicious commit can have
/// millions of them.
pub(super) struct CommitHeaders<'a> {
    pub tree: gix::ObjectId,
    pub parents: Vec<gix::ObjectId>,
    pub text: ObjectText<'a>,
    pub is_signed: bool,
}

/// The parts of an annotated tag that are read.
pub(super) struct TagHeaders<'a> {
    pub target: gix::ObjectId,
    pub text: ObjectText<'a>,
}

/// The headers of an object after its ids, and its message. The text is decoded by the header
/// `encoding`.
pub(super) struct ObjectText<'a> {
    text: Cow<'a, [u8]>,
    /// Length of the headers.
    headers: usize,
}

impl<'a> CommitHeaders<'a> {
    /// Parses a commit. Returns `None` if one of its ids is malformed, as git does.
    pub fn parse(object: &'a [u8], hash: gix::hash::Kind) -> Option<Self> {
        let (tree, mut rest) = id_line(object, b"tree ", hash)?;
        let mut parents = Vec::new();
        while rest.starts_with(b"parent ") {
            let (parent, after) = id_line(rest, b"parent ", hash)?;
            if parents.len() < MAX_PARENTS {
                parents.push(parent);
            }
            rest = after;
        }
        let signature: &[u8] = if hash == gix::hash::Kind::Sha256 { b"gpgsig-sha256 " } else { b"gpgsig " };
        let text = ObjectText::of(rest);
        Some(Self { tree, parents, is_signed: text.last(signature).is_some(), text })
    }
}

impl<'a> TagHeaders<'a> {
    /// Parses an annotated tag. Returns `None` if it names no object.
    pub fn parse(object: &'a [u8], hash: gix::hash::Kind) -> Option<Self> {
        let (target, rest) = id_line(object, b"object ", hash)?;
        Some(Self { target, text: ObjectText::of(rest) })
    }
}

impl<'a> ObjectText<'a> {
    fn of(raw: &'a [u8]) -> Self {
        let headers = raw.get(..headers_length(raw)).unwrap_or(raw);
        let label = headers.lines().find_map(|line| line.strip_prefix(b"encoding "));
        let text = label.map_or(Cow::Borrowed(raw), |label| encoding::decode(raw, label));
        let headers = headers_length(&text);
        Self { text, headers }
    }

    /// Returns the value of a header. `name` ends with a space. Of several, the last one counts, as
    /// in git.
    pub fn last(&self, name: &[u8]) -> Option<&[u8]> {
        let headers = self.text.get(..self.headers).unwrap_or_default();
        headers.lines().rev().find_map(|line| line.strip_prefix(name))
    }

    /// Returns the message. As in git, it ends at a NUL.
    pub fn message(&self) -> &[u8] {
        let rest = self.text.get(self.headers..).unwrap_or_default();
        let message = rest.strip_prefix(b"\n").unwrap_or(rest);
        message.find_byte(0).map_or(message, |end| &message[..end])
    }
}

/// Returns the length of the headers, up to the empty line that ends them.
pub(super) fn headers_length(text: &[u8]) -> usize {
    if text.starts_with(b"\n") { 0 } else { text.find(b"\n\n").map_or(text.len(), |at| at + 1) }
}

/// Parses a line of a name and an id. Returns the id and the rest of the object.
fn id_line<'a>(object: &'a [u8], name: &[u8], hash: gix::hash::Kind) -> Option<(gix::ObjectId, &'a [u8])> {
    let (hex, rest) = object.strip_prefix(name)?.split_at_checked(hash.len_in_hex())?;
    Some((gix::ObjectId::from_hex(hex).ok()?, rest.strip_prefix(b"\n")?))
}

#[cfg(test)]
mod tests;
