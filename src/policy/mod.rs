//! The policy: Rhai scripts that decide which updates become markers, and what the markers contain.
//! No other module uses Rhai.
//!
//! Scripts form layers, from the site to the repository. For `decide`, only the most specific layer
//! that defines it runs. `enrich` runs in every layer, the site first. `guard` runs in every layer,
//! the site last. A site can therefore always add restrictions, and a repository can never lift
//! them.

mod answer;
pub mod api;
mod builtins;
mod confine;
mod draft;
mod engine;
mod error;
mod finding;
mod fingerprint;
mod imports;
mod layer;
mod lint;
mod meter;
mod numbers;
mod origin;
mod printed;
mod quote;
mod reference;
mod render;
mod rule;
mod sample_run;
mod script;
mod sizes;
mod source;
mod trace;

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

pub use answer::{Decision, Mark};
use api::{MarkerView, UpdateView};
pub use confine::Confined;
pub use draft::{Draft, Partial};
use engine::{Library, ScriptEngine};
pub use error::{PolicyError, ScriptError};
pub use finding::LintFinding;
pub use fingerprint::{Fingerprint, scripts_below};
use imports::Imports;
use layer::Layer;
pub use layer::PolicyFunction;
pub use origin::{Import, Level, Origin, ScriptHash};
pub use quote::quote;
pub use reference::{definitions, reference, render_reference};
pub(crate) use render::json_of_bytes;
pub use render::{Accepted, Opened, Rendered, RenderedRequest, Renderer};
pub use rule::Rule;
pub use sample_run::{SampleRun, same_marker};
pub use trace::{Field, Trace, TraceStep, differences, shown};

use crate::{config::Limits, facts::Facts, push::RepositoryIdentity, service::Services, sys::time::Deadline};

/// Locations of a repository's scripts.
#[derive(Clone, Debug, Default)]
pub struct ScriptLocations {
    /// Directory that holds `site.rhai`, `OWNER.rhai` and `OWNER/REPO.rhai`.
    pub dir: Option<PathBuf>,
    /// Script of Gitea's Git Hooks page.
    pub hook_page: Option<PathBuf>,
    /// Draft script to try instead of all the others. The built-in layer stays below it, and it can
    /// still import from the directory.
    pub draft: Option<PathBuf>,
}

/// The compiled policy of one repository.
pub struct Policy {
    engine: ScriptEngine,
    /// Layers, from the built-in one to the most specific one.
    layers: Vec<Layer>,
    stamps: Vec<String>,
    imported: Vec<Import>,
}

/// The result of checking a script that compiles.
pub struct CheckedScript {
    /// Code that compiles but cannot work.
    pub findings: Vec<LintFinding>,
    /// Error to report unless another script imports this one: it defines none of the policy's
    /// functions.
    pub without_a_say: Option<ScriptError>,
    /// Scripts that it imports.
    pub imports: Vec<Import>,
}

/// The input of a policy: an update, with what is known about it.
#[derive(Clone)]
pub struct UpdateContext {
    /// Facts from the repository.
    pub facts: Rc<Facts>,
    /// Services of the repository.
    pub services: Rc<Services>,
}

/// The result of running `guard` on a marker.
pub enum Guarded {
    /// The marker passed. Holds the draft with the attributes that the guards added.
    Passed(Draft),
    /// A guard refused the marker.
    Refused {
        /// Rule that refused it.
        by: Rule,
        /// Reason that the script gave.
        why: String,
    },
}

impl Policy {
    /// Compiles every script that applies to `repository`.
    ///
    /// # Errors
    /// If a script cannot be read or compiled. The caller must then not make any marker for the
    /// repository, because the broken script could be the guard that refuses it.
    pub fn load(
        scripts: &ScriptLocations,
        repository: &RepositoryIdentity,
        limits: &Limits,
    ) -> Result<Self, PolicyError> {
        let files = layer::files(scripts, repository)?;
        let library = if files.is_empty() { Library::None } else { Library::Full };
        let mut engine = ScriptEngine::new(limits, library);
        let mut layers = vec![layer::built_in(&mut engine)?];
        let mut imports = Imports::from_dir(scripts.dir.as_deref());
        for (level, file) in &files {
            let layer = Layer::read(&engine, *level, file)?;
            layer.needs_a_say()?;
            imports.add(&engine, layer.script())?;
            layers.push(layer);
        }
        let stamps = layers.iter().map(|layer| layer.origin().stamp()).collect();
        let imported = imports.list();
        engine.set_imports(imports);
        Ok(Self { engine, layers, stamps, imported })
    }

