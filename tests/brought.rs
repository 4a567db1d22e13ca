//! The commits between two deployments. The expected values come from git, and from a simple graph
//! search.

use std::{collections::BTreeSet, fmt::Write as _, fs, rc::Rc, time::Duration};

use gitea_lightstep::internals::{Brought, Deadline, FactError, Facts, MAX_COMMITS, Relation, WalkLimit};

use crate::support::{Sandbox, facts::facts_in, random::Random};

/// A history as a list of commits, each after its parents.
#[derive(Default)]
struct History {
    parents: Vec<Vec<usize>>,
    times: Vec<i64>,
    /// The file that each commit writes.
    files: Vec<String>,
    ids: Vec<String>,
}

impl History {
    fn add(&mut self, parents: &[usize], time: i64, file: &str) -> usize {
        self.parents.push(parents.to_vec());
        self.times.push(time);
        self.files.push(file.into());
        self.parents.len() - 1
    }

    /// Writes the commits that are not yet in the repository.
    fn publish(&mut self, sandbox: &Sandbox) {
        let mut stream = String::from("feature done\n");
        let name = |nth: usize| self.ids.get(nth).cloned().unwrap_or_else(|| format!(":{}", nth + 1));
        for nth in self.ids.len()..self.parents.len() {
            let (time, file) = (self.times[nth], &self.files[nth]);
            writeln!(stream, "commit refs/heads/b{nth}\nmark :{}", nth + 1).expect("a string");
            writeln!(stream, "committer Ann <ann@example.org> {time} +0000\ndata 8\nCommit \n")
                .expect("a string");
            for (place, parent) in self.parents[nth].iter().enumerate() {
                let word = if place == 0 { "from" } else { "merge" };
                writeln!(stream, "{word} {}", name(*parent)).expect("a string");
            }
            let content = format!("{nth}\n");
            writeln!(stream, "M 100644 inline {file}\ndata {}\n{content}", content.len()).expect("a string");
        }
        stream.push_str("done\n");
        let marks = sandbox.path("marks");
        let mut import = sandbox.command("git", &sandbox.bare());
        import.args(["-c", "fastimport.unpackLimit=100", "fast-import", "--quiet"]);
        import.arg(format!("--export-marks={}", marks.display()));
        sandbox.run(&mut import, stream.as_bytes()).succeeded();
        let known = self.ids.len();
        let mut new: Vec<(usize, String)> = fs::read_to_string(&marks)
            .expect("a file with the marks")
            .lines()
            .filter_map(|line| line.strip_prefix(':')?.split_once(' '))
            .map(|(mark, id)| (mark.parse::<usize>().expect("a number") - 1, id.to_string()))
            .filter(|(nth, _)| *nth >= known)
            .collect();
        new.sort();
        self.ids.extend(new.into_iter().map(|(_, id)| id));
        assert_eq!(self.ids.len(), self.parents.len());
    }

    /// Returns a commit and all its ancestors.
    fn reach(&self, from: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(nth) = next.pop() {
            if reached.insert(nth) {
                next.extend(&self.parents[nth]);
            }
        }
        reached
    }

    /// Returns the range of a deployment of `new` over `old`.
    fn brought(&self, sandbox: &Sandbox, old: usize, new: usize) -> Rc<Brought> {
        brought(sandbox, &self.ids[old], &self.ids[new], &[], WalkLimit::Visits(1_000_000)).expect("readable")
    }

    /// Returns the expected relation of two commits, and the commits in the range.
    fn expected(&self, old: usize, new: usize) -> (Relation, BTreeSet<usize>) {
        let (of_old, of_new) = (self.reach(old), self.reach(new));
        let news = &of_new - &of_old;
        match (of_new.contains(&old), of_old.contains(&new)) {
            (true, true) => (Relation::Same, news),
            (true, false) => (Relation::Ahead, news),
            (false, true) => (Relation::Behind, &of_old - &of_new),
            (false, false) => (Relation::Diverged, news),
        }
    }
}

impl History {
    /// Returns the commits of a range with no ancestor outside of it. Without any common commit, the
    /// history of the first parents of `tip` is not imported.
    fn imported(&self, tip: usize, commits: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut root = tip;
        while let Some(parent) = self.parents[root].first() {
            root = *parent;
        }
        let has_common = commits.iter().any(|nth| !self.reach(*nth).is_subset(commits));
        let is_own = |nth: &usize| {
            let reached = self.reach(*nth);
            if has_common { !reached.is_subset(commits) } else { reached.contains(&root) }
        };
        commits.iter().copied().filter(|nth| !is_own(nth)).collect()
    }
}

fn facts(sandbox: &Sandbox, new: &str) -> Rc<Facts> {
    facts_in(&sandbox.bare(), "refs/heads/main", "", new)
}

