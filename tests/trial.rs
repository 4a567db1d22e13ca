//! `try`: the decisions of a policy over a repository's history, without changing anything.

use std::fs;

use serde_json::{Value, json};

use crate::support::{BINARY, Ran, Sandbox, assert_as_it_is, terminal::on_terminal};

/// Creates a repository with three tags and five commits on `main`, including a merge.
fn history() -> Sandbox {
    let mut sandbox = Sandbox::new();
    let mut minute = 0;
    let mut next = |sandbox: &mut Sandbox| {
        minute += 1;
        let date = format!("2026-11-20T10:{minute:02}:00Z");
        sandbox.set("GIT_COMMITTER_DATE", &date);
        sandbox.set("GIT_AUTHOR_DATE", &date);
    };
    next(&mut sandbox);
    sandbox.commit("Begin", &[("README", "x")]);
    next(&mut sandbox);
    sandbox.commit("Pay by card", &[("services/checkout/pay.rs", "1")]);
    sandbox.git(&["tag", "v1.0.0"]);
    next(&mut sandbox);
    sandbox.git(&["switch", "-q", "-c", "topic"]);
    sandbox.commit("On the side", &[("services/search/lib.rs", "1")]);
    sandbox.git(&["switch", "-q", "main"]);
    next(&mut sandbox);
    sandbox.commit("fix: round half up", &[("services/checkout/pay.rs", "2")]);
    next(&mut sandbox);
    sandbox.git(&["merge", "-q", "--no-ff", "-m", "Search", "topic"]);
    next(&mut sandbox);
    sandbox.git(&["tag", "-a", "-m", "As promised", "v1.1.0"]);
    next(&mut sandbox);
    sandbox.git(&["tag", "-a", "-m", "Not a version", "nightly", "v1.0.0^{commit}"]);
    next(&mut sandbox);
    sandbox.commit("Later", &[("README", "y")]);
    sandbox.unset("GIT_COMMITTER_DATE");
    sandbox.unset("GIT_AUTHOR_DATE");
    // Push without the hook, so that the journal stays empty.
    sandbox.git(&[
        "push",
        "-q",
        "--tags",
        &sandbox.path("git/acme/shop.git").display().to_string(),
        "main",
        "topic",
    ]);
    sandbox.clear_state();
    sandbox
}

fn attempt(sandbox: &Sandbox, args: &[&str]) -> Ran {
    sandbox.binary(&[&["try", "git/acme/shop.git"], args].concat())
}

/// Returns the output of `try --json`: the pushes and the summary.
fn as_json(sandbox: &Sandbox, args: &[&str]) -> (Vec<Value>, Value) {
    let ran = attempt(sandbox, &[&["--json"], args].concat());
    ran.succeeded_or_found();
    let mut lines: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let summary = lines.pop().expect("a summary");
    (lines, summary)
}

const SITE: &str = r#"fn decide(update) {
    if update.title == "Later" { throw "not yet" }
    if update.version != () { return true; }
    if update.branch == () { return skip("no version"); }
    mark(#{ kind: "deployment", environment: "prod" })
}
fn guard(marker, update) {
    if marker.title.starts_with("fix") { return refuse("frozen"); }
}
"#;

#[test]
fn table_lists_marked_updates_and_counts_the_rest() {
    let sandbox = history();
    sandbox.write("scripts/site.rhai", SITE);
    let ran = attempt(&sandbox, &[]);
    assert_eq!((ran.code, &*ran.stderr), (Some(1), ""), "a failing policy exits with 1");
    assert_as_it_is(&sandbox, "try.txt", &ran.stdout);
    assert_as_it_is(&sandbox, "try-verbose.txt", &attempt(&sandbox, &["-v"]).stdout);
    assert_as_it_is(&sandbox, "try-help.txt", &sandbox.binary(&["try", "--help"]).succeeded().stdout);

    fs::remove_file(sandbox.path("scripts/site.rhai")).expect("removed");
    let quiet = attempt(&sandbox, &["-q"]);
    assert_eq!(quiet.succeeded().stdout.lines().count(), 1 + 7, "heads and markers only: {}", quiet.stdout);
}

