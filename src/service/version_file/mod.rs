//! Reads the version from a file in the repository. The file name determines the format and the
//! key. Text that is not a version is an error.

mod cargo;
mod maven;
mod msbuild;
mod placeholder;
mod python;

use std::{borrow::Cow, rc::Rc};

use thiserror::Error;

use crate::{
    document::{self, DocumentError, DocumentFormat, Node},
    facts::FactError,
    text,
};

/// Maximum length of a version, in characters.
const MAX_VERSION: usize = 256;

/// Versions that release tools leave in a file because they keep the real one elsewhere.
const PLACEHOLDERS: [&str; 5] = [
    "0.0.0-development",
    "0.0.0-placeholder",
    "0.0.0-semantic-release",
    "0.0.0-semantically-released",
    "unspecified",
];

/// A file without a usable version.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum VersionFileError {
    #[error("it has no version: all lines are empty or comments")]
    Empty,
    #[error("it has no `{0}`")]
    NoKey(String),
    #[error("`{key}` is not a string but of type {found}")]
    NotAString { key: String, found: &'static str },
    #[error("`{found}` is not a version: {why}")]
    NotAVersion { found: String, why: &'static str },
    #[error(
        "the version is inherited from the workspace, and no Cargo.toml above it has \
         `workspace.package.version`"
    )]
    Inherited,
    #[error(
        "the version is dynamic, so only a build knows it; name a file that contains it, or use \"describe\""
    )]
    Dynamic,
    #[error("`{found}` needs `{property}`, which this file does not define")]
    Unresolved { found: String, property: String },
    #[error("`{0}` depends on a condition, which only a build can evaluate")]
    Conditional(String),
    #[error("{0}")]
    Syntax(#[from] DocumentError),
    #[error("in `{path}`: {why}")]
    SyntaxOfOther { path: String, why: DocumentError },
    #[error("{0}")]
    Unread(#[from] FactError),
}

impl VersionFileError {
    fn unresolved(found: &str, property: &str) -> Self {
        Self::Unresolved { found: text::line(found), property: text::line(property) }
    }
}

/// Reads another file at the same commit.
pub(crate) type OtherFile<'a> = dyn Fn(&str) -> Result<Option<Rc<str>>, FactError> + 'a;

type VersionResult<'a> = Result<Option<Cow<'a, str>>, VersionFileError>;

/// Reads the version from `content`, the text of the file at `path`. It is the value of `key`, or
/// of the usual key for files of this name.
///
/// # Errors
/// With what was found instead.
pub(crate) fn read(
    path: &str,
    key: Option<&str>,
    content: &str,
    other: &OtherFile<'_>,
) -> Result<String, VersionFileError> {
    let Some(format) = DocumentFormat::of(path) else {
        return checked(first_line(content).ok_or(VersionFileError::Empty)?);
    };
    let document = document::read(format, content)?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_msbuild = format == DocumentFormat::Xml && msbuild::is_project(&document);
    if is_msbuild && key.is_none() {
        let usual = || no_key(&owned(&["Version", "VersionPrefix"]));
        return checked(&msbuild::version(&document)?.ok_or_else(usual)?);
    }
    let keys = key.map_or_else(|| usual_keys(name, &document), |key| owned(&[key]));
    let found = match name {
        "Cargo.toml" => cargo::version(&document, &keys, path, other)?,
        "pyproject.toml" => python::of_pyproject(&document, &keys)?,
        "setup.cfg" => python::of_setup_cfg(&document, &keys)?,
        _ if format == DocumentFormat::Toml => first(&document, &keys, string_of)?,
        _ => first(&document, &keys, text_of)?,
    };
    let found = found.ok_or_else(|| no_key(&keys))?;
    if is_msbuild {
        return checked(&msbuild::filled(&document, &found)?);
    }
    if name == "pom.xml" {
        return checked(&maven::filled(&document, &found)?);
    }
    checked(&found)
}

/// Returns the keys of the version in files of this name, the most important one first.
fn usual_keys(name: &str, document: &Node) -> Vec<String> {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match (name, extension.as_deref()) {
        ("Cargo.toml", _) => owned(&["package.version", "workspace.package.version"]),
        ("pyproject.toml", _) => owned(&["project.version", "tool.poetry.version"]),
        ("setup.cfg", _) => owned(&["metadata.version"]),
        ("pom.xml", _) => owned(&["project.version", "project.parent.version"]),
        (_, Some("nuspec")) => owned(&["package.metadata.version"]),
        (_, Some("xml")) => document.root_name().map(|root| format!("{root}.version")).into_iter().collect(),
        _ => owned(&["version"]),
    }
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

fn no_key(keys: &[String]) -> VersionFileError {
    VersionFileError::NoKey(text::line(keys.join("` and no `")))
}

/// Reads a node, which has the given key.
type ReadNode = for<'n> fn(&'n Node, &str) -> Result<Cow<'n, str>, VersionFileError>;

/// Returns the text of the first of these keys.
fn first<'n>(document: &'n Node, keys: &[String], read: ReadNode) -> VersionResult<'n> {
    for key in keys {
        if let Some(node) = document.at(key) {
            return read(node, key).map(Some);
        }
    }
    Ok(None)
}

