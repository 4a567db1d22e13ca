//! Surveys the hooks of every repository: those that run our program, and anything unexpected.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::{fs::FileType, process::geteuid};

use super::{
    command::{self, HookCommand},
    dirfd::{EntryMetadata, Obstacle, OpenDir},
    excluded::is_excluded,
    hook_files::{HOOKS, NAME, POST_RECEIVE, REF_HOOK},
    root::RepositoriesRoot,
    tree::{DELEGATE, Walking},
};
use crate::facts::Repository;

/// Hooks that Gitea installs. Each runs the files in the directory of its name with the suffix
/// `.d`.
const GITEAS: [&str; 4] = ["pre-receive", "update", "post-receive", "proc-receive"];

/// Gitea's own file in such a directory.
const GITEA: &str = "gitea";

/// Maximum size of a hook that is read, in bytes.
const MAX_HOOK: u64 = 64 << 10;

const OTHERS_MAY_WRITE: u32 = 0o022;
const MAY_RUN: u32 = 0o111;

/// A condition of a repository's hooks that the administrator should know about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// Gitea's post-receive hook is missing or not executable, so no hook runs.
    DelegateDead,
    /// A file of ours is not executable.
    Dead,
    /// A foreign file has our wrapper's name.
    WrapperForeign,
    /// A file of ours was edited, so that its command cannot be parsed.
    Changed,
    /// The text of the Git Hooks page starts with a byte-order mark.
    PageMarked,
    /// An executable that neither Gitea nor this program installed.
    Unexpected,
    /// Users other than the owner can write to it.
    Loose,
    /// It belongs to this user ID instead of Gitea's user.
    Owner(u32),
    /// The repository's format cannot be read, for this reason.
    Format(String),
    /// It could not be inspected, for this reason.
    Unseen(String),
}

/// The result of a survey.
#[derive(Debug, Default)]
pub struct Survey {
    /// Number of repositories.
    pub repositories: usize,
    /// Number of repositories in which Gitea has no hooks, such as pull mirrors.
    pub without_delegate: usize,
    /// Repositories without our wrapper.
    pub uncovered: Vec<PathBuf>,
    /// Commands in our wrappers, with the number of repositories.
    pub commands: BTreeMap<HookCommand, usize>,
    /// Number of repositories with our hook for ref changes.
    pub ref_hooks: usize,
    /// Paths affected by each oddity.
    pub oddities: BTreeMap<Oddity, Vec<PathBuf>>,
    /// Program that Gitea's own hooks run.
    pub gitea: Option<PathBuf>,
    /// A repository in which hooks run.
    pub example: Option<PathBuf>,
}

/// Surveys every repository.
///
/// # Errors
/// If the root directory cannot be read.
pub fn survey(place: &RepositoriesRoot, walking: &Walking) -> Result<Survey, Obstacle> {
    let mut survey = Survey::default();
    let Some(repositories) = place.repositories()? else { return Ok(survey) };
    repositories.each(walking, |opened| match opened {
        Ok(repository) => {
            survey.repositories += 1;
            if let Err(err) = survey.look_at(repository) {
                survey.obstacle(&err);
            }
        }
        Err(err) => survey.obstacle(&err),
    })?;
    Ok(survey)
}

/// Calls `visit` for the directory of every repository, and for every one that cannot be opened.
/// Returns false if Gitea has not created the root directory yet.
///
/// # Errors
/// If the root directory cannot be read.
pub fn each_repository(
    place: &RepositoriesRoot,
    walking: &Walking,
    mut visit: impl FnMut(Result<&Path, Obstacle>),
) -> Result<bool, Obstacle> {
    let Some(repositories) = place.repositories()? else { return Ok(false) };
    repositories.each(walking, |opened| visit(opened.map(OpenDir::path)))?;
    Ok(true)
}

impl Survey {
    fn look_at(&mut self, repository: &OpenDir) -> Result<(), Obstacle> {
        if let Some(why) = Repository::flaw(repository.path()) {
            self.odd(Oddity::Format(why), repository.path().to_path_buf());
        }
        let Some(hooks) = repository.sub(HOOKS)? else {
            self.without_delegate += 1;
            return Ok(());
        };
        self.held(&hooks, ".");
        for (name, _) in hooks.names()? {
            self.beside_giteas(&hooks, &name);
        }
        for name in GITEAS {
            let dir = format!("{name}.d");
            match hooks.sub(&dir)? {
                Some(files) => self.files(&hooks, &files, name)?,
                None if dir == POST_RECEIVE => {
                    self.without_delegate += 1;
                    if hooks.entry(DELEGATE).is_none() {
                        self.uncovered(repository.path());
                    }
                }
                None => {}
            }
        }
        self.ref_hook(&hooks);
        Ok(())
    }

    /// Checks an entry of `hooks` itself, which normally contains Gitea's four hooks and git's
    /// samples. Git's hook for ref changes is checked separately.
    fn beside_giteas(&mut self, hooks: &OpenDir, name: &OsStr) {
        let Some(entry) = hooks.entry(name) else { return };
        let is_giteas = GITEAS.iter().any(|known| name == *known);
        let is_sample = name.as_bytes().ends_with(b".sample");
        if is_giteas {
            self.held(hooks, name);
        } else if !is_sample && name != REF_HOOK && is_program(entry) {
            self.odd(Oddity::Unexpected, hooks.path().join(name));
        }
    }

