//! The `update.changed_paths` object. Scripts query it with patterns, so the paths need not be
//! copied into the script.

use std::rc::Rc;

use bstr::ByteSlice as _;
use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::{
    property::{ApiFunction, Property, Type, View, list, mistake, number, word},
    text::globs,
};
use crate::{
    facts::{ChangedPath, ChangedPaths},
    policy::meter,
};

/// The changed paths, as seen by a script.
#[derive(Clone)]
pub(in crate::policy) struct PathsView(Rc<ChangedPaths>);

impl PathsView {
    /// Returns the paths that match a pattern, or do not if `wanted` is false. Stops after `most`
    /// paths.
    fn matching(
        &self,
        ctx: &NativeCallContext<'_>,
        pattern: &str,
        (wanted, most): (bool, usize),
    ) -> Result<Vec<&ChangedPath>, Box<EvalAltResult>> {
        let globs = globs(pattern)?;
        let mut matcher = globs.matcher();
        let mut found = Vec::new();
        for path in &self.0.paths {
            if found.len() == most {
                break;
            }
            // A submodule in `services/checkout` matches `services/checkout/**`.
            let is_match = meter::matches(ctx, &mut matcher, &path.path)?
                || path.may_be_directory && matcher.matches_all_below();
            if is_match == wanted {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// Returns the work of one pass over all paths.
    fn work(&self) -> u64 {
        let bytes: usize = self.0.paths.iter().map(|path| path.path.len()).sum();
        (self.0.paths.len() * 4 + bytes / 16) as u64
    }

    pub fn new(changed: Rc<ChangedPaths>) -> Self {
        Self(changed)
    }

    fn texts(&self) -> impl Iterator<Item = String> + '_ {
        self.0.paths.iter().map(text)
    }

    /// Returns the directories at `depth`, without duplicates. At depth 2,
    /// `services/checkout/pay.rs` is in `services/checkout`.
    fn directories(&self, depth: i64) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let Ok(depth @ 1..) = usize::try_from(depth) else { return found };
        for path in self.texts() {
            // The last component is the file name and does not count.
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
        path.map(|path| text(path).into()).ok_or_else(|| {
            mistake(format!("path {index} does not exist, the list has {}", self.0.paths.len()))
        })
    }
}

fn text(path: &ChangedPath) -> String {
    path.path.to_str_lossy().into_owned()
}

/// Iterates over the paths in a `for` loop.
impl IntoIterator for PathsView {
    type Item = ImmutableString;
    type IntoIter = Box<dyn Iterator<Item = ImmutableString>>;

    fn into_iter(self) -> Self::IntoIter {
        let paths = self.0.clone();
        Box::new((0..paths.paths.len()).map(move |index| text(&paths.paths[index]).into()))
    }
}

/// Registers iteration and access by index.
pub(super) fn register(engine: &mut Engine) {
    engine.register_iterator::<PathsView>();
    engine.register_indexer_get(|paths: &mut PathsView, index: i64| paths.at(index));
}

impl View for PathsView {
    const NAME: &'static str = "paths";
    const ABOUT: &'static str = "Changed paths, at most 10,000. A moved file counts as two. `for path in \
                                 paths` iterates over them, `paths[0]` is the first, and `\"README\" in \
                                 paths` looks for one.";
    const WORDS: &'static [Property<Self>] = &[word(
        "is_truncated",
        Type::Bool,
        "true if more than 10,000 paths changed, so that the list is incomplete",
        "!update.changed_paths.is_truncated",
        |p| Ok(p.0.is_truncated.into()),
    )];
    const METHODS: &'static [ApiFunction] = &[
        ApiFunction {
            name: "len",
            takes: &[],
            gives: Type::Int,
            about: "Returns the number of paths.",
            example: "update.changed_paths.len() == 4",
            register: |engine, name| {
                engine.register_fn(name, |paths: &mut Self| number(paths.0.paths.len()));
            },
        },
        ApiFunction {
            name: "contains",
            takes: &[("path", Type::Text)],
            gives: Type::Bool,
            about: "Returns true if exactly this path changed.",
            example: r#""docs/pay.md" in update.changed_paths"#,
            register: |engine, name| {
                engine.register_fn(name, |ctx: NativeCallContext<'_>, paths: &mut Self, path: &str| {
                    meter::charge(&ctx, paths.work())?;
                    Ok::<_, Box<EvalAltResult>>(
                        paths.0.paths.iter().any(|known| known.path == path.as_bytes()),
                    )
                });
            },
        },
        ApiFunction {
            name: "any",
            takes: &[("pattern", Type::Text)],
            gives: Type::Bool,
            about: "Returns true if any path matches the wildcards, as in `glob`.",
            example: r#"update.changed_paths.any("services/*/*.rs")"#,
            register: |engine, name| {
                engine.register_fn(name, |ctx: NativeCallContext<'_>, paths: &mut Self, pattern: &str| {
                    Ok::<_, Box<EvalAltResult>>(!paths.matching(&ctx, pattern, (true, 1))?.is_empty())
                });
            },
        },
        ApiFunction {
            name: "all",
            takes: &[("pattern", Type::Text)],
            gives: Type::Bool,
            about: "Returns true if every path matches the wildcards, or if there are no paths.",
            example: r#"!update.changed_paths.all("docs/**")"#,
            register: |engine, name| {
                engine.register_fn(name, |ctx: NativeCallContext<'_>, paths: &mut Self, pattern: &str| {
                    Ok::<_, Box<EvalAltResult>>(paths.matching(&ctx, pattern, (false, 1))?.is_empty())
                });
            },
        },
        ApiFunction {
            name: "matching",
            takes: &[("pattern", Type::Text)],
            gives: Type::List(&Type::Text),
            about: "Returns the paths that match the wildcards.",
            example: r#"update.changed_paths.matching("docs/**") == ["docs/pay.md"]"#,
            register: |engine, name| {
                engine.register_fn(name, |ctx: NativeCallContext<'_>, paths: &mut Self, pattern: &str| {
                    let found = paths.matching(&ctx, pattern, (true, usize::MAX))?;
                    Ok::<_, Box<EvalAltResult>>(list(found, |path| text(path).into()))
                });
            },
        },
        ApiFunction {
            name: "without",
            takes: &[("pattern", Type::Text)],
            gives: Type::Object("paths"),
            about: "Returns the paths that do not match the wildcards, as the same kind of object.",
            example: r#"!update.changed_paths.without("services/search/**").any("services/search/*")"#,
            register: |engine, name| {
                engine.register_fn(name, |ctx: NativeCallContext<'_>, paths: &mut Self, pattern: &str| {
                    let kept = paths.matching(&ctx, pattern, (false, usize::MAX))?.into_iter().cloned();
                    let is_truncated = paths.0.is_truncated;
                    Ok::<_, Box<EvalAltResult>>(Self::new(Rc::new(ChangedPaths {
                        paths: kept.collect(),
                        is_truncated,
                    })))
                });
            },
        },
        ApiFunction {
            name: "directories",
            takes: &[("depth", Type::Int)],
            gives: Type::List(&Type::Text),
            about: "Returns the directories of the paths, cut at this depth, without duplicates. The \
                    services of a monorepo are often at depth 2.",
            example: r#"update.changed_paths.directories(2) == ["services/checkout", "services/search"]"#,
            register: |engine, name| {
                engine.register_fn(name, |ctx: NativeCallContext<'_>, paths: &mut Self, depth: i64| {
                    meter::charge(&ctx, 8 * paths.work())?;
                    Ok::<_, Box<EvalAltResult>>(list(paths.directories(depth), Dynamic::from))
                });
            },
        },
        ApiFunction {
            name: "to_array",
            takes: &[],
            gives: Type::List(&Type::Text),
            about: "Returns the paths as an array.",
            example: r#"update.changed_paths.to_array().some(|path| path.ends_with(".md"))"#,
            register: |engine, name| {
                engine.register_fn(name, |ctx: NativeCallContext<'_>, paths: &mut Self| {
                    meter::charge(&ctx, 8 * paths.work())?;
                    Ok::<_, Box<EvalAltResult>>(list(paths.texts(), Dynamic::from))
                });
            },
        },
    ];
}
