//! Commits and tags as other programs write them, through the hook: encodings, broken headers,
//! trailers, tickets and reverts. git decides what their text is.

use serde_json::{Value, json};

use crate::support::{Sandbox, manifest_dir};

const AUTHOR: &str = "gitea_lightstep.commit.author.name";
const TICKETS: &str = "gitea_lightstep.range.tickets";

/// Writes an object of any content and returns its ID.
#[track_caller]
fn object(sandbox: &Sandbox, kind: &str, content: &[u8]) -> String {
    let mut git = sandbox.command("git", &sandbox.path("clone"));
    let ran = sandbox.run(git.args(["hash-object", "-t", kind, "-w", "--literally", "--stdin"]), content);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout.trim().to_string()
}

/// Writes a commit with these lines after its parents, and returns its ID.
#[track_caller]
fn commit(sandbox: &Sandbox, parents: &[&str], rest: &[u8]) -> String {
    let mut content = format!("tree {}\n", sandbox.git(&["mktree", "--missing"])).into_bytes();
    for parent in parents {
        content.extend_from_slice(format!("parent {parent}\n").as_bytes());
    }
    content.extend_from_slice(rest);
    object(sandbox, "commit", &content)
}

/// Pushes an object to a ref and returns the markers.
#[track_caller]
fn markers(sandbox: &Sandbox, options: &[&str], id: &str, to: &str) -> Vec<Value> {
    let refspec = format!("+{id}:{to}");
    let ran = sandbox.push(&[options, &[&refspec]].concat());
    assert!(ran.code == Some(0) && !ran.stderr.contains("panic"), "{}", ran.stderr);
    let push = sandbox.decisions().pop().expect("a decision")["push"].clone();
    let mut markers = sandbox.waiting("unassigned");
    markers.retain(|marker| marker["push"] == push);
    markers
}

/// Pushes an object to a ref and returns its only marker.
#[track_caller]
fn marker(sandbox: &Sandbox, options: &[&str], id: &str, to: &str) -> Value {
    let mut markers = markers(sandbox, options, id, to);
    assert_eq!(markers.len(), 1, "{markers:?}\n{:?}", sandbox.decisions().last());
    markers.remove(0)
}

/// Deploys a commit from the main branch and returns the deployment.
#[track_caller]
fn deployed(sandbox: &Sandbox, id: &str) -> Value {
    let mut markers = markers(sandbox, &["-o", "deploy=prod"], id, "refs/heads/main");
    markers.retain(|marker| marker["kind"] == "deployment");
    assert_eq!(markers.len(), 1, "{:?}", sandbox.decisions().last());
    markers.remove(0)
}

/// Returns a list of an attribute as one line.
#[track_caller]
fn list(marker: &Value, name: &str) -> String {
    let list = marker["attributes"][name].as_array().cloned().unwrap_or_default();
    list.iter().map(|item| item.as_str().expect("text")).collect::<Vec<_>>().join(" ")
}

/// Returns what git shows of a commit.
#[track_caller]
fn shown(sandbox: &Sandbox, id: &str, format: &str) -> String {
    sandbox.git(&["log", "-1", "--encoding=UTF-8", &format!("--format={format}"), id]).replace('\0', "")
}

/// Returns the text of an attribute, empty if there is none. Panics if an attribute is empty.
#[track_caller]
fn attribute(marker: &Value, name: &str) -> String {
    for (key, value) in marker["attributes"].as_object().expect("attributes") {
        assert!(*value != json!("") && *value != json!([]), "{key} is empty");
    }
    marker["attributes"][name].as_str().unwrap_or_default().to_string()
}

fn spelled(label: &str, name: &[u8], title: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for who in ["author", "committer"] {
        text.extend_from_slice(format!("{who} ").as_bytes());
        text.extend_from_slice(name);
        text.extend_from_slice(b" <ann@example.org> 1700000000 +0000\n");
    }
    text.extend_from_slice(format!("encoding {label}\n\n").as_bytes());
    text.extend_from_slice(title);
    text.push(b'\n');
    text
}

