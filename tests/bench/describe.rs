//! `--only describe`: finds the nearest tag in a history with many merges, compared with git.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    ranges::{self, NOISE, NOISE_MS, OFTEN},
    support::{
        build,
        git::Git,
        launcher::{self, Used},
        stats::percentile,
        verdict::{Verdict, mib},
    },
};

/// First argument of the measured process: `BARE COMMIT`.
pub const FLAG: &str = "--describe";

/// Numbers of commits on the main line between two tags.
const APART: [usize; 3] = [5, 50, 300];

/// Number of tags, more than git compares.
const TAGS: usize = 40;

pub fn run(runs: usize, verdict: &mut Verdict) {
    let temp = tempfile::tempdir().expect("a temporary directory for git's home");
    let git = Git::new(temp.path());
    let ours =
        build::install(&std::env::current_exe().expect("the bench knows its own file").display().to_string());

    println!("\n## The nearest tag, in a history of 1,000,000 commits with a merge in ten, milliseconds\n");
    println!(
        "| commits between tags | description | commit-graph | ours | `git describe --tags` | our peak, MiB | git's peak, MiB |"
    );
    println!("|--:|---|---|--:|--:|--:|--:|");
    for (bare, graph) in ranges::repositories(&git).iter().zip(["with", "without"]) {
        for apart in APART {
            tag(&git, bare, apart);
            let commit = git.run(bare, &["rev-parse", "main"]);
            let mut describe = git.command(&ours, bare);
            describe.arg(FLAG).arg(bare).arg(&commit);
            let mut by_git = git.command("git", bare);
            by_git.args(["describe", "--tags", "--abbrev=12", &commit]);
            let report = |command: &mut Command| {
                let output = command.output().expect("the program starts");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                String::from_utf8_lossy(&output.stdout).trim().to_string()
            };
            let answer = report(&mut describe);
            assert_eq!(answer, report(&mut by_git), "our description differs from git's");

            let mut used: [Vec<Used>; 2] = Default::default();
            for _ in 0..runs * OFTEN {
                for (used, command) in used.iter_mut().zip([&describe, &by_git]) {
                    used.push(launcher::measure(command, Path::new("/dev/null")).hook);
                }
            }
            let [ours, by_git] = used.each_ref().map(|used| {
                let mut times: Vec<f64> = used.iter().map(|used| used.wall.as_secs_f64() * 1e3).collect();
                percentile(&mut times, 50)
            });
            let peak = |used: &[Used]| used.iter().map(|used| mib(used.peak)).fold(0.0, f64::max);
            println!(
                "| {apart} | {answer} | {graph} | {ours:.1} | {by_git:.1} | {:.1} | {:.1} |",
                peak(&used[0]),
                peak(&used[1])
            );
            verdict.add(
                format!(
                    "a tag every {apart} commits, {graph} a commit-graph: no more than `git describe`, within 10 % or 1 ms"
                ),
                format!("{ours:.1} of {by_git:.1} ms"),
                ours <= (by_git * NOISE).max(by_git + NOISE_MS),
            );
        }
    }
}

/// Sets [`TAGS`] tags on the main line.
fn tag(git: &Git, bare: &Path, apart: usize) {
    let most = (apart * TAGS).to_string();
    let main = git.run(bare, &["rev-list", "--first-parent", "--max-count", &most, "main"]);
    let mut commands = String::new();
    for (nth, commit) in main.lines().skip(apart / 2).step_by(apart).enumerate() {
        writeln!(commands, "update refs/tags/v1.{}.0 {commit}", TAGS - nth).expect("writing to a string");
    }
    let file = bare.join("tag-commands");
    fs::write(&file, commands).expect("the repository is writable");
    let mut update = git.command("git", bare);
    update.args(["update-ref", "--stdin"]).stdin(fs::File::open(&file).expect("it was just written"));
    assert!(update.status().expect("git is installed").success(), "git update-ref failed");
    git.run(bare, &["pack-refs", "--all"]);
}

/// Runs the measured process with the arguments `BARE COMMIT`. It prints the description.
pub fn answer(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let bare = PathBuf::from(args.next().expect("a repository"));
    let commit = ranges::id(args.next());
    let null = "0".repeat(40).parse().expect("an id");
    let facts = ranges::facts(&bare, null, commit);
    println!("{}", facts.describe().expect("the history is readable").expect("a tag"));
    ExitCode::SUCCESS
}
