//! A corpus of malicious repositories that try to exhaust time or memory, or to kill the process.
//! Each push must return within its time limit, with exit status 0, below the memory limit, with
//! only the reply on stderr, and without delaying the markers of other pushes.
//!
//! Git rejects most of these objects, so `tests/support/raw_git.rs` writes them directly into a
//! bare repository. The hook then gets the input that git would send.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use gix::hash::ObjectId;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::support::{
    BINARY, Ran, Sandbox, is_long,
    raw_git::{
        COMMIT, OFS_DELTA, PackEntry, REF_DELTA, RawRepository, deflated, distance, entry_head, made_up,
        varint,
    },
    recorder::Recorder,
};

/// Default time limit of a push.
const BUDGET: Duration = Duration::from_millis(250);

/// Maximum peak memory of a hook and its background process, in KiB. A policy may use 64 MiB and an
/// object 8 MiB, and the test binary also contains symbols.
const CEILING: u64 = 192 << 10;

/// Maximum delay of the marker of a normal push while the background is busy with the hostile ones.
const INNOCENT: Duration = Duration::from_secs(2);

/// Maximum time of a push in a debug build with other tests in parallel. It is far below the hook's
/// own deadline.
const NO_HANG: Duration = Duration::from_secs(5);

const CONFIG: &str = r#"
[policy]
repository_services = ["evil/*"]
[policy.limits]
time = "250ms"
[[service]]
repository = "evil/*"
name = "cargo"
paths = ["services/**", "**/*a*/**/*b*/**"]
version = { file = "Cargo.toml" }
environments = { production = "main" }
[[service]]
repository = "evil/*"
name = "node"
paths = ["web/**"]
version = { file = "package.json" }
[[service]]
repository = "evil/*"
name = "chart"
paths = ["charts/**"]
version = { file = "Chart.yaml", key = "a.b" }
[[service]]
repository = "evil/*"
name = "described"
version = "describe"
"#;

/// A repository, and the hook's input for a push to it.
struct Case {
    name: String,
    dir: PathBuf,
    stdin: Vec<u8>,
}

fn line(old: Option<ObjectId>, new: ObjectId, name: &[u8]) -> Vec<u8> {
    let old = old.unwrap_or(ObjectId::null(gix::hash::Kind::Sha1));
    [format!("{old} {new} ").as_bytes(), name, b"\n"].concat()
}

const MAIN: &[u8] = b"refs/heads/main";
const TAG: &[u8] = b"refs/tags/v9.9.9";

/// A function that creates a case in an empty repository and returns the hook's input.
type Build = Box<dyn Fn(&RawRepository) -> Vec<u8> + Send + Sync>;