#[test]
fn text_is_decoded_by_the_encoding_of_the_commit_as_git_does() {
    let sandbox = Sandbox::new();
    for (label, name, title, expected) in [
        ("ISO-8859-1", &b"J\xfcrgen"[..], &b"Gr\xf6\xdfe ge\xe4ndert"[..], ["Jürgen", "Größe geändert"]),
        ("ISO-8859-1", b"J\xfcrgen", b"C1 \x80 control", ["Jürgen", "C1  control"]),
        ("latin1", b"J\xfcrgen", b"\xe9", ["Jürgen", "é"]),
        ("ISO-8859-15", b"J\xfcrgen", b"10 \xa4", ["Jürgen", "10 €"]),
        ("windows-1252", b"J\xfcrgen", b"\x84Zitat\x93", ["Jürgen", "„Zitat“"]),
        ("windows-1251", b"\xc0\xed\xed\xe0", b"\xcf\xf0\xe8\xe2\xe5\xf2", ["Анна", "Привет"]),
        ("cp1251", b"\xc0\xed\xed\xe0", b"\xcf\xf0\xe8\xe2\xe5\xf2", ["Анна", "Привет"]),
        ("KOI8-R", b"\xe1\xce\xce\xc1", b"\xf0\xd2\xc9\xd7\xc5\xd4", ["Анна", "Привет"]),
        ("SHIFT_JIS", b"\x8e\x52\x93\x63", b"\x93\xfa\x96\x7b\x8c\xea", ["山田", "日本語"]),
        ("EUC-JP", b"\xbb\xb3\xc5\xc4", b"\xc6\xfc\xcb\xdc\xb8\xec", ["山田", "日本語"]),
        ("iso-2022-jp", b"\x1b$B;3ED\x1b(B", b"\x1b$BF|K\\8l\x1b(B", ["山田", "日本語"]),
        ("GBK", b"\xcd\xf5", b"\xd6\xd0\xce\xc4", ["王", "中文"]),
        ("gb18030", b"\xcd\xf5", b"\xd6\xd0\xce\xc4", ["王", "中文"]),
        ("Big5", b"\xa4\xfd", b"\xa4\xa4\xa4\xe5", ["王", "中文"]),
        ("EUC-KR", b"\xb1\xe8", b"\xc7\xd1\xb1\xdb", ["김", "한글"]),
        ("UTF-8", "Jürgen".as_bytes(), "Größe".as_bytes(), ["Jürgen", "Größe"]),
        ("UTF-8", b"J\xfcrgen", b"Gr\xf6\xdfe", ["J\u{fffd}rgen", "Gr\u{fffd}\u{fffd}e"]),
        ("x-unknown", b"J\xfcrgen", b"Gr\xf6\xdfe", ["J\u{fffd}rgen", "Gr\u{fffd}\u{fffd}e"]),
        ("", b"J\xfcrgen", b"\xf6", ["J\u{fffd}rgen", "\u{fffd}"]),
        ("us-ascii", b"J\xfcrgen", b"\xf6", ["J\u{fffd}rgen", "\u{fffd}"]),
        // The label is wrong: the text is UTF-8, which is not valid in that encoding.
        ("SHIFT_JIS", "Ü".as_bytes(), "日本語é".as_bytes(), ["Ü", "日本語é"]),
        ("EUC-JP", b"Ann", "日本語".as_bytes(), ["Ann", "日本語"]),
    ] {
        let id = commit(&sandbox, &[], &spelled(label, name, title));
        let marker = marker(&sandbox, &[], &id, "refs/heads/main");
        let said = [attribute(&marker, AUTHOR), marker["title"].as_str().expect("a title").to_string()];
        assert_eq!(said, expected, "{label}");
        let of_git = ["%an", "%s"].map(|format| shown(&sandbox, &id, format).replace('\u{80}', ""));
        assert_eq!(said, of_git, "{label}");
    }
}

#[test]
fn trailers_tags_and_hashes_are_decoded_too() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "scripts/acme/shop.rhai",
        r#"fn decide(update) {
            let tag = update.annotated_tag;
            mark(#{ kind: "change", attributes: #{
                "x.co": update.commit.co_authors.map(|p| p.name),
                "x.tagger": if tag == () { "none" } else { tag.tagger.name + ": " + tag.message },
                "x.mail": update.author.email,
            } })
        }"#,
    );
    let text = b"author A <\xe4@x> 1700000000 +0000\ncommitter A <a@x> 1700000000 +0000\nencoding latin1\n\n\
        Title\n\nCo-authored-by: J\xfcrgen <j@x>\n";
    let id = commit(&sandbox, &[], text);
    let mut tag = format!("object {id}\ntype commit\ntag t\n").into_bytes();
    tag.extend_from_slice(b"tagger J\xfcrgen <j@x> 1700000000 +0000\nencoding ISO-8859-1\n\nGr\xf6\xdfe\n");
    let tag = object(&sandbox, "tag", &tag);
    let marker = marker(&sandbox, &[], &tag, "refs/tags/t");
    assert_eq!(marker["attributes"]["x.co"], json!(["Jürgen"]));
    assert_eq!(attribute(&marker, "x.tagger"), "Jürgen: Größe");
    assert_eq!(attribute(&marker, "x.mail"), "ä@x");
}

