//! Signatures of commits and tags, verified with listed keys. The objects were signed by the real gpg
//! and ssh-keygen (`tests/fixtures/signatures/make`).

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use crate::support::{
    Sandbox,
    signed::{fixture, object, sandbox},
};

/// The commits of `sha1`, and what is known of their signatures: result, format and signer.
const COMMITS: [(&str, &str); 29] = [
    ("unsigned", "unsigned"),
    ("ed25519", "good openpgp ed25519 <ed25519@example.org>"),
    ("rsa", "good openpgp rsa <rsa@example.org>"),
    ("nistp256", "good openpgp nistp256 <nistp256@example.org>"),
    ("subkey", "good openpgp subkey <subkey@example.org>"),
    ("latin1", "good openpgp ed25519 <ed25519@example.org>"),
    ("merge", "good openpgp ed25519 <ed25519@example.org>"),
    ("unknown", "unknown_key openpgp no key file of `[signatures]` has the key"),
    ("revoked", "revoked openpgp the key is revoked"),
    ("retired", "revoked openpgp the key is revoked"),
    ("lostkey", "revoked openpgp the subkey is revoked"),
    ("expired", "expired openpgp the key expired at 2026-02-28T12:00:00Z, before the signature was made"),
    ("early", "expired openpgp the signature was made before its key"),
    ("short-lived", "expired openpgp the signature has expired"),
    ("weak-hash", "unsupported openpgp the hash algorithm SHA1 is not accepted"),
    ("short", "unsupported openpgp an RSA key of 1024 bits is too short"),
    ("dsa", "unsupported openpgp keys of the algorithm DSA are not accepted"),
    ("twice", "unsupported openpgp the armor holds more than one signature"),
    ("ssh-ed25519", "good ssh ann@example.org"),
    ("ssh-rsa", "good ssh ben@example.org"),
    ("ssh-ecdsa-256", "good ssh Cem Example"),
    ("ssh-ecdsa-384", "good ssh dan@example.org"),
    ("ssh-ecdsa-521", "good ssh eve@example.org"),
    ("ssh-unknown", "unknown_key ssh no key file of `[signatures]` has the key"),
    ("ssh-filesonly", "unknown_key ssh the key is listed for other namespaces than `git`"),
    ("ssh-over", "expired ssh the key was valid until 2026-02-28T00:00:00Z"),
    ("ssh-notyet", "expired ssh the key is valid from 2026-03-02T00:00:00Z only"),
    ("ssh-rsa-1024", "unsupported ssh an RSA key of 1024 bits is too short"),
    ("ssh-namespace", "bad ssh it was made for the namespace `file`, not for `git`"),
];

/// Writes the objects that the fixtures refer to.
fn base(sandbox: &Sandbox, format: &str) {
    sandbox.git(&["mktree"]);
    object(sandbox, "commit", &fixture(&format!("{format}/unsigned.commit")));
}

