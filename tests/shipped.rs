//! The policies in `scripts`: they pass `check` and their golden tests, and decide real pushes in
//! the same way.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::{Value, json};

use crate::support::{Sandbox, manifest_dir};

fn shipped(name: &str) -> PathBuf {
    manifest_dir().join("scripts").join(name)
}

/// Returns the names of the files in `scripts` with this suffix, without the suffix.
fn names(ending: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(shipped(""))
        .expect("the policies")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .filter_map(|name| name.strip_suffix(ending).map(ToString::to_string))
        .collect();
    names.sort();
    names
}

/// Creates a sandbox with a shipped policy as the script of its repository.
fn sandbox_with(policy: &str) -> Sandbox {
    sandbox_with_settings(policy, &[])
}

/// Creates such a sandbox with changed settings, each given as the start of a line and its
/// replacement.
fn sandbox_with_settings(policy: &str, settings: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut source = fs::read_to_string(shipped(policy)).expect("the policy");
    for (start, line) in settings {
        let from = source.find(start).expect("the setting");
        let to = from + source[from..].find('\n').expect("its end");
        source.replace_range(from..to, line);
    }
    sandbox.write("scripts/acme/shop.rhai", source);
    sandbox
}

/// Returns the decisions since `n_before`: reasons, and short descriptions of the markers.
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
            let environment =
                marker["environment"].as_str().map(|to| format!(" to {to}")).unwrap_or_default();
            format!(
                "{} {} {}{environment}",
                text(&marker["kind"]),
                text(&marker["service"]),
                text(&marker["version"])
            )
        }
        None => id,
    };
    said.into_iter().map(short).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_string()
}

/// Pushes and returns the decisions.
#[track_caller]
fn push(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let n_before = sandbox.decisions().len();
    sandbox.push(args).succeeded();
    decided(sandbox, n_before)
}

#[test]
fn every_policy_passes_check_and_its_golden_tests() {
    let sandbox = Sandbox::new();
    let policies = names(".rhai");
    assert_eq!(policies.len(), 12, "{policies:?}");
    assert_eq!(names(".test.toml"), policies, "every policy has a test file");
    let document = fs::read_to_string(manifest_dir().join("docs/policies.md")).expect("the document");
    for policy in &policies {
        let script = shipped(&format!("{policy}.rhai")).display().to_string();
        sandbox.binary(&["check", &script]).succeeded();
        assert!(
            document.contains(&format!("({})", format_args!("../scripts/{policy}.rhai"))),
            "docs/policies.md does not link to {policy}"
        );
    }

    let dir = shipped("").display().to_string();
    let ran = sandbox.binary(&["test", "--json", &dir]);
    ran.succeeded();
    let ran = sandbox.binary(&["test", &dir]);
    let said = ran.succeeded().stderr.clone() + ran.stdout.as_str();
    for policy in &policies {
        let n_tests = said.lines().filter(|line| line.starts_with(&format!("pass  {policy} "))).count();
        assert!(n_tests > 9, "{policy} has only {n_tests} passing tests:\n{said}");
    }
}

#[test]
fn copied_policy_passes_its_tests() {
    let sandbox = Sandbox::new();
    // The tests of the built-in policy expect the built-in policy to decide, so they are excluded.
    for policy in names(".rhai").into_iter().filter(|policy| policy != "built-in") {
        let dir = format!("{policy}/acme");
        let script = fs::read_to_string(shipped(&format!("{policy}.rhai"))).expect("the policy");
        let tests = fs::read_to_string(shipped(&format!("{policy}.test.toml"))).expect("its tests");
        let tests: Vec<_> = tests
            .lines()
            .filter(|line| !line.starts_with("policy = ") && !line.starts_with("repository = "))
            .collect();
        sandbox.write(&format!("{dir}/shop.rhai"), script);
        sandbox.write(&format!("{dir}/shop.test.toml"), tests.join("\n"));
        sandbox.binary(&["test", &policy]).succeeded();
    }
}

