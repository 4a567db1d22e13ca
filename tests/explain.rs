//! `explain`: the full history of an update with every possible outcome, and the message for an
//! unknown update.

use std::{fs, slice::from_ref};

use serde_json::{Value, json};

use crate::support::{
    BINARY, Ran, Sandbox, assert_golden,
    backend::{Backend, Say},
};

const SITE: &str = r#"fn enrich(marker, update) {
    marker.attributes.team = "pay";
    marker
}

fn guard(marker, update) {
    if marker.environment == "frozen" {
        return refuse("frozen until Monday");
    }
}
"#;

const SHOP: &str = r#"fn decide(update) {
    let environment = update.push.options.deploy;
    if environment != () {
        return [mark(#{ kind: "deployment", environment: environment }), mark()];
    }
    if update.branch == "main" {
        return true;
    }
    skip("only main")
}
"#;

/// Creates a sandbox with a policy of two layers and two commits on `main`, and returns the second
/// commit.
fn bench() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.write("scripts/site.rhai", SITE);
    sandbox.write("scripts/acme/shop.rhai", SHOP);
    sandbox.commit("One", &[("a", "1")]);
    let commit = sandbox.commit("Two", &[("a", "2")]);
    (sandbox, commit)
}

fn explain(sandbox: &Sandbox, args: &[&str]) -> Ran {
    sandbox.binary(&[&["explain"], args].concat())
}

fn as_json(sandbox: &Sandbox, args: &[&str]) -> Value {
    let ran = explain(sandbox, &[&["--json"], args].concat());
    serde_json::from_str(&ran.succeeded_or_found().stdout).expect("JSON")
}

/// Replaces the durations of requests, which the golden files cannot contain.
fn without_durations(text: &str) -> String {
    let parts = text.split(" ms");
    let mut parts: Vec<_> = parts.map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit())).collect();
    let last = parts.pop().unwrap_or_default();
    parts.iter().map(|part| format!("{part}N ms")).collect::<String>() + last
}

#[test]
fn deployment_is_explained_from_push_to_answer() {
    let (sandbox, _) = bench();
    let backend = Backend::start();
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    sandbox.deliver_to(&backend.endpoint(), "");
    let explained = explain(&sandbox, &["acme/shop", "main"]);
    assert_golden(&sandbox, "explain-waiting.txt", &explained.succeeded().stdout);

    backend.say([Say::NotNow, Say::NotNow]);
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(sandbox.deliveries().last().expect("a delivery")["outcome"], "retried");
    backend.say([]);
    fs::remove_file(sandbox.state().join("outbox/collector/standing.json")).expect("remove the back-off");
    sandbox.binary(&["deliver"]).succeeded();
    let explained = explain(&sandbox, &["acme/shop", "main"]);
    assert_golden(&sandbox, "explain.txt", &without_durations(&explained.succeeded().stdout));
    assert_golden(&sandbox, "explain-help.txt", &explain(&sandbox, &["--help"]).succeeded().stdout);

    let answer = as_json(&sandbox, &["acme/shop", "main"]);
    let update = &answer["updates"][0];
    let retries = &update["retries"]["collector"];
    let step = &update["today"]["steps"][0];
    assert_eq!(retries["times"], 1);
    assert_eq!(update["deliveries"].as_array().map(Vec::len), Some(1));
    assert_eq!(step["said"], "mark(kind \"deployment\", environment \"prod\")");
    assert_eq!(step["source"], "return [mark(#{ kind: \"deployment\", environment: environment }), mark()];");
}

#[test]
fn unmarked_update_is_explained() {
    let (sandbox, _) = bench();
    sandbox.push(&["main:topic"]).succeeded();
    sandbox.push(&["-o", "deploy=frozen", "main:night"]).succeeded();
    sandbox.write("scripts/acme/shop.rhai", "fn decide(update) {\n    update.brnch\n}\n");
    sandbox.push(&["main:broken"]).succeeded();
    let mut report = String::new();
    for branch in ["topic", "night", "broken"] {
        report += &explain(&sandbox, &["acme/shop", branch]).succeeded().stdout;
        report += "\n";
    }
    // The script of the first two no longer exists, so no line of it is shown.
    assert_golden(&sandbox, "explain-without.txt", &report);
    assert!(!report.contains("| skip("), "{report}");
}

