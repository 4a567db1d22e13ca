//! A problem with its position: shown to people with the source line and a caret, and to editors as
//! JSON.

use std::{collections::BTreeMap, io::Read as _, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use crate::{
    config::{self, Shipped},
    policy::{LintFinding, PolicyError, ScriptError},
    sys::regular_file,
    text::{self, Hinted},
};

/// Maximum number of bytes read from a file to show one of its lines. Scripts are limited to less.
const MAX_SHOWN: u64 = 1 << 20;

/// Maximum length of a line that is shown, in bytes. For a longer line, only the position is shown.
const MAX_LINE: usize = 2000;

/// A problem in a file or with the configuration as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    /// Name of the file.
    pub file: Option<String>,
    /// Line, counted from 1.
    pub line: Option<usize>,
    /// Column in characters, counted from 1.
    pub column: Option<usize>,
    /// Column after the last character.
    pub end_column: Option<usize>,
    /// Description of the problem.
    pub message: String,
    /// Advice on how to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Problem {
    /// Returns a problem without a position.
    pub fn with(file: Option<String>, message: impl Into<String>) -> Self {
        Self { file, line: None, column: None, end_column: None, message: message.into(), fix: None }
    }

    /// Returns a problem with a whole line.
    pub fn at_line(file: String, line: usize, message: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::with(Some(file), message) }
    }

    /// Formats the problem on one line: `FILE:LINE:COLUMN: MESSAGE`.
    pub fn brief(&self) -> String {
        let place = [self.file.clone(), self.line.map(|n| n.to_string()), self.column.map(|n| n.to_string())];
        let parts = place.into_iter().flatten().chain([format!(" {}", self.message)]);
        text::line_of(parts.collect::<Vec<_>>().join(":").trim_start(), MAX_LINE)
    }

    /// Adds advice on how to fix the problem.
    pub fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Converts a problem of the configuration.
    pub fn of_config(problem: &config::ConfigProblem) -> Self {
        let (line, column) = problem.place().unzip();
        let file = Some(problem.path().display().to_string());
        let Hinted { message, hint } = problem.message().clone();
        Self { line, column, fix: hint, ..Self::with(file, message) }
    }

    /// Converts an error from loading a policy.
    pub fn of_policy(err: &PolicyError) -> Self {
        match err {
            PolicyError::Script(err) => Self::of_script(err),
            PolicyError::Unfit { path, why } => {
                Self::with(Some(path.clone()), format!("failed to read the script: {why}"))
            }
            PolicyError::Unreadable { path, source } => {
                Self::with(Some(path.clone()), format!("failed to read the script: {source}"))
            }
        }
    }

    /// Converts an error in a script.
    pub fn of_script(err: &ScriptError) -> Self {
        Self::of_finding(err.file(), err.finding())
    }

    /// Converts a finding in a script.
    pub fn of_finding(file: &str, finding: LintFinding) -> Self {
        let LintFinding { line, column, width, message, fix } = finding;
        let end_column = column.filter(|_| width > 0).map(|column| column + width);
        Self { file: Some(file.to_string()), line, column, end_column, message, fix }
    }
}

/// The contents of files, each read once.
#[derive(Default)]
pub(super) struct Sources(BTreeMap<String, Option<String>>);

impl Sources {
    /// Returns the text of a file, up to `MAX_SHOWN` bytes.
    fn text(&mut self, file: &str) -> Option<&str> {
        let read = || {
            if let Some(shipped) = Shipped::all().find(|shipped| shipped.place() == file) {
                return Some(shipped.text.to_string());
            }
            let mut text = String::new();
            regular_file::open(file.as_ref()).ok()?.take(MAX_SHOWN).read_to_string(&mut text).ok()?;
            Some(text)
        };
        self.0.entry(file.to_string()).or_insert_with(read).as_deref()
    }

    /// Sets the end of a problem, by default to the end of the word at its start.
    pub fn complete(&mut self, problem: &mut Problem) {
        let Some(range) = self.range(problem) else { return };
        let file = problem.file.as_deref().unwrap_or_default();
        if let Some(text) = self.text(file) {
            // A problem without a column is about the whole line.
            let column = *problem.column.get_or_insert(1);
            problem.end_column = Some(column + text[range].chars().count());
        }
    }

    /// Returns the byte range of a problem in its file.
    fn range(&mut self, problem: &Problem) -> Option<Range<usize>> {
        let (line, column) = (problem.line?, problem.column.unwrap_or(1));
        let end_column = problem.end_column;
        let text = self.text(problem.file.as_deref()?)?;
        let start = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum::<usize>();
        let shown = text.get(start..)?.lines().next()?;
        let mut chars = shown.char_indices().map(|(at, _)| at).chain([shown.len()]);
        let from = chars.nth(column.checked_sub(1)?)?;
        let rest = &shown[from..];
        let width = match end_column {
            Some(end) => rest.char_indices().nth(end.saturating_sub(column)).map_or(rest.len(), |(at, _)| at),
            None if problem.column.is_none() => rest.trim_end().len(),
            None => word(rest),
        };
        Some(start + from..start + from + width)
    }

    /// Formats a problem for people.
    pub fn render(&mut self, problem: &Problem, has_colour: bool) -> String {
        let renderer = if has_colour { Renderer::styled() } else { Renderer::plain() };
        let range = self.range(problem);
        let file = problem.file.as_deref().unwrap_or_default();
        let message = text::line_of(&problem.message, MAX_LINE);
        let fix = problem.fix.as_deref().map(|fix| text::line_of(fix, MAX_LINE));
        let title = Level::ERROR.primary_title(&message);
        let help = |fix: &'_ String| Level::HELP.message(fix.clone());
        let shown = range.zip(self.text(file)).filter(|(range, text)| is_short(text, range.start));
        let Some((range, source)) = shown else {
            let origin = annotate_snippets::Origin::path(file.to_string());
            let origin = match (problem.line, problem.column) {
                (Some(line), Some(column)) => origin.line(line).char_column(column),
                (Some(line), None) => origin.line(line),
                _ => origin,
            };
            let origin = problem.file.as_ref().map(|_| origin);
            let group = annotate_snippets::Group::with_title(title).elements(origin);
            return renderer.render(&[group.elements(fix.as_ref().map(help))]);
        };
        let annotation = AnnotationKind::Primary.span(range).label(fix.as_deref());
        let snippet = Snippet::source(source).path(file).annotation(annotation);
        renderer.render(&[title.element(snippet)])
    }
}

/// Returns true if the line that contains the byte at `start` is short enough to show.
fn is_short(text: &str, start: usize) -> bool {
    let before = text[..start].rsplit('\n').next().unwrap_or_default().len();
    before + text[start..].lines().next().unwrap_or_default().len() <= MAX_LINE
}

/// Returns the length of the word at the start of `rest`, in bytes. A word is a name, a quoted text
/// or a single character.
fn word(rest: &str) -> usize {
    let Some(first) = rest.chars().next() else { return 0 };
    if matches!(first, '"' | '\'' | '`') {
        return rest[1..].find(first).map_or(rest.len(), |end| end + 2);
    }
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let width = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    width.max(first.len_utf8())
}

#[cfg(test)]
mod tests;
