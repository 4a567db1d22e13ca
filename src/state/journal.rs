//! The append-only record of every decision and every delivery: one JSON object a line, one file a
//! month.

use std::{
    borrow::Cow,
    io::{BufRead as _, BufReader, IoSlice},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

pub use super::pushed::Pushed;
use super::{
    files::{self, StateError},
    listing,
};
use crate::{
    decide::Outcome,
    marker::{Marker, MarkerId, TraceId},
    policy::Kind,
    push::{ObjectId, PushId},
    time::Timestamp,
};

/// How much of the journal is read at once, in bytes.
const READ: usize = 64 << 10;

/// The directory of the journal.
#[derive(Clone, Debug)]
pub struct Journal {
    dir: PathBuf,
}

/// How much there is of the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// How many files.
    pub files: usize,
    /// How large they are together.
    pub bytes: u64,
    /// When something was last written.
    pub last_write: Option<Timestamp>,
}

/// Lines for the journal, of one moment.
#[derive(Debug)]
pub struct Lines {
    time: Timestamp,
    text: Vec<u8>,
}

impl Lines {
    /// Begins with no line, for the present moment.
    pub fn now() -> Self {
        Self { time: Timestamp::now(), text: Vec::new() }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If the record cannot be written as JSON.
    pub fn add(&mut self, record: Record<'_>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut self.text, &Entry { time: self.time, record })?;
        self.text.push(b'\n');
        Ok(())
    }
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// When it was written.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub record: Record<'a>,
}

impl Entry<'static> {
    /// Reads a line, unless it is broken: half a line at a crash.
    pub fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record<'a> {
    /// The decision of a push began.
    Push(Box<Pushed<'a>>),
    /// An update was decided.
    Decision(Decision<'a>),
    /// Markers were sent, or should have been.
    Delivery(Delivery<'a>),
    /// A person put a dead letter back, or dropped something.
    Queue(Queue<'a>),
    /// Something went wrong that is none of these.
    Trouble(Trouble<'a>),
}

/// What became of one update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision<'a> {
    /// The push.
    pub push: PushId,
    /// `owner/name`.
    pub repository: Cow<'a, str>,
    /// The full name of the ref.
    #[serde(rename = "ref")]
    pub ref_name: Cow<'a, str>,
    /// The old id, null or not.
    pub old_id: ObjectId,
    /// The new id, null or not.
    pub new_id: ObjectId,
    /// How it ended.
    pub outcome: Verdict,
    /// The place in the policy that wants no marker, or refused one: `file:line`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Cow<'a, str>>,
    /// The reason that it gave.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub why: Cow<'a, str>,
    /// What a marker has to do without, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Cow<'a, str>>,
    /// The markers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub markers: Vec<Marked<'a>>,
}

/// How the decision of an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It became markers.
    Marked,
    /// The policy wants no marker of it.
    Skipped,
    /// A guard refused a marker of it.
    Refused,
    /// The policy failed.
    Failed,
}

impl Verdict {
    /// Returns the word in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Marked => "marked",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl From<&Outcome> for Verdict {
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
    /// Its id.
    pub id: MarkerId,
    /// What it marks.
    pub kind: Kind,
    /// `service.name`.
    pub service: Cow<'a, str>,
    /// `service.version`.
    pub version: Cow<'a, str>,
    /// `deployment.environment.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Cow<'a, str>>,
    /// The trace of its commit.
    pub trace_id: TraceId,
    /// The place in the policy that asked for it: `file:line`.
    pub by: Cow<'a, str>,
}

/// What came of sending some markers to a destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery<'a> {
    /// The destination.
    pub destination: Cow<'a, str>,
    /// How it ended.
    pub outcome: Sent,
    /// The ids of the markers, if this is what became of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub markers: Vec<MarkerId>,
    /// How many markers wait to be sent again: they are named once it is known what became of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting: usize,
    /// What the back end or the network said.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub why: Cow<'a, str>,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// How sending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// The back end has them.
    Delivered,
    /// The back end took the request and rejected some of the markers in it.
    Rejected,
    /// It will be tried again.
    Retried,
    /// They are a dead letter.
    Refused,
    /// They had to make room for others.
    Dropped,
    /// They are not for this destination, by its `kinds` or its script.
    PassedOver,
}

/// What a person did with `gitea-lightstep queue`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queue<'a> {
    /// What was done.
    pub action: Action,
    /// The destination that the markers are for, or `inbox` for a push that was not decided yet.
    pub from: Cow<'a, str>,
    /// Whether it was a dead letter, or else waited.
    pub was_dead: bool,
    /// The push, if the file's name tells it and it is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushId>,
    /// The ids of the markers, as far as the file could be read.
    pub markers: Vec<MarkerId>,
    /// Why it was dead.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub why: Cow<'a, str>,
}

/// What a person did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It waits again.
    PutBack,
    /// It is gone for good.
    Dropped,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble<'a> {
    /// The push in which it did, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushId>,
    /// `owner/name`, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Cow<'a, str>>,
    /// What, where and why.
    pub what: Cow<'a, str>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl<'a> Marked<'a> {
    /// Returns what the journal says of a marker that the policy asked for at `by`.
    pub fn of(marker: &'a Marker, by: String) -> Self {
        Self {
            id: marker.id,
            kind: marker.kind,
            service: marker.service.as_str().into(),
            version: marker.version.as_str().into(),
            environment: marker.environment.as_deref().map(Cow::from),
            trace_id: marker.trace_id,
            by: by.into(),
        }
    }
}