fn brought(
    sandbox: &Sandbox,
    old: &str,
    new: &str,
    paths: &[&str],
    patience: WalkLimit,
) -> Result<Rc<Brought>, FactError> {
    let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
    facts(sandbox, new).brought_since(old.parse().expect("an id"), &paths, patience)
}

/// The storage of a repository's commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// As imported: a pack for each import, or loose objects.
    AsTheyCame,
    /// One pack with a commit-graph that contains all commits.
    InGraph,
    /// Several packs with a chain of two commit-graphs, and some newer commits.
    InStaleChain,
}

#[test]
fn ranges_of_random_histories_match_git() {
    let mut random = Random(20_261_126);
    for nth in 0..24 {
        let format = ["sha1", "sha256"][nth % 2];
        let kept = [Kept::AsTheyCame, Kept::InGraph, Kept::InStaleChain][nth % 3];
        let is_skewed = nth % 4 > 1;
        let sandbox = Sandbox::with_object_format(format);
        let mut history = History::default();
        let length = 40 + random.below(120);
        let breadth = 2 + random.below(20);
        for commit in 0..length {
            let mut parents = BTreeSet::new();
            // Root commits, single parents, merges, and octopus merges with up to seven parents.
            let wanted = match random.below(20) {
                0 => 0,
                1..=12 => 1,
                13..=18 => 2,
                _ => 3 + random.below(5),
            };
            for _ in 0..wanted.min(commit) {
                parents.insert(commit - 1 - random.below(commit.min(breadth)));
            }
            let parents: Vec<usize> = parents.into_iter().rev().collect();
            // Times either increase, with several commits in a minute, or vary randomly within two
            // days.
            let minutes = if is_skewed { random.below(2880) } else { commit / 3 };
            history.add(&parents, 1_700_000_000 + i64::try_from(minutes).expect("a time") * 60, "file");
            let is_third = commit % (length / 3) == length / 3 - 1;
            if kept == Kept::InStaleChain && is_third && commit < length - 3 {
                history.publish(&sandbox);
                let args = ["commit-graph", "write", "--reachable", "--split=no-merge"];
                if commit < length / 2 + 10 {
                    sandbox.git_in(&sandbox.bare(), &args);
                }
            }
        }
        history.publish(&sandbox);
        if kept == Kept::InGraph {
            sandbox.git_in(&sandbox.bare(), &["repack", "-adq"]);
            sandbox.git_in(&sandbox.bare(), &["commit-graph", "write", "--reachable"]);
        }
        for _ in 0..25 {
            // Half of the ranges are short, like those of real deployments.
            let new = random.below(length);
            let old =
                if random.below(2) == 0 { random.below(length) } else { new.saturating_sub(random.below(9)) };
            let (old, new) = if random.below(4) == 0 { (new, old) } else { (old, new) };
            let case = format!("history {nth}, {kept:?}, skewed: {is_skewed}, {old} to {new}");
            let found = history.brought(&sandbox, old, new);
            let (relation, commits) = history.expected(old, new);
            assert_eq!(found.relation, relation, "{case}");
            assert!(!found.is_truncated && !found.is_shallow && !found.is_filtered, "{case}");

            let is_ancestor = |a: usize, b: usize| {
                let mut git = sandbox.command("git", &sandbox.bare());
                git.args(["merge-base", "--is-ancestor", &history.ids[a], &history.ids[b]]);
                sandbox.run(&mut git, b"").code == Some(0)
            };
            let report = match (is_ancestor(old, new), is_ancestor(new, old)) {
                (true, true) => Relation::Same,
                (true, false) => Relation::Ahead,
                (false, true) => Relation::Behind,
                (false, false) => Relation::Diverged,
            };
            assert_eq!(relation, report, "{case}");
            let between = format!("{}...{}", history.ids[old], history.ids[new]);
            let counted = sandbox.git_in(&sandbox.bare(), &["rev-list", "--count", "--left-right", &between]);
            let (left, right) = counted.split_once('\t').expect("two numbers");
            let by_git: usize =
                if relation == Relation::Behind { left } else { right }.parse().expect("a number");
            // With skewed clocks and without generation numbers for all commits, both git and this
            // code may be wrong.
            let may_be_wrong = is_skewed && kept != Kept::InGraph && by_git != commits.len();
            if may_be_wrong && found.count + found.imported == by_git {
                continue;
            }
            let tip = if relation == Relation::Behind { old } else { new };
            let imported = history.imported(tip, &commits);
            assert_eq!(found.count + found.imported, commits.len(), "{case}, git counts {by_git}");
            assert_eq!(found.imported, imported.len(), "{case}");
            let commits = &commits - &imported;

            let ids: BTreeSet<String> = found.commits.iter().map(|commit| commit.id.to_string()).collect();
            let expected: BTreeSet<String> = commits.iter().map(|nth| history.ids[*nth].clone()).collect();
            assert_eq!(ids, expected, "{case}");
            let first = commits.iter().map(|nth| history.times[*nth]).min();
            assert_eq!(found.first.map(|(_, time)| time.as_second()), first, "{case}");
            if let Some((id, time)) = found.first {
                let commit = history.ids.iter().position(|known| *known == id.to_string()).expect("known");
                assert!(commits.contains(&commit) && history.times[commit] == time.as_second(), "{case}");
            }
        }
    }
}

