//! Tables that describe the API for scripts. The engine, the reference, the definitions for editors
//! and the checks of `check` all use the same tables, so they cannot disagree.

use std::fmt;

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, Position};

use crate::{
    facts::FactError,
    text::{self, Hinted},
};

/// The result of reading a property.
pub(in crate::policy) type PropertyResult = Result<Dynamic, Box<EvalAltResult>>;

/// The type of a property, parameter or result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A string.
    Text,
    /// An integer.
    Int,
    /// `true` or `false`.
    Bool,
    /// `()`.
    Nothing,
    /// An object map.
    Map,
    /// Any type.
    Any,
    /// An object of the API, by name.
    Object(&'static str),
    /// An array.
    List(&'static Self),
    /// The given type or `()`.
    Maybe(&'static Self),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Int => f.write_str("number"),
            Self::Bool => f.write_str("bool"),
            Self::Nothing => f.write_str("`()`"),
            Self::Map => f.write_str("object map"),
            Self::Any => f.write_str("anything"),
            Self::Object(name) => f.write_str(name),
            Self::List(of) => write!(f, "array of {of}"),
            Self::Maybe(of) => write!(f, "{of} or `()`"),
        }
    }
}

/// A property of an object.
pub struct Property<T: 'static> {
    name: &'static str,
    holds: Type,
    about: &'static str,
    example: &'static str,
    read: fn(&T) -> PropertyResult,
}

/// Creates a property. `example` is an expression that is true for the `update` and `marker` of the
/// tests.
pub(in crate::policy) const fn word<T>(
    name: &'static str,
    holds: Type,
    about: &'static str,
    example: &'static str,
    read: fn(&T) -> PropertyResult,
) -> Property<T> {
    Property { name, holds, about, example, read }
}

/// A function or method. A method's object is not listed in `takes`.
pub struct ApiFunction {
    /// Name.
    pub name: &'static str,
    /// Parameters, with their names.
    pub takes: &'static [(&'static str, Type)],
    /// Type of the result.
    pub gives: Type,
    /// Description, in a sentence.
    pub about: &'static str,
    /// Expression that is true for the `update` and `marker` of the tests, or a complete script.
    pub example: &'static str,
    /// Registers it in an engine under this name.
    pub(in crate::policy) register: fn(&mut Engine, &str),
}

/// A Rust value as an object for scripts.
pub(in crate::policy) trait View: Clone + 'static {
    /// Name of the object in messages and in the reference.
    const NAME: &'static str;
    /// Description, in a sentence.
    const ABOUT: &'static str;
    /// Properties.
    const WORDS: &'static [Property<Self>];
    /// Methods.
    const METHODS: &'static [ApiFunction] = &[];
}

/// A description of an API object, for the reference and for checks.
pub struct ApiObject {
    /// Name in messages and in the reference.
    pub name: &'static str,
    /// Description, in a sentence.
    pub about: &'static str,
    /// Properties.
    pub words: Vec<PropertyInfo>,
    /// Methods.
    pub methods: &'static [ApiFunction],
    /// Name of the Rust type.
    pub rust_type: &'static str,
}

/// A description of a property.
#[derive(Clone, Copy, Debug)]
pub struct PropertyInfo {
    /// Name.
    pub name: &'static str,
    /// Type.
    pub holds: Type,
    /// Description, in a sentence.
    pub about: &'static str,
    /// Expression that is true for the `update` and `marker` of the tests.
    pub example: &'static str,
}

/// What one kind of script can use, and what the host calls in it.
pub(in crate::policy) struct ScriptApi {
    /// Functions that the host calls, with the objects that they get.
    pub given: &'static [(&'static str, &'static [&'static str])],
    /// Constants that every function of the script can read.
    pub globals: &'static [(&'static str, Type)],
    /// Returns all objects.
    pub objects: fn() -> Vec<ApiObject>,
    /// Returns all functions that are not methods.
    pub functions: fn() -> Vec<&'static ApiFunction>,
    /// True if `enrich` of the script may set the properties of a marker.
    pub sets_markers: bool,
}

