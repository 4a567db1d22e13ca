//! Attribution: pusher, merger, author and deploy key are distinguished, in every version of Gitea.
//! Also tests mail addresses and their keyed hashes.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use crate::support::Sandbox;

const ADDRESSES: [&str; 4] = ["ann@example.org", "bea@example.org", "carl@example.org", "tess@example.org"];

/// Pushes with these variables in addition to those of a push over SSH, and returns the marker's
/// attributes.
#[track_caller]
fn attributes(sandbox: &mut Sandbox, env: &[(&str, &str)], args: &[&str]) -> Value {
    for (name, value) in env {
        sandbox.set(name, value);
    }
    let before = sandbox.waiting("unassigned").len();
    sandbox.push(args).succeeded();
    let markers = sandbox.waiting("unassigned").split_off(before);
    assert_eq!(markers.len(), 1, "{markers:?}");
    let mut attributes = markers[0]["attributes"].clone();
    attributes["user.name"] = markers[0]["source"]["pusher"].clone();
    attributes
}

/// Returns the values of these attributes, `null` for missing ones.
fn of(attributes: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| attributes.get(name).cloned().unwrap_or_default()).collect()
}

#[test]
fn merger_and_author_are_distinguished() {
    const MERGE: [&str; 5] = [
        "vcs.change.id",
        "vcs.change.state",
        "gitea_lightstep.merged_by",
        "user.name",
        "gitea_lightstep.commit.author.name",
    ];
    let merged =
        [("GITEA_PUSHER_NAME", "max"), ("GITEA_PR_ID", "501"), ("GITEA_PUSH_TRIGGER", "pr-merge-to-base")];
    let of_1_26 = [&merged[..], &[("GITEA_PR_INDEX", "12")]].concat();
    for (env, message, expected) in [
        (&of_1_26[..], "Pay by card (#99)", json!(["12", "merged", "max", "max", "Ann Author"])),
        (&merged[..], "Pay by card (#13)", json!(["13", "merged", "max", "max", "Ann Author"])),
        (
            &merged[..],
            "Pay by card (#13)\n\nReviewed-on: https://git.example.com/acme/shop/pulls/14\n",
            json!(["14", "merged", "max", "max", "Ann Author"]),
        ),
        (&merged[..], "No number", json!([null, "merged", "max", "max", "Ann Author"])),
        // Up to 1.21, Gitea reports only that a pull request is involved, and not which one. An
        // update of its branch is not a merge.
        (&merged[..2], "Pay by card", json!([null, null, null, "max", "Ann Author"])),
        (
            &[merged[0], ("GITEA_PUSH_TRIGGER", "pr-update-with-base")],
            "Pay by card",
            json!([null, null, null, "max", "Ann Author"]),
        ),
        // A pull request number that is only in the commit message is ignored.
        (&[], "Pay by card (#13)", json!([null, null, null, "ann", "Ann Author"])),
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.commit(message, &[]);
        let attributes = attributes(&mut sandbox, env, &["main"]);
        assert_eq!(of(&attributes, &MERGE), expected, "{env:?} {message}");
    }
    // A merge with a deploy key does not have a person as merger.
    let mut sandbox = Sandbox::new();
    sandbox.commit("Pay by card", &[]);
    let env = [&of_1_26[..], &[("GITEA_DEPLOY_KEY_ID", "4")]].concat();
    let attributes = attributes(&mut sandbox, &env, &["main"]);
    assert_eq!(of(&attributes, &MERGE[..4]), json!(["12", "merged", null, null]));
}

/// Commits as Bea for Ann, with Carl and Dora as co-authors.
fn by_many(sandbox: &Sandbox, address: &str) {
    let mut commit = sandbox.command("git", &sandbox.path("clone"));
    commit.args(["commit", "-q", "--allow-empty", "-m"]);
    commit.arg("Work\n\nCo-authored-by: Carl <carl@example.org>\nCo-Authored-By: Dora <dora@example.org>");
    commit.env("GIT_AUTHOR_NAME", "Ann").env("GIT_AUTHOR_EMAIL", address);
    commit.env("GIT_COMMITTER_NAME", "Bea").env("GIT_COMMITTER_EMAIL", "bea@example.org");
    sandbox.run(&mut commit, b"").succeeded();
}

