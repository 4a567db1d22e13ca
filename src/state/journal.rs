//! The append-only record of every decision and every delivery: one JSON object per line, one file
//! per month.

use std::{borrow::Cow, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::push_record::PushRecord;
use super::{
    chain::{LineHash, Tip},
    files::StateError,
    gap,
    journal_end::{self, JournalEnd},
    listing,
};
use crate::{
    decide::Outcome,
    marker::{Kind, Marker, MarkerId, TraceId},
    push::{ObjectId, PushId},
    sys::time::{self, Timestamp},
};

/// The directory of the journal.
#[derive(Clone, Debug)]
pub struct Journal {
    pub(super) dir: PathBuf,
    /// True if git waits for this process.
    is_hook: bool,
}

/// The size of the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Number of files.
    pub files: usize,
    /// Total size in bytes.
    pub bytes: u64,
    /// Time of the last write.
    pub last_write: Option<Timestamp>,
}

/// Lines to be appended at once, with one time.
#[derive(Debug)]
pub struct JournalLines {
    time: Timestamp,
    text: Vec<u8>,
}

impl JournalLines {
    /// Creates an empty set of lines with the present time.
    pub fn now() -> Self {
        Self { time: time::now(), text: Vec::new() }
    }

    /// Returns the line about a journal whose end was not recorded.
    pub(super) fn of_lost_record(time: Timestamp) -> Self {
        let what = "the record of the journal's end was missing or damaged, so lines may be missing before \
                    this one: it was removed, or a power cut lost it";
        let mut lines = Self { time, text: Vec::new() };
        // A text can always be written as JSON.
        let _ = lines.add(Record::Trouble(Trouble { push: None, repository: None, what: what.into() }));
        lines
    }

    /// Returns the time of the lines.
    pub(super) fn time(&self) -> Timestamp {
        self.time
    }

    /// Returns the lines, each with a line break.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If the record cannot be written as JSON.
    pub fn add(&mut self, record: Record<'_>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut self.text, &JournalEntry { time: self.time, record })?;
        self.text.push(b'\n');
        Ok(())
    }
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry<'a> {
    /// Time of the record.
    pub time: Timestamp,
    /// The event.
    #[serde(flatten)]
    pub record: Record<'a>,
}

impl JournalEntry<'static> {
    /// Parses a line. Returns `None` for a broken one, such as a line that a crash cut off.
    pub fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// An event in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record<'a> {
    /// The decision of a push began.
    Push(Box<PushRecord<'a>>),
    /// An update was decided.
    Decision(DecisionRecord<'a>),
    /// Markers were sent, rejected, dropped or passed over, or an attempt to send them failed.
    Delivery(DeliveryRecord<'a>),
    /// An administrator put a dead letter back or dropped an entry.
    Queue(Queue<'a>),
    /// Retention removed the oldest lines of the journal.
    Pruned(PrunedRecord),
    /// Any other error.
    Trouble(Trouble<'a>),
}

/// The decision of one update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord<'a> {
    /// The push.
    pub push: PushId,
    /// `owner/name`.
    pub repository: Cow<'a, str>,
    /// The full name of the ref.
    #[serde(rename = "ref")]
    pub ref_name: Cow<'a, str>,
    /// The old object ID, all zeros if the ref was created.
    pub old_id: ObjectId,
    /// The new object ID, all zeros if the ref was deleted.
    pub new_id: ObjectId,
    /// The result.
    pub outcome: RecordedOutcome,
    /// The place in the policy that skipped the update or refused a marker, as `file:line`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Cow<'a, str>>,
    /// The reason that the policy gave.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub why: Cow<'a, str>,
    /// Data that a marker lacks, and why it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Cow<'a, str>>,
    /// The markers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub markers: Vec<Marked<'a>>,
}

/// The result of deciding an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordedOutcome {
    /// The policy made markers of it.
    Marked,
    /// The policy skipped it.
    Skipped,
    /// A guard refused a marker.
    Refused,
    /// The policy failed.
    Failed,
}

impl RecordedOutcome {
    /// Returns the name that the journal uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Marked => "marked",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl From<&Outcome> for RecordedOutcome {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Marked => Self::Marked,
            Outcome::Skipped(_) => Self::Skipped,
            Outcome::Refused(_) => Self::Refused,
            Outcome::Failed(_) => Self::Failed,
        }
    }
}

/// A marker in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marked<'a> {
    /// ID of the marker.
    pub id: MarkerId,
    /// Kind of event that it marks.
    pub kind: Kind,
    /// `service.name`.
    pub service: Cow<'a, str>,
    /// `service.version`.
    pub version: Cow<'a, str>,
    /// `deployment.environment.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Cow<'a, str>>,
    /// A remark for readers: the deployment failed, or the push took commits out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<Cow<'a, str>>,
    /// ID of the trace of its commit.
    pub trace_id: TraceId,
    /// The place in the policy that asked for the marker, as `file:line`.
    pub by: Cow<'a, str>,
}

