//! The policies in `scripts`: they pass `check` and their golden tests, and do with a real push what those say.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::support::{Sandbox, manifest_dir};

/// A sandbox whose pushes are decided by one of the shipped policies, as the policy of its repository.
fn sandbox_with(policy: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let source = fs::read_to_string(manifest_dir().join("scripts").join(policy)).expect("the policy");
    sandbox.write("scripts/acme/shop.rhai", source);
    sandbox
}

/// Returns what the last push was decided to be: the reasons for no marker, and the markers in short.
fn decided(sandbox: &Sandbox, n_before: usize) -> Vec<String> {
    let decisions = sandbox.decisions();
    let mut said = Vec::new();
    for decision in &decisions[n_before..] {
        let markers = decision["markers"].as_array().cloned().unwrap_or_default();
        if markers.is_empty() {
            said.push(format!("{}: {}", text(&decision["outcome"]), text(&decision["why"])));
        }
        said.extend(markers.iter().map(|marker| text(&marker["id"])));
    }
    let markers = sandbox.waiting("unassigned");
    let short = |id: String| match markers.iter().find(|marker| text(&marker["id"]) == id) {
        Some(marker) => {
            let environment = marker["environment"].as_str().map(|to| format!(" to {to}")).unwrap_or_default();
            format!("{} {} {}{environment}", text(&marker["kind"]), text(&marker["service"]), text(&marker["version"]))
        }
        None => id,
    };
    said.into_iter().map(short).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_string()
}

/// Pushes, and returns what came of it.
#[track_caller]
fn push(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let n_before = sandbox.decisions().len();
    sandbox.push(args).succeeded();
    decided(sandbox, n_before)
}

#[test]
fn a_monorepo_is_marked_by_path() {
    let sandbox = sandbox_with("monorepo.rhai");
    sandbox.commit("Begin", &[("web/index.html", "1"), ("services/checkout/pay.go", "1")]);
    assert_eq!(push(&sandbox, &["main"]).len(), 3, "all there is is new");

    let id = sandbox.commit("Find and pay", &[("services/checkout/pay.go", "2"), ("proto/search/find.proto", "1")]);
    assert_eq!(push(&sandbox, &["main"]), [format!("change checkout {id}"), format!("change search {id}")]);
    sandbox.commit("Explain", &[("services/checkout/README.md", "1"), ("docs/web.txt", "1")]);
    assert_eq!(push(&sandbox, &["main"]), ["skipped: no service has any of the changed paths"]);
    let tags = ["main:refs/tags/checkout/v1.4.0", "main:refs/tags/v1.4.0", "main:refs/heads/topic"];
    assert_eq!(
        BTreeSet::from_iter(push(&sandbox, &tags)),
        BTreeSet::from_iter([
            "release checkout 1.4.0".to_string(),
            "skipped: the tag names no service; name it like checkout/v1.4.0".to_string(),
            "skipped: neither the default branch nor a version tag".to_string(),
        ])
    );
}

#[test]
fn so_many_paths_that_the_list_is_cut_lose_no_marker_in_silence() {
    let mut stream = String::from("commit refs/heads/wide\ncommitter A <a@x> 1600000000 +0000\ndata 1\nx\nfrom refs/heads/main\n");
    stream.extend((0..10_001).map(|n| format!("M 100644 inline docs/{n}.md\ndata 1\nx\n")));
    let said_by = |policy| {
        let sandbox = sandbox_with(policy);
        let old = sandbox.commit("Begin", &[]);
        push(&sandbox, &["main"]);
        let mut import = sandbox.command("git", &sandbox.bare());
        sandbox.run(import.args(["fast-import", "--quiet"]), stream.as_bytes()).succeeded();
        let new = sandbox.git_in(&sandbox.bare(), &["rev-parse", "wide"]);
        let n_before = sandbox.decisions().len();
        sandbox.hook(format!("{old} {new} refs/heads/main\n").as_bytes()).succeeded();
        decided(&sandbox, n_before)
    };
    assert_eq!(said_by("monorepo.rhai").len(), 3, "a change of every service");
    let said = said_by("gitops.rhai");
    assert!(said[0].starts_with("failed: "), "{said:?}");
    assert!(said[0].ends_with("more than 10,000 paths changed, too many to find the manifests among them"), "{said:?}");
}

