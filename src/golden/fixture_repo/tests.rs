use std::process::Command;

use super::*;
use crate::golden::{find::TestFilePath, load};

#[test]
fn fixture_repository_passes_git_fsck() {
    let source = r#"
            policy = "x.rhai"
            [[test]]
            name = "x"
            history = [
                { message = "One", files = { "a/b/c" = "1", "a.txt" = "1", "a-b" = "1" } },
                { message = "Side", branch = "side", files = { "a/b/d" = "1" }, is_signed = true },
                { message = "", files = { "a/b/c" = false, "a0" = "" }, tag = "v1" },
            ]
            update = [
                { branch = "main", commits = [{ message = "Merge", merge = ["side", "v1~1"], author = "Bob <>", time = 1970-01-02T00:00:00Z }] },
                { tag = "v2", annotated_tag = { message = "Two", is_signed = true } },
                { tag = "v3", annotated_tag = {} },
                { tag = "v1", delete = true },
            ]
        "#;
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("x.rhai"), "").expect("a script");
    let place = TestFilePath::of_file(&dir.path().join("x.test.toml"), None);
    let suite = load::parse(place, source.to_string()).expect("a suite");
    let mut stage = FixtureRepo::make().expect("a repository");
    let played = stage.set(&suite.tests[0].scene).expect("a valid scenario");
    let git = |args: &[&str]| {
        let ran =
            Command::new("git").arg("--git-dir").arg(stage.dir.path()).args(args).output().expect("git runs");
        let text = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert!(ran.status.success(), "git {args:?}: {text}");
        text
    };
    assert_eq!(git(&["fsck", "--strict", "--full", "--no-dangling"]), "");
    let main = git(&["rev-parse", "refs/heads/main"]);
    assert_eq!(played.push.updates()[0].raw_new_id().to_string(), main.trim());
    assert_eq!(git(&["cat-file", "-t", "v2"]), "tag\n");
    assert_eq!(git(&["rev-parse", "v2^{commit}"]), main);
    assert_eq!(
        git(&["for-each-ref", "--format=%(refname)"]),
        "refs/heads/main\nrefs/heads/side\nrefs/tags/v2\nrefs/tags/v3\n"
    );
    assert_eq!(git(&["ls-tree", "-r", "--name-only", "main"]), "a-b\na.txt\na/b/d\na0\n");
    assert_eq!(git(&["rev-list", "--parents", "-1", "main"]).split_whitespace().count(), 4);
    assert_eq!(git(&["symbolic-ref", "HEAD"]), "refs/heads/main\n");
}
