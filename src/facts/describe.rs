//! The nearest tag in a commit's history, as `git describe --tags` finds it.

use std::{
    collections::{BinaryHeap, HashMap},
    fmt,
};

use bstr::{BString, ByteSlice as _};
use gix::revwalk::Graph;

use super::{
    FactError, Facts, Repository, VersionTag,
    ancestry::Time,
    range::MAX_VISITED,
    repository::{gix_id, own_id, told},
};
use crate::{push::ObjectId, text};

/// How many tags are compared, as many as git does (git-describe(1), `--candidates`).
const MAX_CANDIDATES: usize = 10;

/// How many tags of a repository are looked at.
const MAX_TAGS: usize = 20_000;

/// How much of a commit's id a description shows, in digits.
const SHORT: usize = 12;

/// A tag in a commit's history, and how far away it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The short name of the tag.
    pub tag: String,
    /// How many commits are in the commit's history and not in the tag's.
    pub distance: usize,
    /// The commit that the tag names in the end.
    pub tagged: ObjectId,
    commit: ObjectId,
}

/// `v1.2.3`, or `v1.2.3-4-g0123456789ab` four commits later.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tag)?;
        if self.distance > 0 {
            write!(f, "-{}-g{:.SHORT$}", self.distance, self.commit.to_string())?;
        }
        Ok(())
    }
}

/// What was found for services, by their names.
pub(super) type OfServices = HashMap<String, Result<Option<Description>, FactError>>;

/// Short names of tags, with their ranks, by commit.
type Tags<R> = HashMap<gix::ObjectId, (R, BString)>;

/// The versions that tags give to commits.
pub(super) type Releases = HashMap<gix::ObjectId, Vec<VersionTag>>;

/// A tag that the walk has met.
struct Candidate {
    tag: BString,
    tagged: gix::ObjectId,
    distance: usize,
}

/// Through which candidates a commit is reached, a bit each, and whether the walk has met it.
#[derive(Clone, Copy, Default)]
struct Reached {
    by: u16,
    is_queued: bool,
}

impl Facts {
    /// Returns the nearest tag in the new commit's history that says something of a service: a version of it, or one that
    /// names no service. Without any, the nearest tag that is no version of another service.
    ///
    /// # Errors
    /// If the tags or the history cannot be read.
    pub fn describe_service(&self, service: &str) -> Result<Option<Description>, FactError> {
        if let Some(known) = self.descriptions.borrow().get(service) {
            return known.clone();
        }
        let read = || {
            let Some(commit) = self.commit_id()? else { return Ok(None) };
            let repository = self.repository()?;
            let is_ours = |tag: &VersionTag| tag.service().is_none_or(|named| named == service);
            let version = |tag: &str| VersionTag::parse(tag).filter(is_ours).map(|tag| tag.version().clone());
            match repository.describe(commit, version)? {
                // A tag that moves along, such as `prod`, must not hide a version.
                None => repository.describe(commit, |tag| {
                    VersionTag::parse(tag).is_none_or(|tag| is_ours(&tag)).then_some(())
                }),
                found => Ok(found),
            }
        };
        let found = read();
        self.descriptions.borrow_mut().insert(service.into(), found.clone());
        found
    }
}

impl Repository {
    /// Returns the tag that the fewest commits separate from `commit`, among those that have a rank; of several
    /// tags of one commit, the one of the highest. `None` if there is none in the newest [`MAX_VISITED`]
    /// commits.
    pub(super) fn describe<R: Ord>(
        &self,
        commit: ObjectId,
        rank: impl Fn(&str) -> Option<R>,
    ) -> Result<Option<Description>, FactError> {
        let failed = |err: &gix::Error| FactError::new(format!("failed to describe {commit}: {}", told(err)));
        let tags = self.versions(rank).map_err(|err| failed(&err))?;
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
                // Everything that was visited before, but for what the tag turns out to reach as well.
                candidates.push(Candidate { tag: tag.clone(), tagged: id, distance: visited });
            }
            for (bit, candidate) in candidates.iter_mut().enumerate() {
                candidate.distance += usize::from(reached.by & (1 << bit) == 0);
            }
            let all = (1u16 << candidates.len()) - 1;
            // What is left is in the history of every candidate, and makes none of them farther.
            let is_settled = !candidates.is_empty()
                && queue.iter().all(|(_, id)| graph.get(id).is_some_and(|waiting| waiting.by == all));
            if is_settled && reached.by == all {
                break;
            }
            graph
                .insert_parents_with_lookup::<gix::Error>(&id, &mut |parent, commit, known| {
                    let known = known.copied().unwrap_or_default();
                    if !known.is_queued {
                        queue.push((commit.committer_timestamp()?, parent));
                    }
                    Ok(Reached { by: known.by | reached.by, is_queued: true })
                })
                .map_err(|err| failed(&err))?;
        }
        // Of two that are equally near, the one that was met first, which is the newer one.
        let nearest = candidates.into_iter().min_by_key(|candidate| candidate.distance);
        let describe = |candidate: Candidate| {
            let tagged = own_id(&candidate.tagged)?;
            let tag = text::name(&candidate.tag, super::commit::MAX_NAME);
            Ok(Description { tag, distance: candidate.distance, tagged, commit })
        };
        nearest.map(describe).transpose()
    }

    /// Returns the version that a tag gives to `commit` itself: a tag of `service` counts more than one that names no service,
    /// then the highest version. A tag of another service says nothing.
    ///
    /// # Errors
    /// If the tags cannot be listed.
    pub(super) fn release_of(
        &self,
        commit: ObjectId,
        service: &str,
    ) -> Result<Option<VersionTag>, FactError> {
        let releases = self.releases.get_or_init(|| self.read_releases());
        let releases = releases.as_ref().map_err(FactError::clone)?;
        let of_commit = releases.get(&gix_id(commit)).into_iter().flatten();
        let of_service = of_commit.filter(|tag| tag.service().is_none_or(|named| named == service));
        Ok(of_service.max_by_key(|tag| (tag.service().is_some(), tag.version())).cloned())
    }

    /// Reads which commits are releases. A push of many refs asks for each of them, so all tags are read once.
    fn read_releases(&self) -> Result<Releases, FactError> {
        let failed = |err: &gix::Error| FactError::new(format!("failed to list the tags: {}", told(err)));
        let mut releases = Releases::new();
        for reference in self.tags().map_err(|err| failed(&err))?.into_iter().take(MAX_TAGS).flatten() {
            let tag = reference.name.shorten().to_str().ok().and_then(VersionTag::parse);
            if let Some(tag) = tag
                && let Some(id) = self.tagged(&reference)
            {
                releases.entry(id).or_default().push(tag);
            }
        }
        Ok(releases)
    }

    /// Returns the commit that a tag names in the end. One that cannot be read names nothing.
    fn tagged(&self, reference: &gix::refs::Reference) -> Option<gix::ObjectId> {
        // Packed refs tell what an annotated tag comes to.
        reference.peeled.or_else(|| {
            let target = self.target(own_id(reference.target.try_id()?).ok()?).ok()?;
            target.commit.as_ref().map(|commit| gix_id(commit.id))
        })
    }

    /// Returns the short names of the tags by the commits that they name in the end.
    fn versions<R: Ord>(&self, rank: impl Fn(&str) -> Option<R>) -> Result<Tags<R>, gix::Error> {
        let mut tags = Tags::new();
        for reference in self.tags()?.into_iter().take(MAX_TAGS).flatten() {
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
