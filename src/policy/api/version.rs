//! Semantic versions: parsing, comparison, and the difference between two versions.

use std::{fmt, rc::Rc};

use rhai::{Dynamic, EvalAltResult};
use semver::{Version, VersionReq};

use super::property::{ApiFunction, Property, PropertyResult, Type, View, maybe, mistake, word};
use crate::text;

/// A semantic version, as seen by a script.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::policy) struct VersionView(Rc<Version>);

impl fmt::Display for VersionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl VersionView {
    /// Parses a version, with or without a leading `v`.
    fn parse(text: &str) -> Option<Self> {
        Version::parse(text.strip_prefix('v').unwrap_or(text)).ok().map(|version| Self(Rc::new(version)))
    }

    /// Returns the first part in which this version is higher than `older`, or `()` if it is not
    /// higher.
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

fn part(part: u64) -> PropertyResult {
    Ok(i64::try_from(part).unwrap_or(i64::MAX).into())
}

impl View for VersionView {
    const NAME: &'static str = "version";
    const ABOUT: &'static str = "A semantic version (semver.org 2.0.0), from `semver`. Versions compare by \
                                 their numbers. Converted to a string, it has no `v`.";
    const WORDS: &'static [Property<Self>] = &[
        word("major", Type::Int, "the first number", r#"semver("1.2.3").major == 1"#, |v| part(v.0.major)),
        word("minor", Type::Int, "the second number", r#"semver("1.2.3").minor == 2"#, |v| part(v.0.minor)),
        word("patch", Type::Int, "the third number", r#"semver("1.2.3").patch == 3"#, |v| part(v.0.patch)),
        word("pre", Type::Text, "the pre-release part", r#"semver("1.2.3-rc.1").pre == "rc.1""#, |v| {
            Ok(v.0.pre.as_str().to_string().into())
        }),
        word("build", Type::Text, "the build metadata", r#"semver("1.2.3+b5").build == "b5""#, |v| {
            Ok(v.0.build.as_str().to_string().into())
        }),
        word(
            "is_prerelease",
            Type::Bool,
            "true for a pre-release",
            r#"!semver("v1.2.3").is_prerelease"#,
            |v| Ok((!v.0.pre.is_empty()).into()),
        ),
    ];
    const METHODS: &'static [ApiFunction] = &[
        ApiFunction {
            name: "bump_from",
            takes: &[("older", Type::Object("version"))],
            gives: Type::Maybe(&Type::Text),
            about: "Returns `major`, `minor`, `patch` or `prerelease`: the first part that is higher than \
                    in the older version; `()` if the version is not higher.",
            example: r#"semver("2.0.0").bump_from(semver("1.9.3")) == "major""#,
            register: |engine, name| {
                engine.register_fn(name, |new: &mut Self, older: Self| new.bump_from(&older));
            },
        },
        ApiFunction {
            name: "satisfies",
            takes: &[("requirement", Type::Text)],
            gives: Type::Bool,
            about: "Returns true if the version meets a requirement such as `>=1.2, <2` or `^1.4`, in \
                    Cargo's syntax.",
            example: r#"semver("1.4.2").satisfies(">=1.2, <2")"#,
            register: |engine, name| {
                engine.register_fn(name, |version: &mut Self, requirement: &str| {
                    let requirement = VersionReq::parse(requirement).map_err(|err| {
                        mistake(format!("`{}` is not a version requirement: {err}", text::line(requirement)))
                    })?;
                    Ok::<_, Box<EvalAltResult>>(requirement.matches(&version.0))
                });
            },
        },
    ];
}

/// Functions for versions.
pub(super) const FUNCTIONS: &[ApiFunction] = &[ApiFunction {
    name: "semver",
    takes: &[("text", Type::Text)],
    gives: Type::Maybe(&Type::Object("version")),
    about: "Parses a semantic version, with or without a leading `v`; `()` if the text is not one.",
    example: r#"semver("v1.10.0") > semver("1.9.0")"#,
    register: |engine, name| {
        engine.register_fn(name, |text: &str| maybe(VersionView::parse(text)));
    },
}];
