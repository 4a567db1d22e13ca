//! Reads the version from a file in the repository. The file name determines the format.

use saphyr_parser::{Event, Parser};
use thiserror::Error;
use toml_edit::{DocumentMut, Item, TomlError};

use crate::text;

/// Maximum length of a version, in characters.
const MAX_VERSION: usize = 256;

/// Maximum number of parts of a dotted key.
const MAX_DEPTH: usize = 16;

/// The format of a file with a version.
enum VersionFileFormat {
    Toml,
    Json,
    Yaml,
    /// The first line that is not empty is the version.
    Line,
}

/// A file without a usable version.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum VersionFileError {
    #[error("a key has at most {MAX_DEPTH} parts")]
    DeepKey,
    #[error("it is empty")]
    Empty,
    #[error("it has no `{0}`")]
    NoKey(String),
    #[error("`{key}` is not a string{}", found.map(|found| format!(" but of type {found}")).unwrap_or_default())]
    NotAString { key: String, found: Option<&'static str> },
    #[error("the version is inherited from the workspace; name the workspace's Cargo.toml instead")]
    Inherited,
    /// The content does not have the format of the file's name. Holds the parser's message.
    #[error("{0}")]
    Syntax(String),
}

impl VersionFileError {
    fn syntax(message: impl AsRef<[u8]>) -> Self {
        Self::Syntax(text::line(message))
    }

    fn not_a_string(key: &str) -> Self {
        Self::NotAString { key: key.into(), found: None }
    }
}

/// Reads the version from `content`, the text of the file at `path`. It is the value of `key`, or
/// of the usual key for files of this name.
///
/// # Errors
/// With what was found instead.
pub(crate) fn read(path: &str, key: Option<&str>, content: &str) -> Result<String, VersionFileError> {
    let content = content.trim_start_matches('\u{feff}');
    let name = path.rsplit('/').next().unwrap_or(path);
    let format = match name.rsplit_once('.') {
        Some((_, "toml")) => VersionFileFormat::Toml,
        Some((_, "json")) => VersionFileFormat::Json,
        Some((_, "yaml" | "yml")) => VersionFileFormat::Yaml,
        _ => VersionFileFormat::Line,
    };
    let usual: &[&str] = match (key, name) {
        (Some(key), _) => &[key],
        // Members of a Cargo workspace inherit the version in its root (The Cargo Book,
        // "Workspaces").
        (None, "Cargo.toml") => &["package.version", "workspace.package.version"],
        // PEP 621, and Poetry's own table.
        (None, "pyproject.toml") => &["project.version", "tool.poetry.version"],
        (None, _) => &["version"],
    };
    if usual.iter().any(|key| key.split('.').count() > MAX_DEPTH) {
        return Err(VersionFileError::DeepKey);
    }
    let found = match format {
        VersionFileFormat::Line => {
            content.lines().map(str::trim).find(|line| !line.is_empty()).map(ToString::to_string)
        }
        VersionFileFormat::Toml => {
            let document: DocumentMut =
                content.parse().map_err(|err: TomlError| VersionFileError::syntax(err.message()))?;
            first(usual, |key| in_toml(document.as_item(), key))?
        }
        VersionFileFormat::Json => {
            let value: serde_json::Value =
                serde_json::from_str(content).map_err(|err| VersionFileError::syntax(err.to_string()))?;
            first(usual, |key| in_json(&value, key))?
        }
        VersionFileFormat::Yaml => first(usual, |key| in_yaml(content, key))?,
    };
    let found = found.filter(|found| !found.trim().is_empty());
    found.map(|found| shown(found.trim())).ok_or_else(|| match format {
        VersionFileFormat::Line => VersionFileError::Empty,
        _ => VersionFileError::NoKey(usual.join("` and no `")),
    })
}

/// Makes a version safe to show, and limits its length.
pub(super) fn shown(version: &str) -> String {
    text::name(version.as_bytes(), MAX_VERSION)
}

type VersionResult = Result<Option<String>, VersionFileError>;

fn first(keys: &[&str], mut look: impl FnMut(&str) -> VersionResult) -> VersionResult {
    for key in keys {
        if let Some(found) = look(key)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn in_toml(document: &Item, key: &str) -> VersionResult {
    let mut item = document;
    for name in key.split('.') {
        match item.get(name) {
            Some(inner) => item = inner,
            None => return Ok(None),
        }
    }
    match item.as_str() {
        Some(version) => Ok(Some(version.into())),
        // `version.workspace = true` refers to another file.
        None if item.get("workspace").is_some() => Err(VersionFileError::Inherited),
        None => Err(VersionFileError::NotAString { key: key.into(), found: Some(item.type_name()) }),
    }
}

fn in_json(value: &serde_json::Value, key: &str) -> VersionResult {
    let mut value = value;
    for name in key.split('.') {
        match value.get(name) {
            Some(inner) => value = inner,
            None => return Ok(None),
        }
    }
    match value {
        serde_json::Value::String(version) => Ok(Some(version.clone())),
        serde_json::Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(VersionFileError::not_a_string(key)),
    }
}

/// A collection that the parser has entered.
enum Open {
    /// A map, with the key whose value comes next.
    Map(Option<String>),
    List,
}

/// Finds a key without building the document. Aliases are not expanded, so a small file cannot take
/// much memory.
fn in_yaml(content: &str, key: &str) -> VersionResult {
    let wanted: Vec<&str> = key.split('.').collect();
    let mut open: Vec<Open> = Vec::new();
    let is_here = |open: &[Open]| {
        open.len() == wanted.len()
            && open
                .iter()
                .zip(&wanted)
                .all(|(at, wanted)| matches!(at, Open::Map(Some(key)) if key == wanted))
    };
    for event in Parser::new_from_str(content) {
        let (event, _) = event.map_err(|err| VersionFileError::syntax(err.to_string()))?;
        match event {
            Event::Scalar(value, ..) => {
                if is_here(&open) {
                    return Ok(Some(value.into_owned()));
                }
                match open.last_mut() {
                    Some(Open::Map(key @ None)) => *key = Some(value.into_owned()),
                    Some(Open::Map(key)) => *key = None,
                    _ => {}
                }
            }
            Event::MappingStart(..) | Event::SequenceStart(..) | Event::Alias(_) if is_here(&open) => {
                return Err(VersionFileError::not_a_string(key));
            }
            Event::MappingStart(..) => open.push(Open::Map(None)),
            Event::SequenceStart(..) => open.push(Open::List),
            Event::Alias(_) => end_of_value(&mut open),
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                end_of_value(&mut open);
            }
            // Only the first document of a file counts.
            Event::DocumentEnd => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}

/// Records the end of a value that is not a scalar. If it was used as a key, the empty string
/// stands for it.
fn end_of_value(open: &mut [Open]) {
    if let Some(Open::Map(key)) = open.last_mut() {
        *key = match key {
            None => Some(String::new()),
            Some(_) => None,
        };
    }
}

#[cfg(test)]
mod tests;
