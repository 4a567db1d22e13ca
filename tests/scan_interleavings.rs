//! Ref changes of every kind, made while pushes, scans and crashes go on: each is marked exactly once.
//!
//! `GITEA_LIGHTSTEP_SEED=N` repeats the round that failed with seed N.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::UNIX_EPOCH,
};

use fastrand::Rng;

use crate::support::{BINARY, Ran, Sandbox, is_long, spool::faulty, wait_until};

/// Marks every update, also of deletions, with what it did.
const POLICY: &str = r#"
fn decide(update) {
    let before = if update.old_id == () { "-" } else { update.old_id };
    let after = if update.new_id == () { "-" } else { update.new_id };
    mark(#{ kind: "change", service: update.push.repository.name, title: `${update.ref} ${before} ${after}` })
}
"#;

/// Number of commits to which refs point.
const COMMITS: usize = 6;

/// Number of rounds in one sandbox.
const ROUNDS: usize = 5;

/// The hooks that run beside the scans.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Hooks {
    post_receive: bool,
    reference_transaction: bool,
}

struct World {
    sandbox: Sandbox,
    commits: Vec<String>,
    /// The titles of the markers, each expected once.
    expected: BTreeSet<String>,
    /// The first value of each ref that several processes change at once.
    shared: BTreeMap<String, String>,
}

impl World {
    fn new(hooks: Hooks) -> Self {
        let mut sandbox = Sandbox::new();
        // Outside Gitea, the transactions of a push look like all others, and have the repository scanned too.
        sandbox.unset("GITEA_");
        sandbox.write("scripts/site.rhai", POLICY);
        sandbox.configure("[policy]\nscripts = \"scripts\"\n");
        let wrapper = sandbox.bare().join("hooks/post-receive.d/gitea-lightstep");
        if hooks.post_receive {
            let text = std::fs::read_to_string(&wrapper).expect("the wrapper");
            let line = text.lines().find(|line| line.starts_with("bin=")).expect("the binary").to_string();
            let text = text.replace(&line, &format!("bin={}", faulty()));
            sandbox.executable("git/acme/shop.git/hooks/post-receive.d/gitea-lightstep", &text);
        } else {
            std::fs::remove_file(&wrapper).expect("the wrapper");
        }
        std::fs::create_dir_all(sandbox.state()).expect("the state directory");
        let commits: Vec<String> = (0..COMMITS)
            .map(|nth| sandbox.commit(&format!("Commit {nth}"), &[("a", &nth.to_string())]))
            .collect();
        let objects: Vec<String> = commits.iter().map(|id| format!("{id}:refs/heads/object-{id}")).collect();
        let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
        sandbox.push(&objects).succeeded();
        for name in ["upstream.git", "git/acme/mirror.git"] {
            let url = sandbox.bare().display().to_string();
            sandbox.git_in(&sandbox.path(""), &["clone", "-q", "--mirror", &url, name]);
        }
        let url = sandbox.path("upstream.git").display().to_string();
        sandbox.git_in(&sandbox.path("git/acme/mirror.git"), &["remote", "set-url", "origin", &url]);
        let mut world = Self { sandbox, commits, expected: BTreeSet::new(), shared: BTreeMap::new() };
        world.prepare();
        if hooks.reference_transaction {
            let config = world.sandbox.path("config.toml").display().to_string();
            let hook = format!(
                "#!/bin/sh\ntest \"$1\" != committed || {BINARY} hook --reference-transaction --config {config}\n"
            );
            for repository in ["shop", "mirror"] {
                let path = format!("git/acme/{repository}.git/hooks/reference-transaction");
                world.sandbox.executable(&path, &hook);
            }
        }
        world
    }

