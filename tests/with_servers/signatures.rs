//! The signatures of `tests/fixtures/signatures`, compared with git, gpg and ssh-keygen.

use std::{collections::BTreeMap, fs};

use crate::shared::{
    Sandbox,
    signed::{fixture, fixtures, object, sandbox},
};

/// Signatures that gpg accepts by default, with algorithms that are not accepted here.
const WEAK: [&str; 4] = ["brainpool", "dsa", "short", "weak-hash"];

/// Runs git with the keys of the fixtures, and returns its exit status and what it wrote.
fn git(sandbox: &Sandbox, args: &[&str]) -> (bool, String) {
    let mut git = sandbox.command("git", &sandbox.path("clone"));
    let signers = fixtures().join("keys/allowed_signers");
    git.arg("-c").arg(format!("gpg.ssh.allowedSignersFile={}", signers.display()));
    let ran = sandbox.run(git.args(args).env("GNUPGHOME", sandbox.path("gnupg")), b"");
    (ran.code == Some(0), ran.stdout.trim_end().to_string())
}

#[test]
fn results_signers_and_keys_are_those_of_git() {
    let sandbox = sandbox("sha1");
    sandbox.write_secret("gnupg/gpg.conf", "batch\nno-autostart\n");
    fs::set_permissions(sandbox.path("gnupg"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("permissions");
    let keys: BTreeMap<_, _> = fs::read_dir(fixtures().join("keys"))
        .expect("the keys")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some())
        // gpg forgets a revocation of a key that it does not know yet.
        .map(|path| (path.to_string_lossy().contains("revocation"), path))
        .map(|(is_revocation, path)| ((is_revocation, path.clone()), path))
        .collect();
    let mut gpg = sandbox.command("gpg", &sandbox.path(""));
    gpg.arg("--import").args(keys.values()).env("GNUPGHOME", sandbox.path("gnupg"));
    let imported = sandbox.run(&mut gpg, b"");
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);

    sandbox.git(&["mktree"]);
    object(&sandbox, "commit", &fixture("sha1/unsigned.commit"));
    let mut names: Vec<String> = fs::read_dir(fixtures().join("sha1"))
        .expect("the objects")
        .map(|file| file.expect("a file").file_name().into_string().expect("text"))
        .filter_map(|name| name.strip_suffix(".commit").map(str::to_string))
        .collect();
    names.sort();
    let ids: Vec<_> = names
        .iter()
        .map(|name| object(&sandbox, "commit", &fixture(&format!("sha1/{name}.commit"))))
        .collect();
    let refs: Vec<_> = names.iter().zip(&ids).map(|(name, id)| format!("{id}:refs/heads/{name}")).collect();
    let pushed = sandbox.push(&refs.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(pushed.code, Some(0), "{}", pushed.stderr);
    let told: BTreeMap<String, String> = sandbox
        .waiting("unassigned")
        .iter()
        .map(|marker| {
            let text = |name: &str| marker["attributes"][name].as_str().expect("text").trim_end().to_string();
            (text("x.name"), text("x.signature"))
        })
        .collect();
    assert_eq!(told.len(), names.len(), "{told:#?}");
    for (name, id) in names.iter().zip(&ids) {
        let told = &told[name];
        let (is_verified, _) = git(&sandbox, &["verify-commit", id]);
        let (_, seen) = git(&sandbox, &["log", "-1", "--format=%GS|%GP|%GK", id]);
        let (signer, keys) = seen.split_once('|').expect("three values");
        let (primary, key) = keys.split_once('|').expect("three values");
        let is_weak = WEAK.contains(&name.as_str());
        assert_eq!(told.starts_with("good "), is_verified && !is_weak, "{name}: {told}, git: {seen}");
        if told.starts_with("good openpgp") {
            assert_eq!(*told, format!("good openpgp {primary} {signer}"), "{name}");
        } else if told.starts_with("good ssh") {
            assert_eq!(*told, format!("good ssh {key} {signer}"), "{name}");
        }
    }
    // A tag, and repositories with SHA-256 IDs.
    for (name, format) in [("ed25519", "openpgp"), ("ssh-ed25519", "ssh")] {
        let tag = object(&sandbox, "tag", &fixture(&format!("sha1/{name}.tag")));
        assert!(git(&sandbox, &["verify-tag", &tag]).0, "{name} {format}");
    }
}
