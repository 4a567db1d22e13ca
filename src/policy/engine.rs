//! The sandbox that scripts run in: no file, no network, no environment, no clock, and a limit
//! on everything that can grow.

use std::rc::Rc;

use rhai::{
    AST, CallFnOptions, Dynamic, Engine, FuncArgs, Scope,
    packages::{
        ArithmeticPackage, BasicArrayPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
        BasicStringPackage, LogicPackage, MoreStringPackage, Package as _,
    },
};

use super::{Finding, ScriptError, api, imports::Imports, layer::Layer, lint, meter::Meter, trace::Function};
use crate::{config::Limits, facts::MAX_FILE, time::Deadline};

/// The largest string that a script may build, in bytes: a file's text has to fit.
const MAX_STRING: usize = MAX_FILE;
/// The largest array that a script may build.
const MAX_ARRAY: usize = 16_384;
/// The largest object map that a script may build.
const MAX_MAP: usize = 1024;

/// An engine with its limits.
pub(super) struct Sandbox {
    engine: Engine,
    meter: Rc<Meter>,
}

impl Sandbox {
    /// Builds the engine, with a library of functions for scripts of others. The built-in policy needs
    /// none, and most pushes are judged by it alone.
    ///
    /// Every limit is set because the defaults differ between
    /// debug and release builds, and most are "none".
    pub fn new(limits: &Limits, library: Library) -> Self {
        let mut engine = Engine::new_raw();
        if library == Library::Full {
            register_library(&mut engine);
            api::register_all(&mut engine);
        }
        engine
            .set_strict_variables(true)
            .set_fail_on_invalid_map_property(true)
            .set_max_operations(limits.operations)
            .set_max_call_levels(32)
            .set_max_expr_depths(64, 32)
            .set_max_functions(128)
            .set_max_variables(256)
            .set_max_string_size(MAX_STRING)
            .set_max_array_size(MAX_ARRAY)
            .set_max_map_size(MAX_MAP)
            .disable_symbol("eval");
        api::register(&mut engine);

        let meter = Rc::new(Meter::new(limits, library == Library::Full));
        let watching = meter.clone();
        engine.on_progress(move |operations| watching.check(operations).map(Dynamic::from));
        Self { engine, meter }
    }

    /// Lets scripts import these.
    pub fn set_imports(&mut self, imports: Imports) {
        self.engine.set_module_resolver(imports);
    }

    /// Compiles a script; its errors name `file`.
    pub fn compile(&self, file: &str, source: &str) -> Result<AST, ScriptError> {
        let mut ast =
            self.engine.compile(source).map_err(|err| ScriptError::from_parse(file, source, &err))?;
        ast.set_source(file);
        Ok(ast)
    }

    /// Returns what cannot work in a script although it compiles.
    pub fn lint(&self, ast: &AST) -> Vec<Finding> {
        lint::lint(ast, &self.engine)
    }

    /// Does what a script does outside of its functions.
    pub fn run(&self, file: &str, ast: &AST, deadline: Deadline) -> Result<(), ScriptError> {
        self.meter.begin(deadline);
        self.engine.run_ast(ast).map_err(|err| ScriptError::from_eval(file, &err))
    }

    /// Calls a function of a layer's script.
    pub fn call(
        &self,
        layer: &Layer,
        function: Function,
        args: impl FuncArgs,
        deadline: Deadline,
    ) -> Result<Dynamic, ScriptError> {
        self.meter.begin(deadline);
        // What stands outside of functions is done each time, within the same limits: its imports and constants
        // are what the function sees of it, and nothing is left over from one call to the next.
        let options = CallFnOptions::new().eval_ast(true);
        self.engine
            .call_fn_with_options(options, &mut Scope::new(), layer.ast(), function.as_str(), args)
            .map_err(|err| ScriptError::from_eval(layer.name(), &err))
    }
}

/// What scripts find beside the words of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    /// Operators only.
    None,
    /// Everything that Rhai has for numbers, strings, arrays and object maps.
    Full,
}

/// Registers the packages one by one, because `LanguageCorePackage`, which the usual set holds, brings
/// `sleep`, which no limit stops.
fn register_library(engine: &mut Engine) {
    ArithmeticPackage::new().register_into_engine(engine);
    LogicPackage::new().register_into_engine(engine);
    BasicMathPackage::new().register_into_engine(engine);
    BasicStringPackage::new().register_into_engine(engine);
    MoreStringPackage::new().register_into_engine(engine);
    BasicArrayPackage::new().register_into_engine(engine);
    BasicMapPackage::new().register_into_engine(engine);
    BasicIteratorPackage::new().register_into_engine(engine);
}
