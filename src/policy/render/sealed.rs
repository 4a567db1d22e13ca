//! Texts with secrets in them that no script can read: a script holds the secrets' names, and the values come in where
//! the request is made.

use std::fmt;

use rhai::{Engine, EvalAltResult, ImmutableString};

use super::{
    super::{
        api::mistake,
        sizes::{self, MAX_TEXT},
    },
    encode,
};
use crate::secret::Secret;

/// What is told of a secret.
const MASK: &str = "[redacted]";

/// How many parts a text may have, secrets and what stands between them.
const MAX_PIECES: usize = 256;

/// A text with secrets in it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sealed(Vec<Piece>);

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Secret { name: String, form: Form },
}

/// How a secret is written where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it is.
    Plain,
    /// As part of a string of JSON.
    Json,
    /// Percent-encoded.
    Encoded,
}

impl Sealed {
    /// Seals a secret.
    pub(super) fn secret(name: &str) -> Self {
        Self(vec![Piece::Secret { name: name.to_string(), form: Form::Plain }])
    }

    /// Returns the text with every secret in it, as `secret` gives them by name.
    ///
    /// # Errors
    /// If a secret cannot be read.
    pub(super) fn open(
        &self,
        secret: &mut dyn FnMut(&str) -> Result<Secret, String>,
    ) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Secret { name, form } => {
                    let value = secret(name)?;
                    match form {
                        Form::Plain => text.push_str(value.expose()),
                        Form::Json => text.push_str(&encode::in_json(value.expose())),
                        Form::Encoded => text.push_str(&encode::percent(value.expose())),
                    }
                }
            }
        }
        Ok(text)
    }

    /// Returns what is known of the text: the parts between the secrets.
    pub(super) fn known(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Secret { .. } => None,
        })
    }

    /// Returns whether it begins with a secret.
    pub(super) fn begins_sealed(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Secret { .. }))
    }

    /// Returns how long what is known of it is, in bytes.
    pub(super) fn len(&self) -> usize {
        self.known().map(str::len).sum()
    }

    /// Adds text.
    pub(super) fn push_str(&mut self, more: &str) {
        match self.0.last_mut() {
            Some(Piece::Text(text)) => text.push_str(more),
            _ if more.is_empty() => {}
            _ => self.0.push(Piece::Text(more.to_string())),
        }
    }

    /// Adds another text, as it is.
    pub(super) fn push(&mut self, more: &Self) {
        self.push_as(more, Form::Plain, &|text| text.to_string());
    }

    /// Adds another text as part of a string of JSON.
    pub(super) fn push_in_json(&mut self, more: &Self) {
        self.push_as(more, Form::Json, &encode::in_json);
    }

    /// Adds another text, percent-encoded.
    pub(super) fn push_encoded(&mut self, more: &Self) {
        self.push_as(more, Form::Encoded, &encode::percent);
    }

    fn push_as(&mut self, more: &Self, wanted: Form, write: &dyn Fn(&str) -> String) {
        for piece in &more.0 {
            match piece {
                Piece::Text(text) => self.push_str(&write(text)),
                Piece::Secret { name, form } => {
                    // What is encoded already holds nothing that JSON would escape.
                    let form = if *form == Form::Plain { wanted } else { *form };
                    self.0.push(Piece::Secret { name: name.clone(), form });
                }
            }
        }
    }

    fn joined(&self, more: &Self) -> Result<Self, Box<EvalAltResult>> {
        if self.len() + more.len() > MAX_TEXT || self.0.len() + more.0.len() > MAX_PIECES {
            return Err(sizes::too_large("a text with secrets is"));
        }
        let mut joined = self.clone();
        joined.push(more);
        Ok(joined)
    }
}

impl From<&str> for Sealed {
    fn from(text: &str) -> Self {
        let mut sealed = Self::default();
        sealed.push_str(text);
        sealed
    }
}

/// What is not secret, with a mask for the rest.
impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Secret { .. } => f.write_str(MASK),
        })
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes an engine join such texts, and show no more of them than that they are there. They have no length, no order and
/// no equal.
pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Sealed>("secret")
        .register_fn("+", |a: Sealed, b: Sealed| a.joined(&b))
        .register_fn("+", |a: Sealed, b: &str| a.joined(&b.into()))
        .register_fn("+", |a: &str, b: Sealed| Sealed::from(a).joined(&b))
        .register_fn("url_encode", |text: Sealed| {
            let mut encoded = Sealed::default();
            encoded.push_encoded(&text);
            encoded
        });
    for name in ["to_string", "to_debug", "print", "debug"] {
        engine.register_fn(name, |_: &mut Sealed| MASK);
    }
    for name in ["==", "!=", "<", "<=", ">", ">="] {
        engine
            .register_fn(name, |_: Sealed, _: Sealed| Err::<bool, _>(unreadable()))
            .register_fn(name, |_: Sealed, _: ImmutableString| Err::<bool, _>(unreadable()))
            .register_fn(name, |_: ImmutableString, _: Sealed| Err::<bool, _>(unreadable()));
    }
    engine.register_fn("len", |_: &mut Sealed| Err::<i64, _>(unreadable()));
}

fn unreadable() -> Box<EvalAltResult> {
    mistake(
        "a script cannot read a secret: join it with texts by `+`, and put it into `path`, `headers` or `body`".into(),
    )
}
