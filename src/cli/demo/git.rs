//! Shows git's commands and its output.

use std::time::Instant;

/// Maximum width of git's output, in columns.
const WIDTH: usize = 96;

/// A finished push.
pub(super) struct FinishedPush {
    pub began: Instant,
    pub ended: Instant,
    /// Lines that git printed for the pusher.
    pub said: Vec<String>,
}

impl FinishedPush {
    /// Returns the lines that the server's hooks printed, wrapped to fit a terminal.
    pub fn remote_lines(&self) -> Vec<String> {
        self.said.iter().filter(|line| line.starts_with("remote: ")).flat_map(|line| folded(line)).collect()
    }
}

/// Returns a command as a user would type it. No argument in the demo contains a quote.
pub(super) fn typed(args: &[&str]) -> String {
    let quoted =
        args.iter().map(|arg| if arg.contains(' ') { format!(" '{arg}'") } else { format!(" {arg}") });
    format!("git{}", quoted.collect::<String>())
}

/// Wraps a line at spaces, and indents the following lines to align with the text after `remote:`.
fn folded(line: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() <= WIDTH => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) => lines.push(format!("        {word}")),
            None => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests;
