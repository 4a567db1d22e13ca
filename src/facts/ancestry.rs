//! Whose parents a commit has, and when it was made: from the commit-graph as far as that reaches, else from the objects.
//!
//! During one walk a commit is a number, so that what is known of it fits into a few bytes. In the commit-graph the
//! number is its place there; the others are numbered behind it, in the order in which they are met.

use std::collections::{HashMap, HashSet};

use bstr::ByteSlice as _;
use gix::{
    commitgraph::{Graph, Position},
    hashtable::hash_table::HashTable,
};

use super::{FactError, Repository, repository::told};

/// The time of a committer, as seconds since 1970.
pub(super) type Time = gix::date::SecondsSinceUnixEpoch;

/// What a commit is called during one walk.
pub(super) type Number = u32;

/// How far a commit is from the farthest root, by the commit-graph: an ancestor's is always lower.
pub(super) type Generation = u32;

/// The generation of a commit of which nobody knows it: higher than that of every commit in the graph, which has no
/// commit outside of it as an ancestor.
pub(super) const UNKNOWN: Generation = Generation::MAX;

/// Where git stops counting generations (gitformat-commit-graph(5)).
const LAST_GENERATION: Generation = 0x3fff_ffff;

/// What a walk has to know of a commit object.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    time: Time,
    /// The raw ids of the parents, one after the other.
    parents: Vec<u8>,
}

/// The commits of a repository and their parents.
pub(super) struct Ancestry<'r> {
    repository: &'r Repository,
    graph: Option<&'r Graph>,
    in_graph: Number,
    /// The raw ids of the commits that are not in the graph, in the order of their numbers.
    ids: Vec<u8>,
    numbers: HashTable<Number>,
    /// Keeps what strangers choose, an id, from telling where it comes to lie in `numbers`.
    seed: u64,
    /// What was read of commits whose parents were not asked for yet.
    heads: HashMap<Number, Head>,
    /// The commits whose parents were not fetched; empty in a repository that is whole.
    edge: HashSet<gix::ObjectId>,
    /// Whether the last commit that was asked for its parents has some that were not fetched.
    pub met_edge: bool,
    object: Vec<u8>,
}

