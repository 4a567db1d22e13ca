//! Says when most tags of a repository are not read as versions, and which setting would help.

use std::collections::BTreeMap;

use crate::{facts::TagNames, text};

/// Returns a line for a repository most of whose tags are not versions, although they have numbers.
pub(super) fn hint(tags: &[String], names: &TagNames) -> Option<String> {
    let others: Vec<&String> = tags.iter().filter(|tag| names.parse(tag).is_none()).collect();
    if others.len() * 2 <= tags.len() {
        return None;
    }
    let mut shapes: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for tag in others.iter().filter(|tag| tag.contains(|c: char| c.is_ascii_digit())) {
        shapes.entry(shape_of(tag)).or_default().push(tag);
    }
    let alike = shapes.into_values().max_by_key(Vec::len)?;
    let known = format!("{} of {} are versions", tags.len() - others.len(), text::count(tags.len(), "tag"));
    Some(match (names.unknown_prefix(alike[0]), pattern_of(&alike)) {
        (Some(prefix), _) => format!(
            "{known}; many are like `{}`, and no [[service]] of the repository is called `{}`",
            text::line(alike[0]),
            text::line(prefix)
        ),
        (None, Some(pattern)) => format!(
            "{known}; many are like `{}`: set tags = [\"{}\"] of a [[service]]",
            text::line(alike[0]),
            text::line(pattern)
        ),
        (None, None) => return None,
    })
}

/// Returns the tag with its numbers replaced, so that tags of one form are equal.
fn shape_of(tag: &str) -> String {
    let mut shape = String::new();
    for c in tag.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if c != '0' || !shape.ends_with('0') {
            shape.push(c);
        }
    }
    shape
}

/// Returns a pattern for tags of one form: the text before the first number, and after the last. The
/// numbers are a version only if they differ.
fn pattern_of(tags: &[&String]) -> Option<String> {
    let tag = tags[0];
    let is_digit = |c: char| c.is_ascii_digit();
    let (first, last) = (tag.find(is_digit)?, tag.rfind(is_digit)?);
    (first > 0 || last + 1 < tag.len()).then(|| format!("{}{{version}}{}", &tag[..first], &tag[last + 1..]))
}