fn tag(sandbox: &Sandbox, name: &str) {
    let mut tag = sandbox.command("git", &sandbox.path("clone"));
    tag.args(["tag", "-a", "-m", "Out", name]);
    tag.env("GIT_COMMITTER_NAME", "Tess").env("GIT_COMMITTER_EMAIL", "tess@example.org");
    sandbox.run(&mut tag, b"").succeeded();
}

const HASHES: [&str; 2] = ["gitea_lightstep.commit.author.hash", "gitea_lightstep.commit.committer.hash"];
const EMAILS: [&str; 2] = ["gitea_lightstep.commit.author.email", "gitea_lightstep.commit.committer.email"];

#[test]
fn author_committer_co_authors_and_tagger_are_distinguished() {
    let mut sandbox = Sandbox::new();
    by_many(&sandbox, "ann@example.org");
    tag(&sandbox, "v1.0.0");
    let names = [
        "gitea_lightstep.commit.author.name",
        "gitea_lightstep.commit.committer.name",
        "gitea_lightstep.commit.co_authors",
        "gitea_lightstep.tag.tagger",
        "user.name",
    ];
    let attributes = attributes(&mut sandbox, &[], &["v1.0.0"]);
    assert_eq!(of(&attributes, &names), json!(["Ann", "Bea", ["Carl", "Dora"], "Tess", "ann"]));
}

#[test]
fn keyed_hash_distinguishes_people_without_naming_them() {
    let mut sandbox = Sandbox::new();
    by_many(&sandbox, "ann@example.org");
    let first = attributes(&mut sandbox, &[], &["main"]);
    by_many(&sandbox, "Ann@Example.ORG");
    tag(&sandbox, "v1.0.0");
    let second = attributes(&mut sandbox, &[], &["v1.0.0"]);
    for name in HASHES {
        let hash = first[name].as_str().expect("a hash");
        assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
        assert_eq!(first[name], second[name], "the hash is the same in another push and in other case");
    }
    assert_ne!(first[HASHES[0]], first[HASHES[1]]);
    assert_eq!(of(&first, &EMAILS), json!([null, null]));

    let key = sandbox.state().join("address.key");
    let bytes = fs::read(&key).expect("the key");
    assert_eq!(bytes.len(), 32);
    assert_eq!(key.metadata().expect("metadata").permissions().mode() & 0o777, 0o600);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();

    let written = sandbox.everything_written().to_lowercase();
    for address in ADDRESSES {
        assert!(!written.contains(address), "{address} was stored");
    }
    assert!(!written.contains(&hex));
    for args in [
        &["status", "--json"][..],
        &["log", "--json"],
        &["explain", "acme/shop", "--json"],
        &["queue", "list"],
    ] {
        let ran = sandbox.binary(args);
        ran.succeeded_or_found();
        let said = format!("{}{}", ran.stdout, ran.stderr).to_lowercase();
        assert!(!said.contains(&hex), "{args:?}\n{said}");
    }

    // Each state directory has its own key. With a copy of the key, the hashes are equal.
    let kept = sandbox.path("kept");
    fs::rename(sandbox.state(), &kept).expect("moved");
    by_many(&sandbox, "ann@example.org");
    let other = attributes(&mut sandbox, &[], &["main"]);
    assert_ne!(other[HASHES[0]], first[HASHES[0]]);
    fs::copy(kept.join("address.key"), &key).expect("copied");
    by_many(&sandbox, "ann@example.org");
    assert_eq!(attributes(&mut sandbox, &[], &["main"])[HASHES[0]], first[HASHES[0]]);
}

