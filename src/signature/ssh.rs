//! Verifies SSH signatures (PROTOCOL.sshsig of OpenSSH).

use ssh_key::{HashAlg, PublicKey, SshSig};

use super::{
    KeyRing, Refusal, Signature, SignatureFormat, SignatureResult, SignedContent, algorithm::weak_ssh_key,
    allowed_signers::Period, armor,
};
use crate::{sys::time::Timestamp, text};

/// Namespace of git's signatures. A signature of a file or a mail must not count as one of a commit.
pub(super) const NAMESPACE: &str = "git";

/// Verifies a signature.
pub(super) fn verify(
    ring: &KeyRing,
    content: &SignedContent<'_>,
    now: Timestamp,
) -> Result<Signature, Refusal> {
    let signature = parse(content.signature)?;
    let key = signature.public_key();
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let verified = signer(ring, &signature, content, now);
    let verified = verified.map(|signer| Signature::good(SignatureFormat::Ssh, Some(signer)));
    Ok(verified
        .unwrap_or_else(|refusal| Signature::refused(Some(SignatureFormat::Ssh), refusal))
        .with_key(Some(fingerprint)))
}

fn parse(signature: &[u8]) -> Result<SshSig, Refusal> {
    let text = armor::single(signature, "SSH SIGNATURE")?;
    SshSig::from_pem(text)
        .map_err(|err| Refusal::bad(format!("failed to read the signature: {}", text::line(err.to_string()))))
}

fn signer(
    ring: &KeyRing,
    signature: &SshSig,
    content: &SignedContent<'_>,
    now: Timestamp,
) -> Result<String, Refusal> {
    let key = signature.public_key();
    if let Some(why) = weak_ssh_key(key) {
        return Err(Refusal::unsupported(why));
    }
    if signature.namespace() != NAMESPACE {
        let namespace = text::line(signature.namespace());
        return Err(Refusal::bad(format!(
            "it was made for the namespace `{namespace}`, not for `{NAMESPACE}`"
        )));
    }
    let mut entries = ring.signers().filter(|entry| entry.key() == key).peekable();
    if entries.peek().is_none() {
        let why = "no key file of `[signatures]` has the key";
        return Err(Refusal::new(SignatureResult::UnknownKey, why));
    }
    let mut entries = entries.filter(|entry| entry.may_sign(NAMESPACE)).peekable();
    if entries.peek().is_none() {
        let why = format!("the key is listed for other namespaces than `{NAMESPACE}`");
        return Err(Refusal::new(SignatureResult::UnknownKey, why));
    }
    PublicKey::from(key.clone())
        .verify(NAMESPACE, content.payload, signature)
        .map_err(|_| Refusal::bad("the signature does not match the content"))?;
    // Like git, which gives ssh-keygen the time of the commit or the tag.
    let made_at = content.made_at.unwrap_or(now).min(now);
    let mut expired = None;
    for entry in entries {
        match entry.period_at(made_at) {
            Period::Valid => return Ok(entry.principal().to_string()),
            Period::NotYet(start) => expired = Some(format!("the key is valid from {start} only")),
            Period::Over(end) => expired = Some(format!("the key was valid until {end}")),
        }
    }
    Err(Refusal::new(SignatureResult::Expired, expired.unwrap_or_default()))
}