#[test]
fn encodings_that_cannot_be_right_are_harmless() {
    let sandbox = Sandbox::new();
    let long = b"\x1b$B\xff".repeat(200_000);
    for (label, title) in [
        ("UTF-16", &b"T\xf6tle"[..]),
        ("UTF-16LE", b"\xff\xfeT\0i\0"),
        ("UTF-32", b"T\xf6tle"),
        ("utf-7", b"T\xf6tle"),
        ("hz-gb-2312", b"~{\xf6"),
        ("iso-2022-kr", b"\x1b$)C\xf6"),
        ("replacement", b"T\xf6tle"),
        ("x-user-defined", b"T\xf6tle"),
        ("iso-2022-jp", &long),
        ("iso-2022-jp", b"\x1b$B"),
        ("shift_jis", b"\x93"),
        ("gb18030", b"\x81\x30\x81"),
        ("\u{1b}[31m", b"T\xf6tle"),
    ] {
        let id = commit(&sandbox, &[], &spelled(label, b"Ann", title));
        let marker = marker(&sandbox, &[], &id, "refs/heads/main");
        assert_eq!(attribute(&marker, AUTHOR), "Ann", "{label}");
    }
    // Eight megabytes that would become three times as many.
    let huge = [&b"Title\n\n"[..], &[0xf6; 8_000_000]].concat();
    let id = commit(&sandbox, &[], &spelled("ibm866", b"Ann", &huge));
    assert_eq!(marker(&sandbox, &[], &id, "refs/heads/main")["title"], "Title");
    assert_eq!(sandbox.troubles(), Vec::<String>::new());
}

/// Headers that git accepts, with the author's name and time that are read from them.
const BROKEN: [(&str, &str); 22] = [
    ("author Ann <a@x> 1700000000 -7:00\ncommitter Cy <c@x> 1700000000 -7:00\n", "Ann"),
    ("author Ann <a@x> 1700000000 UTC\ncommitter Cy <c@x> 1700000000 UTC\n", "Ann"),
    ("author Ann <a@x 1700000000 +0000\ncommitter Cy <c@x 1700000000 +0000\n", "Ann"),
    ("author Ann <<>@x> 1700000000 +0000\ncommitter Cy <<>@x> 1700000000 +0000\n", "Ann"),
    ("author Ann <a@\nx> 1700000000 +0000\ncommitter Cy <c@\nx> 1700000000 +0000\n", "Ann"),
    ("committer Cy <c@x> 1700000000 +0000\n", ""),
    ("author Ann <a@x> 1700000000 +0000\n", "Ann"),
    ("", ""),
    ("author Ann <a@x>\ncommitter Cy <c@x>\n", "Ann"),
    ("author Ann <a@x> -1 +0000\ncommitter Cy <c@x> -1 +0000\n", "Ann"),
    ("author Ann <a@x> 99999999999999999999 +0000\ncommitter Cy <c@x> 99999999999999999999 +0000\n", "Ann"),
    (
        "author Old <a@x> 1700000000 +0000\nauthor Ann <a@x> 1700000000 +0000\ncommitter Cy <c@x> 1700000000 +0000\n",
        "Ann",
    ),
    ("author \ncommitter \n", ""),
    ("author\ncommitter\n", ""),
    ("author <a@x> 1700000000 +0000\ncommitter <c@x> 1700000000 +0000\n", ""),
    ("author  <a@x> 1700000000 +0000\ncommitter Cy <c@x> 1700000000 +0000\n", ""),
    ("author Ann<a@x>1700000000 +0000\ncommitter Cy<c@x>1700000000 +0000\n", "Ann"),
    ("author Ann <a <b@c>> 1700000000 +051800\ncommitter Cy <c@x> 1700000000 --700\n", "Ann"),
    ("committer Cy <c@x> 1700000000 +0000\nauthor Ann <a@x> 1700000000 +0000\n", "Ann"),
    ("author Ann <a@x> 18446744073709551615 +0000\ncommitter Cy <c@x> 9223372036854775807 +9999\n", "Ann"),
    ("author Ann <a@x> 1700000000 +0000\ncommitter Cy <> \x01\n", "Ann"),
    ("author Ann <a@x>\t1700000000\t+0000\r\ncommitter > < 1700000000 +0000\n", "Ann"),
];

#[test]
fn broken_header_of_a_tip_costs_only_what_it_says() {
    let sandbox = Sandbox::new();
    for (headers, name) in BROKEN {
        let id = commit(&sandbox, &[], format!("{headers}\nPay by card\n\nACME-7\n").as_bytes());
        let marker = marker(&sandbox, &[], &id, "refs/heads/main");
        assert_eq!(marker["title"], "Pay by card", "{headers}");
        assert_eq!(marker["title"], shown(&sandbox, &id, "%s"), "{headers}");
        assert_eq!(marker["source"]["commit"], id.as_str(), "{headers}");
        assert_eq!(attribute(&marker, AUTHOR), name, "{headers}");
        // git reads no more than we do, and nothing else.
        let of_git = shown(&sandbox, &id, "%an");
        assert!(of_git.is_empty() || of_git == name, "{headers}: {of_git}");
        let (time, of_git) = (attribute(&marker, "gitea_lightstep.commit.time"), shown(&sandbox, &id, "%ct"));
        assert!(of_git != "1700000000" || time == "2023-11-14T22:13:20Z", "{headers}: {time}");
    }
    assert_eq!(sandbox.troubles(), Vec::<String>::new());
}

