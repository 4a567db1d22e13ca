//! The hash chain of the journal.
//!
//! A line ends in the members `"chain"`, `"n"` and `"prev"`: the ID of the chain, the number of the
//! line, and the hash of what stands before it. The hash of a line is the first half of the SHA-256
//! of its bytes without the line break, so it covers these members, too.
//!
//! A line without them, such as one that a crash cut off, is hashed together with the hash before
//! it. The next line carries the result, so no such line can be added, changed or removed later. Only
//! ahead of the chain, in a journal of an older version, does each line stand for itself: the first
//! line of the chain carries the hash of the last one before it.

use std::{fmt, str::FromStr};

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use sha2::{Digest as _, Sha256};

use crate::{sys::time, text};

/// Names of the members in the form in which they are written, and the end of a line.
const CHAIN: &[u8] = b",\"chain\":\"";
const N: &[u8] = b"\",\"n\":";
const PREV: &[u8] = b",\"prev\":\"";
const END: &[u8] = b"\"}";

/// First word of a [`Tip`] in text, by which it is found in an export of a back end.
pub(super) const WORD: &str = "journal:";

/// The first half of a SHA-256.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineHash([u8; 16]);

/// The ID of a chain, drawn when its first line is written.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainId([u8; 4]);

/// The members that tie a line to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub chain: ChainId,
    pub n: u64,
    pub prev: LineHash,
}

/// The end of a chain: its ID, the number of its last line, and the hash that the next one carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tip {
    /// The chain.
    pub chain: ChainId,
    /// Number of its last line, 0 if it has none.
    pub n: u64,
    /// The hash.
    pub hash: LineHash,
}

impl LineHash {
    /// Returns the hash of a line, without its line break.
    pub(super) fn of(line: &[u8]) -> Self {
        Self::first_half(Sha256::new_with_prefix(line))
    }

    /// Returns the hash of a line that has no link, after `self`.
    fn with(self, line: &[u8]) -> Self {
        Self::first_half(Sha256::new_with_prefix(self.0).chain_update(line))
    }

    fn first_half(hash: Sha256) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Self(half)
    }
}

impl Link {
    /// Reads the link at the end of a line. Returns `None` if it has none.
    pub fn of(line: &[u8]) -> Option<Self> {
        let (rest, prev) = split_end(line.strip_suffix(END)?, 32)?;
        let rest = rest.strip_suffix(PREV)?;
        let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let (rest, n) = split_end(rest, digits)?;
        let (rest, chain) = split_end(rest.strip_suffix(N)?, 8)?;
        if !rest.ends_with(CHAIN) || n.starts_with(b"0") {
            return None;
        }
        let text = |bytes| std::str::from_utf8(bytes).ok();
        Some(Self {
            chain: text(chain)?.parse().ok()?,
            n: text(n)?.parse().ok()?,
            prev: text(prev)?.parse().ok()?,
        })
    }
}

fn split_end(bytes: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(bytes.len().checked_sub(len)?)
}

impl Tip {
    /// Returns the end of a chain without lines.
    pub(super) fn of_new_chain() -> Self {
        let mut id = [0; 4];
        if getrandom(&mut id, GetRandomFlags::empty()) != Ok(id.len()) {
            id.copy_from_slice(&time::now().as_nanosecond().to_le_bytes()[2..6]);
        }
        Self { chain: ChainId(id), n: 0, hash: LineHash::default() }
    }

    /// Moves the end behind a line that was read. Returns its link, if it has one.
    pub(super) fn pass(&mut self, line: &[u8]) -> Option<Link> {
        let link = Link::of(line);
        match link {
            Some(link) => *self = Self { chain: link.chain, n: link.n, hash: LineHash::of(line) },
            None if self.n == 0 && is_record(line) => self.hash = LineHash::of(line),
            None => self.hash = self.hash.with(line),
        }
        link
    }

    /// Appends lines to `out`, each with its link, and moves the end behind them. `lines` are JSON
    /// objects, each with a line break.
    pub(super) fn link(&mut self, lines: &[u8], out: &mut Vec<u8>) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let start = out.len();
            let object = line.strip_suffix(b"}\n").unwrap_or(line);
            out.extend_from_slice(object);
            self.n += 1;
            for part in [
                CHAIN,
                self.chain.to_string().as_bytes(),
                N,
                self.n.to_string().as_bytes(),
                PREV,
                self.hash.to_string().as_bytes(),
                END,
            ] {
                out.extend_from_slice(part);
            }
            self.hash = LineHash::of(&out[start..]);
            out.push(b'\n');
        }
    }
}

/// Returns true if a line is a JSON object.
pub(super) fn is_record(line: &[u8]) -> bool {
    line.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

/// Writes the form that goes out with each batch, such as `journal:3f9a0c12:812:5b9f...`.
impl fmt::Display for Tip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORD}{}:{}:{}", self.chain, self.n, self.hash)
    }
}

/// A text that is not what it should be: so many digits.
#[derive(Debug)]
pub struct NotHex(usize);

impl fmt::Display for NotHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} hexadecimal digits in lower case", self.0)
    }
}

fn parse<const LEN: usize>(text: &str) -> Result<[u8; LEN], NotHex> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; LEN];
    let digits = text.as_bytes();
    if digits.len() != 2 * LEN {
        return Err(NotHex(2 * LEN));
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte =
            digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or(NotHex(2 * LEN))?;
    }
    Ok(bytes)
}

/// Gives a type of bytes its text form: hexadecimal digits.
macro_rules! as_hex {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&text::Hex(&self.0), f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = NotHex;

            fn from_str(text: &str) -> Result<Self, NotHex> {
                parse(text).map(Self)
            }
        }

        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_hex!(LineHash);
as_hex!(ChainId);

#[cfg(test)]
mod tests;
