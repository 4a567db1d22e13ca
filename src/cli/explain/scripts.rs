//! The scripts that decided an update, or would decide it today, and their source lines.

use std::path::Path;

use crate::{
    policy::{Import, Origin, Policy, quote},
    state::journal::PushRecord,
};

/// The layers of a policy and their imports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LoadedScripts {
    pub layers: Vec<Origin>,
    pub imports: Vec<Import>,
}

impl LoadedScripts {
    /// Returns the scripts of a policy.
    pub fn of(policy: &Policy) -> Self {
        Self { layers: policy.origins().cloned().collect(), imports: policy.imports().to_vec() }
    }

    /// Returns the scripts recorded for a push.
    pub fn of_push(push: &PushRecord<'_>) -> Self {
        Self { layers: push.layers.clone(), imports: push.imports.clone() }
    }

    /// Returns the names of all layers and imports, each with enough of its hash to tell versions
    /// apart.
    pub fn stamps(&self) -> String {
        let imports = self.imports.iter().map(|import| format!("{}@{}", import.name, import.hash.short()));
        let stamps: Vec<_> = self.layers.iter().map(Origin::stamp).chain(imports).collect();
        stamps.join(", ")
    }

    /// Returns the source line at a position (`file:line`), if the file still has the recorded
    /// hash.
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
