//! Endless files and blocking files: each command finishes in time with little memory, and no push
//! is lost.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
    time::Duration,
};

use crate::support::{BINARY, Ran, Sandbox, wait_until};

/// Maximum duration of a command. It is generous, because debug builds are slow on a busy machine.
const MOST: Duration = Duration::from_secs(8);
/// Limit of the data segment, in KiB.
const DATA: u32 = 250_000;

/// Runs the binary in the bare repository with little memory.
fn run(sandbox: &Sandbox, args: &str, stdin: &[u8]) -> Ran {
    let config = sandbox.path("config.toml");
    let mut command = sandbox.command("sh", &sandbox.bare());
    let line = format!("ulimit -d {DATA}; exec {BINARY} {args} --config '{}'", config.display());
    sandbox.run(command.env("GIT_DIR", ".").args(["-c", &line]), stdin)
}

fn make_pipe(sandbox: &Sandbox, path: &Path) {
    let mut mkfifo = sandbox.command("mkfifo", &sandbox.path(""));
    sandbox.run(mkfifo.arg(path), b"").succeeded();
}

/// Creates a sparse file of this length.
fn make_hole(path: &Path, length: u64) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    File::create(path).and_then(|file| file.set_len(length)).expect("a sparse file");
}

#[test]
fn pipes_and_devices_in_a_repository_do_not_block_pushes() {
    let sandbox = Sandbox::new();
    sandbox.configure(
        "[reply]\nto_pusher = \"nothing\"\n[policy.limits]\ntime = \"4s\"\n\
         [[service]]\nrepository = \"acme/shop\"\nname = \"pay\"\nversion = \"describe\"\n",
    );
    // The script reads refs, objects, HEAD and the commit-graph.
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) { update.is_default_branch && update.commits.len() > 0 && update.changed_paths.len() >= 0 }",
    );
    let old = sandbox.commit("Old", &[("a", "1")]);
    let new = sandbox.commit("New", &[("a", "2")]);
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.git(&["push", "-q", "origin", "HEAD:refs/heads/elsewhere", "v1.0.0"]);
    sandbox.clear_state();
    let bare = sandbox.bare();
    sandbox.git_in(&bare, &["pack-refs", "--all"]);
    sandbox.git_in(&bare, &["repack", "-adq"]);
    sandbox.git_in(&bare, &["commit-graph", "write", "--reachable"]);
    let stdin = format!("{old} {new} refs/heads/main\n");
    let mut decided = 0;
    for name in [
        "HEAD",
        "config",
        "commondir",
        "packed-refs",
        "shallow",
        "objects/info/alternates",
        "objects/info/commit-graph",
        "objects/pack/multi-pack-index",
        "objects/pack/pack-1.idx",
    ] {
        let path = bare.join(name);
        let aside = path.with_extension("aside");
        let was_there = fs::rename(&path, &aside).is_ok();
        for kind in ["pipe", "device"] {
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            if kind == "pipe" {
                make_pipe(&sandbox, &path);
            } else {
                symlink("/dev/zero", &path).expect("a link");
            }
            let ran = run(&sandbox, "hook", stdin.as_bytes());
            assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (Some(0), "", ""), "{name}: {kind}");
            assert!(ran.took < MOST, "{name}: {kind}: {:?}", ran.took);
            let ran = run(&sandbox, "deliver", b"");
            assert!(ran.took < MOST && ran.code.is_some_and(|code| code < 2), "{name}: {kind}: {ran:?}");
            fs::remove_file(&path).expect("remove the file");
        }
        if was_there {
            fs::rename(&aside, &path).expect("restore the file");
        }
        decided += 2;
    }
    // No push was lost, and the next push works normally.
    let kept = sandbox.files("inbox").len() + sandbox.files("failed").len() + sandbox.files("dead").len();
    assert!(sandbox.decisions().len() + kept >= decided, "{:?}", sandbox.decisions());
    run(&sandbox, "hook", stdin.as_bytes()).said_nothing();
    wait_until("the next push is marked", || {
        sandbox.decisions().last().is_some_and(|decision| decision["outcome"] == "marked")
    });
}

#[test]
fn commits_with_very_many_parents_take_little_memory() {
    let sandbox = Sandbox::new();
    sandbox.configure("[reply]\nto_pusher = \"nothing\"\n[policy.limits]\ntime = \"4s\"\n");
    let parent = sandbox.commit("A parent", &[]);
    sandbox.git(&["push", "-q", "origin", "HEAD:refs/heads/elsewhere"]);
    sandbox.clear_state();
    let tree = sandbox.git(&["rev-parse", "HEAD^{tree}"]);
    let parents = format!("parent {parent}\n").repeat(165_000);
    let mut stdin = String::new();
    let zero = "0".repeat(40);
    for nth in 0..30 {
        let person = format!("Ann Author <ann@example.org> {} +0000", 1_700_000_000 + nth);
        let commit = format!("tree {tree}\n{parents}author {person}\ncommitter {person}\n\nMany\n");
        let mut hash = sandbox.command("git", &sandbox.bare());
        hash.args(["hash-object", "-t", "commit", "-w", "--stdin"]);
        let id = sandbox.run(&mut hash, commit.as_bytes()).succeeded().stdout.trim().to_string();
        stdin.push_str(&format!("{zero} {id} refs/heads/b{nth}\n"));
        if nth == 0 {
            stdin.push_str(&format!("{parent} {id} refs/heads/main\n"));
        }
    }
    let ran = run(&sandbox, "hook", stdin.as_bytes());
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (Some(0), "", ""));
    assert!(ran.took < MOST, "{:?}", ran.took);
    run(&sandbox, "deliver", b"").succeeded_or_found();
    wait_until("all updates are decided", || sandbox.decisions().len() == 31);
    let main = sandbox.decisions().into_iter().find(|decision| decision["ref"] == "refs/heads/main");
    assert_eq!(main.expect("a decision for main")["outcome"], "marked");
}

