//! `--only try`: runs a policy over 10,000 commits.

use std::{fmt::Write as _, fs, path::Path};

use crate::support::{
    build,
    git::Git,
    launcher::{self, Used},
    stats::percentile,
    verdict::{Verdict, mib},
};

/// Number of commits in the history, and number of tags.
const COMMITS: usize = 10_000;
const TAGS: usize = 100;

/// Number of files in the tree, and number of directories.
const FILES: usize = 2_000;
const DIRS: usize = 50;

/// Maximum time, in seconds.
const CLAIM: f64 = 2.0;

/// Policies with their names.
const POLICIES: [(&str, &str); 3] = [
    ("the built-in policy", ""),
    ("a policy that asks for every commit's paths", "fn decide(update) { update.changed_paths.len() > 0 }"),
    (
        "a policy that walks every commit's range",
        "fn decide(update) { !update.is_rewind && update.commit_count == 1 }",
    ),
];

pub fn run(runs: usize, verdict: &mut Verdict) {
    let temp = tempfile::tempdir().expect("a temporary directory for the repository");
    let git = Git::new(temp.path());
    let bare = temp.path().join("acme/shop.git");
    git.import(&bare, &history());
    let config = temp.path().join("config.toml");
    fs::write(&config, "state_dir = \"state\"\n").expect("the directory is new");
    let script = temp.path().join("policy.rhai");

    println!("\n## A policy over {COMMITS} commits and {TAGS} tags, median of {runs} runs\n");
    println!("| policy | time, s | CPU, s | peak, MiB |\n|---|--:|--:|--:|");
    for (name, source) in POLICIES {
        let mut command = git.command(build::installed(), temp.path());
        command.args(["try", "--all", "--config"]).arg(&config).arg(&bare);
        if !source.is_empty() {
            fs::write(&script, source).expect("the disk has space");
            command.arg("--policy").arg(&script);
        }
        let output = command.output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&format!("{COMMITS} commits of main and {TAGS} tags")), "{said}{complained}");
        let measured: Vec<_> =
            (0..runs).map(|_| launcher::measure(&command, Path::new("/dev/null")).hook).collect();
        let median = |of: &dyn Fn(&Used) -> f64| {
            let mut values: Vec<f64> = measured.iter().map(of).collect();
            percentile(&mut values, 50)
        };
        let (wall, cpu) = (median(&|used| used.wall.as_secs_f64()), median(&|used| used.cpu.as_secs_f64()));
        let peak = measured.iter().map(|used| mib(used.peak)).fold(0.0, f64::max);
        println!("| {name} | {wall:.2} | {cpu:.2} | {peak:.1} |");
        verdict.add(
            format!("{COMMITS} commits are tried in under {CLAIM} s: {name}"),
            format!("{wall:.2} s"),
            wall < CLAIM,
        );
    }
}

/// Returns a history for `git fast-import`: a wide tree in which every commit changes three files.
fn history() -> String {
    let path = |file: usize| format!("services/part-{}/file-{file}", file % DIRS);
    let mut stream = String::new();
    for nth in 0..COMMITS {
        let message = format!("feat: change {nth}\n\nWhy it was made.\n");
        let time = 1_700_000_000 + nth * 60;
        write!(
            stream,
            "commit refs/heads/main\nmark :{}\ncommitter Ada <ada@example.org> {time} +0000\ndata {}\n{message}\n",
            nth + 1,
            message.len(),
        )
        .expect("writing to a string");
        let changed: Vec<usize> = if nth == 0 {
            (0..FILES).collect()
        } else {
            (0..3).map(|of| (nth * 7 + of * 31) % FILES).collect()
        };
        for file in changed {
            let content = format!("change {nth} of {file}\n");
            write!(stream, "M 100644 inline {}\ndata {}\n{content}\n", path(file), content.len())
                .expect("writing to a string");
        }
    }
    for nth in 0..TAGS {
        let message = format!("Version 1.{nth}.0\n");
        let at = (nth + 1) * (COMMITS / TAGS);
        write!(
            stream,
            "tag v1.{nth}.0\nfrom :{at}\ntagger Ada <ada@example.org> {} +0000\ndata {}\n{message}\n",
            1_700_000_000 + at * 60,
            message.len(),
        )
        .expect("writing to a string");
    }
    stream
}
