//! `--only scan`: a scan of 10,000 repositories with 1,000,000 refs, what its records cost a push, and
//! what the reference-transaction hook costs a transaction.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use crate::support::{
    build,
    git::Git,
    hooks,
    launcher::{self, Used},
    stats::Times,
    verdict::{Verdict, mib},
};

/// Numbers of owners, of repositories of each, and of refs in each repository.
const OWNERS: usize = 100;
const EACH: usize = 100;
const REFS: usize = 100;

/// Number of repositories that change between two scans.
const CHANGED: usize = 100;

/// Limits of a scan of unchanged repositories.
const MAX_SECONDS: f64 = 2.0;
const MAX_MIB: f64 = 64.0;

/// Maximum time that the records add to a push, in milliseconds.
const MAX_ADDED: f64 = 0.3;

/// Number of measurements of a hook for each run.
const OFTEN: usize = 40;

/// Numbers of refs in a repository that is pushed to.
const PUSHED: [usize; 2] = [100, 100_000];

/// Numbers of refs in a transaction.
const TRANSACTIONS: [usize; 3] = [1, 100, 10_000];

pub fn run(runs: usize, verdict: &mut Verdict) {
    let temp = tempfile::tempdir().expect("a temporary directory for the repositories");
    let git = Git::new(temp.path());
    scans(runs, &git, temp.path(), verdict);
    pushes(runs, &git, temp.path(), verdict);
    transactions(runs, &git, temp.path());
}

/// Writes a configuration without destinations, and returns its path. The state is beside it.
fn config(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(format!("{name}.toml"));
    fs::write(&path, format!("state_dir = \"{name}\"\n")).expect("the directory is new");
    fs::create_dir(dir.join(name)).expect("the directory is new");
    path
}

fn scans(runs: usize, git: &Git, temp: &Path, verdict: &mut Verdict) {
    let root = temp.join("git");
    let template = temp.join("template.git");
    git.packed_history(&template, 3);
    let commit = git.run(&template, &["rev-parse", "main"]);
    // As Gitea's repositories are after a `git gc`, and a push.
    let names = (0..REFS - 1).map(|nth| match nth % 3 {
        0 => format!("refs/heads/feature/topic-{nth}"),
        1 => format!("refs/tags/v1.{nth}.0"),
        _ => format!("refs/pull/{nth}/head"),
    });
    update_refs(git, &template, names.map(|name| format!("create {name} {commit}")));
    git.run(&template, &["pack-refs", "--all"]);
    git.run(&template, &["update-ref", "refs/heads/main", "main"]);
    for owner in 0..OWNERS {
        let owner = root.join(format!("owner-{owner}"));
        fs::create_dir_all(&owner).expect("the directory is new");
        for nth in 0..EACH {
            let copied = Command::new("cp")
                .arg("-a")
                .arg(&template)
                .arg(owner.join(format!("repo-{nth}.git")))
                .status();
            assert!(copied.expect("cp is installed").success(), "the disk has space");
        }
    }
    let config = config(temp, "scans");
    let mut scan = git.command(build::installed(), temp);
    scan.args(["scan", "--run-user", "root", "--quiet", "--config"]).arg(&config).arg("--root").arg(&root);
    let measure = || launcher::measure(&scan, Path::new("/dev/null")).hook;

    println!(
        "\n## A scan of {} repositories with {} refs, median of {runs} runs\n",
        OWNERS * EACH,
        OWNERS * EACH * REFS
    );
    println!("| scan | time, s | CPU, s | peak, MiB |");
    println!("|---|--:|--:|--:|");
    report("the first one", &[measure()]);
    let warm: Vec<Used> = (0..runs).map(|_| measure()).collect();
    let (time, peak) = report("nothing changed", &warm);
    verdict.add(
        format!("unchanged repositories are scanned in under {MAX_SECONDS} s"),
        format!("{time:.2} s"),
        time < MAX_SECONDS,
    );
    verdict.add(format!("with under {MAX_MIB} MiB"), format!("{peak:.1} MiB"), peak < MAX_MIB);
    let cold: Vec<Used> = (0..runs.min(3)).filter(|_| drop_caches()).map(|_| measure()).collect();
    if cold.is_empty() {
        println!("| nothing changed, and nothing in the cache | (needs root) | | |");
    } else {
        report("nothing changed, and nothing in the cache", &cold);
    }
    let changed: Vec<Used> = (0..runs)
        .map(|run| {
            for nth in 0..CHANGED {
                let bare = root.join(format!("owner-{}/repo-{run}.git", nth % OWNERS));
                git.run(&bare, &["update-ref", &format!("refs/tags/new-{run}"), "main"]);
            }
            measure()
        })
        .collect();
    report(&format!("a new tag in {CHANGED} repositories"), &changed);
}

/// Prints a row, and returns the median time in seconds and the greatest peak in MiB.
fn report(what: &str, used: &[Used]) -> (f64, f64) {
    let mut times = Times::default();
    let mut cpu = Times::default();
    used.iter().for_each(|used| {
        times.add(used.wall);
        cpu.add(used.cpu);
    });
    let peak = used.iter().map(|used| mib(used.peak)).fold(0.0, f64::max);
    let (time, cpu) = (times.median() / 1e3, cpu.median() / 1e3);
    println!("| {what} | {time:.2} | {cpu:.2} | {peak:.1} |");
    (time, peak)
}

