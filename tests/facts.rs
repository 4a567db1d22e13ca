//! Facts from the repository, compared with git's own answers.

use std::{collections::BTreeSet, fs, rc::Rc};

use gitea_lightstep::internals::{Facts, MAX_VISITED, Range, RefUpdate, WalkLimit};

use crate::support::{Sandbox, facts::facts_in, random::Random};

const WALK: WalkLimit = WalkLimit::Visits(MAX_VISITED);

/// Returns the facts of one update of the bare repository. An empty ID means that the ref does not
/// exist.
fn facts(sandbox: &Sandbox, name: &str, old: &str, new: &str) -> Rc<Facts> {
    facts_in(&sandbox.bare(), name, old, new)
}

/// Pushes everything, and packs it if `is_packed`, because loose objects and packs use different
/// code.
fn publish(sandbox: &Sandbox, is_packed: bool) {
    sandbox.git(&["push", "-q", "--force", "origin", "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"]);
    if is_packed {
        sandbox.git_in(&sandbox.bare(), &["repack", "-adq"]);
        sandbox.git_in(&sandbox.bare(), &["commit-graph", "write", "--reachable"]);
    }
}

#[test]
fn commit_is_read_completely() {
    for format in ["sha1", "sha256"] {
        let sandbox = Sandbox::with_object_format(format);
        let first = sandbox.commit("First", &[]);
        let message = "Show the\nbasket\n\nIt was empty.\n\nReviewed-by: Bob <bob@x>\nTicket: ACME-7\n";
        let id = sandbox.commit(message, &[("a", "1")]);
        publish(&sandbox, format == "sha256");
        let facts = facts(&sandbox, "refs/heads/main", &first, &id);
        let commit = facts.commit().expect("readable").expect("a commit");
        assert_eq!(commit.id.to_string(), id);
        assert_eq!(commit.title, "Show the basket");
        assert_eq!(commit.message, message);
        assert_eq!((&*commit.author.name, &*commit.author.email), ("Ann Author", "ann@example.org"));
        assert_eq!(
            commit.trailers,
            [("Reviewed-by".into(), "Bob <bob@x>".into()), ("Ticket".into(), "ACME-7".into())]
        );
        assert_eq!(commit.trailer("TICKET"), Some("ACME-7"));
        assert_eq!(commit.parents.iter().map(ToString::to_string).collect::<Vec<_>>(), [first]);
        assert!(facts.is_default_branch().expect("readable"));
    }
}

#[test]
fn annotated_tags_are_peeled_and_the_outermost_is_reported() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("Tagged", &[("a", "1")]);
    sandbox.git(&["tag", "-a", "inner", "-m", "Inside"]);
    sandbox.git(&["tag", "-a", "v1.2.3", "-m", "Outside\n\nWith a body.\n\nApproved-by: Bo", "inner"]);
    sandbox.git(&["tag", "light"]);
    let tree = sandbox.git(&["rev-parse", "HEAD^{tree}"]);
    sandbox.git(&["tag", "tree", &tree]);
    publish(&sandbox, false);
    let tag =
        |name: &str| facts(&sandbox, &format!("refs/tags/{name}"), "", &sandbox.git(&["rev-parse", name]));

    let outer = tag("v1.2.3");
    let target = outer.target().expect("readable");
    let report = target.tag.as_ref().expect("an annotated tag");
    assert_eq!(report.message, "Outside\n\nWith a body.\n\nApproved-by: Bo");
    assert_eq!(report.trailers, [("Approved-by".into(), "Bo".into())]);
    assert_eq!(report.tagger.as_ref().expect("a tagger").name, "Ann Author");
    assert_eq!(outer.commit_id().expect("readable").expect("a commit").to_string(), commit);
    assert_eq!(outer.version_tag().expect("a version").version().to_string(), "1.2.3");

    let light = tag("light");
    assert!(light.target().expect("readable").tag.is_none());
    assert_eq!(light.commit_id().expect("readable").expect("a commit").to_string(), commit);
    assert_eq!(tag("tree").commit_id().expect("readable"), None);
}

