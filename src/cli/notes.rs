//! Error reporting of a hook: to the journal or, if that cannot be written, in one line to the
//! pusher.

use std::{
    io::{self, Write as _},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    push::PushId,
    state::{
        State,
        journal::{Record, Trouble},
    },
    text,
};

/// Context for error records, filled in as facts about the push become known.
#[derive(Default)]
pub(super) struct Notes {
    has_said: AtomicBool,
    pub state: OnceLock<State>,
    pub push: OnceLock<PushId>,
    pub repository: OnceLock<String>,
}

impl Notes {
    /// Records an error in the journal, or prints it if that fails.
    pub fn trouble(&self, what: &str) {
        let record = Record::Trouble(Trouble {
            push: self.push.get().copied(),
            repository: self.repository.get().map(|repository| repository.as_str().into()),
            what: what.into(),
        });
        let noted = self.state.get().map(|state| state.journal().append([record]));
        if !matches!(noted, Some(Ok(()))) {
            self.say(what);
        }
    }

    /// Prints a message to the pusher, the first time only: further errors usually have the same
    /// cause.
    pub fn say(&self, what: &str) {
        if !self.has_said.swap(true, Ordering::Relaxed) {
            write_line(&format!("gitea-lightstep: {what}"));
        }
    }
}

/// Writes one line to the pusher, and ignores errors because stderr may be closed.
pub(super) fn write_line(line: &str) {
    let line = text::printable(line, false);
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}