#[test]
fn policies_are_compared_by_gained_lost_and_changed_markers() {
    let sandbox = history();
    sandbox.write("old.rhai", SITE);
    let new = SITE
        .replace("throw \"not yet\"", "return skip(\"later\");")
        .replace("return refuse(\"frozen\");", "")
        .replace(
            "return true;",
            "return mark(#{ version: \"v\" + update.version, attributes: #{ team: \"pay\" } });",
        )
        .replace("if update.branch == ()", "if update.branch == () || update.title == \"Begin\"");
    sandbox.write("new.rhai", &new);
    let ran = attempt(&sandbox, &["--policy", "new.rhai", "--against", "old.rhai"]);
    assert_eq!((ran.code, &*ran.stderr), (Some(1), ""));
    assert_as_it_is(&sandbox, "try-against.txt", &ran.stdout);

    let (changes, summary) = as_json(&sandbox, &["--policy", "new.rhai", "--against", "old.rhai"]);
    let words: Vec<_> = changes.iter().map(|change| change["change"].as_str().expect("a word")).collect();
    assert_eq!(words, ["lost", "changed", "gained", "changed", "failure"]);
    assert_eq!(
        changes[1]["fields"],
        json!([
            { "name": "version", "old": "1.0.0", "new": "v1.0.0" },
            { "name": "attributes.team", "old": null, "new": "pay" },
        ])
    );
    assert_eq!(
        (&changes[0]["old"]["outcome"], &changes[0]["new"]["outcome"]),
        (&json!("marked"), &json!("skipped"))
    );
    assert_eq!(summary["summary"]["gained"], 1);

    let same = attempt(&sandbox, &["--policy", "old.rhai", "--against", "old.rhai"]);
    assert!(same.succeeded().stdout.starts_with("no differences\n"), "{}", same.stdout);
    // Without a value, `--against` uses the configured policy.
    sandbox.write("scripts/site.rhai", SITE);
    attempt(&sandbox, &["--policy", "old.rhai", "--against"]).succeeded();
    assert_eq!(attempt(&sandbox, &["--policy", "new.rhai", "--against"]).code, Some(1));
}

#[test]
fn try_writes_nothing() {
    let sandbox = history();
    sandbox.write("scripts/site.rhai", SITE);
    sandbox.write("other.rhai", SITE);
    let before = sandbox.tree();
    for args in [&[][..], &["--json"], &["--all", "-v"], &["--policy", "other.rhai", "--against"]] {
        attempt(&sandbox, args).succeeded_or_found();
        sandbox.binary(&[&["try", "clone"], args].concat()).succeeded_or_found();
    }
    assert_eq!(sandbox.tree(), before);
}

