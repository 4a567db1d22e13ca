//! Resolves `import` statements: `import "lib/teams" as teams;` loads `lib/teams.rhai` from the
//! scripts directory. Files outside of it cannot be imported.
//!
//! All imports are found, hashed and compiled when the policy is loaded, so the list of scripts in
//! a policy is known up front. A module's code outside of functions runs when it is first imported,
//! within the limits of the importing script.

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

use super::{
    Import, PolicyError, ScriptError, engine::ScriptEngine, layer, script::Script, source::ScriptSource,
};
use crate::text;

/// Maximum number of scripts that one policy may import.
const MAX_IMPORTS: usize = 32;

/// Maximum length of a chain of imports.
const MAX_DEPTH: usize = 8;

/// Maximum length of an imported name, in bytes.
const MAX_NAME: usize = 128;

/// The scripts that a policy imports.
pub(super) struct Imports {
    dir: Option<PathBuf>,
    /// Index into `scripts`, by the name in the `import` statement.
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

/// A chain of imports, from the script being read back to the layer.
struct Chain<'a> {
    file: &'a str,
    /// Name in the `import` statement; for the layer, its file.
    name: &'a str,
    before: Option<&'a Self>,
}

impl Chain<'_> {
    fn iter(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |chain| chain.before)
    }

    /// Returns the path from `file` to this script, if importing `file` would close a cycle.
    fn circle_to(&self, file: &str) -> Option<String> {
        let start = self.iter().position(|link| link.file == file)?;
        let mut names: Vec<_> = self.iter().take(start + 1).map(|link| link.name).collect();
        names.reverse();
        Some(names.join(" -> "))
    }
}

impl Imports {
    /// Creates an empty set. Scripts are looked up in `dir`.
    pub fn from_dir(dir: Option<&Path>) -> Self {
        Self { dir: dir.map(Path::to_path_buf), names: BTreeMap::new(), scripts: Vec::new() }
    }

    /// Reads and compiles the scripts that `script` imports, directly or indirectly.
    ///
    /// # Errors
    /// If an imported script is missing, outside of the directory, unreadable, does not compile, or
    /// imports itself.
    pub fn add(&mut self, engine: &ScriptEngine, script: &Script) -> Result<(), PolicyError> {
        let file = script.name();
        self.add_all(engine, script.ast(), &Chain { file, name: file, before: None })
    }

    /// Returns the imported scripts, in the order of their first `import`.
    pub fn list(&self) -> Vec<Import> {
        self.scripts.iter().map(|script| script.import.clone()).collect()
    }

    fn add_all(&mut self, engine: &ScriptEngine, ast: &AST, chain: &Chain<'_>) -> Result<(), PolicyError> {
        for statement in statements(chain.file, ast)? {
            let at_fault = |message| ScriptError::at_position(chain.file, statement.at, message).into();
            self.add_one(engine, &statement, chain, &at_fault)?;
        }
        Ok(())
    }

    fn add_one(
        &mut self,
        engine: &ScriptEngine,
        Statement { name, .. }: &Statement,
        chain: &Chain<'_>,
        at_fault: &dyn Fn(String) -> PolicyError,
    ) -> Result<(), PolicyError> {
        let path = self.find(name, at_fault)?;
        let file = path.display().to_string();
        if let Some(circle) = chain.circle_to(&file) {
            return Err(at_fault(format!("this import creates a cycle: {circle} -> {name}")));
        }
        if let Some(known) = self.scripts.iter().position(|script| script.import.file == file) {
            self.names.insert(name.clone(), known);
            return Ok(());
        }
        if chain.iter().count() > MAX_DEPTH {
            return Err(at_fault(format!("imports are nested more than {MAX_DEPTH} scripts deep")));
        }
        if self.scripts.len() == MAX_IMPORTS {
            return Err(at_fault(format!("the policy imports more than {MAX_IMPORTS} scripts")));
        }
        let source = ScriptSource::read(&path)?;
        let ast = engine.compile(&source.name, &source.text)?;
        let import = Import { name: name.clone(), file: file.clone(), hash: source.hash };
        self.names.insert(name.clone(), self.scripts.len());
        self.scripts.push(Imported { import, ast: ast.clone(), module: OnceCell::new() });
        self.add_all(engine, &ast, &Chain { file: &file, name, before: Some(chain) })
    }

    /// Finds a script below the directory by name. Case is ignored.
    fn find(&self, name: &str, at_fault: &dyn Fn(String) -> PolicyError) -> Result<PathBuf, PolicyError> {
        let is_segment = |segment: &str| {
            !segment.is_empty()
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        if name.len() > MAX_NAME || !name.split('/').all(is_segment) {
            return Err(at_fault(format!(
                "`{}` is not a script name; expected one such as `lib/teams`, for `lib/teams.rhai` in the \
                 scripts directory: at most {MAX_NAME} letters, digits, `_`, `-` and `/`",
                text::line(name)
            )));
        }
        let Some(dir) = &self.dir else {
            return Err(at_fault(format!("no directory to import `{name}` from; set `[policy] scripts`")));
        };
        let missing = || at_fault(format!("there is no `{name}.rhai` in `{}`", dir.display()));
        let mut path = dir.clone();
        let file = format!("{name}.rhai");
        for segment in file.split('/') {
            if !fs::metadata(&path).map_err(|err| PolicyError::from_io(&path, err))?.is_dir() {
                return Err(missing());
            }
            path = layer::find(&path, segment)?.ok_or_else(missing)?;
        }
        let inside = |err| PolicyError::from_io(&path, err);
        let (real, root) = (fs::canonicalize(&path).map_err(inside)?, fs::canonicalize(dir).map_err(inside)?);
        if !real.starts_with(&root) {
            return Err(at_fault(format!(
                "`{}` is a symbolic link that points outside `{}`",
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
        // The module gets a fresh state, so it does not depend on the script that imports it first.
        // Steps and call levels carry over.
        let mut own = engine.new_global_runtime_state();
        own.num_operations = global.num_operations;
        own.level = global.level + 1;
        let made = Module::eval_ast_as_new_raw(engine, &mut Scope::new(), &mut own, &script.ast);
        global.num_operations = own.num_operations;
        let module = made.map_err(|mut err| {
            if err.is_catchable() {
                return Box::new(EvalAltResult::ErrorInModule(script.import.file.clone(), err, pos));
            }
            // Reaching a limit must not become an error that a script can catch.
            err.set_position(pos);
            err
        })?;
        Ok(script.module.get_or_init(|| module.into()).clone())
    }
}

/// Returns all `import` statements of a script, at any depth.
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
                        "an import must name its script as a literal string, such as `import \"lib/teams\" \
                         as teams;`";
                    *found = Err(ScriptError::at_position(file, *at, message));
                }
            }
        }
        found.is_ok()
    });
    found
}