#[test]
fn an_image_tag_that_changed_in_a_manifest_is_a_deployment() {
    let sandbox = sandbox_with("gitops.rhai");
    let manifest = "environments/production/checkout/values.yaml";
    sandbox.commit("Begin", &[(manifest, "image:\n  tag: 1.4.0\n")]);
    assert_eq!(
        push(&sandbox, &["main"]),
        ["skipped: the branch is new, so there is nothing to compare its manifests with"]
    );
    sandbox.commit("Deploy 1.5.0", &[(manifest, "image:\n  tag: 1.5.0\n")]);
    assert_eq!(push(&sandbox, &["main"]), ["deployment checkout 1.5.0 to production"]);
    sandbox.git(&["revert", "--no-edit", "HEAD"]);
    assert_eq!(push(&sandbox, &["main"]), ["rollback checkout 1.4.0 to production"]);
    sandbox.commit("Scale", &[(manifest, "replicas: 2\nimage:\n  tag: 1.4.0\n")]);
    assert_eq!(push(&sandbox, &["main"]), ["skipped: no image tag changed in a manifest"]);
}

#[test]
fn a_rewind_and_a_revert_are_rollbacks() {
    let sandbox = sandbox_with("rollback.rhai");
    let one = sandbox.commit("One", &[("a", "1")]);
    let two = sandbox.commit("Two", &[("a", "2")]);
    assert_eq!(push(&sandbox, &["main:production"]), [format!("deployment shop {two} to production")]);
    assert_eq!(
        push(&sandbox, &["--force", &format!("{one}:production")]),
        [format!("rollback shop {one} to production")]
    );
    assert_eq!(push(&sandbox, &["main:production"]), [format!("deployment shop {two} to production")]);
    sandbox.git(&["revert", "--no-edit", "HEAD"]);
    let back = sandbox.git(&["rev-parse", "HEAD"]);
    assert_eq!(push(&sandbox, &["main:production"]), [format!("rollback shop {back} to production")]);
    let attributes = sandbox.waiting("unassigned").pop().expect("a marker")["attributes"].clone();
    assert_eq!((&attributes["rollback.by"], &attributes["rollback.reverts"]), (&json!("revert"), &json!([two])));

    // The revert of the revert, as the git of this machine words it.
    sandbox.git(&["revert", "--no-edit", "HEAD"]);
    let forth = sandbox.git(&["rev-parse", "HEAD"]);
    assert_eq!(push(&sandbox, &["main:production"]), [format!("deployment shop {forth} to production")]);
    assert_eq!(push(&sandbox, &[":production"]), ["skipped: a deletion changes nothing that runs"]);
}

#[test]
fn a_tag_of_a_tree_is_no_release_and_no_mistake() {
    let policies = [
        "version-tags", "monorepo", "push-option", "hotfix-branches", "release-trains", "conventional-commits",
    ];
    for policy in policies {
        let mut sandbox = sandbox_with(&format!("{policy}.rhai"));
        sandbox.set("GIT_PUSH_OPTION_COUNT", "1");
        sandbox.set("GIT_PUSH_OPTION_0", "deploy=staging");
        sandbox.commit("One", &[("a", "1")]);
        let tree = sandbox.git(&["rev-parse", "HEAD^{tree}"]);
        sandbox.git(&["push", "-q", "origin", &format!("{tree}:refs/tags/before")]);
        let n_before = sandbox.decisions().len();
        let update = format!("{} {tree} refs/tags/checkout/v1.0.0\n", "0".repeat(40));
        sandbox.hook(update.as_bytes()).succeeded();
        let said = decided(&sandbox, n_before);
        assert_eq!(said, ["skipped: the tag names no commit, but a tree or a file"], "{policy}");
    }
    let sandbox = sandbox_with("approved-releases.rhai");
    sandbox.commit("One", &[("a", "1")]);
    let tree = sandbox.git(&["rev-parse", "HEAD^{tree}"]);
    assert_eq!(
        push(&sandbox, &[&format!("{tree}:refs/tags/v1.0.0")]),
        ["refused: the tag names no commit, but a tree or a file"]
    );
}
