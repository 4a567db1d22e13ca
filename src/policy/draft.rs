//! The contents of a marker before it has an id.

use crate::marker::{Attributes, Kind, Value};

/// Maximum number of attributes of a marker, both from scripts and from the facts of a deployment.
pub const MAX_ATTRIBUTES: usize = 128;
/// Maximum length of a service, version, environment or attribute key, in characters.
pub const MAX_NAME: usize = 256;
/// Maximum length of a title or of an attribute's text, in characters.
pub const MAX_TEXT: usize = 4096;
/// Maximum number of markers for one update.
pub(super) const MAX_MARKS: usize = 64;

/// A marker, complete except for its ids and times.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Kind of the marker.
    pub kind: Kind,
    /// `service.name`.
    pub service: String,
    /// `service.version`.
    pub version: String,
    /// `deployment.environment.name`.
    pub environment: Option<String>,
    /// Title, shown to people.
    pub title: String,
    /// Attributes beyond those that every marker has.
    pub attributes: Attributes,
}

/// A marker as a script's object map describes it. Every property is optional.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partial {
    /// Kind of the marker.
    pub kind: Option<Kind>,
    /// `service.name`.
    pub service: Option<String>,
    /// `service.version`.
    pub version: Option<String>,
    /// `deployment.environment.name`.
    pub environment: Option<String>,
    /// Title, shown to people.
    pub title: Option<String>,
    /// Attributes that the script adds.
    pub attributes: Attributes,
}

impl Partial {
    /// Returns the properties that are set, by their names in scripts.
    pub fn fields(&self) -> Vec<(String, Value)> {
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        let own = [
            ("kind", self.kind.map(|kind| kind.as_str().into())),
            ("service", text(&self.service)),
            ("version", text(&self.version)),
            ("environment", text(&self.environment)),
            ("title", text(&self.title)),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
        let attributes =
            self.attributes.iter().map(|(key, value)| (format!("attributes.{key}"), value.clone()));
        own.chain(attributes).collect()
    }
}
