//! The sandbox that runs scripts. Scripts have no access to files, the network, the environment or
//! the clock, and everything that can grow is limited.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use rhai::{
    AST, CallFnOptions, Dynamic, Engine, EvalAltResult, FuncArgs, LexError, Module, ModuleResolver, Position,
    Scope, Token,
    packages::{
        ArithmeticPackage, BasicArrayPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
        BasicStringPackage, LogicPackage, MoreStringPackage, Package as _,
    },
};

use super::{
    ScriptError,
    api::{self, ScriptApi, StringMap},
    builtins,
    confine::Confined,
    meter::{Meter, stopped},
    numbers,
    printed::Printed,
    sizes::{self, MAX_CALLS, MAX_ENTRIES, MAX_PROPERTIES, MAX_TEXT, MAX_VARIABLES},
};
use crate::{config::Limits, sys::time::Deadline, text};

/// Maximum nesting of statements and expressions, outside of functions and in them. Each `else if`,
/// each operator of an expression and each `.` of a chain is one level. The parser and the
/// interpreter recurse once per level.
const MAX_NESTING: (usize, usize) = (64, 64);
/// Maximum number of functions in a script, including closures. This limits the size of the
/// compiled script; calling a function is only a hash lookup.
const MAX_FUNCTIONS: usize = 256;

/// Name of the constant that holds a render script's settings.
pub(super) const SETTINGS: &str = "settings";

/// Multiple of a script's memory limit at which the process ends itself.
const LAST_RESORT: u64 = 4;
/// Additional memory for the facts that a script reads, in bytes.
const ROOM_FOR_FACTS: u64 = 256 << 20;

/// A Rhai engine with its limits.
pub(super) struct ScriptEngine {
    engine: Engine,
    meter: Rc<Meter>,
    library: Library,
    memory: u64,
    api: &'static ScriptApi,
    /// Constants that every function of a script can read by name.
    constants: Scope<'static>,
    /// Lines that scripts print, if a command shows them.
    printed: Option<Printed>,
}

impl ScriptEngine {
    /// Builds the engine. The built-in policy needs no function library, and most pushes run
    /// nothing else, so they use [`Library::None`].
    ///
    /// Every limit is set explicitly. Rhai's defaults differ between debug and release builds, and
    /// most of them are "none".
    pub fn new(limits: &Limits, library: Library) -> Self {
        Self::with(limits, library, &api::POLICY, None)
    }

    /// Builds the engine for a render script, with the settings of its destination. `register` adds
    /// the functions and objects of `api`.
    pub fn for_rendering(
        limits: &Limits,
        api: &'static ScriptApi,
        settings: StringMap,
        register: impl FnOnce(&mut Engine),
    ) -> Self {
        let mut sandbox = Self::with(limits, Library::Full, api, Some(Dynamic::from(settings)));
        register(&mut sandbox.engine);
        sandbox
    }

    fn with(limits: &Limits, library: Library, api: &'static ScriptApi, settings: Option<Dynamic>) -> Self {
        let Limits { memory, .. } = *limits;
        // The built-in policy's own memory use is known. What it reads depends on the repository,
        // and only the process limit bounds that.
        let metered = if library == Library::Full { memory } else { u64::MAX };
        let meter = Rc::new(Meter::new(&Limits { memory: metered, ..*limits }));
        let mut engine = Engine::new_raw();
        if library == Library::Full {
            register_library(&mut engine);
            builtins::register(&mut engine, &meter);
            numbers::register(&mut engine);
            api::register_all(&mut engine);
        }
        engine
            .set_strict_variables(true)
            .set_fail_on_invalid_map_property(true)
            // The meter counts operations instead.
            .set_max_operations(0)
            .set_max_call_levels(MAX_CALLS)
            .set_max_expr_depths(MAX_NESTING.0, MAX_NESTING.1)
            .set_max_functions(MAX_FUNCTIONS)
            .set_max_variables(MAX_VARIABLES)
            .set_max_string_size(MAX_TEXT)
            .set_max_array_size(MAX_ENTRIES)
            .set_max_map_size(MAX_PROPERTIES)
            .disable_symbol("eval");
        api::register(&mut engine);

        // Native functions get the meter from the call context.
        engine.set_default_tag(Dynamic::from(meter.clone()));
        let watching = meter.clone();
        engine.on_progress(move |_| watching.step().map(|used_up| Dynamic::from(watching.exceeded(used_up))));
        if library == Library::Full {
            watch_closely(&mut engine, &meter, settings.clone());
        }
        let mut constants = Scope::new();
        if let Some(settings) = settings {
            constants.push_constant_dynamic(SETTINGS, settings);
        }
        Self { engine, meter, library, memory, api, constants, printed: None }
    }

    /// Lets scripts call the functions of a script as `name::function()`.
    pub fn offer(&mut self, name: &str, ast: &AST) {
        if self.library == Library::Full {
            let functions = Module::eval_ast_as_new(Scope::new(), ast, &self.engine);
            self.engine.register_static_module(name, functions.unwrap_or_default().into());
        }
    }

