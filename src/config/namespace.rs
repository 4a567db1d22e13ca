//! The `namespace` setting: the group in which a service's name is unique (OpenTelemetry's
//! `service.namespace`).

use super::reader::ConfigReader;
use super::spanned::Spanned;
use crate::{push::RepositoryIdentity, text};

/// Maximum length of a namespace, in characters.
const MAX_NAMESPACE: usize = 256;

/// The source of `service.namespace`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespace {
    /// The owner of the repository, so that two owners can each have a service of one name.
    #[default]
    Owner,
    /// Markers have no namespace.
    None,
    /// This text.
    Text(String),
}

impl Namespace {
    /// Returns the namespace of services in `repository`. `None` if they have none, or if the owner
    /// is unknown.
    pub fn of<'a>(&'a self, repository: &'a RepositoryIdentity) -> Option<&'a str> {
        match self {
            Self::Owner => repository.owner.as_deref(),
            Self::None => None,
            Self::Text(text) => Some(text),
        }
    }
}

impl ConfigReader<'_> {
    /// Reads `namespace`.
    pub(super) fn namespace(&mut self, text: &Spanned<String>) -> Option<Namespace> {
        let name = text.get_ref();
        if name.trim().is_empty() {
            self.complain(text, "`namespace` is empty; write \"owner\", \"none\" or a name");
        } else if name.chars().count() > MAX_NAMESPACE || name.chars().any(text::is_hidden) {
            let why = format!("`namespace` must be at most {MAX_NAMESPACE} visible characters");
            self.complain(text, why);
        }
        Some(match name.trim() {
            word if word.eq_ignore_ascii_case("owner") => Namespace::Owner,
            word if word.eq_ignore_ascii_case("none") => Namespace::None,
            name => Namespace::Text(name.to_string()),
        })
    }
}
