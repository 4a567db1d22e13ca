//! A compiled script, and the functions in it that the host calls.

use std::collections::BTreeMap;

use rhai::{AST, Dynamic, FuncArgs, Position};

use super::{ScriptError, engine::ScriptEngine};
use crate::{sys::time::Deadline, text};

/// A compiled script.
pub(super) struct Script {
    name: String,
    ast: AST,
    /// Start of the body of each function that the host calls and the script defines.
    starts: BTreeMap<&'static str, Position>,
}

impl Script {
    /// Compiles a script, and checks the parameters of the functions that the host calls.
    pub fn compile(engine: &ScriptEngine, name: String, source: &str) -> Result<Self, ScriptError> {
        let ast = engine.compile(&name, source)?;
        let mut starts = BTreeMap::new();
        for function in ast.iter_fn_def() {
            let known = engine.api().given.iter().find(|(known, _)| *known == function.name);
            let Some((known, given)) = known else { continue };
            let (at, found) = (function.body.start_position(), function.params.len());
            if found != given.len() {
                let wanted = text::count(given.len(), "parameter");
                let message = format!("`{known}` takes {wanted}, found {found}");
                return Err(ScriptError::at_position(&name, at, message));
            }
            starts.insert(*known, at);
        }
        Ok(Self { name, ast, starts })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn ast(&self) -> &AST {
        &self.ast
    }

    pub fn defines(&self, function: &str) -> bool {
        self.starts.contains_key(function)
    }

    /// Returns true if the script defines any function that the host calls.
    pub fn defines_any(&self) -> bool {
        !self.starts.is_empty()
    }

    /// Returns the first line of a function. It stands for answers without a line, such as a bare
    /// `true`.
    pub fn line_of(&self, function: &str) -> Option<usize> {
        self.start_of(function).line()
    }

    /// Returns the start of the body of a function.
    pub fn start_of(&self, function: &str) -> Position {
        self.starts.get(function).copied().unwrap_or(Position::NONE)
    }

    /// Calls a function of the script.
    pub fn call(
        &self,
        engine: &ScriptEngine,
        function: &str,
        args: impl FuncArgs,
        deadline: Deadline,
    ) -> Result<Dynamic, ScriptError> {
        engine.call(&self.name, &self.ast, (function, self.start_of(function)), args, deadline)
    }
}
