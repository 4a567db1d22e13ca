//! Finds the nearest tag in a commit's history, as `git describe --tags` does.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, hash_map::Entry},
    fmt,
};

use super::{
    FactError, Facts, Repository, TagNames, VersionTag,
    ancestry::{Ancestry, CommitNumber, Time},
    range::MAX_VISITED,
    repository::{FIND, gix_id, own_id, spent_on},
};
use crate::{push::ObjectId, text};

/// Maximum number of tags that are compared, the same as in git (git-describe(1), `--candidates`).
const MAX_CANDIDATES: usize = 10;

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

/// A tag that the walk has met.
struct Candidate {
    tag: String,
    tagged: gix::ObjectId,
    distance: usize,
}

/// Commits that the walk has met but not visited: the newest first, and of equal age the one that
/// was met first.
type DescribeQueue = BinaryHeap<(Time, Reverse<usize>, CommitNumber)>;

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
    /// If several tags lead to one commit, the highest rank wins, and then git's choice. Returns
    /// `None` if the newest [`MAX_VISITED`] commits have no such tag.
    pub(super) fn describe<R: Ord>(
        &self,
        commit: ObjectId,
        rank: impl Fn(&str) -> Option<R>,
    ) -> Result<Option<Description>, FactError> {
        let tags = self.tag_list()?;
        if !tags.names().any(|name| rank(name).is_some()) {
            return tags.nothing_found();
        }
        let missing = || FactError::new(format!("failed to describe {commit}: it is missing"));
        let mut ancestry = Ancestry::of(self)?;
        let start = ancestry.number(&gix_id(commit))?.ok_or_else(missing)?;
        let mut queue = DescribeQueue::from([(ancestry.time(start)?, Reverse(0), start)]);
        // The commits that were met, with the candidates that reach each, one bit for each.
        let mut reached: HashMap<CommitNumber, u16> = HashMap::from([(start, 0)]);
        let mut candidates: Vec<Candidate> = Vec::new();
        // Once a tag is met that is not compared any more, only the nearest one is measured to the end.
        let mut chosen = None;
        let mut parents = Vec::new();
        for visited in 0..MAX_VISITED {
            let Some((.., number)) = queue.pop() else { break };
            let id = ancestry.id(number);
            let mut by = reached.get(&number).copied().unwrap_or_default();
            let tag = if chosen.is_none() { self.best_tag(tags.of_commit(&id), &rank)? } else { None };
            match tag {
                Some(tag) if candidates.len() < MAX_CANDIDATES => {
                    by |= 1 << candidates.len();
                    // The commits visited so far are newer than the tag, so they are not in its
                    // history. With skewed clocks the distance may be too large, as in git.
                    candidates.push(Candidate { tag, tagged: id, distance: visited });
                }
                Some(_) => chosen = nearest(&candidates),
                None => {}
            }
            for (nth, candidate) in candidates.iter_mut().enumerate() {
                let is_measured = chosen.is_none_or(|chosen| chosen == nth);
                candidate.distance += usize::from(is_measured && by & (1 << nth) == 0);
            }
            // All commits that are left are in the history of the nearest tag, so its distance is
            // final, and that of any other tag can only grow.
            let is_in_history = |nth: usize| {
                let is_in = |by: u16| by & (1 << nth) != 0;
                is_in(by) && queue.iter().all(|(.., left)| reached.get(left).copied().is_some_and(is_in))
            };
            if chosen.or_else(|| nearest(&candidates)).is_some_and(is_in_history) {
                break;
            }
            ancestry.parents(number, &mut parents)?;
            let cost = FIND * parents.len() as u64;
            self.spend(cost)
                .and_then(|()| self.allowance().look())
                .map_err(|spent| spent_on(spent, &format!("describing {commit}")))?;
            for parent in parents.drain(..) {
                let met = reached.len();
                match reached.entry(parent) {
                    Entry::Occupied(mut known) => *known.get_mut() |= by,
                    Entry::Vacant(new) => {
                        new.insert(by);
                        queue.push((ancestry.time(parent)?, Reverse(met), parent));
                    }
                }
            }
        }
        let Some(nearest) = chosen.or_else(|| nearest(&candidates)) else { return tags.nothing_found() };
        let candidate = candidates.swap_remove(nearest);
        let tagged = own_id(&candidate.tagged)?;
        let tag = text::name(candidate.tag.as_bytes(), super::person::MAX_NAME);
        Ok(Some(Description { tag, distance: candidate.distance, tagged, commit }))
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
        let tags = self.tag_list()?;
        let of_commit = tags.of_commit(&gix_id(commit)).iter().filter_map(|tag| names.parse(tag.name()));
        let of_service = of_commit.filter(|tag| tag.service().is_none_or(|named| named == service));
        let best = of_service
            .max_by(|a, b| (a.service().is_some(), a.rank()).cmp(&(b.service().is_some(), b.rank())));
        best.map_or_else(|| tags.nothing_found(), |tag| Ok(Some(tag)))
    }
}

/// Returns the nearest candidate. Of two that are equally near, the one that was met first wins,
/// which is the newer one.
fn nearest(candidates: &[Candidate]) -> Option<usize> {
    (0..candidates.len()).min_by_key(|nth| candidates[*nth].distance)
}
