//! Verifies the signatures of commits and tags against the keys that the administrator listed. This
//! happens in this process: neither gpg nor ssh-keygen runs, and no key ring of a user is read.
//!
//! A result is `good` only if everything is certain: exactly one signature, by a listed key that may
//! sign, over exactly these bytes, with algorithms that are not broken. What cannot be checked is
//! `unsupported`, never `good`.

mod algorithm;
mod allowed_signers;
mod armor;
mod key_file;
mod key_ring;
mod openpgp;
mod openpgp_certificate;
mod openpgp_keys;
mod ssh;

pub use key_file::{KeyFileProblem, files_of, pattern_flaw};
pub use key_ring::KeyRing;

use crate::{sys::time::Timestamp, text};

/// Maximum length of a signer's name, in characters.
const MAX_SIGNER: usize = 256;

/// Maximum size of a signature, in bytes. One by an RSA key of 4096 bits has less than 1 KiB.
const MAX_SIGNATURE: usize = 64 << 10;

/// Maximum size of what is signed, in bytes. Hashing it takes a few milliseconds.
const MAX_PAYLOAD: usize = 1 << 20;

/// Format of a signature, by its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureFormat {
    OpenPgp,
    Ssh,
    X509,
}

impl SignatureFormat {
    /// Returns the name that git's `gpg.format` uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenPgp => "openpgp",
            Self::Ssh => "ssh",
            Self::X509 => "x509",
        }
    }

    /// Returns the format of a signature that begins with this line, as git does.
    fn of(signature: &[u8]) -> Option<Self> {
        armor::FIRST_LINES
            .iter()
            .find(|(line, _)| signature.starts_with(line.as_bytes()))
            .map(|(_, format)| *format)
    }
}

/// Returns true if the line begins a signature of a tag, as git decides it.
pub fn begins_signature(line: &[u8]) -> bool {
    SignatureFormat::of(line).is_some()
}

/// Result of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureResult {
    /// A listed key signed exactly this content.
    Good,
    /// The signature does not match the content, or it is damaged.
    Bad,
    /// The key is not listed.
    UnknownKey,
    /// The key is revoked.
    Revoked,
    /// The key was not valid when the signature was made, or the signature has expired.
    Expired,
    /// The format or the algorithm is not accepted.
    Unsupported,
    /// There is no signature.
    Unsigned,
}

impl SignatureResult {
    /// Returns the word for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::UnknownKey => "unknown_key",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Unsupported => "unsupported",
            Self::Unsigned => "unsigned",
        }
    }
}

/// The signature of a commit or a tag, after its verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    result: SignatureResult,
    format: Option<SignatureFormat>,
    key: Option<String>,
    signer: Option<String>,
    why: Option<String>,
}

/// What a signature was made over, and when.
#[derive(Clone, Copy, Debug)]
pub struct SignedContent<'a> {
    /// The signed bytes.
    pub payload: &'a [u8],
    /// The signature, as an armored text.
    pub signature: &'a [u8],
    /// Time of the commit or the tag. It is the time of an SSH signature, which has none.
    pub made_at: Option<Timestamp>,
}

impl Signature {
    /// Returns the answer for an object without a signature.
    pub fn unsigned() -> Self {
        Self { result: SignatureResult::Unsigned, format: None, key: None, signer: None, why: None }
    }

    /// Returns the same signature as a bad one, because it is not a signature of what it is used for.
    #[must_use]
    pub fn misused(self, why: String) -> Self {
        Self { result: SignatureResult::Bad, signer: None, why: Some(why), ..self }
    }

    fn refused(format: Option<SignatureFormat>, Refusal { result, why }: Refusal) -> Self {
        Self { result, format, key: None, signer: None, why: Some(why) }
    }

    fn good(format: SignatureFormat, signer: Option<String>) -> Self {
        Self { result: SignatureResult::Good, format: Some(format), key: None, signer, why: None }
    }

    fn with_key(self, key: Option<String>) -> Self {
        Self { key, ..self }
    }

    /// Returns the result.
    pub fn result(&self) -> SignatureResult {
        self.result
    }

    /// Returns true if a listed key signed exactly this content.
    pub fn is_good(&self) -> bool {
        self.result == SignatureResult::Good
    }

    /// Returns the format, `None` without a signature.
    pub fn format(&self) -> Option<SignatureFormat> {
        self.format
    }

    /// Returns the fingerprint of the key as gpg and ssh-keygen print it: 40 or 64 hexadecimal digits
    /// of an OpenPGP primary key, or `SHA256:` and base64. For a key that is not listed, it is what
    /// the signature claims.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Returns the name of the key's owner: the user ID of an OpenPGP key, or the principal of an SSH
    /// key. Only a good signature has one.
    pub fn signer(&self) -> Option<&str> {
        self.signer.as_deref()
    }

    /// Returns the reason why the signature is not good.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

/// A reason not to accept a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    result: SignatureResult,
    why: String,
}

impl Refusal {
    fn new(result: SignatureResult, why: impl Into<String>) -> Self {
        Self { result, why: why.into() }
    }

    fn bad(why: impl Into<String>) -> Self {
        Self::new(SignatureResult::Bad, why)
    }

    fn unsupported(why: impl Into<String>) -> Self {
        Self::new(SignatureResult::Unsupported, why)
    }
}

/// Returns a name from a key file for display.
fn signer_name(name: &[u8]) -> String {
    text::name(name, MAX_SIGNER)
}

impl KeyRing {
    /// Verifies a signature. `now` is the time of the push.
    pub fn verify(&self, content: &SignedContent<'_>, now: Timestamp) -> Signature {
        let Some(format) = SignatureFormat::of(content.signature) else {
            let why = "it is not a signature in any format that git knows";
            return Signature::refused(None, Refusal::bad(why));
        };
        let verified = match format {
            SignatureFormat::X509 => {
                Err(Refusal::unsupported("signatures with X.509 certificates are not verified"))
            }
            _ if content.signature.len() > MAX_SIGNATURE => {
                Err(Refusal::unsupported(format!("the signature is larger than {} KiB", MAX_SIGNATURE >> 10)))
            }
            _ if content.payload.len() > MAX_PAYLOAD => Err(Refusal::unsupported(format!(
                "the signed object is larger than {} MiB",
                MAX_PAYLOAD >> 20
            ))),
            SignatureFormat::OpenPgp => openpgp::verify(self, content, now),
            SignatureFormat::Ssh => ssh::verify(self, content, now),
        };
        verified.unwrap_or_else(|refusal| Signature::refused(Some(format), refusal))
    }
}