impl<'r> Ancestry<'r> {
    /// Opens the commit-graph, if there is one that may be trusted: one of a shallow clone knows nothing of its edge,
    /// and git does not read it either.
    pub fn of(repository: &'r Repository) -> Result<Self, FactError> {
        let edge = repository.layout.shallow()?;
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

    /// Returns how many numbers the commit-graph takes: it has the lowest.
    pub fn in_graph(&self) -> Number {
        self.in_graph
    }

    /// Returns the number of a commit, `None` if the repository does not have it.
    pub fn number(&mut self, id: &gix::hash::oid) -> Result<Option<Number>, FactError> {
        if let Some(place) = self.graph.and_then(|graph| graph.lookup(id)) {
            return Ok(Some(place.0));
        }
        let (length, seed, in_graph) = (id.as_bytes().len(), self.seed, self.in_graph);
        let hash = mixed(id.as_bytes(), seed);
        let place = |number: Number| (number - in_graph) as usize * length;
        let is_it = |number: &Number| self.ids[place(*number)..][..length] == *id.as_bytes();
        if let Some(number) = self.numbers.find(hash, is_it) {
            return Ok(Some(*number));
        }
        let Some(head) = self.read(id)? else { return Ok(None) };
        let number = u32::try_from(self.ids.len() / length)
            .ok()
            .and_then(|nth| in_graph.checked_add(nth))
            .ok_or_else(|| FactError::new("the history has more commits than can be counted"))?;
        self.ids.extend_from_slice(id.as_bytes());
        let ids = &self.ids;
        self.numbers.insert_unique(hash, number, |number| mixed(&ids[place(*number)..][..length], seed));
        self.heads.insert(number, head);
        Ok(Some(number))
    }

    /// Returns the id of a commit.
    pub fn id(&self, number: Number) -> gix::ObjectId {
        match self.graph {
            Some(graph) if number < self.in_graph => graph.id_at(Position(number)).to_owned(),
            _ => {
                let length = self.repository.hash().len_in_bytes();
                let at = (number - self.in_graph) as usize * length;
                gix::ObjectId::from_bytes_or_panic(&self.ids[at..at + length])
            }
        }
    }

    /// Returns when the commit was made.
    pub fn time(&mut self, number: Number) -> Result<Time, FactError> {
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
    pub fn parents(&mut self, number: Number, parents: &mut Vec<Number>) -> Result<Generation, FactError> {
        parents.clear();
        self.met_edge = false;
        if let Some(graph) = self.graph.filter(|_| number < self.in_graph) {
            let commit = graph.commit_at(Position(number));
            for parent in commit.iter_parents() {
                let broken = |err| FactError::new(format!("failed to read the commit-graph: {}", told(&err)));
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

    /// Returns the generation of a commit.
    pub fn generation(&self, number: Number) -> Generation {
        match self.graph {
            Some(graph) if number < self.in_graph => known(graph.commit_at(Position(number)).generation()),
            _ => UNKNOWN,
        }
    }

    /// Reads once more what was read of a commit before.
    fn again(&mut self, number: Number) -> Result<Head, FactError> {
        let id = self.id(number);
        self.read(&id)?.ok_or_else(|| FactError::new(format!("commit {id} is missing")))
    }

    fn read(&mut self, id: &gix::hash::oid) -> Result<Option<Head>, FactError> {
        use gix::objs::Find as _;
        let failed =
            |why: &dyn std::fmt::Display| FactError::new(format!("failed to read commit {id}: {why}"));
        let found =
            self.repository.objects.try_find(id, &mut self.object).map_err(|err| failed(&told(&err)))?;
        let Some(found) = found else { return Ok(None) };
        if found.kind != gix::objs::Kind::Commit {
            return Err(failed(&format!("it is a {}", found.kind)));
        }
        let head = Head::parse(found.data).filter(|head| head.parents.len() % id.as_bytes().len() == 0);
        head.map(Some).ok_or_else(|| failed(&"it is broken"))
    }
}

impl Head {
    /// Reads the first lines of a commit. A time that is no number is none, as for git: 1970.
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
            .find_map(|line| line.strip_prefix(b"committer "))?;
        let seconds = committer.rsplit_once_str(b">").map_or(&b""[..], |(_, seconds)| seconds.trim_start());
        let seconds = &seconds[..seconds.find_byte(b' ').unwrap_or(seconds.len())];
        let time = seconds.to_str().ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        Some(Self { time, parents })
    }
}

fn known(generation: Generation) -> Generation {
    // Git before 2.19 wrote none.
    if generation == 0 || generation >= LAST_GENERATION { UNKNOWN } else { generation }
}

fn mixed(id: &[u8], seed: u64) -> u64 {
    let first = id.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    // Both ends of the hash are used by the table, so the high half of the product goes into the low one.
    let product = u128::from(first ^ seed) * u128::from(seed | 1 << 63);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_commit_is_read_and_nothing_of_its_message() {
        let parent = "1".repeat(40);
        let read = |parents: &str, committer: &str| {
            Head::parse(
                format!(
                    "tree {}\n{parents}author A <a@x> 1 +0000\n{committer}\n\ncommitter No <b> 9 +0000\n",
                    "0".repeat(40)
                )
                .as_bytes(),
            )
            .map(|head| (head.time, head.parents.len()))
        };
        let lines = format!("parent {parent}\nparent {parent}\n");
        assert_eq!(read(&lines, "committer A > B <a@x> 1700000000 +0200"), Some((1_700_000_000, 40)));
        assert_eq!(read("", "committer A <a@x> -5 +0000"), Some((-5, 0)));
        assert_eq!(read("", "committer A <a@x>"), Some((0, 0)));
        assert_eq!(read("", "committer A <a@x> soon"), Some((0, 0)));
        assert_eq!(read("", "encoding x"), None);
        assert_eq!(read("parent 12\n", "committer A <a@x> 1 +0000"), None);
    }
}