#[test]
fn ranges_in_a_random_history_match_git() {
    for (format, seed) in [("sha1", 1), ("sha256", 2), ("sha1", 3)] {
        let sandbox = Sandbox::with_object_format(format);
        let mut random = Random(seed);
        let mut commits: Vec<String> = Vec::new();
        let tree = sandbox.git(&["write-tree"]);
        for n in 0..30 {
            // Commit times are not monotonic, like those of rebased and imported commits.
            let time = 1_700_000_000 + random.below(200) * 60;
            let mut parents: BTreeSet<&String> = BTreeSet::new();
            for _ in 0..random.below(3) {
                if !commits.is_empty() {
                    parents.insert(&commits[random.below(commits.len())]);
                }
            }
            let mut command = sandbox.command("git", &sandbox.path("clone"));
            command.args(["commit-tree", &tree, "-m", &format!("Commit {n}")]);
            command
                .env("GIT_COMMITTER_DATE", format!("{time} +0000"))
                .env("GIT_AUTHOR_NAME", format!("Author {}", n % 3));
            for parent in parents {
                command.args(["-p", parent]);
            }
            let ran = sandbox.run(&mut command, b"");
            let id = ran.succeeded().stdout.trim().to_string();
            sandbox.git(&["branch", &format!("b{n}"), &id]);
            commits.push(id);
        }
        publish(&sandbox, seed == 3);
        for _ in 0..40 {
            let old = &commits[random.below(30)];
            let new = &commits[random.below(30)];
            if old == new {
                continue;
            }
            let facts = facts(&sandbox, "refs/heads/main", old, new);
            let range = facts.range().expect("readable");
            let listed = sandbox.git(&["rev-list", new, &format!("^{old}")]);
            let expected: BTreeSet<&str> = listed.lines().collect();
            let found: BTreeSet<String> = range.commits.iter().map(|commit| commit.id.to_string()).collect();
            assert_eq!(
                found,
                expected.iter().map(ToString::to_string).collect(),
                "{old}..{new}, seed {seed}"
            );
            assert_eq!(range.count, expected.len());
            let base = sandbox.run(
                sandbox.command("git", &sandbox.bare()).args(["merge-base", "--is-ancestor", old, new]),
                b"",
            );
            assert_eq!(facts.is_rewind(), Ok(base.code != Some(0)), "{old}..{new}, seed {seed}");
            let authors = sandbox.git(&["log", "--format=%an", new, &format!("^{old}")]);
            assert_eq!(
                range.authors().into_iter().collect::<BTreeSet<_>>(),
                authors.lines().collect::<BTreeSet<_>>(),
                "{old}..{new}"
            );
        }
    }
}

