//! Messages with a hint at what was probably meant.

use thiserror::Error;

use super::SHOWN;

/// A message, and a hint such as "did you mean `branch`?".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}{}", hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct Hinted {
    /// Description of the problem.
    pub message: String,
    /// Suggested fix.
    pub hint: Option<String>,
}

impl Hinted {
    /// Returns a message about an unknown `name`. Hints at the most similar known name, or else
    /// lists all known names.
    pub fn unknown<'a>(
        message: impl Into<String>,
        name: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        let mut hinted = Self::near(message, name, known.clone());
        if hinted.hint.is_none() {
            let known: Vec<_> = known.collect();
            hinted.message.push_str(&format!(", expected one of `{}`", known.join("`, `")));
        }
        hinted
    }

    /// Returns a message about `name`. Hints at the most similar of the known names, if one is
    /// similar enough and not `name` itself.
    pub fn near<'a>(
        message: impl Into<String>,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let near = nearest(name, known).filter(|near| *near != name);
        Self { hint: near.map(did_you_mean), ..Self::from(message.into()) }
    }
}

impl From<String> for Hinted {
    fn from(message: String) -> Self {
        Self { message, hint: None }
    }
}

impl From<&str> for Hinted {
    fn from(message: &str) -> Self {
        message.to_string().into()
    }
}

/// Returns the hint at a name.
pub fn did_you_mean(name: &str) -> String {
    format!("did you mean `{}`?", super::line(name))
}

/// Returns the word of `known` that is most similar to `word`, if one is similar enough. Returns
/// `None` for a `word` longer than [`SHOWN`] bytes.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > SHOWN {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
