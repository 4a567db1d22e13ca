//! Tree bombs, which describe a huge number of paths in few bytes: each push finishes in time,
//! takes little memory, and gets its marker.

use std::time::Duration;

use flate2::{Compression, write::ZlibEncoder};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::{BINARY, Ran, Sandbox, wait_until};

type Id = [u8; 32];

/// Objects of a SHA-256 repository, in the format of a pack.
#[derive(Default)]
struct Pack {
    entries: Vec<u8>,
    count: u32,
}

impl Pack {
    fn add(&mut self, kind: &str, data: &[u8]) -> Id {
        let mut size = data.len();
        let number =
            ["commit", "tree", "blob"].iter().position(|known| *known == kind).expect("a kind") as u8 + 1;
        let mut byte = number << 4 | (size & 15) as u8;
        size >>= 4;
        while size > 0 {
            self.entries.push(byte | 0x80);
            byte = (size & 127) as u8;
            size >>= 7;
        }
        self.entries.push(byte);
        let mut zlib = ZlibEncoder::new(&mut self.entries, Compression::fast());
        std::io::Write::write_all(&mut zlib, data).expect("memory");
        zlib.finish().expect("memory");
        self.count += 1;
        let mut hash = Sha256::new();
        hash.update(format!("{kind} {}\0", data.len()));
        hash.update(data);
        hash.finalize().into()
    }

    fn tree(&mut self, entries: &[(&str, &[u8], Id)]) -> Id {
        let mut data = Vec::new();
        for (mode, name, id) in entries {
            data.extend_from_slice(mode.as_bytes());
            data.push(b' ');
            data.extend_from_slice(name);
            data.push(0);
            data.extend_from_slice(id);
        }
        self.add("tree", &data)
    }

    fn blob(&mut self, text: &str) -> Id {
        self.add("blob", text.as_bytes())
    }

    /// Adds levels of trees; each tree contains the previous one under all of `names`.
    fn nested(&mut self, mut tree: Id, levels: usize, names: &[&[u8]]) -> Id {
        for _ in 0..levels {
            let entries: Vec<_> = names.iter().map(|name| ("40000", *name, tree)).collect();
            tree = self.tree(&entries);
        }
        tree
    }

    fn commit(&mut self, tree: Id, parents: &[String]) -> String {
        let parents: String = parents.iter().map(|parent| format!("parent {parent}\n")).collect();
        let person = "Ann Author <ann@example.org> 1700000000 +0000";
        let text = format!("tree {}\n{parents}author {person}\ncommitter {person}\n\nBomb\n", hex(&tree));
        hex(&self.add("commit", text.as_bytes()))
    }

