//! Trailers at the end of a message.
//!
//! git reads the last paragraph only. Gitea writes `---------` between the trailers of a merge and
//! those of its commits, so each part that such a line ends is read by git's rules.

use bstr::ByteSlice as _;

use super::trailer_block::{self, Trailer};
use crate::text;

/// Maximum number of trailers, and maximum length of a token or value, in characters.
const MAX_TRAILERS: usize = 64;
const MAX_TRAILER: usize = 1024;

/// Maximum number of parts that are read, and minimum length of the line between them. Gitea writes
/// nine hyphens.
const MAX_PARTS: usize = 4;
const MIN_SEPARATOR: usize = 9;

/// The trailer by which Gitea names the pull request.
const REVIEWED_ON: &[u8] = b"reviewed-on";

/// Returns the trailers of a message, in order. The title is not a trailer.
pub(super) fn read(message: &[u8]) -> Vec<(String, String)> {
    let mut parts: Vec<Vec<(String, String)>> = Vec::new();
    let mut rest = message;
    while parts.len() < MAX_PARTS {
        let (before, last) = last_part(rest);
        let found = of_part(last);
        match before {
            Some(before) if !found.is_empty() || last.trim_ascii().is_empty() => {
                parts.push(found);
                rest = before;
            }
            // The hyphens are part of the text.
            _ => {
                parts.push(bounded(&trailer_block::of_message(rest, MAX_TRAILERS)));
                break;
            }
        }
    }
    parts.into_iter().rev().flatten().take(MAX_TRAILERS).collect()
}

/// Splits a message at its last line of hyphens. Without one, returns the paragraph after the one in
/// which Gitea names the pull request.
fn last_part(message: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut end = message.len();
    let mut is_paragraph_read = false;
    let mut last = message.len();
    for line in message.lines_with_terminator().rev() {
        let start = end - line.len();
        let text = line.trim_ascii();
        if text.len() >= MIN_SEPARATOR && text.iter().all(|byte| *byte == b'-') {
            return (message.get(..start), message.get(end..).unwrap_or_default());
        }
        if text.is_empty() && last < message.len() {
            is_paragraph_read = true;
        } else if !text.is_empty() && !is_paragraph_read {
            last = start;
        }
        let is_reviewed_on = || {
            let (name, value) = text.split_at_checked(REVIEWED_ON.len()).unwrap_or_default();
            name.eq_ignore_ascii_case(REVIEWED_ON) && value.starts_with(b":")
        };
        if is_paragraph_read && is_reviewed_on() {
            return (message.get(..last), message.get(last..).unwrap_or_default());
        }
        end = start;
    }
    (None, message)
}

/// Returns the trailers of a text that is only trailers.
fn of_part(part: &[u8]) -> Vec<(String, String)> {
    let part = part.trim_ascii();
    let is_one_paragraph = part.lines().all(|line| !line.trim_ascii().is_empty());
    if is_one_paragraph { bounded(&trailer_block::of_text(part, MAX_TRAILERS)) } else { Vec::new() }
}

fn bounded(trailers: &[Trailer<'_>]) -> Vec<(String, String)> {
    let bounded = |text: &[u8]| text::bounded(text, MAX_TRAILER);
    trailers.iter().map(|(name, value)| (bounded(name), bounded(value))).collect()
}

#[cfg(test)]
mod tests;
