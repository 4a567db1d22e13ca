//! `mark`: deployments, rollbacks, releases and changes by command, and around a deploy script.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    process::{Command, Stdio},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BINARY, Ran, Sandbox, backend::Backend, signal, terminal::run_on_terminal, wait_until};

/// Attributes that say what brought the update, when, and how a push moved the ref.
const OF_PUSH: [&str; 6] = [
    "gitea_lightstep.push.source",
    "gitea_lightstep.transport",
    "gitea_lightstep.ref.update",
    "user.id",
    "gitea_lightstep.previous.time",
    "gitea_lightstep.range.lead_time",
];

/// A sandbox with two commits on the default branch. The first one has the tag v1.0.0.
fn pushed() -> (Sandbox, [String; 2]) {
    let sandbox = Sandbox::new();
    let first = sandbox.commit("Pay by card", &[("file", "1")]);
    sandbox.git(&["tag", "-a", "-m", "First", "v1.0.0"]);
    let second = sandbox.commit("Pay by phone", &[("file", "2")]);
    sandbox.push(&["main", "v1.0.0"]).succeeded();
    (sandbox, [first, second])
}

/// Runs `mark`, and returns the markers that it made.
#[track_caller]
fn mark(sandbox: &Sandbox, args: &[&str]) -> (Ran, Vec<Value>) {
    let before = sandbox.waiting("unassigned");
    let ran = sandbox.binary(&[&["mark"], args].concat());
    let new = sandbox.waiting("unassigned").into_iter().filter(|marker| !before.contains(marker));
    let new: Vec<Value> = new.collect();
    assert_eq!(ran.code == Some(0), !new.is_empty(), "{ran:?}");
    (ran, new)
}

/// Runs `mark`, which makes one marker.
#[track_caller]
fn marked(sandbox: &Sandbox, args: &[&str]) -> Value {
    let (ran, mut new) = mark(sandbox, args);
    assert_eq!(new.len(), 1, "{ran:?}");
    new.remove(0)
}

/// Runs `mark`, checks that it marks nothing, and returns its message.
#[track_caller]
fn unmarked(sandbox: &Sandbox, code: i32, args: &[&str]) -> String {
    let (ran, _) = mark(sandbox, args);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
    ran.stderr
}

/// Pushes a ref, and returns the new markers.
#[track_caller]
fn push(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let before = sandbox.waiting("unassigned");
    sandbox.push(args).succeeded();
    sandbox.waiting("unassigned").into_iter().filter(|marker| !before.contains(marker)).collect()
}

/// Returns a command that runs `mark --run` in the sandbox.
fn wrapping(sandbox: &Sandbox, args: &[&str], words: &[&str]) -> Command {
    let mut command = sandbox.command(BINARY, &sandbox.path(""));
    command.arg("mark").args(args).arg("--config").arg(sandbox.path("config.toml"));
    command.args(["--run", "--"]).args(words);
    command
}

/// Runs a shell script with `mark --run` as a deployment to prod.
fn wrap(sandbox: &Sandbox, script: &str) -> Ran {
    sandbox.run(
        &mut wrapping(sandbox, &["acme/shop", "--environment", "prod"], &["sh", "-c", script]),
        b"typed\n",
    )
}

fn text<'a>(marker: &'a Value, name: &str) -> &'a str {
    marker["attributes"][name].as_str().unwrap_or_default()
}

fn base(marker: &Value) -> &str {
    text(marker, "vcs.ref.base.revision")
}

fn status(marker: &Value) -> &str {
    text(marker, "deployment.status")
}

/// Returns a marker without what differs between a push and a command, and without its environment.
fn essence(mut marker: Value) -> Value {
    let fields = marker.as_object_mut().expect("an object");
    for name in ["id", "push", "time", "environment"] {
        fields.remove(name);
    }
    let attributes = fields["attributes"].as_object_mut().expect("attributes");
    OF_PUSH.iter().for_each(|name| drop(attributes.remove(*name)));
    marker
}

