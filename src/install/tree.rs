//! Walks over all repositories of a Gitea, `ROOT/OWNER/NAME.git`, including wikis.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::fs::FileType;

use super::{
    dirfd::{Obstacle, OpenDir},
    excluded::is_excluded,
    hook_files::{Change, HOOKS, HookFiles, POST_RECEIVE, Visited},
};

/// Gitea's hook that runs the files of [`POST_RECEIVE`]. Gitea creates both together.
pub(super) const DELEGATE: &str = "post-receive";

/// The root directory of all repositories, held open.
#[derive(Debug)]
pub(super) struct Repositories {
    root: OpenDir,
}

/// A repository, by owner and directory name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryDir {
    owner: OsString,
    /// Directory name, with the suffix `.git`.
    dir: OsString,
}

impl RepositoryDir {
    /// Returns the repository with this path below the root directory.
    pub(super) fn below(path: &Path) -> Option<Self> {
        let mut names = path.iter().map(ToOwned::to_owned);
        let (owner, dir) = (names.next()?, names.next()?);
        names.next().is_none().then_some(Self { owner, dir })
    }
}

/// The progress of a walk, for display by another thread.
#[derive(Debug, Default)]
pub struct Walking {
    done: AtomicUsize,
    of: AtomicUsize,
}

impl Walking {
    /// Returns the number of finished repositories, and the total.
    pub fn now(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.of.load(Ordering::Relaxed))
    }
}

/// The result of a walk.
#[derive(Debug, Default)]
pub struct TreeReport {
    /// Number of repositories that were already up to date.
    pub were_so: usize,
    /// Number of repositories that were changed, or would be on a dry run.
    pub are_so: usize,
    /// Number of repositories in which there is no place for our file.
    pub without_hooks: usize,
    /// Number of repositories in which an administrator switched our hook off.
    pub excluded: usize,
    /// Number of repositories without Gitea's own hook, in which ours does not run yet. The numbers
    /// above count them too.
    pub without_delegate: usize,
    /// Failures of the hook for ref changes, in repositories that the numbers above count too.
    pub without_ref_hook: Vec<Obstacle>,
    /// Failures, one for each skipped repository or owner.
    pub skipped: Vec<Obstacle>,
}

impl Repositories {
    /// Opens the root directory.
    pub fn open(root: &Path) -> Result<Self, Obstacle> {
        Ok(Self { root: OpenDir::open(root)? })
    }

    /// Puts our files into every repository, or removes them. Files are not fsynced, and Gitea does not
    /// fsync its own hooks either. After a crash, the next run repairs them.
    pub fn act(&self, files: &HookFiles, is_real: bool, walking: &Walking) -> Result<TreeReport, Obstacle> {
        let mut walked = TreeReport::default();
        self.each(walking, |opened| match opened {
            Ok(repository) => walked.add(files, act_in(repository, files, is_real).map(Some)),
            Err(err) => walked.skip(files, err),
        })?;
        Ok(walked)
    }

    /// Calls `visit` for every repository, and for every one that cannot be opened.
    pub fn each(
        &self,
        walking: &Walking,
        mut visit: impl FnMut(Result<&OpenDir, Obstacle>),
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
                // Deleted since the listing.
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
                    // Deleted or renamed since the listing.
                    Ok(None) => {}
                    Err(err) => visit(Err(err)),
                }
                walking.done.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Finds a repository by its exact name, or by its name in lower case, as Gitea writes it on
    /// disk.
    pub fn find(&self, owner: &str, name: &str) -> Option<RepositoryDir> {
        let is_there = |repository: &RepositoryDir| {
            let owner = self.root.sub(&repository.owner).ok().flatten();
            owner.is_some_and(|owner| owner.has(&repository.dir))
        };
        let named = |owner: String, name: String| RepositoryDir {
            owner: owner.into(),
            dir: format!("{}.git", name.trim_end_matches(".git")).into(),
        };
        let exact = named(owner.to_string(), name.to_string());
        [exact, named(owner.to_lowercase(), name.to_lowercase())].into_iter().find(is_there)
    }

