//! Exports the part of a repository that the test of a real push needs: the commits that the push
//! added, those that its refs pointed to before, and the changed paths. File content is exported
//! only on request.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use anyhow::{Context as _, bail};

use crate::{
    facts::{Commit, Facts, Range, Repository, Tag},
    push::{ObjectId, Push, PushId, RefName, Source, Update},
    sys::time,
};

/// Maximum number of commits exported per update. The newest are kept.
pub(super) const MAX_COMMITS: usize = 20;

/// Maximum number of changed paths exported per commit.
const MAX_PATHS: usize = 50;

/// Label of the commit that the others build on.
const BASE: &str = "base";

/// The exported commits and ref updates of a push.
#[derive(Default)]
pub(super) struct ExportedPush {
    pub history: Vec<ExportedCommit>,
    pub updates: Vec<ExportedUpdate>,
}

/// A commit of the test.
#[derive(Default)]
pub(super) struct ExportedCommit {
    /// Real commit, or `None` for a placeholder that comes before all others.
    pub commit: Option<Rc<Commit>>,
    pub label: Option<String>,
    pub branch: Option<String>,
    pub refs: Vec<String>,
    pub merge: Vec<String>,
    /// Content by path; `None` if the commit removes the file.
    pub files: BTreeMap<String, Option<String>>,
}

/// An update of the test.
pub(super) struct ExportedUpdate {
    pub ref_name: RefName,
    pub to: Option<String>,
    pub commits: Vec<ExportedCommit>,
    pub tag: Option<Tag>,
    pub is_deleted: bool,
    /// Number of commits that the real update added, as far as they were counted.
    pub n_commits: usize,
    /// True if the update added more than `n_commits`.
    pub has_more_commits: bool,
    pub commit_id: Option<ObjectId>,
}

/// Exports pushes from a repository.
pub(super) struct Exporter<'a> {
    repository: Rc<Repository>,
    source: Source,
    /// Paths of the files whose content is exported.
    with_files: &'a [String],
    default_branch: String,
}

/// An update with its commits, read from the repository.
struct UpdateWithCommits {
    update: Update,
    old: Option<Rc<Commit>>,
    new: Option<Rc<Commit>>,
    tag: Option<Tag>,
    range: Rc<Range>,
    is_forced: bool,
}

impl UpdateWithCommits {
    /// Returns true for a forced update: the new commit is not a descendant of the old one.
    fn is_rewind(&self) -> bool {
        self.old.is_some() && self.new.is_some() && self.is_forced
    }
}

/// The state of the test repository while it is being built.
#[derive(Default)]
struct Stock {
    /// Commits that are part of the test.
    known: HashSet<ObjectId>,
    /// Commits that something refers to, which therefore need a label.
    wanted: HashSet<ObjectId>,
    /// Commit that the default branch points to.
    tip: Option<ObjectId>,
}

impl<'a> Exporter<'a> {
    pub fn open(source: Source, with_files: &'a [String]) -> anyhow::Result<Self> {
        let repository = Rc::new(Repository::open(&source.git_dir)?);
        let default_branch = repository.default_branch()?.map_or_else(|| "main".into(), ToString::to_string);
        Ok(Self { repository, source, with_files, default_branch })
    }

    pub fn default_branch(&self) -> &str {
        &self.default_branch
    }

    /// Exports a push with these updates.
    pub fn tell(&self, updates: &[Update]) -> anyhow::Result<ExportedPush> {
        let reads: Vec<UpdateWithCommits> = updates
            .iter()
            .map(|update| {
                self.read(update).with_context(|| format!("failed to read `{}`", update.ref_name().to_text()))
            })
            .collect::<anyhow::Result<_>>()?;
        let mut stock = Stock::default();
        let mut history = self.before(&reads, &mut stock);
        let mut sides = Vec::new();
        let mut told = Vec::new();
        for read in &reads {
            told.push(self.update(read, &mut stock, &mut sides)?);
        }
        history.append(&mut sides);
        let mut retold = ExportedPush { history, updates: told };
        self.fill_in(&reads, &mut retold)?;
        for commit in retold.history.iter_mut().chain(retold.updates.iter_mut().flat_map(|u| &mut u.commits))
        {
            let id = commit.commit.as_ref().map(|commit| commit.id);
            if let Some(id) = id.filter(|id| stock.wanted.contains(id)) {
                commit.label = Some(id.short());
            }
        }
        Ok(retold)
    }

