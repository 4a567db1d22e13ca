//! Verifies the journal: walks the hash chain and names the first line at which it does not hold.
//!
//! The walk reads each line once. What happened to a line that does not fit, [`diagnosis`] finds in
//! a second pass. The record of the journal's end shows whether lines are missing there, as long as
//! it was not changed as well; against that, only the heads that a back end has
//! ([`WitnessedHeads`]) help.

mod diagnosis;
mod witnessed;

use std::{fs::File, io::BufReader};

use bstr::ByteSlice as _;
use serde::Serialize;

pub use self::witnessed::WitnessedHeads;
use super::{
    chain::{LineHash, Link, Tip, is_record},
    contents,
    files::{self, StateError},
    journal::{Journal, JournalEntry, PrunedRecord, Record},
    journal_end::{self, Head},
};

/// Size of the buffer for reading, in bytes.
const READ: usize = 64 << 10;

/// Maximum number of bytes kept of a line.
const MAX_LINE: usize = 64 << 20;

/// Maximum number of torn lines that are listed.
const MAX_TORN: usize = 16;

/// A line of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Name of the file.
    pub file: String,
    /// Number of the line in the file, from 1.
    pub line: u64,
}

/// The result of a verification.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// Number of files.
    pub files: usize,
    /// Number of lines, up to the first that does not fit.
    pub lines: u64,
    /// The last line of the chain, `None` if the journal has no chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Tip>,
    /// The last line that an older version wrote, which nothing protects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchained_until: Option<Place>,
    /// The first lines that a crash cut off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub torn: Vec<Place>,
    /// The summary of the last file that retention removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned: Option<PrunedRecord>,
    /// The heads that a back end has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Compared>,
    /// The first problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// The result of a comparison with the heads that a back end has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Number of heads that are in the chain.
    pub fit: u64,
    /// Number of heads of lines that retention removed.
    pub pruned: u64,
}

/// A problem, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The line, or the last one if lines are missing at the end.
    #[serde(flatten)]
    pub place: Place,
    /// Kind of the change.
    pub what: Tampering,
    /// The evidence.
    pub why: String,
}

/// A kind of change to the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tampering {
    /// A line was changed.
    Changed,
    /// Lines were removed.
    Removed,
    /// A line was added.
    Added,
    /// A line stands in the wrong place.
    Moved,
    /// Lines were replaced by others that fit together.
    Replaced,
    /// The end is not recorded, so lines may be missing there.
    Unrecorded,
}

impl Tampering {
    /// Returns the name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Moved => "moved",
            Self::Replaced => "replaced",
            Self::Unrecorded => "unrecorded",
        }
    }
}

impl Fault {
    fn at(place: &Place, what: Tampering, why: impl Into<String>) -> Self {
        Self { place: place.clone(), what, why: why.into() }
    }
}

/// A line of the chain that the walk has passed.
#[derive(Clone, Debug)]
struct Passed {
    place: Place,
    link: Link,
    hash: LineHash,
}

/// The state of a walk along the chain.
#[derive(Default)]
struct Walk {
    tip: Tip,
    /// The first and the last line of the chain.
    first: Option<Passed>,
    last: Option<Passed>,
    /// Lines without a link after the last one, and for each whether it is a record.
    loose: Vec<(Place, bool)>,
    /// Hash of the lines before the first one of the chain.
    before: LineHash,
    /// The hash of the line that the record of the end names.
    recorded: Option<LineHash>,
}

/// The place at which the chain does not hold: the line that does not fit.
struct Break {
    /// The line before, and the lines without a link that follow it.
    last: Passed,
    loose: Vec<(Place, bool)>,
    /// The hash that the line should carry.
    expected: LineHash,
    line: Passed,
}

impl Journal {
    /// Verifies the whole journal. `heads` are those that a back end has.
    ///
    /// # Errors
    /// If a file of the journal cannot be read.
    pub fn verify(&self, heads: Option<&WitnessedHeads>) -> Result<Verification, StateError> {
        self.verify_from("", heads)
    }

