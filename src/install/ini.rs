//! app.ini, read as Gitea reads it: the dialect is go-ini's, with the one option that Gitea sets (no continuation of lines).
//!
//! The file holds secrets. No message quotes a line of it, and what is asked for is all that leaves this module.

use std::{collections::BTreeMap, fmt};

/// How far `%(KEY)s` is followed; go-ini's own limit.
const MAX_EXPANSIONS: usize = 99;

/// How long an expanded value may be, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// What is before the first section, and also in one that is named so.
const DEFAULT_SECTION: &str = "DEFAULT";

/// The keys of a file with their values as written, by section.
#[derive(Default)]
pub(super) struct Ini {
    sections: BTreeMap<String, BTreeMap<String, Written>>,
}

/// A value as it stands in the file.
struct Written {
    text: String,
    line: usize,
}

/// A value with its references expanded, and the line that its key stands in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub text: String,
    pub line: usize,
}

/// What is wrong with a file, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub line: usize,
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl Ini {
    /// Parses a file.
    ///
    /// # Errors
    /// With the first line that go-ini would refuse, on which Gitea would not start either.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut ini = Self::default();
        let mut section = DEFAULT_SECTION.to_string();
        let mut lines =
            Lines { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 0, has_end: false };
        while let Some(line) = lines.next() {
            let at = lines.line;
            let line = line.trim_start();
            match line.as_bytes().first() {
                None | Some(b'#' | b';') => {}
                Some(b'[') => {
                    let end = line
                        .rfind(']')
                        .ok_or(Malformed { line: at, what: "expected `]` at the end of a section's name" })?;
                    section = line[1..end].to_string();
                    if section.is_empty() {
                        return Err(Malformed {
                            line: at,
                            what: "expected the name of a section between `[` and `]`",
                        });
                    }
                }
                Some(_) => {
                    let (key, rest) =
                        key(line, lines.has_end).map_err(|what| Malformed { line: at, what })?;
                    let text = value(rest, &mut lines).map_err(|what| Malformed { line: at, what })?;
                    // The last one counts.
                    ini.sections.entry(section.clone()).or_default().insert(key, Written { text, line: at });
                }
            }
        }
        Ok(ini)
    }

    /// Returns the value of a key, if there is one and it is not empty. The section before the first one has the name "".
    pub fn get(&self, section: &str, key: &str) -> Option<Value> {
        let written = self.find(section, key)?;
        let text = self.expanded(section, written);
        (!text.is_empty()).then_some(Value { text, line: written.line })
    }

    /// Returns the value of a key whose name counts in lower case only, as git's do.
    pub fn get_ignoring_case(&self, section: &str, key: &str) -> Option<Value> {
        let keys = self.sections.get(named(section))?;
        // Gitea sets one after the other in no order, so that of two spellings either may be the one.
        let name = keys.keys().find(|name| name.eq_ignore_ascii_case(key))?;
        self.get(section, name)
    }

    fn find(&self, section: &str, key: &str) -> Option<&Written> {
        let own = self.sections.get(named(section)).and_then(|keys| keys.get(key));
        // A section `a.b` has what `a` has.
        own.or_else(|| self.find(section.rsplit_once('.')?.0, key))
    }

    fn expanded(&self, section: &str, written: &Written) -> String {
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

/// The lines of a file, each without its end.
struct Lines<'t> {
    rest: &'t str,
    line: usize,
    /// Whether there was a newline at the end of the last one, which go-ini counts with it.
    has_end: bool,
}

