//! Part 8: what lies between two deployments, over a history of 1,000,000 commits, beside git.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    io::{self, BufWriter},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    rc::Rc,
};

use gitea_lightstep::{
    facts::{Facts, MAX_VISITED_SINCE, Patience, Relation, Repository},
    push::{Environment, Push, PushId, RefName, Source, Update},
    time::Timestamp,
};

use crate::support::{
    build,
    git::Git,
    launcher::{self, Used},
    stats::percentile,
    verdict::{Verdict, mib},
};

/// The first argument of the process that is measured: `WHAT BARE OLD NEW`, where `WHAT` is one of the two below.
pub const FLAG: &str = "--between";

/// How many commits, how the two stand to each other, and the oldest.
const COUNT: &str = "count";

/// The same, and the newest 250 read whole.
const WHOLE: &str = "whole";

/// How long the history is.
const COMMITS: usize = 1_000_000;

/// How many of them a branch of its own has, which leaves the main line 10,000 commits before its end.
const APART: usize = 100;

/// Of so many commits one is a merge, and of so many one changes a file.
const A_MERGE: usize = 10;
const A_CHANGE: usize = 4;

/// How many branches are open beside each other, and so each for some 300 commits of all.
const OPEN: usize = 30;

/// By how much ours may be above git's for noise; of the shortest ranges, which are the start of a process and little
/// else, by how many milliseconds.
const NOISE: f64 = 1.1;
const NOISE_MS: f64 = 1.0;

/// How often a range below `LONG` commits is measured for each run that is asked for: its times are short.
const OFTEN: usize = 4;
const LONG: usize = 100_000;

/// What is measured: a name, the old and the new revision, and about how many commits lie between.
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
    let temp = tempfile::tempdir().expect("there is room for git's home");
    let git = Git::new(temp.path());
    let [with, without] = repositories(&git);
    let ours =
        build::install(&std::env::current_exe().expect("the bench knows its own file").display().to_string());

    println!("\n## What lies between two deployments, in a history of {COMMITS} commits, milliseconds\n");
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

            let told = |command: &mut Command| {
                let output = command.output().expect("it starts");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                String::from_utf8_lossy(&output.stdout).trim().to_string()
            };
            let (answer, count) = (told(&mut between), told(&mut counted));
            assert_eq!(answer.split(' ').next(), Some(&*count), "ours says `{answer}`");
            assert_eq!(told(&mut whole), answer);

            let mut used: [Vec<Used>; 4] = Default::default();
            for _ in 0..runs * if length < LONG { OFTEN } else { 1 } {
                // One after the other, so that a slow minute is everybody's.
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

/// The main of the process that is measured: `WHAT BARE OLD NEW`. It prints the count, how the new commit stands to the old one, and the time
/// of the earliest.
pub fn answer(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let is_whole = args.next().is_some_and(|what| what == WHOLE);
    let bare = PathBuf::from(args.next().expect("a repository"));
    let [old, new] = [(); 2].map(|()| {
        let id = args.next().expect("two ids");
        id.to_str().and_then(|id| id.parse().ok()).expect("an id")
    });
    let update = Update::new(RefName::new(b"refs/heads/main").expect("a name"), old, new).expect("an update");
    let source = Source::read(&Environment::from_fn(|_| None::<OsString>), &bare);
    let repository = Repository::open(&source.git_dir).map(Rc::new);
    let push = Push::new(PushId::now(), Timestamp::now(), source, vec![update]);
    let facts = Facts::new(Rc::new(push), 0, repository);
    let patience = Patience::Visits(MAX_VISITED_SINCE);
    let brought =
        if is_whole { facts.brought_since(old, &[], patience) } else { facts.counted_since(old, patience) };
    let brought = brought.expect("it is readable");
    assert!(!brought.is_truncated && brought.relation != Relation::Lost, "the whole history is there");
    let (first, time) = brought.first.expect("they differ");
    println!("{} {:?} {first} {time}", brought.count, brought.relation);
    ExitCode::SUCCESS
}

/// Returns the history with a commit-graph and without. It is made once, and kept where cargo keeps what it builds.
fn repositories(git: &Git) -> [PathBuf; 2] {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("history-1");
    let of = |dir: &Path| [dir.join("with.git"), dir.join("without.git")];
    if dir.exists() {
        return of(&dir);
    }
    eprintln!("a history of {COMMITS} commits is made, which takes two minutes, once");
    let staged = dir.with_extension("staged");
    let _ = fs::remove_dir_all(&staged);
    let [with, without] = of(&staged);
    git.bare(&with);
    let mut import = git.command("git", &with);
    import.args(["fast-import", "--quiet", "--date-format=raw"]).stdin(Stdio::piped());
    let mut import = import.spawn().expect("git is installed");
    let mut stream = BufWriter::new(import.stdin.take().expect("it is piped"));
    history(&mut stream).expect("fast-import reads it all");
    drop(stream);
    assert!(import.wait().expect("it is a child").success(), "git fast-import failed");
    // In the order in which `git gc` lays objects down; to look for deltas as well would take as long again.
    git.run(&with, &["repack", "--quiet", "-a", "-d", "--window=0"]);
    let [from, to] = [&with, &without].map(|path| path.to_str().expect("the target directory is text"));
    git.run(&staged, &["clone", "--quiet", "--bare", "--local", from, to]);
    git.run(&with, &["commit-graph", "write", "--reachable"]);
    fs::rename(&staged, &dir).expect("nobody else makes it");
    of(&dir)
}

/// Writes the history: a main line, and branches of one to eleven commits that leave it, run beside each other and are
/// merged, so that every tenth commit is a merge. A commit follows the other after ten minutes, give or take an hour:
/// people commit, and others merge it later.
fn history(to: &mut impl io::Write) -> io::Result<()> {
    let mut random = fastrand::Rng::with_seed(20_261_126);
    let mut main: Vec<usize> = Vec::new();
    // The branches that are open: the last commit of each.
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
            // From where the main line was a while ago.
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
        // Of the main line's commits, the last one that is old enough.
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
        write!(message, "{:x} ", random.u32(..1 << 20)).expect("a string takes it");
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
