//! The headers that a destination's configuration asks for. Each secret among them is read once and kept
//! in memory: a `command` would else run for every request.

use std::cell::RefCell;

use crate::{
    config::HeaderValue,
    secret::{Secret, SecretSource},
    time::Deadline,
};

/// What takes the place of a secret in a text.
const MASK: &str = "[redacted]";

/// How long a word must be to be looked for in what a server says; shorter ones are there by chance.
const MIN_MASKED: usize = 4;

/// Configured headers, with the secrets that were read so far.
pub(super) struct Credentials<'a> {
    headers: &'a [(String, HeaderValue)],
    read: RefCell<Vec<(&'a SecretSource, Secret)>>,
}

impl<'a> Credentials<'a> {
    /// Reads nothing yet.
    pub fn new(headers: &'a [(String, HeaderValue)]) -> Self {
        Self { headers, read: RefCell::default() }
    }

    /// Returns whether any header is a secret, so that reading it anew could make a difference.
    pub fn are_secret(&self) -> bool {
        self.headers.iter().any(|(_, value)| matches!(value, HeaderValue::Secret(_)))
    }

    /// Forgets every secret, so that it is read anew.
    pub fn forget(&self) {
        self.read.borrow_mut().clear();
    }

    /// Sets the headers, one after the other, with `set`.
    ///
    /// # Errors
    /// If a secret cannot be read by the deadline. The text names its source and never the content.
    pub fn apply<R>(
        &self,
        mut request: R,
        deadline: Deadline,
        set: impl Fn(R, &str, &str) -> R,
    ) -> Result<R, String> {
        for (name, value) in self.headers {
            request = match value {
                HeaderValue::Text(text) => set(request, name, text),
                HeaderValue::Secret(source) => set(request, name, self.secret(source, deadline)?.expose()),
            };
        }
        Ok(request)
    }

    fn secret(&self, source: &'a SecretSource, deadline: Deadline) -> Result<Secret, String> {
        let mut read = self.read.borrow_mut();
        if let Some((_, secret)) = read.iter().find(|(known, _)| *known == source) {
            return Ok(secret.clone());
        }
        let secret = source
            .read(deadline.left())
            .map_err(|err| format!("failed to read the secret from {source}: {err}"))?;
        read.push((source, secret.clone()));
        Ok(secret)
    }

    /// Takes every secret out of what a server said: some repeat the token that they refuse. Of `Bearer
    /// TOKEN`, the token alone is looked for as well.
    pub fn mask(&self, mut text: String) -> String {
        for (_, secret) in &*self.read.borrow() {
            let whole = secret.expose();
            for word in [whole, whole.rsplit(' ').next().unwrap_or(whole)] {
                if word.len() >= MIN_MASKED && text.contains(word) {
                    text = text.replace(word, MASK);
                }
            }
        }
        text
    }
}
