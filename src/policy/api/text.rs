//! Functions for text: patterns, regular expressions, naming conventions and hashes.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use regex_lite::{Regex, RegexBuilder};
use rhai::{Array, Dynamic, Engine, EvalAltResult, NativeCallContext};
use sha2::{Digest as _, Sha256};

use super::{
    commit::ConventionalView,
    property::{ApiFunction, Type, list, maybe, mistake},
};
use crate::{
    facts::{Conventional, TicketProjects},
    glob::{self, Globs},
    policy::meter,
    text,
};

/// Maximum number of projects whose tickets are found.
const MAX_PROJECTS: usize = 256;

/// Maximum size of a compiled regular expression, in bytes: about 1,000 states.
const MAX_REGEX: usize = 32 << 10;

/// Maximum length of a text searched by a regular expression, in bytes.
const MAX_SEARCHED: usize = 64 << 10;

/// Maximum product of the sizes of a regular expression and its text, in bytes. In the worst case
/// every byte of the text meets every state, which takes about ten milliseconds at this limit. Most
/// expressions are smaller than 1 KiB and can search all of [`MAX_SEARCHED`].
const MAX_SEARCH: usize = 64 << 20;

/// Product of the sizes of a regular expression and its text that counts as one unit of work, in
/// bytes.
const SEARCHED: usize = 4096;

/// Maximum number of compiled regular expressions that an engine keeps.
const MAX_KEPT: usize = 64;

/// Number of digits of a commit id shown to people.
const SHORT: usize = 12;

/// Compiles a pattern in git's wildcard syntax: `*` and `?` do not match a slash, `**` does.
///
/// # Errors
/// If the pattern is too long.
pub(super) fn globs(pattern: &str) -> Result<Globs, Box<EvalAltResult>> {
    match glob::flaw(pattern) {
        Some(flaw) => Err(mistake(flaw)),
        None => Ok(Globs::new(&[pattern])),
    }
}

/// A compiled regular expression, with an upper bound of its size in bytes.
#[derive(Clone)]
struct Compiled {
    regex: Regex,
    size: usize,
}

/// A cache of compiled regular expressions, because scripts use them in loops.
#[derive(Clone, Default)]
struct Regexes(Rc<RefCell<HashMap<String, Compiled>>>);

impl Regexes {
    /// Returns the regular expression if it may search the text. Charges one search of the whole
    /// text.
    fn of(
        &self,
        ctx: &NativeCallContext<'_>,
        pattern: &str,
        text: &str,
    ) -> Result<Compiled, Box<EvalAltResult>> {
        if text.len() > MAX_SEARCHED {
            let (found, limit) = (text.len(), MAX_SEARCHED >> 10);
            return Err(mistake(format!("the text to search has {found} bytes, the limit is {limit} KiB")));
        }
        let known = self.0.borrow().get(pattern).cloned();
        let compiled = match known {
            Some(compiled) => compiled,
            None => self.compile(pattern)?,
        };
        if compiled.size.saturating_mul(text.len()) > MAX_SEARCH {
            let (found, limit) = (text.len(), MAX_SEARCH / compiled.size);
            return Err(mistake(format!(
                "the regular expression is too large for a text of {found} bytes, the limit is {limit}; \
                 shorten one of them"
            )));
        }
        meter::charge(ctx, compiled.work(text))?;
        Ok(compiled)
    }

    fn compile(&self, pattern: &str) -> Result<Compiled, Box<EvalAltResult>> {
        // The crate does not report the size of an expression, only that it exceeds a limit. So try
        // growing limits.
        let mut size = 1 << 10;
        let regex = loop {
            match RegexBuilder::new(pattern).size_limit(size).build() {
                Ok(regex) => break regex,
                Err(_) if size < MAX_REGEX => size *= 2,
                Err(err) => {
                    return Err(mistake(format!(
                        "`{}` is not a valid regular expression: {err}",
                        text::line(pattern)
                    )));
                }
            }
        };
        let compiled = Compiled { regex, size };
        let mut kept = self.0.borrow_mut();
        if kept.len() == MAX_KEPT {
            kept.clear();
        }
        kept.insert(pattern.to_string(), compiled.clone());
        Ok(compiled)
    }
}

impl Compiled {
    /// Returns the work of searching a text in the worst case.
    fn work(&self, text: &str) -> u64 {
        (self.size.saturating_mul(text.len()) / SEARCHED) as u64
    }
}

/// Registers the functions that use regular expressions.
pub(super) fn register(engine: &mut Engine) {
    let regexes = Regexes::default();
    let kept = regexes.clone();
    engine.register_fn("matches", move |ctx: NativeCallContext<'_>, text: &str, pattern: &str| {
        Ok::<_, Box<EvalAltResult>>(kept.of(&ctx, pattern, text)?.regex.is_match(text))
    });
    let kept = regexes.clone();
    engine.register_fn("captures", move |ctx: NativeCallContext<'_>, text: &str, pattern: &str| {
        let compiled = kept.of(&ctx, pattern, text)?;
        let Some(captures) = compiled.regex.captures(text) else { return Ok(Dynamic::UNIT) };
        Ok::<_, Box<EvalAltResult>>(list(captures.iter(), |group| {
            maybe(group.map(|group| group.as_str().to_string()))
        }))
    });
    engine.register_fn("find_all", move |ctx: NativeCallContext<'_>, text: &str, pattern: &str| {
        let compiled = regexes.of(&ctx, pattern, text)?;
        let mut found = rhai::Array::new();
        for each in compiled.regex.find_iter(text).take(super::MAX_LIST) {
            found.push(each.as_str().to_string().into());
            // In the worst case, each search scans all of the remaining text.
            meter::charge(&ctx, compiled.work(&text[each.end()..]))?;
        }
        Ok::<_, Box<EvalAltResult>>(Dynamic::from(found))
    });
}