#[test]
fn monorepo_is_marked_by_path() {
    let sandbox = sandbox_with("monorepo.rhai");
    sandbox.commit("Begin", &[("web/index.html", "1"), ("services/checkout/pay.go", "1")]);
    assert_eq!(push(&sandbox, &["main"]).len(), 3, "the first push marks every service");

    let id = sandbox
        .commit("Find and pay", &[("services/checkout/pay.go", "2"), ("proto/search/find.proto", "1")]);
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
fn truncated_path_list_marks_all_services_or_fails() {
    let mut stream = String::from(
        "commit refs/heads/wide\ncommitter A <a@x> 1600000000 +0000\ndata 1\nx\nfrom refs/heads/main\n",
    );
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
    assert_eq!(said_by("monorepo.rhai").len(), 3, "one change for each service");
    let said = said_by("gitops.rhai");
    assert!(said[0].starts_with("failed: "), "{said:?}");
    assert!(said[0].ends_with("more than 10,000 paths changed, so the list may lack manifests"), "{said:?}");
}

#[test]
fn changed_image_tag_in_a_manifest_is_a_deployment() {
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
    assert_eq!(push(&sandbox, &["main"]), ["skipped: no manifest has a new version of a service"]);
}

#[test]
fn rewind_and_revert_are_rollbacks() {
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
    assert_eq!(
        (&attributes["gitea_lightstep.rollback.by"], &attributes["gitea_lightstep.rollback.reverts"]),
        (&json!("revert"), &json!([two]))
    );

    // A revert of the revert, with the message of this machine's git.
    sandbox.git(&["revert", "--no-edit", "HEAD"]);
    let forth = sandbox.git(&["rev-parse", "HEAD"]);
    assert_eq!(push(&sandbox, &["main:production"]), [format!("deployment shop {forth} to production")]);
    assert_eq!(push(&sandbox, &[":production"]), ["skipped: a deletion changes nothing that runs"]);
}

#[test]
fn tag_of_a_tree_is_skipped() {
    let policies = [
        "approved-releases",
        "version-tags",
        "monorepo",
        "push-option",
        "hotfix-branches",
        "release-trains",
        "conventional-commits",
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
        assert_eq!(said, ["skipped: the tag points to a tree or a file, not a commit"], "{policy}");
    }
}

#[test]
fn settings_of_shipped_policies_work() {
    let commit = |sandbox: &Sandbox, message: &str| {
        sandbox.commit(message, &[]);
    };

    let sandbox = sandbox_with_settings(
        "version-tags.rhai",
        &[
            ("const IS_PRERELEASE_MARKED", "const IS_PRERELEASE_MARKED = false;"),
            ("const IS_ANNOTATION_NEEDED", "const IS_ANNOTATION_NEEDED = true;"),
        ],
    );
    commit(&sandbox, "One");
    sandbox.git(&["tag", "-a", "-m", "Candidate", "v1.0.0-rc.1"]);
    sandbox.git(&["tag", "-a", "-m", "Version", "v1.0.0"]);
    sandbox.git(&["tag", "v1.1.0"]);
    assert_eq!(push(&sandbox, &["v1.0.0-rc.1"]), ["skipped: pre-releases are not marked"]);
    assert_eq!(push(&sandbox, &["v1.0.0"]), ["release shop 1.0.0"]);
    assert_eq!(
        push(&sandbox, &["v1.1.0"]),
        ["skipped: the tag is not annotated; make releases with `git tag -a`"]
    );

    let sandbox = sandbox_with_settings(
        "approved-releases.rhai",
        &[
            ("const RELEASERS", "const RELEASERS = [];"),
            ("const APPROVALS", "const APPROVALS = 2;"),
            ("const IS_SIGNATURE_NEEDED", "const IS_SIGNATURE_NEEDED = false;"),
        ],
    );
    commit(&sandbox, "One\n\nReviewed-by: Bo <bo@example.org>");
    assert_eq!(
        push(&sandbox, &["main:refs/tags/v1.0.0"]),
        ["refused: it has 1 of 2 approvals by the APPROVERS"]
    );
    commit(&sandbox, "Two\n\nReviewed-by: Bo <bo@example.org>\nApproved-by: Cy <cy@example.org>");
    assert_eq!(push(&sandbox, &["main:refs/tags/v1.0.1"]), ["release shop 1.0.1"]);

    let sandbox = sandbox_with_settings(
        "conventional-commits.rhai",
        &[("const IS_OTHER_MARKED", "const IS_OTHER_MARKED = false;")],
    );
    commit(&sandbox, "One");
    push(&sandbox, &["main"]);
    commit(&sandbox, "Two");
    assert_eq!(push(&sandbox, &["main"]), ["skipped: no commit has a type that is marked"]);

    let sandbox = sandbox_with_settings(
        "release-trains.rhai",
        &[("const IS_PRERELEASE_MARKED", "const IS_PRERELEASE_MARKED = true;")],
    );
    commit(&sandbox, "One");
    assert_eq!(push(&sandbox, &["main:refs/tags/v26.11.0-rc.1"]), ["release shop 26.11.0-rc.1"]);
}
