//! Walks the history from two commits, and finds the ancestors of one, of the other, and of both.

use std::collections::BinaryHeap;

use super::{
    FactError, Repository,
    ancestry::{Ancestry, CommitNumber, Generation, Time, UNKNOWN},
    repository::{gix_id, own_id},
};
use crate::{push::ObjectId, sys::time::Deadline};

/// Number of commits to visit after the result seems settled. With skewed clocks, a commit can have
/// a later time than its children. Git uses the same margin (`SLOP` in revision.c).
const STRAGGLERS: usize = 5;

/// The same margin if the oldest part of the walk is in the commit-graph, where a visit is cheap.
const STRAGGLERS_IN_GRAPH: usize = 64;

/// Maximum number of queued commits for which the walk compares generation numbers.
const MAX_ASKED: usize = 64;

/// Number of visits between two checks of the deadline.
const BETWEEN_LOOKS: usize = 64;

/// Limit of a walk.
#[derive(Clone, Copy, Debug)]
pub enum WalkLimit {
    /// Until a deadline. A walk that is not done by then fails, with [`FactError::is_out_of_time`].
    Until(Deadline),
    /// Up to a number of visits. A walk that is not done by then returns a truncated result.
    Visits(usize),
    /// Up to a number of visits, and until a deadline.
    VisitsUntil(usize, Deadline),
}

const FROM_NEW: u8 = 1;
const FROM_OLD: u8 = 2;
const FROM_BOTH: u8 = FROM_NEW | FROM_OLD;
const IS_QUEUED: u8 = 4;

/// Returns true if the walk still has to visit the commit to classify it.
fn is_open(flags: u8) -> bool {
    flags & IS_QUEUED != 0 && flags & FROM_BOTH != FROM_BOTH
}

/// Flags of each commit, one byte per commit: the ends that can reach it, and whether it is queued.
///
/// The part for the commit-graph is zeroed memory, which the system allocates only when it is
/// touched.
struct Flags {
    in_graph: Vec<u8>,
    others: Vec<u8>,
}

impl Flags {
    fn get(&self, number: CommitNumber) -> u8 {
        let number = number as usize;
        let flags = self.in_graph.get(number).or_else(|| self.others.get(number - self.in_graph.len()));
        flags.copied().unwrap_or_default()
    }

    fn of(&mut self, number: CommitNumber) -> &mut u8 {
        let number = number as usize;
        if number < self.in_graph.len() {
            return &mut self.in_graph[number];
        }
        let number = number - self.in_graph.len();
        if number >= self.others.len() {
            self.others.resize(number + 1, 0);
        }
        &mut self.others[number]
    }
}

/// A walk in progress.
struct RangeWalk<'r> {
    ancestry: Ancestry<'r>,
    flags: Flags,
    /// The commits to visit, newest first.
    queue: BinaryHeap<(Time, CommitNumber)>,
    /// Number of open commits in the queue.
    open: usize,
    /// Time of the oldest commit that was open when visited, and the lowest generation of such a
    /// commit.
    oldest: Option<Time>,
    lowest: Generation,
    /// Number of visits to commits older than all open ones, since the last open one.
    beyond: usize,
    /// True if the walk visited an open commit whose parents were not fetched.
    met_edge: bool,
    /// True if each visited commit has one parent and only the new commit reaches it.
    is_linear: bool,
}

/// Result of a walk.
pub(super) struct WalkResult<'r> {
    pub(super) ancestry: Ancestry<'r>,
    /// Numbers of the new commit and of the old one.
    pub new: CommitNumber,
    pub old: Option<CommitNumber>,
    /// The commits without parents that only one end reaches.
    pub roots: Vec<CommitNumber>,
    /// The commits that only the new commit reaches, with their times, in the order of the walk:
    /// newest first.
    pub only_new: Vec<(Time, CommitNumber)>,
    /// The commits that only the old commit reaches.
    pub only_old: Vec<(Time, CommitNumber)>,
    /// True if the old commit is in the new one's history. True is always certain. False is certain
    /// unless the walk was truncated.
    pub new_has_old: bool,
    /// True if the new commit is in the old one's history.
    pub old_has_new: bool,
    /// True if the walk ended with commits left to visit.
    pub is_truncated: bool,
    /// True if a commit that only one end reaches has parents that were not fetched.
    pub is_shallow: bool,
}

impl WalkResult<'_> {
    /// Returns the id of a commit in the result.
    pub fn id(&self, number: CommitNumber) -> Result<ObjectId, FactError> {
        own_id(&self.ancestry.id(number))
    }
}

