//! What scripts import: `import "lib/teams" as teams;` is `lib/teams.rhai` in the directory of scripts, and nothing
//! outside of it.
//!
//! Everything that a policy imports is found, hashed and compiled when it is loaded, so that it is known which
//! scripts had a say. What a script does outside of its functions is done at its first use, within the limits
//! of the script that uses it.

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use rhai::{
    AST, ASTNode, Engine, EvalAltResult, Expr, GlobalRuntimeState, Module, ModuleResolver, Position, Scope,
    Stmt,
};

use super::{Import, PolicyError, ScriptError, engine::Sandbox, layer, source::Source};
use crate::text;

/// How many scripts one policy may import.
const MAX_IMPORTS: usize = 32;

/// How many scripts may stand in a row, each imported by the one before.
const MAX_DEPTH: usize = 8;

/// How long a name may be, in bytes.
const MAX_NAME: usize = 128;

/// The scripts that a policy imports.
pub(super) struct Imports {
    dir: Option<PathBuf>,
    /// By the name that an `import` says.
    names: BTreeMap<String, usize>,
    scripts: Vec<Imported>,
}

struct Imported {
    import: Import,
    ast: AST,
    module: OnceCell<Rc<Module>>,
}

/// An `import` in a script.
struct Statement {
    name: String,
    at: Position,
}

/// The scripts on the way from the layer to the one that is read.
struct Chain<'a> {
    file: &'a str,
    /// What it was imported as, or its file.
    name: &'a str,
    before: Option<&'a Self>,
}

impl Chain<'_> {
    fn iter(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |chain| chain.before)
    }

    /// Returns the way from `file` to here, if there is one.
    fn circle_to(&self, file: &str) -> Option<String> {
        let start = self.iter().position(|link| link.file == file)?;
        let mut names: Vec<_> = self.iter().take(start + 1).map(|link| link.name).collect();
        names.reverse();
        Some(names.join(" -> "))
    }
}

impl Imports {
    /// Imports nothing yet; scripts are looked for in `dir`.
    pub fn from_dir(dir: Option<&Path>) -> Self {
        Self { dir: dir.map(Path::to_path_buf), names: BTreeMap::new(), scripts: Vec::new() }
    }

    /// Reads and compiles what the script `file` imports, and what that imports in turn.
    ///
    /// # Errors
    /// If one of them is not there, not below the directory, cannot be read or compiled, or imports itself.
    pub fn add(&mut self, engine: &Sandbox, file: &str, ast: &AST) -> Result<(), PolicyError> {
        self.add_all(engine, ast, &Chain { file, name: file, before: None })
    }

    /// Returns what was found, in the order of the first `import`.
    pub fn list(&self) -> Vec<Import> {
        self.scripts.iter().map(|script| script.import.clone()).collect()
    }

    fn add_all(&mut self, engine: &Sandbox, ast: &AST, chain: &Chain<'_>) -> Result<(), PolicyError> {
        for statement in statements(chain.file, ast)? {
            let at_fault = |message| ScriptError::at_position(chain.file, statement.at, message).into();
            self.add_one(engine, &statement, chain, &at_fault)?;
        }
        Ok(())
    }

    fn add_one(
        &mut self,
        engine: &Sandbox,
        Statement { name, .. }: &Statement,
        chain: &Chain<'_>,
        at_fault: &dyn Fn(String) -> PolicyError,
    ) -> Result<(), PolicyError> {
        let path = self.find(name, at_fault)?;
        let file = path.display().to_string();
        if let Some(circle) = chain.circle_to(&file) {
            return Err(at_fault(format!("this import closes a circle: {circle} -> {name}")));
        }
        if let Some(known) = self.scripts.iter().position(|script| script.import.file == file) {
            self.names.insert(name.clone(), known);
            return Ok(());
        }
        if chain.iter().count() > MAX_DEPTH {
            return Err(at_fault(format!("more than {MAX_DEPTH} scripts import one another in a row")));
        }
        if self.scripts.len() == MAX_IMPORTS {
            return Err(at_fault(format!("the policy imports more than {MAX_IMPORTS} scripts")));
        }
        let source = Source::read(&path)?;
        let ast = engine.compile(&source.name, &source.text)?;
        let import = Import { name: name.clone(), file: file.clone(), hash: source.hash };
        self.names.insert(name.clone(), self.scripts.len());
        self.scripts.push(Imported { import, ast: ast.clone(), module: OnceCell::new() });
        self.add_all(engine, &ast, &Chain { file: &file, name, before: Some(chain) })
    }

