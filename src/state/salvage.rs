//! Splits a damaged file of markers: the intact markers are sent, and the broken lines are kept
//! with the reason.

use super::{
    Outbox, State, StateError,
    finished::any,
    outbox::{EncodedBatch, OutboxFileName},
    parcel_file::OutboxFileContents,
};
use crate::marker::Marker;

/// The outcome of splitting a damaged file.
#[derive(Debug, PartialEq, Eq)]
pub enum Salvaged {
    /// The file was left as it was, because no marker in it is intact or a newer version wrote it.
    Nothing,
    /// The intact markers are in a new file. Holds the number of lost markers; what is left of
    /// their lines is a dead letter.
    Rest(usize),
}

impl State {
    /// Splits a damaged file of an outbox whose lock is held into a file of its intact markers and
    /// a dead letter.
    ///
    /// The new file is synchronised first, then the dead letter, and then the old file is removed.
    /// A crash in between leaves markers in two files, with the same IDs.
    ///
    /// # Errors
    /// If the outbox or the dead letters cannot be read or written.
    pub fn salvage(&self, outbox: &Outbox, name: &OutboxFileName) -> Result<Salvaged, StateError> {
        let contents = match OutboxFileContents::read(&outbox.new_dir().join(&**name)) {
            Err(err) if err.may_pass() => return Err(err),
            // Something other than a regular file has this name.
            Err(_) => return Ok(Salvaged::Nothing),
            Ok(contents) => contents,
        };
        let Some(why) = &contents.why else { return Ok(Salvaged::Nothing) };
        let is_cut = contents.is_cut();
        let is_made_again = is_cut && self.is_made_again(outbox, name);
        if contents.is_newer || (contents.markers.is_empty() && !is_made_again) {
            return Ok(Salvaged::Nothing);
        }
        if !contents.markers.is_empty() {
            let only = contents.only.or_else(|| name.fields()?.only());
            let markers: Vec<&Marker> = contents.markers.iter().collect();
            let parcel = EncodedBatch::of_some(name, only, &markers)
                .map_err(|err| StateError::in_dir(&self.dir, err))?;
            outbox.place(&parcel)?.sync()?;
        }
        let lost = contents.lost();
        if lost > 0 && !is_made_again {
            self.dead_letters().bury_lines(outbox, name, &contents.broken, why)?;
        }
        outbox.remove(name)?;
        Ok(Salvaged::Rest(if is_made_again { 0 } else { lost }))
    }

    /// Returns true if the markers of a file that a power cut shortened have been written again, or
    /// will be. The capture of a push stays until its files are synchronised.
    fn is_made_again(&self, outbox: &Outbox, name: &OutboxFileName) -> bool {
        let Some(parcel) = name.fields() else { return false };
        let again = format!("{}.{}+", parcel.push(), parcel.from());
        let is_there_again = |other: &str| {
            other.starts_with(&again)
                && OutboxFileContents::read(&outbox.new_dir().join(other))
                    .is_ok_and(|other| other.why.is_none())
        };
        any(&outbox.new_dir(), is_there_again) || self.inbox().has_whole(parcel.push(), parcel.from())
    }
}
