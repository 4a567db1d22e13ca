//! The script view of a verified signature.

use std::rc::Rc;

use super::property::{Property, Type, View, maybe, word};
use crate::signature::{Signature, SignatureFormat};

/// A signature, as seen by a script.
#[derive(Clone)]
pub(super) struct SignatureView(Rc<Signature>);

impl SignatureView {
    pub fn new(signature: Rc<Signature>) -> Self {
        Self(signature)
    }
}

const TEXT: Type = Type::Maybe(&Type::Text);

impl View for SignatureView {
    const NAME: &'static str = "signature";
    const ABOUT: &'static str = "The signature of a commit or an annotated tag, after its verification.";
    const WORDS: &'static [Property<Self>] = &[
        word(
            "result",
            Type::Text,
            "`good`, `bad` (does not match the content, or is damaged), `unknown_key`, `revoked`, `expired`, \
             `unsupported` (a format or an algorithm that is not accepted) or `unsigned`",
            r#"update.signature.result == "unsigned""#,
            |s| Ok(s.0.result().as_str().into()),
        ),
        word("is_good", Type::Bool, "true if `result` is `good`", "!update.signature.is_good", |s| {
            Ok(s.0.is_good().into())
        }),
        word(
            "format",
            TEXT,
            "`openpgp`, `ssh` or `x509`; `()` without a signature",
            "update.signature.format == ()",
            |s| Ok(maybe(s.0.format().map(|format| SignatureFormat::as_str(format).to_string()))),
        ),
        word(
            "key",
            TEXT,
            "the fingerprint of the key as gpg and ssh-keygen print it; unless `is_good`, it is only what the \
             signature claims",
            "update.signature.key == ()",
            |s| Ok(maybe(s.0.key().map(str::to_string))),
        ),
        word(
            "signer",
            TEXT,
            "the user ID of the OpenPGP key, such as `Ann Author <ann@example.org>`, or the first principal of \
             the SSH key; `()` unless `is_good`",
            "update.signature.signer == ()",
            |s| Ok(maybe(s.0.signer().map(str::to_string))),
        ),
        word("why", TEXT, "why a signature is not good", "update.signature.why == ()", |s| {
            Ok(maybe(s.0.why().map(str::to_string)))
        }),
    ];
}
