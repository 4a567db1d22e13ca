//! Verifies OpenPGP signatures.

use std::io::Read as _;

use pgp::{
    armor::{Dearmor, DearmorOptions},
    packet::{self, Packet, PacketParser, SignatureType, SignatureVersion},
};

use super::{
    KeyRing, MAX_SIGNATURE, Refusal, Signature, SignatureFormat, SignatureResult, SignedContent,
    algorithm::weak_hash,
    armor,
    openpgp_certificate::{expiry, has_unknown_critical},
};
use crate::{sys::time::Timestamp, text};

/// Verifies a detached signature.
pub(super) fn verify(
    ring: &KeyRing,
    content: &SignedContent<'_>,
    now: Timestamp,
) -> Result<Signature, Refusal> {
    let signature = parse(content.signature)?;
    let claimed = claimed_key(&signature).ok_or_else(|| Refusal::unsupported("it does not name its key"))?;
    let refused =
        |refusal, key| Ok(Signature::refused(Some(SignatureFormat::OpenPgp), refusal).with_key(Some(key)));
    let made_at = match check(&signature, now) {
        Ok(made_at) => made_at,
        Err(refusal) => return refused(refusal, claimed),
    };
    let mut best: Option<(Result<Option<String>, Refusal>, String)> = None;
    for component in ring.components().filter(|component| component.is_named_by(&signature)) {
        let verified = match component.verify(&signature, content.payload) {
            Ok(()) => component.may_sign_at(made_at, ring.revocations()).map(|()| component.signer(made_at)),
            Err(refusal) => Err(refusal),
        };
        // A key can be in several files, older in one than in another. A revocation in one counts.
        if best.as_ref().is_none_or(|(known, _)| rank(&verified) > rank(known)) {
            best = Some((verified, component.fingerprint()));
        }
    }
    match best {
        Some((Ok(signer), key)) => Ok(Signature::good(SignatureFormat::OpenPgp, signer).with_key(Some(key))),
        Some((Err(refusal), key)) => refused(refusal, key),
        None => refused(
            Refusal::new(SignatureResult::UnknownKey, "no key file of `[signatures]` has the key"),
            claimed,
        ),
    }
}

fn rank(verified: &Result<Option<String>, Refusal>) -> u8 {
    match verified.as_ref().map_or_else(|refusal| refusal.result, |_| SignatureResult::Good) {
        SignatureResult::Revoked => 3,
        SignatureResult::Good => 2,
        SignatureResult::Bad => 0,
        _ => 1,
    }
}

/// Reads a signature. Signing with several keys at once puts several into one armor, which git
/// refuses too.
fn parse(signature: &[u8]) -> Result<packet::Signature, Refusal> {
    let text = armor::single(signature, "PGP SIGNATURE")?;
    let damaged = |err: &dyn std::error::Error| {
        Refusal::bad(format!("failed to read the signature: {}", text::line(err.to_string())))
    };
    let options = DearmorOptions::new().set_limit(MAX_SIGNATURE);
    let mut bytes = Vec::new();
    Dearmor::with_options(text.as_bytes(), options).read_to_end(&mut bytes).map_err(|err| damaged(&err))?;
    let mut packets = PacketParser::new(bytes.as_slice());
    match (packets.next(), packets.next()) {
        (Some(Ok(Packet::Signature(signature))), None) => Ok(signature),
        (Some(Ok(Packet::Signature(_))), Some(_)) => {
            Err(Refusal::unsupported("the armor holds more than one signature"))
        }
        (Some(Err(err)), _) => Err(damaged(&err)),
        _ => Err(Refusal::bad("the armor holds no signature")),
    }
}

/// Checks what the signature says of itself. Returns the time that counts: when it was made, but at
/// most `now`.
fn check(signature: &packet::Signature, now: Timestamp) -> Result<Timestamp, Refusal> {
    let is_known_version = matches!(signature.version(), SignatureVersion::V4 | SignatureVersion::V6);
    if !is_known_version || signature.typ() != Some(SignatureType::Binary) {
        return Err(Refusal::unsupported("it is not a signature over the bytes of a document"));
    }
    if let Some(hash) = weak_hash(signature) {
        return Err(Refusal::unsupported(format!("the hash algorithm {hash} is not accepted")));
    }
    if has_unknown_critical(signature) {
        return Err(Refusal::unsupported("it depends on an extension that is not known here"));
    }
    let made_at = signature.created().ok_or_else(|| Refusal::bad("it does not say when it was made"))?;
    let made_at = i64::from(made_at.as_secs());
    if expiry(made_at, signature.signature_expiration_time()).is_some_and(|end| end <= now.as_second()) {
        return Err(Refusal::new(SignatureResult::Expired, "the signature has expired"));
    }
    Ok(Timestamp::from_second(made_at).unwrap_or(now).min(now))
}

/// Returns the key that a signature names: its fingerprint, or else its key ID.
fn claimed_key(signature: &packet::Signature) -> Option<String> {
    let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
    fingerprint.or_else(|| signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase()))
}
