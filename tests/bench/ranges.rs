//! `--only ranges`: computes the commits between two deployments in a history of 1,000,000 commits,
//! compared with git.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    io::{self, BufWriter},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    rc::Rc,
};

use gitea_lightstep::internals::{
    Environment, Facts, MAX_VISITED_SINCE, ObjectId, Push, PushId, RefName, Relation, Repository, Source,
    Timestamp, Update, WalkLimit,
};

use crate::support::{
    build,
    git::Git,
    launcher::{self, Used},
    stats::percentile,
    verdict::{Verdict, mib},
};

/// First argument of the measured process: `WHAT BARE OLD NEW`, where `WHAT` is [`COUNT`] or
/// [`WHOLE`].
pub const FLAG: &str = "--between";

/// Computes the number of commits, the relation of the two ends, and the oldest commit.
const COUNT: &str = "count";

/// Computes the same, and reads the newest 250 commits completely.
const WHOLE: &str = "whole";

/// Number of commits in the history.
const COMMITS: usize = 1_000_000;

/// Number of additional commits on a branch that leaves the main line 10,000 commits before its
/// end.
const APART: usize = 100;

/// One in this many commits is a merge, and one in this many changes a file.
const A_MERGE: usize = 10;
const A_CHANGE: usize = 4;

/// Number of branches that are open at the same time; each stays open for about 300 commits.
const OPEN: usize = 30;

/// Time of the push, after the last commit of the history, in seconds since 1970.
const PUSHED: i64 = 1_900_000_000;

/// Tolerance for noise: a factor of git's time, or milliseconds for the shortest ranges, where
/// process start dominates.
pub const NOISE: f64 = 1.1;
pub const NOISE_MS: f64 = 1.0;

/// Number of measurements per requested run for ranges below `LONG` commits, whose times are short.
pub const OFTEN: usize = 4;
const LONG: usize = 100_000;

/// Measured ranges: a name, the old and the new revision, and the approximate number of commits.
const CASES: [(&str, &str, &str, usize); 7] = [
    ("1", "at-1", "main", 1),
    ("100", "at-100", "main", 100),
    ("10,000", "at-10000", "main", 10_000),
    ("100,000", "at-100000", "main", 100_000),
    ("1,000,000", "at-1000000", "main", 1_000_000),
    ("10,000 back", "main", "at-10000", 10_000),
    ("apart by 100 and 10,000", "main", "hotfix", 10_000),
];

pub fn run(runs: usize, verdict: &mut Verdict) {
    let temp = tempfile::tempdir().expect("a temporary directory for git's home");
    let git = Git::new(temp.path());
    let [with, without] = repositories(&git);
    let ours =
        build::install(&std::env::current_exe().expect("the bench knows its own file").display().to_string());

    println!("\n## Commits between two deployments, in a history of {COMMITS} commits, milliseconds\n");
    println!(
        "| commits between | counted | commit-graph | ours | `git rev-list --count` | `git log \\| tail` | ours, 250 read whole | our peak, MiB | git's peak, MiB |"
    );
    println!("|---|--:|---|--:|--:|--:|--:|--:|--:|");
    for (bare, graph) in [(&with, "yes"), (&without, "no")] {
        for (name, old, new, length) in CASES {
            let [old, new] = [old, new].map(|rev| git.run(bare, &["rev-parse", rev]));
            let is_back = name.contains("back");
            let range = if is_back { format!("{new}..{old}") } else { format!("{old}..{new}") };
            let [mut between, mut whole] = [COUNT, WHOLE].map(|what| {
                let mut command = git.command(&ours, bare);
                command.args([FLAG, what]).arg(bare).args([&old, &new]);
                command
            });
            let mut counted = git.command("git", bare);
            counted.args(["rev-list", "--count", &range]);
            let mut logged = git.command("sh", bare);
            logged.arg("-c").arg(format!("git log --format=%ct {range} | tail -n 1"));

            let report = |command: &mut Command| {
                let output = command.output().expect("the program starts");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                String::from_utf8_lossy(&output.stdout).trim().to_string()
            };
            let (answer, count) = (report(&mut between), report(&mut counted));
            assert_eq!(answer.split(' ').next(), Some(&*count), "our count differs from git's: `{answer}`");
            assert_eq!(report(&mut whole), answer);

            let mut used: [Vec<Used>; 4] = Default::default();
            for _ in 0..runs * if length < LONG { OFTEN } else { 1 } {
                // Alternate between the commands, so that a temporary slowdown affects all of them.
                for (used, command) in used.iter_mut().zip([&between, &counted, &logged, &whole]) {
                    used.push(launcher::measure(command, Path::new("/dev/null")).hook);
                }
            }
            let median = |used: &[Used]| {
                let mut times: Vec<f64> = used.iter().map(|used| used.wall.as_secs_f64() * 1e3).collect();
                percentile(&mut times, 50)
            };
            let peak = |used: &[Used]| used.iter().map(|used| mib(used.peak)).fold(0.0, f64::max);
            let [ours, by_git, by_log, whole] = used.each_ref().map(|used| median(used));
            println!(
                "| {name} | {count} | {graph} | {ours:.1} | {by_git:.1} | {by_log:.1} | {whole:.1} | {:.1} | {:.1} |",
                peak(&used[0]).max(peak(&used[3])),
                peak(&used[1]),
            );
            let how = if graph == "yes" { "with" } else { "without" };
            verdict.add(
                format!(
                    "{name} commits, {how} a commit-graph: no more than `git rev-list --count`, within 10 % or 1 ms"
                ),
                format!("{ours:.1} of {by_git:.1} ms"),
                ours <= (by_git * NOISE).max(by_git + NOISE_MS),
            );
        }
    }
}

