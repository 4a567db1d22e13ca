//! An OpenPGP key with its subkeys, and what its own signatures say about them.

use pgp::{
    composed::{SignedPublicKey, SignedPublicSubKey},
    packet::{self, SignatureType, SubpacketData},
    types::{KeyDetails as _, Tag},
};

use super::{
    Refusal, SignatureResult,
    algorithm::{weak_hash, weak_openpgp_key},
    openpgp_keys::Revocation,
    signer_name,
};
use crate::sys::time::Timestamp;

/// A primary key, or one of its subkeys.
#[derive(Clone, Copy)]
pub(super) struct Component<'a> {
    key: &'a SignedPublicKey,
    subkey: Option<&'a SignedPublicSubKey>,
}

impl<'a> Component<'a> {
    /// Returns the primary key and its subkeys.
    pub fn all_of(key: &'a SignedPublicKey) -> impl Iterator<Item = Self> {
        let subkeys = key.public_subkeys.iter().map(Some);
        std::iter::once(None).chain(subkeys).map(move |subkey| Self { key, subkey })
    }

    /// Returns the fingerprint of the primary key, by which people know it.
    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.key.primary_key.fingerprint())
    }

    /// Returns true if the signature names this key.
    pub fn is_named_by(&self, signature: &packet::Signature) -> bool {
        let (fingerprint, id) = match self.subkey {
            None => (self.key.primary_key.fingerprint(), self.key.primary_key.legacy_key_id()),
            Some(subkey) => (subkey.key.fingerprint(), subkey.key.legacy_key_id()),
        };
        signature.issuer_fingerprint().contains(&&fingerprint) || signature.issuer_key_id().contains(&&id)
    }

    /// Verifies that this key made the signature over the payload.
    pub fn verify(&self, signature: &packet::Signature, payload: &[u8]) -> Result<(), Refusal> {
        let weak = self
            .subkey
            .map_or_else(|| weak_openpgp_key(&self.key.primary_key), |subkey| weak_openpgp_key(&subkey.key));
        if let Some(why) = weak {
            return Err(Refusal::unsupported(why));
        }
        let verified = match self.subkey {
            None => signature.verify(&self.key.primary_key, payload),
            Some(subkey) => signature.verify(&subkey.key, payload),
        };
        verified.map_err(|_| Refusal::bad("the signature does not match the content"))
    }

    /// Checks that this key may sign, and that it was valid at a moment.
    pub fn may_sign_at(&self, at: Timestamp, revocations: &[Revocation]) -> Result<(), Refusal> {
        let revoked = |what| Err(Refusal::new(SignatureResult::Revoked, format!("{what} is revoked")));
        if is_revoked(self.key, revocations) {
            return revoked("the key");
        }
        let at = at.as_second();
        let own = newest(self_signatures(self.key), at).ok_or_else(|| {
            Refusal::unsupported("the key has no valid self-signature with accepted algorithms")
        })?;
        check_period(i64::from(self.key.primary_key.created_at().as_secs()), own, at, "key")?;
        let Some(subkey) = self.subkey else {
            return if key_flags(own).is_none_or(|flags| flags.sign()) {
                Ok(())
            } else {
                may_not_sign("key")
            };
        };
        if subkey.signatures.iter().any(|own| own.typ() == Some(SignatureType::SubkeyRevocation)) {
            return revoked("the subkey");
        }
        let bindings = subkey.signatures.iter().filter(|own| {
            own.typ() == Some(SignatureType::SubkeyBinding)
                && own.verify_subkey_binding(&self.key.primary_key, &subkey.key).is_ok()
        });
        let binding = newest(bindings, at).ok_or_else(|| {
            Refusal::unsupported("the subkey is not bound to its key by accepted algorithms")
        })?;
        check_period(i64::from(subkey.key.created_at().as_secs()), binding, at, "subkey")?;
        // Without the signature by the subkey, anybody could claim the subkey of another person.
        let is_mutual = binding.embedded_signature().is_some_and(|back| {
            weak_hash(back).is_none()
                && back.verify_primary_key_binding(&subkey.key, &self.key.primary_key).is_ok()
        });
        let may_sign = key_flags(binding).is_some_and(|flags| flags.sign());
        if may_sign && is_mutual { Ok(()) } else { may_not_sign("subkey") }
    }

    /// Returns the user ID that the key names as its primary one, or else the newest one.
    pub fn signer(&self, at: Timestamp) -> Option<String> {
        let at = at.as_second();
        let mut best: Option<((bool, i64), &[u8])> = None;
        for user in &self.key.details.users {
            let Some(own) = newest(certifications(self.key, user), at) else { continue };
            if own.typ() == Some(SignatureType::CertRevocation) {
                continue;
            }
            let rank = (own.is_primary(), created(own));
            if best.is_none_or(|(known, _)| rank > known) {
                best = Some((rank, user.id.id()));
            }
        }
        best.map(|(_, id)| signer_name(id))
    }
}

