//! Removes secrets from text that a server sent, because some servers repeat the token they refuse.
//! Finds a secret as this program sends it, and percent-encoded, escaped in JSON or HTML, or
//! encoded in base64.

use std::{cmp::Reverse, ops::Range};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::secret::Secret;

/// Replacement for a secret.
const MASK: &str = "[redacted]";

/// Minimum length of a word to search for, in bytes. A shorter word would match by chance.
const MIN_WORD: usize = 4;

/// Minimum length of a path segment to search for on its own, in bytes.
const MIN_PART: usize = 8;

/// Maximum number of backslashes in one escape: enough for JSON nested three deep.
const MAX_SLASHES: usize = 8;

/// Standard base64, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A set of secrets to remove from text.
#[derive(Default)]
pub struct Mask {
    /// Secrets and their parts, longest first.
    words: Vec<Vec<u8>>,
    /// The base64 digits that encode each word, for each of its three alignments.
    digits: Vec<Vec<u8>>,
}

impl Mask {
    /// Builds a mask for the secrets and for their parts: the token of `Bearer TOKEN`, the user and
    /// password of `Basic BASE64`, and the segments of a webhook's path.
    pub fn of<'s>(secrets: impl IntoIterator<Item = &'s Secret>) -> Self {
        let mut words: Vec<Vec<u8>> = Vec::new();
        for secret in secrets {
            let whole = secret.expose();
            let last = whole.rsplit(' ').next().unwrap_or(whole);
            let parts = whole.split('/').filter(|part| part.len() >= MIN_PART);
            words.extend([whole, last].into_iter().chain(parts).map(|word| word.as_bytes().to_vec()));
            if let Some(login) = BASE64.decode(last).ok().filter(|login| login.contains(&b':')) {
                let password = login.splitn(2, |byte| *byte == b':').nth(1).map(<[u8]>::to_vec);
                words.extend(password.into_iter().chain([login]));
            }
        }
        words.retain(|word| word.len() >= MIN_WORD);
        words.sort_by_key(|word| Reverse(word.len()));
        words.dedup();
        let digits = words.iter().flat_map(|word| (0..3).map(|shift| digits(word, shift))).collect();
        Self { words, digits }
    }

    /// Returns `text` with every secret replaced by `[redacted]`.
    pub fn apply(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let longest = |needles: &[Vec<u8>], is: fn(u8, u8) -> bool| {
                needles.iter().filter_map(|needle| end_of(needle, bytes, at, is)).max()
            };
            let plain = longest(&self.words, |found, wanted| found == wanted).map(|end| at..end);
            // The neighbouring digits encode the same text. Mask them too, so that nothing of an
            // encoded `user:token` is left.
            let encoded = longest(&self.digits, is_same_digit).map(|end| {
                let before = bytes[..at].iter().rev().take_while(|byte| is_base64(**byte)).count();
                let after = bytes[end..].iter().take_while(|byte| is_base64(**byte)).count();
                at - before..end + after
            });
            let ranges = [plain, encoded].into_iter().flatten();
            let Some(range) = ranges.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)) else {
                at += 1;
                continue;
            };
            at = range.end;
            match found.last_mut().filter(|last| last.end >= range.start) {
                Some(last) => *last = last.start.min(range.start)..range.end,
                None => found.push(range),
            }
        }
        let mut masked = Vec::with_capacity(bytes.len());
        let mut rest = 0;
        for range in &found {
            masked.extend_from_slice(&bytes[rest..range.start]);
            masked.extend_from_slice(MASK.as_bytes());
            rest = range.end;
        }
        masked.extend_from_slice(&bytes[rest..]);
        String::from_utf8_lossy(&masked).into_owned()
    }
}

