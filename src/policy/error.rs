//! What is wrong with a script, and where: file, line, column, cause, fix.

use std::fmt;

use rhai::{EvalAltResult, ParseError, Position};

use super::{api, meter::UsedUp};
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

    pub(super) fn from_parse(file: &str, err: &ParseError) -> Self {
        let at = err.position();
        Self {
            file: file.to_string(),
            line: at.line(),
            column: at.position(),
            message: text::line(err.err_type().to_string()),
            is_out_of_time: false,
        }
    }

    pub(super) fn from_eval(file: &str, err: &EvalAltResult) -> Self {
        let inner = err.unwrap_inner();
        let at = match inner.position() {
            Position::NONE => err.position(),
            at => at,
        };
        let used_up = match inner {
            EvalAltResult::ErrorTerminated(token, _) => token.clone().try_cast::<UsedUp>(),
            _ => None,
        };
        let message = match inner {
            EvalAltResult::ErrorTerminated(..) if used_up == Some(UsedUp::Memory) => {
                "the script needs more than [policy.limits] memory; make it smaller or raise the limit"
                    .to_string()
            }
            EvalAltResult::ErrorTerminated(..) => {
                "the script ran longer than [policy.limits] time; make it cheaper or raise the limit".to_string()
            }
            EvalAltResult::ErrorTooManyOperations(_) => {
                "the script took more steps than [policy.limits] operations allows; is there a loop without an end?"
                    .to_string()
            }
            EvalAltResult::ErrorPropertyNotFound(word, _) => unknown_word(word),
            EvalAltResult::ErrorDotExpr(said, _) => match unsettable(said) {
                Some(word) => format!("`{}` cannot be set here", text::line(word)),
                None => text::line(said),
            },
            EvalAltResult::ErrorRuntime(said, _) => text::line_of(said.to_string(), MAX_MESSAGE),
            EvalAltResult::ErrorFunctionNotFound(signature, _) => {
                format!("there is no function `{}`", text::line(signature))
            }
            other => {
                let mut other = other.to_string();
                // The position is said once, in front.
                if let Some(at) = other.rfind(" (line ") {
                    other.truncate(at);
                }
                text::line(other)
            }
        };
        Self {
            file: file.to_string(),
            line: at.line(),
            column: at.position(),
            message,
            is_out_of_time: used_up == Some(UsedUp::Time),
        }
    }

    /// Returns whether the script was stopped because its time was up, so that it may do with more.
    pub fn is_out_of_time(&self) -> bool {
        self.is_out_of_time
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

/// Returns the word that a script wants to set where there is nothing to set, by what Rhai says of it.
fn unsettable(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("No writable property '")?;
    rest.split_once('\'').map(|(word, _)| word)
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
