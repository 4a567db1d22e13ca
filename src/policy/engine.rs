//! The sandbox that scripts run in: no file, no network, no environment, no clock, and a limit
//! on everything that can grow.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use rhai::{
    AST, CallFnOptions, Dynamic, Engine, EvalAltResult, FuncArgs, LexError, Position, Scope, Token,
    packages::{
        ArithmeticPackage, BasicArrayPackage, BasicIteratorPackage, BasicMapPackage, BasicStringPackage,
        LogicPackage, MoreStringPackage, Package as _,
    },
};

use super::{
    Finding, ScriptError,
    api::{self, Texts},
    confine::Confined,
    imports::Imports,
    layer::Layer,
    lint,
    meter::{Meter, UsedUp},
    natives, numbers, render,
    sizes::{self, MAX_ENTRIES, MAX_PROPERTIES, MAX_TEXT},
    trace::Function,
};
use crate::{config::Limits, text, time::Deadline};

/// How deep a script's functions may call each other. Each level takes some KiB of the stack.
pub(super) const MAX_CALLS: usize = 32;
/// How deep statements and expressions may be nested, outside of functions and in them; each `else if`, each operator of
/// one expression and each `.` of one chain is a level. Parser and interpreter go down as deep.
const MAX_NESTING: (usize, usize) = (64, 64);
/// How many functions a script may define, closures included. Finding one is a look-up; the limit keeps what is
/// compiled small.
const MAX_FUNCTIONS: usize = 256;
/// How many variables a script may have at one time. Finding one is a walk.
pub(super) const MAX_VARIABLES: usize = 256;

/// What a render script reads its settings from.
pub(super) const SETTINGS: &str = "settings";

/// How many times its limit on memory a script may have when the process ends itself.
const LAST_RESORT: u64 = 4;
/// What the facts that a script asks for may take beside, in bytes.
const ROOM_FOR_FACTS: u64 = 256 << 20;

/// An engine with its limits.
pub(super) struct Sandbox {
    engine: Engine,
    meter: Rc<Meter>,
    library: Library,
    memory: u64,
    /// What every function of a script sees by a name of its own.
    constants: Scope<'static>,
}

impl Sandbox {
    /// Builds the engine, with a library of functions for scripts of others. The built-in policy needs
    /// none, and most pushes are judged by it alone.
    ///
    /// Every limit is set because the defaults differ between
    /// debug and release builds, and most are "none".
    pub fn new(limits: &Limits, library: Library) -> Self {
        Self::with(limits, library, None)
    }

    /// Builds the engine of a render script, with the settings of its destination and the names of its secrets.
    pub fn for_rendering(limits: &Limits, settings: Texts, secrets: &[String]) -> Self {
        let mut sandbox = Self::with(limits, Library::Full, Some(Dynamic::from(settings)));
        render::functions::register(&mut sandbox.engine, secrets);
        sandbox
    }

    fn with(limits: &Limits, library: Library, settings: Option<Dynamic>) -> Self {
        // What the built-in policy holds is known; what it asks for is the repository's.
        let memory = if library == Library::Full { limits.memory } else { u64::MAX };
        let meter = Rc::new(Meter::new(&Limits { memory, ..*limits }));
        let mut engine = Engine::new_raw();
        if library == Library::Full {
            register_library(&mut engine);
            natives::register(&mut engine, &meter);
            api::register_all(&mut engine);
        }
        engine
            .set_strict_variables(true)
            .set_fail_on_invalid_map_property(true)
            // The meter counts.
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

        let watching = meter.clone();
        engine.on_progress(move |_| watching.step().map(|used_up| Dynamic::from(watching.told(used_up))));
        if library == Library::Full {
            watch_closely(&mut engine, &meter, settings.clone());
        }
        let mut constants = Scope::new();
        if let Some(settings) = settings {
            constants.push_constant_dynamic(SETTINGS, settings);
        }
        Self { engine, meter, library, memory, constants }
    }

    /// Lets scripts import these.
    pub fn set_imports(&mut self, imports: Imports) {
        self.engine.set_module_resolver(imports);
    }

    /// Compiles a script; its errors name `file`.
    pub fn compile(&self, file: &str, source: &str) -> Result<AST, ScriptError> {
        self.meter.begin_to_compile();
        let compiled = self.engine.compile_with_scope(&self.constants, source);
        let mut ast = compiled.map_err(|err| ScriptError::from_parse(file, source, &err))?;
        ast.set_source(file);
        Ok(ast)
    }

    /// Returns what cannot work in a script although it compiles.
    pub fn lint(&self, ast: &AST) -> Vec<Finding> {
        let role = if self.constants.is_empty() { lint::Role::Policy } else { lint::Role::Render };
        lint::lint(ast, &self.engine, role)
    }

    /// Does what a script does outside of its functions.
    pub fn run(&self, file: &str, ast: &AST, deadline: Deadline) -> Result<(), ScriptError> {
        self.within_limits(deadline, || self.engine.run_ast(ast)).map_err(|err| match err {
            Ended::Failed(err) => ScriptError::from_eval(file, &err),
            Ended::Panicked(said) => ScriptError::from_panic(file, &said),
        })
    }