#[test]
fn deployment_is_the_same_as_by_push() {
    let (sandbox, _) = pushed();
    sandbox.configure(
        "[[service]]\nrepository = \"acme/shop\"\nname = \"checkout\"\nowner = \"payments\"\n\
         links = { page = \"https://example.com/{service}/{version}\" }\n",
    );
    sandbox.write(
        "scripts/site.rhai",
        "fn enrich(marker, update) { marker.attributes.seen = update.ref; marker }",
    );
    let [start, end] = [-600, -60].map(|ago| {
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ago);
        time.round(jiff::Unit::Second).expect("a time").to_string()
    });
    let of_push = [format!("deploy.started={start}"), format!("deploy.finished={end}")];
    let times = ["--started", &start, "--ended", &end];
    for (nth, (options, more)) in [
        (&[][..], &[][..]),
        (&["-o", "deploy.status=failed"], &["--status", "failed"]),
        (&["-o", "deploy.status=succeeded"], &["--status", "succeeded"]),
        (&["-o", "deploy.service=checkout"], &["--service", "checkout"]),
        (&["-o", &of_push[0], "-o", &of_push[1]], &times),
    ]
    .into_iter()
    .enumerate()
    {
        sandbox.commit(&format!("Number {nth}\n\nCloses ACME-{nth}"), &[("file", &format!("n{nth}"))]);
        let mut by_push = push(&sandbox, &[&["-o", "deploy=one"], options, &["main:go"]].concat());
        let by_command =
            marked(&sandbox, &[&["acme/shop", "go", "--environment", "two", "--by", "ann"], more].concat());
        assert_eq!(text(&by_command, "gitea_lightstep.push.source"), "command");
        assert_eq!(by_command["source"]["pusher"], "ann");
        assert_eq!((by_push.len(), by_command["environment"].as_str()), (1, Some("two")));
        assert_eq!(essence(by_command), essence(by_push.remove(0)), "{more:?}");
    }
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn options_are_in_the_marker() {
    let (sandbox, [first, second]) = pushed();
    let deployed = marked(
        &sandbox,
        &[
            "acme/shop",
            "v1.0.0",
            "--environment",
            "prod",
            "--service",
            "other",
            "--version",
            "7=x",
            "--title=-- By hand",
            "--by",
            "bo",
            "--id",
            "CHG-1042",
            "--traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "--traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        ],
    );
    assert_eq!(
        [&deployed["kind"], &deployed["service"], &deployed["version"], &deployed["title"]],
        ["deployment", "other", "7=x", "-- By hand"]
    );
    assert_eq!([&deployed["source"]["commit"], &deployed["source"]["pusher"]], [first.as_str(), "bo"]);
    assert_eq!(deployed["source"]["ref_name"], "v1.0.0");
    assert_eq!(text(&deployed, "deployment.id"), "CHG-1042");
    assert_eq!(
        deployed["links"],
        serde_json::json!([
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        ])
    );
    assert_eq!(deployed["source"]["repository_url"], "https://git.example.com/acme/shop");
    // A script that sets version or title wins, as it does against a rule of the service.
    let script = "fn decide(u) { mark(#{ kind: \"deployment\", environment: u.push.options.deploy, version: \"s\" }) }";
    sandbox.write("scripts/site.rhai", script);
    let deployed = marked(&sandbox, &["acme/shop", "--environment", "qa", "--version", "7", "--title", "T"]);
    assert_eq!([&deployed["version"], &deployed["title"]], ["s", "T"]);
    assert_eq!(deployed["source"]["commit"], second.as_str());
}

#[test]
fn marks_only_what_was_asked_for() {
    let (sandbox, [first, second]) = pushed();
    let kind = |kind: &str, rev: &str| {
        let marker = marked(&sandbox, &["acme/shop", rev, "--kind", kind]);
        assert_eq!(marker["kind"], kind);
        assert_eq!((base(&marker), text(&marker, "gitea_lightstep.ref.update")), ("", ""));
        marker
    };
    assert_eq!(kind("release", "v1.0.0")["version"], "1.0.0");
    assert_eq!(kind("change", "main")["source"]["commit"], second.as_str());
    assert_eq!(kind("change", "v1.0.0")["source"]["commit"], first.as_str());
    let rollback = marked(&sandbox, &["acme/shop", "--kind", "rollback", "--environment", "prod"]);
    assert_eq!([&rollback["kind"], &rollback["environment"]], ["rollback", "prod"]);
    // The update does not move its ref.
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(u) { skip(`${u.push.source} ${u.ref} ${u.ref_update} ${u.is_created} ${u.is_rewind} ${u.commit_count} \
         ${u.old_id == u.new_id} ${u.changed_paths.len()} ${u.push.options[\"mark.kind\"]}`) }",
    );
    let said = unmarked(&sandbox, 1, &["acme/shop", "--kind", "release"]);
    assert!(
        said.contains("not marked: command refs/heads/main  false false 0 true 1 release (site.rhai:1)"),
        "{said}"
    );
}

