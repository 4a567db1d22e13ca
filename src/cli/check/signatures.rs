//! Checks the key files of `[signatures]`.

use super::{Findings, Problem};
use crate::{
    config::Config,
    signature::{KeyFileProblem, KeyRing, files_of},
    sys::time,
    text::{self, Hinted},
};

impl Findings {
    /// Reads all key files, as the hook does when a script asks for a signature.
    pub(super) fn signatures(&mut self, config: &Config) {
        for pattern in &config.signature_keys {
            let Ok(files) = files_of(pattern) else { continue };
            if files.is_empty() {
                self.warnings.push(format!("[signatures]: no key file matches `{}`", text::path(pattern)));
            }
            self.checked.extend(files.iter().map(|file| file.display().to_string()));
        }
        let problems = match KeyRing::load(&config.signature_keys) {
            Ok(ring) => ring.problems(time::now()),
            Err(problems) => problems,
        };
        self.problems.extend(problems.iter().map(Problem::of_key_file));
    }
}

impl Problem {
    /// Converts a problem of a key file.
    fn of_key_file(problem: &KeyFileProblem) -> Self {
        let Hinted { message, hint } = problem.message().clone();
        let file = Some(problem.path().display().to_string());
        Self { line: problem.line(), fix: hint, ..Self::with(file, message) }
    }
}
