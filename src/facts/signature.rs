//! The signatures of commits and annotated tags. They are verified when a script or a rule asks, each
//! once.

use std::{path::PathBuf, rc::Rc};

use bstr::BString;
use gix::objs::Kind;

use super::{
    FactError, Facts, Repository,
    repository::{BYTES, REMEMBERED, spent_on},
    signed_object::SignedObject,
};
use crate::{
    push::{ObjectId, RefKind},
    signature::{KeyRing, Signature, SignedContent},
    sys::time::Timestamp,
    text,
};

/// Cost of verifying one signature, in units of work. The slowest, by a key on the curve P-521, takes a
/// few milliseconds.
const VERIFY: u64 = 200_000;

/// A commit or a tag whose signature was verified.
pub(super) struct VerifiedObject {
    signature: Rc<Signature>,
    /// Name that the tag itself states.
    tag_name: Option<BString>,
}

/// Verifies an object that is not in a repository as a commit of both kinds and as a tag, for the fuzz
/// targets.
pub(crate) fn signatures_of_bytes(object: &[u8], keys: &KeyRing) -> Vec<Signature> {
    let commits = [gix::hash::Kind::Sha1, gix::hash::Kind::Sha256];
    let commits = commits.into_iter().filter_map(|hash| SignedObject::of_commit(object, hash));
    let verify = |signed: SignedObject| {
        let content = SignedContent {
            payload: &signed.payload,
            signature: &signed.signature,
            made_at: signed.time(b"committer "),
        };
        keys.verify(&content, Timestamp::UNIX_EPOCH)
    };
    commits.chain(SignedObject::of_tag(object)).map(verify).collect()
}

impl Facts {
    /// Sets the key files of the signers. The first call counts; without any, no key is known.
    pub fn verify_signatures_with(&self, keys: &[PathBuf]) {
        let _ = self.signature_keys.set(keys.to_vec());
    }

    /// Returns the signature of the update: that of its annotated tag, or else that of its commit.
    ///
    /// A tag is signed together with its name. Under another name its signature is bad, because it
    /// could be that of an old release.
    ///
    /// # Errors
    /// Returns an error if the ref was deleted, or if the object or a key file cannot be read.
    pub fn signature(&self) -> Result<Rc<Signature>, FactError> {
        let target = self.target()?;
        match (&target.tag, &target.commit) {
            (Some(tag), _) => self.signature_of_tag(tag.id),
            (None, Some(commit)) => self.signature_of_commit(commit.id),
            (None, None) => Ok(Rc::new(Signature::unsigned())),
        }
    }

    /// Returns the signature of a commit of the repository.
    ///
    /// # Errors
    /// Returns an error if the commit or a key file cannot be read.
    pub fn signature_of_commit(&self, commit: ObjectId) -> Result<Rc<Signature>, FactError> {
        Ok(self.verified(commit)?.signature.clone())
    }

    fn signature_of_tag(&self, tag: ObjectId) -> Result<Rc<Signature>, FactError> {
        let verified = self.verified(tag)?;
        match (self.update().ref_name().kind(), &verified.tag_name) {
            (RefKind::Tag(name), Some(own)) if own != name => {
                let why = format!("it is the signature of the tag `{}`", text::line(own));
                Ok(Rc::new(Signature::clone(&verified.signature).misused(why)))
            }
            _ => Ok(verified.signature.clone()),
        }
    }

    fn verified(&self, object: ObjectId) -> Result<Rc<VerifiedObject>, FactError> {
        let keys = self.signature_keys.get().map(Vec::as_slice).unwrap_or_default();
        self.repository()?.verified(object, keys, self.push.time())
    }
}

impl Repository {
    /// Verifies the signature of a commit or an annotated tag.
    fn verified(
        &self,
        id: ObjectId,
        keys: &[PathBuf],
        now: Timestamp,
    ) -> Result<Rc<VerifiedObject>, FactError> {
        if let Some(known) = self.verified.borrow().get(&(id, now)) {
            return Ok(known.clone());
        }
        let object = self.object(id)?;
        let (signed, time) = match object.kind {
            Kind::Tag => (SignedObject::of_tag(&object.data), b"tagger ".as_slice()),
            _ => (SignedObject::of_commit(&object.data, self.hash()), b"committer ".as_slice()),
        };
        let verified = match signed {
            None => VerifiedObject { signature: Rc::new(Signature::unsigned()), tag_name: None },
            Some(signed) => {
                let content = SignedContent {
                    payload: &signed.payload,
                    signature: &signed.signature,
                    made_at: signed.time(time),
                };
                self.spend(VERIFY + signed.payload.len() as u64 / BYTES)
                    .map_err(|spent| spent_on(spent, &format!("verifying the signature of {id}")))?;
                let signature = self.key_ring(keys)?.verify(&content, now);
                let tag_name = signed.tag_name().filter(|_| object.kind == Kind::Tag);
                VerifiedObject { signature: Rc::new(signature), tag_name: tag_name.map(BString::from) }
            }
        };
        let verified = Rc::new(verified);
        let mut known = self.verified.borrow_mut();
        if known.len() == REMEMBERED {
            known.clear();
        }
        known.insert((id, now), verified.clone());
        Ok(verified)
    }

    /// Returns the keys. A key file that cannot be read is the system's fault: no decision is made
    /// without it, because it could hold a revocation.
    fn key_ring(&self, keys: &[PathBuf]) -> Result<&KeyRing, FactError> {
        let load = || {
            KeyRing::load(keys).map_err(|problems| {
                let why = problems.first().map(ToString::to_string).unwrap_or_default();
                self.noted(FactError::system(format!("signatures cannot be verified: {why}")))
            })
        };
        self.key_ring.get_or_init(load).as_ref().map_err(FactError::clone)
    }
}
