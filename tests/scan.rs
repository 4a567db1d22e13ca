//! Ref changes that no hook saw, found by `scan`.

use std::{fs, thread, time::UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Ran, Sandbox, estate::without_gitea, spool, start_again, wait_until};

/// Scans the whole directory of repositories.
fn scan(sandbox: &Sandbox, more: &[&str]) -> Ran {
    let root = sandbox.path("git").display().to_string();
    sandbox.binary(&[&["scan", "--root", &root, "--run-user", "root"], more].concat())
}

/// Scans, and returns the outcome.
#[track_caller]
fn scanned(sandbox: &Sandbox) -> Value {
    let ran = scan(sandbox, &["--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.stdout).expect("JSON")
}

/// Returns the changes that a scan finds, as `movement ref`.
#[track_caller]
fn changes(sandbox: &Sandbox) -> Vec<String> {
    let outcome = scanned(sandbox);
    let changes = outcome["changes"].as_array().expect("a list").iter().map(|change| {
        let is_null = |key: &str| change[key].as_str().expect("an ID").bytes().all(|digit| digit == b'0');
        let movement = match (is_null("old_id"), is_null("new_id")) {
            (true, _) => "created",
            (_, true) => "deleted",
            _ => "moved",
        };
        format!("{movement} {}", change["ref"].as_str().expect("a name"))
    });
    changes.collect()
}

/// A repository with one push, which the hook marked, and a first scan.
fn scanned_once() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.commit("First", &[("a", "1")]);
    sandbox.push(&["main"]).succeeded();
    assert_eq!(changes(&sandbox), [""; 0]);
    sandbox
}

/// Returns `kind version source` of all markers, once nothing is left to decide.
#[track_caller]
fn markers(sandbox: &Sandbox) -> Vec<String> {
    sandbox.binary(&["deliver"]).succeeded_or_found();
    wait_until("the inbox is empty", || sandbox.files("inbox").is_empty());
    sandbox.wait_for_deliverers_to_end();
    let text = |marker: &Value, key: &str| marker[key].as_str().unwrap_or_default().to_string();
    let source = |marker: &Value| {
        marker["attributes"]["gitea_lightstep.push.source"].as_str().unwrap_or("push").to_string()
    };
    let mut all: Vec<String> = sandbox
        .waiting("unassigned")
        .iter()
        .map(|marker| format!("{} {} {}", text(marker, "kind"), &text(marker, "title"), source(marker)))
        .collect();
    all.sort();
    all
}

#[test]
fn tag_of_the_web_pages_is_a_release() {
    let sandbox = scanned_once();
    sandbox.git_in(&sandbox.bare(), &["tag", "v1.2.0", "main"]);
    assert_eq!(changes(&sandbox), ["created refs/tags/v1.2.0"]);
    assert_eq!(changes(&sandbox), [""; 0]);
    assert_eq!(markers(&sandbox), ["change First push", "release First scan"]);
    let marker = &sandbox.waiting("unassigned")[1];
    assert_eq!(marker["version"], "1.2.0");
    assert_eq!(marker["attributes"]["gitea_lightstep.transport"], Value::Null);
    assert_eq!(marker["source"]["pusher"], Value::Null);
    fs::metadata(sandbox.state().join("refs/lock")).expect("the lock");
}

#[test]
fn pushes_are_not_found_again() {
    let sandbox = scanned_once();
    sandbox.commit("Second", &[("a", "2")]);
    sandbox.push(&["main"]).succeeded();
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.push(&["v1.0.0"]).succeeded();
    sandbox.push(&["--delete", "v1.0.0"]).succeeded();
    assert_eq!(changes(&sandbox), [""; 0]);
    assert_eq!(markers(&sandbox), ["change First push", "change Second push", "release Second push"]);
}

/// A push takes the ref back to where the last scan saw it, and its hook has the time of the push before
/// the next scan, but no capture yet.
#[test]
fn push_whose_capture_comes_late_is_not_lost() {
    let sandbox = scanned_once();
    let first = sandbox.git(&["rev-parse", "main"]);
    sandbox.commit("Second", &[("a", "2")]);
    sandbox.push(&["main"]).succeeded();
    assert_eq!(changes(&sandbox), [""; 0]);
    let seconds = || UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs();
    let clock = seconds() + 1;
    wait_until("the clock is that of the next push", || seconds() >= clock);
    sandbox.git_in(&sandbox.bare(), &["update-ref", "refs/heads/main", &first]);
    let (there, go) = (sandbox.path("there"), sandbox.path("go"));
    let hook = format!(
        "#!/bin/sh\ntouch {}\nuntil [ -e {} ]; do sleep 0.01; done\nGITEA_LIGHTSTEP_FAULT_CLOCK={clock} exec {} hook \
         --config {}\n",
        there.display(),
        go.display(),
        spool::faulty(),
        sandbox.path("config.toml").display()
    );
    sandbox.executable("git/acme/shop.git/hooks/post-receive.d/gitea-lightstep", &hook);
    thread::scope(|scope| {
        let pushing = scope.spawn(|| sandbox.push(&["main"]).succeeded().code);
        wait_until("the hook runs", || there.exists());
        let outcome = scanned(&sandbox);
        fs::write(&go, "").expect("a file");
        pushing.join().expect("a push");
        assert_eq!(outcome["deferred"].as_array().map(Vec::len), Some(1), "{outcome}");
    });
    let outcome = scanned(&sandbox);
    assert_eq!(outcome["changes"][0]["new_id"], *first, "{outcome}");
    assert_eq!(outcome["changes"].as_array().map(Vec::len), Some(1), "{outcome}");
}

#[test]
fn push_without_a_hook_is_found() {
    let sandbox = scanned_once();
    fs::remove_file(sandbox.bare().join("hooks/post-receive.d/gitea-lightstep")).expect("the wrapper");
    sandbox.commit("Second", &[("a", "2")]);
    sandbox.push(&["main"]).succeeded();
    assert_eq!(changes(&sandbox), ["moved refs/heads/main"]);
    assert_eq!(markers(&sandbox), ["change First push", "change Second scan"]);
    // The last push named Gitea's ID of the repository.
    let marker = &sandbox.waiting("unassigned")[1];
    assert_eq!(marker["attributes"]["gitea_lightstep.repository.id"], 42);
    assert_eq!(marker["source"]["owner"], "acme");
}

#[test]
fn push_that_waits_in_the_inbox_is_not_found() {
    let sandbox = scanned_once();
    let config = fs::read_to_string(sandbox.path("config.toml")).expect("the configuration");
    sandbox.write("config.toml", format!("{config}\nbroken"));
    sandbox.commit("Second", &[("a", "2")]);
    let state = sandbox.state().display().to_string();
    let wrapper = sandbox.bare().join("hooks/post-receive.d/gitea-lightstep");
    let text = fs::read_to_string(&wrapper).expect("the wrapper");
    fs::write(&wrapper, text.replace("/var/lib/gitea-lightstep", &state)).expect("the wrapper");
    let _ = sandbox.push(&["main"]);
    sandbox.write("config.toml", config);
    assert_eq!(sandbox.files("inbox").len(), 1, "{:?}", sandbox.troubles());
    assert_eq!(changes(&sandbox), [""; 0]);
    assert_eq!(markers(&sandbox), ["change First push", "change Second push"]);
    assert_eq!(changes(&sandbox), [""; 0]);
}

#[test]
fn packing_the_refs_changes_nothing() {
    let sandbox = scanned_once();
    sandbox.git_in(&sandbox.bare(), &["pack-refs", "--all"]);
    assert_eq!(changes(&sandbox), [""; 0]);
    sandbox.git_in(&sandbox.bare(), &["update-ref", "refs/heads/older", "main"]);
    assert_eq!(changes(&sandbox), ["moved refs/heads/older"]);
    sandbox.git_in(&sandbox.bare(), &["gc", "-q"]);
    assert_eq!(changes(&sandbox), [""; 0]);
}

#[test]
fn renamed_repository_is_the_same() {
    let sandbox = scanned_once();
    sandbox.git_in(&sandbox.bare(), &["tag", "v1.0.0", "main"]);
    fs::create_dir_all(sandbox.path("git/corp")).expect("a directory");
    fs::rename(sandbox.bare(), sandbox.path("git/corp/store.git")).expect("rename the repository");
    let outcome = scanned(&sandbox);
    assert_eq!(outcome["renamed"].as_array().map(Vec::len), Some(1), "{outcome}");
    assert_eq!(outcome["changes"][0]["ref"], "refs/tags/v1.0.0", "{outcome}");
    assert_eq!(outcome["changes"][0]["repository"], "corp/store");
    assert_eq!(scanned(&sandbox)["renamed"].as_array().map(Vec::len), Some(0));
    assert_eq!(markers(&sandbox), ["change First push", "release First scan"]);
    assert_eq!(sandbox.waiting("unassigned")[1]["attributes"]["gitea_lightstep.repository.id"], 42);
}

#[test]
fn repository_that_was_made_again_is_a_new_one() {
    for looks_between in [false, true] {
        let sandbox = scanned_once();
        fs::remove_dir_all(sandbox.bare()).expect("remove the repository");
        if looks_between {
            assert_eq!(scanned(&sandbox)["gone"].as_array().map(Vec::len), Some(1));
        }
        sandbox.git_in(&sandbox.path(""), &["init", "-q", "--bare", "git/acme/shop.git"]);
        let commit = sandbox.commit("Other", &[("a", "other")]);
        sandbox.push(&["main", &format!("{commit}:refs/tags/v9.0.0")]).succeeded();
        let outcome = scanned(&sandbox);
        assert_eq!(outcome["changes"], serde_json::json!([]), "{outcome}");
        assert_eq!(
            (&outcome["first_seen"], &outcome["made_again"][0].is_string()),
            (&serde_json::json!(1), &true)
        );
        sandbox.git_in(&sandbox.bare(), &["tag", "v9.1.0", "main"]);
        assert_eq!(changes(&sandbox), ["created refs/tags/v9.1.0"]);
    }
}

#[test]
fn repository_on_another_disk_is_the_same() {
    let sandbox = scanned_once();
    let (here, there) = (sandbox.bare(), sandbox.path("git/acme/copy"));
    let mut copy = sandbox.command("cp", &sandbox.path(""));
    sandbox.run(copy.arg("-a").args([&here, &there]), b"").succeeded();
    fs::remove_dir_all(&here).expect("remove the repository");
    fs::rename(&there, &here).expect("rename the copy");
    sandbox.git_in(&here, &["tag", "v1.0.0", "main"]);
    assert_eq!(changes(&sandbox), ["created refs/tags/v1.0.0"]);
}

#[test]
fn forms_of_storage_are_read() {
    for (format, refs) in [("sha256", "files"), ("sha1", "reftable"), ("sha256", "reftable")] {
        let sandbox = Sandbox::with_object_format(format);
        if refs == "reftable" {
            sandbox.git_in(&sandbox.bare(), &["refs", "migrate", "--ref-format=reftable"]);
        }
        sandbox.commit("First", &[("a", "1")]);
        sandbox.push(&["main"]).succeeded();
        assert_eq!(changes(&sandbox), [""; 0]);
        sandbox.git_in(&sandbox.bare(), &["tag", "-a", "-m", "One", "v1.0.0", "main"]);
        sandbox.git_in(&sandbox.bare(), &["branch", "-m", "older", "oldest"]);
        let expected = ["deleted refs/heads/older", "created refs/heads/oldest", "created refs/tags/v1.0.0"];
        assert_eq!(changes(&sandbox), expected, "{format} {refs}");
        assert_eq!(markers(&sandbox), ["change First push", "release First scan"], "{format} {refs}");
    }
}

#[test]
fn damaged_snapshot_is_reported_and_made_again() {
    let sandbox = scanned_once();
    let name = sandbox.files("refs").into_iter().find(|name| name.len() == 32).expect("a snapshot");
    let path = sandbox.state().join("refs").join(name);
    let mut bytes = fs::read(&path).expect("the snapshot");
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&path, bytes).expect("the snapshot");
    sandbox.git_in(&sandbox.bare(), &["tag", "v1.0.0", "main"]);
    let ran = scan(&sandbox, &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("the checksum does not match"), "{ran:?}");
    assert!(ran.stderr.contains("what changed since the last one is not marked"), "{ran:?}");
    sandbox.git_in(&sandbox.bare(), &["tag", "v1.1.0", "main"]);
    assert_eq!(changes(&sandbox), ["created refs/tags/v1.1.0"]);
}