/// Functions for text. [`register`] registers those that share its cache of regular expressions.
pub(super) const FUNCTIONS: &[ApiFunction] = &[
    ApiFunction {
        name: "glob",
        takes: &[("pattern", Type::Text), ("text", Type::Text)],
        gives: Type::Bool,
        about: "Returns true if the text matches git's wildcards: `*` and `?` do not match a slash, `**` \
                does.",
        example: r#"glob("services/**", "services/a/b") && !glob("services/*", "services/a/b")"#,
        register: |engine, name| {
            engine.register_fn(name, |ctx: NativeCallContext<'_>, pattern: &str, text: &str| {
                meter::matches(&ctx, &mut globs(pattern)?.matcher(), text.as_bytes())
            });
        },
    },
    ApiFunction {
        name: "matches",
        takes: &[("text", Type::Text), ("pattern", Type::Text)],
        gives: Type::Bool,
        about: "Returns true if the text contains a match of the regular expression. The text may have at \
                most 64 KiB. Write patterns between backticks, so that backslashes need no escaping. \
                Matching takes linear time.",
        example: r"update.title.matches(`^feat(\(\w+\))?!?: `)",
        register: |_, _| {},
    },
    ApiFunction {
        name: "captures",
        takes: &[("text", Type::Text), ("pattern", Type::Text)],
        gives: Type::Maybe(&Type::List(&Type::Text)),
        about: "Returns the first match of a regular expression and its groups: the whole match at 0, `()` \
                for a group that did not take part. `()` if there is no match.",
        example: r#"update.file("deploy/values.yaml").captures(`tag: (\S+)`)[1] == "1.3.0""#,
        register: |_, _| {},
    },
    ApiFunction {
        name: "find_all",
        takes: &[("text", Type::Text), ("pattern", Type::Text)],
        gives: Type::List(&Type::Text),
        about: "Returns all matches of a regular expression, at most 1,000.",
        example: r#""a1b22".find_all(`\d+`) == ["1", "22"]"#,
        register: |_, _| {},
    },
    ApiFunction {
        name: "conventional",
        takes: &[("text", Type::Text)],
        gives: Type::Maybe(&Type::Object("conventional")),
        about: "Parses a title or a whole message as a Conventional Commit; `()` if it is not one.",
        example: r#"conventional("docs: a word") != ()"#,
        register: |engine, name| {
            engine
                .register_fn(name, |text: &str| maybe(Conventional::parse(text).map(ConventionalView::new)));
        },
    },
    ApiFunction {
        name: "tickets",
        takes: &[("text", Type::Text)],
        gives: Type::List(&Type::Text),
        about: "Returns the ticket keys in the text, such as `ACME-7`, without duplicates. A text without \
                white space is the name of a branch: `feature/ACME-7-pay`. The setting `tickets` of the \
                site does not count here.",
        example: r#"tickets("ACME-7, again ACME-7, in UTF-8") == ["ACME-7"]"#,
        register: |engine, name| {
            engine.register_fn(name, |text: &str| list(TicketProjects::Any.find(text), Dynamic::from));
        },
    },
    ApiFunction {
        name: "tickets",
        takes: &[("text", Type::Text), ("projects", Type::List(&Type::Text))],
        gives: Type::List(&Type::Text),
        about: "Returns the ticket keys of these projects in the text, at most 256 of them. In the name of a \
                branch, they also count in lower case.",
        example: r#"tickets("ACME-7 and OPS-3", ["OPS"]) == ["OPS-3"]"#,
        register: |engine, name| {
            engine.register_fn(name, |text: &str, projects: Array| {
                let keys = projects.into_iter().take(MAX_PROJECTS).filter_map(|key| key.into_string().ok());
                list(TicketProjects::Only(keys.collect()).find(text), Dynamic::from)
            });
        },
    },
    ApiFunction {
        name: "short",
        takes: &[("id", Type::Text)],
        gives: Type::Text,
        about: "Returns the first 12 digits of an id, the short form for people.",
        example: "short(update.commit_id).len() == 12",
        register: |engine, name| {
            engine.register_fn(name, |id: &str| id.chars().take(SHORT).collect::<String>());
        },
    },
    ApiFunction {
        name: "sha256",
        takes: &[("text", Type::Text)],
        gives: Type::Text,
        about: "Returns the SHA-256 of the text in 64 hexadecimal digits.",
        example: r#"sha256("").starts_with("e3b0c44298fc1c14")"#,
        register: |engine, name| {
            engine.register_fn(name, |text: &str| text::Hex(&Sha256::digest(text)).to_string());
        },
    },
];
