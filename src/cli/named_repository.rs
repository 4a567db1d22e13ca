//! `REPO` and `REV`, which mean the same in every command. `REPO` is the path of a repository, of a
//! clone or of a directory in it, or the present or a former `OWNER/NAME`. `REV` is what git
//! understands.

use std::{
    fs, io,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::geteuid;

use super::repository_names::RepositoryNames;
use crate::{
    facts::Repository,
    install::{self, Gitea},
    push::{GitDir, ObjectId, RefName, RepositoryIdentity},
    state::Journal,
    sys::{child, time::Deadline},
    text,
};

/// Maximum time for one command of git.
const PATIENCE: Duration = Duration::from_secs(30);

/// Maximum length of git's answer. That of `status` is only compared with nothing.
const MAX_ANSWER: u64 = 64 << 10;

/// A repository as the user named it.
pub(super) struct NamedRepository {
    /// All its names, of which the newest was given if the journal has no push to it.
    pub names: RepositoryNames,
    /// Its directory, if it is known.
    pub git_dir: Option<GitDir>,
    /// The directory in which git is asked about it.
    path: PathBuf,
}

impl NamedRepository {
    /// Looks for the repository that `text` names. `named` replaces the name of a path.
    ///
    /// # Errors
    /// If it is a directory without a repository, or if the journal cannot be read.
    pub fn find(
        text: &str,
        named: Option<&RepositoryIdentity>,
        journal: Option<&Journal>,
    ) -> anyhow::Result<Self> {
        let look = |name: &str, git_dir: Option<&GitDir>| match journal {
            Some(journal) => RepositoryNames::find(journal, name, git_dir),
            None => Ok(RepositoryNames::only(name)),
        };
        // What the hook records has no symbolic links.
        let dir = fs::canonicalize(text).ok().filter(|path| path.is_dir());
        let exact = dir.as_deref().and_then(|path| Repository::locate(path).ok());
        if exact.is_none() {
            let short = text.trim_end_matches('/');
            let short = short.strip_suffix(".git").unwrap_or(short).to_string();
            let name = named.map_or(short, RepositoryIdentity::full_name);
            let names = look(&name, None)?;
            if names.is_known() || dir.is_none() {
                let git_dir = names.git_dir().cloned().or_else(|| dir_at_gitea(&name));
                let path = git_dir.as_ref().map_or_else(PathBuf::new, |dir| dir.as_path().into());
                return Ok(Self { names, git_dir, path });
            }
        }
        let path = dir.unwrap_or_default();
        let git_dir = exact.map_or_else(|| locate_above(&path), Ok)?;
        let identity = named.cloned().unwrap_or_else(|| name_of(&git_dir));
        Ok(Self { names: look(&identity.full_name(), Some(&git_dir))?, git_dir: Some(git_dir), path })
    }

    /// Returns its directory.
    ///
    /// # Errors
    /// If it was named by a name that leads to no directory.
    pub fn dir(&self) -> anyhow::Result<&GitDir> {
        let name = text::line(self.names.newest());
        self.git_dir.as_ref().with_context(|| {
            format!(
                "there is no directory `{name}`, and no repository of that name in the journal or in Gitea's \
                 app.ini; give the path of the repository"
            )
        })
    }

    /// Returns its newest name.
    pub fn identity(&self) -> RepositoryIdentity {
        RepositoryIdentity::of_full_name(self.names.newest())
    }

    /// Resolves a revision: a ref or a commit id, or with git's help anything that names one object.
    ///
    /// # Errors
    /// If nothing has that name.
    pub fn resolve(&self, repository: &Repository, rev: &str) -> anyhow::Result<(Option<RefName>, ObjectId)> {
        // git's short form.
        let rev = if rev == "@" { "HEAD" } else { rev };
        let unknown = match repository.resolve(rev) {
            Ok(found) => return Ok(found),
            Err(err) => err,
        };
        // Only an expression needs git. A name that is not found has its own error.
        if !rev.contains(['~', '^', '@', ':', '{', '-']) || rev.starts_with('-') {
            return Err(unknown.into());
        }
        let shown = text::line(rev);
        let answer = match git(&self.path, &["rev-parse", "--verify", "--quiet", rev]) {
            Ok(answer) => answer,
            Err(err) => {
                let help =
                    "name a branch, a tag or a commit ID, or install git, which resolves other revisions";
                return Err(anyhow::Error::from(err)
                    .context(format!("failed to ask git for `{shown}`; {help}"))
                    .context(unknown));
            }
        };
        let id = answer.and_then(|answer| answer.trim().parse().ok());
        let Some(id) = id else { bail!("{unknown}, and git's rev-parse finds nothing either") };
        Ok((None, id))
    }

    /// Returns true if the work tree has changes in tracked files that are not committed. Returns
    /// false without a work tree, and if git cannot tell.
    pub fn is_dirty(&self) -> bool {
        match git(&self.path, &["status", "--porcelain", "--untracked-files=no"]) {
            Ok(changes) => changes.is_some_and(|changes| !changes.trim().is_empty()),
            // It printed too many changes.
            Err(err) => err.kind() == io::ErrorKind::InvalidData,
        }
    }
}

/// Returns the name of a repository in a directory: that of its `origin` for a clone.
fn name_of(git_dir: &GitDir) -> RepositoryIdentity {
    let is_clone = git_dir.as_path().file_name().is_some_and(|name| name == ".git");
    let origin = || Repository::open(git_dir).ok()?.origin();
    let origin = if is_clone { origin() } else { None };
    origin.unwrap_or_else(|| RepositoryIdentity::of_dir(git_dir))
}

/// Finds the git directory above a path on the same file system, as git does.
fn locate_above(path: &Path) -> anyhow::Result<GitDir> {
    let device = |dir: &Path| fs::metadata(dir).map(|dir| dir.dev()).ok();
    let here = device(path);
    for dir in path.ancestors().skip(1).take_while(|dir| device(dir) == here) {
        let is_bare = dir.join("HEAD").is_file() && dir.join("objects").is_dir();
        if is_bare || dir.join(".git").exists() {
            return Ok(Repository::locate(dir)?);
        }
    }
    Repository::locate(path).context("neither this directory nor one above it belongs to a repository")
}

/// Returns the directory of a repository of the Gitea on this machine. Gitea writes its names in lower
/// case.
fn dir_at_gitea(name: &str) -> Option<GitDir> {
    let (owner, name) = super::repository_names(name).ok()?;
    let found = install::find(None).ok()?;
    let gitea = Gitea::read(found.config(), None).ok()?;
    let dir = gitea.root().join(owner.to_lowercase()).join(format!("{}.git", name.to_lowercase()));
    Repository::locate(&fs::canonicalize(dir).ok()?).ok()
}

/// Runs git in a directory and returns what it printed, `None` if it failed. Root runs it as the
/// directory's owner, whose configuration can name programs.
fn git(path: &Path, words: &[&str]) -> io::Result<Option<String>> {
    let mut command = child::command("git");
    // A file system monitor is a program that the repository's configuration names.
    command.arg("-C").arg(path).args(["-c", "core.fsmonitor=false"]).args(words);
    command.env("GIT_OPTIONAL_LOCKS", "0");
    let owner = fs::metadata(path)?;
    if geteuid().is_root() && owner.uid() != 0 {
        command.uid(owner.uid()).gid(owner.gid()).env("GIT_CONFIG_GLOBAL", "/dev/null");
    }
    match child::output(&mut command, Deadline::after(PATIENCE), MAX_ANSWER)? {
        Some((status, printed)) if status.success() => {
            Ok(Some(String::from_utf8_lossy(&printed).into_owned()))
        }
        Some(_) => Ok(None),
        None => Err(io::Error::new(io::ErrorKind::TimedOut, "git took longer than 30 s")),
    }
}