    /// Puts our files into these repositories, or removes them.
    pub fn act_on(&self, repositories: &[RepositoryDir], files: &HookFiles, is_real: bool) -> TreeReport {
        let mut walked = TreeReport::default();
        for repository in repositories {
            let visited = self.root.sub(&repository.owner).and_then(|owner| match owner {
                Some(owner) => act_in_named(&owner, &repository.dir, files, is_real),
                None => Ok(None),
            });
            walked.add(files, visited);
        }
        walked
    }
}

impl TreeReport {
    /// Returns the number of repositories visited.
    pub fn seen(&self) -> usize {
        self.were_so + self.are_so + self.without_hooks + self.excluded + self.skipped.len()
    }

    fn add(&mut self, files: &HookFiles, visited: Result<Option<VisitedRepository>, Obstacle>) {
        match visited {
            Ok(Some(VisitedRepository { visited, has_delegate, is_excluded })) => {
                self.without_delegate += usize::from(!has_delegate && !is_excluded);
                self.without_ref_hook.extend(visited.ref_hook_obstacle);
                *match visited.change {
                    _ if is_excluded => &mut self.excluded,
                    Change::Unchanged => &mut self.were_so,
                    Change::Changed => &mut self.are_so,
                    Change::NoHooksDir => &mut self.without_hooks,
                } += 1;
            }
            // Deleted or renamed since the listing.
            Ok(None) => {}
            Err(err) => self.skip(files, err),
        }
    }

    fn skip(&mut self, files: &HookFiles, obstacle: Obstacle) {
        // Removal ignores links and foreign files, because they do not contain anything of ours.
        if files.are_wanted() || obstacle.is_failure() {
            self.skipped.push(obstacle);
        }
    }
}

/// The result of an operation in a repository.
struct VisitedRepository {
    visited: Visited,
    has_delegate: bool,
    is_excluded: bool,
}

fn act_in_named(
    owner: &OpenDir,
    name: &OsStr,
    files: &HookFiles,
    is_real: bool,
) -> Result<Option<VisitedRepository>, Obstacle> {
    owner.sub(name)?.map(|repository| act_in(&repository, files, is_real)).transpose()
}

/// Puts our files into a repository, or removes them. A repository that an administrator excluded gets none.
///
/// A pull mirror has no `post-receive.d`. It gets one, because Gitea makes an ordinary repository of
/// a mirror without asking git, so no template would bring the wrapper then.
fn act_in(repository: &OpenDir, files: &HookFiles, is_real: bool) -> Result<VisitedRepository, Obstacle> {
    let is_excluded = files.are_wanted() && is_excluded(repository.path());
    let none = HookFiles::default();
    let files = if is_excluded { &none } else { files };
    let nothing =
        || VisitedRepository { visited: Visited::of(Change::NoHooksDir), has_delegate: false, is_excluded };
    let Some(hooks) = repository.sub(HOOKS)? else { return Ok(nothing()) };
    let has_delegate = hooks.has(DELEGATE);
    let dir = match hooks.sub(POST_RECEIVE)? {
        // A hook without the directory is not Gitea's, so it would not run the wrapper.
        None if files.are_wanted() && has_delegate => return Ok(nothing()),
        None if files.are_wanted() && is_real => Some(hooks.sub_or_made(POST_RECEIVE)?),
        dir => dir,
    };
    let visited = match files.act_on(&hooks, dir.as_ref(), is_real) {
        // A foreign file, which stays.
        Err(err) if is_excluded && !err.is_failure() => Visited::of(Change::Unchanged),
        visited => visited?,
    };
    if is_real && !files.are_wanted() && !has_delegate {
        hooks.remove_empty(POST_RECEIVE)?;
    }
    Ok(VisitedRepository { visited, has_delegate, is_excluded })
}

fn is_repository(name: &OsStr, kind: FileType) -> bool {
    let is_named_so = name.as_bytes().ends_with(b".git") && name.len() > b".git".len();
    is_named_so && may_be_opened(kind)
}

/// Returns true for a directory, and for a link, which is then reported as an obstacle.
fn may_be_opened(kind: FileType) -> bool {
    matches!(kind, FileType::Directory | FileType::Symlink)
}