#[test]
fn broken_header_in_a_range_does_not_cost_the_range() {
    let sandbox = Sandbox::new();
    let good = |nth: usize, parent: &str| {
        let who = format!("Author {nth} <a{nth}@x> {} +0000", 1_700_000_000 + nth);
        let text = format!("author {who}\ncommitter {who}\n\nCommit {nth}\n\nACME-{nth}\n");
        commit(&sandbox, &[parent], text.as_bytes())
    };
    let mut parent = sandbox.commit("Start", &[]);
    markers(&sandbox, &["-o", "deploy=prod"], &parent, "refs/heads/main");
    for (headers, name) in BROKEN {
        let base = parent.clone();
        for nth in 1..=5 {
            parent = good(nth, &parent);
        }
        parent = commit(&sandbox, &[&parent], format!("{headers}\nOdd\n\nACME-99\n").as_bytes());
        for nth in 6..=10 {
            parent = good(nth, &parent);
        }
        let marker = deployed(&sandbox, &parent);
        let count = sandbox.git(&["rev-list", "--count", &format!("{base}..{parent}")]);
        assert_eq!(marker["attributes"]["gitea_lightstep.range.commits"].to_string(), count, "{headers}");
        assert_eq!(list(&marker, TICKETS).split(' ').count(), 11, "{headers}");
        let authors = marker["attributes"]["gitea_lightstep.range.authors"].as_array().expect("a list");
        assert_eq!(authors.len(), 10 + usize::from(!name.is_empty()), "{headers}: {authors:?}");
        assert!(!authors.contains(&json!("")), "{headers}");
    }
    assert_eq!(sandbox.troubles(), Vec::<String>::new());
}

#[test]
fn target_of_a_tag_does_not_depend_on_its_tagger() {
    let sandbox = Sandbox::new();
    let id = sandbox.commit("Release", &[]);
    let trace_id = marker(&sandbox, &[], &id, "refs/heads/main")["trace_id"].clone();
    let taggers = [
        "tagger Tess <t@x> 1700000000 -7:00\n",
        "tagger Tess <t@x 1700000000 +0000\n",
        "tagger Tess <t@x>\n",
        "tagger Tess <t@\nx> 1700000000 +0000\n",
        "tagger \n",
        "tagger\n",
        "",
        "tagger Tess <t@x> 99999999999999999999 +0000\n",
        "tagger Tess <t@x> -1 +0000\n",
        "tagger Old <t@x> 1 +0000\ntagger Tess <t@x> 1700000000 +0000\n",
    ];
    for (nth, tagger) in taggers.iter().enumerate() {
        let tag = |of: &str, kind: &str| {
            let text = format!("object {of}\ntype {kind}\ntag v1.0.{nth}\n{tagger}\nVersion\n");
            object(&sandbox, "tag", text.as_bytes())
        };
        let inner = tag(&id, "commit");
        for (tag, version) in [(tag(&inner, "tag"), format!("2.0.{nth}")), (inner, format!("1.0.{nth}"))] {
            assert_eq!(sandbox.git(&["rev-parse", &format!("{tag}^{{commit}}")]), id);
            let marker = marker(&sandbox, &[], &tag, &format!("refs/tags/v{version}"));
            assert_eq!((&marker["version"], &marker["title"]), (&json!(version), &json!("Release")));
            assert_eq!(marker["source"]["commit"], id.as_str(), "{tagger}");
            assert_eq!(marker["trace_id"], trace_id, "{tagger}");
            let name = if tagger.contains("Tess") { "Tess" } else { "" };
            assert_eq!(attribute(&marker, "gitea_lightstep.tag.tagger"), name, "{tagger}");
        }
    }
}

#[test]
fn empty_title_falls_back_to_the_id_and_the_ref() {
    let sandbox = Sandbox::new();
    for message in ["", "\n", "  \n\n \t\n", "\u{200b}\n", "\r\n\r\n", "\u{a0}\n"] {
        let who = "<ann@example.org> 1700000000 +0000";
        let text = format!("author  {who}\ncommitter {who}\n\n{message}");
        let id = commit(&sandbox, &[], text.as_bytes());
        let short = id.get(..12).expect("an ID");
        for (to, name) in [("refs/heads/main", "main"), ("refs/tags/v1.0.0", "v1.0.0")] {
            let marker = marker(&sandbox, &[], &id, to);
            assert_eq!(marker["title"], format!("{short} ({name})"), "{message:?}");
            for absent in [AUTHOR, "gitea_lightstep.commit.title", "gitea_lightstep.commit.committer.name"] {
                assert_eq!(attribute(&marker, absent), "", "{message:?}");
                assert!(marker["attributes"].get(absent).is_none(), "{message:?}");
            }
        }
    }
    // A script can hide the pusher with an empty text, and its own empty values are left out too.
    sandbox.write(
        "scripts/acme/shop.rhai",
        r#"fn decide(update) {
            mark(#{ kind: "change", title: " ", attributes: #{ "user.name": "", "x.a": "", "x.b": [] } })
        }"#,
    );
    let id = commit(&sandbox, &[], b"\nTitle\n\nCo-authored-by: <c@x>\nCo-authored-by:\n");
    let marker = marker(&sandbox, &[], &id, "refs/heads/main");
    assert_eq!((&marker["title"], &marker["source"]["pusher"]), (&json!("Title"), &Value::Null));
    for absent in ["x.a", "x.b", "gitea_lightstep.commit.co_authors"] {
        assert_eq!((attribute(&marker, absent).as_str(), marker["attributes"].get(absent)), ("", None));
    }
}

