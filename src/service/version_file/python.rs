//! The version of a Python project.

use crate::document::Node;

use super::{VersionFileError, VersionResult, first, string_of, text_of};

/// Table of a plug-in that computes the version. `tool.poetry.version` is a placeholder then.
const PLUGIN: &str = "tool.poetry-dynamic-versioning";

/// Returns the version in `pyproject.toml`. PEP 621 lets a build compute it (`dynamic`), except
/// that Poetry has the version in its own table.
pub(super) fn of_pyproject<'n>(document: &'n Node, keys: &[String]) -> VersionResult<'n> {
    let is_version = |entry: &Node| entry.text().is_some_and(|name| name == "version");
    let is_dynamic = match document.at("project.dynamic") {
        Some(Node::List(names)) => names.iter().any(is_version),
        _ => false,
    };
    let of_project = first(document, keys.get(..1).unwrap_or_default(), string_of)?;
    if of_project.is_some() {
        return Ok(of_project);
    }
    match first(document, keys, string_of)? {
        Some(version) if document.at(PLUGIN).is_none() => Ok(Some(version)),
        None if !is_dynamic => Ok(None),
        _ => Err(VersionFileError::Dynamic),
    }
}

/// Returns the version in `setup.cfg`. setuptools can also read it from a module or another file.
pub(super) fn of_setup_cfg<'n>(document: &'n Node, keys: &[String]) -> VersionResult<'n> {
    match first(document, keys, text_of)? {
        Some(version) if version.starts_with("attr:") || version.starts_with("file:") => {
            Err(VersionFileError::Dynamic)
        }
        found => Ok(found),
    }
}
