//! The policy: the Rhai scripts that decide which updates become markers, and what these say.
//! Rhai stays in here.
//!
//! Scripts come in layers, from the site to the repository. `decide` is asked of the most specific
//! layer that defines it; `enrich` of every layer, the site first; `guard` of every layer, the site
//! last, so that a site can always tighten and a repository never loosen.

mod answer;
pub mod api;
mod confine;
mod draft;
mod engine;
mod error;
mod imports;
mod layer;
mod lint;
mod meter;
mod natives;
mod numbers;
mod origin;
mod quote;
mod reference;
mod render;
mod sizes;
mod source;
mod trace;

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

pub use answer::{Decision, Mark, Rule};
use api::{MarkerView, UpdateView};
pub use confine::Confined;
pub use draft::{Attributes, Draft, Kind, Partial, Value};
use engine::{Library, Sandbox};
pub use error::{PolicyError, ScriptError};
use imports::Imports;
use layer::Layer;
pub use lint::Finding;
pub use origin::{Import, Level, Origin, ScriptHash};
pub use quote::quote;
pub use reference::{definitions, reference, render_reference};
pub use render::{Accepted, Opened, Rendered, Renderer, Request, Subject};
pub use trace::{Field, Function, Said, Step, Trace, differences, shown};

use crate::{config::Limits, facts::Facts, push::Repository, service::Services, time::Deadline};

/// Where the scripts of a repository are.
#[derive(Clone, Debug, Default)]
pub struct Scripts {
    /// The directory of `site.rhai`, `OWNER.rhai` and `OWNER/REPO.rhai`.
    pub dir: Option<PathBuf>,
    /// The script of Gitea's Git Hooks page.
    pub hook_page: Option<PathBuf>,
    /// A script that stands in the place of all of these, over the built-in one: a draft that is tried. It imports from
    /// the directory as well.
    pub draft: Option<PathBuf>,
}

/// The compiled policy of one repository.
pub struct Policy {
    engine: Sandbox,
    /// From the built-in layer to the most specific one.
    layers: Vec<Layer>,
    stamps: Vec<String>,
    imported: Vec<Import>,
}

/// A script that can be compiled.
pub struct Checked {
    /// What cannot work in it although it compiles.
    pub findings: Vec<Finding>,
    /// What is wrong with it if no other script imports it: it has no function that is ever called.
    pub without_a_say: Option<ScriptError>,
    /// What it imports.
    pub imports: Vec<Import>,
}

/// What a policy is asked about: an update, as the repository and the site tell of it.
#[derive(Clone)]
pub struct Matter {
    /// What the repository says.
    pub facts: Rc<Facts>,
    /// The services of the repository.
    pub services: Rc<Services>,
}

/// What `guard` said of a marker.
pub enum Guarded {
    /// The marker may go, with what the guards added.
    Passed(Draft),
    /// A guard refused it.
    Refused {
        /// The layer and line that refused.
        by: Rule,
        /// The reason that the script gave.
        why: String,
    },
}

impl Policy {
    /// Compiles every script that has a say about `repository`.
    ///
    /// # Errors
    /// If any of them cannot be read or compiled. Then nothing of the repository may become a
    /// marker: the broken script might have been the guard that refuses it.
    pub fn load(scripts: &Scripts, repository: &Repository, limits: &Limits) -> Result<Self, PolicyError> {
        let files = layer::files(scripts, repository)?;
        let library = if files.is_empty() { Library::None } else { Library::Full };
        let mut engine = Sandbox::new(limits, library);
        let mut layers = vec![layer::built_in(&engine)?];
        let mut imports = Imports::from_dir(scripts.dir.as_deref());
        for (level, file) in &files {
            let layer = Layer::read(&engine, *level, file)?;
            layer.needs_a_say()?;
            imports.add(&engine, layer.name(), layer.ast())?;
            layers.push(layer);
        }
        let stamps = layers.iter().map(|layer| layer.origin().stamp()).collect();
        let imported = imports.list();
        engine.set_imports(imports);
        Ok(Self { engine, layers, stamps, imported })
    }