/// Returns a string. In TOML a version without quotes is a number, which may have lost digits.
fn string_of<'n>(node: &'n Node, key: &str) -> Result<Cow<'n, str>, VersionFileError> {
    match node {
        Node::Text(text) => Ok(text.as_str().into()),
        node => Err(VersionFileError::NotAString { key: text::line(key), found: node.type_name() }),
    }
}

/// Returns a string or an integer. Any other number of JSON may have lost digits: `1.10` is 1.1. YAML
/// keeps a scalar without quotes as it is written, but some words there are not text.
fn text_of<'n>(node: &'n Node, key: &str) -> Result<Cow<'n, str>, VersionFileError> {
    let not_a_string = |found| VersionFileError::NotAString { key: text::line(key), found };
    let text = node.text().filter(|_| !matches!(node, Node::Float(_)));
    let text = text.ok_or_else(|| not_a_string(node.type_name()))?;
    match (node, &*text) {
        (Node::Plain(_), "" | "~" | "null" | "Null" | "NULL") => Err(not_a_string("null")),
        (Node::Plain(_), "true" | "True" | "TRUE" | "false" | "False" | "FALSE") => {
            Err(not_a_string("boolean"))
        }
        _ => Ok(text),
    }
}

/// Returns the first line that is neither empty nor a comment, without a comment at its end.
fn first_line(content: &str) -> Option<&str> {
    let is_text =
        |line: &&str| !line.is_empty() && !["#", "//", ";"].iter().any(|comment| line.starts_with(comment));
    let line = content.trim_start_matches('\u{feff}').split(['\n', '\r']).map(str::trim).find(is_text)?;
    Some(line.split_once(" #").map_or(line, |(version, _)| version.trim_end()))
}

/// Returns the text if it can be a version.
fn checked(found: &str) -> Result<String, VersionFileError> {
    let found = found.trim();
    match flaw(found) {
        None => Ok(found.into()),
        Some(why) => Err(VersionFileError::NotAVersion { found: text::line(found), why }),
    }
}

/// Returns why a text is not a version. A version may have any form, because the projects choose it
/// (`go1.27.3`, `b7`).
fn flaw(found: &str) -> Option<&'static str> {
    let is_unseen = |c: char| text::is_hidden(c) || c == char::REPLACEMENT_CHARACTER;
    if found.is_empty() {
        return Some("it is empty");
    }
    if PLACEHOLDERS.contains(&found.to_ascii_lowercase().as_str()) {
        return Some("release tools use it as a placeholder");
    }
    if found.contains(is_unseen) {
        return Some("it has invisible or invalid characters");
    }
    if found.contains(char::is_whitespace) {
        return Some("it has white space");
    }
    if found.contains(['$', '{', '}']) || (found.len() > 1 && found.starts_with('@') && found.ends_with('@'))
    {
        return Some("a build replaces parts of it");
    }
    if found.contains(['<', '>', '"', '\'', '`', '=', '&']) || found.starts_with('#') {
        return Some("it has punctuation that versions do not have");
    }
    if !found.contains(char::is_alphanumeric) {
        return Some("it has neither digits nor letters");
    }
    (found.chars().count() > MAX_VERSION).then_some("it has more than 256 characters")
}

/// Makes a version safe to show, and limits its length.
pub(super) fn shown(version: &str) -> String {
    text::name(version.as_bytes(), MAX_VERSION)
}

#[cfg(test)]
mod tests;