#[test]
fn update_is_found_by_each_of_its_names() {
    let (sandbox, commit) = bench();
    let first = sandbox.git(&["rev-parse", "HEAD^"]);
    sandbox.push(&["main"]).succeeded();
    sandbox.git(&["tag", "-a", "-m", "It is out", "v1.0.0"]);
    sandbox.push(&["v1.0.0"]).succeeded();
    sandbox.push(&["main:topic"]).succeeded();
    sandbox.push(&[":topic"]).succeeded();
    let refs = |args: &[&str]| -> Vec<(String, bool)> {
        let updates = as_json(&sandbox, args)["updates"].as_array().cloned().expect("updates");
        updates
            .iter()
            .map(|update| {
                let decision = &update["decision"];
                let is_deleted = decision["new_id"] == "0".repeat(40);
                (decision["ref"].as_str().expect("text").to_string(), is_deleted)
            })
            .collect()
    };
    let (main, tag) = (("refs/heads/main".to_string(), false), ("refs/tags/v1.0.0".to_string(), false));
    let [topic, gone] = [false, true].map(|is_deleted| ("refs/heads/topic".to_string(), is_deleted));
    for repository in ["acme/shop", "Acme/SHOP", "acme/shop.git", "git/acme/shop.git", "git/acme/shop.git/"] {
        assert_eq!(refs(&[repository, "main"]), from_ref(&main), "{repository}");
    }
    assert_eq!(refs(&["acme/shop"]), from_ref(&gone), "without a revision, the latest push");
    assert_eq!(refs(&["acme/shop", "refs/tags/v1.0.0"]), from_ref(&tag));
    assert_eq!(refs(&["acme/shop", "v1.0.0"]), from_ref(&tag));
    assert_eq!(refs(&["acme/shop", "topic"]), [topic.clone(), gone.clone()]);
    assert_eq!(refs(&["acme/shop", "topic", "--last", "1"]), from_ref(&gone));
    // The tag leads to the commit.
    let with_tag = [main.clone(), tag, topic, gone];
    assert_eq!(refs(&["acme/shop", &commit]), with_tag);
    assert_eq!(refs(&["acme/shop", &commit[..7].to_uppercase()]), with_tag);
    assert_eq!(refs(&["git/acme/shop.git", &commit[..7]]), with_tag);
    assert_eq!(refs(&["clone", "--repository", "acme/shop", &commit[..7]]), with_tag);

    // A commit that arrived together with a later one does not have its own record.
    let answer = as_json(&sandbox, &["git/acme/shop.git", &first[..10]]);
    assert_eq!(
        (&answer["came_with"], &answer["updates"][0]["decision"]["ref"]),
        (&json!(first), &json!(main.0))
    );
    let report = explain(&sandbox, &["git/acme/shop.git", &first]);
    let head = format!("commit {} was not the tip of any push; it came in with this one:\n", &first[..12]);
    assert!(report.succeeded().stdout.starts_with(&head), "{}", report.stdout);
}

#[test]
fn dead_letter_manual_retry_and_drop_are_explained() {
    let (sandbox, _) = bench();
    let backend = Backend::start();
    sandbox.push(&["main"]).succeeded();
    sandbox.deliver_to(&backend.endpoint(), "");
    backend.always_say(Say::Never);
    assert_eq!(sandbox.binary(&["deliver"]).code, Some(1));
    let report = explain(&sandbox, &["acme/shop"]).succeeded().stdout.clone();
    assert!(report.contains("collector: refused permanently 20"), "{report}");
    assert!(report.contains("collector: dead since 20"), "{report}");
    let id = as_json(&sandbox, &["acme/shop"])["updates"][0]["waits"][0]["id"]
        .as_str()
        .expect("an id")
        .to_string();
    sandbox.binary(&["queue", "show", &id]).succeeded();

    sandbox.binary(&["queue", "retry", &id]).succeeded();
    let report = explain(&sandbox, &["acme/shop"]).succeeded().stdout.clone();
    assert!(report.contains("put back, was for collector"), "{report}");
    assert!(report.contains(&format!("collector: queued; `gitea-lightstep queue show {id}`")), "{report}");
    sandbox.binary(&["queue", "drop", "--yes", &id]).succeeded();
    let report = explain(&sandbox, &["acme/shop"]).succeeded().stdout.clone();
    assert!(report.contains("dropped, was for collector"), "{report}");
    let waits = as_json(&sandbox, &["acme/shop"])["updates"][0]["waits"].clone();
    assert_eq!(waits, json!([]));
}