    /// Returns the layers, from the built-in one to the most specific one.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.layers.iter().map(Layer::origin)
    }

    /// Returns the scripts that the layers import, directly or indirectly.
    pub fn imports(&self) -> &[Import] {
        &self.imported
    }

    /// Returns the layers with their short hashes, as recorded in each marker: `site@0123456789ab`.
    pub fn stamps(&self) -> &[String] {
        &self.stamps
    }

    /// Compiles the script `file` and its imports from `dir`, and runs their code outside of
    /// functions.
    ///
    /// # Errors
    /// If a script cannot be read or compiled, or fails.
    pub fn check(file: &Path, dir: Option<&Path>, limits: &Limits) -> Result<CheckedScript, PolicyError> {
        let mut engine = ScriptEngine::new(limits, Library::Full);
        let mut imports = Imports::from_dir(dir);
        layer::built_in(&mut engine)?;
        let layer = Layer::read(&engine, Level::Repository, file)?;
        imports.add(&engine, layer.script())?;
        let imported = imports.list();
        engine.set_imports(imports);
        engine.run(layer.script().name(), layer.script().ast(), Deadline::of_cpu(limits.time))?;
        let findings = lint::lint(&engine, layer.script());
        Ok(CheckedScript { findings, without_a_say: layer.needs_a_say().err(), imports: imported })
    }

    /// Returns true if a layer defines `guard`, so that a marker may be refused.
    pub fn may_refuse(&self) -> bool {
        self.layers.iter().any(|layer| layer.defines(PolicyFunction::Guard))
    }

    /// Returns true if a script of the policy reads this key of a map, such as a push option.
    /// Imported scripts are not searched.
    pub fn reads_key(&self, key: &str) -> bool {
        self.layers.iter().any(|layer| layer.reads_key(key))
    }

    /// Keeps what scripts print from now on.
    pub fn listen(&mut self) {
        self.engine.listen();
    }

    /// Returns what scripts have printed since the last call, if [`Self::listen`] was called.
    pub fn printed(&self) -> Vec<String> {
        self.engine.printed()
    }

    /// Limits the process while scripts run. Keep the guard alive for as long as the values that
    /// the scripts return.
    pub fn confine(&self) -> Confined {
        self.engine.confine()
    }

    /// Calls `decide` of the most specific layer that defines it.
    ///
    /// # Errors
    /// If the script fails or returns an invalid decision.
    pub fn decide(
        &self,
        update_context: &UpdateContext,
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<Decision, ScriptError> {
        let decides = |layer: &Layer| layer.defines(PolicyFunction::Decide);
        let at = self.layers.iter().rposition(decides).expect("the built-in layer decides");
        let layer = &self.layers[at];
        self.layers[at + 1..].iter().rev().for_each(|layer| trace.passed_over(layer, PolicyFunction::Decide));
        let called =
            layer.script().call(&self.engine, "decide", (UpdateView::new(update_context),), deadline);
        let said = called.and_then(|said| answer::decision(layer, said));
        trace.decided(layer, &said);
        self.layers[..at].iter().rev().for_each(|layer| trace.passed_over(layer, PolicyFunction::Decide));
        said
    }

    /// Calls `enrich` of every layer that defines it, the site first. Returns the draft, and the
    /// last layer that changed its service, if any did.
    ///
    /// # Errors
    /// If a script fails or returns anything other than a marker.
    pub fn enrich(
        &self,
        mut draft: Draft,
        update_context: &UpdateContext,
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<(Draft, Option<(Level, Rule)>), ScriptError> {
        let mut renamed = None;
        for layer in &self.layers {
            if !layer.defines(PolicyFunction::Enrich) {
                trace.passed_over(layer, PolicyFunction::Enrich);
                continue;
            }
            let before = trace.before(&draft);
            let service = draft.service.clone();
            let args = (MarkerView::open(draft), UpdateView::new(update_context));
            let called = layer.script().call(&self.engine, "enrich", args, deadline);
            let said = called.and_then(|said| answer::enriched(layer, said));
            trace.enriched(layer, before.as_ref(), &said);
            draft = said?;
            if draft.service != service {
                renamed = Some((layer.origin().level, layer.rule(PolicyFunction::Enrich)));
            }
        }
        Ok((draft, renamed))
    }

    /// Calls `guard` of every layer that defines it, the site last. A guard may refuse the marker
    /// or add attributes to it.
    ///
    /// # Errors
    /// If a script fails or returns an invalid value. The caller must treat both as a refusal.
    pub fn guard(
        &self,
        mut draft: Draft,
        update_context: &UpdateContext,
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<Guarded, ScriptError> {
        for layer in self.layers.iter().rev() {
            if !layer.defines(PolicyFunction::Guard) {
                trace.passed_over(layer, PolicyFunction::Guard);
                continue;
            }
            let before = trace.before(&draft);
            let args = (MarkerView::closed(draft.clone()), UpdateView::new(update_context));
            let called = layer.script().call(&self.engine, "guard", args, deadline);
            let said = called.and_then(|said| answer::guarded(layer, draft, said));
            trace.guarded(layer, before.as_ref(), &said);
            match said? {
                Guarded::Passed(passed) => draft = passed,
                refused @ Guarded::Refused { .. } => return Ok(refused),
            }
        }
        Ok(Guarded::Passed(draft))
    }
}

#[cfg(test)]
mod tests;
