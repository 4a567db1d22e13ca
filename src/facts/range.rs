//! The commits between two states of a ref.

use std::{collections::BinaryHeap, rc::Rc};

use gix::revwalk::Graph;

use super::{
    Commit, FactError, Repository,
    repository::{gix_id, own_id, told},
};
use crate::push::ObjectId;

/// How many commits one walk may visit. A first push of a long history ends here, and its
/// range says that it was cut.
pub const MAX_VISITED: usize = 10_000;

/// How many commits of a range are read whole, for their titles and authors: the newest.
pub const MAX_COMMITS: usize = 250;

/// How many commits are visited when all seems known. Clocks differ, so a commit can be dated after its
/// children; git looks as far for the same reason (`SLOP` in revision.c).
const STRAGGLERS: usize = 5;

/// The commits that a push brought to a ref.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// How many commits are reachable from the new id and not from the old.
    pub count: usize,
    /// Whether the walk ended at [`MAX_VISITED`], so that `count` is a lower bound.
    pub is_truncated: bool,
    /// Whether the old commit is in the new one's history.
    pub is_fast_forward: bool,
    /// The newest [`MAX_COMMITS`] of them, newest first.
    pub commits: Vec<Rc<Commit>>,
}

impl Range {
    /// Returns the names of the authors, each once, in the order of their newest commit.
    pub fn authors(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for commit in &self.commits {
            if !names.contains(&commit.author.name.as_str()) {
                names.push(&commit.author.name);
            }
        }
        names
    }
}

/// From which end of the range a commit can be reached, and whether it waits to be visited.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Reach {
    from_new: bool,
    from_old: bool,
    is_queued: bool,
}

impl Reach {
    /// Returns whether the walk must still visit the commit to know what it is.
    fn is_open(self) -> bool {
        self.is_queued && !(self.from_new && self.from_old)
    }
}

pub(super) type Time = gix::date::SecondsSinceUnixEpoch;

/// The commits that wait to be visited, newest first.
#[derive(Default)]
struct Frontier {
    queue: BinaryHeap<(Time, gix::ObjectId)>,
    /// How many of them are open.
    open: usize,
    /// The oldest commit that was open when it was visited.
    oldest: Option<Time>,
    /// How many commits were visited since the last open one, of those older than all that were.
    beyond: usize,
    visits: usize,
}

impl Frontier {
    /// Adds what can be reached through `from` to `reach` and queues the commit if that is news.
    fn reach(&mut self, id: gix::ObjectId, time: Time, reach: &mut Reach, from: Reach) {
        let before = *reach;
        reach.from_new |= from.from_new;
        reach.from_old |= from.from_old;
        if *reach == before {
            return;
        }
        if !before.is_queued {
            reach.is_queued = true;
            self.queue.push((time, id));
        }
        self.open = self.open + usize::from(reach.is_open()) - usize::from(before.is_open());
    }

    /// Returns the next commit to visit. Once everything that waits is common, older commits have
    /// nothing to tell, but for a few [`STRAGGLERS`].
    fn pop(&mut self) -> Option<(Time, gix::ObjectId)> {
        let (time, _) = self.queue.peek()?;
        if self.open == 0 && self.oldest.is_none_or(|oldest| *time < oldest) {
            self.beyond += 1;
        }
        if self.beyond > STRAGGLERS || self.visits == MAX_VISITED {
            return None;
        }
        self.visits += 1;
        self.queue.pop()
    }

    /// Notes that a commit was visited and returns whether it was open.
    fn visited(&mut self, time: Time, reach: &mut Reach) -> bool {
        let was_open = reach.is_open();
        reach.is_queued = false;
        if was_open {
            self.open -= 1;
            self.beyond = 0;
            self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
        }
        was_open
    }
}

impl Repository {
    /// Walks from both ends towards the past, newest commit first, until everything that waits
    /// is known to both. That answers at once what `git rev-list --left-right old...new` would: what
    /// came in, and whether something was left behind.
    pub(super) fn range(&self, old: Option<ObjectId>, new: ObjectId) -> Result<Range, FactError> {
        let failed =
            |err: &gix::Error| FactError::new(format!("failed to walk the history of {new}: {}", told(err)));
        let cache = self.commit_graph().map_err(|err| failed(&err))?;
        let mut graph = Graph::<Reach>::new(&self.objects, cache.as_ref());
        let mut frontier = Frontier::default();

        let from_new = Reach { from_new: true, ..Reach::default() };
        let from_old = Reach { from_old: true, ..Reach::default() };
        for (id, from) in [(Some(new), from_new), (old, from_old)] {
            let Some(id) = id.map(gix_id) else { continue };
            let commit = graph.lookup(&id).map_err(|err| failed(&err))?;
            let time = commit.committer_timestamp().map_err(|err| failed(&err))?;
            let mut reach = graph.get(&id).copied().unwrap_or_default();
            frontier.reach(id, time, &mut reach, from);
            graph.insert(id, reach);
        }

        let mut found = Vec::new();
        while let Some((time, id)) = frontier.pop() {
            let Some(reach) = graph.get_mut(&id) else { break };
            if frontier.visited(time, reach) {
                found.push(id);
            }
            let from = *reach;
            graph
                .insert_parents_with_lookup::<gix::Error>(&id, &mut |parent, commit, known| {
                    let mut fresh = Reach::default();
                    let reach = known.unwrap_or(&mut fresh);
                    frontier.reach(parent, commit.committer_timestamp()?, reach, from);
                    Ok(*reach)
                })
                .map_err(|err| failed(&err))?;
        }

        let reach_of = |id: &gix::ObjectId| graph.get(id).copied().unwrap_or_default();
        found.retain(|id| !reach_of(id).from_old);
        Ok(Range {
            count: found.len(),
            is_truncated: frontier.open > 0,
            is_fast_forward: old.is_some_and(|old| reach_of(&gix_id(old)).from_new),
            commits: found
                .iter()
                .take(MAX_COMMITS)
                .map(|id| self.commit(own_id(id)?))
                .collect::<Result<_, _>>()?,
        })
    }
}