impl ApiObject {
    /// Returns the description of a view.
    pub(in crate::policy) fn of<T: View>() -> Self {
        let told = |word: &Property<T>| {
            let Property { name, holds, about, example, .. } = *word;
            PropertyInfo { name, holds, about, example }
        };
        Self {
            name: T::NAME,
            about: T::ABOUT,
            words: T::WORDS.iter().map(told).collect(),
            methods: T::METHODS,
            rust_type: std::any::type_name::<T>(),
        }
    }
}

/// Registers the properties of a view. One indexer serves all of them: Rhai calls it for a property
/// without a getter. That keeps the engine cheap to create, and each push creates one.
pub(in crate::policy) fn register_words<T: View>(engine: &mut Engine) {
    engine
        .register_type_with_name::<T>(T::NAME)
        .register_indexer_get(|view: &mut T, word: ImmutableString| read(view, &word));
}

/// Registers getters for properties that are read for every update. Without a getter, the engine
/// creates an error before it calls the indexer, which takes longer than most reads. Other
/// properties have none, because each getter slows down the creation of an engine.
pub(super) fn register_often_read<T: View>(engine: &mut Engine, words: &[&str]) {
    for word in T::WORDS.iter().filter(|word| words.contains(&word.name)) {
        engine.register_get(word.name, |view: &mut T| (word.read)(view));
    }
}

/// Registers comparison and conversion to text.
pub(super) fn register_ordered<T: View + PartialOrd + fmt::Display>(engine: &mut Engine) {
    engine
        .register_fn("==", |a: T, b: T| a == b)
        .register_fn("!=", |a: T, b: T| a != b)
        .register_fn("<", |a: T, b: T| a < b)
        .register_fn("<=", |a: T, b: T| a <= b)
        .register_fn(">", |a: T, b: T| a > b)
        .register_fn(">=", |a: T, b: T| a >= b)
        .register_fn("to_string", |value: &mut T| value.to_string())
        .register_fn("to_debug", |value: &mut T| value.to_string());
}

/// Registers the functions of a table.
pub(in crate::policy) fn register_functions(engine: &mut Engine, functions: &[ApiFunction]) {
    for function in functions {
        (function.register)(engine, function.name);
    }
}

/// Reads a property.
pub(super) fn read<T: View>(view: &T, word: &str) -> PropertyResult {
    match T::WORDS.iter().find(|known| known.name == word) {
        Some(known) => (known.read)(view),
        None => {
            let message = format!("`{}` has no property `{}`", T::NAME, text::line(word));
            Err(mistake(Hinted::unknown(message, word, T::WORDS.iter().map(|known| known.name))))
        }
    }
}

/// Creates an error in a script. The engine adds the position. A script that catches the error gets
/// its text.
pub(in crate::policy) fn mistake(message: impl Into<Hinted>) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(message.into().to_string().into(), Position::NONE).into()
}

/// Returns a fact, or the script error if it cannot be read.
pub(super) fn fact<T>(fact: Result<T, FactError>) -> Result<T, Box<EvalAltResult>> {
    fact.map_err(|err| {
        if err.is_out_of_time() {
            // Scripts cannot catch this error, so they end when the time is up.
            return EvalAltResult::ErrorTerminated(Dynamic::from(err), Position::NONE).into();
        }
        mistake(err.to_string())
    })
}

/// Converts an option, with `()` for `None`.
pub(in crate::policy) fn maybe<T: Clone + 'static>(value: Option<T>) -> Dynamic {
    value.map_or(Dynamic::UNIT, Dynamic::from)
}

/// Creates an array.
pub(in crate::policy) fn list<T>(
    values: impl IntoIterator<Item = T>,
    each: impl Fn(T) -> Dynamic,
) -> Dynamic {
    values.into_iter().map(each).collect::<rhai::Array>().into()
}

/// Converts a number, at most to the largest integer of scripts.
pub(in crate::policy) fn number(n: usize) -> Dynamic {
    i64::try_from(n).unwrap_or(i64::MAX).into()
}
