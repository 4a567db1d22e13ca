//! Captured pushes that are not decided yet.
//!
//! One file a push, `<push id>.<next update>.<tries>`: the name tells how far its decision got
//! and how often a reader began it. After a reader died over it, the updates are decided one by one, and `.alone` at the
//! end says that the policy is at the next one: so it is known which of them kills. The file is one line of JSON and then git's standard input as it
//! came, so that no byte of a ref's name is lost. Whoever works on a capture holds a lock on it, which
//! dies with its holder.

use std::{
    fs::File,
    io::{Read as _, Seek as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    files::{self, StateError},
    listing::{self, Weight},
};
use crate::{
    fault::{self, Step},
    push::{Push, PushId, Source, lines},
    time::Timestamp,
};

/// How often a capture, or one update of it, may kill its reader before it is put away.
pub const MAX_TRIES: u32 = 3;

const FORMAT: u32 = 1;

/// The directory of captures.
#[derive(Clone, Debug)]
pub struct Inbox {
    dir: PathBuf,
}

/// What the first line of a capture says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    push_id: PushId,
    time: Timestamp,
    source: Source,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hook_page: Option<PathBuf>,
    stdin_bytes: u64,
}

/// What was captured.
#[derive(Debug)]
pub struct Captured {
    /// The push.
    pub push: Push,
    /// The script of Gitea's Git Hooks page, if it was the one that ran.
    pub hook_page: Option<PathBuf>,
    /// The lines that are no update.
    pub malformed: Vec<lines::Malformed>,
}

/// A capture in the hands of one process.
#[derive(Debug)]
pub struct Capture {
    dir: PathBuf,
    name: Name,
    file: File,
}

/// The name of a capture's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    push_id: PushId,
    next: usize,
    tries: u32,
    is_alone: bool,
}

/// The end of the name of a capture whose next update is being decided by itself.
const ALONE: &str = "alone";

impl Name {
    fn parse(name: &str) -> Option<Self> {
        let mut fields = name.split('.');
        let parsed = Self {
            push_id: fields.next()?.parse().ok()?,
            next: fields.next()?.parse().ok()?,
            tries: fields.next()?.parse().ok()?,
            is_alone: false,
        };
        let last = fields.next();
        let is_whole = last.is_none_or(|last| last == ALONE) && fields.next().is_none();
        is_whole.then_some(Self { is_alone: last.is_some(), ..parsed })
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.push_id, self.next, self.tries)?;
        if self.is_alone { write!(f, ".{ALONE}") } else { Ok(()) }
    }
}

/// What claiming a capture came to.
#[derive(Debug)]
pub enum Claim {
    /// It is ours.
    Ours(Capture),
    /// Somebody else works on it, or is done with it.
    Taken,
}

impl Inbox {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Writes a push down as it came, before anything is made of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn capture(
        &self,
        push_id: PushId,
        time: Timestamp,
        source: &Source,
        hook_page: Option<&Path>,
        stdin: &[u8],
    ) -> Result<Capture, StateError> {
        let header = Header {
            format: FORMAT,
            push_id,
            time,
            source: source.clone(),
            hook_page: hook_page.map(Path::to_path_buf),
            stdin_bytes: stdin.len() as u64,
        };
        let name = Name { push_id, next: 0, tries: 0, is_alone: false };
        let mut line = serde_json::to_vec(&header)
            .map_err(|err| StateError::new("write", &self.dir.join(name.to_string()), err.into()))?;
        line.push(b'\n');
        let file = files::write_new(&self.dir, &name.to_string(), &[&line, stdin], true)?.into_file();
        Ok(Capture { dir: self.dir.clone(), name, file })
    }

    /// Returns the names of all captures, oldest first.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Vec<String>, StateError> {
        listing::list(&self.dir)
    }

    pub(super) fn weight(&self) -> Result<Weight, StateError> {
        listing::weigh_all(&self.dir)
    }

    /// Takes a capture, unless another process has it. Each claim is counted in the name.
    ///
    /// # Errors
    /// If the file cannot be opened, locked or renamed.
    pub fn claim(&self, name: &str) -> Result<Claim, StateError> {
        let Some(mut parsed) = Name::parse(name) else {
            return Ok(Claim::Taken);
        };
        let path = self.dir.join(name);
        let file = match files::open(&path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Claim::Taken),
            opened => opened?,
        };
        if !files::try_lock(&file, &path)? {
            return Ok(Claim::Taken);
        }
        // Between the open and the lock its holder may have moved it on or removed it.
        let is_same = match (file.metadata(), path.symlink_metadata()) {
            (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
            _ => false,
        };
        if !is_same {
            return Ok(Claim::Taken);
        }
        parsed.tries += 1;
        files::rename(&path, &self.dir.join(parsed.to_string()))?;
        Ok(Claim::Ours(Capture { dir: self.dir.clone(), name: parsed, file }))
    }
}