impl Journal {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Appends records in one write.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn append<'a>(&self, records: impl IntoIterator<Item = Record<'a>>) -> Result<(), StateError> {
        let mut lines = Lines::now();
        for record in records {
            lines.add(record).map_err(|err| StateError::new("write to", &self.dir, err.into()))?;
        }
        self.append_lines(&lines)
    }

    /// Appends lines in one write. What a crash or a full disk left of a line gets its end first, so that it
    /// costs no other line.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn append_lines(&self, lines: &Lines) -> Result<(), StateError> {
        if lines.text.is_empty() {
            return Ok(());
        }
        let path = self.dir.join(format!("{}.jsonl", lines.time.strftime("%Y-%m")));
        let mut file = match files::open_to_append(&path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
                files::make_dir(&self.dir)?;
                files::open_to_append(&path)?
            }
            opened => opened?,
        };
        let end: &[u8] = if files::is_torn(&file) { b"\n" } else { b"" };
        files::write_all(&mut file, vec![IoSlice::new(end), IoSlice::new(&lines.text)], &path)
    }

    /// Returns how much there is of it.
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

    /// Calls `with` for every entry, oldest first. Lines that cannot be read, such as half a line at
    /// a crash, are counted and passed over.
    ///
    /// # Errors
    /// If a file of the journal cannot be read, or `with` fails.
    pub fn read(&self, mut with: impl FnMut(Entry<'static>) -> anyhow::Result<()>) -> anyhow::Result<usize> {
        let mut broken = 0;
        self.each_line("", |_, line| match Entry::read(line) {
            Some(entry) => with(entry),
            None => {
                broken += 1;
                Ok(())
            }
        })?;
        Ok(broken)
    }

    /// Calls `with` for every line, oldest first, from the beginning of the file named `from` on, with the name of the
    /// file that it is in. Whoever looks for little in a long journal sees from the bytes what need not be read.
    ///
    /// # Errors
    /// If a file of the journal cannot be read, or `with` fails.
    pub fn each_line(
        &self,
        from: &str,
        mut with: impl FnMut(&str, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let names = listing::list(&self.dir)?;
        for name in names.iter().filter(|name| name.ends_with(".jsonl") && name.as_str() >= from) {
            let path = self.dir.join(name);
            let mut reader = BufReader::with_capacity(READ, files::open(&path)?);
            let mut line = Vec::new();
            loop {
                line.clear();
                let read =
                    reader.read_until(b'\n', &mut line).map_err(|err| StateError::new("read", &path, err))?;
                if read == 0 {
                    break;
                }
                // Two who append at once may both have ended a torn line.
                if line.trim_ascii().is_empty() {
                    continue;
                }
                with(name, &line)?;
            }
        }
        Ok(())
    }
}
