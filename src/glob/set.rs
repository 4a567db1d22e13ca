//! Parses bracket expressions such as `[a-z]`, with the rules of git's wildmatch.c.

/// Parses what follows a `[`. Returns the set of bytes and the length of the expression. Returns
/// `None` if it is not closed or names an unknown class.
pub(super) fn set(pattern: &[u8]) -> Option<([u64; 4], usize)> {
    let mut set = [0u64; 4];
    let mut at = 0;
    let is_negated = matches!(pattern.first()?, b'!' | b'^');
    at += usize::from(is_negated);
    // The previous byte, if it can start a range.
    let mut before = None;
    loop {
        let byte = *pattern.get(at)?;
        at += 1;
        match (byte, before) {
            (b'\\', _) => {
                let escaped = *pattern.get(at)?;
                at += 1;
                insert(&mut set, escaped);
                before = Some(escaped);
            }
            (b'-', Some(low)) if pattern.get(at).is_some_and(|next| *next != b']') => {
                let mut high = pattern[at];
                at += 1;
                if high == b'\\' {
                    high = *pattern.get(at)?;
                    at += 1;
                }
                (low..=high).for_each(|byte| insert(&mut set, byte));
                before = None;
            }
            (b'[', _) if pattern.get(at) == Some(&b':') => {
                let length = pattern[at + 1..].iter().position(|byte| *byte == b']')?;
                match pattern[at + 1..][..length].split_last() {
                    Some((b':', class)) => {
                        let is_in = class_of(class)?;
                        (0..=u8::MAX).filter(|byte| is_in(*byte)).for_each(|byte| insert(&mut set, byte));
                        at += length + 2;
                        before = None;
                    }
                    // Without `:]` the bracket is an ordinary member of the set.
                    _ => {
                        insert(&mut set, b'[');
                        before = Some(b'[');
                    }
                }
            }
            (byte, _) => {
                insert(&mut set, byte);
                before = Some(byte);
            }
        }
        if *pattern.get(at)? == b']' {
            at += 1;
            break;
        }
    }
    if is_negated {
        set = set.map(|bits| !bits);
    }
    // A set never matches a slash.
    let (word, bit) = place(b'/');
    set[word] &= !bit;
    Some((set, at))
}

fn insert(set: &mut [u64; 4], byte: u8) {
    let (word, bit) = place(byte);
    set[word] |= bit;
}

/// Returns the word and the bit that represent a byte.
fn place(byte: u8) -> (usize, u64) {
    (usize::from(byte / 64), 1 << (byte % 64))
}

/// Returns the predicate for a character class.
fn class_of(name: &[u8]) -> Option<fn(u8) -> bool> {
    Some(match name {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| matches!(byte, 0x20..=0x7e),
        b"punct" => |byte| byte.is_ascii_punctuation(),
        // Git's own table, without vertical tab and form feed.
        b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    })
}
