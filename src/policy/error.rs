//! Errors in scripts: file, line, column, cause and fix.

use std::{io, path::Path};

use rhai::{EvalAltResult, LexError, ParseError, ParseErrorType, Position};
use thiserror::Error;

use super::{
    LintFinding, Rule,
    api::{self, ScriptApi},
    meter::{LimitExceeded, UsedUp},
    sizes::{self, MAX_CALLS, MAX_VARIABLES},
};
use crate::{
    facts::FactError,
    text::{self, Hinted},
};

/// Maximum length of a message, in characters. It is long enough to list all known names.
const MAX_MESSAGE: usize = 1000;

/// A script that cannot be compiled, or that failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {message}", self.place())]
pub struct ScriptError {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    message: Hinted,
    is_out_of_time: bool,
}

/// A policy that could not be loaded.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// A script does not compile or failed.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// A file or directory is not usable: for example, too large or not UTF-8.
    #[error("failed to read `{path}`: {why}")]
    Unfit {
        /// File or directory.
        path: String,
        /// Description of the problem.
        why: String,
    },
    /// The system refused to read a script or the scripts directory. A later retry may succeed.
    #[error("failed to read `{path}`")]
    Unreadable {
        /// File or directory.
        path: String,
        /// Error from the system.
        source: io::Error,
    },
}

impl PolicyError {
    /// Creates the error for a script or directory that could not be read.
    pub(super) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.display().to_string();
        // Without an OS error code, the problem is the file itself, such as a named pipe instead of
        // a script.
        match source.raw_os_error() {
            Some(_) => Self::Unreadable { path, source },
            None => Self::Unfit { path, why: source.to_string() },
        }
    }
}

impl ScriptError {
    /// Creates an error at a line of a script, which may be unknown.
    pub(super) fn at(file: &str, line: Option<usize>, message: impl Into<Hinted>) -> Self {
        Self { file: file.to_string(), line, column: None, message: message.into(), is_out_of_time: false }
    }

    /// Creates an error at a position in a script, which may be unknown.
    pub(super) fn at_position(file: &str, at: Position, message: impl Into<Hinted>) -> Self {
        Self { column: at.position(), ..Self::at(file, at.line(), message) }
    }

    /// Creates the error for a script `source` that does not compile.
    pub(super) fn from_parse(file: &str, source: &str, err: &ParseError) -> Self {
        let message = match err.err_type() {
            ParseErrorType::VariableUndefined(name) => {
                outside_of_functions(name, source).or_else(|| of_other_language(name))
            }
            ParseErrorType::Reserved(word) => of_other_language(word),
            ParseErrorType::BadInput(LexError::MalformedChar(said)) => Some(format!(
                "single quotes are for one character; write text in double quotes: \"{}\"",
                text::line(said.trim_matches('\''))
            )),
            _ => None,
        };
        let message = message.unwrap_or_else(|| text::line(err.err_type().to_string()));
        Self::at_position(file, err.position(), message)
    }

    /// Creates the error for a failure in the script `file`, or in one that it imports.
    pub(super) fn from_eval(api: &ScriptApi, file: &str, err: &EvalAltResult) -> Self {
        let inner = err.unwrap_inner();
        let (file, at) = place_of(file, err);
        let told = match inner {
            EvalAltResult::ErrorTerminated(token, _) | EvalAltResult::ErrorRuntime(token, _) => {
                token.clone().try_cast::<LimitExceeded>()
            }
            _ => None,
        };
        // An error about a fact that could not be read in time.
        let fact = match inner {
            EvalAltResult::ErrorTerminated(token, _) => token.clone().try_cast::<FactError>(),
            _ => None,
        };
        let message = match (&told, &fact) {
            (Some(told), _) => told.to_string().into(),
            (None, Some(fact)) => fact.to_string().into(),
            (None, None) => {
                let Hinted { message, hint } = message(api, inner);
                Hinted { message: with_known_types(api, message), hint }
            }
        };
        Self {
            file: file.to_string(),
            line: at.line(),
            column: at.position(),
            message,
            is_out_of_time: fact.is_some() || told.is_some_and(|told| told.used_up == UsedUp::Time),
        }
    }

    /// Creates the error for a script that ended in a panic.
    pub(super) fn from_panic(file: &str, said: &str) -> Self {
        let why = "a bug in gitea-lightstep ended the script; please report it with this message: panic: ";
        Self::at(file, None, format!("{why}{}", text::line(said)))
    }

    /// Adds the function that ran and where it starts, if the position is unknown.
    pub(super) fn or_in(mut self, function: &str, start: Position) -> Self {
        if self.line.is_none() && !start.is_none() {
            (self.line, self.column) = (start.line(), start.position());
            return self.in_context(&format!("in `{function}`, which starts here"));
        }
        self
    }

    /// Adds what was tried, in front of the cause.
    pub(super) fn in_context(mut self, context: &str) -> Self {
        self.message.message = format!("{context}: {}", self.message.message);
        self
    }

    /// Returns true if the script ran out of time. With more time it might succeed.
    pub fn is_out_of_time(&self) -> bool {
        self.is_out_of_time
    }

    /// Returns the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the error as a finding, without the file.
    pub fn finding(&self) -> LintFinding {
        LintFinding::with(self.line, self.column, self.message.clone())
    }

    /// Returns the cause and the fix, without the position.
    pub fn message(&self) -> String {
        self.message.to_string()
    }

