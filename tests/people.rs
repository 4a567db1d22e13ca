//! Who did what: pusher, merger, author and deploy key are told apart, none is guessed, and no mail address goes out unasked.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::support::Sandbox;

/// Pushes one commit of this author and returns the hash of their address.
fn hash_of(sandbox: &Sandbox, author: &str) -> Value {
    sandbox.git(&["commit", "-q", "--allow-empty", "--author", author, "-m", "By somebody"]);
    sandbox.push(&["main"]).succeeded();
    sandbox.waiting("unassigned").pop().expect("a marker")["attributes"]["gitea_lightstep.commit.author.hash"]
        .clone()
}

/// Pushes one commit and returns the attributes of its marker.
fn attributes(sandbox: &Sandbox, message: &str) -> Value {
    sandbox.commit(message, &[]);
    sandbox.push(&["main"]).succeeded();
    sandbox.waiting("unassigned").pop().expect("a marker")["attributes"].clone()
}

#[test]
fn whoever_pushes_is_told_as_what_they_are() {
    let mut sandbox = Sandbox::new();
    let of_user = attributes(&sandbox, "By a person");
    assert_eq!(of_user["gitea_lightstep.pusher.kind"], "user");
    assert_eq!((&of_user["user.name"], &of_user["user.id"]), (&"ann".into(), &"7".into()));

    // Gitea names the repository's owner, whoever holds the key (reference/gitea.md, 3.1).
    sandbox.set("GITEA_DEPLOY_KEY_ID", "5");
    let of_key = attributes(&sandbox, "By a deploy key");
    assert_eq!(of_key["gitea_lightstep.pusher.kind"], "deploy_key");
    assert_eq!(of_key["gitea_lightstep.deploy_key.id"], 5);
    assert_eq!((&of_key["user.name"], &of_key["user.id"]), (&Value::Null, &Value::Null));

    // Gitea before 1.26 names no task, but always this user.
    sandbox.set("GITEA_DEPLOY_KEY_ID", "0");
    sandbox.set("GITEA_PUSHER_NAME", "gitea-actions");
    sandbox.set("GITEA_PUSHER_ID", "-2");
    let of_actions = attributes(&sandbox, "By a job");
    assert_eq!(of_actions["gitea_lightstep.pusher.kind"], "actions_task");
    assert_eq!(of_actions["user.name"], "gitea-actions");
    sandbox.set("GITEA_ACTIONS_TASK_ID", "41");
    assert_eq!(attributes(&sandbox, "By another")["gitea_lightstep.actions_task.id"], 41);

    sandbox.unset("GITEA_");
    let of_nobody = attributes(&sandbox, "Outside of Gitea");
    for name in ["gitea_lightstep.pusher.kind", "user.name", "user.id", "gitea_lightstep.merged_by"] {
        assert_eq!(of_nobody[name], Value::Null, "{name}");
    }
}

#[test]
fn who_merges_is_not_who_wrote() {
    let mut sandbox = Sandbox::new();
    sandbox.set("GITEA_PR_ID", "900");
    sandbox.set("GITEA_PUSH_TRIGGER", "pr-merge-to-base");
    sandbox.set("GITEA_PUSHER_NAME", "mia");
    let message = "Pay by card (#12)\n\nReviewed-on: https://git.example.com/acme/shop/pulls/12\n\
                   Co-authored-by: Bo Builder <bo@example.org>";
    let merged = attributes(&sandbox, message);
    assert_eq!(merged["gitea_lightstep.merged_by"], "mia");
    assert_eq!(merged["gitea_lightstep.commit.author.name"], "Ann Author");
    assert_eq!(merged["gitea_lightstep.commit.co_authors"], serde_json::json!(["Bo Builder"]));
    // Gitea 1.22 to 1.25 says that it merged, and the message says what.
    assert_eq!((&merged["vcs.change.id"], &merged["vcs.change.state"]), (&"12".into(), &"merged".into()));

    // Bringing a branch up to date merges nothing into its base.
    sandbox.set("GITEA_PUSH_TRIGGER", "pr-update-with-base");
    let updated = attributes(&sandbox, "Up to date");
    assert_eq!(
        (&updated["gitea_lightstep.merged_by"], &updated["vcs.change.state"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn an_address_is_a_keyed_hash_unless_the_site_wants_it_otherwise() {
    const HASH: &str = "gitea_lightstep.commit.author.hash";
    const EMAIL: &str = "gitea_lightstep.commit.author.email";
    let sandbox = Sandbox::new();
    let first = attributes(&sandbox, "One");
    let hash = first[HASH].as_str().expect("a hash");
    assert_eq!(hash.len(), 32);
    assert_eq!(attributes(&sandbox, "Two")[HASH], hash, "the same person");
    assert_eq!(hash_of(&sandbox, "Ann <ANN@Example.org>"), hash, "in other letters");
    assert_ne!(hash_of(&sandbox, "Ann Author <bo@example.org>"), hash, "another person");
    assert!(!sandbox.everything_written().to_lowercase().contains("@example.org"));
    let key = sandbox.state().join("address.key");
    assert_eq!(fs::metadata(&key).expect("the key").permissions().mode() & 0o777, 0o600);

    let elsewhere = Sandbox::new();
    assert_ne!(attributes(&elsewhere, "One")[HASH], hash, "another key");
    elsewhere.configure("[people]\nemails = \"none\"\n");
    let none = attributes(&elsewhere, "Two");
    assert_eq!((&none[HASH], &none[EMAIL]), (&Value::Null, &Value::Null));
    elsewhere.configure("[people]\nemails = \"plain\"\n");
    let plain = attributes(&elsewhere, "Three");
    assert_eq!((&plain[HASH], &plain[EMAIL]), (&Value::Null, &"ann@example.org".into()));
}

#[test]
fn whoever_only_looks_makes_no_key() {
    let sandbox = Sandbox::new();
    sandbox.configure("[people]\nemails = \"none\"\n");
    attributes(&sandbox, "One");
    sandbox.configure("");
    sandbox.binary(&["explain", "acme/shop"]).succeeded();
    assert!(!sandbox.state().join("address.key").exists());
}
