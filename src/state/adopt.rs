//! Moves captured pushes from the default state directory to the configured one.
//!
//! A hook captures in the default directory if it cannot read its configuration and
//! `gitea-lightstep install` has not told it another directory. `deliver` moves these captures
//! before it drains the configured directory. Each one is copied under the ID of its push, the copy
//! is synchronised, and then the original is removed. After a crash both may exist; their markers
//! have the same IDs.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::{
    State,
    capture_file::MAX_CAPTURE,
    files::{self, StateError},
    inbox::{Capture, Claim},
    journal::{Record, Trouble},
    queue::QueuePlace,
};
use crate::{
    config::{self, Config},
    proposal,
    sys::fault::{self, Step},
    sys::regular_file,
    text,
};

/// The files in the default state directory while the configuration names another one.
#[derive(Debug)]
pub struct Strays {
    /// The default state directory.
    pub state: State,
    /// Number of captured pushes, which `deliver` moves.
    pub captures: usize,
    /// Number of other files, which stay. They are from a time when the default directory was the
    /// configured one.
    pub others: usize,
}

impl Strays {
    /// Counts the files. Returns `None` if there are none, or if another configuration uses the
    /// directory.
    pub fn find(config: &Config) -> Option<Self> {
        let state = default_beside(config)?;
        let (mut captures, mut others) = (0, 0);
        let counted = state.each_entry(&QueuePlace::ALL, |entry| {
            match entry.place {
                QueuePlace::Inbox => captures += 1,
                _ => others += 1,
            }
            Ok::<_, StateError>(())
        });
        // If the directory cannot be read, it belongs to another user, who has to take care of it.
        counted.ok().filter(|()| captures + others > 0).map(|()| Self { state, captures, others })
    }
}

/// Returns the default state directory if the configuration names another one and no other
/// configuration uses the default.
fn default_beside(config: &Config) -> Option<State> {
    let default = Path::new(config::DEFAULT_STATE_DIR);
    let there = fs::metadata(default).ok()?;
    let is_configured = config.state_dir == default
        || fs::metadata(&config.state_dir)
            .is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()));
    let is_of_another = config::is_default_state_of_another(config.path.as_deref());
    (!is_configured && !is_of_another).then(|| State::at(default))
}

impl State {
    /// Moves the captures in the default state directory here, and returns their number.
    ///
    /// # Errors
    /// If one of them cannot be read, copied or removed. The others are moved nevertheless.
    pub fn adopt(&self, config: &Config) -> Result<usize, StateError> {
        let Some(from) = default_beside(config).filter(|from| from.foreign_owner().is_none()) else {
            return Ok(0);
        };
        let mut failure = None;
        let mut adopted = 0;
        for name in from.inbox().list()? {
            let moved = from.inbox().claim(&name).and_then(|claim| match claim {
                Claim::Ours(capture) => self.move_here(&capture).map(|()| true),
                // Its hook is still running.
                Claim::Taken => Ok(false),
            });
            match moved {
                Ok(is_moved) => adopted += usize::from(is_moved),
                Err(err) => failure = failure.or(Some(err)),
            }
        }
        if adopted > 0 {
            let what = format!(
                "moved {adopted} {} here from `{}`, where hooks that cannot read the configuration put them; \
                 run `{}` to give the hooks the state directory",
                if adopted == 1 { "captured push" } else { "captured pushes" },
                text::path(from.dir()),
                proposal::command("install")
            );
            let _ = self.journal().append([Record::Trouble(Trouble {
                push: None,
                repository: None,
                what: what.into(),
            })]);
        }
        failure.map_or(Ok(adopted), Err)
    }

    /// Moves one capture here. Its tries are counted from zero again.
    fn move_here(&self, capture: &Capture) -> Result<(), StateError> {
        let id = capture.push_id().to_string();
        let inbox = self.dir().join("inbox");
        let is_here = self.inbox().list()?.iter().any(|name| name.split('.').next() == Some(&id));
        if !is_here {
            let path = capture.path();
            let file = files::open(&path)?;
            let content = fault::point(Step::Read, &path)
                .and_then(|()| regular_file::read_rest(file, MAX_CAPTURE))
                .map_err(|err| StateError::new("read", &path, err))?;
            files::write_durable(&inbox, &format!("{id}.{}.0", capture.next()), &[&content], None)?;
        }
        capture.done()
    }
}