/// Returns the base64 digits that encode `word` whatever comes before or after it in the text.
/// `shift` is the number of bytes in front of the word in its first group of three.
fn digits(word: &[u8], shift: usize) -> Vec<u8> {
    let text = [&[0; 2][..shift], word].concat();
    let encoded = BASE64.encode(&text).into_bytes();
    // A digit encodes six bits. The digits at both ends may share theirs with a neighbouring byte.
    encoded[(shift * 8).div_ceil(6)..text.len() * 8 / 6].to_vec()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)
}

/// Compares base64 digits. The URL-safe alphabet has `-` and `_` in place of `+` and `/` (RFC 4648,
/// section 5).
fn is_same_digit(found: u8, wanted: u8) -> bool {
    found == wanted || matches!((found, wanted), (b'-', b'+') | (b'_', b'/'))
}

/// Returns the end of `needle` in `text` if it starts at `at`, with any byte of it escaped or not.
fn end_of(needle: &[u8], text: &[u8], at: usize, is: fn(u8, u8) -> bool) -> Option<usize> {
    let begins = |byte: u8, wanted: u8| is(byte, wanted) || b"%+\\&".contains(&byte);
    if !needle.first().zip(text.get(at)).is_some_and(|(wanted, byte)| begins(*byte, *wanted)) {
        return None;
    }
    // A `%` or a backslash is either literal or starts an escape, so several positions may continue
    // the match.
    let mut places = vec![at];
    for wanted in needle {
        let mut next = Vec::new();
        for place in places {
            let rest = text.get(place..).unwrap_or_default();
            next.extend(
                units(rest).into_iter().filter(|(byte, _)| is(*byte, *wanted)).map(|(_, len)| place + len),
            );
        }
        next.sort_unstable();
        next.dedup();
        places = next;
        if places.is_empty() {
            return None;
        }
    }
    places.last().copied()
}

/// Returns the possible readings of the start of `text`: the byte itself, and the byte of an escape
/// that starts here, each with its length.
fn units(text: &[u8]) -> Vec<(u8, usize)> {
    let Some(first) = text.first() else { return Vec::new() };
    let mut units = vec![(*first, 1)];
    match first {
        b'%' => units.extend(hex(text.get(1..3)).map(|byte| (byte, 3))),
        b'+' => units.push((b' ', 1)),
        b'\\' => units.extend(json_escapes(text)),
        b'&' => units.extend(html_escape(text)),
        _ => {}
    }
    units
}

/// Reads `\/`, `\u002f` or `\x2f`. JSON nested in JSON has several backslashes.
fn json_escapes(text: &[u8]) -> Vec<(u8, usize)> {
    let slashes = text.iter().take(MAX_SLASHES).take_while(|byte| **byte == b'\\').count();
    let rest = &text[slashes..];
    let escaped = match rest.first() {
        Some(b'u') if rest.get(1..3) == Some(b"00") => hex(rest.get(3..5)).map(|byte| (byte, slashes + 5)),
        Some(b'x') => hex(rest.get(1..3)).map(|byte| (byte, slashes + 3)),
        Some(byte @ (b'/' | b'"' | b'\'')) => Some((*byte, slashes + 1)),
        _ => None,
    };
    (2..=slashes).map(|len| (b'\\', len)).chain(escaped).collect()
}

/// Reads `&amp;`, `&#38;` or `&#x26;`.
fn html_escape(text: &[u8]) -> Option<(u8, usize)> {
    let end = text.iter().take(8).position(|byte| *byte == b';')?;
    let name = str::from_utf8(&text[1..end]).ok()?;
    let byte = match name {
        "amp" => b'&',
        "lt" => b'<',
        "gt" => b'>',
        "quot" => b'"',
        "apos" => b'\'',
        _ => match name.strip_prefix("#x").or_else(|| name.strip_prefix("#X")) {
            Some(digits) => u8::from_str_radix(digits, 16).ok()?,
            None => name.strip_prefix('#')?.parse().ok()?,
        },
    };
    Some((byte, end + 1))
}

fn hex(digits: Option<&[u8]>) -> Option<u8> {
    let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests;