    /// Makes the refs that the rounds move and delete, before the first scan.
    fn prepare(&mut self) {
        let at = |nth: usize| self.commits[nth].clone();
        let mut refs = Vec::new();
        let mut upstream = Vec::new();
        for round in 0..ROUNDS {
            for (name, commit) in [
                ("heads/deleted", 0),
                ("heads/renamed", 1),
                ("heads/moved", 0),
                ("heads/gone", 2),
                ("tags/deleted", 3),
                ("heads/forced", 5),
                ("heads/push-deleted", 4),
                ("heads/pushed", 0),
            ] {
                refs.push(format!("create refs/{name}-{round} {}\n", at(commit)));
            }
            for (name, commit) in [("heads/up-moved", 0), ("heads/up-gone", 1), ("tags/up-gone", 2)] {
                upstream.push(format!("create refs/{name}-{round} {}\n", at(commit)));
            }
        }
        refs.push(format!("create refs/heads/shared {}\n", at(0)));
        self.shared.insert("refs/heads/shared".into(), at(0));
        self.shared.insert("refs/tags/shared".into(), "-".into());
        for (dir, refs) in [(self.sandbox.bare(), refs.concat()), (self.upstream(), upstream.concat())] {
            let mut command = self.sandbox.command("git", &dir);
            self.sandbox.run(command.args(["update-ref", "--stdin"]), refs.as_bytes()).succeeded();
        }
        self.sandbox.git_in(&self.mirror(), &["fetch", "-q", "--prune"]);
        self.scan("").succeeded();
        self.deliver();
        // The first push was before the first scan.
        self.sandbox.clear_outbox();
    }

    fn upstream(&self) -> PathBuf {
        self.sandbox.path("upstream.git")
    }

    fn mirror(&self) -> PathBuf {
        self.sandbox.path("git/acme/mirror.git")
    }

    fn scan(&self, fault: &str) -> Ran {
        let program = if fault.is_empty() { BINARY.to_string() } else { faulty() };
        let mut command = self.sandbox.command(&program, &self.sandbox.path(""));
        command
            .args(["scan", "--json", "--run-user", "root", "--root"])
            .arg(self.sandbox.path("git"))
            .arg("--config")
            .arg(self.sandbox.path("config.toml"))
            .env("GITEA_LIGHTSTEP_FAULT", fault);
        self.sandbox.run(&mut command, b"")
    }

    fn deliver(&self) {
        self.sandbox.wait_for_deliverers_to_end();
        self.sandbox.binary(&["deliver"]).succeeded_or_found();
        // A process that was killed while it wrote leaves a hidden file. A scan that a hook started may
        // have started another delivery.
        wait_until("the inbox is empty", || {
            self.sandbox.files("inbox").iter().all(|name| name.starts_with('.'))
        });
        self.sandbox.wait_for_deliverers_to_end();
    }

    fn push(&self, fault: &str, refs: &[String]) {
        let mut command = self.sandbox.command("git", &self.sandbox.path("clone"));
        command.args(["push", "-q", "origin"]).args(refs).env("GITEA_LIGHTSTEP_FAULT", fault);
        let ran = self.sandbox.run(&mut command, b"");
        // Git rejects a change of a ref that another process is changing.
        if !refs.iter().any(|refspec| refspec.ends_with("/shared")) {
            ran.succeeded();
        }
    }

