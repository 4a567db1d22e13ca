//! Shows a long answer in a pager, if a person reads it on a terminal.

use std::{
    fs::File,
    io::{self, IsTerminal as _},
    process::{Child, Command, Stdio},
};

use rustix::stdio::dup2_stdout;

use crate::cli::terminal::is_dumb;

/// Characters for which a command needs a shell, as in git (`prepare_shell_cmd` in run-command.c).
const FOR_THE_SHELL: &[char] =
    &['|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', '#', '~', '=', '%'];

/// A pager that reads what this program prints, until it is dropped. Nothing is printed after it.
pub(super) struct Pager(Child);

impl Pager {
    /// Starts `$PAGER`, or else less. Returns `None` without a terminal that can show it, with
    /// `PAGER=cat` or an empty one, and if it cannot be started.
    pub fn start() -> Option<Self> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() || is_dumb() {
            return None;
        }
        let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".to_string());
        let mut words = pager.split_whitespace();
        let program = words.next().filter(|program| *program != "cat")?;
        let mut command = if pager.contains(FOR_THE_SHELL) {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(&pager);
            shell
        } else {
            // A shell would not tell that the program is missing.
            let mut command = Command::new(program);
            command.args(words);
            command
        };
        // As in git: colours, no pager for a short answer, and the answer stays on the screen.
        command.env("LESS", std::env::var("LESS").unwrap_or_else(|_| "FRX".to_string()));
        let mut child = command.stdin(Stdio::piped()).spawn().ok()?;
        let taken = child.stdin.take().is_some_and(|pipe| dup2_stdout(&pipe).is_ok());
        taken.then_some(Self(child))
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        // The pager sees the end of its input when no descriptor holds the pipe any more. A line that
        // it did not take is not for the terminal.
        if let Ok(nowhere) = File::options().write(true).open("/dev/null") {
            let _ = dup2_stdout(&nowhere);
        }
        let _ = self.0.wait();
    }
}