#[test]
fn walk_of_a_long_history_stops_at_its_limit() {
    let sandbox = Sandbox::new();
    let length = MAX_VISITED + 5;
    let stream: String = (0..length)
        .map(|n| {
            format!("commit refs/heads/long\ncommitter A <a@x> {} +0000\ndata 1\nx\n", 1_600_000_000 + n)
        })
        .collect();
    let mut import = sandbox.command("git", &sandbox.bare());
    sandbox.run(import.args(["fast-import", "--quiet"]), stream.as_bytes()).succeeded();
    let tip = sandbox.git_in(&sandbox.bare(), &["rev-parse", "long"]);
    let root = sandbox.git_in(&sandbox.bare(), &["rev-list", "--max-parents=0", "long"]);
    let created = facts(&sandbox, "refs/heads/long", "", &tip).range().expect("readable");
    assert_eq!((created.count, created.is_truncated), (MAX_VISITED, true));
    assert_eq!(created.commits.len(), 250);

    let moved = facts(&sandbox, "refs/heads/long", &root, &tip);
    assert_eq!(
        (moved.is_rewind(), moved.ref_update(WALK)),
        (Ok(false), Ok(None)),
        "the walk ended before it knew"
    );
    assert_eq!(moved.range().expect("a range").exact_count(), None);
    let back = facts(&sandbox, "refs/heads/long", &tip, &root);
    assert_eq!((back.is_rewind(), back.ref_update(WALK)), (Ok(false), Ok(None)));

    // Generation numbers bound the search for an old commit, also from commits outside of the graph.
    sandbox.git_in(&sandbox.bare(), &["commit-graph", "write", "--reachable"]);
    let tree = sandbox.git_in(&sandbox.bare(), &["rev-parse", &format!("{tip}^{{tree}}")]);
    let child = |parent: &str, text: &str| {
        sandbox.git_in(
            &sandbox.bare(),
            &["-c", "user.name=A", "-c", "user.email=a@x", "commit-tree", "-p", parent, "-m", text, &tree],
        )
    };
    let (outside, fork) = (child(&tip, "outside"), child(&root, "fork"));
    let unrelated = sandbox.commit("Unrelated", &[]);
    sandbox.git(&["push", "-q", "origin", "main"]);
    for (old, new, expected) in [
        (&root, &tip, Some(RefUpdate::FastForward)),
        (&root, &outside, Some(RefUpdate::FastForward)),
        (&tip, &root, Some(RefUpdate::Rewound { removed: None })),
        (&tip, &fork, Some(RefUpdate::Forced { removed: None })),
        (&outside, &root, Some(RefUpdate::Rewound { removed: None })),
        (&outside, &fork, None),
        (&fork, &tip, Some(RefUpdate::Forced { removed: None })),
        (&tip, &unrelated, Some(RefUpdate::Forced { removed: None })),
    ] {
        let moved = facts(&sandbox, "refs/heads/long", old, new);
        assert_eq!(moved.ref_update(WALK), Ok(expected), "{old}..{new}");
        let is_rewind = !matches!(expected, None | Some(RefUpdate::FastForward));
        assert_eq!(moved.is_rewind(), Ok(is_rewind), "{old}..{new}");
    }
}

#[test]
fn uncounted_commits_are_not_a_number_in_scripts_or_on_the_wire() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) { mark(#{ kind: \"change\", attributes: #{ \"acme.count\": update.commit_count, \
         \"acme.said\": `${update.commit_count} ${update.is_rewind} ${update.commit_count > 5} ${update.commits.len()}` } }) }",
    );
    let stream: String = (0..MAX_VISITED + 5)
        .map(|n| {
            format!("commit refs/heads/long\ncommitter A <a@x> {} +0000\ndata 1\nx\n", 1_600_000_000 + n)
        })
        .collect();
    let mut import = sandbox.command("git", &sandbox.bare());
    sandbox.run(import.args(["fast-import", "--quiet"]), stream.as_bytes()).succeeded();
    let id = |rev: &str| sandbox.git_in(&sandbox.bare(), &["rev-parse", rev]);
    let (tip, root) = (id("long"), sandbox.git_in(&sandbox.bare(), &["rev-list", "--max-parents=0", "long"]));
    for (old, expected, count) in
        [(&root, " false false 250", None), (&id("long~3"), "3 false false 3", Some(3))]
    {
        let ran = sandbox.hook(format!("{old} {tip} refs/heads/long\n").as_bytes());
        ran.succeeded();
        let markers = sandbox.waiting("unassigned");
        let attributes = &markers.last().expect("a marker")["attributes"];
        assert_eq!(attributes["acme.said"], expected);
        assert_eq!(attributes["acme.count"].as_u64(), count, "{attributes}");
    }
}