#[test]
fn broken_ref_does_not_keep_other_repositories_from_being_scanned() {
    let sandbox = scanned_once();
    sandbox
        .git_in(&sandbox.path(""), &["clone", "-q", "--mirror", "git/acme/shop.git", "git/acme/other.git"]);
    assert_eq!(changes(&sandbox), [""; 0]);
    fs::write(sandbox.bare().join("refs/heads/broken"), "x\n").expect("a ref");
    sandbox.git_in(&sandbox.path("git/acme/other.git"), &["tag", "v1.0.0", "main"]);
    let ran = scan(&sandbox, &["--json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let outcome: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(outcome["changes"][0]["repository"], "acme/other");
    assert!(outcome["failed"][0]["why"].as_str().expect("text").contains("refs/heads/broken"), "{outcome}");
    fs::remove_file(sandbox.bare().join("refs/heads/broken")).expect("the ref");
    assert_eq!(changes(&sandbox), [""; 0]);
}

#[test]
fn policy_of_the_hook_page_decides() {
    let sandbox = scanned_once();
    let page = format!(
        "#!{} hook\nfn decide(update) {{ skip(\"by the page, \" + update.push.source) }}\n",
        crate::support::BINARY
    );
    sandbox.executable("git/acme/shop.git/hooks/post-receive.d/post-receive", &page);
    sandbox.git_in(&sandbox.bare(), &["tag", "v1.0.0", "main"]);
    assert_eq!(changes(&sandbox), ["created refs/tags/v1.0.0"]);
    assert_eq!(markers(&sandbox), ["change First push"]);
    assert_eq!(sandbox.decisions().last().expect("a decision")["why"], "by the page, scan");
}

#[test]
fn reference_transaction_hook_has_the_repository_scanned_at_once() {
    let sandbox = scanned_once();
    let config = sandbox.path("config.toml").display().to_string();
    let hook = format!(
        "#!/bin/sh\ntest \"$1\" != committed || {} hook --reference-transaction --config {config}\n",
        crate::support::BINARY
    );
    sandbox.executable("git/acme/shop.git/hooks/reference-transaction", &hook);
    // Gitea starts git for its pages without the variables of a push.
    let mut command = sandbox.command("git", &sandbox.bare());
    without_gitea(&mut command);
    let ran = sandbox.run(command.args(["tag", "v1.0.0", "main"]), b"");
    ran.said_nothing();
    wait_until("the release is marked", || markers(&sandbox).contains(&"release First scan".into()));
    sandbox.commit("Second", &[("a", "2")]);
    sandbox.push(&["main"]).succeeded();
    assert_eq!(changes(&sandbox), [""; 0]);
    assert_eq!(markers(&sandbox), ["change First push", "change Second push", "release First scan"]);
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn deletion_is_marked_only_where_the_policy_asks_for_it() {
    let sandbox = scanned_once();
    sandbox.git_in(&sandbox.bare(), &["tag", "v1.0.0", "main"]);
    assert_eq!(changes(&sandbox), ["created refs/tags/v1.0.0"]);
    sandbox.git_in(&sandbox.bare(), &["tag", "-d", "v1.0.0"]);
    assert_eq!(changes(&sandbox), ["deleted refs/tags/v1.0.0"]);
    assert_eq!(markers(&sandbox), ["change First push", "release First scan"]);
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) { if update.is_deleted { mark(#{ kind: \"change\" }) } else { built_in::decide(update) } }\n",
    );
    sandbox.configure("[policy]\nscripts = \"scripts\"\n");
    sandbox.git_in(&sandbox.bare(), &["branch", "-D", "older"]);
    assert_eq!(changes(&sandbox), ["deleted refs/heads/older"]);
    let all = markers(&sandbox);
    assert_eq!(all.len(), 3, "{all:?}");
    let deleted = |marker: &&Value| marker["attributes"]["gitea_lightstep.ref.update"] == "deleted";
    let waiting = sandbox.waiting("unassigned");
    let marker = waiting.iter().find(deleted).expect("a marker of the deletion");
    assert_eq!((&marker["kind"], &marker["source"]["ref_name"]), (&"change".into(), &"older".into()));
}

#[test]
fn records_without_scans_are_forgotten() {
    let sandbox = scanned_once();
    let log = sandbox.state().join("refs/log");
    sandbox.wait_for_deliverers_to_end();
    fs::File::create(&log).and_then(|file| file.set_len((64 << 20) + 1)).expect("a large log");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert!(!log.exists());
    let troubles = sandbox.troubles();
    assert!(troubles.iter().any(|what| what.contains("no scan has run for long")), "{troubles:?}");
    sandbox.git_in(&sandbox.bare(), &["tag", "v1.0.0", "main"]);
    assert_eq!(scanned(&sandbox)["first_seen"], 1);
}

#[test]
fn purge_removes_what_scans_keep() {
    let sandbox = scanned_once();
    let root = sandbox.path("git").display().to_string();
    sandbox.wait_for_deliverers_to_end();
    sandbox.binary(&["uninstall", "--purge", "--yes", "--root", &root, "--run-user", "root"]).succeeded();
    assert!(!sandbox.state().exists());
}

#[test]
fn default_branch_under_a_new_name_brings_no_code() {
    let sandbox = scanned_once();
    sandbox.git_in(&sandbox.bare(), &["branch", "-m", "main", "trunk"]);
    assert_eq!(changes(&sandbox), ["deleted refs/heads/main", "created refs/heads/trunk"]);
    assert_eq!(markers(&sandbox), ["change First push"]);
    let decisions = sandbox.decisions();
    let why = |name: &str| {
        decisions.iter().rfind(|decision| decision["ref"] == name).expect("a decision")["why"].clone()
    };
    assert_eq!(why("refs/heads/trunk"), r#"the branch was renamed from "main", which brings no code"#);
}

#[test]
fn push_that_a_power_cut_took_out_of_the_log_is_not_found_again() {
    let sandbox = scanned_once();
    sandbox.commit("Second", &[("a", "2")]);
    sandbox.push(&["main"]).succeeded();
    sandbox.git(&["tag", "-a", "-m", "One", "v1.0.0"]);
    sandbox.push(&["v1.0.0"]).succeeded();
    sandbox.wait_for_deliverers_to_end();
    fs::remove_file(sandbox.state().join("refs/log")).expect("the log");
    sandbox.git_in(&sandbox.bare(), &["tag", "v2.0.0", "main"]);
    start_again(&sandbox.state());
    assert_eq!(changes(&sandbox), ["created refs/tags/v2.0.0"]);
    assert_eq!(
        markers(&sandbox),
        ["change First push", "change Second push", "release Second push", "release Second scan"]
    );
}

#[test]
fn repository_with_the_config_hook_switched_off_is_not_scanned() {
    let sandbox = scanned_once();
    let bare = sandbox.bare();
    sandbox.git_in(&bare, &["config", "hook.gitea-lightstep.enabled", "off"]);
    sandbox.git_in(&bare, &["tag", "v1.0.0", "main"]);
    assert_eq!(scanned(&sandbox)["repositories"], 0);
    sandbox.git_in(&bare, &["config", "hook.gitea-lightstep.enabled", "true"]);
    let outcome = scanned(&sandbox);
    assert_eq!((&outcome["first_seen"], &outcome["changes"]), (&1.into(), &serde_json::json!([])));
    sandbox.git_in(&bare, &["tag", "v1.1.0", "main"]);
    assert_eq!(changes(&sandbox), ["created refs/tags/v1.1.0"]);
}

#[test]
fn foreign_entries_among_the_records_do_not_stop_a_scan() {
    let sandbox = scanned_once();
    let refs = sandbox.state().join("refs");
    fs::create_dir_all(refs.join("wanted/directory")).expect("a directory");
    std::os::unix::fs::symlink("/etc/passwd", refs.join("wanted/link")).expect("a link");
    fs::write(refs.join("wanted/path"), "no/such/repository").expect("a note");
    fs::write(refs.join("notes.txt"), "x").expect("a file");
    fs::create_dir(sandbox.path("git/acme/unmade.git")).expect("a directory");
    sandbox.git_in(&sandbox.bare(), &["tag", "v1.0.0", "main"]);
    assert_eq!(changes(&sandbox), ["created refs/tags/v1.0.0"]);
    assert_eq!(fs::read_dir(refs.join("wanted")).expect("the directory").count(), 2);
}
