//! Keeps what scripts print with `print` and `debug`, for the commands that show it. In the hook,
//! both do nothing.

use std::{cell::RefCell, mem, rc::Rc};

use rhai::Engine;

use super::Rule;
use crate::text;

/// Maximum number of lines that are kept.
const MAX_LINES: usize = 100;

/// Maximum length of a line, in characters.
const MAX_LINE: usize = 1000;

/// The lines that scripts have printed since they were last taken.
#[derive(Clone, Default)]
pub(super) struct Printed(Rc<RefCell<PrintedLines>>);

#[derive(Default)]
struct PrintedLines {
    lines: Vec<String>,
    more: usize,
}

impl Printed {
    /// Makes the engine keep what its scripts print.
    pub fn listen(engine: &mut Engine) -> Self {
        let printed = Self::default();
        let (to_print, to_debug) = (printed.clone(), printed.clone());
        engine.on_print(move |said| to_print.add("print", said)).on_debug(move |said, file, at| {
            let place = Rule::at(file.unwrap_or_default(), at.line());
            to_debug.add(&format!("{place}: debug"), said);
        });
        printed
    }

    /// Returns the lines, and forgets them.
    pub fn take(&self) -> Vec<String> {
        let PrintedLines { mut lines, more } = mem::take(&mut *self.0.borrow_mut());
        if more > 0 {
            lines.push(format!("and {} more", text::count(more, "line")));
        }
        lines
    }

    fn add(&self, what: &str, said: &str) {
        let mut printed = self.0.borrow_mut();
        if printed.lines.len() < MAX_LINES {
            printed.lines.push(format!("{what}: {}", text::line_of(said, MAX_LINE)));
        } else {
            printed.more += 1;
        }
    }
}
