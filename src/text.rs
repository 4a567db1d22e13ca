//! Makes untrusted text safe to show. Names, messages and server answers are bytes that someone
//! else chose. They must not control a terminal, forge a log line or forge a `remote:` line.

mod hidden;
mod hinted;
mod wrap;

use std::{
    any::Any,
    borrow::Cow,
    fmt::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use bstr::ByteSlice as _;
use hidden::is_hidden_after;
pub use hidden::{AS_EMOJI, is_hidden};
pub use hinted::{Hinted, did_you_mean, nearest};
pub use wrap::{cut, width, wrap};

/// Maximum length of untrusted text in one message, in characters.
pub const SHOWN: usize = 200;

/// Returns `bytes` as UTF-8 of at most `max` characters. Replaces invalid UTF-8 by U+FFFD, drops
/// hidden characters other than newline and tab, and marks a cut with `…`.
pub fn bounded(bytes: &[u8], max: usize) -> String {
    // Fast path: most texts are short and printable ASCII.
    if bytes.len() <= max && bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    // A character has at most four bytes, so the rest cannot be part of the result.
    let head = &bytes[..bytes.len().min(max.saturating_mul(4).saturating_add(4))];
    let mut text = String::with_capacity(head.len().min(max));
    let mut previous = None;
    let mut chars =
        head.chars().filter(|c| !is_hidden_after(previous.replace(*c), *c) || matches!(c, '\n' | '\t'));
    for _ in 0..max {
        match chars.next() {
            Some(c) => text.push(c),
            None => return text,
        }
    }
    if chars.next().is_some() || head.len() < bytes.len() {
        text.pop();
        text.push('…');
    }
    text
}

/// Returns `bytes` as a name of at most `max` characters: the result of [`bounded`], on one line.
pub fn name(bytes: &[u8], max: usize) -> String {
    let mut name = bounded(bytes, max);
    if name.contains(['\n', '\t']) {
        name = name.replace(['\n', '\t'], " ");
    }
    name
}

/// Returns `bytes` as one line of at most [`SHOWN`] characters for a message. Hidden characters are
/// escaped.
pub fn line(bytes: impl AsRef<[u8]>) -> String {
    line_of(bytes, SHOWN)
}

/// Returns a path as one line, like [`line()`], but with room for the longest path that Linux
/// accepts.
pub fn path(path: &Path) -> String {
    line_of(path.as_os_str().as_bytes(), 4096)
}

/// Returns a path quoted as one word for a shell, to be pasted into a command. A path with a
/// control character is escaped, so the word then names a file that does not exist.
pub fn shell(path: &Path) -> String {
    format!("'{}'", self::path(path).replace('\'', r"'\''"))
}

/// Returns a text as one word for a shell. It is quoted only if it must be.
pub fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_string() } else { shell(Path::new(text)) }
}

/// Returns `bytes` as one line of at most `max` characters, like [`line()`].
pub fn line_of(bytes: impl AsRef<[u8]>, max: usize) -> String {
    let bytes = bytes.as_ref();
    let head = &bytes[..bytes.len().min(max * 4)];
    let mut text = String::new();
    let mut previous = None;
    for (shown, c) in head.chars().enumerate() {
        if shown == max {
            text.push('…');
            return text;
        }
        if is_hidden_after(previous.replace(c), c) {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    if head.len() < bytes.len() {
        text.push('…');
    }
    text
}

/// Returns our own output as it may go to a terminal. Escapes hidden characters except newlines,
/// tabs and, if `allows_colour`, the sequences that set colours.
///
/// Commands already sanitize each text that they put into a line. This function catches what a
/// command missed.
pub fn printable(text: &str, allows_colour: bool) -> Cow<'_, str> {
    let is_plain = |c: char| !is_hidden(c) || matches!(c, '\n' | '\t');
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut previous = None;
    while let Some(c) = rest.chars().next() {
        let colour = if allows_colour { colour_length(rest) } else { None };
        let length = colour.unwrap_or(c.len_utf8());
        if colour.is_some() || is_plain(c) || !is_hidden_after(previous, c) {
            shown.push_str(&rest[..length]);
        } else {
            shown.extend(c.escape_default());
        }
        previous = Some(c);
        rest = &rest[length..];
    }
    Cow::Owned(shown)
}

/// Returns the length of the colour sequence (ECMA-48, SGR) at the start of `text`.
fn colour_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let length = parameters.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    parameters[length..].starts_with('m').then_some(length + 3)
}

/// Returns equivalent JSON in which every hidden character is escaped.
pub fn json(json: &str) -> Cow<'_, str> {
    // Outside of its strings, JSON has no hidden characters except the newlines of pretty-printing.
    let is_plain = |c: char| !is_hidden(c) || c == '\n';
    if json.chars().all(is_plain) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_plain(c) {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Cow::Owned(shown)
}

/// Bytes that `Display` prints as lower-case hexadecimal digits.
#[derive(Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for part in self.0.chunks(32) {
            let mut hex = [0; 64];
            for (digits, byte) in hex.chunks_exact_mut(2).zip(part) {
                digits[0] = DIGITS[usize::from(byte >> 4)];
                digits[1] = DIGITS[usize::from(byte & 15)];
            }
            f.write_str(std::str::from_utf8(&hex[..part.len() * 2]).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

/// Returns the message of a panic, or an empty string if its payload is not text.
pub fn said_by_panic(payload: &(dyn Any + Send)) -> &str {
    let words = payload.downcast_ref::<&str>().copied();
    words.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}

/// Returns an error and its causes on one line, separated by colons.
pub fn chain(err: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(err), |err| err.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Returns a number with its noun: `1 marker`, `2 markers`, `2 pushes`.
pub fn count(n: usize, noun: &str) -> String {
    let (noun, ending) = match noun.strip_suffix('y') {
        _ if n == 1 => (noun, ""),
        Some(stem) => (stem, "ies"),
        None if noun.ends_with("sh") => (noun, "es"),
        None => (noun, "s"),
    };
    format!("{n} {noun}{ending}")
}

/// Returns a name percent-encoded as one segment of a URL's path (RFC 3986, section 3.3).
pub fn segment(name: &str) -> String {
    let mut segment = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests;