#[test]
fn try_matches_the_hook_on_the_same_pushes() {
    let sandbox = history();
    // The hook sees all tags today, and `try` sees each at its own time.
    sandbox.configure(
        "[policy]\nbackfill_after = \"36500d\"\n[[service]]\nrepository = \"acme/shop\"\npaths = [\"services/checkout/**\"]\nname = \"checkout\"\n\
         [[service]]\nrepository = \"acme/*\"\npaths = [\"services/search/**\"]\nname = \"search\"\n",
    );
    let (pushes, _) = as_json(&sandbox, &[]);
    assert_eq!(pushes.len(), 8, "five commits by first parents, three tags: {pushes:#?}");
    for push in &pushes {
        let word = |name: &str| push[name].as_str().expect("text");
        sandbox
            .hook(format!("{} {} {}\n", word("old_id"), word("new_id"), word("ref")).as_bytes())
            .succeeded();
    }
    let key = |marker: &Value| {
        let mut marker = marker.clone();
        let attributes = marker["attributes"].as_object_mut().expect("attributes");
        // Remove what only a captured push has, and what depends on it.
        attributes.retain(|name, _| {
            let of_the_push = [
                "user.id",
                "gitea_lightstep.transport",
                "gitea_lightstep.repository.id",
                "gitea_lightstep.pusher.kind",
            ];
            // `try` shows what follows from the other fields, which the spool does not repeat.
            let is_repeated = matches!(
                &**name,
                "gitea_lightstep.marker.id"
                    | "gitea_lightstep.push.id"
                    | "user.name"
                    | "vcs.owner.name"
                    | "vcs.repository.name"
                    | "vcs.repository.url.full"
                    | "vcs.ref.head.name"
                    | "vcs.ref.head.revision"
            );
            // `try` does not have a key for hashes either.
            !is_repeated && !of_the_push.contains(&&**name) && !name.ends_with(".hash")
        });
        let source = marker["source"].as_object_mut().expect("a source");
        source.retain(|name, _| name != "pusher" && name != "repository_url");
        let object = marker.as_object_mut().expect("an object");
        for name in ["id", "time", "by", "push"] {
            object.remove(name);
        }
        marker
    };
    let tried: Vec<_> =
        pushes.iter().flat_map(|push| push["markers"].as_array().expect("markers")).map(key).collect();
    let hooked: Vec<_> = sandbox.waiting("unassigned").iter().map(key).collect();
    assert_eq!(tried.len(), 7, "two tags of two services each, and three changes of one");
    let sorted = |markers: Vec<Value>| {
        let mut texts: Vec<_> = markers.iter().map(ToString::to_string).collect();
        texts.sort();
        texts
    };
    assert_eq!(sorted(tried), sorted(hooked));
    let outcomes = |entries: &[Value]| -> Vec<_> {
        entries
            .iter()
            .map(|entry| (entry["outcome"].clone(), entry["why"].as_str().unwrap_or("").to_string()))
            .collect()
    };
    assert_eq!(outcomes(&pushes), outcomes(&sandbox.decisions()));
}

#[test]
fn second_run_has_the_same_ids() {
    let sandbox = history();
    let first = attempt(&sandbox, &["--json"]).stdout;
    assert_eq!(attempt(&sandbox, &["--json"]).stdout, first);
    let elsewhere = attempt(&sandbox, &["--json", "--repository", "Acme/Shop"]).stdout;
    let ids = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines
            .flat_map(|line| line["markers"].as_array().cloned().unwrap_or_default())
            .map(|marker| marker["attributes"]["gitea_lightstep.push.id"].to_string())
            .collect()
    };
    assert_eq!(ids(&elsewhere), ids(&first), "ids ignore the case of the repository name");
    assert_ne!(ids(&attempt(&sandbox, &["--json", "--repository", "acme/other"]).stdout), ids(&first));
}

#[test]
fn pushes_are_selected_by_options() {
    let sandbox = history();
    let refs = |args: &[&str]| -> Vec<String> {
        as_json(&sandbox, args).0.iter().map(|push| push["ref"].as_str().expect("text").to_string()).collect()
    };
    let all = [
        "refs/heads/main",
        "refs/heads/main",
        "refs/tags/v1.0.0",
        "refs/heads/main",
        "refs/heads/main",
        "refs/tags/v1.1.0",
        "refs/tags/nightly",
        "refs/heads/main",
    ];
    assert_eq!(
        refs(&[]),
        all,
        "a lightweight tag follows its commit, an annotated one is sorted by its own date"
    );
    assert_eq!(refs(&["--all"]), all);
    assert_eq!(refs(&["--last", "3"]), all[5..]);
    let topic = refs(&["--branch", "topic"]);
    assert_eq!(topic.iter().filter(|name| **name == "refs/heads/topic").count(), 3);

    // A clone with a work tree works too, but its repository name must be given.
    let (pushes, summary) = {
        let ran = sandbox.binary(&["try", "clone", "--json"]);
        let mut lines: Vec<Value> =
            ran.succeeded().stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let summary = lines.pop().expect("a summary");
        (lines, summary)
    };
    assert_eq!(pushes.len(), 8);
    assert_eq!(summary["repository"], "acme/shop", "the name of its origin");

    sandbox.git_in(
        &sandbox.path(""),
        &[
            "clone",
            "-q",
            "--bare",
            "--depth",
            "2",
            &format!("file://{}", sandbox.bare().display()),
            "shallow.git",
        ],
    );
    let shallow = sandbox.binary(&["try", "shallow.git"]);
    assert!(shallow.succeeded().stdout.contains("the clone is shallow"), "{}", shallow.stdout);
}