#[test]
fn addresses_are_sent_only_if_configured() {
    for (emails, expected) in
        [("plain", json!(["ann@example.org", "bea@example.org"])), ("none", json!([null, null]))]
    {
        let mut sandbox = Sandbox::new();
        sandbox.configure(&format!("[people]\nemails = \"{emails}\"\n"));
        by_many(&sandbox, "ann@example.org");
        let attributes = attributes(&mut sandbox, &[], &["main"]);
        assert_eq!(of(&attributes, &EMAILS), expected);
        assert_eq!(of(&attributes, &HASHES), json!([null, null]));
        assert!(
            !sandbox.state().join("address.key").exists(),
            "{emails}: the key exists although nothing is hashed"
        );
        let written = sandbox.everything_written();
        for address in ADDRESSES {
            let is_told = emails == "plain" && ["ann@example.org", "bea@example.org"].contains(&address);
            assert_eq!(written.contains(address), is_told, "{emails} {address}");
        }
    }
}

#[test]
fn unreadable_key_omits_only_the_hashes() {
    let mut sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.state()).expect("a directory");
    fs::write(sandbox.state().join("address.key"), b"short").expect("a file");
    by_many(&sandbox, "ann@example.org");
    let attributes = attributes(&mut sandbox, &[], &["main"]);
    assert_eq!(of(&attributes, &HASHES), json!([null, null]));
    assert_eq!(of(&attributes, &EMAILS), json!([null, null]));
    assert_eq!(attributes["gitea_lightstep.commit.author.name"], "Ann");
    assert_eq!(fs::read(sandbox.state().join("address.key")).expect("the file"), b"short");
}

#[test]
fn read_only_commands_do_not_create_a_key() {
    let sandbox = Sandbox::new();
    by_many(&sandbox, "ann@example.org");
    sandbox.push(&["main"]).succeeded();
    fs::remove_file(sandbox.state().join("address.key")).expect("removed");
    let before = sandbox.tree();
    for args in
        [&["explain", "acme/shop"][..], &["explain", "acme/shop", "--json"], &["try", "git/acme/shop.git"]]
    {
        sandbox.binary(args).succeeded_or_found();
    }
    assert!(sandbox.tree() == before, "a read-only command changed a file");
}

#[test]
fn kind_of_pusher_is_reported() {
    const WHO: [&str; 4] =
        ["gitea_lightstep.pusher.kind", "user.name", "user.id", "gitea_lightstep.actions_task.id"];
    let mut sandbox = Sandbox::new();
    let mut report = |env: &[(&str, &str)], message: &str| {
        sandbox.commit(message, &[]);
        of(&attributes(&mut sandbox, env, &["main"]), &WHO)
    };
    assert_eq!(report(&[], "By a person"), json!(["user", "ann", "7", null]));
    // For a deploy key, Gitea names the repository's owner as the pusher (reference/gitea.md, 3.1).
    assert_eq!(report(&[("GITEA_DEPLOY_KEY_ID", "5")], "By a key"), json!(["deploy_key", null, null, null]));
    // Gitea before 1.26 does not pass the task ID, but always uses this user.
    let actions =
        [("GITEA_DEPLOY_KEY_ID", "0"), ("GITEA_PUSHER_NAME", "gitea-actions"), ("GITEA_PUSHER_ID", "-2")];
    assert_eq!(report(&actions, "By a job"), json!(["actions_task", "gitea-actions", "-2", null]));
    let task = [("GITEA_ACTIONS_TASK_ID", "41")];
    assert_eq!(report(&task, "By another"), json!(["actions_task", "gitea-actions", "-2", 41]));
    sandbox.unset("GITEA_");
    sandbox.commit("Outside of Gitea", &[]);
    assert_eq!(of(&attributes(&mut sandbox, &[], &["main"]), &WHO), json!([null, null, null, null]));
}

