//! Functions of text: wildcards, regular expressions, conventions, hashes.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use bstr::ByteSlice as _;
use regex_lite::{Regex, RegexBuilder};
use rhai::{Dynamic, Engine, EvalAltResult};
use sha2::{Digest as _, Sha256};

use super::{
    commit::ConventionalView,
    word::{Function, Type, list, maybe, mistake},
};
use crate::{
    facts::{Conventional, tickets},
    text,
};

/// How large a compiled regular expression may be, in bytes. Its time is the text's length times this.
const MAX_REGEX: usize = 32 << 10;

/// How much text a regular expression is tried on, in bytes.
const MAX_SEARCHED: usize = 64 << 10;

/// How long a wildcard times its text may be, in bytes: it may have to be tried anew at each place. A wildcard of 1 KiB
/// and a path of 4 KiB fit, and take a few milliseconds at worst.
const MAX_MATCH: usize = 4 << 20;

/// How many regular expressions an engine keeps compiled.
const MAX_KEPT: usize = 64;

/// How much of a commit's id is shown to people, in digits.
const SHORT: usize = 12;

/// Matches with git's own wildcards: `*` and `?` stop at a slash, `**` does not.
pub(super) fn is_match(pattern: &str, text: &[u8]) -> bool {
    gix_glob::wildmatch(pattern.into(), text.as_bstr(), gix_glob::wildmatch::Mode::NO_MATCH_SLASH_LITERAL)
}

/// The regular expressions of an engine, compiled once each: scripts have them in loops.
#[derive(Clone, Default)]
struct Regexes(Rc<RefCell<HashMap<String, Regex>>>);

impl Regexes {
    fn of(&self, pattern: &str, text: &str) -> Result<Regex, Box<EvalAltResult>> {
        if text.len() > MAX_SEARCHED {
            let (found, limit) = (text.len(), MAX_SEARCHED >> 10);
            return Err(mistake(format!("the text to search has {found} bytes, the limit is {limit} KiB")));
        }
        if let Some(regex) = self.0.borrow().get(pattern) {
            return Ok(regex.clone());
        }
        let regex = RegexBuilder::new(pattern)
            .size_limit(MAX_REGEX)
            .build()
            .map_err(|err| mistake(format!("`{}` is no regular expression: {err}", text::line(pattern))))?;
        let mut kept = self.0.borrow_mut();
        if kept.len() == MAX_KEPT {
            kept.clear();
        }
        kept.insert(pattern.to_string(), regex.clone());
        Ok(regex)
    }
}

/// Makes the engine know the functions that need a regular expression.
pub(super) fn register(engine: &mut Engine) {
    let regexes = Regexes::default();
    let kept = regexes.clone();
    engine.register_fn("matches", move |text: &str, pattern: &str| {
        Ok::<_, Box<EvalAltResult>>(kept.of(pattern, text)?.is_match(text))
    });
    let kept = regexes.clone();
    engine.register_fn("captures", move |text: &str, pattern: &str| {
        let regex = kept.of(pattern, text)?;
        let Some(captures) = regex.captures(text) else { return Ok(Dynamic::UNIT) };
        Ok::<_, Box<EvalAltResult>>(list(captures.iter(), |group| {
            maybe(group.map(|group| group.as_str().to_string()))
        }))
    });
    engine.register_fn("find_all", move |text: &str, pattern: &str| {
        let regex = regexes.of(pattern, text)?;
        let found = regex.find_iter(text).take(super::MAX_LIST);
        Ok::<_, Box<EvalAltResult>>(list(found, |found| found.as_str().to_string().into()))
    });
}

/// Functions of text. Those of regular expressions share what [`register`] keeps.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "glob",
        takes: &[("pattern", Type::Text), ("text", Type::Text)],
        gives: Type::Bool,
        about: "Returns whether the text matches git's wildcards: `*` and `?` stop at a slash, `**` does not.",
        example: r#"glob("services/**", "services/a/b") && !glob("services/*", "services/a/b")"#,
        register: |engine, name| {
            engine.register_fn(name, |pattern: &str, text: &str| {
                let is_bounded = pattern.len().saturating_mul(text.len()) <= MAX_MATCH;
                let why = || {
                    mistake(format!(
                        "a wildcard is too long for its text: {} times {} bytes are more than {MAX_MATCH}",
                        pattern.len(),
                        text.len()
                    ))
                };
                is_bounded.then(|| is_match(pattern, text.as_bytes())).ok_or_else(why)
            });
        },
    },
    Function {
        name: "matches",
        takes: &[("text", Type::Text), ("pattern", Type::Text)],
        gives: Type::Bool,
        about: "Returns whether a regular expression is found in the text, which may have 64 KiB. Write patterns between \
                backticks, where nothing needs a second backslash. None takes more than linear time.",
        example: r"update.title.matches(`^feat(\(\w+\))?!?: `)",
        register: |_, _| {},
    },
    Function {
        name: "captures",
        takes: &[("text", Type::Text), ("pattern", Type::Text)],
        gives: Type::Maybe(&Type::List(&Type::Text)),
        about: "Returns what a regular expression found first, and what its groups hold: the whole at 0, `()` for a group \
                that has no part in it. `()` if nothing is found.",
        example: r#"update.file("deploy/values.yaml").captures(`tag: (\S+)`)[1] == "1.3.0""#,
        register: |_, _| {},
    },
    Function {
        name: "find_all",
        takes: &[("text", Type::Text), ("pattern", Type::Text)],
        gives: Type::List(&Type::Text),
        about: "Returns everything that a regular expression finds, at most 1,000 times.",
        example: r#""a1b22".find_all(`\d+`) == ["1", "22"]"#,
        register: |_, _| {},
    },
    Function {
        name: "conventional",
        takes: &[("text", Type::Text)],
        gives: Type::Maybe(&Type::Object("conventional")),
        about: "Reads a title, or a whole message, by the rules of Conventional Commits; `()` if it is none.",
        example: r#"conventional("docs: a word") != ()"#,
        register: |engine, name| {
            engine
                .register_fn(name, |text: &str| maybe(Conventional::parse(text).map(ConventionalView::new)));
        },
    },
    Function {
        name: "tickets",
        takes: &[("text", Type::Text)],
        gives: Type::List(&Type::Text),
        about: "Returns the keys of tickets in the text, such as `ACME-7`, each once.",
        example: r#"tickets("ACME-7, again ACME-7, in UTF-8") == ["ACME-7"]"#,
        register: |engine, name| {
            engine.register_fn(name, |text: &str| list(tickets(text), Dynamic::from));
        },
    },
    Function {
        name: "short",
        takes: &[("id", Type::Text)],
        gives: Type::Text,
        about: "Returns the first 12 digits of an id, as people are shown it.",
        example: "short(update.commit_id).len() == 12",
        register: |engine, name| {
            engine.register_fn(name, |id: &str| id.chars().take(SHORT).collect::<String>());
        },
    },
    Function {
        name: "sha256",
        takes: &[("text", Type::Text)],
        gives: Type::Text,
        about: "Returns the SHA-256 of the text in 64 digits: the same on every machine and for ever.",
        example: r#"sha256("").starts_with("e3b0c44298fc1c14")"#,
        register: |engine, name| {
            engine.register_fn(name, |text: &str| text::Hex(&Sha256::digest(text)).to_string());
        },
    },
];
