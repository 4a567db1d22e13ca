//! One thing that is wrong, with its place: for people with the line and a caret, for editors as JSON.

use std::{collections::BTreeMap, fs, io::Read as _, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use crate::{
    config::{self, Shipped},
    policy::{Finding, PolicyError, ScriptError},
    text,
};

/// How much of a file is read to show a line of it, in bytes. Nothing larger was compiled.
const MAX_SHOWN: u64 = 1 << 20;

/// How wide a line may be that is shown, in bytes: beyond it, the place alone has to do.
const MAX_LINE: usize = 400;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    /// The file.
    pub file: Option<String>,
    /// The line, from 1 on.
    pub line: Option<usize>,
    /// The column in characters, from 1 on.
    pub column: Option<usize>,
    /// The column behind the last character.
    pub end_column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Problem {
    /// Returns a problem that has no place in a file.
    pub fn with(file: Option<String>, message: impl Into<String>) -> Self {
        Self { file, line: None, column: None, end_column: None, message: message.into(), fix: None }
    }

    /// Returns a problem with a line as a whole.
    pub fn at_line(file: String, line: usize, message: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::with(Some(file), message) }
    }

    /// Returns the problem on a line: `FILE:LINE:COLUMN: what is wrong`.
    pub fn brief(&self) -> String {
        let place = [self.file.clone(), self.line.map(|n| n.to_string()), self.column.map(|n| n.to_string())];
        let parts = place.into_iter().flatten().chain([format!(" {}", self.message)]);
        text::line_of(parts.collect::<Vec<_>>().join(":").trim_start(), MAX_LINE)
    }

    /// Returns the problem with what to do.
    pub fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Returns what is wrong with a configuration.
    pub fn of_config(problem: &config::Problem) -> Self {
        let (line, column) = problem.place().unzip();
        let file = Some(problem.path().display().to_string());
        let (message, fix) = text::split_meant(problem.message());
        Self { line, column, fix, ..Self::with(file, message) }
    }

    /// Returns why there is no policy.
    pub fn of_policy(err: &PolicyError) -> Self {
        match err {
            PolicyError::Script(err) => Self::of_script(err),
            PolicyError::Unreadable { path, why } => {
                Self::with(Some(path.clone()), format!("failed to read the script: {why}"))
            }
        }
    }

    /// Returns what is wrong with a script.
    pub fn of_script(err: &ScriptError) -> Self {
        Self::of_finding(err.file(), err.finding())
    }

    /// Returns what was found in a script.
    pub fn of_finding(file: &str, finding: Finding) -> Self {
        let Finding { line, column, width, message, fix } = finding;
        let end_column = column.filter(|_| width > 0).map(|column| column + width);
        Self { file: Some(file.to_string()), line, column, end_column, message, fix }
    }
}

/// Files by name, each read once.
#[derive(Default)]
pub(super) struct Sources(BTreeMap<String, Option<String>>);

impl Sources {
    /// Returns the text of a file, as far as it can be shown.
    fn text(&mut self, file: &str) -> Option<&str> {
        let read = || {
            if let Some(shipped) = Shipped::all().find(|shipped| shipped.place() == file) {
                return Some(shipped.text.to_string());
            }
            let mut text = String::new();
            fs::File::open(file).ok()?.take(MAX_SHOWN).read_to_string(&mut text).ok()?;
            Some(text)
        };
        self.0.entry(file.to_string()).or_insert_with(read).as_deref()
    }

    /// Fills in where a problem ends: with the word that begins at its place.
    pub fn complete(&mut self, problem: &mut Problem) {
        let Some(range) = self.range(problem) else { return };
        let file = problem.file.as_deref().unwrap_or_default();
        if let (Some(column), Some(text)) = (problem.column, self.text(file)) {
            problem.end_column = Some(column + text[range].chars().count());
        }
    }

    /// Returns the bytes of the file that a problem is about.
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

    /// Returns a problem as it is shown to people.
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
            let group = title.element(origin).elements(fix.as_ref().map(help));
            return renderer.render(&[group]);
        };
        let annotation = AnnotationKind::Primary.span(range).label(fix.as_deref());
        let snippet = Snippet::source(source).path(file).annotation(annotation);
        renderer.render(&[title.element(snippet)])
    }
}

/// Returns whether the line that holds the byte at `start` is short enough to be shown.
fn is_short(text: &str, start: usize) -> bool {
    let before = text[..start].rsplit('\n').next().unwrap_or_default().len();
    before + text[start..].lines().next().unwrap_or_default().len() <= MAX_LINE
}

/// Returns how many bytes the word has with which `rest` begins: a name, a text in quotation marks, or one character.
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
mod tests {
    use super::*;

    #[test]
    fn a_problem_without_an_end_is_about_a_word() {
        for (rest, width) in
            [("brnch == 1", 5), ("\"a b\" x", 5), ("é", 2), ("(x)", 1), ("", 0), ("\"open", 5)]
        {
            assert_eq!(word(rest), width, "{rest}");
        }
    }
}