    /// Makes every event once, with pushes and scans at the same time.
    fn round(&mut self, round: usize, rng: &mut Rng) {
        let at = |nth: usize| self.commits[nth].as_str();
        let bare = self.sandbox.bare();
        let git = |dir: &PathBuf, args: &[&str]| {
            if args.iter().any(|arg| arg.ends_with("/shared")) {
                let mut command = self.sandbox.command("git", dir);
                let _ = self.sandbox.run(command.args(args), b"");
            } else {
                let _ = self.sandbox.git_in(dir, args);
            }
        };
        let named = |name: &str| format!("{name}-{round}");
        let mut expected: Vec<(String, String, String)> = Vec::new();
        let mut expect = |name: String, old: &str, new: &str| expected.push((name, old.into(), new.into()));
        let mut events: Vec<Vec<Vec<String>>> = Vec::new();
        let words = |line: String| line.split(' ').map(ToString::to_string).collect::<Vec<String>>();
        let mut event = |lines: &[String]| events.push(lines.iter().cloned().map(words).collect());

        expect(named("refs/tags/new"), "-", at(1));
        event(&[format!("tag new-{round} {}", at(1))]);
        expect(named("refs/heads/new"), "-", at(2));
        event(&[format!("branch new-{round} {}", at(2))]);
        expect(named("refs/heads/deleted"), at(0), "-");
        event(&[format!("branch -q -D deleted-{round}")]);
        expect(named("refs/heads/renamed"), at(1), "-");
        expect(named("refs/heads/after"), "-", at(1));
        event(&[format!("branch -m renamed-{round} after-{round}")]);
        expect(named("refs/heads/moved"), at(0), at(3));
        event(&[format!("update-ref refs/heads/moved-{round} {}", at(3))]);
        expect(named("refs/heads/gone"), at(2), "-");
        event(&[format!("update-ref -d refs/heads/gone-{round}")]);
        expect(named("refs/tags/deleted"), at(3), "-");
        event(&[format!("tag -d deleted-{round}")]);
        expect(named("refs/notes/x"), "-", at(4));
        event(&[format!("update-ref refs/notes/x-{round} {}", at(4))]);
        event(&["pack-refs --all".into()]);
        event(&[format!("update-ref refs/heads/shared {}", at(rng.usize(..COMMITS)))]);
        event(&[format!("update-ref refs/tags/shared {}", at(rng.usize(..COMMITS)))]);
        event(&["update-ref -d refs/tags/shared".into()]);
        rng.shuffle(&mut events);

        // The mirror has its own repository of the same round.
        let up = [
            format!("update-ref refs/heads/up-moved-{round} {}", at(4)),
            format!("update-ref -d refs/heads/up-gone-{round}"),
            format!("update-ref -d refs/tags/up-gone-{round}"),
            format!("update-ref refs/tags/up-new-{round} {}", at(5)),
        ];
        expect(named("refs/heads/up-moved"), at(0), at(4));
        expect(named("refs/heads/up-gone"), at(1), "-");
        expect(named("refs/tags/up-gone"), at(2), "-");
        expect(named("refs/tags/up-new"), "-", at(5));

        let mut pushes: Vec<Vec<String>> = vec![
            vec![
                format!("{}:refs/heads/pushed-{round}", at(2)),
                format!("{}:refs/tags/pushed-{round}", at(2)),
            ],
            vec![format!("+{}:refs/heads/forced-{round}", at(1))],
            vec![format!(":refs/heads/push-deleted-{round}")],
            vec![format!("{}:refs/heads/push-new-{round}", at(3))],
            vec![format!("+{}:refs/heads/shared", at(rng.usize(..COMMITS)))],
            vec![format!("+{}:refs/heads/shared", at(rng.usize(..COMMITS)))],
        ];
        expect(named("refs/heads/pushed"), at(0), at(2));
        expect(named("refs/tags/pushed"), "-", at(2));
        expect(named("refs/heads/forced"), at(5), at(1));
        expect(named("refs/heads/push-deleted"), at(4), "-");
        expect(named("refs/heads/push-new"), "-", at(3));
        rng.shuffle(&mut pushes);
        let fault = |rng: &mut Rng, steps: usize| match rng.u8(..3) {
            0 => String::new(),
            1 => format!("kill@{}", rng.usize(1..steps)),
            _ => format!("torn@{}", rng.usize(1..8)),
        };
        let push_faults: Vec<String> = pushes.iter().map(|_| fault(rng, 25)).collect();
        let (mut of_mirror, mut of_scans) = (rng.fork(), rng.fork());
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let fault = fault(&mut of_scans, 60);
                    let ran = self.scan(&fault);
                    assert!(!fault.is_empty() || ran.code == Some(0), "{ran:?}");
                }
            });
            let pushing = scope.spawn(|| {
                for (refs, fault) in pushes.iter().zip(&push_faults) {
                    self.push(fault, refs);
                }
            });
            let mirroring = scope.spawn(|| {
                for line in &up {
                    git(&self.upstream(), &line.split(' ').collect::<Vec<_>>());
                    if of_mirror.bool() {
                        git(&self.mirror(), &["fetch", "-q", "--prune"]);
                    }
                }
                git(&self.mirror(), &["fetch", "-q", "--prune"]);
            });
            // Also when one of these fails.
            let _over = SetAtEnd(&is_over);
            for commands in &events {
                for words in commands {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    git(&bare, &words);
                }
            }
            pushing.join().expect("the pushes succeed");
            mirroring.join().expect("the mirror is fetched");
        });
        self.expected.extend(expected.into_iter().map(|(name, old, new)| format!("{name} {old} {new}")));
        self.check();
    }

    /// Lets a last scan find what is left, and compares the markers with the events.
    fn check(&self) {
        let mut said = String::new();
        wait_until("no other scan is running", || {
            said = self.scan("").stdout;
            !said.is_empty()
        });
        let outcome: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(outcome["deferred"].as_array().map(Vec::len), Some(0), "{outcome}");
        assert_eq!(outcome["failed"].as_array().map(Vec::len), Some(0), "{outcome}");
        self.deliver();
        let mut titles: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for marker in self.sandbox.waiting("unassigned") {
            let text = |key: &str| marker[key].as_str().expect("text").to_string();
            titles.entry(text("title")).or_default().insert(text("id"));
        }
        let is_shared = |title: &str| self.shared.keys().any(|name| title.starts_with(&format!("{name} ")));
        let wrong: Vec<String> = titles
            .iter()
            .filter(|(title, ids)| !is_shared(title) && (ids.len() != 1 || !self.expected.contains(*title)))
            .map(|(title, ids)| format!("{} times: {title}", ids.len()))
            .chain(
                self.expected
                    .iter()
                    .filter(|title| !titles.contains_key(*title))
                    .map(|t| format!("missing: {t}")),
            )
            .collect();
        assert_eq!(
            wrong,
            [""; 0],
            "{:#?} {:#?}",
            self.sandbox.troubles(),
            self.sandbox
                .decisions()
                .iter()
                .map(|d| format!("{} {}", d["why"], d["outcome"]))
                .collect::<BTreeSet<_>>()
        );
        for (name, first) in &self.shared {
            let now =
                self.sandbox.git_in(&self.sandbox.bare(), &["for-each-ref", "--format=%(objectname)", name]);
            let now = if now.is_empty() { "-".to_string() } else { now };
            let mut balance: BTreeMap<&str, i64> = BTreeMap::from([(first.as_str(), -1)]);
            *balance.entry(&now).or_default() += 1;
            for (title, ids) in titles.iter().filter(|(title, _)| title.starts_with(&format!("{name} "))) {
                let fields: Vec<&str> = title.split(' ').collect();
                *balance.entry(fields[1]).or_default() += i64::try_from(ids.len()).expect("few");
                *balance.entry(fields[2]).or_default() -= i64::try_from(ids.len()).expect("few");
            }
            assert!(balance.values().all(|balance| *balance == 0), "{name}: {balance:?}, {titles:#?}");
        }
    }
}

