//! The armor around a signature: one block of text, and nothing behind it.

use bstr::ByteSlice as _;

use super::{Refusal, SignatureFormat};

/// First lines of signatures, and their formats (gpg-interface.c of git).
pub(super) const FIRST_LINES: [(&str, SignatureFormat); 4] = [
    ("-----BEGIN PGP SIGNATURE-----", SignatureFormat::OpenPgp),
    ("-----BEGIN PGP MESSAGE-----", SignatureFormat::OpenPgp),
    ("-----BEGIN SIGNED MESSAGE-----", SignatureFormat::X509),
    ("-----BEGIN SSH SIGNATURE-----", SignatureFormat::Ssh),
];

/// Returns the text of a signature that consists of one armored block of this kind.
///
/// gpg and ssh-keygen read the first block and ignore the rest. That rest is in the object, but not
/// signed, so it could hold a second signature or text that looks signed.
pub(super) fn single<'a>(signature: &'a [u8], kind: &str) -> Result<&'a str, Refusal> {
    let text = signature.trim_ascii_end();
    let text = text.to_str().map_err(|_| Refusal::bad("the signature is not text"))?;
    let (begin, end) = (format!("-----BEGIN {kind}-----"), format!("-----END {kind}-----"));
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some(begin.as_str()) {
        return Err(Refusal::unsupported(format!("it does not begin with `{begin}`")));
    }
    match lines.position(|line| line.starts_with("-----")) {
        None => Err(Refusal::bad(format!("the signature does not end with `{end}`"))),
        Some(_) if lines.next().is_some() => {
            Err(Refusal::bad("text or a second signature follows the signature"))
        }
        Some(_) if !text.ends_with(&end) => {
            Err(Refusal::bad(format!("the signature does not end with `{end}`")))
        }
        Some(_) => Ok(text),
    }
}