const PULL_REQUESTS: &str = "gitea_lightstep.range.pull_requests";
const REVERTS: &str = "gitea_lightstep.range.reverts";

/// Writes a configuration with these keys at its top.
fn configure(sandbox: &Sandbox, keys: &str) {
    sandbox.write(
        "config.toml",
        format!(
            "state_dir = \"state\"\n{keys}[policy.limits]\ntime = \"20s\"\n[delivery]\nlinger = \"1s\"\n"
        ),
    );
}

/// Commits these messages one after the other, deploys the last, and returns the deployment.
#[track_caller]
fn deployed_messages(sandbox: &Sandbox, messages: &[&str]) -> Value {
    for message in messages {
        sandbox.git(&["commit", "-q", "--allow-empty", "--cleanup=verbatim", "-m", message]);
    }
    deployed(sandbox, &sandbox.git(&["rev-parse", "HEAD"]))
}

/// Creates a sandbox with a first deployment.
fn sandbox_with_deployment() -> Sandbox {
    let sandbox = Sandbox::new();
    deployed_messages(&sandbox, &["Start"]);
    sandbox
}

#[test]
fn pull_requests_are_those_of_this_repository() {
    let sandbox = sandbox_with_deployment();
    let page = "https://git.example.com/acme/shop/pulls";
    for (message, expected) in [
        (format!("Pay (#12)\n\nReviewed-on: {page}/12\n"), "12"),
        // Gitea 1.27.0 wrote no line break.
        (format!("Pay\n\nFixes #552Reviewed-on: {page}/12\n"), "12"),
        (format!("Pay\n\nFixes #552.Reviewed-on: {page}/12\nReviewed-by: Ann <a@x>\n"), "12"),
        (format!("Pay\n\nReviewed-on: {page}/12Reviewed-by: Ann <a@x>\n"), "12"),
        (format!("Pay\n\nReviewed-on: {page}/12\n\n---------\n\nCo-authored-by: Bo <b@x>\n"), "12"),
        (format!("Pay\r\n\r\nReviewed-on: {page}/12/\r\n"), "12"),
        ("Pay\n\nreviewed-on: HTTP://GIT.example.com/Acme/SHOP/pulls/12\n".into(), "12"),
        // Other hosts, repositories and forges.
        ("Pay\n\nReviewed-on: https://codeberg.org/acme/shop/pulls/12\n".into(), ""),
        ("Pay\n\nReviewed-on: https://git.example.com.evil.org/acme/shop/pulls/12\n".into(), ""),
        ("Pay\n\nReviewed-on: https://git.example.com/acme/other/pulls/12\n".into(), ""),
        ("Pay\n\nReviewed-on: https://git.example.com/evil/acme/shop/pulls/12\n".into(), ""),
        ("Pay\n\nFixes #552Reviewed-on: https://codeberg.org/acme/shop/pulls/12\n".into(), ""),
        ("Pay\n\nReviewed-on: acme/shop/pulls/12\n".into(), ""),
        (format!("Pay\n\nSee Reviewed-on: {page}/12\n"), ""),
        (format!("Pay\n\n> Reviewed-on: {page}/12\n"), ""),
        (format!("Pay\n\nReviewed-on: {page}/12#issuecomment-3\n"), ""),
        (format!("Pay\n\nReviewed-on: {page}/0\n"), ""),
        (format!("Pay\n\nReviewed-on: {page}/99999999999999999999\n"), ""),
        (format!("Pay\n\nReviewed-on: {page}/\n"), ""),
        // Of several, Gitea wrote the last.
        (format!("Pay\n\n* old\n\nReviewed-on: {page}/3\n\nReviewed-on: {page}/12\n"), "12"),
    ] {
        let marker = deployed_messages(&sandbox, &[&message]);
        assert_eq!(list(&marker, PULL_REQUESTS), expected, "{message:?}");
    }
    // The site can name another address than the one that Gitea reports.
    configure(&sandbox, "public_url = \"https://code.example.org/git/\"\n");
    let message = "Pay\n\nReviewed-on: https://code.example.org/git/acme/shop/pulls/7\n";
    assert_eq!(list(&deployed_messages(&sandbox, &[message]), PULL_REQUESTS), "7");
    let message = format!("Pay\n\nReviewed-on: {page}/8\n");
    assert_eq!(list(&deployed_messages(&sandbox, &[&message]), PULL_REQUESTS), "8");
}