/// Sets a flag when it is dropped.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn rounds(nth: u64, hooks: Hooks) {
    let (seed, worlds) = match std::env::var("GITEA_LIGHTSTEP_SEED") {
        Ok(seed) => (seed.parse().expect("GITEA_LIGHTSTEP_SEED is a number"), 1),
        Err(_) if is_long() => (UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs() + nth * 1000, 100),
        Err(_) => (nth * 1000, 5),
    };
    for seed in seed..seed + worlds {
        tell(&format!("GITEA_LIGHTSTEP_SEED={seed}"));
        let mut rng = Rng::with_seed(seed);
        let mut world = World::new(hooks);
        for round in 0..ROUNDS {
            world.round(round, &mut rng);
        }
    }
}

#[expect(clippy::print_stderr, reason = "shown if the test fails")]
fn tell(what: &str) {
    eprintln!("{what}");
}

macro_rules! rounds {
    ($($name:ident: $nth:literal, $post_receive:literal, $reference_transaction:literal;)*) => {$(
        #[test]
        fn $name() {
            rounds($nth, Hooks { post_receive: $post_receive, reference_transaction: $reference_transaction });
        }
    )*};
}

rounds! {
    rounds_with_post_receive_0: 0, true, false;
    rounds_with_post_receive_1: 1, true, false;
    rounds_without_hooks_0: 2, false, false;
    rounds_without_hooks_1: 3, false, false;
    rounds_with_both_hooks_0: 4, true, true;
    rounds_with_both_hooks_1: 5, true, true;
    rounds_with_reference_transaction_0: 6, false, true;
    rounds_with_reference_transaction_1: 7, false, true;
}
