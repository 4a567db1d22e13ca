//! The checkout that `resource` is run in: found from any directory in it, with revisions as git
//! writes them. git itself answers what this program does not read: `HEAD~2`, `@{u}`, the state of
//! the work tree.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use anyhow::{Context as _, bail};

use crate::{
    facts::Repository,
    push::{GitDir, ObjectId, RefName},
    sys::{child, time::Deadline},
    text,
};

/// Maximum time for one command of git.
const PATIENCE: Duration = Duration::from_secs(30);

/// Maximum length of git's answer. That of `status` is only compared with nothing.
const MAX_ANSWER: u64 = 64 << 10;

/// Finds the git directory for a path, in it or above it on the same file system, as git does.
///
/// # Errors
/// If there is none.
pub(super) fn locate(path: &Path) -> anyhow::Result<GitDir> {
    let found = Repository::locate(path);
    if found.is_ok() || path.join(".git").exists() {
        return Ok(found?);
    }
    let Ok(real) = fs::canonicalize(path) else { return Ok(found?) };
    let device = |dir: &Path| fs::metadata(dir).map(|dir| dir.dev()).ok();
    let here = device(&real);
    for dir in real.ancestors().skip(1).take_while(|dir| device(dir) == here) {
        let is_bare = dir.join("HEAD").is_file() && dir.join("objects").is_dir();
        if is_bare || dir.join(".git").exists() {
            return Ok(Repository::locate(dir)?);
        }
    }
    found.context("neither this directory nor one above it belongs to a clone")
}

/// Resolves a revision: a ref or a commit id, or with git's help anything that names one object.
///
/// # Errors
/// If nothing has that name.
pub(super) fn resolve(
    repository: &Repository,
    path: &Path,
    rev: &str,
) -> anyhow::Result<(Option<RefName>, ObjectId)> {
    let unknown = match repository.resolve(rev) {
        Ok(found) => return Ok(found),
        Err(err) => err,
    };
    // Only an expression needs git. A name that is not found has its own error.
    if !rev.contains(['~', '^', '@', ':', '{', '-']) || rev.starts_with('-') {
        return Err(unknown.into());
    }
    let shown = text::line(rev);
    let answer = match git(path, &["rev-parse", "--verify", "--quiet", rev]) {
        Ok(answer) => answer,
        Err(err) => {
            let help = "name a branch, a tag or a commit ID, or install git, which resolves other revisions";
            return Err(anyhow::Error::from(err)
                .context(format!("failed to ask git for `{shown}`; {help}"))
                .context(unknown));
        }
    };
    let id = answer.and_then(|answer| answer.trim().parse().ok());
    let Some(id) = id else {
        bail!("{unknown}, and `git rev-parse --verify {}` finds nothing either", text::shell(Path::new(rev)));
    };
    Ok((None, id))
}

/// Returns true if the work tree has changes in tracked files that are not committed. Returns false
/// without a work tree, and if git cannot tell.
pub(super) fn is_dirty(path: &Path) -> bool {
    match git(path, &["status", "--porcelain", "--untracked-files=no"]) {
        Ok(changes) => changes.is_some_and(|changes| !changes.trim().is_empty()),
        // It printed too many changes.
        Err(err) => err.kind() == io::ErrorKind::InvalidData,
    }
}

/// Runs git in a directory and returns what it printed, `None` if it failed.
fn git(path: &Path, words: &[&str]) -> io::Result<Option<String>> {
    let mut command = child::command("git");
    // A file system monitor is a program that the repository's configuration names.
    command.arg("-C").arg(path).args(["-c", "core.fsmonitor=false"]).args(words);
    command.env("GIT_OPTIONAL_LOCKS", "0");
    match child::output(&mut command, Deadline::after(PATIENCE), MAX_ANSWER)? {
        Some((status, printed)) if status.success() => {
            Ok(Some(String::from_utf8_lossy(&printed).into_owned()))
        }
        Some(_) => Ok(None),
        None => Err(io::Error::new(io::ErrorKind::TimedOut, "git took longer than 30 s")),
    }
}