/// Returns a linear history with one commit per minute.
fn line(length: usize) -> History {
    let mut history = History::default();
    for nth in 0..length {
        let parents: Vec<usize> = nth.checked_sub(1).into_iter().collect();
        history.add(&parents, 1_700_000_000 + i64::try_from(nth).expect("a time") * 60, "file");
    }
    history
}

#[test]
fn long_range_is_counted_completely_and_its_newest_commits_are_read() {
    for has_graph in [false, true] {
        let sandbox = Sandbox::new();
        let mut history = line(1_000);
        history.publish(&sandbox);
        if has_graph {
            sandbox.git_in(&sandbox.bare(), &["commit-graph", "write", "--reachable"]);
        }
        let found = history.brought(&sandbox, 9, 999);
        assert_eq!((found.relation, found.count, found.commits.len()), (Relation::Ahead, 990, MAX_COMMITS));
        assert_eq!(found.commits[0].id.to_string(), history.ids[999]);
        assert_eq!(found.commits[MAX_COMMITS - 1].id.to_string(), history.ids[1_000 - MAX_COMMITS]);
        assert_eq!(found.first.expect("a first commit").0.to_string(), history.ids[10]);

        let back = history.brought(&sandbox, 999, 9);
        assert_eq!((back.relation, back.count), (Relation::Behind, 990));
        assert_eq!(back.commits[0].id.to_string(), history.ids[999]);

        // A limit makes the count a lower bound, and the result says so.
        let (old, new) = (&history.ids[9], &history.ids[999]);
        let cut = brought(&sandbox, old, new, &[], WalkLimit::Visits(100)).expect("readable");
        assert_eq!((cut.relation, cut.count, cut.is_truncated), (Relation::Unknown, 100, true));
        let filtered = brought(&sandbox, old, new, &["file"], WalkLimit::Visits(10_000)).expect("readable");
        assert_eq!((filtered.count, filtered.is_filtered), (990, false), "a long range is not filtered");

        // Without time, the call fails with a timeout, and a later call succeeds.
        let facts = facts(&sandbox, new);
        let since = old.parse().expect("an id");
        let late = facts
            .brought_since(since, &[], WalkLimit::Until(Deadline::after(Duration::ZERO)))
            .expect_err("a deadline that has passed");
        assert!(late.is_out_of_time(), "{late}");
        let counted = facts.counted_since(since, WalkLimit::Until(Deadline::never())).expect("readable");
        assert_eq!((counted.count, counted.commits.len()), (990, 0));
        let found = facts.brought_since(since, &[], WalkLimit::Until(Deadline::never())).expect("readable");
        assert_eq!((found.count, found.first), (990, counted.first));
        // A cached result does not need time.
        let again = facts.brought_since(since, &[], WalkLimit::Until(Deadline::after(Duration::ZERO)));
        assert_eq!(again.expect("known").count, 990);
    }
}

#[test]
fn missing_commit_is_lost_and_missing_parent_is_an_error() {
    let sandbox = Sandbox::new();
    let mut history = line(4);
    history.publish(&sandbox);
    let relation = |old: &str| {
        let found = brought(&sandbox, old, &history.ids[3], &[], WalkLimit::Visits(100)).expect("readable");
        (found.relation, found.count, found.first.is_none())
    };
    assert_eq!(relation(&"12".repeat(20)), (Relation::Lost, 0, true));
    assert_eq!(relation(&"12".repeat(32)), (Relation::Lost, 0, true), "a SHA-256 ID in a SHA-1 repository");
    assert_eq!(relation(&history.ids[3]), (Relation::Same, 0, true));

    // The objects are loose, so a single one can be removed.
    let (dir, file) = history.ids[1].split_at(2);
    fs::remove_file(sandbox.bare().join("objects").join(dir).join(file)).expect("remove a loose object");
    let err = brought(&sandbox, &history.ids[0], &history.ids[3], &[], WalkLimit::Visits(100))
        .expect_err("a missing parent")
        .to_string();
    assert_eq!(err, format!("commit {}, a parent of {}, is missing", history.ids[1], history.ids[2]));
}