impl Repository {
    /// Walks from both ends towards the past, newest commit first, until both ends reach everything
    /// in the queue. Returns `None` if the old commit is missing.
    ///
    /// One walk gives the result of `git rev-list --left-right old...new`. A visited commit takes
    /// one byte, and 16 more if only one end reaches it. Outside the commit-graph it also takes its
    /// id and some 6 bytes for the index. Growing lists take up to twice as much.
    pub(super) fn walk_between(
        &self,
        old: Option<ObjectId>,
        new: ObjectId,
        patience: WalkLimit,
    ) -> Result<Option<WalkResult<'_>>, FactError> {
        let mut ancestry = Ancestry::of(self)?;
        let end = |ancestry: &mut Ancestry<'_>, id: ObjectId| {
            // An id of another length cannot be in this repository.
            let id = gix_id(id);
            if id.kind() == self.hash() { ancestry.number(&id) } else { Ok(None) }
        };
        let old = match old {
            Some(old) => match end(&mut ancestry, old)? {
                Some(old) => Some(old),
                None => return Ok(None),
            },
            None => None,
        };
        let new =
            end(&mut ancestry, new)?.ok_or_else(|| FactError::new(format!("commit {new} is missing")))?;
        let mut walk = RangeWalk {
            flags: Flags { in_graph: vec![0; ancestry.in_graph() as usize], others: Vec::new() },
            ancestry,
            queue: BinaryHeap::new(),
            open: 0,
            oldest: None,
            lowest: UNKNOWN,
            beyond: 0,
            met_edge: false,
            is_linear: true,
        };
        walk.reach(new, FROM_NEW)?;
        if let Some(old) = old {
            walk.reach(old, FROM_OLD)?;
        }
        walk.run(old, new, patience).map(Some)
    }
}

impl<'r> RangeWalk<'r> {
    fn run(
        mut self,
        old: Option<CommitNumber>,
        new: CommitNumber,
        patience: WalkLimit,
    ) -> Result<WalkResult<'r>, FactError> {
        let (mut only_new, mut only_old) = (Vec::new(), Vec::new());
        let mut roots = Vec::new();
        let mut parents = Vec::new();
        let mut visits = 0;
        while let Some((time, _)) = self.queue.peek() {
            if self.is_settled(*time) {
                break;
            }
            match patience {
                WalkLimit::Visits(most) | WalkLimit::VisitsUntil(most, _) if visits == most => break,
                WalkLimit::Until(deadline) | WalkLimit::VisitsUntil(_, deadline)
                    if visits % BETWEEN_LOOKS == 0 && deadline.is_over() =>
                {
                    return Err(FactError::out_of_time(format!(
                        "walking the history ran out of time after {visits} commits"
                    )));
                }
                _ => {}
            }
            visits += 1;
            let Some((time, number)) = self.queue.pop() else { break };
            let flags = self.flags.of(number);
            let (was_open, from) = (is_open(*flags), *flags & FROM_BOTH);
            *flags &= !IS_QUEUED;
            let generation = self.ancestry.parents(number, &mut parents)?;
            self.is_linear &= from == FROM_NEW && parents.len() == 1 && !self.ancestry.met_edge;
            if was_open {
                self.open -= 1;
                self.beyond = 0;
                self.met_edge |= self.ancestry.met_edge;
                self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
                self.lowest = self.lowest.min(generation);
                if parents.is_empty() && !self.ancestry.met_edge {
                    roots.push(number);
                }
                if from == FROM_NEW { &mut only_new } else { &mut only_old }.push((time, number));
            }
            for parent in parents.drain(..) {
                self.reach(parent, from)?;
            }
        }
        // Commits that seemed to belong to one end may have turned out to be common.
        only_new.retain(|(_, number)| self.flags.get(*number) & FROM_OLD == 0);
        only_old.retain(|(_, number)| self.flags.get(*number) & FROM_NEW == 0);
        roots.retain(|number| self.flags.get(*number) & FROM_BOTH != FROM_BOTH);
        Ok(WalkResult {
            new,
            old,
            roots,
            only_new,
            only_old,
            new_has_old: old.is_some_and(|old| self.flags.get(old) & FROM_NEW != 0),
            old_has_new: self.flags.get(new) & FROM_OLD != 0,
            is_truncated: self.open > 0,
            is_shallow: self.met_edge,
            ancestry: self.ancestry,
        })
    }

    /// Adds the ends that reach a commit. Queues the commit if an end is new.
    fn reach(&mut self, number: CommitNumber, from: u8) -> Result<(), FactError> {
        let flags = self.flags.of(number);
        let before = *flags;
        if before | from == before {
            return Ok(());
        }
        *flags = before | from | IS_QUEUED;
        self.open = self.open + usize::from(is_open(*flags)) - usize::from(is_open(before));
        if before & IS_QUEUED == 0 {
            self.queue.push((self.ancestry.time(number)?, number));
        }
        Ok(())
    }

    /// Returns true if visiting the queued commits cannot change the result. `time` is that of the
    /// newest of them.
    ///
    /// All of them must be common to both ends. Their ancestors are then common as well, and the
    /// only question is whether one of these was already counted for a single end. Generation
    /// numbers can rule that out. Otherwise the walk visits some more commits that are older than
    /// all counted ones.
    fn is_settled(&mut self, time: Time) -> bool {
        if self.open > 0 {
            return false;
        }
        // A chain of single parents from the new commit to the old one. None of its commits can be
        // an ancestor of the old one.
        if self.is_linear {
            return true;
        }
        let is_known = self.lowest != UNKNOWN;
        if self.queue.len() <= MAX_ASKED {
            let highest = self.queue.iter().map(|(_, number)| self.ancestry.generation(*number)).max();
            if highest.is_none_or(|highest| highest != UNKNOWN && highest <= self.lowest) {
                return true;
            }
        }
        if self.oldest.is_none_or(|oldest| time < oldest) {
            self.beyond += 1;
        }
        self.beyond > if is_known { STRAGGLERS_IN_GRAPH } else { STRAGGLERS }
    }
}