fn cases() -> Vec<(String, Build)> {
    let mut cases: Vec<(String, Build)> = Vec::new();
    let mut add = |name: &str, build: Build| cases.push((name.to_string(), build));

    // Trees that are small on disk but take very long to walk.
    add("bomb-of-files", Box::new(|git| bomb(git, 40, 10, 1, true)));
    add("bomb-of-long-names", Box::new(|git| bomb(git, 30, 4, 4096, true)));
    add("bomb-of-empty-directories", Box::new(|git| bomb(git, 40, 10, 1, false)));
    add(
        "bomb-beside-a-bomb",
        Box::new(|git| {
            let old = git.commit(nested(git, 40, 10, 1, git.blob(b"old"), "100644"), &[], b"Old");
            let new = git.commit(nested(git, 40, 10, 1, git.blob(b"new"), "100644"), &[old], b"New");
            line(Some(old), new, MAIN)
        }),
    );
    add(
        "bomb-as-a-new-tag",
        Box::new(|git| {
            let tree = nested(git, 40, 10, 1, git.blob(b"x"), "100644");
            line(None, git.commit(tree, &[], b"Release"), TAG)
        }),
    );
    add("bomb-of-one-deep-path", Box::new(|git| bomb(git, 5_000, 1, 1, true)));
    add("a-tree-of-200000-entries", Box::new(|git| wide(git, 200_000)));
    add("a-tree-of-1000000-entries", Box::new(|git| wide(git, 1_000_000)));

    // Histories.
    add(
        "165000-parents",
        Box::new(|git| {
            let empty = git.tree(&[]);
            let base = git.commit(empty, &[], b"Base");
            line(Some(base), git.commit(empty, &vec![base; 165_000], b"Octopus"), MAIN)
        }),
    );
    add(
        "165000-missing-parents",
        Box::new(|git| {
            let empty = git.tree(&[]);
            let base = git.commit(empty, &[], b"Base");
            let parents: Vec<_> = (0..165_000).map(made_up).collect();
            line(Some(base), git.commit(empty, &parents, b"Octopus"), MAIN)
        }),
    );
    add(
        "a-tag-of-10000-tags",
        Box::new(|git| {
            let mut id = git.commit(git.tree(&[]), &[], b"Base");
            let mut kind = "commit";
            for _ in 0..10_000 {
                id = git.tag(id, kind);
                kind = "tag";
            }
            line(None, id, TAG)
        }),
    );
    add(
        "a-commit-of-itself",
        Box::new(|git| {
            // A hash never produces such a cycle, but a user with write access to the repository
            // can store one.
            let id = made_up(1);
            let body = format!(
                "tree {}\nparent {id}\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nx",
                git.tree(&[])
            );
            git.loose(id, &[format!("commit {}\0", body.len()).as_bytes(), body.as_bytes()]);
            let old = git.commit(git.tree(&[]), &[], b"Old");
            [line(Some(old), id, MAIN), line(Some(id), old, b"refs/heads/back")].concat()
        }),
    );
    add(
        "a-tag-of-itself",
        Box::new(|git| {
            let id = made_up(2);
            let body = format!("object {id}\ntype tag\ntag v1\n\nx");
            git.loose(id, &[format!("tag {}\0", body.len()).as_bytes(), body.as_bytes()]);
            line(None, id, TAG)
        }),
    );

    // Missing objects, and objects with false claims.
    add("nothing-is-there", Box::new(|_| line(Some(made_up(3)), made_up(4), MAIN)));
    add("a-tree-is-missing", Box::new(|git| line(None, git.commit(made_up(5), &[], b"x"), MAIN)));
    add("a-tag-of-nothing", Box::new(|git| line(None, git.tag(made_up(6), "commit"), TAG)));
    add("a-tag-that-lies", Box::new(|git| line(None, git.tag(git.blob(b"x"), "commit"), TAG)));
    add(
        "a-commit-whose-tree-is-a-blob",
        Box::new(|git| {
            let old = git.commit(git.tree(&[]), &[], b"Old");
            line(Some(old), git.commit(git.blob(b"x"), &[old], b"x"), MAIN)
        }),
    );
    add(
        "a-commit-whose-parent-is-a-tag",
        Box::new(|git| {
            let base = git.commit(git.tree(&[]), &[], b"Base");
            let tag = git.tag(base, "commit");
            line(Some(base), git.commit(git.tree(&[]), &[tag, git.blob(b"y")], b"x"), MAIN)
        }),
    );
    add(
        "a-directory-that-is-a-blob",
        Box::new(|git| {
            let old = git.commit(git.tree(&[]), &[], b"Old");
            let tree = git.tree(&[("40000", b"services", git.blob(b"x"))]);
            line(Some(old), git.commit(tree, &[old], b"x"), MAIN)
        }),
    );
    for (nth, header) in headers().into_iter().enumerate() {
        add(
            &format!("header-{nth}"),
            Box::new(move |git| {
                let old = git.commit(git.tree(&[]), &[], b"Old");
                let tree = format!("tree {}\n", git.tree(&[])).into_bytes();
                let id = git.object("commit", &[&tree[..], &header].concat());
                [line(Some(old), id, MAIN), line(None, id, TAG)].concat()
            }),
        );
    }
    for (nth, tree) in trees().into_iter().enumerate() {
        add(
            &format!("entries-{nth}"),
            Box::new(move |git| {
                let old = git.commit(git.tree(&[]), &[], b"Old");
                let id = git.blob(b"x");
                let entries = tree
                    .iter()
                    .map(|(mode, name)| [mode.as_bytes(), b" ", name, b"\0", id.as_slice()].concat());
                let tree = git.object("tree", &entries.collect::<Vec<_>>().concat());
                line(Some(old), git.commit(tree, &[old], b"x"), MAIN)
            }),
        );
    }

    // Ref names.
    for length in [255, 4096, 60_000] {
        add(
            &format!("a-ref-of-{length}-bytes"),
            Box::new(move |git| {
                let commit = git.commit(git.tree(&[]), &[], b"x");
                let name = "services/aaab/".repeat(length / 14 + 1);
                let refs = ["refs/heads/", "refs/tags/", "refs/"].map(|root| {
                    let tag = format!("{root}{}@1.0.0", &name[..length]);
                    line(None, commit, tag.as_bytes())
                });
                refs.concat()
            }),
        );
    }

    // Files that the hook reads.
    for (name, path, content) in files() {
        add(
            name,
            Box::new(move |git| {
                let old = git.commit(git.tree(&[]), &[], b"Old");
                line(Some(old), git.commit(git.file(path, &content), &[old], b"x"), MAIN)
            }),
        );
    }
    add(
        "globs-over-paths-of-their-kind",
        Box::new(|git| {
            let patterns: Vec<_> = (0..64).map(|n| format!("\"{}z{n}\"", "**/*a*/".repeat(20))).collect();
            let own = format!("[[service]]\nname = \"own\"\npaths = [{}]\n", patterns.join(", "));
            let deep = (0..40).fold(git.blob(b"x"), |id, nth| {
                git.tree(&[(if nth == 0 { "100644" } else { "40000" }, b"aaaaaaaaaaaa", id)])
            });
            let own = git.tree(&[("100644", b"lightstep.toml", git.blob(own.as_bytes()))]);
            let entries: Vec<_> = (0..300).map(|n| format!("a{n:03}")).collect();
            let mut tree = vec![("40000", &b".gitea"[..], own)];
            tree.extend(entries.iter().map(|name| ("40000", name.as_bytes(), deep)));
            let old = git.commit(git.tree(&[]), &[], b"Old");
            line(Some(old), git.commit(git.tree(&tree), &[old], b"x"), MAIN)
        }),
    );

    // Streams and packs.
    add(
        "a-blob-that-inflates-without-end",
        Box::new(|git| {
            let old = git.commit(git.tree(&[]), &[], b"Old");
            line(Some(old), git.commit(git.file("package.json", &vec![b' '; 64 << 20]), &[old], b"x"), MAIN)
        }),
    );
    for (nth, header) in
        ["commit 100\0", "commit 18446744073709551615\0", "commit -1\0", "commit\0", "evil 5\0", ""]
            .into_iter()
            .enumerate()
    {
        add(
            &format!("a-stream-of-zeros-{nth}"),
            Box::new(move |git| {
                let id = made_up(10);
                git.loose(id, &[header.as_bytes(), &vec![0; 64 << 20]]);
                line(None, id, MAIN)
            }),
        );
    }
    add(
        "a-stream-that-is-cut",
        Box::new(|git| {
            let id = git.commit(git.tree(&[]), &[], b"x");
            let digits = id.to_string();
            let path = git.dir().join("objects").join(&digits[..2]).join(&digits[2..]);
            let whole = fs::read(&path).expect("the object");
            fs::write(&path, &whole[..whole.len() / 2]).expect("writing half of the file");
            line(None, id, MAIN)
        }),
    );
    add("a-delta-of-3-gib", Box::new(|git| delta(git, 3 << 30, 50_000)));
    add("a-delta-of-7-mib", Box::new(|git| delta(git, 7 << 20, 112)));
    add("a-delta-that-says-too-much", Box::new(|git| delta(git, u64::MAX, 1)));
    add(
        "a-chain-of-10000-deltas",
        Box::new(|git| {
            let base = commit_bytes(git);
            let first = entry(COMMIT, base.len(), &base);
            let step = |size: usize| {
                // Copy the complete base and append one byte.
                let copy = copied(size);
                let delta = [varint(size as u64), varint(size as u64 + 1), copy, vec![1, b'x']].concat();
                move |offsets: &[usize]| {
                    let back = offsets[offsets.len() - 1] - offsets[offsets.len() - 2];
                    [entry_head(OFS_DELTA, delta.len() as u64), distance(back as u64), deflated(&[&delta])]
                        .concat()
                }
            };
            let steps: Vec<_> = (0..10_000).map(|nth| step(base.len() + nth)).collect();
            let first = move |_: &[usize]| first.clone();
            let mut entries: Vec<PackEntry<'_>> = vec![(made_up(0), &first)];
            entries.extend((1..).map(made_up).zip(steps.iter().map(|step| step as _)));
            git.pack(&entries);
            line(None, made_up(10_000), MAIN)
        }),
    );
    for (name, base) in
        [("a-delta-of-itself", 20), ("two-deltas-of-each-other", 21), ("a-delta-of-nothing", 99)]
    {
        add(
            name,
            Box::new(move |git| {
                let of = |base: u32| {
                    let delta = [varint(10), varint(10), copied(10)].concat();
                    let head = entry_head(REF_DELTA, delta.len() as u64);
                    move |_: &[usize]| [&head[..], made_up(base).as_slice(), &deflated(&[&delta])].concat()
                };
                let (one, two) = (of(base), of(20));
                git.pack(&[(made_up(20), &one), (made_up(21), &two)]);
                [line(None, made_up(20), MAIN), line(None, made_up(21), TAG)].concat()
            }),
        );
    }
    for (name, back) in [("a-delta-of-its-own-offset", 0), ("a-delta-before-the-pack", 5_000_000)] {
        add(
            name,
            Box::new(move |git| {
                let own = move |_: &[usize]| {
                    let delta = [varint(10), varint(10), copied(10)].concat();
                    [entry_head(OFS_DELTA, delta.len() as u64), distance(back), deflated(&[&delta])].concat()
                };
                git.pack(&[(made_up(30), &own)]);
                line(None, made_up(30), MAIN)
            }),
        );
    }
    add(
        "a-pack-of-garbage",
        Box::new(|git| {
            let pack = git.dir().join("objects/pack/pack-0000000000000000000000000000000000000000");
            fs::write(pack.with_extension("pack"), vec![0xff; 1 << 20]).expect("a pack");
            fs::write(pack.with_extension("idx"), vec![0xff; 1 << 20]).expect("an index");
            fs::create_dir_all(git.dir().join("objects/info")).expect("a directory");
            fs::write(git.dir().join("objects/info/commit-graph"), vec![0xff; 1 << 20]).expect("a graph");
            line(None, git.commit(git.tree(&[]), &[], b"x"), MAIN)
        }),
    );

    // The repository's own files.
    for (nth, (file, content)) in [
        ("objects/info/alternates", "/\n".to_string()),
        ("objects/info/alternates", "../objects\n./\n.\n".into()),
        ("objects/info/alternates", "/proc/self/fd\n/dev\n/sys\n".into()),
        ("objects/info/alternates", "../objects\n".repeat(100_000)),
        // A push cannot write this file. gix sorts it in one step, which cannot be interrupted.
        ("packed-refs", "ffffffffffffffffffffffffffffffffffffffff refs/tags/v\n".repeat(20_000)),
        ("shallow", "ffffffffffffffffffffffffffffffffffffffff\n".repeat(200_000)),
        ("HEAD", format!("ref: refs/heads/{}\n", "a/".repeat(1 << 20))),
        ("HEAD", "ref: ".repeat(1 << 20)),
        ("config", "[include]\n\tpath = config\n\tpath = /dev/zero\n".into()),
        ("config", "[a \"b\"]\n\tc = d\n".repeat(100_000)),
    ]
    .into_iter()
    .enumerate()
    {
        add(
            &format!("repository-{nth}"),
            Box::new(move |git| {
                let id = git.commit(git.tree(&[]), &[], b"x");
                fs::write(git.dir().join(file), &content).expect("a file");
                line(None, id, MAIN)
            }),
        );
    }
    for file in
        ["HEAD", "config", "packed-refs", "shallow", "objects/info/alternates", "objects/info/commit-graph"]
    {
        for (what, target) in [("fifo", None), ("device", Some("/dev/zero"))] {
            add(
                &format!("{}-is-a-{what}", file.rsplit('/').next().unwrap_or(file)),
                Box::new(move |git| {
                    let id = git.commit(git.tree(&[]), &[], b"x");
                    let path = git.dir().join(file);
                    let _ = fs::remove_file(&path);
                    match target {
                        Some(target) => std::os::unix::fs::symlink(target, &path).expect("a link"),
                        None => {
                            let made = Command::new("mkfifo").arg(&path).status();
                            assert!(made.is_ok_and(|status| status.success()), "mkfifo");
                        }
                    }
                    [line(None, id, MAIN), line(None, id, TAG)].concat()
                }),
            );
        }
    }
    cases
}

