//! Parses `app.ini` as Gitea does. The dialect is that of go-ini, with the one option that Gitea
//! sets: lines are not continued by a backslash.
//!
//! The file contains secrets. Error messages do not quote lines, and only the requested values
//! leave this module.

use std::{collections::BTreeMap, fmt};

/// Maximum number of `%(KEY)s` expansions, as in go-ini.
const MAX_EXPANSIONS: usize = 99;

/// Maximum length of an expanded value, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// Name of the section before the first header. A header may use the name too.
const DEFAULT_SECTION: &str = "DEFAULT";

/// The keys of a file with their unexpanded values, by section.
#[derive(Default)]
pub(crate) struct Ini {
    sections: BTreeMap<String, BTreeMap<String, RawValue>>,
}

/// A value as written in the file.
struct RawValue {
    text: String,
    line: usize,
}

/// A value with its references expanded, and the line of its key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IniValue {
    pub text: String,
    pub line: usize,
}

/// A syntax error and its line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IniSyntaxError {
    pub line: usize,
    pub what: &'static str,
}

impl fmt::Display for IniSyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl Ini {
    /// Parses a file.
    ///
    /// # Errors
    /// At the first line that go-ini rejects. Gitea would not start with the file either.
    pub fn parse(text: &str) -> Result<Self, IniSyntaxError> {
        let mut ini = Self::default();
        let mut section = DEFAULT_SECTION.to_string();
        let mut lines =
            IniLines { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 0, has_end: false };
        while let Some(line) = lines.next() {
            let at = lines.line;
            let line = line.trim_start();
            match line.as_bytes().first() {
                None | Some(b'#' | b';') => {}
                Some(b'[') => {
                    let end = line.rfind(']').ok_or(IniSyntaxError {
                        line: at,
                        what: "expected `]` at the end of a section's name",
                    })?;
                    section = line[1..end].to_string();
                    if section.is_empty() {
                        return Err(IniSyntaxError {
                            line: at,
                            what: "expected the name of a section between `[` and `]`",
                        });
                    }
                }
                Some(_) => {
                    let (key, rest) =
                        key(line, lines.has_end).map_err(|what| IniSyntaxError { line: at, what })?;
                    let text = value(rest, &mut lines).map_err(|what| IniSyntaxError { line: at, what })?;
                    // The last occurrence of a key wins.
                    ini.sections.entry(section.clone()).or_default().insert(key, RawValue { text, line: at });
                }
            }
        }
        Ok(ini)
    }

    /// Returns the value of a key, or `None` if it is missing or empty. The name of the section
    /// before the first header is "".
    pub fn get(&self, section: &str, key: &str) -> Option<IniValue> {
        let written = self.find(section, key)?;
        let text = self.expanded(section, written);
        (!text.is_empty()).then_some(IniValue { text, line: written.line })
    }

    /// Returns the value of a key whose name is case-insensitive, like those of git.
    pub fn get_ignoring_case(&self, section: &str, key: &str) -> Option<IniValue> {
        let keys = self.sections.get(named(section))?;
        // Gitea applies the spellings of a key in random order, so any of them may win.
        let name = keys.keys().find(|name| name.eq_ignore_ascii_case(key))?;
        self.get(section, name)
    }

    fn find(&self, section: &str, key: &str) -> Option<&RawValue> {
        let own = self.sections.get(named(section)).and_then(|keys| keys.get(key));
        // Section `a.b` inherits the keys of `a`.
        own.or_else(|| self.find(section.rsplit_once('.')?.0, key))
    }

    fn expanded(&self, section: &str, written: &RawValue) -> String {
        let mut text = written.text.clone();
        for _ in 0..MAX_EXPANSIONS {
            let Some(reference) = reference(&text) else { break };
            let name = &reference[2..reference.len() - 2];
            let near = self.find(section, name).filter(|near| !std::ptr::eq(*near, written));
            let Some(found) = near.or_else(|| self.find("", name)) else { break };
            let replaced = text.replace(reference, &found.text);
            if replaced.len() > MAX_VALUE {
                break;
            }
            text = replaced;
        }
        text
    }
}

fn named(section: &str) -> &str {
    if section.is_empty() { DEFAULT_SECTION } else { section }
}

/// Iterates over the lines of a file, without line ends.
struct IniLines<'t> {
    rest: &'t str,
    line: usize,
    /// True if the last line ended with a newline, which go-ini includes in its length.
    has_end: bool,
}

impl<'t> IniLines<'t> {
    fn next(&mut self) -> Option<&'t str> {
        if self.rest.is_empty() {
            return None;
        }
        let line = self.rest.split('\n').next()?;
        self.has_end = line.len() < self.rest.len();
        self.rest = &self.rest[line.len() + usize::from(self.has_end)..];
        self.line += 1;
        Some(line)
    }
}

/// Splits a line into its key and the text after the delimiter.
fn key(line: &str, has_end: bool) -> Result<(String, &str), &'static str> {
    let quote = ["\"\"\"", "\"", "`"].into_iter().find(|quote| line.starts_with(quote));
    // On a line of at most six bytes, newline included, go-ini reads `"""` as a `"` quote.
    let quote = quote
        .map(|quote| if quote.len() == 3 && line.len() + usize::from(has_end) <= 6 { "\"" } else { quote });
    let (name, rest) = match quote {
        Some(quote) => line[quote.len()..].split_once(quote).ok_or("expected the quote that ends a key")?,
        None => ("", line),
    };
    let delimiter =
        rest.find(['=', ':']).ok_or("expected `KEY = VALUE`, `[SECTION]`, or a comment after `;` or `#`")?;
    let name = if quote.is_some() { name } else { &rest[..delimiter] }.trim();
    if name.is_empty() {
        return Err("expected the name of a key before `=`");
    }
    Ok((name.to_string(), &rest[delimiter + 1..]))
}

/// Parses the value after the delimiter, which may extend over the following lines.
fn value(rest: &str, lines: &mut IniLines<'_>) -> Result<String, &'static str> {
    let text = rest.trim_start();
    let quote = ["\"\"\"", "`"]
        .into_iter()
        .find(|quote| text.starts_with(quote) && (quote.len() == 1 || text.len() > 3 || lines.has_end));
    if let Some(quote) = quote {
        let inside = &text[quote.len()..];
        if let Some(end) = inside.rfind(quote) {
            return Ok(inside[..end].to_string());
        }
        let mut value = format!("{inside}\n");
        while let Some(line) = lines.next() {
            if let Some(end) = line.rfind(quote) {
                value.push_str(&line[..end]);
                return Ok(value);
            }
            value.push_str(line);
            value.push('\n');
        }
        return Err("expected the quote that ends a value");
    }
    let text = text.trim_end();
    // A comment starts even without a space before it.
    let text = text.find(['#', ';']).map_or(text, |comment| text[..comment].trim_end());
    let is_quoted = |quote: char| {
        text.len() >= 2 && text.starts_with(quote) && text[1..].find(quote) == Some(text.len() - 2)
    };
    Ok(if is_quoted('\'') || is_quoted('"') { text[1..text.len() - 1].to_string() } else { text.to_string() })
}

/// Returns the first `%(NAME)s` in a text.
fn reference(text: &str) -> Option<&str> {
    text.match_indices("%(").find_map(|(start, _)| {
        let rest = &text[start..];
        let end = rest.find(')')?;
        (end > 2 && rest[end + 1..].starts_with('s')).then(|| &rest[..end + 2])
    })
}

#[cfg(test)]
mod tests;