#[test]
fn number_in_an_authors_title_is_not_the_merged_pull_request() {
    let merged = [("GITEA_PR_ID", "501"), ("GITEA_PUSH_TRIGGER", "pr-merge-to-base")];
    let long = "x".repeat(20_000);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    let reviewed = "Reviewed-on: https://git.example.com/acme/shop/pulls/14";
    // (title, seconds since it was authored, since it was committed, merge commit, expected)
    for (message, authored, committed, is_merge, expected) in [
        ("Pay by card (#13)".to_string(), 0, 0, false, json!("13")),
        ("Pay by card (!13)".to_string(), 0, 0, false, json!("13")),
        // A rebase has the time of the author, a fast-forward the commit of the author.
        ("Pay, see (#77)".to_string(), 3600, 0, false, json!(null)),
        ("Pay, see (#77)".to_string(), 3600, 3600, false, json!(null)),
        ("Pay, see (#77)".to_string(), 90, 90, false, json!(null)),
        ("Pay, see (#77)".to_string(), -3600, -3600, false, json!(null)),
        (format!("Pay, see (#77)\n\n{reviewed}"), 3600, 3600, false, json!("14")),
        ("Merge pull request 'Pay' (#13) from a into main".to_string(), 3600, 3600, true, json!("13")),
        (format!("Pay (#77)\n\n{long}\n\n{reviewed}\nReviewed-by: Bob <b@x>"), 0, 0, false, json!("14")),
        (format!("Pay (#77)\n\n{long}\n\n{reviewed}\n"), 3600, 0, false, json!("14")),
    ] {
        let mut sandbox = Sandbox::new();
        let base = sandbox.commit("Base", &[]);
        let side = sandbox.commit("Side", &[]);
        let tree = sandbox.git(&["rev-parse", "HEAD^{tree}"]).trim().to_string();
        let mut commit = sandbox.command("git", &sandbox.path("clone"));
        commit
            .args(["commit-tree", &tree, "-p", &base])
            .args(is_merge.then_some(["-p", &side]).into_iter().flatten());
        let date = |ago: i64| format!("{} +0000", now.saturating_add_signed(-ago));
        commit.env("GIT_AUTHOR_DATE", date(authored)).env("GIT_COMMITTER_DATE", date(committed));
        let id = sandbox.run(&mut commit, message.as_bytes()).succeeded().stdout.trim().to_string();
        sandbox.git(&["reset", "-q", "--hard", &id]);
        let title = message.lines().next().unwrap_or_default();
        assert_eq!(
            of(&attributes(&mut sandbox, &merged, &["main"]), &["vcs.change.id"]),
            json!([expected]),
            "{title} {authored} {committed}"
        );
    }
}

#[test]
fn merged_pull_request_is_in_the_range_of_its_push() {
    let of_1_26 =
        [("GITEA_PR_ID", "501"), ("GITEA_PR_INDEX", "12"), ("GITEA_PUSH_TRIGGER", "pr-merge-to-base")];
    let mut sandbox = Sandbox::new();
    sandbox.configure(
        "[[service]]\nrepository = \"acme/shop\"\nname = \"shop\"\nenvironments = { prod = [\"main\"] }\n",
    );
    let listed = |sandbox: &mut Sandbox, env: &[(&str, &str)]| {
        env.iter().for_each(|(name, value)| sandbox.set(name, value));
        sandbox.push(&["main"]).succeeded();
        let markers = sandbox.waiting("unassigned");
        let deployed = markers.iter().rfind(|marker| marker["kind"] == "deployment").expect("a deployment");
        deployed["attributes"]["gitea_lightstep.range.pull_requests"].clone()
    };
    sandbox.commit("One", &[]);
    listed(&mut sandbox, &[]);
    sandbox.commit("A rebased commit, see (#77)", &[]);
    assert_eq!(listed(&mut sandbox, &of_1_26), json!(["12"]));
    // Named by its message too, and beside others.
    sandbox.commit("Other\n\nReviewed-on: https://git.example.com/acme/shop/pulls/11", &[]);
    sandbox.commit("Two\n\nReviewed-on: https://git.example.com/acme/shop/pulls/12", &[]);
    assert_eq!(listed(&mut sandbox, &of_1_26), json!(["12", "11"]));
    // An ordinary push.
    for name in ["GITEA_PR_ID", "GITEA_PR_INDEX", "GITEA_PUSH_TRIGGER"] {
        sandbox.unset(name);
    }
    sandbox.commit("Three (#5)", &[]);
    assert!(listed(&mut sandbox, &[]).is_null());
}