#[test]
fn changed_policy_is_replayed() {
    let (sandbox, _) = bench();
    sandbox.push(&["main"]).succeeded();
    sandbox.write("scripts/acme/shop.rhai", SHOP.replace("return true;", "return skip(\"not today\");"));
    let report = explain(&sandbox, &["acme/shop"]).succeeded().stdout.clone();
    assert!(
        report.contains("the policy has changed since, and decides differently: skipped: not today"),
        "{report}"
    );
    let today = as_json(&sandbox, &["acme/shop"])["updates"][0]["today"].clone();
    assert_eq!((&today["is_same_policy"], &today["is_same_outcome"]), (&json!(false), &json!(false)));

    // The policy cannot run again without the repository.
    fs::rename(sandbox.path("git/acme/shop.git"), sandbox.path("git/acme/moved.git")).expect("moved");
    let report = explain(&sandbox, &["acme/shop"]).succeeded().stdout.clone();
    assert!(report.contains("the policy cannot be run again: `"), "{report}");
    let moved = ["git/acme/moved.git", "--repository", "acme/shop"];
    assert!(explain(&sandbox, &moved).succeeded().stdout.contains("not today"));
}

#[test]
fn line_of_an_imported_script_is_shown() {
    let (sandbox, _) = bench();
    sandbox.write("scripts/lib/rules.rhai", "fn kind(update) {\n    mark(#{ kind: \"rollback\" })\n}\n");
    sandbox.write(
        "scripts/acme/shop.rhai",
        "import \"lib/rules\" as rules;\nfn decide(update) {\n    rules::kind(update)\n}\n",
    );
    sandbox.push(&["main"]).succeeded();
    let step = as_json(&sandbox, &["acme/shop"])["updates"][0]["today"]["steps"][0].clone();
    assert_eq!(step["said"], "mark(kind \"rollback\")");
    assert_eq!(step["source"], "mark(#{ kind: \"rollback\" })");
    assert_eq!(step["by"], sandbox.path("scripts/lib/rules.rhai:2").display().to_string());
}

#[test]
fn unknown_update_is_reported_with_possible_reasons() {
    let (sandbox, commit) = bench();
    let none = explain(&sandbox, &["acme/shop"]);
    assert_eq!((none.code, &*none.stderr), (Some(1), ""));
    assert!(none.stdout.contains("which has no journal yet"), "{}", none.stdout);

    sandbox.push(&["main"]).succeeded();
    let mut report = String::new();
    for args in
        [&["acme/shop", "prod"][..], &["acme/shop", &commit.replace(&commit[..4], "0000")], &["acme/other"]]
    {
        let ran = explain(&sandbox, args);
        assert_eq!((ran.code, &*ran.stderr), (Some(1), ""), "{args:?}");
        report += &ran.stdout;
        report += "\n";
    }
    assert_golden(&sandbox, "explain-nothing.txt", &report);
    assert_eq!(as_json(&sandbox, &["acme/other"])["updates"], json!([]));
    let misspelt = explain(&sandbox, &["acme/shp"]).stdout;
    let near = "  - the journal has nothing about the repository `acme/shp`; did you mean `acme/shop`?\n";
    assert!(misspelt.contains(near), "{misspelt}");

    // A push that is captured but not yet decided.
    sandbox.configure("[policy.limits]\ntime = \"1ns\"\n");
    sandbox.push(&["main:late"]).succeeded();
    sandbox.configure("");
    let late = explain(&sandbox, &["acme/shop", "late"]);
    assert_eq!(late.code, Some(1));
    assert!(
        late.stdout.contains("1 push of this repository not decided yet: `gitea-lightstep queue show "),
        "{}",
        late.stdout
    );
}