    /// Calls a function of a layer's script.
    pub fn call(
        &self,
        layer: &Layer,
        function: Function,
        args: impl FuncArgs,
        deadline: Deadline,
    ) -> Result<Dynamic, ScriptError> {
        let place = (function.as_str(), layer.line_of(function));
        self.call_in(layer.name(), layer.ast(), place, args, deadline)
    }

    /// Calls a function of the script `file`, which begins in the line that stands beside its name.
    pub fn call_in(
        &self,
        file: &str,
        ast: &AST,
        (function, line): (&str, Option<usize>),
        args: impl FuncArgs,
        deadline: Deadline,
    ) -> Result<Dynamic, ScriptError> {
        // What stands outside of functions is done each time, within the same limits: its imports and constants
        // are what the function sees of it, and nothing is left over from one call to the next.
        let options = CallFnOptions::new().eval_ast(true);
        let mut scope = Scope::new();
        let call = || self.engine.call_fn_with_options(options, &mut scope, ast, function, args);
        self.within_limits(deadline, call).map_err(|err| match err {
            Ended::Failed(err) => ScriptError::from_eval(file, &err).or_in(function, line),
            Ended::Panicked(said) => ScriptError::from_panic(file, &said),
        })
    }

    fn within_limits<T>(
        &self,
        deadline: Deadline,
        run: impl FnOnce() -> Result<T, Box<EvalAltResult>>,
    ) -> Result<T, Ended> {
        self.meter.begin(deadline);
        let ended = catch_unwind(AssertUnwindSafe(run))
            .map_err(|panic| Ended::Panicked(text::said_by_panic(&*panic).to_string()))?;
        match self.meter.ending() {
            // A script may catch the error that was to end it, but has no more say.
            Some(used_up) if ended.is_ok() => Err(Ended::Failed(stopped(&self.meter, used_up))),
            _ => ended.map_err(Ended::Failed),
        }
    }

    /// Holds the process to limits of its own while scripts of others run and their values live.
    pub fn confine(&self) -> Option<Confined> {
        let is_needed = self.library == Library::Full;
        is_needed
            .then(|| Confined::begin(self.memory.saturating_mul(LAST_RESORT).saturating_add(ROOM_FOR_FACTS)))
    }
}

/// Why a script came to no end of its own.
enum Ended {
    Failed(Box<EvalAltResult>),
    /// A function of ours or of the engine panicked, and said this.
    Panicked(String),
}

/// Has the engine ask more often than between the steps of a script: at each token that is compiled, so that
/// what takes the parser long is stopped, and before a variable is read.
#[expect(deprecated, reason = "these are not deprecated, the crate marks so what it may still change")]
fn watch_closely(engine: &mut Engine, meter: &Rc<Meter>, settings: Option<Dynamic>) {
    // With `this`, a value could be changed and copied without a variable that is read.
    engine.disable_symbol("this").disable_symbol("curry");
    let compiling = meter.clone();
    engine.on_parse_token(move |token, _, _| match compiling.token() {
        Some(used_up) => Token::LexError(LexError::Runtime(compiling.told(used_up).to_string()).into()),
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

/// Returns the error of a script that has used something up.
fn stopped(meter: &Meter, used_up: UsedUp) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(Dynamic::from(meter.told(used_up)), Position::NONE).into()
}

/// What scripts find beside the words of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    /// Operators only.
    None,
    /// Everything that Rhai has for strings, arrays and object maps, and for numbers but not for angles.
    Full,
}

/// Registers the packages one by one, because `LanguageCorePackage`, which the usual set holds, brings
/// `sleep`, which no limit stops.
fn register_library(engine: &mut Engine) {
    ArithmeticPackage::new().register_into_engine(engine);
    LogicPackage::new().register_into_engine(engine);
    numbers::register(engine);
    BasicStringPackage::new().register_into_engine(engine);
    MoreStringPackage::new().register_into_engine(engine);
    BasicArrayPackage::new().register_into_engine(engine);
    BasicMapPackage::new().register_into_engine(engine);
    BasicIteratorPackage::new().register_into_engine(engine);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Level;

    #[test]
    fn a_panic_of_a_function_is_an_error_of_the_script() {
        let mut sandbox = Sandbox::new(&Limits::default(), Library::Full);
        sandbox.engine.register_fn("crash", || -> i64 { panic!("out of cheese") });
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("site.rhai");
        std::fs::write(&path, "fn decide(update) { crash() }").expect("a script");
        let layer = Layer::read(&sandbox, Level::Site, &path).expect("it compiles");
        let call = || sandbox.call(&layer, Function::Decide, (1_i64,), Deadline::never());
        for _ in 0..2 {
            let err = call().expect_err("it panics").to_string();
            assert!(err.contains("panic: out of cheese"), "{err}");
        }
    }
}
