//! Decodes the text of commits and tags that is not UTF-8.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Maximum size of a text that is decoded, in bytes. Larger messages are not from people.
const MAX_DECODED: usize = 1 << 20;

/// Labels that iconv knows and the WHATWG's table lacks.
const ALIASES: [(&str, &str); 12] = [
    ("latin-1", "iso-8859-1"),
    ("latin-9", "iso-8859-15"),
    ("cp932", "shift_jis"),
    ("cp936", "gbk"),
    ("cp949", "euc-kr"),
    ("cp950", "big5"),
    ("eucjp", "euc-jp"),
    ("ujis", "euc-jp"),
    ("euc-cn", "gbk"),
    ("euckr", "euc-kr"),
    ("koi8r", "koi8-r"),
    ("koi8u", "koi8-u"),
];

/// Labels that the WHATWG's table takes for windows-1252, although they are ASCII.
const ASCII: [&str; 3] = ["us-ascii", "ascii", "ansi_x3.4-1968"];

/// Returns a text as UTF-8, from the encoding with this label.
///
/// As in git, a text that breaks the rules of its encoding is not decoded at all, because its label
/// is probably wrong. Neither is a text with an unknown label. UTF-16 is not decoded either, because
/// no commit can have it: its headers are ASCII.
pub(super) fn decode<'a>(text: &'a [u8], label: &[u8]) -> Cow<'a, [u8]> {
    if text.len() > MAX_DECODED || text.is_ascii() && !text.contains(&0x1b) {
        return Cow::Borrowed(text);
    }
    let label = label.trim_ascii().to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| alias.as_bytes() == label);
    let label = alias.map_or(label.as_slice(), |(_, label)| label.as_bytes());
    let Some(encoding) = Encoding::for_label_no_replacement(label) else { return Cow::Borrowed(text) };
    let is_one_of = |labels: &[&str]| labels.iter().any(|one| one.as_bytes() == label);
    let decoded = if encoding == UTF_8 || encoding == UTF_16LE || encoding == UTF_16BE || is_one_of(&ASCII) {
        None
    } else if encoding == WINDOWS_1252 && !is_one_of(&["windows-1252", "cp1252", "x-cp1252"]) {
        // The WHATWG's table takes ISO 8859-1 for windows-1252 as well. They differ in the control
        // characters from 0x80.
        Some(encoding_rs::mem::decode_latin1(text))
    } else {
        encoding.decode_without_bom_handling_and_without_replacement(text)
    };
    match decoded {
        None => Cow::Borrowed(text),
        Some(Cow::Borrowed(decoded)) => Cow::Borrowed(decoded.as_bytes()),
        Some(Cow::Owned(decoded)) => Cow::Owned(decoded.into_bytes()),
    }
}

#[cfg(test)]
mod tests;