    /// Returns the layers that have a say, from the built-in one to the most specific one.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.layers.iter().map(Layer::origin)
    }

    /// Returns the scripts that the layers import, and those that they import in turn.
    pub fn imports(&self) -> &[Import] {
        &self.imported
    }

    /// Returns the layers and their hashes in short, as a marker bears them: `site@0123456789ab`.
    pub fn stamps(&self) -> &[String] {
        &self.stamps
    }

    /// Compiles the one script `file` and what it imports from `dir`, and does what they do outside of functions.
    ///
    /// # Errors
    /// If any of them cannot be read or compiled, or fails.
    pub fn check(file: &Path, dir: Option<&Path>, limits: &Limits) -> Result<Checked, PolicyError> {
        let mut engine = Sandbox::new(limits, Library::Full);
        let mut imports = Imports::from_dir(dir);
        let layer = Layer::read(&engine, Level::Repository, file)?;
        imports.add(&engine, layer.name(), layer.ast())?;
        let imported = imports.list();
        engine.set_imports(imports);
        engine.run(layer.name(), layer.ast(), Deadline::after(limits.time))?;
        let findings = engine.lint(layer.ast());
        Ok(Checked { findings, without_a_say: layer.needs_a_say().err(), imports: imported })
    }

    /// Holds the process to limits of its own, if scripts of others have a say. It has to live as long as what
    /// they answer.
    pub fn confine(&self) -> Option<Confined> {
        self.engine.confine()
    }

    /// Asks the most specific layer that has an opinion whether the update becomes markers.
    ///
    /// # Errors
    /// If the script fails or answers something that is no decision.
    pub fn decide(
        &self,
        matter: &Matter,
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<Decision, ScriptError> {
        let decides = |layer: &Layer| layer.defines(Function::Decide);
        let at = self.layers.iter().rposition(decides).expect("the built-in layer decides");
        let layer = &self.layers[at];
        self.layers[at + 1..].iter().rev().for_each(|layer| trace.passed_over(layer, Function::Decide));
        let called = self.engine.call(layer, Function::Decide, (UpdateView::new(matter),), deadline);
        let said = called.and_then(|said| answer::decision(layer, said));
        trace.decided(layer, &said);
        self.layers[..at].iter().rev().for_each(|layer| trace.passed_over(layer, Function::Decide));
        said
    }

    /// Lets every layer that defines `enrich` write on the marker, the site first.
    ///
    /// # Errors
    /// If a script fails or returns something that is no marker.
    pub fn enrich(
        &self,
        mut draft: Draft,
        matter: &Matter,
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<Draft, ScriptError> {
        for layer in &self.layers {
            if !layer.defines(Function::Enrich) {
                trace.passed_over(layer, Function::Enrich);
                continue;
            }
            let before = trace.before(&draft);
            let args = (MarkerView::open(draft), UpdateView::new(matter));
            let called = self.engine.call(layer, Function::Enrich, args, deadline);
            let said = called.and_then(|said| answer::enriched(layer, said));
            trace.enriched(layer, before.as_ref(), &said);
            draft = said?;
        }
        Ok(draft)
    }

    /// Lets every layer that defines `guard` refuse the marker or add to it, the site last.
    ///
    /// # Errors
    /// If a script fails, which has to count as a refusal, or answers something else.
    pub fn guard(
        &self,
        mut draft: Draft,
        matter: &Matter,
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<Guarded, ScriptError> {
        for layer in self.layers.iter().rev() {
            if !layer.defines(Function::Guard) {
                trace.passed_over(layer, Function::Guard);
                continue;
            }
            let before = trace.before(&draft);
            let args = (MarkerView::closed(draft.clone()), UpdateView::new(matter));
            let called = self.engine.call(layer, Function::Guard, args, deadline);
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