#[test]
fn changed_paths_match_git() {
    for format in ["sha1", "sha256"] {
        let sandbox = Sandbox::with_object_format(format);
        let files =
            [("a/b/one", "1"), ("a/two", "2"), ("keep", "k"), ("z/deep/er/file", "z"), ("a.txt", "x")];
        let first = sandbox.commit("First", &files);
        sandbox.git(&["rm", "-rq", "z"]);
        let second =
            sandbox.commit("Second", &[("a/b/one", "changed"), ("new/dir/file", "n"), ("ä ö", "umlaut")]);
        sandbox.git(&["mv", "keep", "kept"]);
        let third = sandbox.commit("Third", &[]);
        publish(&sandbox, format == "sha1");
        for (old, new) in [(&first, &second), (&second, &third), (&first, &third), (&third, &first)] {
            let changed = facts(&sandbox, "refs/heads/main", old, new).changed_paths().expect("readable");
            let listed = sandbox.git(&["diff-tree", "-r", "--no-renames", "--name-only", "-z", old, new]);
            let expected: BTreeSet<&str> = listed.split_terminator('\0').collect();
            let found: BTreeSet<String> = changed.paths.iter().map(|path| path.path.to_string()).collect();
            assert_eq!(found, expected.iter().map(ToString::to_string).collect(), "{old} {new}");
            assert!(!changed.is_truncated);
        }
        let created = facts(&sandbox, "refs/heads/new", "", &second).changed_paths().expect("readable");
        let against_parent =
            facts(&sandbox, "refs/heads/main", &first, &second).changed_paths().expect("readable");
        assert_eq!(created, against_parent, "a created ref is compared with its commit's first parent");
        let root = facts(&sandbox, "refs/heads/root", "", &first).changed_paths().expect("readable");
        assert_eq!(root.paths.len(), files.len(), "all files of a root commit are changes");
    }
}

#[test]
fn changed_paths_of_random_trees_match_git() {
    for (format, seed) in [("sha1", 5), ("sha256", 6)] {
        let sandbox = Sandbox::with_object_format(format);
        let mut random = Random(seed);
        let mut stream = String::new();
        let commit = "1".repeat(if format == "sha1" { 40 } else { 64 });
        let part = |random: &mut Random| ["a", "b", "a-", "a.b", "a0", "ä", "A"][random.below(7)];
        for nth in 0..60 {
            stream.push_str(&format!(
                "commit refs/heads/b\nmark :{}\ncommitter A <a@x> {nth} +0000\ndata 1\nx\n",
                nth + 1
            ));
            for _ in 0..random.below(8) {
                let path: Vec<_> = (0..=random.below(4)).map(|_| part(&mut random)).collect();
                let path = path.join("/");
                let text = random.below(3);
                stream.push_str(&match random.below(6) {
                    0 => format!("D {path}\n"),
                    1 => format!("M 120000 inline {path}\ndata 1\n{text}\n"),
                    2 => format!("M 100755 inline {path}\ndata 1\n{text}\n"),
                    3 => format!("M 160000 {commit} {path}\n"),
                    _ => format!("M 100644 inline {path}\ndata 1\n{text}\n"),
                });
            }
        }
        let mut import = sandbox.command("git", &sandbox.bare());
        sandbox.run(import.args(["fast-import", "--quiet"]), stream.as_bytes()).succeeded();
        let listed = sandbox.git_in(&sandbox.bare(), &["rev-list", "--reverse", "b"]);
        let commits: Vec<&str> = listed.lines().collect();
        let mut seen = 0;
        for _ in 0..60 {
            let old = commits[random.below(60)];
            let new = commits[random.below(60)];
            if old == new {
                continue;
            }
            let changed = facts(&sandbox, "refs/heads/b", old, new).changed_paths().expect("readable");
            let diff = ["diff-tree", "-r", "--no-renames", "--name-only", "-z", old, new];
            let listed = sandbox.git_in(&sandbox.bare(), &diff);
            let found: Vec<String> = changed.paths.iter().map(|path| path.path.to_string()).collect();
            // The paths must also be in the same order.
            assert_eq!(found, listed.split_terminator('\0').collect::<Vec<_>>(), "{format}: {old} {new}");
            assert!(!changed.is_truncated);
            seen += found.len();
        }
        assert!(seen > 500, "{seen}");
    }
}