#[test]
fn approvals_before_the_line_of_gitea_count() {
    let sandbox = Sandbox::new();
    let script = std::fs::read_to_string(manifest_dir().join("scripts/approved-releases.rhai"));
    let script = script
        .expect("the policy")
        .replace("const IS_SIGNATURE_NEEDED = true;", "const IS_SIGNATURE_NEEDED = false;");
    sandbox.write("scripts/acme/shop.rhai", script);
    for (nth, (message, approvals)) in [
        ("Pay\n\nReviewed-by: Bo <bo@example.org>\n", 1),
        ("Pay\n\nReviewed-by: Bo <bo@example.org>\n\n---------\n\nCo-authored-by: Di <di@example.org>\n", 1),
        ("Pay\n\nReviewed-by: Bo <bo@example.org>\n---------\nCo-authored-by: Di <di@example.org>\n", 1),
        ("Pay\n\nReviewed-by: Bo <bo@example.org>\n\n---------\n", 1),
        (
            "Pay\n\nReviewed-on: https://git.example.com/acme/shop/pulls/1\nReviewed-by: Bo <bo@example.org>\n\n\
             Co-authored-by: Di <di@example.org>\n",
            1,
        ),
        (
            "Pay\n\n* one\n\n---------\n\nReviewed-by: Bo <bo@example.org>\nReviewed-by: Cy <cy@example.org>\n\n\
             ---------\n\nCo-authored-by: Di <di@example.org>\n",
            2,
        ),
        ("Pay\n\nReviewed-by: Bo <bo@example.org>\n\ntext\n", 0),
        ("Pay\n\nReviewed-by: Bo <bo@example.org>\n\n---------\n\ntext\n", 0),
        ("Pay\n\n---------\n\nCo-authored-by: Bo <bo@example.org>\n", 0),
    ]
    .into_iter()
    .enumerate()
    {
        sandbox.git(&["commit", "-q", "--allow-empty", "--cleanup=verbatim", "-m", message]);
        let (id, tag) = (sandbox.git(&["rev-parse", "HEAD"]), format!("refs/tags/v1.0.{nth}"));
        if approvals == 0 {
            assert_eq!(markers(&sandbox, &[], &id, &tag).len(), 0, "{message}");
            let why = "it has 0 of 1 approvals by the APPROVERS";
            assert_eq!(sandbox.decisions().last().expect("a decision")["why"], why, "{message}");
        } else {
            let marker = marker(&sandbox, &[], &id, &tag);
            assert_eq!(marker["attributes"]["gitea_lightstep.release.approvals"], approvals, "{message}");
        }
    }
}

#[test]
fn words_like_tickets_are_not_tickets() {
    let sandbox = sandbox_with_deployment();
    for (message, expected) in [
        ("Follow PSR-4 and PEP-8, GPL-3, UTF-8, IEEE-754, GPT-4, KB-5001", ""),
        ("Update LGPL-2.1, TLS-1.3, ISO-8859-1, MPEG-4, Q3-2024, CVE-2024-1, ACME-007", ""),
        ("ACME-7: follow PSR-4 (OPS-3)\n\nCloses MY_APP-12.", "ACME-7 OPS-3 MY_APP-12"),
        ("Pay\n\n> KAFKA-1\n>> KAFKA-2\n\nACME-7\n", "ACME-7"),
        ("Pay\n\n<details>\n<summary>Notes</summary>\nKAFKA-1\n</details>\n\nACME-7\n", "ACME-7"),
        ("Pay\n\n```\nKAFKA-1\n```\n~~~sh\nKAFKA-2\n~~~\nACME-7\n", "ACME-7"),
        ("Pay\n\nACME-7\n\n```\nKAFKA-1\n", "ACME-7"),
        ("Pay\n\nACME-7 <Details open>KAFKA-1</DETAILS> OPS-3\n", "ACME-7 OPS-3"),
        ("Merge pull request 'Pay' (#3) from feature/ACME-7-pay into main", "ACME-7"),
        ("Merge pull request 'OPS-3: pay' (#3) from bo/shop:ACME-7_pay into main", "OPS-3 ACME-7"),
        ("Merge branch 'ann/pay-ACME-7' into main", "ACME-7"),
        ("Merge remote-tracking branch 'origin/hotfix/ACME-7-x'", "ACME-7"),
        ("Merge branch 'feature/UTF-8-names'", ""),
        ("Pay from ACME-7-pay", ""),
        ("acme-7", ""),
    ] {
        assert_eq!(list(&deployed_messages(&sandbox, &[message]), TICKETS), expected, "{message}");
    }
}

#[test]
fn listed_projects_are_the_only_ones() {
    let sandbox = sandbox_with_deployment();
    let message = "ACME-7, OPS-3, WEB-4, acme-9";
    for (config, expected) in [
        ("", "ACME-7 OPS-3"),
        ("tickets = [\"ACME\", \"ops\", \"WEB\"]\n", "ACME-7 OPS-3 WEB-4"),
        ("tickets = []\n", ""),
        ("[[service]]\nrepository = \"acme/*\"\nname = \"shop\"\ntickets = [\"WEB\"]\n", "WEB-4"),
        (
            "tickets = [\"ACME\"]\n[[service]]\nrepository = \"acme/*\"\nname = \"shop\"\ntickets = [\"WEB\"]\n",
            "WEB-4",
        ),
        ("tickets = [\"ACME\"]\n[[service]]\nrepository = \"acme/*\"\nname = \"shop\"\n", "ACME-7"),
    ] {
        configure(&sandbox, config);
        assert_eq!(list(&deployed_messages(&sandbox, &[message]), TICKETS), expected, "{config}");
    }
    let bad = "state_dir = \"state\"\ntickets = [\"ACME-7\", \"\", \"7A\"]\n";
    sandbox.write("config.toml", bad);
    let problems = sandbox.problems().join("\n");
    for key in ["ACME-7", "", "7A"] {
        let why = format!("`{key}` is not the key of a project; write \"ACME\" for tickets such as ACME-7");
        assert!(problems.contains(&why), "{problems}");
    }
}

