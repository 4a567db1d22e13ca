//! The version of a .NET project, in a project file or in `Directory.Build.props`.

use std::borrow::Cow;

use crate::document::Node;

use super::{VersionFileError, placeholder, text_of};

/// An assignment to a property.
struct Assignment<'n> {
    value: &'n Node,
    condition: When,
}

/// Condition of an assignment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// If the property has no value yet.
    Unset,
    /// Something that only a build can evaluate.
    Unknown,
}

/// Returns true for a document of `MSBuild`.
pub(super) fn is_project(document: &Node) -> bool {
    document.root_name() == Some("Project")
}

/// Returns `Version`, or else `VersionPrefix` with `VersionSuffix`.
pub(super) fn version(document: &Node) -> Result<Option<String>, VersionFileError> {
    if let Some(version) = property(document, "Version")? {
        return filled(document, &version).map(Some);
    }
    let Some(prefix) = property(document, "VersionPrefix")? else { return Ok(None) };
    let prefix = filled(document, &prefix)?;
    let suffix = property(document, "VersionSuffix")?.map(|suffix| filled(document, &suffix)).transpose()?;
    Ok(Some(match suffix.filter(|suffix| !suffix.is_empty()) {
        Some(suffix) => format!("{prefix}-{suffix}"),
        None => prefix,
    }))
}

/// Replaces `$(Name)` by the property `Name` of the same file.
pub(super) fn filled(document: &Node, version: &str) -> Result<String, VersionFileError> {
    placeholder::filled(version, ("$(", ")"), |name| property(document, name).ok().flatten())
}

/// Returns the value of a property. Its last assignment without a condition counts, or else the
/// first one that sets it if it has no value.
fn property<'n>(document: &'n Node, name: &str) -> Result<Option<Cow<'n, str>>, VersionFileError> {
    let mut assignments = Vec::new();
    for group in document.get("Project").map(|project| each(project.get("PropertyGroup"))).unwrap_or_default()
    {
        let Node::Map(entries) = group else { continue };
        // MSBuild ignores the case of names.
        let named = entries.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        for value in named.flat_map(|(_, values)| each(Some(values))) {
            let condition = match (when(group, name), when(value, name)) {
                (When::Always, other) | (other, When::Always) => other,
                _ => When::Unknown,
            };
            assignments.push(Assignment { value, condition });
        }
    }
    let is = |when| move |assignment: &&Assignment<'_>| assignment.condition == when;
    let counts =
        assignments.iter().rfind(is(When::Always)).or_else(|| assignments.iter().find(is(When::Unset)));
    match counts {
        Some(assignment) => text_of(assignment.value, name).map(Some),
        None if assignments.is_empty() => Ok(None),
        None => Err(VersionFileError::Conditional(crate::text::line(name))),
    }
}

/// Returns the elements with one name.
fn each(node: Option<&Node>) -> Vec<&Node> {
    match node {
        None => Vec::new(),
        Some(Node::Repeated(nodes)) => nodes.iter().collect(),
        Some(node) => vec![node],
    }
}

/// Returns when an element that sets the property `name` counts.
fn when(element: &Node, name: &str) -> When {
    let Some(condition) = element.get("@Condition").and_then(Node::text) else { return When::Always };
    let condition: String = condition.split_whitespace().collect();
    match condition.to_ascii_lowercase() {
        condition if condition.is_empty() => When::Always,
        condition if condition == format!("'$({})'==''", name.to_ascii_lowercase()) => When::Unset,
        _ => When::Unknown,
    }
}