#[test]
fn explain_changes_nothing() {
    let (sandbox, _) = bench();
    sandbox.push(&["main"]).succeeded();
    let before = sandbox.tree();
    for args in [&["acme/shop"][..], &["git/acme/shop.git", "main", "--json"], &["acme/shop", "nothing"]] {
        explain(&sandbox, args).succeeded_or_found();
    }
    assert_eq!(sandbox.tree(), before);
}

#[test]
fn long_journal_is_searched_in_little_memory() {
    let (sandbox, _) = bench();
    sandbox.push(&["main"]).succeeded();
    let journal = fs::read_dir(sandbox.state().join("journal"))
        .expect("a journal")
        .next()
        .expect("a file")
        .expect("a file")
        .path();
    let own = fs::read_to_string(&journal).expect("text");
    // Surround our entries with 20 MB of another repository's and with invalid JSON.
    let others = own.replace("acme/shop", "acme/other").replace("\"repository_id\":", "\"repository_id\":1");
    let others = others + "{\"time\":\"2026-";
    let others = (others + "\n").repeat(8_000);
    fs::write(&journal, format!("{others}{own}{others}")).expect("written");
    let mut command = sandbox.command("bash", &sandbox.path(""));
    command.args([
        "-c",
        "ulimit -d 16384; exec \"$0\" \"$@\"",
        BINARY,
        "explain",
        "acme/shop",
        "main",
        "--config",
    ]);
    let ran = sandbox.run(command.arg(sandbox.path("config.toml")), b"");
    assert!(
        ran.succeeded().stdout.starts_with("refs/heads/main in acme/shop: nothing -> "),
        "{}",
        ran.stdout
    );
}

#[test]
fn tag_made_in_gitea_is_named_as_the_cause() {
    let sandbox = Sandbox::new();
    sandbox.commit("One", &[]);
    sandbox.push(&["main"]).succeeded();
    // As Gitea does for a release.
    let bare = sandbox.bare();
    sandbox.git_in(&bare, &["tag", "v1.0.0", "main"]);
    sandbox.git_in(
        &bare,
        &["-c", "user.name=A", "-c", "user.email=a@x", "tag", "-a", "-m", "two", "checkout/v2.0.0", "main"],
    );
    sandbox.git_in(&bare, &["branch", "renamed", "main"]);
    let said = |args: &[&str]| {
        let ran = sandbox.binary(&[&["explain"], args].concat());
        assert_eq!(ran.code, Some(1), "{args:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout
    };
    let cause = "made in its pages or API";
    for rev in ["v1.0.0", "checkout/v2.0.0", "refs/tags/v1.0.0"] {
        let said = said(&["git/acme/shop.git", rev]);
        let short = rev.trim_start_matches("refs/tags/");
        let starts =
            format!("the tag `{short}` exists, but no push in the journal made it: Gitea runs no hook");
        assert!(said.contains(&starts) && said.contains(cause), "{rev}: {said}");
    }
    let branch = said(&["git/acme/shop.git", "renamed"]);
    assert!(
        branch.contains("the branch `renamed` exists") && branch.contains("is renamed in its pages"),
        "{branch}"
    );
    for args in [["git/acme/shop.git", "v9"], ["acme/shop", "refs/heads/other"], ["acme/shop", "0123abc"]] {
        assert!(!said(&args).contains(cause), "{args:?}");
    }
    let json = said(&["git/acme/shop.git", "v1.0.0", "--json"]);
    assert!(json.contains("the tag `v1.0.0` exists"), "{json}");
    // A pushed tag has its update, whatever else was made in Gitea.
    sandbox.git(&["tag", "v3.0.0"]);
    sandbox.push(&["v3.0.0"]).succeeded();
    assert!(!sandbox.binary(&["explain", "git/acme/shop.git", "v3.0.0"]).succeeded().stdout.contains(cause));
    // Without the repository, it may be a tag.
    sandbox.rename("git/acme/elsewhere.git");
    let named = said(&["acme/shop", "v1.0.0"]);
    assert!(named.contains("it is a tag, and Gitea runs no hook") && named.contains(cause), "{named}");
}