    fn write(self, sandbox: &Sandbox) {
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend(self.count.to_be_bytes());
        pack.extend(self.entries);
        let end = Sha256::digest(&pack);
        pack.extend_from_slice(&end);
        let mut index = sandbox.command("git", &sandbox.bare());
        sandbox.run(index.args(["index-pack", "--stdin"]), &pack).succeeded();
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Time limit of the policy. A debug build on a busy machine needs part of it to start.
const TIME: Duration = Duration::from_millis(500);
/// Maximum duration of a push: the time limit, and slack for a busy machine.
const MOST: Duration = Duration::from_secs(4);
/// Limit of the data segment, in KiB.
const DATA: u32 = 250_000;

/// Runs the binary in the bare repository with little memory.
fn run(sandbox: &Sandbox, args: &str, stdin: &str) -> Ran {
    let config = sandbox.path("config.toml");
    let mut command = sandbox.command("sh", &sandbox.bare());
    let line = format!("ulimit -d {DATA}; exec {BINARY} {args} --config '{}'", config.display());
    sandbox.run(command.env("GIT_DIR", ".").args(["-c", &line]), stdin.as_bytes())
}

/// Pushes `main` from one commit to another, and returns the final decision.
fn push(sandbox: &Sandbox, name: &str, old: &str, new: &str) -> Value {
    push_within(sandbox, name, (old, new), MOST)
}

fn push_within(sandbox: &Sandbox, name: &str, (old, new): (&str, &str), most: Duration) -> Value {
    let before = sandbox.decisions().len();
    let ran = run(sandbox, "hook", &format!("{old} {new} refs/heads/main\n"));
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (Some(0), "", ""), "{name}");
    assert!(ran.took < most, "{name}: {:?}", ran.took);
    if sandbox.decisions().len() == before {
        let ran = run(sandbox, "deliver", "");
        assert!(ran.took < 10 * most, "{name}: {:?}", ran.took);
        wait_until("the push is decided", || sandbox.decisions().len() > before);
    }
    sandbox.decisions().pop().expect("a decision")
}

/// Creates a sandbox for a monorepo, in which pushes to `main` are changes and deployments of
/// `pay`.
fn monorepo() -> Sandbox {
    let sandbox = Sandbox::with_object_format("sha256");
    configure(&sandbox, TIME);
    sandbox
}

fn configure(sandbox: &Sandbox, time: Duration) {
    sandbox.configure(&format!(
        "[reply]\nto_pusher = \"nothing\"\n[policy.limits]\ntime = \"{}ms\"\n\
         [[service]]\nrepository = \"acme/shop\"\nname = \"pay\"\npaths = [\"pay/**\", \"**/pay/x\"]\nenvironments = {{ production = \"main\" }}\n\
         [[service]]\nrepository = \"acme/shop\"\nname = \"web\"\npaths = [\"web/**\"]\n",
        time.as_millis()
    ));
}

#[test]
fn tree_bomb_does_not_block_the_push_or_exhaust_memory() {
    let sandbox = monorepo();
    let mut pack = Pack::default();
    let (one, two) = (pack.blob("1"), pack.blob("2"));
    let empty = pack.tree(&[]);
    let base = pack.tree(&[("100644", b"README", one)]);
    let base = pack.commit(base, &[]);
    let long = [b'a'; 4096];
    let other = [b'b'; 4096];
    let of_one = pack.tree(&[("100644", b"f", one)]);
    let of_two = pack.tree(&[("100644", b"f", two)]);
    let modes = pack.tree(&[("100664", b"f", one)]);
    let names: [&[u8]; 2] = [b"a", b"b"];
    let many: Vec<String> = (0..16).map(|nth| format!("d{nth:x}")).collect();
    let many: Vec<&[u8]> = many.iter().map(String::as_bytes).collect();
    let wide: Vec<(String, Id)> = (0..140_000).map(|nth| (format!("f{nth:08}"), one)).collect();
    let wide: Vec<_> = wide.iter().map(|(name, id)| ("100644", name.as_bytes(), *id)).collect();
    let mut trees = vec![
        ("files at the bottom", pack.nested(of_one, 40, &names)),
        ("nothing at the bottom", pack.nested(empty, 100, &names)),
        ("sixteen names", pack.nested(of_one, 30, &many)),
        ("long names", pack.nested(of_one, 300, &[&long, &other])),
        ("long names, nothing", pack.nested(empty, 300, &[&long, &other])),
        ("a chain of 50,000", pack.nested(of_one, 50_000, &[b"a"])),
        ("another file at the bottom", pack.nested(of_two, 40, &names)),
        ("another mode at the bottom", pack.nested(modes, 40, &names)),
        ("140,000 files", pack.tree(&wide)),
        ("the name of a service at each level", pack.nested(of_two, 40, &[b"a", b"pay"])),
        ("a submodule and links", {
            let bottom = pack.tree(&[("120000", b"l", one), ("160000", b"m", one)]);
            pack.nested(bottom, 40, &names)
        }),
    ];
    let doubled = pack.tree(&[
        ("100644", b"f", one),
        ("100644", b"f", two),
        ("40000", b"f", of_one),
        ("40000", b"f", of_two),
    ]);
    trees.push(("entries twice and out of order", pack.nested(doubled, 40, &[b"b", b"a", b"a"])));
    let mut old = base;
    let mut pushes = Vec::new();
    for (name, tree) in trees {
        let new = pack.commit(tree, std::slice::from_ref(&old));
        pushes.push((name, old, new.clone()));
        old = new;
    }
    pack.write(&sandbox);
    for (name, old, new) in &pushes {
        let decision = push(&sandbox, name, old, new);
        assert!(matches!(decision["outcome"].as_str(), Some("marked" | "skipped")), "{name}: {decision}");
        assert!(decision["missing"].is_null(), "{name}: {decision}");
    }
    // A custom script may also read the changed paths.
    sandbox.write("scripts/site.rhai", "fn decide(update) { update.changed_paths.len() > 0 }");
    // That takes part of the script's own time.
    configure(&sandbox, 6 * TIME);
    for (name, old, new) in &pushes {
        let decision = push_within(&sandbox, name, (old, new), 2 * MOST);
        assert!(matches!(decision["outcome"].as_str(), Some("marked" | "skipped")), "{name}: {decision}");
    }
    assert_eq!(sandbox.files("inbox"), [""; 0]);
    assert_eq!(sandbox.files("dead"), [""; 0]);
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn too_large_tree_is_marked_for_every_service() {
    let sandbox = monorepo();
    let mut pack = Pack::default();
    let one = pack.blob("1");
    let base = pack.tree(&[("100644", b"README", one)]);
    let base = pack.commit(base, &[]);
    let wide: Vec<(String, Id)> = (0..250_000).map(|nth| (format!("f{nth:08}"), one)).collect();
    let wide: Vec<_> = wide.iter().map(|(name, id)| ("100644", name.as_bytes(), *id)).collect();
    let wide = pack.tree(&wide);
    let tip = pack.tree(&[("40000", b"docs", wide)]);
    let tip = pack.commit(tip, std::slice::from_ref(&base));
    pack.write(&sandbox);
    let decision = push(&sandbox, "a tree of 11 MB", &base, &tip);
    let services: Vec<_> = sandbox
        .waiting("unassigned")
        .iter()
        .map(|marker| marker["service"].as_str().expect("a name").to_string())
        .collect();
    assert_eq!(decision["outcome"], "marked", "{decision}");
    assert!(services.iter().any(|name| name == "web"), "the changed service web has no marker: {services:?}");
}

#[test]
fn hook_that_exhausts_memory_is_silent_and_keeps_the_push() {
    let sandbox = monorepo();
    let mut pack = Pack::default();
    let one = pack.blob("1");
    let tree = pack.tree(&[("100644", b"README", one)]);
    let commit = pack.commit(tree, &[]);
    pack.write(&sandbox);
    // The script keeps its own limit, but the system grants the process less memory.
    sandbox.configure("[policy.limits]\ntime = \"20s\"\nmemory = \"256MiB\"\n");
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) { let list = []; list.pad(16000, 1); let held = []; \
         for n in 0..200 { let caught = list; held.push(|| caught.len()); } true }",
    );
    sandbox.clear_state();
    let config = sandbox.path("config.toml");
    let mut command = sandbox.command("sh", &sandbox.bare());
    let line = format!("ulimit -d 30000; {BINARY} hook --config '{}'; echo status $?", config.display());
    let stdin = format!("{} {commit} refs/heads/main\n", "0".repeat(64));
    let ran = sandbox.run(command.env("GIT_DIR", ".").args(["-c", &line]), stdin.as_bytes());
    assert_eq!((&*ran.stdout, &*ran.stderr), ("status 0\n", ""));
    assert_eq!(sandbox.files("inbox").len(), 1, "the push is captured");
}