/// Pushes a tree with `depth` levels over an empty tree. Each level contains the next one `width`
/// times.
fn bomb(git: &RawRepository, depth: usize, width: usize, name: usize, has_files: bool) -> Vec<u8> {
    let (leaf, mode) = if has_files { (git.blob(b"x"), "100644") } else { (git.tree(&[]), "40000") };
    let old = git.commit(git.tree(&[]), &[], b"Old");
    let new = git.commit(nested(git, depth, width, name, leaf, mode), &[old], b"New");
    line(Some(old), new, MAIN)
}

fn nested(
    git: &RawRepository,
    depth: usize,
    width: usize,
    name: usize,
    leaf: ObjectId,
    mode: &str,
) -> ObjectId {
    let names: Vec<_> = (0..width).map(|nth| format!("{}{nth}", "a".repeat(name))).collect();
    let mut id = leaf;
    let mut mode = mode;
    for _ in 0..depth {
        id = git.tree(&names.iter().map(|name| (mode, name.as_bytes(), id)).collect::<Vec<_>>());
        mode = "40000";
    }
    id
}

fn wide(git: &RawRepository, count: usize) -> Vec<u8> {
    let names: Vec<_> = (0..count).map(|nth| format!("{nth:07}")).collect();
    let id = git.blob(b"x");
    let old = git.commit(git.tree(&[]), &[], b"Old");
    let tree = git.tree(&names.iter().map(|name| ("100644", name.as_bytes(), id)).collect::<Vec<_>>());
    line(Some(old), git.commit(tree, &[old], b"New"), MAIN)
}

