//! Characters that a reader cannot see, or that change how the text around them is displayed.
//! Untrusted text is shown without them.
//!
//! They are the general categories Cc, Cf, Co, Zl and Zp, the property
//! Default_Ignorable_Code_Point, and the noncharacters. Other unassigned characters are not hidden,
//! because a terminal draws them as a box. A test compares the table with Unicode's data for every
//! character.

/// First and last character of each range, in ascending order. [`is_hidden`] computes the
/// noncharacters at the end of each plane.
const RANGES: [(u32, u32); 28] = [
    (0x00, 0x1f),       // C0 controls
    (0x7f, 0x9f),       // DEL and C1 controls
    (0xad, 0xad),       // soft hyphen
    (0x34f, 0x34f),     // combining grapheme joiner
    (0x600, 0x605),     // Arabic number signs
    (0x61c, 0x61c),     // Arabic letter mark
    (0x6dd, 0x6dd),     // Arabic end of ayah
    (0x70f, 0x70f),     // Syriac abbreviation mark
    (0x890, 0x891),     // Arabic pound and piastre marks
    (0x8e2, 0x8e2),     // Arabic disputed end of ayah
    (0x115f, 0x1160),   // Hangul fillers
    (0x17b4, 0x17b5),   // Khmer inherent vowels
    (0x180b, 0x180f),   // Mongolian variation selectors and vowel separator
    (0x200b, 0x200f),   // zero width characters and direction marks
    (0x2028, 0x202e),   // line and paragraph separators, direction embeddings and overrides
    (0x2060, 0x206f),   // invisible operators, direction isolates, deprecated controls
    (0x3164, 0x3164),   // Hangul filler
    (0xe000, 0xf8ff),   // private use
    (0xfdd0, 0xfdef),   // noncharacters
    (0xfe00, 0xfe0f),   // variation selectors
    (0xfeff, 0xfeff),   // byte order mark
    (0xffa0, 0xffa0),   // halfwidth Hangul filler
    (0xfff0, 0xfffb),   // interlinear annotation, and reserved characters
    (0x110bd, 0x110bd), // Kaithi number sign
    (0x110cd, 0x110cd), // Kaithi number sign above
    (0x13430, 0x1343f), // Egyptian hieroglyph joiners
    (0x1bca0, 0x1bca3), // shorthand format controls
    (0x1d173, 0x1d17a), // musical format controls
];

/// Tags and further variation selectors, with the rest of their block.
const SPECIAL_PURPOSE: std::ops::RangeInclusive<u32> = 0xe_0000..=0xe_0fff;

/// First character of the two private-use planes.
const PRIVATE_PLANES: u32 = 0xf_0000;

/// Variation selector that displays a symbol as an emoji.
pub const AS_EMOJI: char = '\u{fe0f}';

/// Returns true if a reader cannot see `c`, or if it moves the cursor, hides text or changes the
/// text direction.
pub fn is_hidden(c: char) -> bool {
    let c = u32::from(c);
    if (0x20..0x7f).contains(&c) {
        return false;
    }
    let after = RANGES.partition_point(|(first, _)| *first <= c);
    after.checked_sub(1).is_some_and(|at| c <= RANGES[at].1)
        || SPECIAL_PURPOSE.contains(&c)
        || c >= PRIVATE_PLANES
        || c & 0xfffe == 0xfffe
}

/// Returns true if `c` is hidden after `previous`. The emoji selector is shown after a symbol, and
/// only once, so that a run of selectors cannot encode a message.
pub(super) fn is_hidden_after(previous: Option<char>, c: char) -> bool {
    is_hidden(c) && !(c == AS_EMOJI && previous.is_some_and(is_symbol))
}

fn is_symbol(c: char) -> bool {
    matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}'..='\u{205f}' | '\u{2100}'..='\u{2bff}' | '\u{3030}' | '\u{303d}'
        | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests;
