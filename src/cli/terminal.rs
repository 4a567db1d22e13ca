//! What commands print: answers to stdout, messages to stderr, colour only for a terminal.

use std::{
    fmt::Display,
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
};

/// How much of the answer to a question is read, in bytes.
const MAX_ANSWER: u64 = 100;

/// The two streams, and how much is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal {
    is_quiet: bool,
    is_verbose: bool,
    has_colour: bool,
}

impl Terminal {
    pub fn new(is_quiet: bool, is_verbose: bool) -> Self {
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_quiet, is_verbose, has_colour: !wants_none && io::stdout().is_terminal() }
    }

    /// Prints a line of the answer.
    pub fn answer(&self, line: impl Display) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{line}")
    }

    /// Prints a line of the answer unless it was asked to be quiet.
    pub fn say(&self, line: impl Display) -> io::Result<()> {
        if self.is_quiet { Ok(()) } else { self.answer(line) }
    }

    /// Prints a message for whoever wants to know more.
    pub fn detail(&self, line: impl Display) {
        if self.is_verbose {
            self.message(line);
        }
    }

    /// Prints a message to stderr; that nobody can read it is no error.
    pub fn message(&self, line: impl Display) {
        let _ = writeln!(io::stderr().lock(), "gitea-lightstep: {line}");
    }

    /// Prints a line to stderr as it is, for what belongs to a question.
    pub fn note(&self, line: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// Returns whether more is to be said.
    pub fn is_verbose(&self) -> bool {
        self.is_verbose
    }

    /// Returns whether somebody sees what comes and goes on stderr, and wants to.
    pub fn is_watched(&self) -> bool {
        !self.is_quiet && io::stderr().is_terminal()
    }

    /// Prints an error with its causes on one line.
    pub fn error(&self, err: &anyhow::Error) {
        self.message(format_args!("{err:#}"));
    }

    /// Asks a question on stderr, and returns whether the answer is yes; `None` if nobody is there to be asked.
    pub fn asks(&self, question: impl Display) -> Option<bool> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let _ = write!(io::stderr().lock(), "{question} [y/N] ");
        let mut answer = String::new();
        let read = io::stdin().lock().take(MAX_ANSWER).read_line(&mut answer);
        Some(read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Returns whether answers may have colours.
    pub fn has_colour(&self) -> bool {
        self.has_colour
    }

    /// Returns `text` in bold where the terminal can.
    pub fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    /// Returns `text` in green where the terminal can.
    pub fn green(&self, text: &str) -> String {
        self.styled("32", text)
    }

    /// Returns `text` in red where the terminal can.
    pub fn red(&self, text: &str) -> String {
        self.styled("31", text)
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.has_colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Returns whether the reader of our answer went away, as `head` does: that is its right.
pub(super) fn is_broken_pipe(err: &anyhow::Error) -> bool {
    err.chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