    /// Returns the position at which the script failed. It may be in a script that the layer
    /// imports.
    pub fn rule(&self) -> Rule {
        Rule::at(&self.file, self.line)
    }

    /// Returns `file:line:column`, without the unknown parts.
    pub fn place(&self) -> String {
        let mut place = self.file.clone();
        for number in [self.line, self.column].into_iter().flatten() {
            place.push_str(&format!(":{number}"));
        }
        place
    }
}

/// Returns the message for the script's author.
fn message(api: &ScriptApi, err: &EvalAltResult) -> Hinted {
    let message = match err {
        EvalAltResult::ErrorStackOverflow(_) => format!(
            "function calls are nested more than {MAX_CALLS} deep; look for a function that calls itself"
        ),
        EvalAltResult::ErrorDataTooLarge(what, _) => format!("{what} too large: {}", sizes::allowed()),
        EvalAltResult::ErrorTooManyVariables(_) => {
            format!("the script has more than {MAX_VARIABLES} variables at once; put some into an object map")
        }
        EvalAltResult::ErrorPropertyNotFound(word, _) => return unknown_word(api, word),
        EvalAltResult::ErrorDotExpr(said, _) => match (unsettable(said), unreadable(said)) {
            (Some(word), _) => format!("`{}` cannot be set here", text::line(word)),
            (None, Some((word, "()"))) => format!(
                "`()` has no property `{}`; check that the value is not `()` before you read it",
                text::line(word)
            ),
            (None, Some((word, of))) => {
                format!("a value of type {} has no property `{}`", api::plain(of), text::line(word))
            }
            (None, None) => text::line(said),
        },
        EvalAltResult::ErrorMismatchDataType(wanted, found, _) => {
            format!("expected {}, found {}", api::plain(wanted), api::plain(found))
        }
        EvalAltResult::ErrorIndexingType(types, _) => {
            let (of, index) = types.split_once(" [").unwrap_or((types, ""));
            format!(
                "a value of type {} cannot be indexed by one of type {}",
                api::plain(of),
                api::plain(index.trim_end_matches(']'))
            )
        }
        EvalAltResult::ErrorRuntime(said, _) if sizes::check(said).is_ok() => {
            text::line_of(said.to_string(), MAX_MESSAGE)
        }
        EvalAltResult::ErrorRuntime(..) => {
            "the script threw a value that is too large to be shown".to_string()
        }
        EvalAltResult::ErrorFunctionNotFound(signature, _) => return api::missing(api, signature),
        other => {
            let mut other = other.to_string();
            // The position is already printed in front of the message.
            if let Some(at) = other.rfind(" (line ") {
                other.truncate(at);
            }
            text::line(other)
        }
    };
    message.into()
}

/// Extracts the name of a property that cannot be set from Rhai's error message.
fn unsettable(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("No writable property '")?;
    rest.split_once('\'').map(|(word, _)| word)
}

/// Extracts from Rhai's error message the name of a property that does not exist, and the type of
/// the value.
fn unreadable(said: &str) -> Option<(&str, &str)> {
    let (_, rest) = said.split_once("Unknown property '")?;
    let (word, of) = rest.split_once("' - a getter is not registered for type '")?;
    Some((word, of.split('\'').next()?))
}

/// Replaces the names of Rust types, which Rhai uses, by those of the reference.
fn with_known_types(api: &ScriptApi, mut message: String) -> String {
    if message.contains("::") {
        for object in (api.objects)() {
            message = message.replace(object.rust_type, object.name);
        }
    }
    message
}

/// Finds the position of an error. If the error is in an imported script, Rhai's call errors name
/// that script's file.
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

/// Explains an undefined name that the script defines outside of the function.
fn outside_of_functions(name: &str, source: &str) -> Option<String> {
    let has = |keyword: &str| {
        let mut words =
            source.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
        let mut before = "";
        words.any(|word| std::mem::replace(&mut before, word) == keyword && word == name)
    };
    if has("const") {
        return Some(format!("a function must write the script's constant `{name}` as `global::{name}`"));
    }
    has("let").then(|| {
        format!(
            "functions cannot see the variable `{name}`; make it a `const` outside of all functions, and \
             write `global::{name}`"
        )
    })
}

/// Explains a word of another language.
fn of_other_language(word: &str) -> Option<String> {
    let rhai = match word.to_ascii_lowercase().as_str() {
        "null" | "nil" | "none" | "undefined" => "`()` for a value that does not exist",
        "function" | "func" | "def" | "sub" => "`fn` to define a function",
        "true" | "false" => "`true` and `false` in lower case",
        "elif" | "elsif" | "elseif" => "`else if`",
        "and" => "`&&`",
        "or" => "`||`",
        "not" => "`!`",
        "var" => "`let`",
        "match" | "case" => "`switch`",
        _ => return None,
    };
    Some(format!("`{}` has no meaning in Rhai; write {rhai}", text::line(word)))
}

/// Explains an unknown property: read from a script's own map, or assigned where nothing can be
/// assigned.
fn unknown_word(api: &ScriptApi, word: &str) -> Hinted {
    let objects = (api.objects)();
    let known = objects.iter().flat_map(|object| object.words.iter().map(|known| known.name));
    let message = format!("there is no `{}` here", text::line(word));
    Hinted::near(message, word, known)
}