    fn read(&self, update: &Update) -> anyhow::Result<UpdateWithCommits> {
        let facts = self.look(update.old_id(), update.new_id())?;
        let old = match update.old_id() {
            // The old commit of a deleted ref may have been garbage-collected.
            Some(old) => self.look(None, Some(old))?.commit().unwrap_or_default(),
            None => None,
        };
        let target = update.new_id().map(|_| facts.target()).transpose()?;
        let (new, tag) = target.map_or((None, None), |target| (target.commit.clone(), target.tag.clone()));
        if update.new_id().is_some() && new.is_none() {
            bail!("the update points to an object that is not a commit, which a test cannot express");
        }
        let range = if new.is_some() { facts.range()? } else { Rc::default() };
        let is_forced = facts.is_rewind()?;
        Ok(UpdateWithCommits { update: update.clone(), old, new, tag, range, is_forced })
    }

    /// Returns the facts for a ref update between two objects.
    fn look(&self, old: Option<ObjectId>, new: Option<ObjectId>) -> anyhow::Result<Facts> {
        let some = old.or(new).context("an update of nothing")?;
        let null = ObjectId::from_raw(&vec![0; some.as_bytes().len()]).context("no null id")?;
        let name = RefName::new(b"refs/heads/x").context("no name")?;
        let update = Update::new(name, old.unwrap_or(null), new.unwrap_or(null)).context("no update")?;
        let push = Push::new(PushId::now(), time::now(), self.source.clone(), vec![update]);
        Ok(Facts::new(Rc::new(push), 0, Ok(self.repository.clone())))
    }

    /// Builds the history before the push: the old commits of moved refs, and existing commits that
    /// the push made a ref point to.
    fn before(&self, reads: &[UpdateWithCommits], stock: &mut Stock) -> Vec<ExportedCommit> {
        let default = format!("refs/heads/{}", self.default_branch);
        let is_default = |read: &UpdateWithCommits| read.update.ref_name().as_bstr() == default.as_bytes();
        let brings = |read: &&UpdateWithCommits| read.old.is_some() || is_default(read);
        let brought: HashSet<ObjectId> = reads
            .iter()
            .filter(brings)
            .flat_map(|read| read.range.commits.iter().map(|commit| commit.id))
            .collect();
        let mut commits: Vec<Rc<Commit>> = Vec::new();
        let mut is_first_named = false;
        for read in reads {
            let mut named = read.new.iter().filter(|new| !brought.contains(&new.id));
            is_first_named |= read.old.is_none() && named.clone().next().is_some();
            // The commits may have the same timestamp. After a rewind the new one is the older.
            let (first, second) = if read.is_rewind() {
                (named.next(), read.old.as_ref())
            } else {
                (read.old.as_ref(), named.next())
            };
            for commit in first.into_iter().chain(second) {
                if !commits.iter().any(|there| there.id == commit.id) {
                    commits.push(commit.clone());
                }
            }
        }
        commits.sort_by_key(|commit| commit.committer.time);
        let is_forced = reads.iter().any(|read| read.is_rewind() && read.range.count > 0);
        let mut lines = Vec::new();
        if commits.len() > 1 || is_first_named || is_forced {
            lines.push(ExportedCommit { label: is_forced.then(|| BASE.into()), ..ExportedCommit::default() });
        }
        let mut is_past_default = false;
        for commit in commits {
            let named = |read: &&UpdateWithCommits| read.old.as_ref().is_some_and(|old| old.id == commit.id);
            let mut refs: Vec<String> =
                reads.iter().filter(named).map(|read| read.update.ref_name().to_text()).collect();
            let branch = is_past_default.then(|| "before".to_string());
            if !is_past_default {
                stock.tip = Some(commit.id);
            }
            if refs.contains(&default) {
                is_past_default = true;
                refs.retain(|name| *name != default);
            }
            stock.known.insert(commit.id);
            lines.push(ExportedCommit { commit: Some(commit), branch, refs, ..ExportedCommit::default() });
        }
        lines
    }