/// Options for the command only have no effect in a push.
#[test]
fn push_cannot_use_the_options_of_the_command() {
    let (sandbox, _) = pushed();
    let ran = sandbox.push(&[
        "-o",
        "mark.kind=release",
        "-o",
        "mark.version=9",
        "-o",
        "mark.title=Forged",
        "-o",
        "deploy=prod",
        "main:topic",
    ]);
    let said = ran.succeeded().remote().join("\n");
    assert!(said.contains("the push option `mark.kind` has no effect"), "{said}");
    let marker = sandbox.waiting("unassigned").pop().expect("a marker");
    assert_eq!([&marker["kind"], &marker["title"]], ["deployment", "Pay by phone"]);
    assert_ne!(marker["version"], "9");
}

#[test]
fn policy_refuses_as_for_a_push() {
    let (sandbox, _) = pushed();
    let refused = |script: &str, args: &[&str]| {
        sandbox.write("scripts/site.rhai", script);
        unmarked(&sandbox, 1, &[&["acme/shop"], args].concat())
    };
    let prod = ["--environment", "prod"];
    let guard = "fn guard(marker, update) {\n    if update.push.options.deploy == \"prod\" { return refuse(\"frozen\"); }\n}";
    assert!(refused(guard, &prod).contains("refused: frozen (site.rhai:2)"));
    marked(&sandbox, &["acme/shop", "--environment", "qa"]);
    assert!(
        refused("fn decide(update) { false }", &prod)
            .contains("not marked: the policy asked for no marker (site.rhai")
    );
    assert!(refused("fn decide(update) { [] }", &prod).contains("not marked: "));
    let decision = sandbox.decisions().pop().expect("a decision");
    assert_eq!(decision["old_id"], decision["new_id"]);
    // A failure waits like that of a push, and is decided when the policy is mended.
    let failed = refused("fn decide(update) {\n    throw \"oh\"\n}", &prod);
    assert!(failed.contains("the policy failed: site.rhai:2"), "{failed}");
    assert!(failed.contains("the marker follows when it is fixed"), "{failed}");
    let before = sandbox.waiting("unassigned").len();
    sandbox.write("scripts/site.rhai", "fn decide(update) { built_in::decide(update) }");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    wait_until("the mark is decided", || sandbox.waiting("unassigned").len() == before + 1);
    assert_eq!(sandbox.files("failed"), [""; 0]);
}