#[test]
fn sparse_files_in_the_state_take_little_memory() {
    let sandbox = Sandbox::new();
    sandbox.deliver_to("http://127.0.0.1:1", "");
    sandbox.commit("A push", &[]);
    sandbox.push(&["main"]).succeeded();
    sandbox.wait_for_deliverers_to_end();
    let id = "01910000-0000-7000-8000-000000000000";
    for name in [
        "journal/2026-01.jsonl".to_string(),
        format!("inbox/{id}.0.0"),
        format!("outbox/collector/new/{id}.0"),
        "outbox/collector/standing.json".to_string(),
        "outbox/collector/merging".to_string(),
        format!("dead/collector.{id}.1"),
        format!("dead/collector.{id}.1.why.json"),
        "connect.json".to_string(),
    ] {
        make_hole(&sandbox.state().join(name), 1 << 30);
    }
    for args in ["log", "status", "explain acme/shop", "queue list", "deliver", "status --openmetrics"] {
        let ran = run(&sandbox, args, b"");
        assert!(ran.code.is_some_and(|code| code < 2), "{args}: {ran:.2000?}");
        assert!(ran.took < 4 * MOST, "{args}: {:?}", ran.took);
    }
}

#[test]
fn malformed_lines_are_counted_and_the_first_ones_reported() {
    let sandbox = Sandbox::new();
    sandbox.configure("[reply]\nto_pusher = \"nothing\"\n[policy.limits]\ntime = \"20s\"\n");
    let commit = sandbox.commit("A push", &[]);
    sandbox.git(&["push", "-q", "origin", "HEAD:refs/heads/elsewhere"]);
    sandbox.clear_state();
    let mut stdin = b"?\n".repeat(4 << 20);
    stdin.extend(format!("{} {commit} refs/heads/main\n", "0".repeat(40)).bytes());
    run(&sandbox, "hook", &stdin).said_nothing();
    wait_until("the push is decided", || !sandbox.decisions().is_empty());
    let troubles = sandbox.troubles();
    assert_eq!(troubles.len(), 21, "{troubles:?}");
    assert_eq!(troubles[0], "skipped stdin:1: expected `<old id> <new id> <ref>`, found `?`");
    assert_eq!(troubles[20], format!("skipped {} more malformed lines", (4 << 20) - 20));
}

#[test]
fn service_file_of_a_repository_is_limited_in_time() {
    let sandbox = Sandbox::new();
    let configure = || {
        sandbox.configure(
            "[policy]\nrepository_services = [\"**\"]\n[reply]\nto_pusher = \"nothing\"\n[policy.limits]\ntime = \"4s\"\n",
        );
    };
    configure();
    let links: String = (0..17_000).map(|nth| format!("l{nth} = \"x\"\n")).collect();
    let good: String = (0..8_000).map(|nth| format!("l{nth} = \"https://x.example/\"\n")).collect();
    let head = "[[service]]\nname = \"pay\"\n";
    let service =
        |path: String, count: usize| format!("{head}paths = [{}]\n", format!("\"{path}\",").repeat(count));
    for (name, own, expected) in [
        (
            "bad links",
            format!("{head}[service.links]\n{links}"),
            "the service has 17000 links, the limit is 64",
        ),
        ("links", format!("{head}[service.links]\n{good}"), "the service has 8000 links, the limit is 64"),
        ("one wildcard", service(format!("{}x", "**/*a*/".repeat(24)), 1), ""),
        ("wildcards", service(format!("{}x", "**/*a*/".repeat(24)), 200), ""),
        (
            "too many wildcards",
            service("**/".repeat(200), 1),
            ".gitea/lightstep.toml:3:10: the pattern has 200 wildcards, the limit is 128",
        ),
        ("a long one", service("a".repeat(2000), 1), "the pattern has 2000 bytes, the limit is 1024"),
        ("paths", service("a".to_string(), 20_000), "the service has 20000 paths, the limit is 256"),
    ] {
        let deep = "a/".repeat(60) + "file";
        sandbox.commit(name, &[(".gitea/lightstep.toml", &own), (&deep, name)]);
        let before = sandbox.decisions().len();
        let ran = sandbox.push(&["main"]);
        assert!(ran.succeeded().took < MOST, "{name}: {:?}", ran.took);
        wait_until("the push is decided", || sandbox.decisions().len() > before);
        let decision = sandbox.decisions().pop().expect("a decision");
        let missing = decision["missing"].as_str().unwrap_or_default();
        assert!(missing.contains(expected) && missing.len() < 4000, "{name}: {decision}");
        assert_ne!(decision["outcome"], "failed", "{name}: {decision}");
    }
}