    /// Verifies the two newest files, and whether their end is missing. The newest one may have no line
    /// yet.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn verify_newest(&self) -> Result<Verification, StateError> {
        let names = journal_end::files_of(&self.dir)?;
        let from = names.get(names.len().saturating_sub(2));
        self.verify_from(from.map_or("", String::as_str), None)
    }

    fn verify_from(&self, from: &str, heads: Option<&WitnessedHeads>) -> Result<Verification, StateError> {
        // Lines that are appended from now on are not in the record.
        let head = journal_end::record(&self.dir);
        let mut names = journal_end::files_of(&self.dir)?;
        let is_whole = names.first().is_none_or(|first| from <= first.as_str());
        names.retain(|name| name.as_str() >= from);
        let mut found = Verification { files: names.len(), ..Verification::default() };
        let mut walk = Walk::default();
        let mut comparison = heads.map(WitnessedHeads::comparison);
        let mut fault = None;
        self.each_place(&names, &mut |place, line| {
            found.lines += 1;
            let step = walk.step(place, line, &mut found);
            if let Some(last) = walk.last.as_ref().filter(|last| last.place == *place) {
                if head.as_ref().is_some_and(|head| head.tip.n == last.link.n) {
                    walk.recorded = Some(last.hash);
                }
                fault = comparison.as_mut().and_then(|heads| heads.passes(place, last.link, last.hash));
            }
            match step {
                Ok(()) => fault.is_none(),
                Err(broken) => {
                    fault = Some(diagnosis::of(self, &names, &broken));
                    false
                }
            }
        })?;
        found.head =
            walk.last.as_ref().map(|last| Tip { chain: last.link.chain, n: last.link.n, hash: last.hash });
        if is_whole && let Some(first) = walk.late_first() {
            found.pruned = self.summary_up_to(&names, first.link.prev)?;
            fault = walk.begins(&found).or(fault);
        }
        found.fault = match fault {
            Some(fault) => Some(fault),
            None => walk
                .ends(head.as_ref(), &names, &mut found)
                .or_else(|| comparison.as_mut().and_then(|heads| heads.end(&walk))),
        };
        found.against = comparison.map(|heads| heads.compared);
        Ok(found)
    }

    /// Returns the summary of the file whose last line has this hash, if retention removed it.
    fn summary_up_to(&self, names: &[String], last: LineHash) -> Result<Option<PrunedRecord>, StateError> {
        let mut found = None;
        self.each_place(names, &mut |_, line| {
            if line.contains_str("\"record\":\"pruned\"")
                && let Some(JournalEntry { record: Record::Pruned(summary), .. }) = JournalEntry::read(line)
            {
                found = Some(summary).filter(|summary| summary.last == last);
            }
            found.is_none()
        })?;
        Ok(found)
    }

    /// Calls `with` for each line of the named files and its place, until it returns false.
    pub(super) fn each_place(
        &self,
        names: &[String],
        with: &mut dyn FnMut(&Place, &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let mut bytes = Vec::new();
        for name in names {
            let path = self.dir.join(name);
            let file: File = files::open(&path)?;
            let mut reader = BufReader::with_capacity(READ, file);
            let mut place = Place { file: name.clone(), line: 0 };
            while contents::read_line(&mut reader, &mut bytes, MAX_LINE)
                .map_err(|err| StateError::new("read", &path, err))?
            {
                place.line += 1;
                if !bytes.trim_ascii().is_empty() && !with(&place, &bytes) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Walk {
    /// Passes a line.
    fn step(&mut self, place: &Place, line: &[u8], found: &mut Verification) -> Result<(), Box<Break>> {
        let before = self.tip;
        let Some(link) = self.tip.pass(line) else {
            let is_record = is_record(line);
            if self.last.is_some() {
                self.loose.push((place.clone(), is_record));
            } else if is_record {
                found.unchained_until = Some(place.clone());
            } else {
                found.tears(place);
            }
            return Ok(());
        };
        let passed = Passed { place: place.clone(), link, hash: self.tip.hash };
        let Some(last) = &self.last else {
            self.before = before.hash;
            self.first = Some(passed.clone());
            self.last = Some(passed);
            return Ok(());
        };
        let fits = link.chain == before.chain && link.n == before.n + 1 && link.prev == before.hash;
        if !fits || self.loose.iter().any(|(_, is_record)| *is_record) {
            let loose = std::mem::take(&mut self.loose);
            return Err(Box::new(Break { last: last.clone(), loose, expected: before.hash, line: passed }));
        }
        self.last = Some(passed);
        self.loose.drain(..).for_each(|(place, _)| found.tears(&place));
        Ok(())
    }

    /// Returns the first line of the chain, unless its own link shows that nothing is before it.
    fn late_first(&self) -> Option<&Passed> {
        self.first.as_ref().filter(|first| first.link.prev != self.before || first.link.n != 1)
    }

    /// Checks that nothing is missing before the first line of the chain.
    fn begins(&self, found: &Verification) -> Option<Fault> {
        let Passed { place, link, .. } = self.late_first().filter(|_| found.pruned.is_none())?;
        let earlier = found.unchained_until.as_ref().or(found.torn.first());
        Some(match earlier {
            _ if link.n > 1 => {
                let why = format!(
                    "the journal begins with line {} of its chain, and has no summary of what retention removed",
                    link.n
                );
                Fault::at(place, Tampering::Removed, why)
            }
            Some(earlier) if link.prev == LineHash::default() => {
                let why = "the chain began when the journal was empty";
                Fault::at(earlier, Tampering::Added, why)
            }
            Some(earlier) => {
                let why = format!("line {} carries the hash of another line before it", place.line);
                Fault::at(earlier, Tampering::Changed, why)
            }
            None => {
                let why = "it carries the hash of a line before it, which is missing";
                Fault::at(place, Tampering::Removed, why)
            }
        })
    }

    /// Checks that nothing is missing after the last line, and that nothing was added there.
    fn ends(&mut self, head: Option<&Head>, names: &[String], found: &mut Verification) -> Option<Fault> {
        if let Some((place, _)) = self.loose.iter().find(|(_, is_record)| *is_record) {
            return Some(Fault::at(place, Tampering::Added, diagnosis::UNLINKED));
        }
        let torn: Vec<_> = self.loose.drain(..).collect();
        torn.iter().for_each(|(place, _)| found.tears(place));
        let end = || Place { file: names.last().cloned().unwrap_or_default(), line: 0 };
        let place = self.last.as_ref().map_or_else(end, |last| last.place.clone());
        let fault = |what, why: String| Some(Fault::at(&place, what, why));
        let n = self.last.as_ref().map_or(0, |last| last.link.n);
        let Some(Head { tip, .. }) = head else {
            let why = "the record of the journal's end is missing or damaged, so lines may be missing there";
            return if n > 0 { fault(Tampering::Unrecorded, why.into()) } else { None };
        };
        if n < tip.n {
            let why = format!(
                "the journal ends with line {n} of its chain, but it had {} lines: the end was cut off, or a \
                 power cut lost it",
                tip.n
            );
            return fault(Tampering::Removed, why);
        }
        match self.recorded {
            Some(hash) if hash != tip.hash => fault(
                Tampering::Replaced,
                format!("the record of the journal's end has another hash for line {} of the chain", tip.n),
            ),
            _ => None,
        }
    }
}

impl Verification {
    fn tears(&mut self, place: &Place) {
        if self.torn.len() < MAX_TORN {
            self.torn.push(place.clone());
        }
    }
}

#[cfg(test)]
mod tests;
