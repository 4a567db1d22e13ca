//! The layers of a policy: which files speak for a repository, and what each defines.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rhai::AST;

use super::{
    Level, Origin, PolicyError, ScriptError, ScriptHash, Scripts, engine::Sandbox, source::Source,
    trace::Function,
};
use crate::{push::Repository, text};

/// The policy that speaks when nobody else does.
pub(super) const BUILT_IN: &str = include_str!("../../scripts/built-in.rhai");
pub(super) const BUILT_IN_NAME: &str = "built-in.rhai";

/// One compiled script.
pub(super) struct Layer {
    name: String,
    origin: Origin,
    ast: AST,
    /// Where each of the three functions begins, if it is there.
    defined: [Option<Defined>; 3],
}

/// That a function is defined, and the line in which its body begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Defined {
    line: Option<usize>,
}

impl Layer {
    /// Reads and compiles a script.
    pub fn read(engine: &Sandbox, level: Level, path: &Path) -> Result<Self, PolicyError> {
        let source = Source::read(path)?;
        let origin = Origin { level, file: Some(source.name.clone()), hash: source.hash };
        Self::compile(engine, origin, source.name, &source.text)
    }

    /// Returns an error if the script has no say at all.
    pub fn needs_a_say(&self) -> Result<(), ScriptError> {
        if self.defined == [None; 3] {
            let message = if self.ast.iter_fn_def().any(|function| function.name == "render") {
                "this is no policy but a render script; name it as `render` of a destination of kind = \"http\""
            } else {
                "the script defines none of `decide(update)`, `enrich(marker, update)`, `guard(marker, update)`"
            };
            return Err(ScriptError::at(&self.name, None, message));
        }
        Ok(())
    }

    fn compile(engine: &Sandbox, origin: Origin, name: String, source: &str) -> Result<Self, PolicyError> {
        let ast = engine.compile(&name, source)?;
        let mut defined = [None; 3];
        for function in ast.iter_fn_def() {
            let Some(known) = Function::ALL.into_iter().find(|known| function.name == known.as_str()) else {
                continue;
            };
            let wanted = known.parameters();
            let found = function.params.len();
            if found != wanted {
                let message =
                    format!("`{}` takes {}, found {found}", function.name, text::count(wanted, "parameter"));
                let at = function.body.start_position();
                return Err(ScriptError::at_position(&name, at, message).into());
            }
            defined[known as usize] = Some(Defined { line: function.body.start_position().line() });
        }
        Ok(Self { name, origin, ast, defined })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub fn ast(&self) -> &AST {
        &self.ast
    }

    pub fn defines(&self, function: Function) -> bool {
        self.defined[function as usize].is_some()
    }

    /// Returns the line in which a function begins, for an answer that has none of its own: a bare `true`.
    pub fn line_of(&self, function: Function) -> Option<usize> {
        self.defined[function as usize]?.line
    }
}

/// Compiles the built-in layer.
pub(super) fn built_in(engine: &Sandbox) -> Result<Layer, PolicyError> {
    let origin = Origin { level: Level::BuiltIn, file: None, hash: ScriptHash::of(BUILT_IN.as_bytes()) };
    Layer::compile(engine, origin, BUILT_IN_NAME.to_string(), BUILT_IN)
}

/// Returns the scripts that speak for `repository`, from the site to the hook page.
pub(super) fn files(
    scripts: &Scripts,
    repository: &Repository,
) -> Result<Vec<(Level, PathBuf)>, PolicyError> {
    if let Some(draft) = &scripts.draft {
        return Ok(vec![(Level::Repository, draft.clone())]);
    }
    let mut files = Vec::new();
    let mut add = |level, file: Option<PathBuf>| files.extend(file.map(|file| (level, file)));
    if let Some(dir) = &scripts.dir {
        add(Level::Site, find(dir, "site.rhai")?);
        if let Some(owner) = &repository.owner {
            add(Level::Owner, find(dir, &format!("{owner}.rhai"))?);
            if let Some(owner_dir) = find(dir, owner)? {
                add(Level::Repository, find(&owner_dir, &format!("{}.rhai", repository.name))?);
            }
        }
    }
    add(Level::HookPage, scripts.hook_page.clone());
    Ok(files)
}

/// Finds `name` in `dir` whatever its case: over SSH, Gitea hands on the repository's name as the
/// client typed it, and nobody may slip past a guard by writing it in capitals.
pub(super) fn find(dir: &Path, name: &str) -> Result<Option<PathBuf>, PolicyError> {
    let unreadable = |why: String| PolicyError::Unreadable { path: dir.display().to_string(), why };
    let entries = fs::read_dir(dir).map_err(|err| unreadable(err.to_string()))?;
    let mut found = None;
    for entry in entries {
        let entry = entry.map_err(|err| unreadable(err.to_string()))?;
        let is_it =
            entry.file_name().to_str().is_some_and(|entry| entry.to_lowercase() == name.to_lowercase());
        if is_it && found.replace(entry.path()).is_some() {
            return Err(unreadable(format!("two entries differ from `{name}` only in case; keep one")));
        }
    }
    Ok(found)
}
