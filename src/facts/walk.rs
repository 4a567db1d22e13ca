//! The walk from two commits towards the past: what leads to the one, what to the other, and what to both.

use std::collections::BinaryHeap;

use super::{
    FactError, Repository,
    ancestry::{Ancestry, Generation, Number, Time, UNKNOWN},
    repository::{gix_id, own_id},
};
use crate::{push::ObjectId, time::Deadline};

/// How many commits are visited when all seems known. Clocks differ, so a commit can be dated after its
/// children; git looks as far for the same reason (`SLOP` in revision.c).
const STRAGGLERS: usize = 5;

/// How many are visited where the commit-graph tells that there may be more to know: there a visit costs little.
const STRAGGLERS_IN_GRAPH: usize = 64;

/// Beyond how many commits that wait the commit-graph is not asked whether they can lead to anything new.
const MAX_ASKED: usize = 64;

/// How many visits lie between two looks at the clock.
const BETWEEN_LOOKS: usize = 64;

/// How long a walk may go on.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Until a moment; a walk that is not done by then fails, and [`FactError::is_out_of_time`] says why.
    Until(Deadline),
    /// For so many visits of commits; a walk that is not done by then says what it found.
    Visits(usize),
}

const FROM_NEW: u8 = 1;
const FROM_OLD: u8 = 2;
const FROM_BOTH: u8 = FROM_NEW | FROM_OLD;
const IS_QUEUED: u8 = 4;

/// Returns whether the walk must still visit the commit to know what it is.
fn is_open(flags: u8) -> bool {
    flags & IS_QUEUED != 0 && flags & FROM_BOTH != FROM_BOTH
}

/// From which end each commit can be reached, and whether it waits to be visited: a byte a commit. The commit-graph's
/// part is zeroed memory that the system hands out as it is touched.
struct Flags {
    in_graph: Vec<u8>,
    others: Vec<u8>,
}

impl Flags {
    fn get(&self, number: Number) -> u8 {
        let number = number as usize;
        let flags = self.in_graph.get(number).or_else(|| self.others.get(number - self.in_graph.len()));
        flags.copied().unwrap_or_default()
    }

    fn of(&mut self, number: Number) -> &mut u8 {
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

/// A walk that goes on.
struct Walk<'r> {
    ancestry: Ancestry<'r>,
    flags: Flags,
    /// The commits that wait to be visited, newest first.
    queue: BinaryHeap<(Time, Number)>,
    /// How many of them are open.
    open: usize,
    /// The oldest commit that was open when it was visited, and the lowest generation of one.
    oldest: Option<Time>,
    lowest: Generation,
    /// How many commits were visited since the last open one, of those older than all that were.
    beyond: usize,
    /// Whether an open commit was visited whose parents were not fetched.
    met_edge: bool,
}

/// What a walk found.
pub(super) struct Walked<'r> {
    ancestry: Ancestry<'r>,
    /// The commits that only the new one leads to, with their times, in the order of the walk: newest first.
    pub only_new: Vec<(Time, Number)>,
    /// The commits that only the old one leads to.
    pub only_old: Vec<(Time, Number)>,
    /// Whether the old commit is in the new one's history. If so it is known for certain, and if not, unless the walk
    /// was truncated.
    pub new_has_old: bool,
    /// Whether the new commit is in the old one's history.
    pub old_has_new: bool,
    /// Whether there was more to visit.
    pub is_truncated: bool,
    /// Whether one end's alone led to commits whose parents were not fetched.
    pub is_shallow: bool,
}

impl Walked<'_> {
    /// Returns the id of a commit that was found.
    pub fn id(&self, number: Number) -> Result<ObjectId, FactError> {
        own_id(&self.ancestry.id(number))
    }
}

impl Repository {
    /// Walks from both ends towards the past, newest commit first, until everything that waits is known to both. That
    /// answers at once what `git rev-list --left-right old...new` would. `None` if the old commit is not there.
    ///
    /// A visited commit costs a byte and, at one end only, 16 more; outside of the commit-graph also its id and some
    /// 6 bytes to find it by. Lists that grow take up to twice of it.
    pub(super) fn walk_between(
        &self,
        old: Option<ObjectId>,
        new: ObjectId,
        patience: Patience,
    ) -> Result<Option<Walked<'_>>, FactError> {
        let mut ancestry = Ancestry::of(self)?;
        let end = |ancestry: &mut Ancestry<'_>, id: ObjectId| {
            // An id of another length names nothing here.
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
        let mut walk = Walk {
            flags: Flags { in_graph: vec![0; ancestry.in_graph() as usize], others: Vec::new() },
            ancestry,
            queue: BinaryHeap::new(),
            open: 0,
            oldest: None,
            lowest: UNKNOWN,
            beyond: 0,
            met_edge: false,
        };
        walk.reach(new, FROM_NEW)?;
        if let Some(old) = old {
            walk.reach(old, FROM_OLD)?;
        }
        walk.run(old, new, patience).map(Some)
    }
}

impl<'r> Walk<'r> {
    fn run(mut self, old: Option<Number>, new: Number, patience: Patience) -> Result<Walked<'r>, FactError> {
        let (mut only_new, mut only_old) = (Vec::new(), Vec::new());
        let mut parents = Vec::new();
        let mut visits = 0;
        while let Some((time, _)) = self.queue.peek() {
            if self.is_settled(*time) {
                break;
            }
            match patience {
                Patience::Visits(most) if visits == most => break,
                Patience::Until(deadline) if visits % BETWEEN_LOOKS == 0 && deadline.is_over() => {
                    return Err(FactError::out_of_time(format!(
                        "the walk of the history ran out of time after {visits} commits"
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
            if was_open {
                self.open -= 1;
                self.beyond = 0;
                self.met_edge |= self.ancestry.met_edge;
                self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
                self.lowest = self.lowest.min(generation);
                if from == FROM_NEW { &mut only_new } else { &mut only_old }.push((time, number));
            }
            for parent in parents.drain(..) {
                self.reach(parent, from)?;
            }
        }
        // What was taken for one end's alone may have turned out to be common.
        only_new.retain(|(_, number)| self.flags.get(*number) & FROM_OLD == 0);
        only_old.retain(|(_, number)| self.flags.get(*number) & FROM_NEW == 0);
        Ok(Walked {
            only_new,
            only_old,
            new_has_old: old.is_some_and(|old| self.flags.get(old) & FROM_NEW != 0),
            old_has_new: self.flags.get(new) & FROM_OLD != 0,
            is_truncated: self.open > 0,
            is_shallow: self.met_edge,
            ancestry: self.ancestry,
        })
    }

    /// Adds what leads to a commit, and queues the commit if that is news.
    fn reach(&mut self, number: Number, from: u8) -> Result<(), FactError> {
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

    /// Returns whether what waits, the newest of which is of `time`, has nothing to tell. It is common to both ends
    /// then, and so is what it leads to; by the commit-graph, or most likely, none of that was taken for one end's
    /// alone.
    fn is_settled(&mut self, time: Time) -> bool {
        if self.open > 0 {
            return false;
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
