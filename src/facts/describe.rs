//! Finds the nearest tag in a commit's history, as `git describe --tags` does.

use std::{
    collections::{BinaryHeap, HashMap},
    fmt,
};

use bstr::{BString, ByteSlice as _};
use gix::revwalk::Graph;

use super::{
    FactError, Facts, Repository, TagNames, VersionTag,
    ancestry::Time,
    range::MAX_VISITED,
    repository::{FIND, gix_id, own_id, spent_on},
};
use crate::{push::ObjectId, text, work::Spent};

/// Maximum number of tags that are compared, the same as in git (git-describe(1), `--candidates`).
const MAX_CANDIDATES: usize = 10;

/// Maximum number of a repository's tags that are read.
const MAX_TAGS: usize = 20_000;

/// Length of the abbreviated commit id in a description, in digits.
const SHORT: usize = 12;

/// A tag in a commit's history, and its distance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Short name of the tag.
    pub tag: String,
    /// Number of commits in the commit's history that are not in the tag's.
    pub distance: usize,
    /// The commit that the tag leads to.
    pub tagged: ObjectId,
    commit: ObjectId,
}

/// Formats `v1.2.3`, or `v1.2.3-4-g0123456789ab` four commits later.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tag)?;
        if self.distance > 0 {
            write!(f, "-{}-g{:.SHORT$}", self.distance, self.commit.to_string())?;
        }
        Ok(())
    }
}

/// Cached descriptions, by service name.
pub(super) type OfServices = HashMap<String, Result<Option<Description>, FactError>>;

/// Tags by the commit they lead to: the short name with its rank.
type Tags<R> = HashMap<gix::ObjectId, (R, BString)>;

/// Version tags, by the commit they lead to.
pub(super) type Releases = HashMap<gix::ObjectId, Vec<VersionTag>>;

/// A tag that the walk has met.
struct Candidate {
    tag: BString,
    tagged: gix::ObjectId,
    distance: usize,
}

/// Reason for the early end of a walk.
enum DescribeError {
    Failed(gix::Error),
    Spent(Spent),
}

impl From<gix::Error> for DescribeError {
    fn from(err: gix::Error) -> Self {
        Self::Failed(err)
    }
}

impl From<Spent> for DescribeError {
    fn from(spent: Spent) -> Self {
        Self::Spent(spent)
    }
}

/// State of a commit during the walk: the candidates that reach it, one bit each, and whether it
/// was queued.
#[derive(Clone, Copy, Default)]
struct Reached {
    by: u16,
    is_queued: bool,
}

impl Facts {
    /// Returns the nearest tag in the new commit's history that is a version of this service, or a
    /// version without a service. If there is none, returns the nearest tag that is not a version
    /// of another service.
    ///
    /// # Errors
    /// Returns an error if the tags or the history cannot be read.
    pub fn describe_service(&self, service: &str) -> Result<Option<Description>, FactError> {
        if let Some(known) = self.descriptions.borrow().get(service) {
            return known.clone();
        }
        let read = || {
            let Some(commit) = self.commit_id()? else { return Ok(None) };
            let repository = self.repository()?;
            let names = self.tag_names();
            let is_ours = |tag: &VersionTag| tag.service().is_none_or(|named| named == service);
            let version = |tag: &str| names.parse(tag).filter(is_ours).map(VersionTag::into_rank);
            match repository.describe(commit, version)? {
                // Try versions first, because a moving tag such as `prod` must not hide them.
                None => repository
                    .describe(commit, |tag| names.parse(tag).is_none_or(|tag| is_ours(&tag)).then_some(())),
                found => Ok(found),
            }
        };
        let found = read();
        self.descriptions.borrow_mut().insert(service.into(), found.clone());
        found
    }
}