/// Returns commit contents that follow the tree line.
fn headers() -> Vec<Vec<u8>> {
    let who = "author a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n";
    let texts = [
        "author a\ncommitter b\n\nx".to_string(),
        "author a <a@b> 100000000000000000000 +0000\ncommitter a <a@b> 100000000000000000000 +0000\n\nx"
            .into(),
        "author a <a@b> -1 -9999\ncommitter a <a@b> -9223372036854775808 +9999\n\nx".into(),
        "author a <a@b> 1 +0000\n\nno committer".into(),
        "committer a <a@b> 1 +0000\n\nno author".into(),
        format!("{who}\nbefore\0after\n\nTrailer: \0"),
        format!("{who}\n{}", "m".repeat(7 << 20)),
        format!("{who}\n{}\n", "title ".repeat(1 << 18)),
        format!("{who}\n\n{}", "Co-authored-by: a <b>\n".repeat(200_000)),
        format!("{who}\ntitle\n\n{}", "ACME-1 ".repeat(500_000)),
        format!("{who}gpgsig {}\n\nx", "\n ".repeat(1 << 20)),
        format!("{who}{}\nx", "mergetag a\n b\n".repeat(200_000)),
        format!("{who}encoding {}\n\nx", "é".repeat(1 << 16)),
        format!("author {0} <{0}> 1 +0000\ncommitter <<<>>> 1 +0000\n\nx", "n".repeat(1 << 20)),
        "author a <a@b> 1 +0000".into(),
        "\n\n\n".into(),
        String::new(),
        format!("{who}\nThis reverts commit {}", "f".repeat(1 << 20)),
        format!("{who}\nfeat({}: x", "(".repeat(1 << 20)),
        format!("{who}\nx\n\ntraceparent: 00-{}-1-1", "0".repeat(1 << 20)),
    ];
    let mut headers: Vec<_> = texts.into_iter().map(String::into_bytes).collect();
    headers.push([who.as_bytes(), b"\n\xff\xfe\xc0\x80\n"].concat());
    headers
}