    fn update(
        &self,
        read: &UpdateWithCommits,
        stock: &mut Stock,
        sides: &mut Vec<ExportedCommit>,
    ) -> anyhow::Result<ExportedUpdate> {
        let mut told = ExportedUpdate {
            ref_name: read.update.ref_name().clone(),
            to: None,
            commits: Vec::new(),
            tag: read.tag.clone(),
            is_deleted: read.update.is_deleted(),
            n_commits: read.range.count,
            has_more_commits: read.range.is_truncated,
            commit_id: read.new.as_ref().map(|new| new.id),
        };
        let Some(new) = &read.new else { return Ok(told) };
        let range: HashMap<ObjectId, &Rc<Commit>> = read.range.commits.iter().map(|c| (c.id, c)).collect();
        let (chain, start) = chain(new, &range, &stock.known);
        let is_branch = read.update.ref_name().as_bstr().starts_with(b"refs/heads/");
        let stays = match &read.old {
            Some(old) if is_branch => Some(old.id),
            _ => stock.tip,
        };
        told.to = match start {
            Some(start) if Some(start) != stays => {
                stock.wanted.insert(start);
                Some(start.short())
            }
            None if read.is_rewind() => Some(BASE.to_string()),
            _ => None,
        };
        let main: HashSet<ObjectId> = chain.iter().map(|commit| commit.id).collect();
        for commit in chain {
            let mut merge = Vec::new();
            for parent in commit.parents.iter().skip(1) {
                if stock.known.contains(parent) {
                    stock.wanted.insert(*parent);
                    merge.push(parent.short());
                    continue;
                }
                let branch = format!(
                    "side-{}",
                    sides.iter().filter_map(|side| side.branch.as_ref()).collect::<BTreeSet<_>>().len() + 1
                );
                let tip = match range.get(parent) {
                    Some(tip) => Rc::clone(tip),
                    None => self.look(None, Some(*parent))?.commit()?.context("a parent is not a commit")?,
                };
                let (side, _) = chain_of(
                    &tip,
                    |id| range.get(&id).copied().filter(|_| !main.contains(&id)),
                    &stock.known,
                );
                stock.known.extend(side.iter().map(|commit| commit.id));
                sides.extend(side.into_iter().map(|commit| ExportedCommit {
                    commit: Some(commit),
                    branch: Some(branch.clone()),
                    ..ExportedCommit::default()
                }));
                merge.push(branch);
            }
            stock.known.insert(commit.id);
            told.commits.push(ExportedCommit { commit: Some(commit), merge, ..ExportedCommit::default() });
        }
        if read.update.ref_name().as_bstr() == format!("refs/heads/{}", self.default_branch).as_bytes() {
            stock.tip = Some(new.id);
        }
        Ok(told)
    }