#[test]
fn environments_and_services_of_the_site_are_closed() {
    let (sandbox, _) = pushed();
    sandbox.configure_first(
        "environments = [\"staging\", \"production\"]",
        "[[service]]\nrepository = \"acme/other\"\nname = \"checkout\"\n",
    );
    let said = unmarked(&sandbox, 1, &["acme/shop", "--environment", "prodution"]);
    assert!(
        said.contains("refused: this site has no environment `prodution`; did you mean `production`?"),
        "{said}"
    );
    let said = unmarked(&sandbox, 1, &["acme/shop", "--environment", "staging", "--service", "checkout"]);
    assert!(said.contains("refused: the service `checkout` belongs to another repository"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(sandbox.files("inbox"), [""; 0]);
    // A service's own list is closed, too, and a misspelt service is a note.
    sandbox.configure(
        "[[service]]\nrepository = \"acme/shop\"\nname = \"web\"\npaths = [\"web/**\"]\nenvironments = { live = [] }\n\
         [[service]]\nrepository = \"acme/shop\"\nname = \"api\"\npaths = [\"api/**\"]\n",
    );
    let said = unmarked(&sandbox, 1, &["acme/shop", "--environment", "prod", "--service", "web"]);
    assert!(said.contains("not marked: "), "{said}");
    let (ran, _) = mark(&sandbox, &["acme/shop", "--environment", "prod", "--service", "apy"]);
    assert!(
        ran.stderr.contains("note: no service of this repository is called `apy`; did you mean `api`?"),
        "{ran:?}"
    );
}

#[test]
fn redeploy_promotion_and_rollback_continue_the_history_of_pushes() {
    let (sandbox, [first, second]) = pushed();
    push(&sandbox, &["-o", "deploy=staging", "main:a"]);
    push(&sandbox, &["-o", "deploy=prod", "v1.0.0^{}:refs/heads/b"]);
    // Each redeploy has a separate marker.
    let again = [0, 1].map(|_| marked(&sandbox, &["acme/shop", "--environment", "staging"]));
    assert_ne!(again[0]["id"], again[1]["id"]);
    for marker in &again {
        assert_eq!((base(marker), text(marker, "gitea_lightstep.range.relation")), (second.as_str(), "same"));
    }
    let failed = marked(&sandbox, &["acme/shop", "--environment", "prod", "--status", "failed"]);
    assert_eq!((status(&failed), base(&failed)), ("failed", first.as_str()));
    let promoted = marked(&sandbox, &["acme/shop", "--environment", "prod"]);
    assert_eq!((&promoted["kind"], base(&promoted)), (&json!("deployment"), first.as_str()));
    assert_eq!(promoted["attributes"]["gitea_lightstep.range.commits"], 1);
    assert_eq!(text(&promoted, "gitea_lightstep.previous.known_from"), "state");
    let back = marked(&sandbox, &["acme/shop", "v1.0.0", "--environment", "prod"]);
    assert_eq!((&back["kind"], base(&back)), (&json!("rollback"), second.as_str()));
    // The next push goes on from there.
    let next = push(&sandbox, &["-o", "deploy=prod", "main:c"]).remove(0);
    assert_eq!(base(&next), first);
    assert_eq!(next["attributes"]["gitea_lightstep.previous.time"], back["time"]);
}

/// A branch that stands for an environment has not moved, so it says nothing of what ran before.
#[test]
fn redeploy_of_an_environment_branch_is_marked() {
    let sandbox = Sandbox::new();
    sandbox.configure(
        "[[service]]\nrepository = \"acme/shop\"\nname = \"web\"\npaths = [\"web/**\"]\nenvironments = { prod = \"prod\" }\n\
         [[service]]\nrepository = \"acme/shop\"\nname = \"api\"\npaths = [\"api/**\"]\nenvironments = { prod = \"prod\" }\n",
    );
    let commit = sandbox.commit("Both", &[("web/a", "1"), ("api/a", "1")]);
    sandbox.push(&["main"]).succeeded();
    sandbox.git_in(&sandbox.bare(), &["update-ref", "refs/heads/prod", &commit]);
    let services = |markers: &[Value]| -> Vec<String> {
        markers.iter().map(|marker| marker["service"].as_str().expect("text").to_string()).collect()
    };
    let (_, first) = mark(&sandbox, &["acme/shop", "prod", "--environment", "prod"]);
    assert_eq!(services(&first), ["web", "api"]);
    assert_eq!(text(&first[0], "gitea_lightstep.range.relation"), "first_deployment");
    let (ran, again) = mark(&sandbox, &["acme/shop", "prod", "--environment", "prod"]);
    assert_eq!(services(&again), ["web", "api"]);
    assert_eq!(ran.stdout.lines().count(), 2);
    assert_eq!(text(&again[0], "gitea_lightstep.range.relation"), "same");
    // As for a push, a service that did not change is not deployed again, unless it is named.
    sandbox.commit("Web", &[("web/a", "2")]);
    sandbox.push(&["main"]).succeeded();
    let (_, next) = mark(&sandbox, &["acme/shop", "main", "--environment", "prod"]);
    assert_eq!(services(&next), ["web"]);
    let (_, named) = mark(&sandbox, &["acme/shop", "main", "--environment", "prod", "--service", "api"]);
    assert_eq!(services(&named), ["api"]);
}

#[test]
fn repository_is_named_by_any_name_and_revision_by_anything_git_understands() {
    let (sandbox, [first, second]) = pushed();
    push(&sandbox, &["-o", "deploy=prod", "main:go"]);
    sandbox.git_in(&sandbox.bare(), &["update-ref", "refs/pull/1/head", &first]);
    let bare = sandbox.bare().display().to_string();
    for (repo, rev, ref_name, commit) in [
        ("acme/shop", "HEAD", "main", &second),
        ("ACME/Shop", "@", "main", &second),
        (&bare, "go", "go", &second),
        ("git/acme/shop.git", "refs/tags/v1.0.0", "v1.0.0", &first),
        ("acme/shop", &second[..9], "main", &second),
        ("acme/shop", "main~1", "main", &first),
        ("acme/shop", "refs/pull/1/head", "refs/pull/1/head", &first),
    ] {
        let marker = marked(&sandbox, &[repo, rev, "--environment", "prod"]);
        assert_eq!(marker["source"]["ref_name"], ref_name, "{repo} {rev}");
        assert_eq!(marker["source"]["commit"], commit.as_str(), "{repo} {rev}");
        assert_eq!(text(&marker, "gitea_lightstep.previous.known_from"), "state", "{repo} {rev}");
        assert_eq!(marker["attributes"]["vcs.repository.id"], Value::Null);
        assert_eq!(marker["attributes"]["gitea_lightstep.repository.id"], 42, "{marker}");
    }
    // Gitea's ID survives a rename.
    sandbox.rename("git/acme/store.git");
    sandbox.push(&["main:topic"]).succeeded();
    for repo in ["acme/shop", "acme/store"] {
        let marker = marked(&sandbox, &[repo, "topic", "--environment", "prod"]);
        assert_eq!((&marker["service"], base(&marker).is_empty()), (&json!("store"), false), "{repo}");
    }
    for (rev, why) in [
        ("none", "`none` is not a branch, a tag or a unique prefix of a commit id"),
        ("main:file", "`main:file` is not a commit"),
        ("main~9", "git's rev-parse finds nothing"),
    ] {
        let said = unmarked(&sandbox, 1, &["acme/store", rev, "--environment", "prod"]);
        assert!(said.contains(why), "{said}");
    }
    assert!(
        unmarked(&sandbox, 1, &["acme/none", "--environment", "prod"]).contains("no repository of that name")
    );
}

#[test]
fn repository_without_a_push_can_be_marked() {
    let (sandbox, _) = pushed();
    sandbox.clear_state();
    fs::create_dir(sandbox.state()).expect("a directory");
    let bare = sandbox.bare().display().to_string();
    let (ran, markers) = mark(&sandbox, &[&bare, "--environment", "prod"]);
    assert!(ran.stderr.contains("the journal has no push to `acme/shop`"), "{ran:?}");
    assert_eq!((markers.len(), text(&markers[0], "gitea_lightstep.range.relation")), (1, "first_deployment"));
    let (ran, markers) = mark(&sandbox, &[&bare, "--environment", "prod"]);
    assert_eq!((ran.stderr.as_str(), text(&markers[0], "gitea_lightstep.range.relation")), ("", "same"));
    // A wiki is not its repository.
    sandbox.git_in(&sandbox.path(""), &["clone", "-q", "--bare", &bare, "git/acme/shop.wiki.git"]);
    sandbox.git_in(&sandbox.path("git/acme/shop.wiki.git"), &["remote", "remove", "origin"]);
    assert!(
        unmarked(&sandbox, 1, &["git/acme/shop.wiki.git", "--environment", "prod"])
            .contains("a wiki is not a service")
    );
}

#[test]
fn options_that_cannot_be_true_are_refused() {
    let (sandbox, _) = pushed();
    let now = jiff::Timestamp::now();
    let later = (now + jiff::SignedDuration::from_hours(1)).to_string();
    let nine_days_ago = (now - jiff::SignedDuration::from_hours(9 * 24)).to_string();
    let of_prod = ["acme/shop", "--environment", "prod"];
    for (args, why) in [
        (&["--started", "1h", "--ended", "2h"][..], "ends before it starts"),
        (&["--started", &later], "starts in the future"),
        (&["--started", "1h", "--ended", &later], "ends in the future"),
        (&["--started", "1970-01-01"], "took more than seven days"),
        (&["--started", "1970-01-01", "--ended", "1970-01-02"], "ended more than seven days ago"),
        (&["--started", &nine_days_ago], "took more than seven days"),
        (&["--started", "soon"], "expected a time such as"),
        (&["--started", ""], "expected a time such as"),
        (&["--ended", "1h"], "--started"),
        (&["--status", "running"], "[possible values: succeeded, failed]"),
        (&["--kind", "verdict"], "[possible values: change, release, deployment, rollback]"),
        (&["--service", " "], "must not be empty"),
        (&["--by", "a\nb"], "must be one line"),
        (&["--run"], "<COMMAND>"),
        (&["--", "true"], "--run"),
        (&["--json", "--run", "--", "true"], "--json"),
    ] {
        let mut command = sandbox.command(BINARY, &sandbox.path(""));
        command.args(["mark", "--config"]).arg(sandbox.path("config.toml")).args(of_prod).args(args);
        let ran = sandbox.run(&mut command, b"");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(why), "{args:?}: {}", ran.stderr);
    }
    for (args, why) in [
        (&["acme/shop"][..], "a deployment needs --environment ENV"),
        (&["acme/shop", "--kind", "rollback"], "a rollback needs --environment ENV"),
        (&["acme/shop", "--kind", "change", "--environment", "prod"], "--environment is for deployments"),
        (&["acme/shop", "--kind", "release", "--status", "failed"], "--status is for deployments"),
        (&["acme/shop", "--kind", "release", "--started", "1h"], "--started is for deployments"),
    ] {
        assert!(unmarked(&sandbox, 2, args).contains(why), "{args:?}");
    }
    // Times are taken as they are shown.
    let marker =
        marked(&sandbox, &[&of_prod[..], &["--started", "10 minutes ago", "--ended", "5min"]].concat());
    let shown = sandbox.binary(&["log", "--last", "1"]).stdout;
    let shown = shown.split_whitespace().next().expect("a time").to_string();
    marked(&sandbox, &[&of_prod[..], &["--started", &shown]].concat());
    assert_ne!(marker["interval"]["start"], marker["interval"]["end"]);
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn dry_run_writes_nothing() {
    let (sandbox, [_, second]) = pushed();
    sandbox.configure("[people]\nemails = \"hashed\"\n");
    let before = sandbox.tree();
    let dry = |args: &[&str]| {
        sandbox.binary(&[&["mark", "acme/shop", "--dry-run", "--environment"], args].concat())
    };
    let ran = dry(&["prod"]);
    let short = &second[..12];
    assert!(
        ran.succeeded().stdout.starts_with(&format!("would mark: deployment shop {short} to prod, trace ")),
        "{ran:?}"
    );
    let json: Value = serde_json::from_str(&dry(&["prod", "--json"]).succeeded().stdout).expect("JSON");
    assert_eq!(
        (&json["dry_run"], &json["push"], &json["outcome"]),
        (&json!(true), &Value::Null, &json!("marked"))
    );
    assert_eq!(sandbox.tree(), before);
    sandbox.write("scripts/site.rhai", "fn decide(update) { throw 1 }");
    let before = sandbox.tree();
    let ran = dry(&["prod"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("the policy failed: site.rhai:1"), "{ran:?}");
    assert!(!ran.stderr.contains("follows"), "{ran:?}");
    assert_eq!(sandbox.tree(), before);
}

#[test]
fn json_has_the_outcome_and_the_markers() {
    let (sandbox, [first, _]) = pushed();
    let json = |code: i32, args: &[&str]| -> Value {
        let ran = sandbox.binary(&[&["mark", "acme/shop", "--json"], args].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(code), ""), "{ran:?}");
        serde_json::from_str(&ran.stdout).expect("JSON")
    };
    let said = json(0, &["v1.0.0", "--environment", "prod"]);
    assert_eq!([&said["outcome"], &said["ref"], &said["commit"]], ["marked", "refs/tags/v1.0.0", &first]);
    assert_eq!([&said["markers"][0]["version"], &said["markers"][0]["environment"]], ["1.0.0", "prod"]);
    assert_eq!(said["push"], sandbox.decisions().pop().expect("a decision")["push"]);
    sandbox.write("scripts/site.rhai", "fn guard(marker, update) { refuse(\"frozen\") }");
    let said = json(1, &["--environment", "prod"]);
    assert_eq!([&said["outcome"], &said["why"]], ["refused", "frozen"]);
    assert!(said["by"].as_str().is_some_and(|by| by.ends_with("site.rhai:1")), "{said}");
}

#[test]
fn journal_log_and_explain_name_the_command() {
    let (sandbox, [_, second]) = pushed();
    let (ran, _) = mark(&sandbox, &["acme/shop", "--environment", "prod", "--by", "bo"]);
    let record = sandbox.journal().into_iter().rfind(|record| record["record"] == "push").expect("a push");
    assert_eq!([&record["source"], &record["pusher"]["name"]], ["command", "bo"]);
    assert_eq!(
        (&record["repository_id"], &record["root_url"]),
        (&json!(42), &json!("https://git.example.com/"))
    );
    let short = &second[..12];
    let log = sandbox.binary(&["log", "-v", "--last", "2"]).stdout;
    assert!(log.contains("acme/shop by bo (command): 1 update"), "{log}");
    assert!(
        log.contains(&format!("acme/shop main by bo (command): deployment shop {short} in prod")),
        "{log}"
    );
    let explained = sandbox.binary(&["explain", "acme/shop", &second]).stdout;
    assert!(explained.contains(&format!("refs/heads/main in acme/shop: {short}\n")), "{explained}");
    for part in [
        "by bo (command)",
        "mark.kind=deployment, deploy=prod",
        "the policy is the same, and decides the same",
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    assert!(ran.stdout.starts_with(&format!("deployment shop {short} to prod, trace ")), "{ran:?}");
    assert_eq!(ran.stderr, "");
}

#[test]
fn mark_is_delivered_in_the_background() {
    let (sandbox, _) = pushed();
    let backend = Backend::start();
    sandbox.deliver_to(&backend.endpoint(), "[reply]\nto_pusher = \"nothing\"\n");
    let ran = sandbox.binary(&["mark", "acme/shop", "--environment", "prod"]);
    // The site's setting is for pushers.
    assert!(ran.succeeded().stdout.starts_with("deployment shop "), "{ran:?}");
    wait_until("the marker is delivered", || {
        sandbox.deliveries().iter().any(|delivery| delivery["outcome"] == "delivered")
            && sandbox.files("outbox/collector/new").is_empty()
    });
    assert_eq!(sandbox.files("inbox"), [""; 0]);
}

#[test]
fn git_hooks_page_of_the_repository_decides_too() {
    let (sandbox, _) = pushed();
    let page = format!("#!{BINARY} hook\nfn guard(marker, update) {{ refuse(\"page\") }}\n");
    sandbox.executable("git/acme/shop.git/hooks/post-receive.d/post-receive", &page);
    let said = unmarked(&sandbox, 1, &["acme/shop", "--environment", "prod"]);
    assert!(said.contains("refused: page ("), "{said}");
}

#[test]
fn state_that_cannot_be_written_is_an_error() {
    let (sandbox, _) = pushed();
    fs::remove_dir_all(sandbox.state()).expect("removed");
    fs::write(sandbox.state(), "").expect("a file in its place");
    let bare = sandbox.bare().display().to_string();
    let ran = sandbox.binary(&["mark", &bare, "--environment", "prod"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("failed to"), "{ran:?}");
    let script = sandbox.run(
        &mut wrapping(&sandbox, &[&bare, "--environment", "prod"], &["sh", "-c", "echo ran; exit 4"]),
        b"",
    );
    assert_eq!((script.code, script.stdout.as_str()), (Some(4), "ran\n"), "{script:?}");
    assert!(script.stderr.contains("the deployment is not marked; when this is fixed, run `"), "{script:?}");
}

#[test]
fn run_marks_the_command_and_passes_everything_on() {
    let (mut sandbox, [_, second]) = pushed();
    let ran = wrap(
        &sandbox,
        "read word; echo \"out $word\"; echo err >&2; echo $OTEL_RESOURCE_ATTRIBUTES; echo $GITEA_LIGHTSTEP_LINK$TRACEPARENT",
    );
    let lines: Vec<&str> = ran.succeeded().stdout.lines().collect();
    assert_eq!(lines[0], "out typed");
    for part in
        ["service.name=shop", "deployment.environment.name=prod", &format!("service.version={second}")]
    {
        assert!(lines[1].contains(part), "{}", lines[1]);
    }
    assert!(lines[2].starts_with("00-") && lines.len() == 3, "{lines:?}");
    let errors: Vec<&str> = ran.stderr.lines().collect();
    assert!(
        errors[0] == "err" && errors[1].starts_with("deployment shop ") && errors.len() == 2,
        "{errors:?}"
    );
    let marker = sandbox.waiting("unassigned").pop().expect("a marker");
    assert_eq!((status(&marker), marker["interval"].is_object()), ("succeeded", true));
    // Variables that are set stay as they are.
    sandbox.set("OTEL_RESOURCE_ATTRIBUTES", "mine");
    assert_eq!(wrap(&sandbox, "echo $OTEL_RESOURCE_ATTRIBUTES").stdout, "mine\n");
    // The commit is that of the start.
    let clone = sandbox.path("clone").display().to_string();
    let ran = wrap(
        &sandbox,
        &format!("cd {clone} && git commit -q --allow-empty -m Later && git push -q origin main"),
    );
    ran.succeeded();
    let marker = sandbox.waiting("unassigned").pop().expect("a marker");
    assert_eq!((&marker["kind"], &marker["source"]["commit"]), (&json!("deployment"), &json!(second)));
}

#[test]
fn run_marks_a_failure_and_keeps_the_exit_status() {
    let (sandbox, _) = pushed();
    let last = || sandbox.waiting("unassigned").pop().expect("a marker");
    for code in [1, 2, 77, 126, 255] {
        assert_eq!(wrap(&sandbox, &format!("exit {code}")).code, Some(code));
        assert_eq!(status(&last()), "failed");
    }
    let args = ["acme/shop", "--environment", "prod"];
    let missing = sandbox.run(&mut wrapping(&sandbox, &args, &["./none"]), b"");
    assert_eq!((missing.code, status(&last())), (Some(127), "failed"));
    assert!(missing.stderr.contains("failed to run `./none`: No such file"), "{missing:?}");
    sandbox.write("plain", "text");
    fs::set_permissions(sandbox.path("plain"), fs::Permissions::from_mode(0o644)).expect("permissions");
    assert_eq!(sandbox.run(&mut wrapping(&sandbox, &args, &["./plain"]), b"").code, Some(126));
    // A policy that refuses does not fail the command.
    sandbox.write("scripts/site.rhai", "fn guard(marker, update) { refuse(\"frozen\") }");
    let before = sandbox.waiting("unassigned").len();
    let ran = wrap(&sandbox, "exit 0");
    assert!(ran.succeeded().stderr.contains("refused: frozen"), "{ran:?}");
    // An option that cannot be meant is found before anything runs.
    let ran = sandbox.run(&mut wrapping(&sandbox, &["acme/shop"], &["sh", "-c", "echo ran"]), b"");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert_eq!(sandbox.waiting("unassigned").len(), before);
}

#[test]
fn run_ends_as_the_command_does_by_a_signal() {
    let (sandbox, _) = pushed();
    let last = || sandbox.waiting("unassigned").pop().expect("a marker");
    for (name, number) in [("TERM", 15), ("KILL", 9), ("SEGV", 11)] {
        let mut command = wrapping(
            &sandbox,
            &["acme/shop", "--environment", "prod"],
            &["sh", "-c", &format!("kill -{name} $$")],
        );
        let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("started");
        assert_eq!((ended.signal(), status(&last())), (Some(number), "failed"), "{name}");
    }
}

#[test]
fn run_forwards_signals() {
    let (sandbox, _) = pushed();
    for (name, sent) in [("INT", Signal::INT), ("TERM", Signal::TERM), ("HUP", Signal::HUP)] {
        let script = format!("trap 'echo got; exit 0' {name}; echo ready; while :; do sleep 0.05; done");
        let mut command = wrapping(&sandbox, &["acme/shop", "--environment", "prod"], &["sh", "-c", &script]);
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
        let mut lines = BufReader::new(running.stdout.take().expect("a pipe")).lines();
        assert_eq!(lines.next().expect("a line").expect("text"), "ready");
        assert!(signal(&running.id().to_string(), sent));
        assert_eq!(lines.next().expect("a line").expect("text"), "got", "{name}");
        assert_eq!(running.wait().expect("ended").code(), Some(0), "{name}");
        // An interrupted deployment is not one that succeeded.
        let marker = sandbox.waiting("unassigned").pop().expect("a marker");
        assert_eq!(status(&marker), "failed", "{name}");
    }
}

/// The terminal sends Ctrl-C to the command itself, which gets it once.
#[test]
fn run_does_not_repeat_what_the_terminal_sends() {
    let (sandbox, _) = pushed();
    let script =
        "trap 'n=x$n' INT; echo ready; while [ -z $n ]; do sleep 0.05; done; sleep 0.3; echo times $n.";
    let mut command = sandbox.command("setsid", &sandbox.path(""));
    let wrapped = wrapping(&sandbox, &["acme/shop", "--environment", "prod"], &["sh", "-c", script]);
    command.args(["-c", "-w", BINARY]).args(wrapped.get_args());
    let mut is_typed = false;
    let ran = run_on_terminal(&mut command, 200, |shown| {
        if shown.contains("ready") && !std::mem::replace(&mut is_typed, true) {
            return "\u{3}".into();
        }
        String::new()
    });
    assert!(ran.stdout.contains("times x."), "{ran:?}");
    assert_eq!(status(&sandbox.waiting("unassigned").pop().expect("a marker")), "failed");
}

/// A broken marker must not stop a deployment.
#[test]
fn run_runs_the_command_whatever_is_broken() {
    let (sandbox, _) = pushed();
    let before = sandbox.waiting("unassigned").len();
    let run = |args: &[&str]| {
        let words = ["sh", "-c", "echo ran; exit 3"];
        let ran = sandbox.run(&mut wrapping(&sandbox, args, &words), b"");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), "ran\n"), "{args:?}: {ran:?}");
        assert_eq!(sandbox.waiting("unassigned").len(), before, "{args:?}");
        ran.stderr
    };
    assert!(run(&["acme/none", "--environment", "prod"]).contains("no repository of that name"));
    assert!(run(&["acme/shop", "none", "--environment", "prod"]).contains("`none` is not a branch"));
    let good = fs::read_to_string(sandbox.path("config.toml")).expect("text");
    sandbox.write("config.toml", "state_dir = ");
    let said = run(&["acme/shop", "--environment", "prod", "--by", "bo"]);
    assert!(
        said.contains("runs without OTEL_RESOURCE_ATTRIBUTES: failed to load the configuration"),
        "{said}"
    );
    // The proposed command marks it later, with the times and the outcome.
    let proposed = said.split("run `").nth(1).and_then(|rest| rest.split('`').next()).expect("a command");
    sandbox.write("config.toml", good);
    let mut shell = sandbox.command("sh", &sandbox.path(""));
    let later = sandbox.run(shell.args(["-c", proposed]), b"");
    assert!(later.succeeded().stdout.contains(" failed, trace "), "{later:?}");
    let marker = sandbox.waiting("unassigned").pop().expect("a marker");
    assert_eq!((status(&marker), &marker["source"]["pusher"]), ("failed", &json!("bo")));
}