/// Returns invalid trees, as the mode and name of each entry.
fn trees() -> Vec<Vec<(&'static str, &'static [u8])>> {
    vec![
        vec![("100644", b"..")],
        vec![("100644", b".")],
        vec![("100644", b"a/../../b")],
        vec![("100644", b"")],
        vec![("40000", b".git"), ("100644", b".GIT")],
        vec![("100644", b"same"), ("100644", b"same"), ("40000", b"same")],
        vec![("100644", b"z"), ("100644", b"a")],
        vec![("99999999999999999999", b"mode")],
        vec![("0", b"zero"), ("", b"none"), ("abc", b"letters"), ("-1", b"less")],
        vec![("160000", b"module"), ("120000", b"link")],
        vec![("100644", b"\x1b[2J\xe2\x80\xae"), ("100644", b"\xff\xfe")],
    ]
}

/// Returns files that the hook's rules read: the name of the case, the path and the content.
fn files() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    const OWN: &str = ".gitea/lightstep.toml";
    let own = |rest: String| format!("[[service]]\nname = \"own\"\n{rest}").into_bytes();
    let links = (0..17_000).map(|n| format!("l{n} = \"http://{{\"\n")).collect::<String>();
    let many =
        (0..64).map(|n| format!("[[service]]\nname = \"s{n}\"\npaths = [\"{}\"]\n", "**/*a*/".repeat(400)));
    let aliases = (0..30)
        .map(|n| format!("a{}: &a{} [{}]\n", n + 1, n + 1, vec![format!("*a{n}"); 10].join(",")))
        .collect::<String>();
    vec![
        ("own-globs", OWN, own(format!("paths = [\"{}x\"]\n", "**/*a*/".repeat(24)))),
        ("own-many-globs", OWN, many.collect::<String>().into_bytes()),
        ("own-bad-links", OWN, own(format!("[service.links]\n{links}"))),
        ("own-long-keys", OWN, own(format!("{} = 1\n", "k".repeat(64 << 10)))),
        ("own-deep-arrays", OWN, own(format!("paths = {}", "[".repeat(200_000)))),
        ("own-deep-tables", OWN, own(format!("x = {}", "{a=".repeat(80_000)))),
        ("own-dotted-keys", OWN, own(format!("{}z = 1\n", "a.".repeat(100_000)))),
        ("own-many-tables", OWN, "[[service]]\n".repeat(20_000).into_bytes()),
        (
            "own-environments",
            OWN,
            own(format!(
                "[service.environments]\n{}",
                (0..9_000).map(|n| format!("e{n} = \"**/*a*/**/*a*/**\"\n")).collect::<String>()
            )),
        ),
        ("json-deep-arrays", "package.json", "[".repeat(250_000).into_bytes()),
        ("json-deep-objects", "package.json", "{\"a\":".repeat(50_000).into_bytes()),
        (
            "json-long-number",
            "package.json",
            format!("{{\"version\": {}}}", "9".repeat(200_000)).into_bytes(),
        ),
        ("toml-deep", "Cargo.toml", format!("[package]\nversion = {}", "[".repeat(200_000)).into_bytes()),
        ("toml-dotted", "Cargo.toml", format!("{}z = 1", "a.".repeat(120_000)).into_bytes()),
        (
            "toml-wide",
            "Cargo.toml",
            (0..20_000).map(|n| format!("[a{n}.b]\n")).collect::<String>().into_bytes(),
        ),
        ("yaml-aliases", "Chart.yaml", format!("a0: &a0 [x,x]\n{aliases}a: {{b: *a30}}\n").into_bytes()),
        ("yaml-deep", "Chart.yaml", format!("a: {}", "[".repeat(200_000)).into_bytes()),
        (
            "yaml-deep-blocks",
            "Chart.yaml",
            (0..600).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>().into_bytes(),
        ),
        ("yaml-directives", "Chart.yaml", "%YAML 1.2\n--- &a *a\n? ".repeat(9_000).into_bytes()),
    ]
}