/// Runs the measured process with the arguments `WHAT BARE OLD NEW`. It prints the count, the
/// relation of the new commit to the old one, and the time of the earliest commit.
pub fn answer(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let is_whole = args.next().is_some_and(|what| what == WHOLE);
    let bare = PathBuf::from(args.next().expect("a repository"));
    let (old, new) = (id(args.next()), id(args.next()));
    let facts = facts(&bare, old, new);
    let patience = WalkLimit::Visits(MAX_VISITED_SINCE);
    let brought =
        if is_whole { facts.brought_since(old, &[], patience) } else { facts.counted_since(old, patience) };
    let brought = brought.expect("the range is readable");
    assert!(!brought.is_truncated && brought.relation != Relation::Lost, "the history is complete");
    let (first, time) = brought.first.expect("they differ");
    println!("{} {:?} {first} {time}", brought.count, brought.relation);
    ExitCode::SUCCESS
}

/// Parses an argument of a measured process as an object ID.
pub fn id(arg: Option<OsString>) -> ObjectId {
    arg.and_then(|arg| arg.to_str()?.parse().ok()).expect("an id")
}

/// Returns the facts of an update of `main`.
pub fn facts(bare: &Path, old: ObjectId, new: ObjectId) -> Facts {
    let update = Update::new(RefName::new(b"refs/heads/main").expect("a name"), old, new).expect("an update");
    let source = Source::read(&Environment::from_fn(|_| None::<OsString>), bare);
    let repository = Repository::open(&source.git_dir).map(Rc::new);
    // Commits later than the push would not be dated.
    let pushed = Timestamp::from_second(PUSHED).expect("a time");
    let push = Push::new(PushId::now(), pushed, source, vec![update]);
    Facts::new(Rc::new(push), 0, repository)
}

/// Returns the history with and without a commit-graph. It is generated once and kept in cargo's
/// target directory.
pub fn repositories(git: &Git) -> [PathBuf; 2] {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("history-1");
    let of = |dir: &Path| [dir.join("with.git"), dir.join("without.git")];
    if dir.exists() {
        return of(&dir);
    }
    eprintln!("creating a history of {COMMITS} commits (once, about two minutes)");
    let staged = dir.with_extension("staged");
    let _ = fs::remove_dir_all(&staged);
    let [with, without] = of(&staged);
    git.bare(&with);
    let mut import = git.command("git", &with);
    import.args(["fast-import", "--quiet", "--date-format=raw"]).stdin(Stdio::piped());
    let mut import = import.spawn().expect("git is installed");
    let mut stream = BufWriter::new(import.stdin.take().expect("stdin is piped"));
    history(&mut stream).expect("git fast-import reads the whole stream");
    drop(stream);
    assert!(import.wait().expect("git fast-import is a child").success(), "git fast-import failed");
    // The object order is that of `git gc`. Searching for deltas would double the time.
    git.run(&with, &["repack", "--quiet", "-a", "-d", "--window=0"]);
    let [from, to] = [&with, &without].map(|path| path.to_str().expect("the target directory is UTF-8"));
    git.run(&staged, &["clone", "--quiet", "--bare", "--local", from, to]);
    git.run(&with, &["commit-graph", "write", "--reachable"]);
    fs::rename(&staged, &dir).expect("the staged history can be renamed");
    of(&dir)
}

