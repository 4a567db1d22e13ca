//! Text from strangers, made fit to be shown: names, messages and server answers are bytes that
//! somebody else chose, and a terminal, a log line or a `remote:` line must not be steered by them.

use std::{any::Any, fmt, os::unix::ffi::OsStrExt as _, path::Path};

use bstr::ByteSlice as _;

/// How much of a stranger's text one message shows, in characters.
pub const SHOWN: usize = 200;

/// Returns `bytes` as UTF-8 of at most `max` characters. What is not UTF-8 becomes U+FFFD,
/// control characters other than newline and tab are dropped, and a cut is marked with `…`.
pub fn bounded(bytes: &[u8], max: usize) -> String {
    // Most texts are short and plain.
    if bytes.len() <= max && bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    // A character has at most four bytes, so the rest need not even be decoded.
    let head = &bytes[..bytes.len().min(max.saturating_mul(4).saturating_add(4))];
    let mut text = String::with_capacity(head.len().min(max));
    let mut chars = head.chars().filter(|c| !is_steering(*c) || matches!(c, '\n' | '\t'));
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

/// Returns `bytes` as a name of at most `max` characters: [`bounded`], and on one line.
pub fn name(bytes: &[u8], max: usize) -> String {
    let mut name = bounded(bytes, max);
    if name.contains(['\n', '\t']) {
        name = name.replace(['\n', '\t'], " ");
    }
    name
}

/// Returns `bytes` as one line of at most [`SHOWN`] characters, fit for a message: every control
/// character is written as an escape.
pub fn line(bytes: impl AsRef<[u8]>) -> String {
    line_of(bytes, SHOWN)
}

/// Returns a path as one line, as [`line()`] does; the system takes none that is longer than this.
pub fn path(path: &Path) -> String {
    line_of(path.as_os_str().as_bytes(), 4096)
}

/// Returns `bytes` as one line of at most `max` characters, as [`line()`] does.
pub fn line_of(bytes: impl AsRef<[u8]>, max: usize) -> String {
    let bytes = bytes.as_ref();
    let head = &bytes[..bytes.len().min(max * 4)];
    let mut text = String::new();
    for (shown, c) in head.chars().enumerate() {
        if shown == max {
            text.push('…');
            return text;
        }
        if is_steering(c) {
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

/// Returns whether `c` could move a cursor, hide text or turn its direction.
fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Bytes that show themselves as lower-case hexadecimal digits.
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

/// Returns what a panic said, which is empty for one that said it in no words.
pub fn said_by_panic(payload: &(dyn Any + Send)) -> &str {
    let words = payload.downcast_ref::<&str>().copied();
    words.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}

/// Returns `1 marker`, `2 markers`: a number with its noun.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Returns a name as one segment of the path of an address (RFC 3986, 3.3).
pub fn segment(name: &str) -> String {
    let mut segment = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

/// Splits a message into what is wrong and what was most likely meant, where it ends with that.
pub fn split_meant(message: &str) -> (&str, Option<String>) {
    [", did you mean ", "; did you mean "]
        .iter()
        .find_map(|between| message.rsplit_once(between))
        .map_or((message, None), |(message, near)| (message, Some(format!("did you mean {near}"))))
}

/// Returns the word of `known` that `word` was most likely meant to be; a long one was meant to be none.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > SHOWN {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_no_control_character() {
        assert_eq!(line("a\x1b[31mred\n\u{202e}"), "a\\u{1b}[31mred\\n\\u{202e}");
        assert_eq!(line(b"caf\xe9"), "caf\u{fffd}");
        assert_eq!(line("x".repeat(300)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn bounded_text_keeps_newlines_and_marks_a_cut() {
        assert_eq!(bounded(b"one\ntwo\x07", 20), "one\ntwo");
        assert_eq!(bounded("äöüß".as_bytes(), 3), "äö…");
        assert_eq!(bounded("äöü".as_bytes(), 3), "äöü");
        assert_eq!(bounded(b"", 0), "");
    }

    #[test]
    fn bytes_show_as_digits() {
        assert_eq!(Hex(&[0, 0x9f, 0xff]).to_string(), "009fff");
        assert_eq!(Hex(&[1; 40]).to_string(), "01".repeat(40));
    }

    #[test]
    fn the_nearest_word_is_named_only_when_it_is_near() {
        assert_eq!(nearest("endpont", ["endpoint", "name"]), Some("endpoint"));
        assert_eq!(nearest("zzz", ["endpoint", "name"]), None);
    }
}
