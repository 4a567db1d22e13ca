//! What scripts can read and call, as data. What the engine answers, the reference, the definitions for editors
//! and what `check` knows all come from the same tables, so that none can say what another does not.

use std::fmt;

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, Position};

use crate::{facts::FactError, text};

/// What reading a word gives.
pub(in crate::policy) type Read = Result<Dynamic, Box<EvalAltResult>>;

/// What a word holds, and what a function takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A string.
    Text,
    /// A whole number.
    Int,
    /// `true` or `false`.
    Bool,
    /// `()`.
    Nothing,
    /// An object map.
    Map,
    /// Whatever it is.
    Any,
    /// An object of ours, by its name.
    Object(&'static str),
    /// An array.
    List(&'static Self),
    /// This, or `()`.
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

/// A word of an object: what a script reads behind the dot.
pub struct Word<T: 'static> {
    name: &'static str,
    holds: Type,
    about: &'static str,
    example: &'static str,
    read: fn(&T) -> Read,
}

/// Makes a word. `example` is an expression that is true where `update` and `marker` are those of the tests.
pub(in crate::policy) const fn word<T>(
    name: &'static str,
    holds: Type,
    about: &'static str,
    example: &'static str,
    read: fn(&T) -> Read,
) -> Word<T> {
    Word { name, holds, about, example, read }
}

/// A function, or a method of an object: then the object is not among what it `takes`.
pub struct Function {
    /// The name.
    pub name: &'static str,
    /// The parameters, with their names.
    pub takes: &'static [(&'static str, Type)],
    /// What it gives.
    pub gives: Type,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// An expression that is true where `update` and `marker` are those of the tests, or a whole script.
    pub example: &'static str,
    /// Makes the engine know it by this name.
    pub(in crate::policy) register: fn(&mut Engine, &str),
}

/// What scripts see of a value of ours.
pub(in crate::policy) trait View: Clone + 'static {
    /// The name of the object in messages and in the reference.
    const NAME: &'static str;
    /// What it is, in a sentence.
    const ABOUT: &'static str;
    /// What can be read of it.
    const WORDS: &'static [Word<Self>];
    /// What can be asked of it.
    const METHODS: &'static [Function] = &[];
}

/// An object of the API without its values, for whoever tells of it.
pub struct Object {
    /// The name in messages and in the reference.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub about: &'static str,
    /// What can be read of it.
    pub words: Vec<Told>,
    /// What can be asked of it.
    pub methods: &'static [Function],
}

/// A word as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// The name.
    pub name: &'static str,
    /// What it holds.
    pub holds: Type,
    /// What it says, in a sentence.
    pub about: &'static str,
    /// An expression that is true where `update` and `marker` are those of the tests.
    pub example: &'static str,
}

impl Object {
    /// Returns what is told of a view.
    pub(in crate::policy) fn of<T: View>() -> Self {
        let told = |word: &Word<T>| {
            let Word { name, holds, about, example, .. } = *word;
            Told { name, holds, about, example }
        };
        Self {
            name: T::NAME,
            about: T::ABOUT,
            words: T::WORDS.iter().map(told).collect(),
            methods: T::METHODS,
        }
    }
}

/// Makes the engine read the words of a view. One indexer serves them all: Rhai asks it for a property that has
/// no function of its own, and an engine is made for every push.
pub(in crate::policy) fn register_words<T: View>(engine: &mut Engine) {
    engine
        .register_type_with_name::<T>(T::NAME)
        .register_indexer_get(|view: &mut T, word: ImmutableString| read(view, &word));
}

/// Gives words that are read for every update a function of their own. The engine looks for one first and makes an error
/// where there is none, which takes longer than most words; but each function takes time when an engine is made.
pub(super) fn register_often_read<T: View>(engine: &mut Engine, words: &[&str]) {
    for word in T::WORDS.iter().filter(|word| words.contains(&word.name)) {
        engine.register_get(word.name, |view: &mut T| (word.read)(view));
    }
}

/// Makes the engine compare what has an order, and show it as text.
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

/// Makes the engine know the functions of a table.
pub(in crate::policy) fn register_functions(engine: &mut Engine, functions: &[Function]) {
    for function in functions {
        (function.register)(engine, function.name);
    }
}

/// Reads a word.
pub(super) fn read<T: View>(view: &T, word: &str) -> Read {
    match T::WORDS.iter().find(|known| known.name == word) {
        Some(known) => (known.read)(view),
        None => Err(unknown(T::NAME, word, T::WORDS.iter().map(|known| known.name))),
    }
}

/// Returns the mistake of a word that an object does not have, with the nearest that it has.
pub(super) fn unknown<'a>(
    of: &str,
    word: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Box<EvalAltResult> {
    let shown = text::line(word);
    mistake(match text::nearest(word, known.clone()) {
        Some(near) => format!("`{of}` has no word `{shown}`, did you mean `{near}`?"),
        None => {
            let known: Vec<_> = known.collect();
            format!("`{of}` has no word `{shown}`, expected one of `{}`", known.join("`, `"))
        }
    })
}

/// Returns a script's mistake; the engine adds the place.
pub(in crate::policy) fn mistake(message: String) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(message.into(), Position::NONE).into()
}

/// Returns a fact, or the mistake of a script that asked for what cannot be read.
pub(super) fn fact<T>(fact: Result<T, FactError>) -> Result<T, Box<EvalAltResult>> {
    fact.map_err(|err| mistake(err.to_string()))
}

/// Returns a value, or `()` for none.
pub(in crate::policy) fn maybe<T: Clone + 'static>(value: Option<T>) -> Dynamic {
    value.map_or(Dynamic::UNIT, Dynamic::from)
}

/// Returns an array.
pub(in crate::policy) fn list<T>(
    values: impl IntoIterator<Item = T>,
    each: impl Fn(T) -> Dynamic,
) -> Dynamic {
    values.into_iter().map(each).collect::<rhai::Array>().into()
}

/// Returns a number, as near as a script's numbers come.
pub(in crate::policy) fn number(n: usize) -> Dynamic {
    i64::try_from(n).unwrap_or(i64::MAX).into()
}