#[test]
fn branch_of_a_preview_names_its_ticket() {
    let sandbox = sandbox_with_deployment();
    sandbox.configure(
        "[[service]]\nrepository = \"acme/*\"\nname = \"shop\"\nenvironments = { preview = \"feature/*\" }\n",
    );
    for (branch, expected) in
        [("feature/ACME-7-pay", "ACME-1 ACME-7"), ("feature/pay", "ACME-1"), ("feature/ACME-1", "ACME-1")]
    {
        let to = format!("refs/heads/{branch}");
        for _ in 0..2 {
            let id = sandbox.commit("Pay ACME-1", &[]);
            markers(&sandbox, &[], &id, &to);
        }
        let last = sandbox.waiting("unassigned").pop().expect("a marker");
        assert_eq!(list(&last, TICKETS), expected, "{branch}");
    }
}

#[test]
fn reverts_are_lines_that_begin_with_the_sentence_of_git() {
    let sandbox = sandbox_with_deployment();
    let (a, b, c) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
    for (message, expected) in [
        (format!("Revert \"x\"\n\nThis reverts commit {a}.\n"), a.clone()),
        (format!("Revert \"x\"\n\nThis reverts commit {a}, reversing\nchanges made to {b}.\n"), a.clone()),
        (format!("Undo\n\nThis reverts commits {a} and {b}.\n"), format!("{a} {b}")),
        (format!("Undo\n\nThis reverts commits {a}, {b}, and\n{c}. Sorry\n"), format!("{a} {b} {c}")),
        (format!("Undo\n\nThis reverts commit {a}.\nThis reverts commit {b}.\n"), format!("{a} {b}")),
        ("Undo\n\nThis reverts commit abcdef1.\n".into(), "abcdef1".into()),
        (format!("This reverts commit {a}"), a.clone()),
        // Not git's sentence.
        ("Docs: how to write \"This reverts commit abcdef1\"".into(), String::new()),
        (format!("Undo\n\n> This reverts commit {a}.\n"), String::new()),
        (format!("Undo\n\n```\nThis reverts commit {a}.\n```\n"), String::new()),
        (format!("Undo\n\n<details>\nThis reverts commit {a}.\n</details>\n"), String::new()),
        (format!("Undo\n\n  This reverts commit {a}.\n"), String::new()),
        ("Undo\n\nThis reverts commit abcdefgh.\n".into(), String::new()),
        ("Undo\n\nThis reverts commit abcdef1x.\n".into(), String::new()),
        ("Undo\n\nThis reverts commits of last week.\n".into(), String::new()),
        ("Undo\n\nThis reverts commit".into(), String::new()),
    ] {
        assert_eq!(list(&deployed_messages(&sandbox, &[&message]), REVERTS), expected, "{message}");
    }
}

#[test]
fn change_logs_of_bots_bring_neither_tickets_nor_reverts() {
    let sandbox = sandbox_with_deployment();
    let body = "KAFKA-1234\n\nThis reverts commit 0123456789012345678901234567890123456789.\n";
    for (author, is_bot) in [
        ("renovate[bot] <29139614+renovate[bot]@users.noreply.github.com>", true),
        ("dependabot[bot] <49699333+dependabot[bot]@users.noreply.github.com>", true),
        ("Renovate Bot <renovate@example.org>", true),
        ("renovate-bot <bot@example.org>", true),
        ("Dependabot <support@example.org>", true),
        ("Updates <12+updates[bot]@noreply.example.org>", true),
        ("snyk-bot <s@example.org>", true),
        ("Ann Author <ann@example.org>", false),
        ("Bo Bot <bo@example.org>", false),
        ("Abbot <abbot@example.org>", false),
    ] {
        for (title, own) in [("Update x", ""), ("ACME-7: update x", "ACME-7 ")] {
            sandbox.git(&["commit", "-q", "--allow-empty", "--author", author, "-m", title, "-m", body]);
            let marker = deployed(&sandbox, &sandbox.git(&["rev-parse", "HEAD"]));
            let tickets = if is_bot { own.to_string() } else { format!("{own}KAFKA-1234") };
            assert_eq!(list(&marker, TICKETS), tickets.trim_end(), "{author}");
            assert_eq!(list(&marker, REVERTS).is_empty(), is_bot, "{author}");
        }
    }
    let title = "Revert \"Update x\"";
    let author = "renovate[bot] <r@example.org>";
    sandbox.git(&["commit", "-q", "--allow-empty", "--author", author, "-m", title, "-m", body]);
    let marker = deployed(&sandbox, &sandbox.git(&["rev-parse", "HEAD"]));
    assert!(list(&marker, REVERTS).starts_with("0123"), "{marker}");
}