    /// Checks the directory of files that one of Gitea's hooks runs.
    fn files(&mut self, hooks: &OpenDir, files: &OpenDir, hook: &str) -> Result<(), Obstacle> {
        self.held(files, ".");
        let is_ours = hook == "post-receive";
        for (name, _) in files.names()? {
            // Gitea's hook skips hidden files. Our wrapper is checked below.
            if name.as_bytes().starts_with(b".") || (is_ours && name == NAME) {
                continue;
            }
            let Some(entry) = files.entry(&name) else { continue };
            let is_known = name == GITEA || name == hook;
            if is_known {
                self.held(files, &name);
            } else if is_program(entry) {
                self.odd(Oddity::Unexpected, files.path().join(&name));
            }
        }
        if is_ours {
            self.post_receive(hooks, files)?;
        }
        Ok(())
    }

    fn post_receive(&mut self, hooks: &OpenDir, files: &OpenDir) -> Result<(), Obstacle> {
        let repository = hooks.path().parent().unwrap_or(hooks.path());
        let delegate = hooks.entry(DELEGATE);
        if delegate.is_none() && files.entry(GITEA).is_none() {
            self.without_delegate += 1;
        } else if delegate.is_none_or(|entry| entry.mode & MAY_RUN == 0) {
            self.odd(Oddity::DelegateDead, hooks.path().join(DELEGATE));
        } else if self.example.is_none() {
            self.example = Some(repository.to_path_buf());
        }
        if self.gitea.is_none()
            && let Ok(Some(own)) = files.read(GITEA, MAX_HOOK)
        {
            self.gitea = command::program_of(&own.bytes);
        }
        if let Ok(Some(page)) = files.read("post-receive", MAX_HOOK)
            && page.bytes.starts_with("\u{feff}#!".as_bytes())
        {
            self.odd(Oddity::PageMarked, files.path().join("post-receive"));
        }
        let path = files.path().join(NAME);
        match files.read(NAME, MAX_HOOK)? {
            None => self.uncovered(repository),
            Some(wrapper) if !command::is_ours(&wrapper.bytes) => self.odd(Oddity::WrapperForeign, path),
            Some(wrapper) => {
                self.held(files, NAME);
                if wrapper.mode & MAY_RUN == 0 {
                    self.odd(Oddity::Dead, path.clone());
                }
                match HookCommand::of_wrapper(&wrapper.bytes) {
                    Some(command) => *self.commands.entry(command).or_default() += 1,
                    None => self.odd(Oddity::Changed, path),
                }
            }
        }
        Ok(())
    }

    /// Checks git's hook for ref changes, which is ours or unexpected. The wrappers were checked before.
    fn ref_hook(&mut self, hooks: &OpenDir) {
        let Some(entry) = hooks.entry(REF_HOOK) else { return };
        let path = hooks.path().join(REF_HOOK);
        let content = hooks.read(REF_HOOK, MAX_HOOK).ok().flatten();
        let Some(hook) = content.filter(|content| command::is_ours(&content.bytes)) else {
            if is_program(entry) {
                self.odd(Oddity::Unexpected, path);
            }
            return;
        };
        self.held(hooks, REF_HOOK);
        if hook.mode & MAY_RUN == 0 {
            self.odd(Oddity::Dead, path);
        } else if self.commands.keys().any(|command| command.ref_hook_file() == hook.bytes) {
            self.ref_hooks += 1;
        } else {
            self.odd(Oddity::Changed, path);
        }
    }

    /// Checks owner and permissions of an entry: users who can change it can run code as Gitea's
    /// user.
    fn held(&mut self, dir: &OpenDir, name: impl AsRef<OsStr>) {
        let Some(entry) = dir.entry(name.as_ref()) else { return };
        let path =
            || if name.as_ref() == "." { dir.path().to_path_buf() } else { dir.path().join(name.as_ref()) };
        if entry.kind != FileType::Symlink && entry.mode & OTHERS_MAY_WRITE != 0 {
            self.odd(Oddity::Loose, path());
        }
        if entry.owner != geteuid().as_raw() {
            self.odd(Oddity::Owner(entry.owner), path());
        }
    }

    fn uncovered(&mut self, repository: &Path) {
        if !is_excluded(repository) {
            self.uncovered.push(repository.to_path_buf());
        }
    }

    fn odd(&mut self, oddity: Oddity, path: PathBuf) {
        self.oddities.entry(oddity).or_default().push(path);
    }

    fn obstacle(&mut self, err: &Obstacle) {
        let path = err.path().to_path_buf();
        self.odd(Oddity::Unseen(err.reason()), path);
    }
}

/// Returns true if Gitea's hook would run the entry: an executable file, or a link.
fn is_program(entry: EntryMetadata) -> bool {
    match entry.kind {
        FileType::RegularFile => entry.mode & MAY_RUN != 0,
        // The target of the link is not checked.
        FileType::Symlink => true,
        _ => false,
    }
}
