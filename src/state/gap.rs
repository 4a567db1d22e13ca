//! Notes for `status` and `doctor` that lines are missing in the journal.
//!
//! Nothing waits for the journal, so an unwritable journal shows nowhere else. The first process
//! that fails to append writes `journal-gap.json` beside the journal's directory, with the time and
//! the reason. The next delivery that can append again notes the gap in the journal and removes the
//! file.

use std::{fs, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    State,
    files::{self, StateError},
    journal::{self, Record, Trouble},
    journal_end, seal,
};
use crate::{
    proposal,
    sys::{
        time::{self, Timestamp},
        users,
    },
    text,
};

/// Name of the note in the state directory.
pub(super) const FILE: &str = "journal-gap.json";

/// Maximum number of bytes read from the note.
const MAX_FILE: u64 = 64 << 10;

/// A time in which lines could not be written to the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Time of the first line that is missing, or `None` if no process has tried to append yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The error of that attempt, or the obstacle that the next one would meet.
    pub why: String,
}

/// Notes that the journal in `dir` cannot be written, unless a note exists.
pub(super) fn begin(dir: &Path, since: Timestamp, err: &StateError) {
    let Some(state) = dir.parent().filter(|state| state.join(FILE).symlink_metadata().is_err()) else {
        return;
    };
    let gap = Gap { since: Some(since), why: err.to_string() };
    if let Ok(json) = seal::line(&gap) {
        // The journal's error may prevent this file, too.
        let _ = files::write_new(state, FILE, &[&json], false);
    }
}

impl State {
    /// Returns the noted gap, or the obstacle that the next append would meet.
    pub fn journal_gap(&self) -> Option<Gap> {
        let path = self.dir.join(FILE);
        if path.symlink_metadata().is_err() {
            return self.journal_obstacle().map(|why| Gap { since: None, why });
        }
        let gap = files::open(&path).ok().and_then(|file| seal::read(file.take(MAX_FILE)).ok());
        Some(gap.unwrap_or_else(|| Gap { since: None, why: "the reason cannot be read".into() }))
    }

    /// Ends a gap by appending a line about it, if the journal can be written again.
    pub fn end_journal_gap(&self) {
        if self.dir.join(FILE).symlink_metadata().is_err() {
            return;
        }
        let Some(Gap { since, why }) = self.journal_gap() else { return };
        let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
        let what = format!("the journal could not be written{since}, so events are missing from it: {why}");
        let trouble = Trouble { push: None, repository: None, what: what.into() };
        if self.journal().append([Record::Trouble(trouble)]).is_ok() {
            let _ = files::remove(&self.dir.join(FILE));
        }
    }

    /// Returns a wrong file type or owner that would keep the owner of the state directory from
    /// appending. Writes nothing to find out.
    fn journal_obstacle(&self) -> Option<String> {
        let owner = fs::metadata(&self.dir).ok()?.uid();
        let dir = self.dir.join("journal");
        let file = dir.join(journal::file_name(time::now()));
        let record = journal_end::record_path(&dir);
        [(dir, true), (file, false), (record, false)].into_iter().find_map(|(path, is_dir)| {
            let found = path.symlink_metadata().ok()?;
            let kind = if is_dir { "directory" } else { "file" };
            let name = text::path(&path);
            if found.is_dir() != is_dir || (!is_dir && !found.is_file()) {
                Some(format!("`{name}` is not a {kind}; move it away"))
            } else if found.uid() != owner && owner != 0 {
                let chown = format!("chown {} {}", users::user_word(owner), text::shell(&path));
                let user = users::user(found.uid());
                Some(format!("`{name}` belongs to {user}; run `{}`", proposal::as_root(&chown)))
            } else {
                None
            }
        })
    }
}