#[test]
fn changed_paths_stop_at_ten_thousand() {
    let sandbox = Sandbox::new();
    let mut stream = String::from("commit refs/heads/wide\ncommitter A <a@x> 1600000000 +0000\ndata 1\nx\n");
    for n in 0..10_001 {
        stream.push_str(&format!("M 100644 inline dir{}/file{n}\ndata 1\nx\n", n % 7));
    }
    let mut import = sandbox.command("git", &sandbox.bare());
    sandbox.run(import.args(["fast-import", "--quiet"]), stream.as_bytes()).succeeded();
    let tip = sandbox.git_in(&sandbox.bare(), &["rev-parse", "wide"]);
    let changed = facts(&sandbox, "refs/heads/wide", "", &tip).changed_paths().expect("readable");
    assert_eq!((changed.paths.len(), changed.is_truncated), (10_000, true));
}

#[test]
fn replace_refs_are_ignored() {
    let sandbox = Sandbox::new();
    let pushed = sandbox.commit("As it was pushed", &[]);
    let other = sandbox.commit("As a person would write it", &[]);
    publish(&sandbox, false);
    sandbox.git_in(&sandbox.bare(), &["replace", &pushed, &other]);
    let commit =
        facts(&sandbox, "refs/heads/main", "", &pushed).commit().expect("readable").expect("a commit");
    assert_eq!(commit.title, "As it was pushed");
}

#[test]
fn commondir_is_followed() {
    let sandbox = Sandbox::with_object_format("sha256");
    let id = sandbox.commit("Shared", &[]);
    sandbox.git(&["push", "-q", "origin", "main"]);
    for name in ["objects", "config"] {
        fs::create_dir_all(sandbox.path("git/common")).expect("a directory");
        fs::rename(sandbox.bare().join(name), sandbox.path("git/common").join(name)).expect("moved");
    }
    sandbox.write("git/acme/shop.git/commondir", "../../common\n");
    let facts = facts(&sandbox, "refs/heads/main", "", &id);
    assert_eq!(facts.commit().expect("readable").expect("a commit").title, "Shared");
    assert!(facts.is_default_branch().expect("the repository's own HEAD"));
}

#[test]
fn unknown_repository_format_is_rejected() {
    let sandbox = Sandbox::new();
    let id = sandbox.commit("Unreadable", &[]);
    sandbox.git(&["push", "-q", "origin", "main"]);
    for (config, why) in [
        ("[core]\nrepositoryFormatVersion = 2\n", "`core.repositoryFormatVersion` is 2, expected 0 or 1"),
        (
            "[core]\nrepositoryFormatVersion = 0\n[extensions]\nobjectFormat = sha256\n",
            "`extensions.objectFormat` needs `core.repositoryFormatVersion` to be 1",
        ),
        (
            "[core]\nrepositoryFormatVersion = 1\n[extensions]\nobjectFormat = md5\n",
            "`extensions.objectFormat` is `md5`, expected `sha1` or `sha256`",
        ),
        ("[core", "failed to read its configuration: "),
    ] {
        sandbox.write("git/acme/shop.git/config", config);
        let err = facts(&sandbox, "refs/heads/main", "", &id).commit().expect_err(config).to_string();
        let opened = format!("failed to open the repository `{}`: ", sandbox.bare().display());
        assert!(err.strip_prefix(&opened).is_some_and(|said| said.starts_with(why)), "{err}");
    }
}

