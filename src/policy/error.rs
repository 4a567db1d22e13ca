//! What is wrong with a script, and where: file, line, column, cause, fix.

use std::fmt;

use rhai::{EvalAltResult, ParseError, ParseErrorType, Position};

use super::{
    Finding, api,
    engine::{MAX_CALLS, MAX_VARIABLES},
    meter::{Told, UsedUp},
    sizes,
};
use crate::text;

/// How long a message may be, in characters: long enough to name every word that there is.
const MAX_MESSAGE: usize = 1000;

/// A script that cannot be compiled, or that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    is_out_of_time: bool,
}

/// Why there is no policy.
#[derive(Debug)]
pub enum PolicyError {
    /// A script is wrong.
    Script(ScriptError),
    /// A script or the directory of scripts cannot be read.
    Unreadable {
        /// The file or directory.
        path: String,
        /// What the system said.
        why: String,
    },
}

impl ScriptError {
    /// Returns an error at a line of a script; column and line may be unknown.
    pub(super) fn at(file: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        Self { file: file.to_string(), line, column: None, message: message.into(), is_out_of_time: false }
    }

    /// Returns an error at a place of a script, as far as it is known.
    pub(super) fn at_position(file: &str, at: Position, message: impl Into<String>) -> Self {
        Self { column: at.position(), ..Self::at(file, at.line(), message) }
    }

    /// Returns what is wrong with the script `source`.
    pub(super) fn from_parse(file: &str, source: &str, err: &ParseError) -> Self {
        let message = match err.err_type() {
            ParseErrorType::VariableUndefined(name) => outside_of_functions(name, source),
            _ => None,
        };
        let message = message.unwrap_or_else(|| text::line(err.err_type().to_string()));
        Self::at_position(file, err.position(), message)
    }

    /// Returns what went wrong in the script `file`, or in one that it imports.
    pub(super) fn from_eval(file: &str, err: &EvalAltResult) -> Self {
        let inner = err.unwrap_inner();
        let (file, at) = place_of(file, err);
        let told = match inner {
            EvalAltResult::ErrorTerminated(token, _) | EvalAltResult::ErrorRuntime(token, _) => {
                token.clone().try_cast::<Told>()
            }
            _ => None,
        };
        let message = told.map_or_else(|| message(inner), |told| told.to_string());
        Self {
            file: file.to_string(),
            line: at.line(),
            column: at.position(),
            message,
            is_out_of_time: told.is_some_and(|told| told.used_up == UsedUp::Time),
        }
    }

    /// Returns the error of a script that a panic ended.
    pub(super) fn from_panic(file: &str, said: &str) -> Self {
        let why = "a mistake in gitea-lightstep ended the script, please report it with it: panic: ";
        Self::at(file, None, format!("{why}{}", text::line(said)))
    }

    /// Names the function that ran, and where it begins, if nothing is known of the place.
    pub(super) fn or_in(mut self, function: &str, line: Option<usize>) -> Self {
        if self.line.is_none() && line.is_some() {
            self.line = line;
            self.message = format!("in `{function}`, which begins here: {}", self.message);
        }
        self
    }

    /// Returns whether the script was stopped because its time was up, so that it may do with more.
    pub fn is_out_of_time(&self) -> bool {
        self.is_out_of_time
    }

    /// Returns the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns what is wrong, and where in the file.
    pub fn finding(&self) -> Finding {
        Finding::with(self.line, self.column, &self.message)
    }

    /// Returns the cause and the fix, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the line, if it is known.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// Returns `file:line:column` as far as it is known.
    pub fn place(&self) -> String {
        let mut place = self.file.clone();
        for number in [self.line, self.column].into_iter().flatten() {
            place.push_str(&format!(":{number}"));
        }
        place
    }
}

/// Returns what the author of a script reads of an error.
fn message(err: &EvalAltResult) -> String {
    match err {
        EvalAltResult::ErrorStackOverflow(_) => format!(
            "the functions of the script call each other more than {MAX_CALLS} deep; \
                 look for a function that calls itself"
        ),
        EvalAltResult::ErrorDataTooLarge(what, _) => format!("{what} too large: {}", sizes::allowed()),
        EvalAltResult::ErrorTooManyVariables(_) => {
            format!(
                "the script has more than {MAX_VARIABLES} variables at one time; put some into an object map"
            )
        }
        EvalAltResult::ErrorPropertyNotFound(word, _) => unknown_word(word),
        EvalAltResult::ErrorDotExpr(said, _) => match unsettable(said) {
            Some(word) => format!("`{}` cannot be set here", text::line(word)),
            None => text::line(said),
        },
        EvalAltResult::ErrorRuntime(said, _) if sizes::check(said).is_ok() => {
            text::line_of(said.to_string(), MAX_MESSAGE)
        }
        EvalAltResult::ErrorRuntime(..) => {
            "the script threw a value that is too large to be shown".to_string()
        }
        EvalAltResult::ErrorFunctionNotFound(signature, _) => api::missing(signature),
        other => {
            let mut other = other.to_string();
            // The position is said once, in front.
            if let Some(at) = other.rfind(" (line ") {
                other.truncate(at);
            }
            text::line(other)
        }
    }
}

/// Returns the word that a script wants to set where there is nothing to set, by what Rhai says of it.
fn unsettable(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("No writable property '")?;
    rest.split_once('\'').map(|(word, _)| word)
}

/// Finds where an error arose: a function of an imported script names its own file.
fn place_of<'e>(file: &'e str, err: &'e EvalAltResult) -> (&'e str, Position) {
    let (inner_file, inner) = match err {
        EvalAltResult::ErrorInFunctionCall(_, source, inner, _) if source.is_empty() => (file, inner),
        EvalAltResult::ErrorInFunctionCall(_, source, inner, _)
        | EvalAltResult::ErrorInModule(source, inner, _) => (source.as_str(), inner),
        _ => return (file, err.position()),
    };
    match place_of(inner_file, inner) {
        (_, Position::NONE) => (file, err.position()),
        known => known,
    }
}

/// Explains a name that a function does not see although the script has it.
fn outside_of_functions(name: &str, source: &str) -> Option<String> {
    let has = |keyword: &str| {
        let mut words =
            source.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
        let mut before = "";
        words.any(|word| std::mem::replace(&mut before, word) == keyword && word == name)
    };
    if has("const") {
        return Some(format!("a function reaches the script's constant `{name}` as `global::{name}`"));
    }
    has("let").then(|| {
        format!("there is no `{name}` here; make it a `const` outside of all functions, and write `global::{name}`")
    })
}

/// A property that a script wants to read from a map of its own, or to write where nothing can be written.
fn unknown_word(word: &str) -> String {
    let objects = api::objects();
    let known = objects.iter().flat_map(|object| object.words.iter().map(|word| word.name));
    match text::nearest(word, known) {
        Some(near) if near != word => {
            format!("there is no `{}` here, did you mean `{near}`?", text::line(word))
        }
        _ => format!("there is no `{}` here", text::line(word)),
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)
    }
}

impl std::error::Error for ScriptError {}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(err) => err.fmt(f),
            Self::Unreadable { path, why } => write!(f, "failed to read `{path}`: {why}"),
        }
    }
}

impl std::error::Error for PolicyError {}

impl From<ScriptError> for PolicyError {
    fn from(err: ScriptError) -> Self {
        Self::Script(err)
    }
}