#[test]
fn scripts_see_the_same_tickets_as_markers() {
    let sandbox = sandbox_with_deployment();
    sandbox.write(
        "scripts/acme/shop.rhai",
        r#"fn decide(update) {
            mark(#{ kind: "change", attributes: #{
                "x.update": update.tickets,
                "x.commit": update.commit.tickets,
                "x.text": tickets(update.title + " OPS-3"),
                "x.branch": tickets("feature/ops-3-pay", ["OPS"]),
            } })
        }"#,
    );
    configure(&sandbox, "tickets = [\"ACME\"]\n");
    let id = sandbox.commit("ACME-7 and WEB-4 OPS-3\n\n> ACME-9", &[]);
    let marker = marker(&sandbox, &[], &id, "refs/heads/feature/ACME-8-pay");
    assert_eq!(list(&marker, "x.commit"), "ACME-7");
    assert!(list(&marker, "x.update").ends_with("ACME-8"), "{marker}");
    assert_eq!((list(&marker, "x.text"), list(&marker, "x.branch")), ("ACME-7 OPS-3".into(), "OPS-3".into()));
}

#[test]
fn markers_with_the_same_id_are_one_marker() {
    let sandbox = Sandbox::new();
    let script = |change: &str| {
        let script = format!(
            r#"fn decide(update) {{
                [mark(#{{ kind: "deployment", service: "shop", environment: "staging", title: "First" }}),
                 mark(#{{ kind: "deployment", service: "till", environment: "production", title: "Second" }})]
            }}
            fn enrich(marker, update) {{ {change} marker }}"#
        );
        sandbox.write("scripts/acme/shop.rhai", script);
    };
    let mut ids = Vec::new();
    // Each change gives other markers, so each marker has its own ID.
    for (nth, change) in [
        "",
        "marker.service = marker.service + \"-web\";",
        "marker.environment = marker.environment + \"-eu\";",
        "marker.kind = \"change\";",
        "marker.kind = \"rollback\";",
    ]
    .into_iter()
    .enumerate()
    {
        script(change);
        let id = sandbox.commit("Deploy", &[]);
        let made = markers(&sandbox, &[], &id, "refs/heads/main");
        assert_eq!(made.len(), 2, "{change}: {:?}", sandbox.decisions().last());
        let push = made[0]["push"].as_str().expect("an ID").to_string();
        // The ID is that of the finished marker: the same as a script gets that asks for it at once.
        for marker in &made {
            let text = |key: &str| marker[key].as_str().unwrap_or_default();
            let (kind, service, environment) = (text("kind"), text("service"), text("environment"));
            ids.push((nth, push.clone(), text("id").to_string()));
            let expected = marker_id(&push, "refs/heads/main", service, environment, kind);
            assert_eq!(text("id"), expected, "{change}");
        }
    }
    ids.sort_by(|one, other| one.2.cmp(&other.2));
    ids.dedup_by(|one, other| one.2 == other.2);
    assert_eq!(ids.len(), 10);

    // Afterwards both are the same marker.
    let why = "ask for the same marker, a deployment of shop to production; only the first is kept";
    for change in [
        "marker.service = \"shop\"; marker.environment = \"production\";",
        "if marker.service == \"till\" { marker.service = \"shop\"; } marker.environment = \"production\";",
    ] {
        script(change);
        let id = sandbox.commit("Deploy", &[]);
        let kept = marker(&sandbox, &[], &id, "refs/heads/main");
        assert_eq!((&kept["title"], &kept["service"]), (&json!("First"), &json!("shop")), "{change}");
        let missing = sandbox.decisions().pop().expect("a decision")["missing"].to_string();
        assert!(missing.contains(why), "{missing}");
    }
    let tried = sandbox.binary(&["try", "clone", "--repository", "acme/shop"]);
    assert!(tried.stdout.contains(why) || tried.stderr.contains(why), "{}{}", tried.stdout, tried.stderr);
    sandbox.write(
        "scripts/acme/shop.test.toml",
        "[[test]]\nname = \"a\"\nupdate = { branch = \"main\", commits = [{}] }\n\
         expect.markers = [{ title = \"First\" }, { title = \"Second\" }]\n",
    );
    let tested = sandbox.binary(&["test"]);
    assert!(tested.code == Some(1) && tested.stdout.contains(why), "{}{}", tested.stdout, tested.stderr);
}

/// Returns the ID of a marker as docs/attributes.md defines it.
fn marker_id(push: &str, ref_name: &str, service: &str, environment: &str, kind: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let digits: Vec<u8> = push.bytes().filter(|byte| *byte != b'-').collect();
    let byte =
        |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("digits");
    let mut hash = Sha256::new();
    hash.update(digits.chunks(2).map(byte).collect::<Vec<u8>>());
    for part in [ref_name, service, environment] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(kind);
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
