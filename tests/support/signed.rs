//! Commits and tags that the real tools signed (`tests/fixtures/signatures/make`), and a policy that
//! tells their signatures.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use super::{Sandbox, manifest_dir};

/// What a script reads of a signature.
const POLICY: &str = r#"
    fn told(s) { `${s.result} ${s.format} ${s.key} ${s.signer} ${s.why}` }
    fn decide(update) {
        if update.is_deleted { return false }
        let name = if update.branch != () { update.branch } else { update.tag };
        let commit = told(update.commit.signature);
        if update.annotated_tag == () && told(update.signature) != commit {
            throw "the update has another signature than its commit";
        }
        mark(#{ kind: "change", attributes: #{
            "x.name": name, "x.signature": told(update.signature), "x.commit": commit,
        } })
    }
"#;

/// Returns the directory of the signed objects and the keys.
pub fn fixtures() -> PathBuf {
    manifest_dir().join("tests/fixtures/signatures")
}

/// Returns a file of that directory.
pub fn fixture(name: &str) -> Vec<u8> {
    fs::read(fixtures().join(name)).expect("a fixture")
}

/// Returns a sandbox whose policy tells the signatures, with the fixtures' keys in `keys`.
pub fn sandbox(format: &str) -> Sandbox {
    let sandbox = Sandbox::with_object_format(format);
    sandbox.configure(
        "[signatures]\nkeys = [\"keys/*.asc\", \"keys/nistp256.gpg\", \"keys/allowed_signers\"]\n",
    );
    sandbox.write("scripts/acme/shop.rhai", POLICY);
    for file in fixtures().join("keys").read_dir().expect("the keys") {
        let file = file.expect("a key");
        let name = file.file_name().into_string().expect("text");
        sandbox.write_secret(&format!("keys/{name}"), fs::read(file.path()).expect("a key"));
    }
    fs::set_permissions(sandbox.path("keys"), fs::Permissions::from_mode(0o700)).expect("permissions");
    sandbox
}

/// Writes an object and returns its ID.
#[track_caller]
pub fn object(sandbox: &Sandbox, kind: &str, content: &[u8]) -> String {
    let mut git = sandbox.command("git", &sandbox.path("clone"));
    let ran = sandbox.run(git.args(["hash-object", "-t", kind, "-w", "--literally", "--stdin"]), content);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout.trim().to_string()
}