impl<'t> Lines<'t> {
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

/// Divides a line into its key and what comes after the delimiter.
fn key(line: &str, has_end: bool) -> Result<(String, &str), &'static str> {
    let quote = ["\"\"\"", "\"", "`"].into_iter().find(|quote| line.starts_with(quote));
    // Less than a name between two of them is a pair of quotes and a third.
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

/// Reads what comes after the delimiter, and the lines after it that belong to it.
fn value(rest: &str, lines: &mut Lines<'_>) -> Result<String, &'static str> {
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
    // A comment needs no space before it.
    let text = text.find(['#', ';']).map_or(text, |comment| text[..comment].trim_end());
    let is_quoted = |quote: char| {
        text.len() >= 2 && text.starts_with(quote) && text[1..].find(quote) == Some(text.len() - 2)
    };
    Ok(if is_quoted('\'') || is_quoted('"') { text[1..text.len() - 1].to_string() } else { text.to_string() })
}

/// Returns the first `%(NAME)s` of a text.
fn reference(text: &str) -> Option<&str> {
    text.match_indices("%(").find_map(|(start, _)| {
        let rest = &text[start..];
        let end = rest.find(')')?;
        (end > 2 && rest[end + 1..].starts_with('s')).then(|| &rest[..end + 2])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(line: &str) -> String {
        let ini = Ini::parse(line).unwrap_or_else(|err| panic!("{line:?}: {err}"));
        ini.get("", "K").map(|value| value.text).unwrap_or_default()
    }

    #[test]
    fn a_value_is_what_go_ini_makes_of_it() {
        for (line, expected) in [
            ("K = v", "v"),
            ("K=v", "v"),
            ("K: v", "v"),
            ("  K\t=\tv  \r", "v"),
            ("K = a=b:c", "a=b:c"),
            ("K = a ; comment", "a"),
            ("K = a#comment", "a"),
            ("K = `a;b#c` ; comment", "a;b#c"),
            ("K = \"a b\"", "a b"),
            ("K = 'a b'", "a b"),
            ("K = \"a\" \"b\"", "\"a\" \"b\""),
            ("K = \"a;b\"", "\"a"),
            ("K = \"\"\"a \" b\"\"\"", "a \" b"),
            ("K = \"\"\"a\nb\"\"\"", "a\nb"),
            ("K = \"\"\"", "\"\"\""),
            ("K = `a\nb` ; c\nL = d", "a\nb"),
            ("K = a\\", "a\\"),
            ("K = a\nK = b", "b"),
            ("`K` = v", "v"),
            ("\"K\" = v", "v"),
            ("\"\"\"K\"\"\" = v", "v"),
            ("[DEFAULT]\nK = v", "v"),
            ("\u{feff}K = v", "v"),
            ("# K = v\n; K = v", ""),
            ("K =", ""),
            ("k = v", ""),
        ] {
            assert_eq!(value_of(line), expected, "{line:?}");
        }
    }

    /// What go-ini 1.66.2 said of random texts, with the options that Gitea gives it: by section and key, or nothing where it
    /// refuses the file.
    const GO_INI: &str = include_str!("../../tests/fixtures/go-ini.jsonl");

    #[test]
    fn go_ini_says_the_same() {
        type Said = BTreeMap<String, BTreeMap<String, String>>;
        for line in GO_INI.lines() {
            let (text, theirs): (String, Option<Said>) = serde_json::from_str(line).expect("JSON");
            let ours = Ini::parse(&text).ok();
            assert_eq!(ours.is_some(), theirs.is_some(), "{text:?}");
            for (section, keys) in theirs.iter().flatten() {
                for (key, expected) in keys {
                    let value = ours.as_ref().and_then(|ours| ours.get(section, key)).map(|value| value.text);
                    assert_eq!(&value.unwrap_or_default(), expected, "{text:?}, [{section}] {key}");
                }
            }
        }
        assert_eq!(GO_INI.lines().count(), 200);
    }

    #[test]
    fn a_reference_is_looked_up_in_the_section_and_in_the_first() {
        let text = "BASE = /srv\n[server]\nDATA = %(BASE)s/data\nALL = %(DATA)s/all\n\
                    [git]\nHOME = %(BASE)s/%(NONE)s\nSELF = %(SELF)s\nBASE = /git\n[git.config]\na = %(HOME)s";
        let ini = Ini::parse(text).expect("well-formed");
        let get = |section, key| ini.get(section, key).map(|value| value.text);
        assert_eq!(get("server", "ALL").as_deref(), Some("/srv/data/all"));
        assert_eq!(get("git", "HOME").as_deref(), Some("/git/%(NONE)s"));
        assert_eq!(get("git", "SELF").as_deref(), Some("%(SELF)s"));
        assert_eq!(get("git.config", "a").as_deref(), Some("/git/%(NONE)s"));
        assert_eq!(get("server", "HOME"), None);
        assert_eq!(ini.get_ignoring_case("git.config", "A").map(|value| value.line), Some(10));
    }

    #[test]
    fn what_gitea_would_not_start_with_is_named_and_not_shown() {
        for (text, line) in
            [("K = v\n\nsecret", 3), ("[section", 1), ("[]", 1), ("K = `secret\nmore", 1), ("`secret = v", 1)]
        {
            let wrong = Ini::parse(text).err().expect("refused");
            assert_eq!(wrong.line, line, "{text:?}");
            assert!(!wrong.to_string().contains("secret"), "{wrong}");
        }
    }

    #[test]
    fn references_that_grow_come_to_an_end() {
        let ini = Ini::parse("A = %(B)s%(B)s\nB = %(A)s%(A)s").expect("well-formed");
        assert!(ini.get("", "A").is_some_and(|value| value.text.len() <= MAX_VALUE));
    }
}