/// Writes a main line with parallel branches of 1 to 11 commits that are merged back, so that every
/// tenth commit is a merge. Commits are ten minutes apart, with up to two hours of jitter, and the
/// author date is up to a day earlier than the commit date.
fn history(to: &mut impl io::Write) -> io::Result<()> {
    let mut random = fastrand::Rng::with_seed(20_261_126);
    let mut main: Vec<usize> = Vec::new();
    // The last commit of each open branch.
    let mut open: Vec<usize> = Vec::new();
    for nth in 1..=COMMITS {
        let tip = main.last().copied();
        let is_main = random.usize(..A_MERGE) < 4 || nth == COMMITS || nth < A_MERGE;
        let mut parents: Vec<usize> = Vec::new();
        if nth.is_multiple_of(A_MERGE) && !open.is_empty() {
            parents.extend(tip);
            parents.push(open.swap_remove(random.usize(..open.len())));
            main.push(nth);
        } else if is_main {
            parents.extend(tip);
            main.push(nth);
        } else if open.len() < OPEN {
            // Branch off from one of the last 40 commits of the main line.
            let back = random.usize(..main.len().min(40));
            parents.push(main[main.len() - 1 - back]);
            open.push(nth);
        } else {
            let branch = random.usize(..open.len());
            parents.push(std::mem::replace(&mut open[branch], nth));
        }
        commit(to, "main", nth, &parents, &mut random)?;
    }
    writeln!(to, "reset refs/heads/main\nfrom :{}\n", main[main.len() - 1])?;
    for (_, old, _, length) in CASES.iter().filter(|(_, old, ..)| old.starts_with("at-")) {
        // The last commit of the main line that is old enough.
        let before = main.partition_point(|nth| *nth <= COMMITS - length).max(1);
        writeln!(to, "reset refs/heads/{old}\nfrom :{}\n", main[before - 1])?;
        if *length == 10_000 {
            let mut parent = main[before - 1];
            for nth in 1..=APART {
                commit(to, "hotfix", COMMITS + nth, &[parent], &mut random)?;
                parent = COMMITS + nth;
            }
        }
    }
    to.flush()
}

fn commit(
    to: &mut impl io::Write,
    branch: &str,
    nth: usize,
    parents: &[usize],
    random: &mut fastrand::Rng,
) -> io::Result<()> {
    let time = 1_200_000_000 + nth * 600 + random.usize(..7_200);
    let mut message = format!("fix(part-{}): change {nth}\n\n", nth % 40);
    for _ in 0..random.usize(4..40) {
        write!(message, "{:x} ", random.u32(..1 << 20)).expect("writing to a string");
    }
    let author = format!("Person {0} <person-{0}@example.org>", random.usize(..500));
    writeln!(
        to,
        "commit refs/heads/{branch}\nmark :{nth}\nauthor {author} {} +0000",
        time - random.usize(..86_400)
    )?;
    writeln!(to, "committer {author} {time} +0000\ndata {}\n{message}", message.len())?;
    for (place, parent) in parents.iter().enumerate() {
        writeln!(to, "{} :{parent}", if place == 0 { "from" } else { "merge" })?;
    }
    if nth.is_multiple_of(A_CHANGE) {
        let content = format!("change {nth}\n");
        let file = random.usize(..400);
        writeln!(
            to,
            "M 100644 inline src/part-{}/file-{file}\ndata {}\n{content}",
            file % 20,
            content.len()
        )?;
    }
    Ok(())
}