#[test]
fn commits_are_in_topological_order_despite_skewed_clocks() {
    let mut sandbox = history();
    for (title, date) in
        [("Back", "2020-01-01T00:00:00Z"), ("Forth", "2030-01-01T00:00:00Z"), ("Now", "2026-11-21T00:00:00Z")]
    {
        sandbox.set("GIT_COMMITTER_DATE", date);
        sandbox.commit(title, &[("README", title)]);
    }
    let bare = sandbox.bare();
    sandbox.git(&["push", "-q", &bare.display().to_string(), "main"]);
    let git = sandbox.git(&["rev-list", "--first-parent", "--reverse", "main"]);
    for _ in 0..2 {
        let (pushes, _) = as_json(&sandbox, &["--all"]);
        let commits = pushes.iter().filter(|push| push["ref"] == "refs/heads/main");
        let ids: Vec<_> = commits.map(|push| push["new_id"].as_str().expect("an id")).collect();
        assert_eq!(ids.join("\n"), git);
        // Repeat with a commit-graph.
        sandbox.git_in(&bare, &["commit-graph", "write", "--reachable"]);
    }
}

#[test]
fn draft_policy_imports_from_the_configured_directory() {
    let sandbox = history();
    sandbox.write("scripts/lib/kinds.rhai", "fn kind() { \"rollback\" }");
    sandbox.write(
        "draft.rhai",
        "import \"lib/kinds\" as kinds;\nfn decide(update) { mark(#{ kind: kinds::kind() }) }",
    );
    let (_, summary) = as_json(&sandbox, &["--policy", "draft.rhai"]);
    assert_eq!(summary["summary"]["kinds"], json!({ "rollback": 8 }));
}

#[test]
fn try_works_on_a_sha256_repository() {
    let sandbox = Sandbox::with_object_format("sha256");
    sandbox.commit("One", &[("a", "1")]);
    sandbox.commit("Two", &[("a", "2")]);
    sandbox.git(&["push", "-q", "origin", "main"]);
    sandbox.write("p.rhai", "fn decide(update) { update.changed_paths.len() == 1 && !update.is_rewind }");
    let (pushes, summary) = as_json(&sandbox, &["--policy", "p.rhai"]);
    assert_eq!(summary["summary"]["markers"], 2);
    assert_eq!(pushes[0]["old_id"], "0".repeat(64));
}

