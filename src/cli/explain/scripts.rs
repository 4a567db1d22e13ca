//! The scripts that decided an update, or would today: what they are, and their lines.

use std::path::Path;

use crate::{
    policy::{Import, Origin, Policy, quote},
    state::journal::Pushed,
};

/// The layers of a policy, and what they import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scripts {
    pub layers: Vec<Origin>,
    pub imports: Vec<Import>,
}

impl Scripts {
    /// Returns the scripts of a policy.
    pub fn of(policy: &Policy) -> Self {
        Self { layers: policy.origins().cloned().collect(), imports: policy.imports().to_vec() }
    }

    /// Returns the scripts that decided a push.
    pub fn of_push(push: &Pushed<'_>) -> Self {
        Self { layers: push.layers.clone(), imports: push.imports.clone() }
    }

    /// Returns each layer, and each import if there is any, with enough of its hash to tell its versions apart.
    pub fn stamps(&self) -> String {
        let imports = self.imports.iter().map(|import| format!("{}@{}", import.name, import.hash.short()));
        let stamps: Vec<_> = self.layers.iter().map(Origin::stamp).chain(imports).collect();
        stamps.join(", ")
    }

    /// Returns the line of the script that a place (`file:line`) names, if what is in the file is still what was in it.
    pub fn quote(&self, place: &str) -> Option<String> {
        let layers = self
            .layers
            .iter()
            .map(|layer| (layer.file.as_deref().map(Path::new), layer.file_name(), layer.hash));
        let imports =
            self.imports.iter().map(|import| (Some(Path::new(&import.file)), &*import.file, import.hash));
        layers.chain(imports).find_map(|(file, name, hash)| {
            let line = place.strip_prefix(name)?.strip_prefix(':')?;
            quote(file, hash, line.split(':').next()?.parse().ok()?)
        })
    }
}
