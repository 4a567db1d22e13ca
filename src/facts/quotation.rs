//! Removes from a message what its author quotes: lines with `>`, fenced code and
//! `<details>`. Release notes of other projects come in these.

use std::borrow::Cow;

const OPEN: &str = "<details";
const CLOSE: &str = "</details>";

/// Returns a message without its quotations. What is not closed is quoted to the end.
pub(super) fn without(message: &str) -> Cow<'_, str> {
    if !message.contains(['>', '<', '`', '~']) {
        return Cow::Borrowed(message);
    }
    let mut own = String::with_capacity(message.len());
    let mut fence: Option<&str> = None;
    let mut depth = 0_usize;
    for line in message.lines() {
        let text = line.trim_start();
        if let Some(open) = fence {
            let is_end = text.starts_with(open)
                && text.trim_end().trim_start_matches(|c| open.starts_with(c)).is_empty();
            fence = fence.filter(|_| !is_end);
        } else if depth == 0 && (text.starts_with("```") || text.starts_with("~~~")) {
            fence = text.get(..3);
        } else if !text.starts_with('>') {
            outside(line, &mut depth, &mut own);
        }
        own.push('\n');
    }
    Cow::Owned(own)
}

/// Adds the parts of a line that are outside `<details>`.
fn outside(line: &str, depth: &mut usize, own: &mut String) {
    // ASCII letters keep their length, so the offsets are those of the line.
    let lower = line.to_ascii_lowercase();
    let mut at = 0;
    while let (Some(rest), Some(lower)) = (line.get(at..), lower.get(at..)) {
        let open = lower.find(OPEN).map(|start| (start, OPEN));
        let close = lower.find(CLOSE).map(|start| (start, CLOSE)).filter(|_| *depth > 0);
        let tag = [open, close].into_iter().flatten().min();
        let end = tag.map_or(rest.len(), |(start, _)| start);
        if *depth == 0 {
            own.push_str(rest.get(..end).unwrap_or_default());
        }
        let Some((start, tag)) = tag else { return };
        *depth = if tag == OPEN { *depth + 1 } else { *depth - 1 };
        at += start + tag.len();
    }
}

#[cfg(test)]
mod tests;
