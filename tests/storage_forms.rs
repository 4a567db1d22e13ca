//! One random history in every form in which git stores it. All facts are what git says of it.

use std::{collections::BTreeSet, fs, path::PathBuf};

use gitea_lightstep::internals::Commit;

use crate::support::{Sandbox, facts::facts_in, random::Random};

/// Parts of messages, each with something that git has an opinion on.
const TITLES: [&str; 14] = [
    "Show the basket",
    "Show the\nbasket on\n two lines",
    "\n\n  \nTitle after empty lines",
    "feat(cart)!: drop the old prices",
    "Title with CRLF\r",
    "Title\twith a tab  and  spaces   ",
    "Revert \"Revert \"Pay by card\"\"",
    "Merge branch 'topic' into main",
    "Größe, 日本語, 🙂",
    "# not a comment in a commit",
    "Signed-off-by: Ann <ann@x>",
    "---",
    "title: with a colon",
    "\u{1b}[31mred",
];
const BODIES: [&str; 12] = [
    "",
    "A body.\n",
    "This reverts commit 8e3f0a3b1c2d4e5f60718293a4b5c6d7e8f90a1b, reversing\nchanges made to \
     0123456789abcdef0123456789abcdef01234567.\n",
    "- a list\n- of things\n\n    code: not a trailer\n",
    "BREAKING CHANGE: the prices are net\n",
    "A body\r\nwith CRLF\r\n",
    "---\nnot a divider in a commit\n",
    "Before-the-end: no trailer\n\nBecause of this text.\n",
    "# a comment\n",
    " \t\n",
    "See https://example.org/x: it is a link\n",
    "NUL \0 in the text\n",
];
const TRAILERS: [&str; 22] = [
    "",
    "Signed-off-by: Ann <ann@x>\n",
    "Ticket: ACME-7\nCo-authored-by: Bo <bo@x>\n",
    "Folded: one\n two\n\tthree\nTicket: ACME-8\n",
    "Signed-off-by: Ann <ann@x>\nthis line is text\nso is this\nand this\n",
    "this line is text\nTicket: ACME-9\n",
    "text 1\ntext 2\ntext 3\nTicket: ACME-9\n",
    "text 1\ntext 2\ntext 3\nSigned-off-by: Ann <ann@x>\n",
    "text 1\ntext 2\ntext 3\ntext 4\nSigned-off-by: Ann <ann@x>\n",
    "(cherry picked from commit 8e3f0a3b1c2d4e5f60718293a4b5c6d7e8f90a1b)\nTicket: ACME-10\ntext\n",
    "BREAKING-CHANGE: net prices\nRefs: #12\n",
    "Ticket: ACME-11\r\nRefs: #13\r\n",
    "Ticket : ACME-12\nEmpty:\nNo-space:value\n",
    "Ticket: ACME-13\n\nConflicts:\n\ta.txt\n\tb.txt\n",
    "Ticket: ACME-14\n# Conflicts:\n#\ta.txt\n",
    "Ticket: ACME-15\n# a comment\n\n# another\n",
    "# a comment\nTicket: ACME-16\n",
    "Ticket: ACME-17\n   \n\t\n",
    " Ticket: ACME-18\n",
    "Ticket: ACME-19\nTicket: ACME-20\nTICKET: ACME-21\n",
    "Ünicode: no token\nTicket: ACME-22\n",
    "Ticket: ACME-23\n---\n",
];

/// Lines between the committer and the message.
const HEADERS: [&str; 6] = [
    "",
    "",
    "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQEzBAABCAAdFiEE\n -----END PGP SIGNATURE-----\n",
    "gpgsig -----BEGIN SSH SIGNATURE-----\n U1NIU0lHAAAAAQ\n -----END SSH SIGNATURE-----\n",
    "gpgsig-sha256 -----BEGIN PGP SIGNATURE-----\n \n iQEzBAABCAAdFiEE\n -----END PGP SIGNATURE-----\n",
    "mergetag object 8e3f0a3b1c2d4e5f60718293a4b5c6d7e8f90a1b\n type commit\n tag v1\n tagger Ta <ta@x> 1 \
     +0000\n \n Message\n \n Ticket: ACME-99\n -----BEGIN PGP SIGNATURE-----\n -----END PGP SIGNATURE-----\n",
];

/// Authors, with what git shows of them in UTF-8.
const PEOPLE: [&[u8]; 6] = [
    b"Ann Author <ann@example.org>",
    b" Spaces  <  ann@example.org >",
    b"J\xfcrgen <j\xfc@x>",
    "Zoë <zoe@x>".as_bytes(),
    b"\"Quoted, Q.\" <q@x>",
    b"<only@mail>",
];

