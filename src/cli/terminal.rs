//! Output of the commands: answers go to stdout, messages to stderr, and only a terminal gets
//! colour.

use std::{
    fmt::Display,
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    os::fd::AsFd,
};

use clap::ColorChoice;
use rustix::termios::tcgetwinsize;

use crate::text;

/// Number of columns of a terminal that does not tell.
const DEFAULT_WIDTH: usize = 80;

/// Number of columns below which nothing is broken.
const MIN_WIDTH: usize = 40;

/// Maximum number of bytes read as the answer to a question.
const MAX_ANSWER: u64 = 100;

/// The output streams with the chosen verbosity and colour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal {
    is_quiet: bool,
    is_verbose: bool,
    has_colour: bool,
    /// Number of columns of the terminal to which answers go.
    width: Option<usize>,
}

impl Terminal {
    pub fn new(is_quiet: bool, is_verbose: bool, colour: ColorChoice) -> Self {
        let stdout = io::stdout();
        Self { is_quiet, is_verbose, has_colour: wants_colour(&stdout, colour), width: width_of(&stdout) }
    }

    /// Prints a line of the answer.
    pub fn answer(&self, line: impl Display) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{}", text::printable(&line.to_string(), self.has_colour))
    }

    /// Prints JSON, with characters that could control a terminal written as escapes.
    pub fn json(&self, json: impl Display) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{}", text::json(&json.to_string()))
    }

    /// Prints a document for a file or another program. It is escaped only for a terminal.
    pub fn document(&self, document: &str) -> io::Result<()> {
        if io::stdout().is_terminal() {
            return self.answer(document);
        }
        writeln!(io::stdout().lock(), "{document}")
    }

    /// Prints a line of the answer, broken to fit a terminal.
    pub fn row(&self, line: impl Display) -> io::Result<()> {
        self.answer(fitted(&line.to_string(), self.width))
    }

    /// Prints a line of the answer, broken to fit a terminal, unless `--quiet` was given.
    pub fn say(&self, line: impl Display) -> io::Result<()> {
        if self.is_quiet { Ok(()) } else { self.row(line) }
    }

    /// Returns the number of columns of the terminal, or `None` if answers do not go to one.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// Clears the screen, or separates what follows by an empty line where there is no screen.
    pub fn clear(&self) -> io::Result<()> {
        let can_clear = self.width.is_some() && !is_dumb();
        io::stdout().lock().write_all(if can_clear { b"\x1b[H\x1b[2J" } else { b"\n" })
    }

    /// Prints a message if `--verbose` was given.
    pub fn detail(&self, line: impl Display) {
        if self.is_verbose {
            self.message(line);
        }
    }

    /// Prints a message to stderr, and ignores errors because stderr may be closed.
    pub fn message(&self, line: impl Display) {
        self.note(format_args!("gitea-lightstep: {line}"));
    }

    /// Prints a line to stderr without the program's name, as context of a question.
    pub fn note(&self, line: impl Display) {
        let line = fitted(&line.to_string(), width_of(&io::stderr()));
        let _ = writeln!(io::stderr().lock(), "{}", text::printable(&line, self.has_colour));
    }

    /// Returns true if `--verbose` was given.
    pub fn is_verbose(&self) -> bool {
        self.is_verbose
    }

    /// Returns true if stderr is a terminal and `--quiet` was not given.
    pub fn is_watched(&self) -> bool {
        !self.is_quiet && io::stderr().is_terminal() && !is_dumb()
    }

    /// Prints an error with its causes on one line.
    pub fn error(&self, err: &anyhow::Error) {
        self.message(format_args!("{err:#}"));
    }

    /// Asks a question on stderr and returns true if the answer is yes, or `None` if the user
    /// cannot answer because stdin or stderr is not a terminal.
    pub fn asks(&self, question: impl Display) -> Option<bool> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let question = question.to_string();
        let _ = write!(io::stderr().lock(), "{} [y/N] ", text::printable(&question, self.has_colour));
        let mut answer = String::new();
        let read = io::stdin().lock().take(MAX_ANSWER).read_line(&mut answer);
        Some(read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Returns true if answers may have colours.
    pub fn has_colour(&self) -> bool {
        self.has_colour
    }

    /// Returns `text` in bold, if answers may have colours.
    pub fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    /// Returns `text` in green, if answers may have colours.
    pub fn green(&self, text: &str) -> String {
        self.styled("32", text)
    }

    /// Returns `text` in red, if answers may have colours.
    pub fn red(&self, text: &str) -> String {
        self.styled("31", text)
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.has_colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Returns true if text for this stream may have colours.
pub(super) fn wants_colour(stream: &impl io::IsTerminal, choice: ColorChoice) -> bool {
    let wants_none = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => !wants_none() && !is_dumb() && stream.is_terminal(),
    }
}

/// Returns true if the terminal has neither colours nor a cursor that can be moved.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Returns the number of columns of a terminal.
fn width_of(stream: &(impl io::IsTerminal + AsFd)) -> Option<usize> {
    stream.is_terminal().then(|| {
        let of_terminal = tcgetwinsize(stream).map(|size| usize::from(size.ws_col)).ok();
        let of_environment = || std::env::var("COLUMNS").ok()?.parse().ok();
        of_terminal.filter(|width| *width > 0).or_else(of_environment).unwrap_or(DEFAULT_WIDTH).max(MIN_WIDTH)
    })
}

/// Breaks lines that are longer than a terminal is wide.
fn fitted(lines: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return lines.to_string() };
    lines.split('\n').map(|line| text::wrap(line, width)).collect::<Vec<_>>().join("\n")
}

/// Returns true if the reader of our output has closed the pipe, as `head` does. That is not an
/// error of the command.
pub(super) fn is_broken_pipe(err: &anyhow::Error) -> bool {
    err.chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