#[test]
fn description_matches_git_describe() {
    for format in ["sha1", "sha256"] {
        let sandbox = Sandbox::with_object_format(format);
        // Each commit gets a later time, because the order of commits with equal times is
        // undefined.
        let second = std::cell::Cell::new(1_700_000_000);
        let commit = |message: &str| {
            second.set(second.get() + 60);
            let date = format!("{} +0000", second.get());
            let mut command = sandbox.command("git", &sandbox.path("clone"));
            command.args(["commit", "-q", "--allow-empty", "-m", message]);
            command.env("GIT_COMMITTER_DATE", &date).env("GIT_AUTHOR_DATE", &date);
            sandbox.run(&mut command, b"").succeeded();
        };
        commit("Root");
        let described = |rev: &str| {
            let id = sandbox.git(&["rev-parse", rev]);
            let report = facts(&sandbox, "refs/heads/main", "", &id).describe().expect("readable");
            report.map(|report| report.to_string())
        };
        publish(&sandbox, false);
        assert_eq!(described("HEAD"), None, "a repository without tags has no description");

        sandbox.git(&["tag", "v1.0.0"]);
        commit("One");
        sandbox.git(&["branch", "side"]);
        commit("Two");
        sandbox.git(&["tag", "-a", "-m", "two", "v1.1.0"]);
        sandbox.git(&["checkout", "-q", "side"]);
        for name in ["a", "b", "c"] {
            commit(name);
        }
        sandbox.git(&["tag", "side-tag"]);
        commit("d");
        sandbox.git(&["checkout", "-q", "main"]);
        commit("Three");
        sandbox.git(&["merge", "-q", "--no-ff", "-m", "Merge", "side"]);
        commit("Four");
        publish(&sandbox, format == "sha256");
        for rev in ["HEAD", "HEAD~1", "HEAD~2", "side", "side~1", "side~2", "v1.1.0", "v1.0.0"] {
            let git = sandbox.git(&["describe", "--tags", "--abbrev=12", rev]);
            assert_eq!(described(rev), Some(git), "{rev}");
        }

        let id = sandbox.git(&["rev-parse", "HEAD"]);
        let since = facts(&sandbox, "refs/heads/main", "", &id).range_since_version().expect("readable");
        let git = sandbox.git(&["rev-list", "v1.1.0..HEAD"]);
        let listed = |range: &Range| -> BTreeSet<String> {
            range.commits.iter().map(|commit| commit.id.to_string()).collect()
        };
        assert_eq!(listed(&since), git.lines().map(ToString::to_string).collect());
        let id = sandbox.git(&["rev-parse", "v1.0.0"]);
        let first = facts(&sandbox, "refs/tags/v1.0.0", "", &id).range_since_version().expect("readable");
        assert_eq!(first.count, 1, "without a previous version, the whole history");
    }
}

#[test]
fn previous_version_has_the_same_service_and_is_as_stable() {
    let sandbox = Sandbox::new();
    for tags in [
        &["v1.0.0", "checkout/v0.9.0"][..],
        &["v1.1.0-rc.1", "nightly"],
        &["v1.9.0", "v1.10.0", "v1.10.0-rc.2", "checkout/v1.0.0"],
        &["v1.11.0-rc.1"],
    ] {
        sandbox.commit(tags[0], &[]);
        for tag in tags {
            sandbox.git(&["tag", tag]);
        }
    }
    publish(&sandbox, true);
    let previous = |tag: &str| {
        let id = sandbox.git(&["rev-parse", tag]);
        let found = facts(&sandbox, &format!("refs/tags/{tag}"), "", &id).previous_version();
        found.expect("readable").map(|found| found.version().to_string())
    };
    let is = |version: &str| Some(version.to_string());
    assert_eq!(previous("v1.0.0"), None);
    assert_eq!(previous("v1.9.0"), is("1.10.0"), "the highest version of a commit");
    assert_eq!(previous("v1.10.0"), is("1.9.0"));
    assert_eq!(previous("v1.1.0-rc.1"), is("1.0.0"), "the nearest version precedes a pre-release");
    assert_eq!(previous("v1.11.0-rc.1"), is("1.10.0"));
    assert_eq!(previous("checkout/v1.0.0"), is("0.9.0"));
    assert_eq!(previous("checkout/v0.9.0"), None);
}