/// The outcome for some markers of a destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryRecord<'a> {
    /// The destination.
    pub destination: Cow<'a, str>,
    /// The outcome.
    pub outcome: Sent,
    /// IDs of the markers with this outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub markers: Vec<MarkerId>,
    /// Number of markers that are to be sent again. A later record with their outcome has their
    /// IDs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting: usize,
    /// The error message of the back end or the network.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub why: Cow<'a, str>,
    /// Duration in milliseconds.
    pub ms: u64,
}

/// The outcome of sending markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// The back end accepted them.
    Delivered,
    /// The back end accepted the request and rejected some of its markers.
    Rejected,
    /// They will be sent again.
    Retried,
    /// They are dead letters.
    Refused,
    /// They were dropped because the spool exceeded its cap.
    Dropped,
    /// They are not for this destination, because of its `kinds` or its script.
    PassedOver,
}

/// An administrator's action with `gitea-lightstep queue`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queue<'a> {
    /// The action.
    pub action: Action,
    /// The destination of the markers, or `inbox` for a push that is not decided.
    pub from: Cow<'a, str>,
    /// True if the entry was a dead letter, and false if it was waiting.
    pub was_dead: bool,
    /// The push, if the file's name has it and it is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushId>,
    /// IDs of the markers, as far as the file could be read.
    pub markers: Vec<MarkerId>,
    /// The reason that it was dead or waiting.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub why: Cow<'a, str>,
}

/// An action on an entry of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The entry was put back into the queue.
    PutBack,
    /// The entry was removed.
    Dropped,
}

/// A summary of a file that retention removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunedRecord {
    /// Name of their file.
    pub file: String,
    /// Number of lines.
    pub lines: u64,
    /// Time of the first line, if it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Time of the last line, if it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Hash of the first line.
    pub first: LineHash,
    /// Hash of the last line, which the first line that stays carries.
    pub last: LineHash,
}

/// An error that is not a decision or a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble<'a> {
    /// The push that was affected, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushId>,
    /// `owner/name` if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Cow<'a, str>>,
    /// The error message.
    pub what: Cow<'a, str>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl<'a> Marked<'a> {
    /// Returns the journal's view of a marker for which the policy asked at `by`.
    pub fn of(marker: &'a Marker, by: String) -> Self {
        Self {
            id: marker.id,
            kind: marker.kind,
            service: marker.service.as_str().into(),
            version: marker.version.as_str().into(),
            environment: marker.environment.as_deref().map(Cow::from),
            remark: marker.remark().map(Cow::from),
            trace_id: marker.trace_id,
            by: by.into(),
        }
    }
}

/// Returns the name of the file for lines with this time.
pub(super) fn file_name(time: Timestamp) -> String {
    format!("{}.jsonl", time.strftime("%Y-%m"))
}

impl Journal {
    pub(super) fn at(dir: PathBuf, is_hook: bool) -> Self {
        Self { dir, is_hook }
    }

    /// Appends records and ignores errors.
    ///
    /// No push and no marker waits for the journal or fails with it; otherwise an unwritable
    /// journal would have them decided and sent again. `status` and `doctor` report that lines are
    /// missing ([`super::gap`]).
    pub fn note<'a>(&self, records: impl IntoIterator<Item = Record<'a>>) {
        let _ = self.append(records);
    }

    /// Appends lines and ignores errors, like [`Self::note`].
    pub fn note_lines(&self, lines: &JournalLines) {
        let _ = self.append_lines(lines);
    }

    /// Appends records in one write.
    ///
    /// # Errors
    /// If the records cannot be written. A note of the gap is written then, if that is possible.
    pub fn append<'a>(&self, records: impl IntoIterator<Item = Record<'a>>) -> Result<(), StateError> {
        let mut lines = JournalLines::now();
        for record in records {
            lines.add(record).map_err(|err| StateError::new("write to", &self.dir, err.into()))?;
        }
        self.append_lines(&lines)
    }

    /// Appends lines in one write, as the next ones of the chain.
    ///
    /// # Errors
    /// If the lines cannot be written. A note of the gap is written then, if that is possible.
    pub fn append_lines(&self, lines: &JournalLines) -> Result<(), StateError> {
        if lines.text.is_empty() {
            return Ok(());
        }
        self.write(lines).inspect_err(|err| gap::begin(&self.dir, lines.time, err))
    }

    fn write(&self, lines: &JournalLines) -> Result<(), StateError> {
        JournalEnd::lock(&self.dir, self.is_hook)?.append(lines)
    }

    /// Returns the last line of the chain for the outside witness, synchronised. Returns `None` if the
    /// journal is empty or cannot be read now.
    pub fn witness(&self) -> Option<Tip> {
        journal_end::witness(&self.dir, self.is_hook)
    }

    /// Returns the size of the journal.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn size(&self) -> Result<Size, StateError> {
        let mut size = Size::default();
        listing::each(&self.dir, |name| {
            if let Ok(file) = self.dir.join(name).symlink_metadata() {
                size.files += 1;
                size.bytes += file.len();
                let written = file.modified().ok().and_then(|time| time.try_into().ok());
                size.last_write = size.last_write.max(written);
            }
            Ok::<_, StateError>(())
        })?;
        Ok(size)
    }
}