    /// Makes scripts available to `import`.
    pub fn set_imports(&mut self, imports: impl ModuleResolver + 'static) {
        self.engine.set_module_resolver(imports);
    }

    /// Keeps what scripts print from now on.
    pub fn listen(&mut self) {
        self.printed = Some(Printed::listen(&mut self.engine));
    }

    /// Returns what scripts have printed since the last call.
    pub fn printed(&self) -> Vec<String> {
        self.printed.as_ref().map(Printed::take).unwrap_or_default()
    }

    /// Compiles a script. Errors name it as `file`.
    pub fn compile(&self, file: &str, source: &str) -> Result<AST, ScriptError> {
        self.meter.begin_to_compile();
        let compiled = self.engine.compile_with_scope(&self.constants, source);
        let mut ast = compiled.map_err(|err| ScriptError::from_parse(file, source, &err))?;
        ast.set_source(file);
        Ok(ast)
    }

    /// Returns what the scripts can use.
    pub fn api(&self) -> &'static ScriptApi {
        self.api
    }

    /// Returns the names of all native functions.
    pub fn function_names(&self) -> BTreeSet<String> {
        let names = self.engine.collect_fn_metadata(None, |info| Some(info.metadata.name.to_string()), true);
        names.into_iter().collect()
    }

    /// Runs the code outside of functions.
    pub fn run(&self, file: &str, ast: &AST, deadline: Deadline) -> Result<(), ScriptError> {
        self.within_limits(file, deadline, || self.engine.run_ast(ast))
    }

    /// Calls a function of the script `file`. `start` is where its body begins, if known.
    pub fn call(
        &self,
        file: &str,
        ast: &AST,
        (function, start): (&str, Position),
        args: impl FuncArgs,
        deadline: Deadline,
    ) -> Result<Dynamic, ScriptError> {
        // Code outside of functions runs again for each call, within the same limits. The function
        // sees its imports and constants, and no state survives between calls.
        let options = CallFnOptions::new().eval_ast(true);
        let mut scope = Scope::new();
        let call = || self.engine.call_fn_with_options(options, &mut scope, ast, function, args);
        self.within_limits(file, deadline, call).map_err(|err| err.or_in(function, start))
    }

    /// Returns the results of calling `with` on the name and parameter types of each native
    /// function.
    #[cfg(test)]
    pub fn functions<T>(&self, with: impl Fn(&str, &[std::any::TypeId]) -> Option<T> + Copy) -> Vec<T> {
        self.engine.collect_fn_metadata(
            None,
            |info| with(&info.metadata.name, &info.metadata.param_types),
            false,
        )
    }

    fn within_limits<T>(
        &self,
        file: &str,
        deadline: Deadline,
        run: impl FnOnce() -> Result<T, Box<EvalAltResult>>,
    ) -> Result<T, ScriptError> {
        self.meter.begin(deadline);
        let ended = catch_unwind(AssertUnwindSafe(run))
            .map_err(|panic| ScriptError::from_panic(file, text::said_by_panic(&*panic)))?;
        // A script can catch the error that stops it. Its return value must not count then.
        let ended = match self.meter.ending() {
            Some(used_up) if ended.is_ok() => Err(stopped(&self.meter, used_up)),
            _ => ended,
        };
        ended.map_err(|err| ScriptError::from_eval(self.api, file, &err))
    }

    /// Limits the process while scripts run. Keep the guard alive while facts are read for them and
    /// while their values exist.
    pub fn confine(&self) -> Confined {
        let memory = self.memory.saturating_mul(LAST_RESORT).saturating_add(ROOM_FOR_FACTS);
        if self.library == Library::Full { Confined::begin(memory) } else { Confined::in_memory(memory) }
    }
}

/// Makes the engine check the limits more often than once per step: at each token while compiling,
/// so that slow parsing is stopped, and before each read of a variable.
#[expect(deprecated, reason = "these are not deprecated, the crate marks so what it may still change")]
fn watch_closely(engine: &mut Engine, meter: &Rc<Meter>, settings: Option<Dynamic>) {
    // `this` would let a script change and copy a value without reading a variable.
    engine.disable_symbol("this").disable_symbol("curry");
    let compiling = meter.clone();
    engine.on_parse_token(move |token, _, _| match compiling.token() {
        Some(used_up) => Token::LexError(LexError::Runtime(compiling.exceeded(used_up).to_string()).into()),
        None => token,
    });
    let reading = meter.clone();
    engine.on_var(move |name, _, ctx| {
        if let Some(used_up) = reading.ending() {
            return Err(stopped(&reading, used_up));
        }
        if reading.is_heavy()
            && let Some(value) = ctx.scope().get(name)
        {
            sizes::check(value)?;
        }
        let is_ours = name == SETTINGS && !ctx.scope().contains(name);
        Ok(settings.clone().filter(|_| is_ours))
    });
}

/// The functions that scripts have, besides those of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    /// Only operators.
    None,
    /// Rhai's functions for strings, arrays, object maps and numbers.
    Full,
}

/// Registers the packages one by one. Rhai's standard set includes `LanguageCorePackage`, and its
/// `sleep` cannot be stopped by any limit.
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

#[cfg(test)]
mod tests;