#[test]
fn try_errors_are_reported() {
    let sandbox = history();
    sandbox.write("broken.rhai", "fn decide(update) {\n    if {\n}");
    sandbox.git_in(&sandbox.path(""), &["init", "-q", "--bare", "empty.git"]);
    sandbox.git(&["checkout", "-q", "--detach"]);
    let said = [
        (&["nowhere"][..], "there is no directory `nowhere`, and no repository of that name in the journal"),
        (&["git"], "git` is not a git repository: it has neither `HEAD` nor `.git`"),
        (&["empty.git"], "there is no `refs/heads/main` in this repository"),
        (&["clone"], "HEAD does not point to a branch; choose one with `--branch`"),
        (&["git/acme/shop.git", "--branch", "mian"], "there is no `refs/heads/mian` in this repository"),
        (&["git/acme/shop.git", "--policy", "broken.rhai"], "broken.rhai:2:8: "),
        (&["git/acme/shop.git", "--policy", "none.rhai"], "failed to read `none.rhai`"),
    ];
    for (args, why) in said {
        let ran = sandbox.binary(&[&["try"], args].concat());
        assert_eq!(ran.code, Some(1), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(why), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    for args in [&["--last", "x"][..], &["--all", "--last", "3"], &["--repository", "shop"]] {
        assert_eq!(attempt(&sandbox, args).code, Some(2), "{args:?}");
    }
}

#[test]
fn try_exits_quietly_on_a_closed_pipe() {
    let sandbox = history();
    let line = format!(
        "exec 2>&1; {{ {BINARY} try git/acme/shop.git --json --config config.toml; echo status $? >&2; }} | head -n 1 >/dev/null"
    );
    for _ in 0..5 {
        let ran = sandbox.run(sandbox.command("sh", &sandbox.path("")).arg("-c").arg(&line), b"");
        assert_eq!(ran.succeeded().stdout, "status 0\n");
    }
}

#[test]
fn slow_try_shows_and_removes_a_progress_bar() {
    let sandbox = history();
    // Eight pushes take eight times the limit, regardless of the machine's speed.
    sandbox.configure("[policy.limits]\noperations = 10_000_000_000\ntime = \"250ms\"\n");
    sandbox.write("slow.rhai", "fn decide(update) { loop {} }");
    let args = ["try", "git/acme/shop.git", "--policy", "slow.rhai"];
    let ran = on_terminal(&sandbox, &args, "");
    let text = &ran.stdout;
    assert!(text.contains(" of 8 pushes tried, "), "{text:?}");
    assert!(
        text.contains("\r\x1b[2Kacme/shop: "),
        "the progress line is erased before the answer is printed: {text:?}"
    );
    assert_eq!(ran.code, Some(1), "every decision hit its time limit");
}

#[test]
fn policy_that_reads_the_pusher_is_told_of_once_and_tried_as_a_user() {
    let sandbox = history();
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) {\n    update.push.pusher.name == \"ann\" && update.branch != ()\n}\n",
    );
    let ran = attempt(&sandbox, &[]);
    assert_eq!(ran.code, Some(1));
    let hint = "the policy reads `pusher`, which is `()` here; --as USER tries it as if USER had pushed";
    assert_eq!(ran.stdout.matches(hint).count(), 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("     8  site.rhai:2:24: `()` has no property `name`"), "{}", ran.stdout);
    let ran = attempt(&sandbox, &["--as", "ann"]);
    assert!(ran.succeeded().stdout.contains("5 markers: 5 change"), "{}", ran.stdout);
    assert!(ran.stdout.contains("`pusher` is ann") && !ran.stdout.contains(hint), "{}", ran.stdout);
    assert!(attempt(&sandbox, &["--as", "bo"]).succeeded().stdout.contains("no markers"));
    assert_eq!(attempt(&sandbox, &["--as", ""]).code, Some(2));
    // Markers name the user, and a comparison takes the option too.
    let (pushes, _) = as_json(&sandbox, &["--as", "ann"]);
    let marker = pushes.iter().find_map(|push| push["markers"].get(0)).expect("a marker");
    assert_eq!(marker["attributes"]["user.name"], "ann");
    sandbox.write("draft.rhai", "fn decide(update) { update.push.pusher.name == \"bo\" }");
    let ran = attempt(&sandbox, &["--as", "ann", "--policy", "draft.rhai", "--against"]);
    assert!(ran.stdout.contains("5"), "{}", ran.stdout);
    // A script that it imports may read it.
    sandbox.write("scripts/lib/people.rhai", "fn name(push) { push.pusher.name }");
    sandbox.write(
        "scripts/site.rhai",
        "import \"lib/people\" as people;\nfn decide(update) { people::name(update.push) == \"ann\" }",
    );
    assert_eq!(attempt(&sandbox, &[]).stdout.matches(hint).count(), 1);
    // A policy that does not read it is not told of.
    sandbox.write("scripts/site.rhai", "fn decide(update) { update.branch != () }");
    assert!(!attempt(&sandbox, &[]).succeeded().stdout.contains("--as"));
}
