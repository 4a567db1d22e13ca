//! Text with placeholders for secrets. Scripts only handle the secrets' names; the values are
//! filled in when the request is sent.

use std::fmt;

use rhai::{Engine, EvalAltResult, ImmutableString};

use super::super::{
    api::mistake,
    sizes::{self, MAX_TEXT},
};
use crate::{secret::Secret, text};

/// Text shown in place of a secret.
const MASK: &str = "[redacted]";

/// Maximum number of parts of a text, counting secrets and the text between them.
const MAX_PIECES: usize = 256;

/// A text that may contain placeholders for secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretTemplate(Vec<Piece>);

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Secret { name: String, form: Form },
}

/// The encoding of a secret's value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Unchanged.
    Plain,
    /// Escaped for a JSON string.
    Json,
    /// Percent-encoded.
    Encoded,
}

impl SecretTemplate {
    /// Creates a text that consists of one secret.
    pub(super) fn secret(name: &str) -> Self {
        Self(vec![Piece::Secret { name: name.to_string(), form: Form::Plain }])
    }

    /// Returns the text with all secrets filled in. `secret` returns the value for a name.
    ///
    /// # Errors
    /// If a secret cannot be read.
    pub(super) fn open<E>(&self, secret: &mut dyn FnMut(&str) -> Result<Secret, E>) -> Result<String, E> {
        let mut opened = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => opened.push_str(plain),
                Piece::Secret { name, form } => {
                    let value = secret(name)?;
                    match form {
                        Form::Plain => opened.push_str(value.expose()),
                        Form::Json => opened.push_str(&in_json(value.expose())),
                        Form::Encoded => opened.push_str(&text::segment(value.expose())),
                    }
                }
            }
        }
        Ok(opened)
    }

    /// Returns the parts between the secrets.
    pub(super) fn known(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Secret { .. } => None,
        })
    }

    /// Returns true if the text starts with a secret.
    pub(super) fn begins_sealed(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Secret { .. }))
    }

    /// Returns the total length of the parts between the secrets, in bytes.
    pub(super) fn len(&self) -> usize {
        self.known().map(str::len).sum()
    }

    /// Appends plain text.
    pub(super) fn push_str(&mut self, more: &str) {
        match self.0.last_mut() {
            Some(Piece::Text(text)) => text.push_str(more),
            _ if more.is_empty() => {}
            _ => self.0.push(Piece::Text(more.to_string())),
        }
    }

    /// Appends another text unchanged.
    pub(super) fn push(&mut self, more: &Self) {
        self.push_as(more, Form::Plain, &|text| text.to_string());
    }

    /// Appends another text, escaped for a JSON string.
    pub(super) fn push_in_json(&mut self, more: &Self) {
        self.push_as(more, Form::Json, &in_json);
    }

    /// Appends another text, percent-encoded.
    pub(super) fn push_encoded(&mut self, more: &Self) {
        self.push_as(more, Form::Encoded, &text::segment);
    }

    fn push_as(&mut self, more: &Self, wanted: Form, write: &dyn Fn(&str) -> String) {
        for piece in &more.0 {
            match piece {
                Piece::Text(text) => self.push_str(&write(text)),
                Piece::Secret { name, form } => {
                    // An encoded secret keeps its encoding. Percent-encoded text needs no escaping
                    // in JSON.
                    let form = if *form == Form::Plain { wanted } else { *form };
                    self.0.push(Piece::Secret { name: name.clone(), form });
                }
            }
        }
    }

    fn joined(&self, more: &Self) -> Result<Self, Box<EvalAltResult>> {
        if self.len() + more.len() > MAX_TEXT || self.0.len() + more.0.len() > MAX_PIECES {
            return Err(sizes::too_large("a string with secrets is"));
        }
        let mut joined = self.clone();
        joined.push(more);
        Ok(joined)
    }
}

impl From<&str> for SecretTemplate {
    fn from(text: &str) -> Self {
        let mut sealed = Self::default();
        sealed.push_str(text);
        sealed
    }
}

/// Formats the text with its secrets masked.
impl fmt::Display for SecretTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Secret { .. } => f.write_str(MASK),
        })
    }
}

impl fmt::Debug for SecretTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Registers concatenation and `url_encode`. Conversion to text gives a mask, and comparison and
/// `len` fail, so that a script cannot learn a secret.
pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<SecretTemplate>("secret")
        .register_fn("+", |a: SecretTemplate, b: SecretTemplate| a.joined(&b))
        .register_fn("+", |a: SecretTemplate, b: &str| a.joined(&b.into()))
        .register_fn("+", |a: &str, b: SecretTemplate| SecretTemplate::from(a).joined(&b))
        .register_fn("url_encode", |text: SecretTemplate| {
            let mut encoded = SecretTemplate::default();
            encoded.push_encoded(&text);
            encoded
        });
    for name in ["to_string", "to_debug", "print", "debug"] {
        engine.register_fn(name, |_: &mut SecretTemplate| MASK);
    }
    for name in ["==", "!=", "<", "<=", ">", ">="] {
        engine
            .register_fn(name, |_: SecretTemplate, _: SecretTemplate| Err::<bool, _>(unreadable()))
            .register_fn(name, |_: SecretTemplate, _: ImmutableString| Err::<bool, _>(unreadable()))
            .register_fn(name, |_: ImmutableString, _: SecretTemplate| Err::<bool, _>(unreadable()));
    }
    engine.register_fn("len", |_: &mut SecretTemplate| Err::<i64, _>(unreadable()));
}

/// Escapes text for use inside a JSON string, without the quotation marks.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_string()
}

fn unreadable() -> Box<EvalAltResult> {
    mistake(
        "a script cannot read a secret; join it to strings with `+`, and use it in `path`, `headers` or \
         `body`",
    )
}