/// Returns why a key cannot verify anything, for `check`.
pub(super) fn flaw(key: &SignedPublicKey, now: Timestamp) -> Option<String> {
    if newest(self_signatures(key), now.as_second()).is_some() {
        return None;
    }
    let why = "the key has no valid self-signature with accepted algorithms; it may be damaged, or signed with SHA-1";
    Some(weak_openpgp_key(&key.primary_key).unwrap_or_else(|| why.into()))
}

/// Returns true if any revocation of the key is known. It needs no verification: the administrator
/// listed the file, and a revocation only takes trust away.
fn is_revoked(key: &SignedPublicKey, revocations: &[Revocation]) -> bool {
    let (fingerprint, id) = (key.primary_key.fingerprint(), key.primary_key.legacy_key_id());
    !key.details.revocation_signatures.is_empty()
        || revocations.iter().any(|revocation| revocation.is_of(&fingerprint, id))
}

/// Returns the valid signatures by the key over itself and over its user IDs.
fn self_signatures(key: &SignedPublicKey) -> impl Iterator<Item = &packet::Signature> {
    let direct = key
        .details
        .direct_signatures
        .iter()
        .filter(|own| own.typ() == Some(SignatureType::Key) && own.verify_key(&key.primary_key).is_ok());
    let of_users = key.details.users.iter().flat_map(|user| certifications(key, user));
    direct.chain(of_users.filter(|own| own.typ() != Some(SignatureType::CertRevocation)))
}

/// Returns the valid signatures by the key over one of its user IDs, with those that revoke it.
fn certifications<'a>(
    key: &'a SignedPublicKey,
    user: &'a pgp::types::SignedUser,
) -> impl Iterator<Item = &'a packet::Signature> {
    let is_own =
        |own: &&packet::Signature| own.verify_certification(&key.primary_key, Tag::UserId, &user.id).is_ok();
    user.signatures.iter().filter(is_own)
}

/// Returns the newest of a key's own signatures that counts at a moment.
fn newest<'a>(
    signatures: impl Iterator<Item = &'a packet::Signature>,
    at: i64,
) -> Option<&'a packet::Signature> {
    let counts = |own: &&packet::Signature| {
        weak_hash(own).is_none()
            && !has_unknown_critical(own)
            && expiry(created(own), own.signature_expiration_time()).is_none_or(|end| at < end)
    };
    signatures.filter(counts).max_by_key(|own| created(own))
}

fn created(signature: &packet::Signature) -> i64 {
    signature.created().map_or(0, |created| i64::from(created.as_secs()))
}

fn key_flags(signature: &packet::Signature) -> Option<packet::KeyFlags> {
    let subpackets = &signature.config()?.hashed_subpackets;
    let has_flags = subpackets.iter().any(|subpacket| matches!(subpacket.data, SubpacketData::KeyFlags(_)));
    has_flags.then(|| signature.key_flags())
}

/// Returns the end of a duration that begins at `start`, in seconds. A duration of 0 has no end.
pub(super) fn expiry(start: i64, lasts: Option<pgp::types::Duration>) -> Option<i64> {
    let seconds = i64::from(lasts?.as_secs());
    (seconds > 0).then_some(start + seconds)
}

/// Returns true if the signature says that it must not be accepted without knowing more than is known
/// here (RFC 9580, section 5.2.3.7).
pub(super) fn has_unknown_critical(signature: &packet::Signature) -> bool {
    let is_unknown = |data: &SubpacketData| {
        matches!(
            data,
            SubpacketData::Notation(_) | SubpacketData::Experimental(..) | SubpacketData::Other(..)
        )
    };
    let subpackets = signature.config().map(|config| config.hashed_subpackets.as_slice()).unwrap_or_default();
    subpackets.iter().any(|subpacket| subpacket.is_critical && is_unknown(&subpacket.data))
}

/// Checks that a key existed at a moment and had not expired.
fn check_period(start: i64, own: &packet::Signature, at: i64, what: &str) -> Result<(), Refusal> {
    let expired = |why: String| Err(Refusal::new(SignatureResult::Expired, why));
    if at < start {
        return expired(format!("the signature was made before its {what}"));
    }
    match expiry(start, own.key_expiration_time()) {
        Some(end) if end <= at => {
            let end = Timestamp::from_second(end).map(|end| format!(" at {end}")).unwrap_or_default();
            expired(format!("the {what} expired{end}, before the signature was made"))
        }
        _ => Ok(()),
    }
}

fn may_not_sign(what: &str) -> Result<(), Refusal> {
    Err(Refusal::unsupported(format!("the {what} may not sign data")))
}