#[test]
fn files_are_read_at_the_old_and_the_new_commit() {
    for format in ["sha1", "sha256"] {
        let sandbox = Sandbox::with_object_format(format);
        let old = sandbox.commit("Old", &[("deploy/values.yaml", "tag: 1\n"), ("gone", "x")]);
        sandbox.git(&["rm", "-q", "gone"]);
        std::os::unix::fs::symlink("deploy/values.yaml", sandbox.path("clone/link")).expect("a link");
        let large = "x".repeat(300 << 10);
        let new =
            sandbox.commit("New", &[("deploy/values.yaml", "tag: 2\n"), ("large", &large), ("a/b/c", "")]);
        std::fs::write(sandbox.path("clone/latin"), b"caf\xe9").expect("written");
        let latest = sandbox.commit("Latin", &[]);
        publish(&sandbox, format == "sha256");

        let update = facts(&sandbox, "refs/heads/main", &old, &new);
        let file = |path: &str| update.file(path).expect("readable").map(|text| text.to_string());
        let before = |path: &str| update.file_before(path).expect("readable").map(|text| text.to_string());
        assert_eq!(file("deploy/values.yaml").as_deref(), Some("tag: 2\n"));
        assert_eq!(before("deploy/values.yaml").as_deref(), Some("tag: 1\n"));
        assert_eq!((file("gone"), before("gone").as_deref()), (None, Some("x")));
        assert_eq!(file("a/b/c").as_deref(), Some(""));
        assert_eq!(file("link").as_deref(), Some("tag: 2\n"));
        for nothing in
            ["", "/", "deploy", "deploy/", "link/", "link/a", "a/b/c/d", "../x", "/etc/passwd", "a//b"]
        {
            assert_eq!(file(nothing), None, "{nothing:?}");
        }
        let why = update.file("large").expect_err("too large").to_string();
        assert_eq!(why, "`large` has 307200 bytes, the limit is 262144");

        let created = facts(&sandbox, "refs/heads/topic", "", &latest);
        assert_eq!(created.file("latin").expect("readable").as_deref(), Some("caf\u{fffd}"));
        assert_eq!(created.file_before("latin").expect("readable"), None, "the first parent lacks the file");
        assert_eq!(created.file_before("deploy/values.yaml").expect("readable").as_deref(), Some("tag: 2\n"));
        let first = facts(&sandbox, "refs/heads/first", "", &old);
        assert_eq!(first.file_before("gone").expect("readable"), None, "a root commit has no parent");
    }
}

/// The tags of each round, one per this many commits.
const COMMITS_PER_TAG: usize = 6;

#[test]
fn descriptions_in_random_histories_match_git() {
    let mut random = Random(20_261_129);
    let (mut compared, mut with_tags) = (0, 0);
    for round in 0..24 {
        let sandbox = Sandbox::with_object_format(if round % 4 == 3 { "sha256" } else { "sha1" });
        let length = 30 + random.below(120);
        let breadth = 2 + random.below(12);
        let is_skewed = round % 3 == 2;
        let mut stream = String::new();
        for commit in 0..length {
            // Some commits have the same time.
            let minutes = if is_skewed { random.below(2880) } else { commit / 3 };
            let second = 1_700_000_000 + 60 * minutes;
            stream.push_str(&format!(
                "commit refs/heads/b\nmark :{}\ncommitter A <a@x> {second} +0000\ndata 1\nx\n",
                commit + 1
            ));
            let mut parents = BTreeSet::new();
            for _ in 0..[1, 1, 1, 2, 2, 3][random.below(6)] {
                if commit > 0 {
                    parents.insert(commit - random.below(commit.min(breadth)));
                }
            }
            for (nth, parent) in parents.iter().rev().enumerate() {
                stream.push_str(&format!("{} :{parent}\n", if nth == 0 { "from" } else { "merge" }));
            }
            if commit == 0 {
                stream.push_str("deleteall\n");
            }
        }
        for nth in 0..length / COMMITS_PER_TAG {
            let commit = 1 + random.below(length);
            if random.below(3) == 0 {
                stream.push_str(&format!("reset refs/tags/light-{nth}\nfrom :{commit}\n\n"));
            } else {
                let second = 1_700_000_000 + 60 * random.below(100);
                stream.push_str(&format!(
                    "tag t{}-{nth}\nfrom :{commit}\ntagger A <a@x> {second} +0000\ndata 1\nx\n",
                    random.below(9)
                ));
            }
        }
        let mut import = sandbox.command("git", &sandbox.bare());
        sandbox.run(import.args(["fast-import", "--quiet"]), stream.as_bytes()).succeeded();
        if round % 2 == 1 {
            sandbox.git_in(&sandbox.bare(), &["pack-refs", "--all"]);
        }
        if round % 5 == 4 {
            sandbox.git_in(&sandbox.bare(), &["commit-graph", "write", "--reachable"]);
        }
        let listed = sandbox.git_in(&sandbox.bare(), &["rev-list", "b"]);
        for id in listed.lines().step_by(3) {
            let mut git = sandbox.command("git", &sandbox.bare());
            let git = sandbox.run(git.args(["describe", "--tags", "--abbrev=12", id]), b"");
            let git = (git.code == Some(0)).then(|| git.stdout.trim_end().to_string());
            let ours = facts(&sandbox, "refs/heads/b", "", id).describe().expect("readable");
            assert_eq!(ours.map(|found| found.to_string()), git, "round {round}, {id}");
            compared += 1;
            with_tags += usize::from(git.is_some());
        }
    }
    assert!(compared > 400 && with_tags > 350, "{compared}, {with_tags}");
}