impl Capture {
    /// Returns the id of the captured push.
    pub fn push_id(&self) -> PushId {
        self.name.push_id
    }

    /// Returns the first update that is not decided yet.
    pub fn next(&self) -> usize {
        self.name.next
    }

    /// Returns whether a reader died over it, so that its updates are better decided one by one.
    pub fn has_killed(&self) -> bool {
        self.name.is_alone || self.name.tries > 1
    }

    /// Returns whether it has killed too many readers, and not the next update alone: it has to go as a whole.
    pub fn is_deadly(&self) -> bool {
        self.name.tries > MAX_TRIES && !self.name.is_alone
    }

    /// Returns whether its next update, begun by itself, has killed too many readers: it alone has to go.
    pub fn is_next_deadly(&self) -> bool {
        self.name.tries > MAX_TRIES && self.name.is_alone
    }

    /// Notes that the next update is being decided by itself.
    ///
    /// # Errors
    /// If the file cannot be renamed.
    pub fn begin_alone(&mut self) -> Result<(), StateError> {
        self.rename(Name { tries: self.name.tries.max(1), is_alone: true, ..self.name })
    }

    /// Notes that it is decided: what kills now is not its policy.
    ///
    /// # Errors
    /// If the file cannot be renamed.
    pub fn end_alone(&mut self) -> Result<(), StateError> {
        self.rename(Name { is_alone: false, ..self.name })
    }

    /// Reads the push back.
    ///
    /// # Errors
    /// If the file is no capture, or not all of one: the machine may have died before the disk had it.
    pub fn read(&mut self) -> Result<Captured, StateError> {
        let path = self.path();
        let unreadable = |err: std::io::Error| StateError::new("read", &path, err);
        let wrong = |why: String| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
        let mut content = Vec::new();
        self.file.rewind().map_err(unreadable)?;
        fault::point(Step::Read, &path)
            .and_then(|()| self.file.read_to_end(&mut content))
            .map_err(unreadable)?;
        let end = content
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(|| wrong("it has no whole first line".into()))?;
        let header: Header = serde_json::from_slice(&content[..end])
            .map_err(|err| wrong(format!("its first line is broken: {err}")))?;
        if header.format != FORMAT {
            return Err(wrong(format!("it has format {}, this version reads {FORMAT}", header.format)));
        }
        let stdin = &content[end + 1..];
        if stdin.len() as u64 != header.stdin_bytes {
            return Err(wrong(format!(
                "it has {} of {} bytes of standard input",
                stdin.len(),
                header.stdin_bytes
            )));
        }
        let lines = lines::parse(stdin);
        Ok(Captured {
            push: Push::new(header.push_id, header.time, header.source, lines.updates),
            hook_page: header.hook_page,
            malformed: lines.malformed,
        })
    }

    /// Notes that all updates before `next` are decided and written down.
    ///
    /// # Errors
    /// If the file cannot be renamed.
    pub fn advance(&mut self, next: usize) -> Result<(), StateError> {
        self.rename(Name { next, tries: 0, is_alone: false, ..self.name })
    }

    fn rename(&mut self, name: Name) -> Result<(), StateError> {
        if name != self.name {
            files::rename(&self.path(), &self.dir.join(name.to_string()))?;
            self.name = name;
        }
        Ok(())
    }

    /// Gives the capture back, when it was not the capture's fault that it could not be settled: the try does
    /// not count.
    ///
    /// # Errors
    /// If the file cannot be renamed.
    pub fn give_back(mut self) -> Result<(), StateError> {
        self.rename(Name { tries: self.name.tries.saturating_sub(1), ..self.name })
    }

    /// Drops the capture: everything in it is decided and written down.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn done(&self) -> Result<(), StateError> {
        files::remove(&self.path())
    }

    pub(super) fn weight(&self) -> Result<Weight, StateError> {
        listing::weigh(&self.path())
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.join(self.name.to_string())
    }
}
