//! People as commits, tags and trailers name them.

use bstr::ByteSlice as _;

use crate::{sys::time::Timestamp, text};

/// Maximum length of a person's name or address, in characters.
pub(super) const MAX_NAME: usize = 256;

/// A person and a time, as a commit or a tag states them. Both are unverified input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name. It can be empty.
    pub name: String,
    /// Mail address. It is personal data, so markers omit it unless the configuration asks for it.
    pub email: String,
    /// Time, `None` if there is none or if it is out of range.
    pub time: Option<Timestamp>,
}

impl Person {
    /// Parses `Name <address> seconds zone` as git does (`split_ident_line` in ident.c). Parts that
    /// cannot be parsed are left empty, because an odd author must not hide a commit that git
    /// accepted.
    ///
    /// Unlike git, this also reads the name in front of an address that does not end, and a time
    /// without a zone.
    pub(super) fn read(line: &[u8]) -> Self {
        let (name, rest) = line.split_once_str(b"<").unwrap_or_default();
        let email = rest.split_once_str(b">").map_or(&b""[..], |(email, _)| email);
        // An address can contain a `>`, and a time cannot.
        let time = rest.rsplit_once_str(b">").and_then(|(_, time)| seconds(time));
        Self {
            name: text::bounded(name.trim_ascii(), MAX_NAME),
            email: text::bounded(email.trim_ascii(), MAX_NAME),
            time,
        }
    }

    /// Parses `Name <address>` of a trailer. Without the brackets, all of it is the name.
    pub(super) fn parse(said: &str) -> Self {
        let (name, email) = match said.rsplit_once('<') {
            Some((name, rest)) => (name, rest.split('>').next().unwrap_or_default()),
            None => (said, ""),
        };
        Self { name: text::line(name.trim()), email: text::line(email.trim()), time: None }
    }
}

/// Parses the seconds at the start of a time. git knows no negative ones.
fn seconds(time: &[u8]) -> Option<Timestamp> {
    let time = time.trim_ascii_start();
    let end = time.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(time.len());
    let seconds = time.get(..end)?.to_str().ok()?.parse().ok()?;
    Timestamp::from_second(seconds).ok()
}

#[cfg(test)]
mod tests;
