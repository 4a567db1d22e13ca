//! Parents and times of commits, from the commit-graph where it has them, else from the objects.
//!
//! During one walk a commit is a number, so that the walk stores only a few bytes per commit. A
//! commit in the commit-graph has its position there as its number. Other commits get the next
//! numbers, in the order in which the walk meets them.

use std::collections::{HashMap, HashSet};

use bstr::ByteSlice as _;
use gix::{
    commitgraph::{Graph, Position},
    hashtable::hash_table::HashTable,
};

use super::{
    FactError, Repository,
    repository::{BYTES, spent_on},
};

/// Committer time, in seconds since 1970.
pub(super) type Time = gix::date::SecondsSinceUnixEpoch;

/// Number of a commit during one walk.
pub(super) type CommitNumber = u32;

/// Generation number from the commit-graph: the distance to the farthest root. Ancestors always
/// have lower numbers.
pub(super) type Generation = u32;

/// Generation of a commit that is not in the graph. It is higher than any in the graph, because a
/// commit in the graph has no ancestors outside of it.
pub(super) const UNKNOWN: Generation = Generation::MAX;

/// Maximum size of a commit, in bytes, that is not charged to the allowance.
const ORDINARY: usize = 4096;

/// Number of parents of a commit that are not charged to the allowance.
const ORDINARY_PARENTS: usize = 16;

/// Cost of looking up each further parent, in units of work.
const PARENT: u64 = 4;

/// Highest generation number that git writes (gitformat-commit-graph(5)).
const LAST_GENERATION: Generation = 0x3fff_ffff;

/// The parts of a commit object that a walk needs.
#[derive(Debug, PartialEq, Eq)]
struct CommitHead {
    time: Time,
    /// The raw ids of the parents, concatenated.
    parents: Vec<u8>,
}

/// The commits of a repository and their parents.
pub(super) struct Ancestry<'r> {
    repository: &'r Repository,
    graph: Option<&'r Graph>,
    in_graph: CommitNumber,
    /// The raw ids of the commits that are not in the graph, in the order of their numbers.
    ids: Vec<u8>,
    numbers: HashTable<CommitNumber>,
    /// Random seed. Without it, an attacker could choose ids that collide in `numbers`.
    seed: u64,
    /// Parsed commits whose parents the walk has not asked for yet.
    heads: HashMap<CommitNumber, CommitHead>,
    /// The commits whose parents were not fetched. Empty in a full clone.
    edge: HashSet<gix::ObjectId>,
    /// True if the last call of `parents` left out parents that were not fetched.
    pub met_edge: bool,
    object: Vec<u8>,
}

impl<'r> Ancestry<'r> {
    /// Opens the commit-graph, unless the repository is shallow. The graph of a shallow clone does
    /// not record where the history is cut, and git does not read it either.
    pub fn of(repository: &'r Repository) -> Result<Self, FactError> {
        let edge = repository.layout.shallow().map_err(|err| repository.noted(err))?;
        let graph = if edge.is_empty() { repository.commit_graph()? } else { None };
        Ok(Self {
            repository,
            in_graph: graph.map_or(0, Graph::num_commits),
            graph,
            ids: Vec::new(),
            numbers: HashTable::new(),
            seed: fastrand::u64(..) | 1,
            heads: HashMap::new(),
            edge,
            met_edge: false,
            object: Vec::new(),
        })
    }

    /// Returns the number of commits in the commit-graph. They have the lowest numbers.
    pub fn in_graph(&self) -> CommitNumber {
        self.in_graph
    }

    /// Returns the number of a commit, `None` if the repository does not have it.
    pub fn number(&mut self, id: &gix::hash::oid) -> Result<Option<CommitNumber>, FactError> {
        if let Some(place) = self.graph.and_then(|graph| graph.lookup(id)) {
            return Ok(Some(place.0));
        }
        let (length, seed, in_graph) = (id.as_bytes().len(), self.seed, self.in_graph);
        let hash = mixed(id.as_bytes(), seed);
        let place = |number: CommitNumber| (number - in_graph) as usize * length;
        let is_it = |number: &CommitNumber| self.ids[place(*number)..][..length] == *id.as_bytes();
        if let Some(number) = self.numbers.find(hash, is_it) {
            return Ok(Some(*number));
        }
        let Some(head) = self.read(id)? else { return Ok(None) };
        let number = u32::try_from(self.ids.len() / length)
            .ok()
            .and_then(|nth| in_graph.checked_add(nth))
            .ok_or_else(|| FactError::new("the history has too many commits"))?;
        self.ids.extend_from_slice(id.as_bytes());
        let ids = &self.ids;
        self.numbers.insert_unique(hash, number, |number| mixed(&ids[place(*number)..][..length], seed));
        self.heads.insert(number, head);
        Ok(Some(number))
    }

    /// Returns the id of a commit.
    pub fn id(&self, number: CommitNumber) -> gix::ObjectId {
        match self.graph {
            Some(graph) if number < self.in_graph => graph.id_at(Position(number)).to_owned(),
            _ => {
                let length = self.repository.hash().len_in_bytes();
                let at = (number - self.in_graph) as usize * length;
                gix::ObjectId::from_bytes_or_panic(&self.ids[at..at + length])
            }
        }
    }