fn commit_bytes(git: &RawRepository) -> Vec<u8> {
    let who = "a <a@b> 1 +0000";
    format!("tree {}\nauthor {who}\ncommitter {who}\n\n", git.tree(&[])).into_bytes()
}

fn entry(kind: u8, size: usize, content: &[u8]) -> Vec<u8> {
    [entry_head(kind, size as u64), deflated(&[content])].concat()
}

/// Returns a delta instruction that copies this many bytes from the start of the base.
fn copied(size: usize) -> Vec<u8> {
    let bytes = u32::try_from(size).expect("small").to_le_bytes();
    vec![0xf0, bytes[0], bytes[1], bytes[2]]
}

/// Pushes a commit stored as a delta whose result is `copies` copies of its base and claims `size`
/// bytes.
fn delta(git: &RawRepository, size: u64, copies: usize) -> Vec<u8> {
    let mut base = commit_bytes(git);
    base.resize(65_536, b'm');
    let delta = [varint(base.len() as u64), varint(size), copied(65_536).repeat(copies)].concat();
    let first = entry(COMMIT, base.len(), &base);
    let first = move |_: &[usize]| first.clone();
    let second = move |offsets: &[usize]| {
        let back = (offsets[1] - offsets[0]) as u64;
        [entry_head(OFS_DELTA, delta.len() as u64), distance(back), deflated(&[&delta])].concat()
    };
    git.pack(&[(made_up(40), &first), (made_up(41), &second)]);
    line(Some(made_up(40)), made_up(41), MAIN)
}

/// The result and the resources of a hook.
#[derive(Debug)]
struct Took {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    wall: Duration,
    cpu: Duration,
    peak: u64,
}

