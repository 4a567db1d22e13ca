//! The algorithms whose signatures prove something. Everything that is not listed here is refused.

use pgp::{
    crypto::hash::HashAlgorithm,
    packet,
    ser::Serialize as _,
    types::{EcdsaPublicParams, KeyDetails, PublicParams},
};
use ssh_key::public::KeyData;

use crate::text;

/// Minimum length of an RSA key, in bits.
const MIN_RSA_BITS: usize = 2048;

/// Maximum length of an RSA key, in bits, beyond which the crate `rsa` refuses it.
const MAX_RSA_BITS: usize = 4096;

/// Returns the hash algorithm of a signature, unless it is accepted.
pub(super) fn weak_hash(signature: &packet::Signature) -> Option<String> {
    const ACCEPTED: [HashAlgorithm; 5] = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha3_256,
        HashAlgorithm::Sha3_512,
    ];
    match signature.hash_alg() {
        Some(hash) if ACCEPTED.contains(&hash) => None,
        Some(hash) => Some(hash.to_string()),
        None => Some("of an unknown version".into()),
    }
}

/// Returns why signatures by this key prove nothing.
pub(super) fn weak_openpgp_key(key: &impl KeyDetails) -> Option<String> {
    match key.public_params() {
        PublicParams::RSA(_) => {
            let bits = rsa_bits(key.public_params());
            (bits < MIN_RSA_BITS).then(|| format!("an RSA key of {bits} bits is too short"))
        }
        PublicParams::ECDSA(
            EcdsaPublicParams::P256 { .. } | EcdsaPublicParams::P384 { .. } | EcdsaPublicParams::P521 { .. },
        )
        | PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => None,
        PublicParams::ECDSA(_) => Some("keys of the algorithm ECDSA on this curve are not accepted".into()),
        _ => Some(format!("keys of the algorithm {:?} are not accepted", key.algorithm())),
    }
}

/// Returns the length of an RSA modulus: a key begins with it, and it begins with its length.
fn rsa_bits(params: &PublicParams) -> usize {
    match params.to_bytes().as_deref() {
        Ok([high, low, ..]) => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    }
}

/// Returns why signatures by this key prove nothing.
pub(super) fn weak_ssh_key(key: &KeyData) -> Option<String> {
    match key {
        KeyData::Rsa(rsa) => {
            let modulus = rsa.n.as_positive_bytes().unwrap_or_default();
            let unused = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
            let bits = (modulus.len() * 8).saturating_sub(unused);
            match bits {
                ..MIN_RSA_BITS => Some(format!("an RSA key of {bits} bits is too short")),
                MIN_RSA_BITS..=MAX_RSA_BITS => None,
                _ => Some(format!("an RSA key of {bits} bits is too long")),
            }
        }
        KeyData::Ecdsa(_) | KeyData::Ed25519(_) | KeyData::SkEcdsaSha2NistP256(_) | KeyData::SkEd25519(_) => {
            None
        }
        _ => Some(format!("keys of the algorithm {} are not accepted", text::line(key.algorithm().as_str()))),
    }
}
