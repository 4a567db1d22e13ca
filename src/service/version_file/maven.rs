//! References in the `pom.xml` of Maven.

use crate::document::Node;

use super::{VersionFileError, placeholder};

/// Replaces `${name}` by the property `name` of the same file. `${project.parent.version}` and its
/// like are elements of the file.
pub(super) fn filled(document: &Node, version: &str) -> Result<String, VersionFileError> {
    let value = |name: &str| {
        let property = document.at("project.properties").and_then(|properties| properties.get(name));
        let element = || document.at(name).filter(|_| name.starts_with("project."));
        property.or_else(element).and_then(Node::text)
    };
    placeholder::filled(version, ("${", "}"), value)
}
