//! Java properties and INI, which are read line by line.

use std::{
    collections::BTreeMap,
    iter::Peekable,
    str::{Chars, Lines},
};

use super::{DocumentError, Node};

/// Reads Java properties (`java.util.Properties.load`). Of several equal keys the last one counts.
/// An escape that is not valid stands for its characters.
pub(super) fn properties(document: &str) -> Node {
    let mut map = BTreeMap::new();
    // `lines` ends lines at `\n` only, and removes a `\r` before it.
    let document = document.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let line = line.trim_start_matches(is_space);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let line = joined(line, &mut lines);
        let (key, rest) = key_of(&line);
        let rest = rest.trim_start_matches(is_space);
        let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
        map.insert(unescaped(key), Node::Text(unescaped(rest.trim_start_matches(is_space))));
    }
    Node::Map(map)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Joins a line that ends in a backslash with the lines that continue it.
fn joined(line: &str, lines: &mut Lines<'_>) -> String {
    let mut whole = line.to_string();
    let mut last = line;
    while last.len().wrapping_sub(last.trim_end_matches('\\').len()) % 2 == 1 {
        whole.pop();
        let Some(next) = lines.next() else { break };
        last = next.trim_start_matches(is_space);
        whole.push_str(last);
    }
    whole
}

/// Splits a line after its key, which ends at an unescaped separator or white space.
fn key_of(line: &str) -> (&str, &str) {
    let mut is_escaped = false;
    for (at, c) in line.char_indices() {
        if !is_escaped && (is_space(c) || matches!(c, '=' | ':')) {
            return line.split_at(at);
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    (line, "")
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => plain.push(unicode(&mut chars)),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

/// Reads up to four hexadecimal digits. Half of a surrogate pair becomes U+FFFD.
fn unicode(chars: &mut Peekable<Chars<'_>>) -> char {
    let mut code = 0;
    for _ in 0..4 {
        let Some(digit) = chars.peek().and_then(|c| c.to_digit(16)) else { break };
        code = code * 16 + digit;
        chars.next();
    }
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Reads INI as Python's `configparser` does, for `setup.cfg`. It is a map of sections, and each
/// section is a map of keys in lower case. A line that is indented continues the value before it.
pub(super) fn ini(document: &str) -> Result<Node, DocumentError> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut section: Option<String> = None;
    let mut key: Option<String> = None;
    let mut start = 0;
    for whole in document.split_inclusive('\n') {
        let offset = start;
        start += whole.len();
        let line = whole.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let entries = section.as_ref().and_then(|section| sections.get_mut(section));
        if whole.starts_with([' ', '\t'])
            && let Some(entries) = entries
            && let Some(value) = key.as_ref().and_then(|key| entries.get_mut(key))
        {
            value.push('\n');
            value.push_str(line);
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.entry(name.to_string()).or_default();
            section = Some(name.to_string());
            key = None;
            continue;
        }
        let flaw = |why: &str| DocumentError::at(document, offset, why);
        let entries = section.as_ref().and_then(|section| sections.get_mut(section));
        let entries = entries.ok_or_else(|| flaw("this line is before the first section"))?;
        let (name, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
        let name = name.trim().to_lowercase();
        entries.insert(name.clone(), value.trim().to_string());
        key = Some(name);
    }
    let texts = |entries: BTreeMap<String, String>| {
        Node::Map(entries.into_iter().map(|(key, value)| (key, Node::Text(value))).collect())
    };
    Ok(Node::Map(sections.into_iter().map(|(name, entries)| (name, texts(entries))).collect()))
}