/// Pushes objects to branches, or tags to `refs/tags/`, in one push. Returns what the policy read of
/// the signature of each, without the key.
#[track_caller]
fn told(sandbox: &Sandbox, refs: &[(String, String)]) -> BTreeMap<String, String> {
    let refspecs: Vec<_> = refs.iter().map(|(id, to)| format!("+{id}:{to}")).collect();
    let ran = sandbox.push(&refspecs.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(ran.code == Some(0) && !ran.stderr.contains("panic"), "{}", ran.stderr);
    let push = sandbox.decisions().pop().unwrap_or_else(|| panic!("{}", ran.stderr))["push"].clone();
    let mut found = BTreeMap::new();
    for marker in sandbox.waiting("unassigned").iter().filter(|marker| marker["push"] == push) {
        let attributes = &marker["attributes"];
        let text = |name: &str| attributes[name].as_str().expect("text").to_string();
        found.insert(text("x.name"), without_key(&text("x.signature")));
    }
    found
}

/// Leaves out the key, which is different whenever the fixtures are made.
fn without_key(told: &str) -> String {
    let is_key = |word: &&str| {
        let is_hex = word.len() >= 16 && word.bytes().all(|byte| b"0123456789ABCDEF".contains(&byte));
        is_hex || word.starts_with("SHA256:")
    };
    told.split_whitespace().filter(|word| !is_key(word)).collect::<Vec<_>>().join(" ")
}

/// Returns what the policy reads of the signature of one commit.
#[track_caller]
fn of_commit(sandbox: &Sandbox, content: &[u8]) -> String {
    let id = object(sandbox, "commit", content);
    let name = format!("case{}", sandbox.decisions().len());
    told(sandbox, &[(id, format!("refs/heads/{name}"))]).remove(&name).expect("a marker")
}

/// Returns what the policy reads of the signature of a tag, pushed under its name.
#[track_caller]
fn of_tag(sandbox: &Sandbox, content: &[u8], name: &str) -> String {
    let id = object(sandbox, "tag", content);
    told(sandbox, &[(id, format!("refs/tags/{name}"))]).remove(name).expect("a marker")
}

fn replaced(content: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = content.windows(from.len()).position(|part| part == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("no {from}"));
    [&content[..at], to.as_bytes(), &content[at + from.len()..]].concat()
}

/// Returns a commit with this text as its signature.
fn signed_with(signature: &str) -> Vec<u8> {
    let folded = signature.trim_end().replace('\n', "\n ");
    replaced(&fixture("sha1/unsigned.commit"), "\n\n", &format!("\ngpgsig {folded}\n\n"))
}

/// Returns the signature header of a commit, unfolded.
fn signature_of(name: &str) -> String {
    let text = String::from_utf8(fixture(name)).expect("text");
    let (_, rest) = text.split_once("gpgsig ").expect("a signature");
    rest.split("\n\n").next().expect("a header").replace("\n ", "\n")
}

#[test]
fn commits_by_real_tools_have_these_results() {
    let sandbox = sandbox("sha1");
    base(&sandbox, "sha1");
    let mut refs = Vec::new();
    for (name, _) in COMMITS {
        let id = object(&sandbox, "commit", &fixture(&format!("sha1/{name}.commit")));
        refs.push((id, format!("refs/heads/{name}")));
    }
    refs.sort();
    refs.dedup();
    let found = told(&sandbox, &refs);
    let expected: BTreeMap<_, _> =
        COMMITS.iter().map(|(name, told)| (name.to_string(), told.to_string())).collect();
    assert_eq!(found, expected);
}

#[test]
fn tags_and_sha256_repositories_are_verified_too() {
    const ED25519: &str = "good openpgp ed25519 <ed25519@example.org>";
    for format in ["sha1", "sha256"] {
        let sandbox = sandbox(format);
        base(&sandbox, format);
        for (name, expected) in [("ed25519", ED25519), ("ssh-ed25519", "good ssh ann@example.org")] {
            let commit = fixture(&format!("{format}/{name}.commit"));
            assert_eq!(of_commit(&sandbox, &commit), expected, "{format} {name}");
            let tag = fixture(&format!("{format}/{name}.tag"));
            assert_eq!(of_tag(&sandbox, &tag, "v1.0.0"), expected, "{format} {name}");
            let changed = replaced(&tag, "Release", "release");
            let told = of_tag(&sandbox, &changed, "v1.0.0");
            assert!(told.ends_with("the signature does not match the content"), "{told}");
        }
        // The commit of a tag is another object than the tag.
        let marker = sandbox.waiting("unassigned").pop().expect("a marker");
        assert_eq!(marker["attributes"]["x.commit"].as_str().map(without_key).as_deref(), Some("unsigned"));
    }
}

#[test]
fn a_signed_tag_counts_under_its_own_name_only() {
    let sandbox = sandbox("sha1");
    base(&sandbox, "sha1");
    let id = object(&sandbox, "tag", &fixture("sha1/ed25519.tag"));
    let refs = [(id.clone(), "refs/tags/v9.0.0".to_string()), (id, "refs/tags/v1.0.0".to_string())];
    let found = told(&sandbox, &refs);
    assert_eq!(found["v9.0.0"], "bad openpgp it is the signature of the tag `v1.0.0`");
    assert_eq!(found["v1.0.0"], "good openpgp ed25519 <ed25519@example.org>");
}

#[test]
fn changed_objects_are_bad() {
    let sandbox = sandbox("sha1");
    base(&sandbox, "sha1");
    sandbox.commit("Another tree", &[("a", "1")]);
    let trees = ["mktree", "write-tree"].map(|command| sandbox.git(&[command]));
    for (name, title) in [("ed25519", "Say ed25519"), ("rsa", "Say rsa"), ("ssh-ed25519", "Say ssh-ed25519")]
    {
        let commit = fixture(&format!("sha1/{name}.commit"));
        let format = if name.starts_with("ssh") { "ssh" } else { "openpgp" };
        let other_signature = if format == "ssh" { "sha1/ssh-rsa.commit" } else { "sha1/nistp256.commit" };
        let is_bad = |what: &str, content: &[u8]| {
            let told = of_commit(&sandbox, content);
            assert_eq!(
                told,
                format!("bad {format} the signature does not match the content"),
                "{name}: {what}"
            );
        };
        is_bad("message", &replaced(&commit, title, "Say no"));
        is_bad("longer message", &[&commit[..], b"more\n"].concat());
        is_bad("author", &replaced(&commit, "author Ann", "author Bob"));
        is_bad(
            "time",
            &replaced(&commit, "committer Ann <ann@example.org> 17", "committer Ann <ann@example.org> 16"),
        );
        is_bad("header", &replaced(&commit, "\ngpgsig ", "\nextra 1\ngpgsig "));
        is_bad("line ends", &replaced(&commit, title, &format!("{title}\r")));
        is_bad("copied signature", &signed_with(&signature_of(other_signature)));
        is_bad("tree", &replaced(&commit, &trees[0], &trees[1]));
    }
}

#[test]
fn odd_signatures_are_never_good() {
    let sandbox = sandbox("sha1");
    base(&sandbox, "sha1");
    let openpgp = signature_of("sha1/ed25519.commit");
    let ssh = signature_of("sha1/ssh-ed25519.commit");
    let begin = "-----BEGIN PGP SIGNATURE-----";
    let body: String = openpgp.lines().skip(2).take(2).collect::<Vec<_>>().join("\n");
    let huge =
        format!("{begin}\n\n{}-----END PGP SIGNATURE-----", format!("{}\n", "A".repeat(64)).repeat(2000));
    for (signature, expected) in [
        ("hello".to_string(), "bad it is not a signature in any format that git knows"),
        (begin.to_string(), "bad openpgp the signature does not end with `-----END PGP SIGNATURE-----`"),
        (format!("{begin}\n\nÄÖÜ\n-----END PGP SIGNATURE-----"), "bad openpgp "),
        (
            format!("{begin}\n\n{body}\n-----END PGP MESSAGE-----"),
            "bad openpgp the signature does not end with",
        ),
        (openpgp.replacen("\n\ni", "\n\nj", 1), "bad openpgp "),
        (format!("{openpgp}\n{openpgp}"), "bad openpgp text or a second signature follows the signature"),
        (format!("{openpgp}\nmore"), "bad openpgp text or a second signature follows the signature"),
        (format!("{openpgp}\n{ssh}"), "bad openpgp text or a second signature follows the signature"),
        (ssh.replacen("U1NIU0lH", "U1NIU0lI", 1), "bad ssh failed to read the signature"),
        (format!("{ssh}\n{ssh}"), "bad ssh text or a second signature follows the signature"),
        (huge, "unsupported openpgp the signature is larger than 64 KiB"),
        (
            openpgp.replace("PGP SIGNATURE", "PGP MESSAGE"),
            "unsupported openpgp it does not begin with `-----BEGIN PGP SIGNATURE-----`",
        ),
        (
            "-----BEGIN SIGNED MESSAGE-----\nMIIB\n-----END SIGNED MESSAGE-----".into(),
            "unsupported x509 signatures with X.509 certificates are not verified",
        ),
    ] {
        let told = of_commit(&sandbox, &signed_with(&signature));
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
}

#[test]
fn headers_for_other_ids_and_texts_around_a_signature() {
    let sandbox = sandbox("sha1");
    base(&sandbox, "sha1");
    const GOOD: &str = "good openpgp ed25519 <ed25519@example.org>";
    let commit = fixture("sha1/ed25519.commit");
    // The signature for SHA-256 IDs is not signed, and none of a repository with SHA-1 IDs.
    let other = replaced(&commit, "\ngpgsig ", "\ngpgsig-sha256 other\n more\ngpgsig ");
    assert_eq!(of_commit(&sandbox, &other), GOOD);
    assert_eq!(of_commit(&sandbox, &replaced(&commit, "\ngpgsig ", "\ngpgsig-sha256 ")), "unsigned");
    // Signed twice, and a header that is no signature.
    let signature = signature_of("sha1/ed25519.commit").replace('\n', "\n ");
    let twice = replaced(&commit, "\ngpgsig ", &format!("\ngpgsig {signature}\ngpgsig "));
    assert!(of_commit(&sandbox, &twice).starts_with("bad openpgp text or a second signature"));
    // Text in the message that looks like a header.
    let in_message = replaced(&fixture("sha1/unsigned.commit"), "Say", &format!("gpgsig {signature}\n\nSay"));
    assert_eq!(of_commit(&sandbox, &in_message), "unsigned");

    let tag = fixture("sha1/ed25519.tag");
    assert!(
        of_tag(&sandbox, &[&tag[..], b"more\n"].concat(), "v1.0.0")
            .starts_with("bad openpgp text or a second")
    );
    let armor = signature_of("sha1/rsa.commit");
    let both = [&tag[..], armor.as_bytes(), b"\n"].concat();
    assert_eq!(of_tag(&sandbox, &both, "v1.0.0"), "bad openpgp the signature does not match the content");
    let with_header = replaced(&tag, "\n\n", "\ngpgsig-sha256 other\n more\n\n");
    assert_eq!(of_tag(&sandbox, &with_header, "v1.0.0"), GOOD);
    assert_eq!(of_tag(&sandbox, &fixture("sha1/unsigned.tag"), "v1.0.0"), "unsigned");
}

#[test]
fn keys_are_read_as_they_are_listed() {
    let sandbox = sandbox("sha1");
    base(&sandbox, "sha1");
    let retired = fixture("sha1/retired.commit");
    assert_eq!(of_commit(&sandbox, &retired), "revoked openpgp the key is revoked");
    // Without the revocation certificate, the key is good.
    fs::remove_file(sandbox.path("keys/retired-revocation.asc")).expect("removed");
    assert_eq!(of_commit(&sandbox, &retired), "good openpgp retired <retired@example.org>");
    // A second file that knows of the revocation counts, whatever its name.
    let revocation = fixture("keys/retired-revocation.asc");
    sandbox
        .write_secret("keys/a.asc", [&fixture("keys/team.asc")[..], b"\nA comment\n", &revocation].concat());
    assert_eq!(of_commit(&sandbox, &retired), "revoked openpgp the key is revoked");
    // A key on a curve that is not accepted.
    let brainpool = fixture("sha1/brainpool.commit");
    sandbox.configure("[signatures]\nkeys = [\"keys/brainpool.key\"]\n");
    let why = "keys of the algorithm ECDSA on this curve are not accepted";
    assert_eq!(of_commit(&sandbox, &brainpool), format!("unsupported openpgp {why}"));
    assert_eq!(sandbox.problems(), [format!("{}:1:1: {why}", sandbox.path("keys/brainpool.key").display())]);
    // Without any key, every key is unknown.
    sandbox.configure("");
    assert!(of_commit(&sandbox, &retired).starts_with("unknown_key openpgp"));
    let ssh = of_commit(&sandbox, &fixture("sha1/ssh-ed25519.commit"));
    assert!(ssh.starts_with("unknown_key ssh"), "{ssh}");
}

#[test]
fn a_key_file_that_others_may_change_decides_nothing() {
    let sandbox = sandbox("sha1");
    base(&sandbox, "sha1");
    let mode = |name: &str, mode| {
        fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).expect("permissions");
    };
    for (name, loose, strict) in [("keys/allowed_signers", 0o666, 0o600), ("keys", 0o777, 0o700)] {
        mode(name, loose);
        let id = object(&sandbox, "commit", &fixture("sha1/ssh-ed25519.commit"));
        let ran = sandbox.push(&[&format!("+{id}:refs/heads/{}", name.replace('/', "-"))]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        // One that is at work keeps the push.
        sandbox.wait_for_deliverers_to_end();
        let before = sandbox.waiting("unassigned").len();
        let problems = sandbox.problems();
        let path = sandbox.path(name).display().to_string();
        let expected =
            format!("others than its owner may change `{path}` (mode 0{loose:o}); run `chmod go-w '{path}'`");
        assert!(problems.iter().any(|problem| problem.ends_with(&expected)), "{problems:#?}\n{expected}");
        // The push waits, and is decided when the file is trustworthy.
        mode(name, strict);
        let delivered = sandbox.binary(&["deliver"]);
        assert_eq!(sandbox.waiting("unassigned").len(), before + 1, "{}", delivered.stderr);
        let marker = sandbox.waiting("unassigned").pop().expect("a marker");
        let told = marker["attributes"]["x.signature"].as_str().map(without_key);
        assert_eq!(told.as_deref(), Some("good ssh ann@example.org"));
    }
}

#[test]
fn check_names_file_line_reason_and_fix() {
    let sandbox = sandbox("sha1");
    assert_eq!(sandbox.binary(&["check"]).code, Some(0));
    let ed25519 = String::from_utf8(fixture("keys/allowed_signers")).expect("text");
    let key = ed25519.lines().nth(1).and_then(|line| line.split(' ').nth(3)).expect("a key").to_string();
    let armor = String::from_utf8(fixture("keys/subkey.asc")).expect("text");
    let middle = armor.len() / 2;
    let cut = format!("# a key\n{}", &armor[..middle]);
    let flipped = if armor.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let damaged = format!("{}{flipped}{}", &armor[..middle], &armor[middle + 1..]);
    let export = "write the file with `gpg --armor --export KEY`";
    for (content, expected) in [
        (cut.clone(), ":2:1: the key block does not end; the file is cut off".into()),
        (damaged, format!(":1:1: the key block is damaged: its checksum does not match; {export}")),
        (armor.replace("PUBLIC", "PRIVATE"), format!(":1:1: it holds a secret key; list the public key only; {export}")),
        (format!("ann@example.org cert-authority ssh-ed25519 {key}"), ":1:1: certificates are not supported, so `cert-authority` is not either; list the key of each person".into()),
        (format!("# x\n\nssh-ed25519 {key} ann@example.org"), ":3:1: the line names no principal before the key".into()),
        (format!("ann namespace=\"git\" ssh-ed25519 {key}"), ":1:1: unknown option `namespace`; the known ones are `namespaces`, `valid-after` and `valid-before`".into()),
        (format!("ann valid-after=\"2026\" ssh-ed25519 {key}"), ":1:1: `2026` is not a time; write YYYYMMDD or YYYYMMDDHHMMSS, with a Z for UTC".into()),
        ("ann ssh-ed25519 AAAA".into(), ":1:1: failed to read the SSH key".into()),
        ("ann".into(), ":1:1: the line has no key".into()),
        (String::new(), ": it holds no key".into()),
    ] {
        sandbox.write_secret("keys/x.asc", &content);
        let problems = sandbox.problems();
        let expected = format!("{}{expected}", sandbox.path("keys/x.asc").display());
        assert!(problems.iter().any(|problem| problem.starts_with(&expected)), "{problems:#?}\n{expected}");
        assert_eq!(problems.len(), 1, "{problems:#?}");
    }
    sandbox.write_secret("keys/x.asc", b"\x00\xff\xfe");
    assert!(sandbox.problems()[0].contains("it holds neither OpenPGP public keys nor SSH keys"));
    fs::remove_file(sandbox.path("keys/x.asc")).expect("removed");
    sandbox.configure("[signatures]\nkeys = [\"keys/none*\", \"keys/missing.asc\"]\n");
    let problems = sandbox.problems();
    assert!(problems[0].contains("keys/missing.asc: failed to open it: No such file"), "{problems:#?}");
    sandbox.configure("[signatures]\nkeys = [\"k*/a.asc\"]\n");
    assert!(sandbox.problems()[0].contains("only the name of a file may have wildcards, not its directory"));
    sandbox.configure("[signatures]\nkeys = [\"keys/none*\"]\n");
    let ran = sandbox.binary(&["check"]);
    assert!(
        ran.code == Some(0) && ran.stderr.contains("[signatures]: no key file matches"),
        "{}",
        ran.stderr
    );
}
