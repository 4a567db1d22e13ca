//! Semantic versions: read, compared, and what lies between two of them.

use std::{fmt, rc::Rc};

use rhai::{Dynamic, EvalAltResult};
use semver::{Version, VersionReq};

use super::word::{Function, Read, Type, View, Word, maybe, mistake, word};
use crate::text;

/// A version in a script.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) struct VersionView(Rc<Version>);

impl fmt::Display for VersionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl VersionView {
    /// Reads a version, with or without a `v` before it.
    fn parse(text: &str) -> Option<Self> {
        Version::parse(text.strip_prefix('v').unwrap_or(text)).ok().map(|version| Self(Rc::new(version)))
    }

    /// Returns the first part in which this version is beyond `older`, `()` if it is not beyond it.
    fn bump_from(&self, older: &Self) -> Dynamic {
        let (new, old) = (&self.0, &older.0);
        let bump = match new.cmp_precedence(old) {
            std::cmp::Ordering::Greater if new.major > old.major => Some("major"),
            std::cmp::Ordering::Greater if new.minor > old.minor => Some("minor"),
            std::cmp::Ordering::Greater if new.patch > old.patch => Some("patch"),
            std::cmp::Ordering::Greater => Some("prerelease"),
            std::cmp::Ordering::Equal | std::cmp::Ordering::Less => None,
        };
        maybe(bump.map(str::to_string))
    }
}

fn part(part: u64) -> Read {
    Ok(i64::try_from(part).unwrap_or(i64::MAX).into())
}

impl View for VersionView {
    const NAME: &'static str = "version";
    const ABOUT: &'static str = "A semantic version (semver.org 2.0.0), as `semver` reads it. Versions compare as their \
                                 numbers do; as text it has no `v`.";
    const WORDS: &'static [Word<Self>] = &[
        word("major", Type::Int, "the first number", r#"semver("1.2.3").major == 1"#, |v| part(v.0.major)),
        word("minor", Type::Int, "the second number", r#"semver("1.2.3").minor == 2"#, |v| part(v.0.minor)),
        word("patch", Type::Int, "the third number", r#"semver("1.2.3").patch == 3"#, |v| part(v.0.patch)),
        word("pre", Type::Text, "what follows a hyphen", r#"semver("1.2.3-rc.1").pre == "rc.1""#, |v| {
            Ok(v.0.pre.as_str().to_string().into())
        }),
        word("build", Type::Text, "what follows a plus", r#"semver("1.2.3+b5").build == "b5""#, |v| {
            Ok(v.0.build.as_str().to_string().into())
        }),
        word(
            "is_prerelease",
            Type::Bool,
            "whether something follows a hyphen",
            r#"!semver("v1.2.3").is_prerelease"#,
            |v| Ok((!v.0.pre.is_empty()).into()),
        ),
    ];
    const METHODS: &'static [Function] = &[
        Function {
            name: "bump_from",
            takes: &[("older", Type::Object("version"))],
            gives: Type::Maybe(&Type::Text),
            about: "Returns `major`, `minor`, `patch` or `prerelease`, the first part in which it is beyond the other; `()` \
                    if it is not.",
            example: r#"semver("2.0.0").bump_from(semver("1.9.3")) == "major""#,
            register: |engine, name| {
                engine.register_fn(name, |new: &mut Self, older: Self| new.bump_from(&older));
            },
        },
        Function {
            name: "satisfies",
            takes: &[("requirement", Type::Text)],
            gives: Type::Bool,
            about: "Returns whether it is one of those that a requirement such as `>=1.2, <2` or `^1.4` allows, as cargo \
                    reads it.",
            example: r#"semver("1.4.2").satisfies(">=1.2, <2")"#,
            register: |engine, name| {
                engine.register_fn(name, |version: &mut Self, requirement: &str| {
                    let requirement = VersionReq::parse(requirement).map_err(|err| {
                        mistake(format!("`{}` is no requirement: {err}", text::line(requirement)))
                    })?;
                    Ok::<_, Box<EvalAltResult>>(requirement.matches(&version.0))
                });
            },
        },
    ];
}

/// Functions of versions.
pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: "semver",
    takes: &[("text", Type::Text)],
    gives: Type::Maybe(&Type::Object("version")),
    about: "Reads a semantic version, with or without a `v` before it; `()` if it is none.",
    example: r#"semver("v1.10.0") > semver("1.9.0")"#,
    register: |engine, name| {
        engine.register_fn(name, |text: &str| maybe(VersionView::parse(text)));
    },
}];