#[test]
fn change_of_a_merge_names_the_authors_of_its_commits() {
    let sandbox = Sandbox::new();
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    let as_author = |name: &str, message: &str| {
        let author = format!("--author={name} <{}@example.org>", name.to_lowercase());
        sandbox.git(&["commit", "-q", "--allow-empty", &author, "-m", message]);
    };
    sandbox.git(&["checkout", "-q", "-b", "topic"]);
    as_author("Bo", "Two");
    as_author("Cy", "Three\n\nCo-authored-by: Di <di@example.org>");
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.git(&[
        "merge",
        "-q",
        "--no-ff",
        "-m",
        "Merge pull request 'Topic' (#7) from topic into main",
        "topic",
    ]);
    sandbox.push(&["main"]).succeeded();
    let merge = sandbox.waiting("unassigned").pop().expect("a change")["attributes"].clone();
    assert_eq!(merge["gitea_lightstep.commit.author.name"], "Ann Author");
    assert_eq!(merge["gitea_lightstep.range.authors"], json!(["Cy", "Bo"]));
    assert_eq!(merge["gitea_lightstep.range.co_authors"], json!(["Di"]));
    // The author of an ordinary commit is its own.
    as_author("Bo", "Four");
    sandbox.push(&["main"]).succeeded();
    let change = sandbox.waiting("unassigned").pop().expect("a change")["attributes"].clone();
    assert!(change.get("gitea_lightstep.range.authors").is_none(), "{change}");
    // More commits than the walk visits: nothing is said, rather than a part of it.
    sandbox.git(&["checkout", "-q", "-b", "long"]);
    for nth in 0..260 {
        as_author("Cy", &nth.to_string());
    }
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.git(&["merge", "-q", "--no-ff", "-m", "Merge a long branch", "long"]);
    sandbox.push(&["main"]).succeeded();
    let long = sandbox.waiting("unassigned").pop().expect("a change")["attributes"].clone();
    assert!(long.get("gitea_lightstep.range.authors").is_none(), "{long}");
}

#[test]
fn patterns_of_the_site_do_not_leave_the_server() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "scripts/site.rhai",
        "fn enrich(marker, update) { marker.attributes.note = \"see SEC-77\"; marker.attributes.all = [\"SEC-1\", \"x\"]; marker }",
    );
    sandbox.configure("[redact]\npatterns = ['SEC-\\d+', '(?i)password=\\S+']\n");
    sandbox.commit("Fix SEC-12 Password=hunter2", &[("a", "1")]);
    sandbox.git(&["tag", "v1.0.0-SEC-9"]);
    let pushed = sandbox.push(&["-o", "deploy=prod-SEC-3", "main", "v1.0.0-SEC-9"]);
    for secret in ["SEC-", "hunter2"] {
        for marker in sandbox.waiting("unassigned") {
            assert!(!marker.to_string().contains(secret), "{marker}");
        }
        assert!(
            !pushed
                .succeeded()
                .stderr
                .lines()
                .any(|line| line.contains("gitea-lightstep") && line.contains(secret))
        );
    }
    let markers = sandbox.waiting("unassigned");
    assert_eq!(markers.len(), 3, "{markers:?}");
    for marker in &markers {
        assert_eq!(marker["title"], "Fix [redacted] [redacted]");
        assert_eq!(marker["attributes"]["note"], "see [redacted]");
        assert_eq!(marker["attributes"]["all"], serde_json::json!(["[redacted]", "x"]));
    }
    let environments: Vec<_> = markers.iter().filter_map(|marker| marker["environment"].as_str()).collect();
    assert_eq!(environments, ["prod-[redacted]"]);
    sandbox.configure("[redact]\npatterns = ['(']\n");
    let ran = sandbox.binary(&["check"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("`(` is not a regular expression")
            || ran.stdout.contains("`(` is not a regular expression"),
        "{ran:?}"
    );
}