/// Empties the caches of the system, which only root can do.
fn drop_caches() -> bool {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

fn update_refs(git: &Git, bare: &Path, commands: impl Iterator<Item = String>) {
    let mut text = String::new();
    for command in commands {
        writeln!(text, "{command}").expect("writing to a string");
    }
    let mut update = git.command("git", bare);
    let mut child =
        update.args(["update-ref", "--stdin"]).stdin(Stdio::piped()).spawn().expect("git is installed");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("git reads its input");
    assert!(child.wait().expect("git ends").success(), "git update-ref failed");
}

/// Measures the hook with and without the records of scans, in turns.
fn pushes(runs: usize, git: &Git, temp: &Path, verdict: &mut Verdict) {
    println!("\n## A push of one commit, with and without the records of scans, milliseconds\n");
    println!("| refs in the repository | without | with | median difference in a round |");
    println!("|--:|--:|--:|--:|");
    for refs in PUSHED {
        let bare = temp.join(format!("pushed-{refs}/acme/shop.git"));
        let commits = git.packed_history(&bare, 10);
        update_refs(git, &bare, (0..refs).map(|nth| format!("create refs/heads/topic/{nth} {}", commits[0])));
        git.run(&bare, &["pack-refs", "--all"]);
        let stdin = temp.join(format!("updates-{refs}"));
        fs::write(&stdin, format!("{} {} refs/heads/main\n", commits[1], commits[0]))
            .expect("the disk has space");
        let [without, with] = ["without", "with"].map(|name| {
            let config = config(temp, &format!("{name}-{refs}"));
            let mut hook = git.command(build::installed(), &bare);
            hook.env("GIT_DIR", ".").arg("hook").arg("--config").arg(&config);
            hook
        });
        let config = temp.join(format!("with-{refs}.toml"));
        let mut scan = git.command(build::installed(), temp);
        scan.args(["scan", "--quiet", "--config"]).arg(config).arg(&bare);
        assert!(scan.status().expect("the program starts").success(), "the first scan failed");
        let mut times = [Times::default(), Times::default()];
        for round in 0..runs * OFTEN {
            // Neither is always the first.
            for turn in [round % 2, 1 - round % 2] {
                times[turn].add(launcher::measure([&without, &with][turn], &stdin).hook.wall);
            }
        }
        let [without, with] = &times;
        let added = with.median_over(without);
        println!("| {refs} | {:.2} | {:.2} | {added:+.2} |", without.median(), with.median());
        verdict.add(
            format!("the records add at most {MAX_ADDED} ms to a push to a repository with {refs} refs"),
            format!("{added:.2} ms"),
            added <= MAX_ADDED,
        );
    }
}

/// Measures git's transactions without a hook, with one that does nothing, and with ours.
fn transactions(runs: usize, git: &Git, temp: &Path) {
    println!("\n## A transaction of git, with a reference-transaction hook, milliseconds\n");
    println!("| refs | no hook | `sh` that ends at once | ours |");
    println!("|--:|--:|--:|--:|");
    let config = config(temp, "transactions");
    let binary = build::installed();
    let ours = format!(
        "#!/bin/sh\ntest \"$1\" != committed || {binary} hook --reference-transaction --config {}\n",
        config.display()
    );
    let variants = [None, Some("#!/bin/sh\n:\n".to_string()), Some(ours)];
    let bares: Vec<PathBuf> = variants
        .iter()
        .enumerate()
        .map(|(nth, hook)| {
            let bare = temp.join(format!("transactions-{nth}/acme/shop.git"));
            git.packed_history(&bare, 3);
            if let Some(hook) = hook {
                hooks::write_executable(&bare.join("hooks/reference-transaction"), hook);
            }
            bare
        })
        .collect();
    let mut scan = git.command(binary, temp);
    scan.args(["scan", "--quiet", "--config"]).arg(&config).arg(&bares[2]);
    assert!(scan.status().expect("the program starts").success(), "the first scan failed");
    for refs in TRANSACTIONS {
        let mut times = vec![Times::default(); variants.len()];
        for round in 0..runs * 4 {
            for (times, bare) in times.iter_mut().zip(&bares) {
                let commit = git.run(bare, &["rev-parse", "main"]);
                let mut text = String::new();
                for nth in 0..refs {
                    writeln!(text, "create refs/tags/r{round}-{refs}-{nth} {commit}")
                        .expect("writing to a string");
                }
                let mut update = git.command("git", bare);
                for name in ["GITEA_REPO_ID", "GITEA_PUSHER_NAME"] {
                    update.env_remove(name);
                }
                update.args(["update-ref", "--stdin"]).stdin(Stdio::piped());
                let start = Instant::now();
                let mut child = update.spawn().expect("git is installed");
                child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("git reads its input");
                assert!(child.wait().expect("git ends").success(), "git update-ref failed");
                times.add(start.elapsed());
            }
        }
        let row: Vec<String> = times.iter().map(|times| format!("{:.1}", times.median())).collect();
        println!("| {refs} | {} |", row.join(" | "));
    }
}
