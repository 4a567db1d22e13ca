//! Finds and reads key files. They decide whom this site trusts, so no other user may have written
//! them.

use std::{
    fmt,
    fs::Metadata,
    io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use crate::{
    glob::is_match,
    proposal,
    sys::{
        fault::{self, Step},
        regular_file, users,
    },
    text::{self, Hinted},
};

/// Maximum size of a key file, in bytes.
pub(super) const MAX_FILE: usize = 1 << 20;

/// Maximum number of files that one pattern matches.
const MAX_FILES: usize = 1000;

const OTHERS_WRITE: u32 = 0o022;

/// A problem of a key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFileProblem {
    path: PathBuf,
    line: Option<usize>,
    message: Hinted,
}

impl KeyFileProblem {
    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the line, counted from 1, if the problem is in one.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// Returns the message.
    pub fn message(&self) -> &Hinted {
        &self.message
    }
}

impl fmt::Display for KeyFileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key file `{}`", text::path(&self.path))?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A problem whose file, and perhaps whose line, is added by the caller.
#[derive(Debug)]
pub(super) struct Flaw {
    line: Option<usize>,
    message: Hinted,
}

impl Flaw {
    pub fn new(line: Option<usize>, message: impl Into<String>) -> Self {
        Self { line, message: Hinted { message: message.into(), hint: None } }
    }

    pub fn of_file(message: impl Into<String>) -> Self {
        Self::new(None, message)
    }

    pub fn at(line: usize, message: impl Into<String>) -> Self {
        Self::new(Some(line), message)
    }

    pub fn in_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    /// Adds the command that writes a file without the problem.
    pub fn fixed_by(self, command: &str) -> Self {
        self.fixed_with(&format!("write the file with `{command}`"))
    }

    /// Adds what to do.
    pub fn fixed_with(mut self, hint: &str) -> Self {
        self.message.hint = Some(hint.to_string());
        self
    }

    pub fn in_file(self, path: &Path) -> KeyFileProblem {
        KeyFileProblem { path: path.into(), line: self.line, message: self.message }
    }

    fn io(what: &str, err: &io::Error) -> Self {
        Self::of_file(format!("failed to {what}: {err}"))
    }
}

/// Returns an error message if a pattern has wildcards where none are allowed.
pub fn pattern_flaw(pattern: &Path) -> Option<String> {
    let dir = pattern.parent().unwrap_or(pattern);
    if has_wildcards(dir) || pattern.file_name().is_none() {
        return Some("only the name of a file may have wildcards, not its directory".into());
    }
    crate::glob::flaw(&pattern.file_name()?.to_string_lossy())
}

/// Returns the files that a pattern names, sorted by name. Without wildcards, it names one file.
///
/// # Errors
/// Returns a problem if the directory cannot be listed, or if it has too many such files.
pub fn files_of(pattern: &Path) -> Result<Vec<PathBuf>, KeyFileProblem> {
    let (Some(dir), Some(name)) = (pattern.parent(), pattern.file_name()) else {
        return Ok(vec![pattern.to_path_buf()]);
    };
    if !has_wildcards(Path::new(name)) {
        return Ok(vec![pattern.to_path_buf()]);
    }
    let name = name.to_string_lossy();
    let list = || -> io::Result<Vec<PathBuf>> {
        fault::point(Step::List, dir)?;
        let mut files = Vec::new();
        for entry in dir.read_dir()? {
            let entry = entry?;
            // As in a shell, wildcards do not match the files that editors leave.
            let is_hidden = entry.file_name().as_bytes().starts_with(b".") && !name.starts_with('.');
            if !is_hidden && is_match(&name, entry.file_name().as_bytes()) {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    };
    let files = list().map_err(|err| Flaw::io("list the key files", &err).in_file(dir))?;
    if files.len() > MAX_FILES {
        let why = format!("more than {MAX_FILES} files match `{}`", text::path(pattern));
        return Err(Flaw::of_file(why).in_file(dir));
    }
    Ok(files)
}

fn has_wildcards(path: &Path) -> bool {
    path.as_os_str().as_bytes().iter().any(|byte| b"*?[".contains(byte))
}

/// Reads a key file, after checking that no other user can change it or put another in its place.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Flaw> {
    let file = regular_file::open(path).map_err(|err| Flaw::io("open it", &err))?;
    let at = file.metadata().map_err(|err| Flaw::io("inspect it", &err))?;
    guard(path, &at)?;
    // A name in a directory that others can write to can name another file at any time.
    if let Some(dir) = path.parent() {
        let at = dir.metadata().map_err(|err| Flaw::io("inspect its directory", &err))?;
        guard(dir, &at)?;
    }
    fault::point(Step::Read, path).map_err(|err| Flaw::io("read it", &err))?;
    regular_file::read_rest(file, MAX_FILE as u64).map_err(|err| Flaw::io("read it", &err))
}

/// Refuses a file that another user than root and the one of this process may change.
fn guard(path: &Path, at: &Metadata) -> Result<(), Flaw> {
    let us = geteuid().as_raw();
    let (shown, named) = (text::path(path), text::shell(path));
    if at.uid() != 0 && at.uid() != us {
        let (owner, reader) = (users::user(at.uid()), users::user(us));
        let why = format!(
            "`{shown}` belongs to {owner}, who is neither root nor {reader}, the user of this process"
        );
        return Err(Flaw::of_file(why)
            .fixed_with(&format!("run `{}`", proposal::as_root(&format!("chown root {named}")))));
    }
    if at.mode() & OTHERS_WRITE != 0 {
        let mode = at.mode() & 0o7777;
        let why = format!("others than its owner may change `{shown}` (mode {mode:04o})");
        let fix = format!("chmod go-w {named}");
        let fix = if at.uid() == us { fix } else { proposal::as_root(&fix) };
        return Err(Flaw::of_file(why).fixed_with(&format!("run `{fix}`")));
    }
    Ok(())
}