impl Repository {
    /// Returns the tag nearest to `commit`, by number of commits, among the tags that have a rank.
    /// If several tags lead to one commit, the highest rank wins. Returns `None` if the newest
    /// [`MAX_VISITED`] commits have no such tag.
    pub(super) fn describe<R: Ord>(
        &self,
        commit: ObjectId,
        rank: impl Fn(&str) -> Option<R>,
    ) -> Result<Option<Description>, FactError> {
        let failed = |err: &gix::Error| self.failed(format_args!("failed to describe {commit}"), err);
        let tags = self.versions(rank)?;
        if tags.is_empty() {
            return Ok(None);
        }
        let cache = self.commit_graph()?;
        let mut graph = Graph::<Reached>::new(&self.objects, cache);
        let start = gix_id(commit);
        let time = graph
            .lookup(&start)
            .and_then(|commit| commit.committer_timestamp())
            .map_err(|err| failed(&err))?;
        graph.insert(start, Reached { is_queued: true, ..Reached::default() });
        let mut queue: BinaryHeap<(Time, gix::ObjectId)> = BinaryHeap::from([(time, start)]);
        let mut candidates: Vec<Candidate> = Vec::new();
        for visited in 0..MAX_VISITED {
            let Some((_, id)) = queue.pop() else { break };
            let mut reached = graph.get(&id).copied().unwrap_or_default();
            if let Some((_, tag)) = tags.get(&id)
                && candidates.len() < MAX_CANDIDATES
            {
                reached.by |= 1 << candidates.len();
                // The commits visited so far are newer than the tag, so they are not in its
                // history. With skewed clocks the distance may be too large.
                candidates.push(Candidate { tag: tag.clone(), tagged: id, distance: visited });
            }
            for (bit, candidate) in candidates.iter_mut().enumerate() {
                candidate.distance += usize::from(reached.by & (1 << bit) == 0);
            }
            let all = (1u16 << candidates.len()) - 1;
            // All queued commits are in the history of every candidate, so they change no distance.
            let is_settled = !candidates.is_empty()
                && queue.iter().all(|(_, id)| graph.get(id).is_some_and(|waiting| waiting.by == all));
            if is_settled && reached.by == all {
                break;
            }
            graph
                .insert_parents_with_lookup::<DescribeError>(&id, &mut |parent, commit, known| {
                    self.spend(FIND)?;
                    let known = known.copied().unwrap_or_default();
                    if !known.is_queued {
                        queue.push((commit.committer_timestamp()?, parent));
                    }
                    Ok(Reached { by: known.by | reached.by, is_queued: true })
                })
                .and_then(|()| Ok(self.allowance().look()?))
                .map_err(|ended| match ended {
                    DescribeError::Failed(err) => failed(&err),
                    DescribeError::Spent(spent) => spent_on(spent, &format!("describing {commit}")),
                })?;
        }
        // If two are equally near, the one that was met first wins, which is the newer one.
        let nearest = candidates.into_iter().min_by_key(|candidate| candidate.distance);
        let describe = |candidate: Candidate| {
            let tagged = own_id(&candidate.tagged)?;
            let tag = text::name(&candidate.tag, super::commit::MAX_NAME);
            Ok(Description { tag, distance: candidate.distance, tagged, commit })
        };
        nearest.map(describe).transpose()
    }

    /// Returns the version that a tag gives to `commit` itself. A tag of `service` wins over a tag
    /// without a service, a final version over a pre-release, and then the highest version wins. Tags
    /// of other services are ignored.
    ///
    /// # Errors
    /// Returns an error if the tags cannot be listed.
    pub(super) fn release_of(
        &self,
        commit: ObjectId,
        service: &str,
        names: &TagNames,
    ) -> Result<Option<VersionTag>, FactError> {
        let mut known = self.releases.borrow_mut();
        let releases = match &mut *known {
            Some((of, releases)) if of == names => releases,
            known => &mut known.insert((names.clone(), self.read_releases(names))).1,
        };
        let releases = releases.as_ref().map_err(FactError::clone)?;
        let of_commit = releases.get(&gix_id(commit)).into_iter().flatten();
        let of_service = of_commit.filter(|tag| tag.service().is_none_or(|named| named == service));
        Ok(of_service.max_by_key(|tag| (tag.service().is_some(), tag.rank())).cloned())
    }

    /// Reads the version tags of all commits. They are read once, because a push of many refs needs
    /// them for each ref.
    fn read_releases(&self, names: &TagNames) -> Result<Releases, FactError> {
        let failed = |err: &gix::Error| self.failed("failed to read a tag", err);
        let mut releases = Releases::new();
        for reference in self.tags()?.into_iter().take(MAX_TAGS) {
            let Ok(reference) = reference.map_err(|err| failed(&err)) else { continue };
            let tag = reference.name.shorten().to_str().ok().and_then(|tag| names.parse(tag));
            if let Some(tag) = tag
                && let Some(id) = self.tagged(&reference)
            {
                releases.entry(id).or_default().push(tag);
            }
        }
        Ok(releases)
    }

    /// Returns the commit that a tag leads to, or `None` if it cannot be read.
    fn tagged(&self, reference: &gix::refs::Reference) -> Option<gix::ObjectId> {
        // `packed-refs` records the peeled id of an annotated tag.
        reference.peeled.or_else(|| {
            let target = self.target(own_id(reference.target.try_id()?).ok()?).ok()?;
            target.commit.as_ref().map(|commit| gix_id(commit.id))
        })
    }

    /// Returns the highest-ranked tag of each commit.
    fn versions<R: Ord>(&self, rank: impl Fn(&str) -> Option<R>) -> Result<Tags<R>, FactError> {
        let mut tags = Tags::new();
        for reference in self.tags()?.into_iter().take(MAX_TAGS) {
            let Ok(reference) = reference.map_err(|err| self.failed("failed to read a tag", &err)) else {
                continue;
            };
            let name = reference.name.shorten().to_owned();
            let Some(rank) = name.to_str().ok().and_then(&rank) else { continue };
            let Some(id) = self.tagged(&reference) else { continue };
            if tags.get(&id).is_none_or(|(known, _)| rank > *known) {
                tags.insert(id, (rank, name));
            }
        }
        Ok(tags)
    }
}