    /// Returns the committer time of a commit.
    pub fn time(&mut self, number: CommitNumber) -> Result<Time, FactError> {
        if let Some(graph) = self.graph.filter(|_| number < self.in_graph) {
            return Ok(graph.commit_at(Position(number)).committer_timestamp().cast_signed());
        }
        if !self.heads.contains_key(&number) {
            let head = self.again(number)?;
            self.heads.insert(number, head);
        }
        Ok(self.heads[&number].time)
    }

    /// Puts the parents of a commit into `parents`, and returns its generation.
    pub fn parents(
        &mut self,
        number: CommitNumber,
        parents: &mut Vec<CommitNumber>,
    ) -> Result<Generation, FactError> {
        parents.clear();
        self.met_edge = false;
        if let Some(graph) = self.graph.filter(|_| number < self.in_graph) {
            let commit = graph.commit_at(Position(number));
            for parent in commit.iter_parents() {
                if parents.len() > ORDINARY_PARENTS {
                    self.spend_on_parent()?;
                }
                let broken = |err| self.repository.failed("failed to read the commit-graph", &err);
                parents.push(parent.map_err(broken)?.0);
            }
            return Ok(known(commit.generation()));
        }
        let head = match self.heads.remove(&number) {
            Some(head) => head,
            None => self.again(number)?,
        };
        if self.edge.contains(&self.id(number)) {
            self.met_edge = !head.parents.is_empty();
            return Ok(UNKNOWN);
        }
        for raw in head.parents.chunks_exact(self.repository.hash().len_in_bytes()) {
            let parent = gix::ObjectId::from_bytes_or_panic(raw);
            if parents.len() > ORDINARY_PARENTS {
                self.spend_on_parent()?;
            }
            match self.number(&parent)? {
                Some(parent) => parents.push(parent),
                None if self.edge.is_empty() => {
                    let id = self.id(number);
                    return Err(FactError::new(format!("commit {parent}, a parent of {id}, is missing")));
                }
                None => self.met_edge = true,
            }
        }
        Ok(UNKNOWN)
    }

    fn spend_on_parent(&self) -> Result<(), FactError> {
        self.repository.spend(PARENT).map_err(|spent| spent_on(spent, "walking the history"))
    }

    /// Returns the generation of a commit.
    pub fn generation(&self, number: CommitNumber) -> Generation {
        match self.graph {
            Some(graph) if number < self.in_graph => known(graph.commit_at(Position(number)).generation()),
            _ => UNKNOWN,
        }
    }

    /// Reads a commit that was read before.
    fn again(&mut self, number: CommitNumber) -> Result<CommitHead, FactError> {
        let id = self.id(number);
        self.read(&id)?.ok_or_else(|| FactError::new(format!("commit {id} is missing")))
    }

    fn read(&mut self, id: &gix::hash::oid) -> Result<Option<CommitHead>, FactError> {
        use gix::objs::Find as _;
        let failed =
            |why: &dyn std::fmt::Display| FactError::new(format!("failed to read commit {id}: {why}"));
        let found = self
            .repository
            .objects
            .try_find(id, &mut self.object)
            .map_err(|err| self.repository.failed(format_args!("failed to read commit {id}"), &err))?;
        let Some(found) = found else {
            return self.repository.second_look(id).map_or(Ok(None), Err);
        };
        if found.kind != gix::objs::Kind::Commit {
            return Err(failed(&format!("it is a {}", found.kind)));
        }
        // Ordinary commits are free here, because the walk itself limits their number.
        let beyond = found.data.len().saturating_sub(ORDINARY) as u64;
        self.repository.spend(beyond / BYTES).map_err(|spent| spent_on(spent, "walking the history"))?;
        let head = CommitHead::parse(found.data).filter(|head| head.parents.len() % id.as_bytes().len() == 0);
        head.map(Some).ok_or_else(|| failed(&"it is malformed"))
    }
}

impl CommitHead {
    /// Parses the headers of a commit. A committer without a time that is a number, or no committer
    /// at all, counts as 1970, as in git.
    fn parse(commit: &[u8]) -> Option<Self> {
        let mut rest = commit.strip_prefix(b"tree ")?;
        let mut parents = Vec::new();
        loop {
            (_, rest) = rest.split_once_str(b"\n")?;
            let Some(after) = rest.strip_prefix(b"parent ") else { break };
            let hex = &after[..after.find_byte(b'\n')?];
            parents.extend_from_slice(gix::ObjectId::from_hex(hex).ok()?.as_bytes());
            rest = after;
        }
        let committer = rest
            .lines()
            .take_while(|line| !line.is_empty())
            .find_map(|line| line.strip_prefix(b"committer "))
            .unwrap_or_default();
        let seconds = committer.rsplit_once_str(b">").map_or(&b""[..], |(_, seconds)| seconds.trim_start());
        let seconds = &seconds[..seconds.find_byte(b' ').unwrap_or(seconds.len())];
        let time = seconds.to_str().ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        Some(Self { time, parents })
    }
}

fn known(generation: Generation) -> Generation {
    // Git before 2.19 wrote no generation numbers.
    if generation == 0 || generation >= LAST_GENERATION { UNKNOWN } else { generation }
}

fn mixed(id: &[u8], seed: u64) -> u64 {
    let first = id.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    // The hash table uses both the high and the low bits, so fold the high half of the product into
    // the low half.
    let product = u128::from(first ^ seed) * u128::from(seed | 1 << 63);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests;