#[test]
fn descriptions_in_a_shallow_clone_match_git() {
    let sandbox = Sandbox::new();
    for nth in 0..8 {
        let id = sandbox.commit(&nth.to_string(), &[]);
        if nth == 2 {
            sandbox.git(&["tag", "v1.0.0", &id]);
        }
    }
    publish(&sandbox, false);
    let url = format!("file://{}", sandbox.bare().display());
    for depth in ["1", "5", "6", "7"] {
        let dir = sandbox.path(&format!("shallow-{depth}.git"));
        let to = dir.display().to_string();
        sandbox.git_in(
            &sandbox.path(""),
            &["clone", "-q", "--bare", "--depth", depth, "--branch=main", &url, &to],
        );
        // The tag may lead beyond the edge.
        sandbox.git_in(&dir, &["fetch", "-q", "--depth", depth, "origin", "main", "tag", "v1.0.0"]);
        for rev in ["main", "main~2"] {
            let mut git = sandbox.command("git", &dir);
            let git = sandbox.run(git.args(["describe", "--tags", "--abbrev=12", rev]), b"");
            let git = (git.code == Some(0)).then(|| git.stdout.trim_end().to_string());
            let parsed =
                sandbox.run(sandbox.command("git", &dir).args(["rev-parse", "-q", "--verify", rev]), b"");
            let Some(id) = parsed.stdout.lines().next() else { continue };
            let ours = facts_in(&dir, "refs/heads/main", "", id).describe().expect("readable");
            assert_eq!(ours.map(|found| found.to_string()), git, "depth {depth}, {rev}");
        }
    }
}

#[test]
fn broken_commit_graph_is_ignored_as_in_git() {
    let sandbox = Sandbox::new();
    let first = sandbox.commit("First", &[]);
    for nth in 0..20 {
        sandbox.commit(&nth.to_string(), &[]);
    }
    let last = sandbox.commit("Last", &[]);
    publish(&sandbox, true);
    let graph = sandbox.bare().join("objects/info/commit-graph");
    let whole = fs::read(&graph).expect("a commit-graph");
    let mut flipped = whole.clone();
    flipped[..8].fill(0xff);
    for (what, broken) in
        [("empty", &[][..]), ("cut", &whole[..whole.len() / 2]), ("no header", &flipped), ("one byte", b"C")]
    {
        fs::remove_file(&graph).expect("removed");
        fs::write(&graph, broken).expect("written");
        let facts = facts(&sandbox, "refs/heads/main", &first, &last);
        let range = facts.range().unwrap_or_else(|err| panic!("{what}: {err}"));
        assert_eq!((range.exact_count(), facts.is_rewind()), (Some(21), Ok(false)), "{what}");
        assert_eq!(facts.describe().expect(what), None);
    }
    // A chain whose files are gone.
    fs::remove_file(&graph).expect("removed");
    let chain = sandbox.bare().join("objects/info/commit-graphs");
    fs::create_dir_all(&chain).expect("a directory");
    fs::write(chain.join("commit-graph-chain"), format!("{}\n", "1".repeat(40))).expect("written");
    assert_eq!(facts(&sandbox, "refs/heads/main", &first, &last).range().expect("a range").count, 21);
}