/// Runs the hook like git does.
fn run(sandbox: &Sandbox, owner: &str, name: &str, dir: &Path, stdin: &[u8]) -> Took {
    let mut command = sandbox.command(BINARY, dir);
    command
        .env("GIT_DIR", ".")
        .env("GITEA_REPO_USER_NAME", owner)
        .env("GITEA_REPO_NAME", name)
        .env_remove("GITEA_REPO_ID");
    command.arg("hook").arg("--config").arg(sandbox.path("config.toml"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().expect("the hook starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let pid = child.id();
    let (mut peak, mut stdout, mut stderr) = (0, String::new(), String::new());
    let (wall, cpu) = thread::scope(|scope| {
        scope.spawn(move || pipe.write_all(stdin));
        let (mut out, mut err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let (stdout, stderr) = (&mut stdout, &mut stderr);
        scope.spawn(move || out.read_to_string(stdout));
        scope.spawn(move || err.read_to_string(stderr));
        let of_child = WaitId::Pid(Pid::from_child(&child));
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(of_child.clone(), options).expect("a child").is_none() {
            peak = peak.max(peak_of(pid));
            thread::sleep(Duration::from_millis(1));
        }
        (start.elapsed(), cpu_of(pid))
    });
    let code = child.wait().expect("it ended").code();
    Took { code, stdout, stderr, wall, cpu, peak }
}

/// Returns the peak memory of a process so far, in KiB.
fn peak_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Returns the CPU time of a process, which may be a zombie.
fn cpu_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // utime and stime are fields 14 and 15, in hundredths of a second. The name before them may
    // contain any character (proc_pid_stat(5)).
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Returns the processes of our binary in this sandbox.
fn ours(sandbox: &Sandbox) -> Vec<u32> {
    let config = sandbox.path("config.toml").display().to_string();
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_ours = |pid: &u32| {
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&cmdline).contains(&config)
    };
    ids.filter(is_ours).collect()
}

#[test]
fn hostile_repositories_stay_within_limits() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    let destination = format!(
        "{CONFIG}[[destination]]\nname = \"collector\"\nkind = \"otlp\"\nendpoint = \"{}\"\nprotocol = \"http/json\"\n\
         compression = \"none\"\n[delivery]\nlinger = \"1s\"\n",
        recorder.endpoint()
    );
    sandbox.configure(&destination);
    let calm = RawRepository::new(sandbox.path("git/calm/shop.git"));
    let innocent = |nth: usize| {
        let id = calm.commit(calm.tree(&[]), &[], format!("Innocent {nth}").as_bytes());
        line(None, id, MAIN)
    };
    let arrives = |title: &str| {
        let start = Instant::now();
        while !recorder
            .requests()
            .iter()
            .any(|request| String::from_utf8_lossy(&request.body).contains(title))
        {
            if start.elapsed() > Duration::from_secs(60) {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Some(start.elapsed())
    };
    // The time of a normal push on this machine under its current load.
    let usual = (0..3)
        .map(|nth| {
            let took = run(&sandbox, "calm", "shop", calm.dir(), &innocent(nth));
            assert_eq!(took.code, Some(0), "{took:?}");
            let title = format!("Innocent {nth}");
            let start = Instant::now();
            arrives(&title).expect("an ordinary push is delivered");
            took.wall + start.elapsed()
        })
        .max()
        .expect("three");
    let slack = usual * 3;
    // Only the release build must meet the time limit.
    let is_long = is_long();
    let (limit, innocent_limit) =
        if is_long { (BUDGET * 2, INNOCENT) } else { (NO_HANG, NO_HANG + INNOCENT) };

    let is_over = AtomicBool::new(false);
    let peak = AtomicU64::new(0);
    let mut wrong = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for pid in ours(&sandbox) {
                    peak.fetch_max(peak_of(pid), Ordering::Relaxed);
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        let made: Vec<Case> = cases()
            .into_iter()
            .map(|(name, build)| {
                let git = RawRepository::new(sandbox.path(&format!("git/evil/{name}.git")));
                Case { stdin: build(&git), dir: git.dir().into(), name }
            })
            .collect();
        let only = std::env::var("GITEA_LIGHTSTEP_CASE").unwrap_or_default();
        for case in made.iter().filter(|case| case.name.contains(&only)) {
            let took = run(&sandbox, "evil", &case.name, &case.dir, &case.stdin);
            let shown = format!(
                "{}: {:?}, {} ms, {} ms of CPU, {} KiB",
                case.name,
                took.code,
                took.wall.as_millis(),
                took.cpu.as_millis(),
                took.peak
            );
            let is_reply = took.stderr.lines().all(|line| line.starts_with("gitea-lightstep: "));
            if took.code != Some(0) || !took.stdout.is_empty() || !is_reply {
                wrong.push(format!("{shown}: exit status or output: {}{}", took.stdout, took.stderr));
            }
            // Wall time includes other processes, so it gets the slack measured above.
            if took.cpu > limit || took.wall > limit + slack {
                wrong.push(format!("{shown}: too long"));
            }
            if took.peak > CEILING {
                wrong.push(format!("{shown}: too much memory"));
            }
        }
        // The background process now has all hostile pushes to decide.
        let start = Instant::now();
        let took = run(&sandbox, "calm", "shop", calm.dir(), &innocent(100));
        let arrived = arrives("Innocent 100").map(|_| start.elapsed());
        if took.code != Some(0) || arrived.is_none_or(|took| took > innocent_limit + slack) {
            wrong
                .push(format!("the innocent push's marker took {arrived:?}, and {usual:?} before: {took:?}"));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let peak = peak.into_inner();
    if peak > CEILING {
        wrong.push(format!("a process of the background took {peak} KiB"));
    }
    for pid in ours(&sandbox) {
        sandbox.end_if_running(&pid.to_string());
    }
    assert!(wrong.is_empty(), "{} cases failed:\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs the hook for a real push, and notes when it began, when it ended and how.
const TIMED_HOOK: &str = r#"#!/bin/sh
start=$(date +%s%N)
'BINARY' hook --config 'CONFIG'
echo "$start $(date +%s%N) $?" >>"$GIT_DIR/took"
"#;

/// Pushes an object to a ref with git. Returns `None` if git refuses to send or to take it, or takes longer than five seconds.
fn pushed(sandbox: &Sandbox, source: &Path, bare: &Path, id: &str, name: &str) -> Option<Ran> {
    let mut push = sandbox.command("timeout", source);
    push.args(["5", "git", "push", "-q", "--force"]).arg(bare).arg(format!("{id}:{name}"));
    push.env("GITEA_REPO_USER_NAME", "evil").env("GITEA_REPO_NAME", "pushed").env_remove("GITEA_REPO_ID");
    let ran = sandbox.run(&mut push, b"");
    (ran.code == Some(0)).then_some(ran)
}

/// Returns true if git can open the files of a repository without waiting: none is a named pipe or a device.
fn is_plain(dir: &Path) -> bool {
    [
        "HEAD",
        "config",
        "objects/info/alternates",
        "packed-refs",
        "refs/heads/main",
        "objects/info/commit-graph",
    ]
    .iter()
    .all(|name| fs::metadata(dir.join(name)).map_or(true, |file| file.is_file()))
}

#[test]
fn hostile_objects_that_git_accepts_delay_no_real_push() {
    let sandbox = Sandbox::new();
    sandbox.configure(CONFIG);
    let hook = TIMED_HOOK
        .replace("BINARY", BINARY)
        .replace("CONFIG", &sandbox.path("config.toml").display().to_string());
    let null = ObjectId::null(gix::hash::Kind::Sha1).to_string();
    let limit = if is_long() { BUDGET * 2 } else { NO_HANG };
    let (mut accepted, mut wrong) = (0, Vec::new());
    for (name, build) in cases() {
        let source = RawRepository::new(sandbox.path(&format!("git/source/{name}.git")));
        let stdin = String::from_utf8_lossy(&build(&source)).into_owned();
        if !is_plain(source.dir()) {
            continue;
        }
        let bare = RawRepository::new(sandbox.path(&format!("git/evil/{name}.git")));
        let updates = stdin.lines().filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            Some((words.next()?, words.next()?, words.next()?))
        });
        // One update shows what the objects do; the cases of very many lines are about standard input.
        for (old, new, ref_name) in updates.take(2) {
            let _ = fs::remove_dir_all(bare.dir().join("hooks"));
            if new == null
                || (old != null && pushed(&sandbox, source.dir(), bare.dir(), old, ref_name).is_none())
            {
                continue;
            }
            sandbox.executable(&format!("git/evil/{name}.git/hooks/post-receive"), &hook);
            let Some(ran) = pushed(&sandbox, source.dir(), bare.dir(), new, ref_name) else { continue };
            let Ok(took) = fs::read_to_string(bare.dir().join("took")) else { continue };
            accepted += 1;
            let fields: Vec<u64> = took.split_whitespace().filter_map(|field| field.parse().ok()).collect();
            let [start, end, code] = fields[..] else { panic!("{name}: {took}") };
            let took = Duration::from_nanos(end.saturating_sub(start));
            let is_reply = ran.remote().iter().all(|line| line.starts_with("gitea-lightstep: "));
            if code != 0 || took > limit || !is_reply {
                wrong.push(format!("{name}: status {code} after {took:?}: {}", ran.stderr));
            }
            fs::remove_file(bare.dir().join("took")).expect("the times");
        }
    }
    for pid in ours(&sandbox) {
        sandbox.end_if_running(&pid.to_string());
    }
    assert!(wrong.is_empty(), "{} cases failed:\n{}", wrong.len(), wrong.join("\n"));
    assert!(accepted >= 50, "git accepted only {accepted} pushes");
}
