//! Fits a line into the width of a terminal.

use unicode_width::UnicodeWidthChar as _;

/// A word of a line, with the spaces before it.
struct Word<'l> {
    spaces: usize,
    text: &'l str,
    /// True inside a command, where a line that is broken continues after a backslash.
    is_in_command: bool,
}

/// Returns the number of columns that a text takes. Sequences that set colours take none.
pub fn width(text: &str) -> usize {
    let mut width = 0;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = super::colour_length(rest) {
            rest = &rest[length..];
            continue;
        }
        width += c.width().unwrap_or(0);
        rest = &rest[c.len_utf8()..];
    }
    width
}

/// Returns the text in at most `max` columns, with `…` at the end if it was cut.
pub fn cut(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_string();
    }
    let (head, _) = split(text, max.saturating_sub(1));
    format!("{head}…")
}

/// Breaks a line into lines of at most `max` columns. The following ones begin below the last part of
/// the first, which two spaces or more separate. A command between backticks is broken so that it
/// can still be pasted, and not inside of a word.
pub fn wrap(line: &str, max: usize) -> String {
    if width(line) <= max {
        return line.to_string();
    }
    let indent = last_column(line, max);
    let words = words(line);
    let mut wrapped = String::new();
    let mut column = 0;
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let goes_on = words.peek().is_some_and(|next| next.is_in_command);
        let room = max - if goes_on { 2 } else { 0 };
        let length = width(word.text);
        if column > 0 && column + word.spaces + length > room && column > indent {
            wrapped.push_str(if word.is_in_command { " \\\n" } else { "\n" });
            wrapped.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            wrapped.push_str(&" ".repeat(word.spaces));
            column += word.spaces;
        }
        let mut rest = word.text;
        let is_program = rest.strip_prefix('`').is_some_and(|rest| !rest.contains('`'));
        while !word.is_in_command && !is_program && column + width(rest) > max {
            let (head, tail) = split(rest, max - column);
            if tail.is_empty() || (head.is_empty() && column <= indent) {
                break;
            }
            wrapped.push_str(&format!("{head}\n{}", " ".repeat(indent)));
            (rest, column) = (tail, indent);
        }
        wrapped.push_str(rest);
        column += width(rest);
    }
    wrapped
}

/// Returns the column at which the last part of an aligned line begins, or the indentation.
fn last_column(line: &str, max: usize) -> usize {
    let begin = line.len() - line.trim_start().len();
    let text = &line[begin..];
    // A line that begins with many spaces is below a column already, unless it begins with a number.
    let is_aligned = begin < 4 || text.starts_with(|c: char| c.is_ascii_digit());
    let gaps = text.match_indices("  ").filter(|_| is_aligned).map(|(at, _)| {
        let rest = &text[at..];
        width(&line[..begin + at + rest.len() - rest.trim_start().len()])
    });
    match gaps.filter(|column| *column <= max * 2 / 3).last() {
        Some(column) => column,
        None if text.starts_with("-> ") => begin + 3,
        None if text.starts_with("- ") => begin + 2,
        None if begin == 0 => 2,
        None => begin,
    }
}

/// Splits a line into words. Quoted parts of a command are not split.
fn words(line: &str) -> Vec<Word<'_>> {
    let mut words: Vec<Word<'_>> = Vec::new();
    let (mut is_command, mut is_quoted) = (false, false);
    let (mut begin, mut spaces) = (0, 0);
    let mut begins_in_command = false;
    for (at, c) in line.char_indices() {
        match c {
            '`' => {
                is_command = !is_command && line[at + 1..].contains('`');
                is_quoted = false;
            }
            '\'' if is_command => is_quoted = !is_quoted,
            ' ' if !is_quoted => {
                if begin < at {
                    let text = &line[begin..at];
                    words.push(Word { spaces, text, is_in_command: begins_in_command });
                    spaces = 0;
                }
                spaces += 1;
                begin = at + 1;
                begins_in_command = is_command;
            }
            _ => {}
        }
    }
    words.push(Word { spaces, text: &line[begin..], is_in_command: begins_in_command });
    words
}

/// Splits a text after `max` columns.
fn split(text: &str, max: usize) -> (&str, &str) {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, c)| {
        taken += c.width().unwrap_or(0);
        taken > max
    });
    text.split_at(end.map_or(text.len(), |(at, _)| at))
}

#[cfg(test)]
mod tests;
