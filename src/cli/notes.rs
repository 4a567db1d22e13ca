//! What a hook tells of what went wrong: in the journal; if that cannot be written, one line to the pusher.

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
};

/// What is known of the push so far.
#[derive(Default)]
pub(super) struct Notes {
    has_said: AtomicBool,
    pub state: OnceLock<State>,
    pub push: OnceLock<PushId>,
    pub repository: OnceLock<String>,
}

impl Notes {
    /// Notes what went wrong.
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

    /// Tells the pusher, once: one cause has many effects, of which the pusher needs the first only.
    pub fn say(&self, what: &str) {
        if !self.has_said.swap(true, Ordering::Relaxed) {
            write_line(&format!("gitea-lightstep: {what}"));
        }
    }
}

/// Writes one line to the pusher; that nobody reads it is no error.
pub(super) fn write_line(line: &str) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}