fn message(title: &str, body: &str, trailers: &str) -> String {
    let paragraphs = [title, body.trim_end_matches('\n'), trailers];
    paragraphs.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// Writes a random history to a repository and returns its commits, oldest first.
fn write_history(sandbox: &Sandbox, random: &mut Random, length: usize) -> Vec<String> {
    let write = |kind: &str, content: &[u8]| {
        let mut git = sandbox.command("git", &sandbox.bare());
        let ran = sandbox.run(git.args(["hash-object", "-t", kind, "-w", "--literally", "--stdin"]), content);
        ran.succeeded().stdout.trim().to_string()
    };
    let mut ids: Vec<String> = Vec::new();
    for nth in 0..length {
        let blob = write("blob", nth.to_string().as_bytes());
        let mut git = sandbox.command("git", &sandbox.bare());
        let entry = format!("100644 blob {blob}\tfile-{}\n", nth % 5);
        let tree = sandbox.run(git.arg("mktree"), entry.as_bytes()).succeeded().stdout.trim().to_string();
        let mut commit = format!("tree {tree}\n").into_bytes();
        let mut parents = BTreeSet::new();
        let wanted = [1, 1, 1, 1, 2, 2, 3, 5, 0][random.below(if nth > 3 { 9 } else { 5 })];
        for _ in 0..wanted.min(nth) {
            parents.insert(nth - 1 - random.below(nth.min(8)));
        }
        for parent in parents.iter().rev() {
            commit.extend(format!("parent {}\n", ids[*parent]).bytes());
        }
        // Some commits are older than their parents.
        let time = 1_700_000_000 + 60 * if random.below(6) == 0 { random.below(200) } else { nth };
        let person = *random.one(&PEOPLE);
        for role in ["author", "committer"] {
            commit.extend([role.as_bytes(), b" ", person, format!(" {time} +0130\n").as_bytes()].concat());
        }
        if person.contains(&0xfc) {
            commit.extend(b"encoding ISO-8859-1\n");
        }
        commit.extend(random.one(&HEADERS).bytes());
        let [title, body, trailers] = [TITLES.as_slice(), &BODIES, &TRAILERS].map(|texts| *random.one(texts));
        commit.extend(format!("\n{}", message(title, body, trailers)).bytes());
        ids.push(write("commit", &commit));
        sandbox.git_in(&sandbox.bare(), &["update-ref", &format!("refs/heads/b{nth}"), &ids[nth]]);
        if random.below(4) == 0 {
            let mut git = sandbox.command("git", &sandbox.bare());
            git.env("GIT_COMMITTER_DATE", format!("{} +0000", 1_700_000_000 + random.below(9) * 60));
            git.arg("tag");
            if random.below(3) > 0 {
                git.args(["-a", "-m", "A tag"]);
            }
            sandbox.run(git.args([&format!("v0.{nth}"), &ids[nth]]), b"").succeeded();
        }
    }
    sandbox.git_in(&sandbox.bare(), &["symbolic-ref", "HEAD", &format!("refs/heads/b{}", length - 1)]);
    ids
}

/// Copies the repository, changes the copy with these commands of git, and returns it.
fn stored(sandbox: &Sandbox, name: &str, commands: &[&[&str]]) -> PathBuf {
    let dir = sandbox.path(&format!("git/acme/{name}.git"));
    let mut copy = sandbox.command("cp", &sandbox.path(""));
    sandbox.run(copy.arg("-a").args([sandbox.bare(), dir.clone()]), b"").succeeded();
    for command in commands {
        sandbox.git_in(&dir, command);
    }
    dir
}

/// Returns the repository in each form, with a name.
fn forms(sandbox: &Sandbox) -> Vec<PathBuf> {
    let pack: &[&str] = &["repack", "-adq"];
    let graph: &[&str] = &["commit-graph", "write", "--reachable"];
    let half = sandbox.git_in(&sandbox.bare(), &["rev-list", "--all", "--skip=40"]);
    let stale = stored(sandbox, "stale-graph-chain", &[pack]);
    let mut write = sandbox.command("git", &stale);
    write.args(["commit-graph", "write", "--stdin-commits", "--split=no-merge"]);
    sandbox.run(&mut write, format!("{half}\n").as_bytes()).succeeded();
    let broken = stored(sandbox, "broken-graph", &[pack, graph]);
    let file = broken.join("objects/info/commit-graph");
    let whole = fs::read(&file).expect("a commit-graph");
    fs::remove_file(&file).expect("removed");
    fs::write(&file, &whole[..whole.len() / 2]).expect("written");
    let clone = |name: &str, option: &str| {
        let dir = sandbox.path(&format!("git/acme/{name}.git"));
        let from = sandbox.bare();
        let args = ["clone", "-q", "--mirror", option, &from.to_string_lossy(), &dir.to_string_lossy()];
        sandbox.git_in(&sandbox.path(""), &args);
        dir
    };
    vec![
        sandbox.bare(),
        stored(sandbox, "packed", &[pack, &["pack-refs", "--all"]]),
        stored(sandbox, "two-packs", &[&["repack", "-dq"], &["multi-pack-index", "write"]]),
        stored(sandbox, "graph", &[pack, graph]),
        stored(
            sandbox,
            "graph-with-bloom-filters",
            &[&["commit-graph", "write", "--reachable", "--changed-paths"]],
        ),
        stale,
        broken,
        clone("alternates", "--shared"),
        clone("reftable", "--ref-format=reftable"),
    ]
}

/// What git shows of a commit, with characters between the fields that no message contains.
const FORMAT: &str = "%H\u{1}%s\u{1}%an\u{1}%ae\u{1}%ct\u{1}%P\u{1}\
    %(trailers:only,unfold,separator=%x02,key_value_separator=%x03)\u{1}%B";

/// Returns what git shows of each commit, without what we drop: control characters, and white space
/// around a title, a name or an address.
fn shown(sandbox: &Sandbox, ids: &[String]) -> Vec<String> {
    let mut git = sandbox.command("git", &sandbox.bare());
    git.args([
        "log",
        "--stdin",
        "--no-walk=unsorted",
        "--encoding=UTF-8",
        &format!("--format={FORMAT}\u{4}"),
    ]);
    let shown = sandbox.run(&mut git, ids.join("\n").as_bytes()).succeeded().stdout.replace(is_dropped, "");
    let of_one = |text: &str| {
        let fields = text.split('\u{1}').enumerate();
        let trimmed = fields.map(|(nth, field)| match nth {
            0..4 => field.trim(),
            7 => field.trim_end(),
            _ => field,
        });
        trimmed.collect::<Vec<_>>().join("\u{1}")
    };
    let shown: Vec<String> = shown.trim_end().split_terminator('\u{4}').map(of_one).collect();
    assert_eq!(shown.len(), ids.len());
    shown
}

fn is_dropped(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t' | '\u{1}'..='\u{4}')
}

/// Writes a commit as git does for [`FORMAT`].
fn as_git_shows(commit: &Commit) -> String {
    let trailers: Vec<String> =
        commit.trailers.iter().map(|(name, value)| format!("{name}\u{3}{value}")).collect();
    let parents: Vec<String> = commit.parents.iter().map(ToString::to_string).collect();
    let fields = [
        commit.id.to_string(),
        commit.title.clone(),
        commit.author.name.clone(),
        commit.author.email.clone(),
        commit.committer.time.map(|time| time.as_second().to_string()).unwrap_or_default(),
        parents.join(" "),
        trailers.join("\u{2}"),
        commit.message.trim_end().to_string(),
    ];
    fields.join("\u{1}")
}

/// What git says of a range.
struct RangeOfGit {
    old: String,
    new: String,
    commits: BTreeSet<String>,
    is_rewind: bool,
    changed: Vec<String>,
    description: Option<String>,
}

impl RangeOfGit {
    fn ask(sandbox: &Sandbox, old: &str, new: &str) -> Self {
        let lines = |args: &[&str]| -> Vec<String> {
            sandbox.git_in(&sandbox.bare(), args).lines().map(str::to_string).collect()
        };
        let answer = |args: &[&str]| {
            let ran = sandbox.run(sandbox.command("git", &sandbox.bare()).args(args), b"");
            (ran.code == Some(0)).then(|| ran.stdout.trim_end().to_string())
        };
        // With skewed clocks, `rev-list old..new` may list too many.
        let all = |tip: &str| -> BTreeSet<String> { lines(&["rev-list", tip]).into_iter().collect() };
        Self {
            commits: &all(new) - &all(old),
            is_rewind: answer(&["merge-base", "--is-ancestor", old, new]).is_none(),
            changed: lines(&["diff", "--name-only", old, new]),
            description: answer(&["describe", "--tags", "--abbrev=12", new]),
            old: old.into(),
            new: new.into(),
        }
    }
}

#[test]
fn facts_are_those_of_git_in_every_form() {
    let (mut commits, mut described) = (0, 0);
    for (format, seed) in [("sha1", 20_261_129), ("sha256", 7)] {
        let sandbox = Sandbox::with_object_format(format);
        let mut random = Random(seed);
        let ids = write_history(&sandbox, &mut random, 70);
        let shown = shown(&sandbox, &ids);
        let ranges: Vec<RangeOfGit> = (0..16)
            .map(|_| RangeOfGit::ask(&sandbox, random.one::<String>(&ids), random.one::<String>(&ids)))
            .collect();
        for id in &ids {
            let raw = sandbox.git_in(&sandbox.bare(), &["cat-file", "commit", id]);
            let headers = raw.split("\n\n").next().expect("headers");
            // git verifies the signature of the object format that it reads.
            let header = if format == "sha1" { "\ngpgsig " } else { "\ngpgsig-sha256 " };
            let commit = facts_in(&sandbox.bare(), "refs/heads/b", "", id).commit();
            let commit = commit.expect("readable").expect("a commit");
            assert_eq!(commit.is_signed, headers.contains(header), "{id}");
        }
        commits += ranges.iter().map(|range| range.commits.len()).sum::<usize>();
        described += ranges.iter().filter(|range| range.description.is_some()).count();
        for dir in forms(&sandbox) {
            let form = dir.file_stem().expect("a name").to_string_lossy().into_owned();
            for (id, shown) in ids.iter().zip(&shown) {
                let commit = facts_in(&dir, "refs/heads/b", "", id).commit();
                let commit = commit.expect("readable").expect("a commit");
                assert_eq!(as_git_shows(&commit), *shown, "{form}, {id}");
            }
            for expected in &ranges {
                let case = format!("{form}, {}..{}", expected.old, expected.new);
                let facts = facts_in(&dir, "refs/heads/b", &expected.old, &expected.new);
                let range = facts.range().expect("readable");
                let found: BTreeSet<String> =
                    range.commits.iter().map(|commit| commit.id.to_string()).collect();
                assert_eq!(found, expected.commits, "{case}");
                assert_eq!(facts.is_rewind(), Ok(expected.is_rewind), "{case}");
                let changed = facts.changed_paths().expect("readable");
                let changed: Vec<String> = changed.paths.iter().map(|path| path.path.to_string()).collect();
                assert_eq!(changed, expected.changed, "{case}");
                let description = facts.describe().expect("readable").map(|found| found.to_string());
                assert_eq!(description, expected.description, "{case}");
            }
        }
    }
    assert!(commits > 200 && described > 20, "{commits}, {described}");
}

/// Lines of which random messages consist.
const LINES: [&str; 24] = [
    "",
    "",
    "",
    "text",
    "more text, with a colon: here",
    "Ticket: ACME-7",
    "Signed-off-by: Ann <ann@x>",
    "Signed-off-by:Ann",
    "(cherry picked from commit 8e3f0a3b1c2d4e5f60718293a4b5c6d7e8f90a1b)",
    " folded",
    "\tfolded by a tab: x",
    "   ",
    "\t",
    "# comment",
    "#comment: x",
    "Conflicts:",
    "Conflicts: a list",
    "# ------------------------ >8 ------------------------",
    "diff --git a/x b/x",
    "---",
    "Key:",
    "Key with spaces: x",
    "-: hyphen",
    ": no name",
];

#[test]
fn messages_are_read_as_git_reads_them() {
    let sandbox = Sandbox::new();
    let tree = sandbox.git_in(&sandbox.bare(), &["mktree"]);
    let mut messages = BTreeSet::new();
    for title in TITLES {
        for body in BODIES {
            messages.extend(TRAILERS.map(|trailers| message(title, body, trailers)));
        }
    }
    let mut random = Random(29);
    for _ in 0..2_000 {
        let lines: Vec<&str> = (0..1 + random.below(14)).map(|_| *random.one(&LINES)).collect();
        let message = lines.join("\n") + ["", "\n", "\r\n"][random.below(3)];
        // We cut longer titles.
        if message.split("\n\n").all(|paragraph| paragraph.len() < 250) {
            messages.insert(message);
        }
    }
    let mut paths = String::new();
    for (nth, message) in messages.iter().enumerate() {
        let person = "Ann Author <ann@example.org> 1700000000 +0000";
        let path = format!("commits/{nth}");
        sandbox.write(&path, format!("tree {tree}\nauthor {person}\ncommitter {person}\n\n{message}"));
        paths.push_str(&format!("{}\n", sandbox.path(&path).display()));
    }
    let mut git = sandbox.command("git", &sandbox.bare());
    git.args(["hash-object", "-t", "commit", "-w", "--literally", "--no-filters", "--stdin-paths"]);
    let written = sandbox.run(&mut git, paths.as_bytes());
    let ids: Vec<String> = written.succeeded().stdout.lines().map(str::to_string).collect();
    let (shown, mut with_trailers) = (shown(&sandbox, &ids), 0);
    for ((id, message), shown) in ids.iter().zip(messages).zip(shown) {
        let commit = facts_in(&sandbox.bare(), "refs/heads/b", "", id).commit();
        let commit = commit.expect("readable").expect("a commit");
        assert_eq!(as_git_shows(&commit), shown, "{message:?}");
        with_trailers += usize::from(!commit.trailers.is_empty());
    }
    assert!(with_trailers > 1_500, "{with_trailers}");
}