#[test]
fn nothing_behind_the_old_commit_is_read_without_merges() {
    let sandbox = Sandbox::new();
    let mut history = line(5);
    // All in one second, as after a rebase: the times alone cannot end the walk.
    history.times.fill(1_700_000_000);
    history.publish(&sandbox);
    let (dir, file) = history.ids[0].split_at(2);
    fs::remove_file(sandbox.bare().join("objects").join(dir).join(file)).expect("remove a loose object");
    for old in [2, 3] {
        let found = history.brought(&sandbox, old, 4);
        assert_eq!((found.relation, found.count), (Relation::Ahead, 4 - old));
        assert_eq!(found.first.expect("a first commit").0.to_string(), history.ids[old + 1]);
    }
}

#[test]
fn range_in_a_shallow_clone_ends_at_its_boundary() {
    let sandbox = Sandbox::new();
    let mut history = line(20);
    history.publish(&sandbox);
    let whole = sandbox.path("whole.git");
    fs::rename(sandbox.bare(), &whole).expect("rename the repository");
    let (from, to) = (format!("file://{}", whole.display()), sandbox.bare().display().to_string());
    let branch = ["clone", "-q", "--bare", "--depth=5", "--branch=b19", &from, &to];
    sandbox.git_in(&sandbox.path(""), &branch);
    let since = |old: usize| {
        brought(&sandbox, &history.ids[old], &history.ids[19], &[], WalkLimit::Visits(100)).expect("readable")
    };
    let near = since(16);
    assert_eq!((near.relation, near.count, near.is_shallow), (Relation::Ahead, 3, false));
    assert_eq!(since(3).relation, Relation::Lost);
    // Two histories whose common ancestor is beyond the shallow boundary.
    let other = ["fetch", "-q", "--depth=1", &from, "refs/heads/b9:refs/heads/b9"];
    sandbox.git_in(&sandbox.bare(), &other);
    let apart = since(9);
    assert_eq!((apart.relation, apart.count, apart.is_shallow), (Relation::Diverged, 5, true));
    let touched = brought(&sandbox, &history.ids[9], &history.ids[19], &["file"], WalkLimit::Visits(100));
    assert_eq!(touched.expect("readable").count, 5, "all files of a shallow commit count as changes");
}

#[test]
fn replace_refs_do_not_affect_ranges() {
    let sandbox = Sandbox::new();
    let mut history = line(10);
    let lone = history.add(&[], 1_700_000_000, "file");
    history.publish(&sandbox);
    sandbox.git_in(&sandbox.bare(), &["replace", "-f", &history.ids[8], &history.ids[lone]]);
    sandbox.write("git/acme/shop.git/info/grafts", format!("{}\n", history.ids[7]));
    let found = history.brought(&sandbox, 2, 9);
    assert_eq!((found.relation, found.count), (Relation::Ahead, 7));
    let found = history.brought(&sandbox, lone, 9);
    assert_eq!((found.relation, found.count), (Relation::Diverged, 10), "unrelated histories");
}

#[test]
fn range_of_a_service_counts_only_commits_in_its_paths() {
    let sandbox = Sandbox::new();
    let mut history = History::default();
    let mut time = 1_700_000_000;
    let mut add = |history: &mut History, parents: &[usize], file: &str| {
        time += 60;
        history.add(parents, time, file)
    };
    let root = add(&mut history, &[], "services/shop/a");
    let shop = add(&mut history, &[root], "services/shop/a");
    let basket = add(&mut history, &[shop], "services/basket/a");
    let side = add(&mut history, &[root], "services/basket/deep/b");
    // The merge writes to the shop, so it differs from its first parent in the side's file and in
    // its own.
    let merge = add(&mut history, &[basket, side], "services/shop/c");
    let last = add(&mut history, &[merge], "docs/x");
    history.publish(&sandbox);
    // fast-import gives a merge only the files of its first parent. A separate commit adds those of
    // the side.
    let touching = |paths: &[&str]| {
        let found = brought(&sandbox, &history.ids[root], &history.ids[last], paths, WalkLimit::Visits(100))
            .expect("readable");
        assert!(found.is_filtered);
        let commits: Vec<usize> = found
            .commits
            .iter()
            .map(|commit| history.ids.iter().position(|id| *id == commit.id.to_string()).expect("known"))
            .collect();
        assert_eq!(found.count, commits.len());
        let first = found.first.map(|(id, _)| id.to_string());
        assert_eq!(first.as_ref(), commits.last().map(|nth| &history.ids[*nth]));
        commits
    };
    assert_eq!(touching(&["services/shop/**"]), [merge, shop]);
    assert_eq!(touching(&["services/basket/**"]), [side, basket]);
    assert_eq!(touching(&["services/basket/*"]), [basket], "`*` does not match `/`");
    assert_eq!(touching(&["docs/**", "services/shop/a"]), [last, shop]);
    assert!(touching(&["nowhere/**"]).is_empty());
}
