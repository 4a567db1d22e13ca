//! Splits a commit or a tag into its signature and what is signed, byte by byte as git does.

use bstr::ByteSlice as _;

use super::{Person, object_headers::headers_length};
use crate::{signature::begins_signature, sys::time::Timestamp};

/// A signature, and the bytes that it must be over.
pub(super) struct SignedObject {
    pub payload: Vec<u8>,
    pub signature: Vec<u8>,
}

impl SignedObject {
    /// Splits a commit. The signature is in a header whose further lines begin with a space, and the
    /// rest of the object is signed, without the header for the other kind of object IDs
    /// (`parse_buffer_signed_by_header` in commit.c). Returns `None` without a signature.
    pub fn of_commit(object: &[u8], hash: gix::hash::Kind) -> Option<Self> {
        let header: &[u8] = if hash == gix::hash::Kind::Sha256 { b"gpgsig-sha256 " } else { b"gpgsig " };
        let (mut payload, mut signature) = (Vec::with_capacity(object.len()), Vec::new());
        let (mut is_in_signature, mut is_in_other) = (false, false);
        let mut at = 0;
        for line in object.lines_with_terminator() {
            if line == b"\n" {
                payload.extend_from_slice(&object[at..]);
                break;
            }
            at += line.len();
            let part = match line.strip_prefix(b" ").filter(|_| is_in_signature) {
                Some(further) => Some(further),
                None => line.strip_prefix(header),
            };
            is_in_signature = part.is_some();
            if let Some(part) = part {
                signature.extend_from_slice(part);
                is_in_other = false;
                continue;
            }
            is_in_other = line.starts_with(b"gpgsig") || is_in_other && line.starts_with(b" ");
            if !is_in_other {
                payload.extend_from_slice(line);
            }
        }
        (!signature.is_empty()).then_some(Self { payload, signature })
    }

    /// Splits a tag. The signature begins with the last line that looks so, and what precedes it is
    /// signed, without the headers for other kinds of object IDs (`parse_signature` in
    /// gpg-interface.c). Returns `None` without a signature.
    pub fn of_tag(object: &[u8]) -> Option<Self> {
        let (mut start, mut at) = (None, 0);
        for line in object.lines_with_terminator() {
            if begins_signature(line) {
                start = Some(at);
            }
            at += line.len();
        }
        let (signed, signature) = object.split_at(start?);
        let (headers, message) = signed.split_at(headers_length(signed));
        let mut payload = Vec::with_capacity(signed.len());
        let mut is_in_other = false;
        for line in headers.lines_with_terminator() {
            let is_other = line.starts_with(b"gpgsig ") || line.starts_with(b"gpgsig-sha256 ");
            is_in_other = is_other || is_in_other && line.starts_with(b" ");
            if !is_in_other {
                payload.extend_from_slice(line);
            }
        }
        payload.extend_from_slice(message);
        Some(Self { payload, signature: signature.to_vec() })
    }

    /// Returns the time in the header of this name, `committer ` or `tagger `, of the signed bytes.
    pub fn time(&self, name: &[u8]) -> Option<Timestamp> {
        let headers = &self.payload[..headers_length(&self.payload)];
        let person = headers.lines().find_map(|line| line.strip_prefix(name))?;
        Person::read(person).time
    }

    /// Returns the name in a tag.
    pub fn tag_name(&self) -> Option<&[u8]> {
        let headers = &self.payload[..headers_length(&self.payload)];
        headers.lines().find_map(|line| line.strip_prefix(b"tag "))
    }
}

#[cfg(test)]
mod tests;
