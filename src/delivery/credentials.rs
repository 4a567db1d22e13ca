//! The headers in a destination's configuration, and the secrets that its script uses.
//!
//! Each secret is read once and kept in memory. Otherwise a `command` would run for every request.

use std::{cell::RefCell, io};

use thiserror::Error;

use crate::{
    config::{Destination, HeaderValue},
    mask::Mask,
    secret::{Secret, SecretSource},
    sys::time::Deadline,
};

/// A secret that is missing or cannot be read. The error never contains its value.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// The script names a secret that the destination does not have.
    #[error("the destination has no secret `{0}`; add it to `secrets`")]
    Unknown(String),
    /// The secret cannot be read.
    #[error("failed to read the secret from {from}")]
    Unreadable {
        /// Source of the secret.
        from: String,
        /// Error from the system.
        source: io::Error,
    },
}

/// Configured headers, with the secrets read so far.
pub(super) struct Credentials<'a> {
    destination: &'a Destination,
    read: RefCell<Vec<(&'a SecretSource, Secret)>>,
}

impl<'a> Credentials<'a> {
    /// Returns the credentials without reading any secret yet.
    pub fn new(destination: &'a Destination) -> Self {
        Self { destination, read: RefCell::default() }
    }

    /// Returns true if there are secrets. Reading them again may then give other values.
    pub fn are_secret(&self) -> bool {
        self.destination.secrets().next().is_some()
    }

    /// Forgets all secrets, so that they are read again.
    pub fn forget(&self) {
        self.read.borrow_mut().clear();
    }

    /// Adds each header to `request` with `set`.
    ///
    /// # Errors
    /// Returns an error if a secret cannot be read by the deadline. The error names the secret's
    /// source and never contains its value.
    pub fn apply<R>(
        &self,
        mut request: R,
        deadline: Deadline,
        set: impl Fn(R, &str, &str) -> R,
    ) -> Result<R, CredentialError> {
        for (name, value) in &self.destination.headers {
            request = match value {
                HeaderValue::Text(text) => set(request, name, text),
                HeaderValue::Secret(source) => set(request, name, self.secret(source, deadline)?.expose()),
            };
        }
        Ok(request)
    }

    /// Returns the secret with the name that a script uses.
    ///
    /// # Errors
    /// Returns an error if there is no such secret, or if it cannot be read by the deadline.
    pub fn named(&self, name: &str, deadline: Deadline) -> Result<Secret, CredentialError> {
        match self.destination.target.scripted().and_then(|http| http.secrets.get(name)) {
            Some(source) => self.secret(source, deadline),
            None => Err(CredentialError::Unknown(name.to_string())),
        }
    }

    fn secret(&self, source: &'a SecretSource, deadline: Deadline) -> Result<Secret, CredentialError> {
        let mut read = self.read.borrow_mut();
        if let Some((_, secret)) = read.iter().find(|(known, _)| *known == source) {
            return Ok(secret.clone());
        }
        let secret = source
            .read(deadline.left())
            .map_err(|err| CredentialError::Unreadable { from: source.to_string(), source: err })?;
        read.push((source, secret.clone()));
        Ok(secret)
    }

    /// Removes every secret from a server's text.
    pub fn mask(&self, text: &str) -> String {
        Mask::of(self.read.borrow().iter().map(|(_, secret)| secret)).apply(text)
    }
}
