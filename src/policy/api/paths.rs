//! `update.changed_paths`: many paths, asked with wildcards instead of being copied into the script.

use std::rc::Rc;

use bstr::ByteSlice as _;
use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString};

use super::{
    text::is_match,
    word::{Function, Type, View, Word, list, mistake, number, word},
};
use crate::facts::ChangedPaths;

/// Changed paths in a script.
#[derive(Clone)]
pub(super) struct PathsView(Rc<ChangedPaths>);

/// How long a wildcard times all paths may be, in bytes. At worst each byte of a path is held against the whole wildcard,
/// which takes a tenth of a second then; 10,000 paths of 100 bytes may meet wildcards of 128.
const MAX_MATCH: usize = 128 << 20;

impl PathsView {
    /// Refuses a wildcard that would take too long.
    fn is_for(&self, pattern: &str) -> Result<(), Box<EvalAltResult>> {
        let bytes: usize = self.0.paths.iter().map(|path| path.len()).sum();
        if pattern.len().saturating_mul(bytes) > MAX_MATCH {
            let length = pattern.len();
            return Err(mistake(format!(
                "a wildcard of {length} bytes is too long for {bytes} bytes of paths; shorten it"
            )));
        }
        Ok(())
    }

    pub fn new(changed: Rc<ChangedPaths>) -> Self {
        Self(changed)
    }

    fn texts(&self) -> impl Iterator<Item = String> + '_ {
        self.0.paths.iter().map(|path| path.to_str_lossy().into_owned())
    }

    fn without(&self, pattern: &str) -> Self {
        let kept = self.0.paths.iter().filter(|path| !is_match(pattern, path));
        Self::new(Rc::new(ChangedPaths { paths: kept.cloned().collect(), is_truncated: self.0.is_truncated }))
    }

    /// Returns the directories at `depth`, each once: the service of `services/checkout/pay.rs` is at 2.
    fn directories(&self, depth: i64) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let Ok(depth @ 1..) = usize::try_from(depth) else { return found };
        for path in self.texts() {
            // The file's own name is no directory.
            let end = path.match_indices('/').nth(depth - 1).map(|(end, _)| end);
            if let Some(directory) = end.map(|end| &path[..end])
                && found.last().is_none_or(|last| last != directory)
            {
                found.push(directory.to_string());
            }
        }
        found.sort();
        found.dedup();
        found
    }

    fn at(&self, index: i64) -> Result<Dynamic, Box<EvalAltResult>> {
        let path = usize::try_from(index).ok().and_then(|index| self.0.paths.get(index));
        path.map(|path| path.to_str_lossy().into_owned().into())
            .ok_or_else(|| mistake(format!("there is no path {index}, there are {}", self.0.paths.len())))
    }
}

/// What a `for` loop goes over.
impl IntoIterator for PathsView {
    type Item = ImmutableString;
    type IntoIter = Box<dyn Iterator<Item = ImmutableString>>;

    fn into_iter(self) -> Self::IntoIter {
        let paths = self.0.clone();
        Box::new((0..paths.paths.len()).map(move |index| paths.paths[index].to_str_lossy().as_ref().into()))
    }
}

/// Makes the engine loop over paths, and take them by number.
pub(super) fn register(engine: &mut Engine) {
    engine.register_iterator::<PathsView>();
    engine.register_indexer_get(|paths: &mut PathsView, index: i64| paths.at(index));
}

impl View for PathsView {
    const NAME: &'static str = "paths";
    const ABOUT: &'static str = "Changed paths, at most 10,000. A moved file is two of them. `for path in paths` goes over \
                                 them, `paths[0]` is the first, `\"README\" in paths` asks for one.";
    const WORDS: &'static [Word<Self>] = &[word(
        "is_truncated",
        Type::Bool,
        "whether there are more than 10,000, so that the rest is not listed",
        "!update.changed_paths.is_truncated",
        |p| Ok(p.0.is_truncated.into()),
    )];
    const METHODS: &'static [Function] = &[
        Function {
            name: "len",
            takes: &[],
            gives: Type::Int,
            about: "Returns how many there are.",
            example: "update.changed_paths.len() == 4",
            register: |engine, name| {
                engine.register_fn(name, |paths: &mut Self| number(paths.0.paths.len()));
            },
        },
        Function {
            name: "contains",
            takes: &[("path", Type::Text)],
            gives: Type::Bool,
            about: "Returns whether this very path is among them.",
            example: r#""docs/pay.md" in update.changed_paths"#,
            register: |engine, name| {
                engine.register_fn(name, |paths: &mut Self, path: &str| {
                    paths.0.paths.iter().any(|known| known == path.as_bytes())
                });
            },
        },
        Function {
            name: "any",
            takes: &[("pattern", Type::Text)],
            gives: Type::Bool,
            about: "Returns whether any path matches the wildcards, as `glob` does.",
            example: r#"update.changed_paths.any("services/*/*.rs")"#,
            register: |engine, name| {
                engine.register_fn(name, |paths: &mut Self, pattern: &str| {
                    paths.is_for(pattern)?;
                    Ok::<_, Box<EvalAltResult>>(paths.0.paths.iter().any(|path| is_match(pattern, path)))
                });
            },
        },
        Function {
            name: "all",
            takes: &[("pattern", Type::Text)],
            gives: Type::Bool,
            about: "Returns whether every path matches the wildcards; also where there is none.",
            example: r#"!update.changed_paths.all("docs/**")"#,
            register: |engine, name| {
                engine.register_fn(name, |paths: &mut Self, pattern: &str| {
                    paths.is_for(pattern)?;
                    Ok::<_, Box<EvalAltResult>>(paths.0.paths.iter().all(|path| is_match(pattern, path)))
                });
            },
        },
        Function {
            name: "matching",
            takes: &[("pattern", Type::Text)],
            gives: Type::List(&Type::Text),
            about: "Returns the paths that match the wildcards.",
            example: r#"update.changed_paths.matching("docs/**") == ["docs/pay.md"]"#,
            register: |engine, name| {
                engine.register_fn(name, |paths: &mut Self, pattern: &str| {
                    paths.is_for(pattern)?;
                    let found = paths.0.paths.iter().filter(|path| is_match(pattern, path));
                    Ok::<_, Box<EvalAltResult>>(list(found, |path| path.to_str_lossy().into_owned().into()))
                });
            },
        },
        Function {
            name: "without",
            takes: &[("pattern", Type::Text)],
            gives: Type::Object("paths"),
            about: "Returns the paths that do not match the wildcards, to be asked in turn.",
            example: r#"!update.changed_paths.without("services/search/**").any("services/search/*")"#,
            register: |engine, name| {
                engine.register_fn(name, |paths: &mut Self, pattern: &str| paths.without(pattern));
            },
        },
        Function {
            name: "directories",
            takes: &[("depth", Type::Int)],
            gives: Type::List(&Type::Text),
            about: "Returns the directories of the paths cut at this depth, each once: a monorepo's services are often \
                    at 2.",
            example: r#"update.changed_paths.directories(2) == ["services/checkout", "services/search"]"#,
            register: |engine, name| {
                engine.register_fn(name, |paths: &mut Self, depth: i64| {
                    list(paths.directories(depth), Dynamic::from)
                });
            },
        },
        Function {
            name: "to_array",
            takes: &[],
            gives: Type::List(&Type::Text),
            about: "Returns them as an array.",
            example: r#"update.changed_paths.to_array().some(|path| path.ends_with(".md"))"#,
            register: |engine, name| {
                engine.register_fn(name, |paths: &mut Self| list(paths.texts(), Dynamic::from));
            },
        },
    ];
}
