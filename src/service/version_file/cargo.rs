//! The version of a Cargo package, which its workspace may define (The Cargo Book, "Workspaces").

use std::borrow::Cow;

use crate::{
    document::{self, DocumentFormat, Node},
    text,
};

use super::{OtherFile, VersionFileError, VersionResult, string_of};

/// Maximum number of directories above a package in which its workspace is looked for.
const MAX_UP: usize = 32;

/// Key of the version that members of a workspace inherit.
const INHERITED: &str = "workspace.package.version";

/// Returns the version at the first of these keys. A value that is inherited is read from the
/// workspace.
pub(super) fn version<'n>(
    document: &'n Node,
    keys: &[String],
    path: &str,
    other: &OtherFile<'_>,
) -> VersionResult<'n> {
    let Some((key, node)) = keys.iter().find_map(|key| Some((key, document.at(key)?))) else {
        return Ok(None);
    };
    if node.get("workspace") != Some(&Node::Bool(true)) {
        return string_of(node, key).map(Some);
    }
    // A package and its workspace may share a file.
    if let Some(node) = document.at(INHERITED) {
        return string_of(node, INHERITED).map(Some);
    }
    let inherited = match document.at("package.workspace").and_then(Node::text) {
        Some(root) => match joined(directory(path), &root) {
            Some(root) => of_workspace(&root, other)?,
            None => None,
        },
        None => {
            let above = std::iter::successors(Some(directory(path)), |dir| Some(directory(dir)))
                .take_while(|dir| !dir.is_empty())
                .map(directory);
            let mut found = None;
            for dir in above.take(MAX_UP) {
                found = of_workspace(dir, other)?;
                if found.is_some() {
                    break;
                }
            }
            found
        }
    };
    inherited.map(|version| Some(Cow::Owned(version))).ok_or(VersionFileError::Inherited)
}

/// Returns the directory of a path, "" for the root.
fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Returns a relative path from a directory, `None` if it leaves the repository.
fn joined(directory: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    if relative.starts_with('/') {
        return None;
    }
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Returns the version that the Cargo.toml of a directory gives to the members of its workspace.
fn of_workspace(directory: &str, other: &OtherFile<'_>) -> Result<Option<String>, VersionFileError> {
    let path = if directory.is_empty() { "Cargo.toml".into() } else { format!("{directory}/Cargo.toml") };
    let Some(content) = other(&path)? else { return Ok(None) };
    let document = document::read(DocumentFormat::Toml, &content)
        .map_err(|why| VersionFileError::SyntaxOfOther { path: text::line(&path), why })?;
    match document.at(INHERITED) {
        Some(node) => string_of(node, INHERITED).map(|version| Some(version.into_owned())),
        None => Ok(None),
    }
}
