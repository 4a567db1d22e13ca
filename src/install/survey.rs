//! A look at the hooks of every repository: which of them start us, and what there is that nobody expects.

use std::{collections::BTreeMap, ffi::OsStr, os::unix::ffi::OsStrExt as _, path::PathBuf};

use rustix::{fs::FileType, process::geteuid};

use super::{
    at::{Dir, Entry, Obstacle},
    command::{self, HookCommand},
    place::Place,
    slot::{HOOKS, NAME, POST_RECEIVE},
    tree::Walking,
};

/// The hooks of Gitea's; each is a file that starts those of a directory of its name, with `.d` behind it.
const GITEAS: [&str; 4] = ["pre-receive", "update", "post-receive", "proc-receive"];

/// Gitea's own file in such a directory.
const GITEA: &str = "gitea";

/// How large a hook may be that is read, in bytes.
const MAX_HOOK: u64 = 64 << 10;

const OTHERS_MAY_WRITE: u32 = 0o022;
const MAY_RUN: u32 = 0o111;

/// Something about the hooks of a repository that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// Gitea's own post-receive hook is not there or cannot be run, so no other is.
    DelegateDead,
    /// A file of ours cannot be run.
    WrapperDead,
    /// What has our name is not ours.
    WrapperForeign,
    /// A file of ours was changed so that nobody knows what it starts.
    WrapperChanged,
    /// The text of the Git Hooks page begins with a byte-order mark.
    PageMarked,
    /// A program that neither Gitea nor we have put there.
    Unexpected,
    /// Others than Gitea's user may write there.
    Loose,
    /// It belongs to the user with this id, and not to Gitea's.
    Owner(u32),
    /// It cannot be looked at, for this reason.
    Unseen(String),
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Survey {
    /// How many repositories there are.
    pub repositories: usize,
    /// How many of them Gitea runs no hooks in, because they have no directory for them.
    pub without_delegate: usize,
    /// Repositories that have no file of ours.
    pub uncovered: Vec<PathBuf>,
    /// What files of ours start, and in how many repositories.
    pub commands: BTreeMap<HookCommand, usize>,
    /// Where what is odd.
    pub oddities: BTreeMap<Oddity, Vec<PathBuf>>,
    /// What Gitea's own hooks start.
    pub gitea: Option<PathBuf>,
    /// A repository in which hooks are run.
    pub example: Option<PathBuf>,
}

/// Looks at every repository.
///
/// # Errors
/// If the directory of all repositories cannot be read.
pub fn survey(place: &Place, walking: &Walking) -> Result<Survey, Obstacle> {
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

impl Survey {
    fn look_at(&mut self, repository: &Dir) -> Result<(), Obstacle> {
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
                None if dir == POST_RECEIVE => self.without_delegate += 1,
                None => {}
            }
        }
        Ok(())
    }

    /// Looks at a file of `hooks` itself, where Gitea has four and git its samples.
    fn beside_giteas(&mut self, hooks: &Dir, name: &OsStr) {
        let Some(entry) = hooks.entry(name) else { return };
        let is_giteas = GITEAS.iter().any(|known| name == *known);
        let is_sample = name.as_bytes().ends_with(b".sample");
        if is_giteas {
            self.held(hooks, name);
        } else if !is_sample && is_program(entry) {
            self.odd(Oddity::Unexpected, hooks.path().join(name));
        }
    }

    /// Looks at the directory of files that one of Gitea's hooks starts.
    fn files(&mut self, hooks: &Dir, files: &Dir, hook: &str) -> Result<(), Obstacle> {
        self.held(files, ".");
        let is_ours = hook == "post-receive";
        for (name, _) in files.names()? {
            // These are not run.
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

    fn post_receive(&mut self, hooks: &Dir, files: &Dir) -> Result<(), Obstacle> {
        let repository = hooks.path().parent().unwrap_or(hooks.path());
        let delegate = hooks.entry("post-receive");
        if delegate.is_none_or(|entry| entry.mode & MAY_RUN == 0) {
            self.odd(Oddity::DelegateDead, hooks.path().join("post-receive"));
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
            None => self.uncovered.push(repository.to_path_buf()),
            Some(wrapper) if !command::is_wrapper(&wrapper.bytes) => self.odd(Oddity::WrapperForeign, path),
            Some(wrapper) => {
                self.held(files, NAME);
                if wrapper.mode & MAY_RUN == 0 {
                    self.odd(Oddity::WrapperDead, path.clone());
                }
                match HookCommand::of_wrapper(&wrapper.bytes) {
                    Some(command) => *self.commands.entry(command).or_default() += 1,
                    None => self.odd(Oddity::WrapperChanged, path),
                }
            }
        }
        Ok(())
    }

    /// Looks who holds a name: what others may change, they may have Gitea's user run.
    fn held(&mut self, dir: &Dir, name: impl AsRef<OsStr>) {
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

    fn odd(&mut self, oddity: Oddity, path: PathBuf) {
        self.oddities.entry(oddity).or_default().push(path);
    }

    fn obstacle(&mut self, err: &Obstacle) {
        let path = err.path().to_path_buf();
        self.odd(Oddity::Unseen(err.reason()), path);
    }
}

/// Returns whether Gitea's hook would start it: a file, or a link to one, that may be run.
fn is_program(entry: Entry) -> bool {
    match entry.kind {
        FileType::RegularFile => entry.mode & MAY_RUN != 0,
        // Whatever it leads to.
        FileType::Symlink => true,
        _ => false,
    }
}