    /// Adds the changed files to each commit, and the files that existed before to the first
    /// commit.
    fn fill_in(&self, reads: &[UpdateWithCommits], retold: &mut ExportedPush) -> anyhow::Result<()> {
        let mut before: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut there: BTreeSet<String> = BTreeSet::new();
        // Old commits do not list their changes, unless a new ref points to them.
        let before_all: HashSet<ObjectId> = reads
            .iter()
            .filter_map(|read| read.old.as_ref())
            .map(|old| old.id)
            .filter(|old| {
                let names_it = |read: &UpdateWithCommits| read.new.as_ref().is_some_and(|new| new.id == *old);
                !reads.iter().any(|read| read.old.is_none() && names_it(read))
            })
            .collect();
        let brought = retold.updates.iter_mut().flat_map(|update| &mut update.commits);
        for told in retold.history.iter_mut().chain(brought) {
            let Some(commit) = told.commit.clone() else { continue };
            let rewound = reads.iter().find(|read| {
                read.is_rewind()
                    && read.range.count == 0
                    && read.old.as_ref().is_some_and(|old| old.id == commit.id)
            });
            let base = match rewound {
                Some(read) => read.new.as_ref().map(|new| new.id),
                None if before_all.contains(&commit.id) => continue,
                None => commit.parents.first().copied(),
            };
            let facts = self.look(base, Some(commit.id))?;
            for changed in facts.changed_paths()?.paths.iter().take(MAX_PATHS) {
                let Ok(path) = std::str::from_utf8(&changed.path) else { continue };
                let content = self.content(&facts.file(path), path, commit.id);
                let was_there = !matches!(facts.file_before(path), Ok(None));
                if !there.contains(path) && (was_there || content.is_none()) && is_free(&there, path) {
                    let id = base.unwrap_or(commit.id);
                    let content = self.content(&facts.file_before(path), path, id);
                    before.insert(path.into(), Some(content.unwrap_or_else(|| id.short())));
                    there.insert(path.into());
                }
                if !there.contains(path) && !is_free(&there, path) {
                    continue;
                }
                match &content {
                    Some(_) => there.insert(path.into()),
                    None => there.remove(path),
                };
                told.files.insert(path.into(), content);
            }
        }
        for path in self.with_files.iter().filter(|path| is_free(&there, path)) {
            let Some(read) = reads.first().filter(|_| !there.contains(path.as_str())) else { continue };
            let facts = self.look(read.update.old_id(), read.update.new_id())?;
            if let Ok(Some(text)) = facts.file_before(path) {
                before.insert(path.clone(), Some(text.to_string()));
            }
        }
        if let Some(first) = retold.history.first_mut() {
            before.append(&mut first.files);
            first.files = before;
        }
        Ok(())
    }

    /// Returns the content to export for a file. Returns `None` if the file does not exist, and the
    /// short commit ID if its content was not requested.
    fn content(
        &self,
        file: &Result<Option<Rc<str>>, crate::facts::FactError>,
        path: &str,
        commit: ObjectId,
    ) -> Option<String> {
        match file {
            Ok(None) => None,
            Ok(Some(text)) if self.with_files.iter().any(|with| with == path) => Some(text.to_string()),
            Ok(Some(_)) | Err(_) => Some(commit.short()),
        }
    }
}

fn chain(
    new: &Rc<Commit>,
    range: &HashMap<ObjectId, &Rc<Commit>>,
    known: &HashSet<ObjectId>,
) -> (Vec<Rc<Commit>>, Option<ObjectId>) {
    chain_of(new, |id| range.get(&id).copied(), known)
}

/// Follows first parents from `tip` to a known commit, but for at most [`MAX_COMMITS`] commits.
/// Returns the commits, oldest first, and the known commit if it was reached.
fn chain_of<'a>(
    tip: &Rc<Commit>,
    find: impl Fn(ObjectId) -> Option<&'a Rc<Commit>>,
    known: &HashSet<ObjectId>,
) -> (Vec<Rc<Commit>>, Option<ObjectId>) {
    let mut chain = Vec::new();
    if known.contains(&tip.id) {
        return (chain, Some(tip.id));
    }
    let mut start = None;
    let mut next = Some(tip);
    while let Some(commit) = next {
        chain.push(commit.clone());
        let parent = commit.parents.first().copied();
        start = parent.filter(|parent| known.contains(parent));
        next = parent.filter(|_| start.is_none() && chain.len() < MAX_COMMITS).and_then(&find);
    }
    chain.reverse();
    (chain, start)
}

/// Returns true if a file can be created at `path`, without a conflict between files and
/// directories.
fn is_free(there: &BTreeSet<String>, path: &str) -> bool {
    let below = format!("{path}/");
    let is_directory = there.range(below.clone()..).next().is_some_and(|next| next.starts_with(&below));
    !is_directory && !path.match_indices('/').any(|(at, _)| there.contains(&path[..at]))
}
