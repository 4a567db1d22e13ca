//! All repositories of a Gitea: `ROOT/OWNER/NAME.git`, wikis included.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::fs::FileType;

use super::{
    at::{Dir, Obstacle},
    slot::{self, Act, Came},
};

/// The directory of all repositories, held open.
#[derive(Debug)]
pub(super) struct Repositories {
    root: Dir,
}

/// A repository by its two names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    owner: OsString,
    /// With `.git` at its end.
    dir: OsString,
}

impl Repository {
    /// Returns `OWNER/NAME.git`.
    pub fn path(&self) -> PathBuf {
        Path::new(&self.owner).join(&self.dir)
    }
}

/// How far a walk is, for whoever watches it.
#[derive(Debug, Default)]
pub struct Walking {
    done: AtomicUsize,
    of: AtomicUsize,
}

impl Walking {
    /// Returns how many repositories are done, and of how many.
    pub fn now(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.of.load(Ordering::Relaxed))
    }
}

/// What came of a walk.
#[derive(Debug, Default)]
pub struct Walked {
    /// In how many repositories all was as it is to be.
    pub were_so: usize,
    /// In how many it is now.
    pub are_so: usize,
    /// How many have no `post-receive.d`: Gitea runs no hook there.
    pub without_delegate: usize,
    /// Where it could not be done.
    pub skipped: Vec<Obstacle>,
}

impl Repositories {
    /// Opens the directory.
    pub fn open(root: &Path) -> Result<Self, Obstacle> {
        Ok(Self { root: Dir::open(root)? })
    }

    /// Acts on every repository. As Gitea's own hooks are not, the files are not brought to disk one by one: should the machine
    /// die now, the next run replaces what it left.
    pub fn act(&self, act: Act<'_>, is_real: bool, walking: &Walking) -> Result<Walked, Obstacle> {
        let mut walked = Walked::default();
        self.each(walking, |opened| match opened {
            Ok(repository) => walked.add(act, slot::act_in(repository, act, is_real).map(Some)),
            Err(err) => walked.skip(act, err),
        })?;
        Ok(walked)
    }

    /// Shows `visit` every repository, and what stands where one should be.
    pub fn each(
        &self,
        walking: &Walking,
        mut visit: impl FnMut(Result<&Dir, Obstacle>),
    ) -> Result<(), Obstacle> {
        let mut owners = Vec::new();
        for (owner, kind) in self.root.names()? {
            if !may_be_opened(kind) {
                continue;
            }
            match self.root.sub(&owner).and_then(|dir| dir.map(|dir| dir.names()).transpose()) {
                Ok(Some(names)) => {
                    let names = names.into_iter().filter(|(name, kind)| is_repository(name, *kind));
                    let names: Vec<OsString> = names.map(|(name, _)| name).collect();
                    walking.of.fetch_add(names.len(), Ordering::Relaxed);
                    owners.push((owner, names));
                }
                // Deleted meanwhile.
                Ok(None) => {}
                Err(err) => visit(Err(err)),
            }
        }
        for (owner, names) in owners {
            let dir = match self.root.sub(&owner) {
                Ok(Some(dir)) => dir,
                Ok(None) => continue,
                Err(err) => {
                    visit(Err(err));
                    continue;
                }
            };
            for name in names {
                match dir.sub(&name) {
                    Ok(Some(repository)) => visit(Ok(&repository)),
                    // Deleted or renamed meanwhile.
                    Ok(None) => {}
                    Err(err) => visit(Err(err)),
                }
                walking.done.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Finds one repository, whose names Gitea writes in lower case on disk.
    pub fn find(&self, owner: &str, name: &str) -> Option<Repository> {
        let is_there = |repository: &Repository| {
            let owner = self.root.sub(&repository.owner).ok().flatten();
            owner.is_some_and(|owner| owner.has(&repository.dir))
        };
        let named = |owner: String, name: String| Repository {
            owner: owner.into(),
            dir: format!("{}.git", name.trim_end_matches(".git")).into(),
        };
        let exact = named(owner.to_string(), name.to_string());
        [exact, named(owner.to_lowercase(), name.to_lowercase())].into_iter().find(is_there)
    }

    /// Acts on these repositories alone.
    pub fn act_on(&self, repositories: &[Repository], act: Act<'_>, is_real: bool) -> Walked {
        let mut walked = Walked::default();
        for repository in repositories {
            let came = self.root.sub(&repository.owner).and_then(|owner| match owner {
                Some(owner) => act_in(&owner, &repository.dir, act, is_real),
                None => Ok(None),
            });
            walked.add(act, came);
        }
        walked
    }
}

impl Walked {
    /// Returns how many repositories were looked at.
    pub fn seen(&self) -> usize {
        self.were_so + self.are_so + self.without_delegate + self.skipped.len()
    }

    fn add(&mut self, act: Act<'_>, came: Result<Option<Came>, Obstacle>) {
        match came {
            Ok(Some(Came::WasSo)) => self.were_so += 1,
            Ok(Some(Came::IsSo)) => self.are_so += 1,
            Ok(Some(Came::NoPlace)) => self.without_delegate += 1,
            // Deleted or renamed meanwhile.
            Ok(None) => {}
            Err(err) => self.skip(act, err),
        }
    }

    fn skip(&mut self, act: Act<'_>, obstacle: Obstacle) {
        // What is not ours is not taken out, and nothing of ours is behind it.
        if matches!(act, Act::Put(_)) || obstacle.is_failure() {
            self.skipped.push(obstacle);
        }
    }
}

fn act_in(owner: &Dir, name: &OsStr, act: Act<'_>, is_real: bool) -> Result<Option<Came>, Obstacle> {
    owner.sub(name)?.map(|repository| slot::act_in(&repository, act, is_real)).transpose()
}

fn is_repository(name: &OsStr, kind: FileType) -> bool {
    let is_named_so = name.as_bytes().ends_with(b".git") && name.len() > b".git".len();
    is_named_so && may_be_opened(kind)
}

/// Returns whether it is a directory, or stands where one should be.
fn may_be_opened(kind: FileType) -> bool {
    matches!(kind, FileType::Directory | FileType::Symlink)
}