    /// Finds the script of a name below the directory, whatever the case of its letters.
    fn find(&self, name: &str, at_fault: &dyn Fn(String) -> PolicyError) -> Result<PathBuf, PolicyError> {
        let is_segment = |segment: &str| {
            !segment.is_empty()
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        if name.len() > MAX_NAME || !name.split('/').all(is_segment) {
            return Err(at_fault(format!(
                "`{}` is no name of a script; expected one such as `lib/teams`, which is `lib/teams.rhai` in the \
                 directory of scripts: letters, digits, `_`, `-` and `/`, at most {MAX_NAME} of them",
                text::line(name)
            )));
        }
        let Some(dir) = &self.dir else {
            return Err(at_fault(format!(
                "there is no directory to import `{name}` from; name one with [policy] scripts"
            )));
        };
        let missing = || at_fault(format!("there is no `{name}.rhai` in `{}`", dir.display()));
        let mut path = dir.clone();
        let file = format!("{name}.rhai");
        for segment in file.split('/') {
            if !path.is_dir() {
                return Err(missing());
            }
            path = layer::find(&path, segment)?.ok_or_else(missing)?;
        }
        let inside = |err: std::io::Error| PolicyError::Unreadable {
            path: path.display().to_string(),
            why: err.to_string(),
        };
        let (real, root) = (fs::canonicalize(&path).map_err(inside)?, fs::canonicalize(dir).map_err(inside)?);
        if !real.starts_with(&root) {
            return Err(at_fault(format!(
                "`{}` is a link that leads out of `{}`",
                path.display(),
                dir.display()
            )));
        }
        Ok(path)
    }
}

impl ModuleResolver for Imports {
    fn resolve(
        &self,
        engine: &Engine,
        _: Option<&str>,
        path: &str,
        pos: Position,
    ) -> Result<Rc<Module>, Box<EvalAltResult>> {
        self.resolve_raw(engine, &mut engine.new_global_runtime_state(), &mut Scope::new(), path, pos)
    }

    fn resolve_raw(
        &self,
        engine: &Engine,
        global: &mut GlobalRuntimeState,
        _: &mut Scope<'_>,
        path: &str,
        pos: Position,
    ) -> Result<Rc<Module>, Box<EvalAltResult>> {
        let Some(script) = self.names.get(path).map(|at| &self.scripts[*at]) else {
            return Err(EvalAltResult::ErrorModuleNotFound(path.to_string(), pos).into());
        };
        if let Some(module) = script.module.get() {
            return Ok(module.clone());
        }
        // A state of its own, so that it is the same whoever imports it first; steps and levels count on.
        let mut own = engine.new_global_runtime_state();
        own.num_operations = global.num_operations;
        own.level = global.level + 1;
        let made = Module::eval_ast_as_new_raw(engine, &mut Scope::new(), &mut own, &script.ast);
        global.num_operations = own.num_operations;
        let module = made.map_err(|mut err| {
            if err.is_catchable() {
                return Box::new(EvalAltResult::ErrorInModule(script.import.file.clone(), err, pos));
            }
            // A limit that was reached must not become an error that a script may catch.
            err.set_position(pos);
            err
        })?;
        Ok(script.module.get_or_init(|| module.into()).clone())
    }
}

/// Returns what a script imports, wherever in it.
fn statements(file: &str, ast: &AST) -> Result<Vec<Statement>, ScriptError> {
    let mut found = Ok(Vec::new());
    ast.walk(&mut |path| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, at))) = path.last() {
            match (&import.0, &mut found) {
                (Expr::StringConstant(name, at), Ok(found)) => {
                    found.push(Statement { name: name.to_string(), at: *at });
                }
                (Expr::StringConstant(..), Err(_)) => {}
                (_, found) => {
                    let message =
                        "an import names its script outright, such as `import \"lib/teams\" as teams;`";
                    *found = Err(ScriptError::at_position(file, *at, message));
                }
            }
        }
        found.is_ok()
    });
    found
}
