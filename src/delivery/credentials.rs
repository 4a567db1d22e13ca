//! The headers that a destination's configuration asks for, and the secrets that its script names. Each secret is read once
//! and kept in memory: a `command` would else run for every request.

use std::cell::RefCell;

use crate::{
    config::{Destination, HeaderValue, Target},
    secret::{Secret, SecretSource},
    time::Deadline,
};

/// What takes the place of a secret in a text.
const MASK: &str = "[redacted]";

/// How long a word must be to be looked for in what a server says; shorter ones are there by chance.
const MIN_MASKED: usize = 4;

/// How long a part of a secret path must be.
const MIN_MASKED_PART: usize = 8;

/// Configured headers, with the secrets that were read so far.
pub(super) struct Credentials<'a> {
    destination: &'a Destination,
    read: RefCell<Vec<(&'a SecretSource, Secret)>>,
}

impl<'a> Credentials<'a> {
    /// Reads nothing yet.
    pub fn new(destination: &'a Destination) -> Self {
        Self { destination, read: RefCell::default() }
    }

    /// Returns whether there is any secret, so that reading it anew could make a difference.
    pub fn are_secret(&self) -> bool {
        self.destination.secrets().next().is_some()
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
        for (name, value) in &self.destination.headers {
            request = match value {
                HeaderValue::Text(text) => set(request, name, text),
                HeaderValue::Secret(source) => set(request, name, self.secret(source, deadline)?.expose()),
            };
        }
        Ok(request)
    }

    /// Returns the secret that a script names.
    ///
    /// # Errors
    /// If there is none of this name, or it cannot be read by the deadline.
    pub fn named(&self, name: &str, deadline: Deadline) -> Result<Secret, String> {
        match &self.destination.target {
            Target::Http(http) if http.secrets.contains_key(name) => {
                self.secret(&http.secrets[name], deadline)
            }
            _ => Err(format!("the destination has no secret `{name}`")),
        }
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
            let last = whole.rsplit(' ').next().unwrap_or(whole);
            // Of a webhook's path, a server may repeat the part that counts.
            let parts = whole.split('/').filter(|part| part.len() >= MIN_MASKED_PART);
            for word in [whole, last].into_iter().chain(parts) {
                if word.len() >= MIN_MASKED && text.contains(word) {
                    text = text.replace(word, MASK);
                }
            }
        }
        text
    }
}
