//! Deployments as people ask for them: one push with several refs, push options as they are typed,
//! old tags, odd clocks, imported history and forced pushes. All of it through the hook.

use serde_json::Value;

use crate::support::{Ran, Sandbox, wait_until};

/// A push: the markers it added to the outbox, the decisions, and the lines for the pusher.
struct Pushed {
    markers: Vec<Value>,
    decisions: Vec<Value>,
    ran: Ran,
}

#[track_caller]
fn push(sandbox: &Sandbox, args: &[&str]) -> Pushed {
    let (before, decided) = (sandbox.waiting("unassigned").len(), sandbox.decisions().len());
    let ran = sandbox.push(args);
    ran.succeeded();
    wait_until("the push is decided", || sandbox.files("inbox").is_empty());
    Pushed {
        markers: sandbox.waiting("unassigned").split_off(before),
        decisions: sandbox.decisions().split_off(decided),
        ran,
    }
}

impl Pushed {
    /// Returns each marker as kind, service, version, environment and ref, in sorted order. Commit
    /// IDs become `COMMIT`.
    fn said(&self) -> Vec<String> {
        let is_id = |version: &str| version.len() == 40 && version.bytes().all(|b| b.is_ascii_hexdigit());
        let describe = |marker: &Value| {
            let version = text(&marker["version"]);
            let version = if is_id(version) { "COMMIT" } else { version };
            let environment = text(&marker["environment"]);
            let environment =
                if environment.is_empty() { String::new() } else { format!(" in {environment}") };
            let (kind, service) = (text(&marker["kind"]), text(&marker["service"]));
            format!("{kind} {service} {version}{environment} by {}", text(&marker["source"]["ref_name"]))
        };
        let mut said: Vec<String> = self.markers.iter().map(describe).collect();
        said.sort();
        said
    }

    #[track_caller]
    fn only(&self, kind: &str) -> &Value {
        let of_kind: Vec<_> = self.markers.iter().filter(|marker| marker["kind"] == kind).collect();
        assert_eq!(of_kind.len(), 1, "{kind}: {:?}", self.said());
        of_kind[0]
    }

    /// Returns the lines for the pusher that are not about a marker, without our name.
    fn complaints(&self) -> Vec<&str> {
        let lines = self.ran.remote().into_iter().filter_map(|line| line.strip_prefix("gitea-lightstep: "));
        lines.filter(|line| !line.contains(", trace ")).collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Configures services of the repository, each with these additional lines.
fn services(sandbox: &Sandbox, before: &str, services: &[(&str, &str)]) {
    let tables = services
        .iter()
        .map(|(name, more)| format!("[[service]]\nrepository = \"acme/*\"\nname = \"{name}\"\n{more}\n"));
    sandbox.configure_first(before, &tables.collect::<String>());
}

const SEVERAL: &str = "no deployment: the push deploys several commits of `shop` to `prod`, and only one of them \
                       can run there; push the ref to deploy alone";

#[test]
fn branch_and_release_tag_of_one_commit_are_one_deployment() {
    let sandbox = Sandbox::new();
    sandbox.commit("Release", &[]);
    sandbox.git(&["tag", "v1.0.0"]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main", "v1.0.0"]);
    assert_eq!(
        pushed.said(),
        [
            "change shop COMMIT by main",
            "deployment shop 1.0.0 in prod by v1.0.0",
            "release shop 1.0.0 by v1.0.0"
        ]
    );
    assert_eq!(pushed.complaints(), [""; 0]);
    assert_eq!(
        pushed.decisions.iter().map(|decision| text(&decision["outcome"])).collect::<Vec<_>>(),
        ["marked", "marked"]
    );
    // `explain` decides with the whole push, too.
    for name in ["main", "v1.0.0"] {
        let explained = sandbox.binary(&["explain", "acme/shop", name]);
        assert!(explained.succeeded().stdout.contains("and decides the same:"), "{}", explained.stdout);
    }
}

#[test]
fn equal_deployments_keep_the_best_version() {
    let sandbox = Sandbox::new();
    sandbox.commit("Release", &[]);
    for (refs, expected) in [
        (&["v1.0.0", "v1.1.0-rc.1", "v1.0.10", "v1.0.9"][..], "1.0.10 in prod by v1.0.10"),
        (&["v2.0.0-rc.1", "latest"], "2.0.0-rc.1 in prod by v2.0.0-rc.1"),
        // A service in the tag is more precise than none.
        (&["topic-a", "topic-b"], "2.0.0 in prod by topic-a"),
    ] {
        for name in refs {
            let prefix = if name.starts_with("topic") { "branch" } else { "tag" };
            sandbox.git(&[prefix, name]);
        }
        if refs.contains(&"topic-a") {
            sandbox.git(&["tag", "v2.0.0"]);
            push(&sandbox, &["v2.0.0"]);
        }
        let pushed = push(&sandbox, &[&["-o", "deploy=prod"], refs].concat());
        let deployments: Vec<_> = pushed.said().into_iter().filter(|said| said.starts_with("depl")).collect();
        assert_eq!(deployments, [format!("deployment shop {expected}")], "{refs:?}");
    }
    // Annotated tags, also of tags, count by their commit.
    sandbox.commit("Next", &[]);
    sandbox.git(&["tag", "-a", "-m", "one", "v3.0.0"]);
    sandbox.git(&["tag", "-a", "-m", "two", "signed-off", "v3.0.0"]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main", "v3.0.0", "signed-off"]);
    assert_eq!(
        pushed.said(),
        [
            "change shop COMMIT by main",
            "deployment shop 3.0.0 in prod by v3.0.0",
            "release shop 3.0.0 by v3.0.0"
        ]
    );
}

#[test]
fn several_commits_for_one_environment_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.commit("First", &[]);
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.commit("Second", &[]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main", "v1.0.0"]);
    assert_eq!(pushed.said(), ["change shop COMMIT by main", "release shop 1.0.0 by v1.0.0"]);
    assert_eq!(pushed.complaints(), [SEVERAL]);
    for decision in &pushed.decisions {
        assert_eq!((text(&decision["outcome"]), text(&decision["why"])), ("refused", &SEVERAL[15..]));
    }
    // `--all` pushes branches at different commits.
    for branch in ["a", "b"] {
        sandbox.git(&["checkout", "-q", "-b", branch, "main"]);
        sandbox.commit(branch, &[]);
    }
    let pushed = push(&sandbox, &["-o", "deploy=prod", "--all"]);
    assert_eq!((pushed.said(), pushed.complaints()), (vec![], vec![SEVERAL]));
    // The next push deploys: nothing of the refused ones is remembered.
    let pushed = push(&sandbox, &["-o", "deploy=prod", "a:refs/heads/c"]);
    let marker = pushed.only("deployment");
    assert_eq!(marker["attributes"]["gitea_lightstep.range.relation"], "first_deployment");
}

#[test]
fn all_branches_at_one_commit_are_one_deployment() {
    let sandbox = Sandbox::new();
    sandbox.commit("First", &[]);
    for branch in ["a", "b", "z"] {
        sandbox.git(&["branch", branch]);
    }
    let pushed = push(&sandbox, &["-o", "deploy=prod", "--all"]);
    assert_eq!(pushed.said(), ["change shop COMMIT by main", "deployment shop COMMIT in prod by main"]);
    assert_eq!(pushed.complaints(), [""; 0]);
}

#[test]
fn deletions_beside_a_deployment_do_not_count() {
    let sandbox = Sandbox::new();
    sandbox.commit("First", &[]);
    push(&sandbox, &["main", "main:refs/heads/old", "main:refs/heads/oldest"]);
    sandbox.commit("Second", &[]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main", ":old"]);
    assert_eq!(pushed.said(), ["change shop COMMIT by main", "deployment shop COMMIT in prod by main"]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", ":refs/heads/oldest", "main:refs/heads/next"]);
    assert_eq!(pushed.said(), ["deployment shop COMMIT in prod by next"]);
}

#[test]
fn services_of_one_push_are_deployed_separately() {
    let sandbox = Sandbox::new();
    let of = [("pay", "paths = [\"pay/**\"]"), ("web", "paths = [\"web/**\"]")];
    services(&sandbox, "", &of);
    sandbox.commit("Pay", &[("pay/a", "1")]);
    sandbox.git(&["tag", "pay-v1.0.0"]);
    sandbox.commit("Web", &[("web/a", "1")]);
    sandbox.git(&["tag", "web-v1.0.0"]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "pay-v1.0.0", "web-v1.0.0"]);
    let deployments = |pushed: &Pushed| -> Vec<String> {
        pushed.said().into_iter().filter(|said| said.starts_with("deployment")).collect()
    };
    assert_eq!(
        deployments(&pushed),
        ["deployment pay 1.0.0 in prod by pay-v1.0.0", "deployment web 1.0.0 in prod by web-v1.0.0"]
    );
    // The branch is at the tag of one of them; the other one gets its deployment from the branch.
    sandbox.commit("Both", &[("web/a", "2"), ("pay/a", "2")]);
    sandbox.git(&["tag", "web-v1.1.0"]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main", "web-v1.1.0"]);
    assert_eq!(
        deployments(&pushed),
        ["deployment pay COMMIT in prod by main", "deployment web 1.1.0 in prod by web-v1.1.0"]
    );
    // Only one service changed.
    sandbox.commit("Pay again", &[("pay/a", "3")]);
    sandbox.git(&["tag", "pay-v1.2.0"]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main", "pay-v1.2.0"]);
    assert_eq!(deployments(&pushed), ["deployment pay 1.2.0 in prod by pay-v1.2.0"]);
    // The tag of one service at another commit than the branch.
    sandbox.git(&["tag", "pay-v1.3.0"]);
    sandbox.commit("Web again", &[("web/a", "3")]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main", "pay-v1.3.0"]);
    assert_eq!(deployments(&pushed), ["deployment web COMMIT in prod by main"]);
    assert_eq!(pushed.complaints(), [SEVERAL.replace("shop", "pay")]);
}

#[test]
fn rules_by_ref_and_scripts_count_like_the_option() {
    let sandbox = Sandbox::new();
    services(&sandbox, "", &[("shop", "environments = { staging = \"main\", prod = [\"live\", \"v*\"] }")]);
    sandbox.commit("First", &[]);
    sandbox.git(&["tag", "v1.0.0"]);
    let pushed = push(&sandbox, &["main", "main:refs/heads/live", "v1.0.0"]);
    assert_eq!(
        pushed.said(),
        [
            "change shop COMMIT by main",
            "deployment shop 1.0.0 in prod by v1.0.0",
            "deployment shop 1.0.0 in staging by main",
            "release shop 1.0.0 by v1.0.0",
        ]
    );
    sandbox.commit("Second", &[]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main", "main:refs/heads/live"]);
    assert_eq!(pushed.said(), ["change shop COMMIT by main", "deployment shop COMMIT in prod by main"]);
    let sandbox = Sandbox::new();
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) { [mark(#{ kind: \"change\" }), mark(#{ kind: \"rollback\", environment: [\" lab \", \"lab\"] })] }",
    );
    sandbox.commit("First", &[]);
    let pushed = push(&sandbox, &["main", "main:refs/heads/b"]);
    assert_eq!(
        pushed.said(),
        ["change shop COMMIT by b", "change shop COMMIT by main", "rollback shop COMMIT in lab by main"]
    );
    let pushed = push(&sandbox, &["main:refs/heads/c"]);
    assert_eq!(pushed.said(), ["change shop COMMIT by c", "rollback shop COMMIT in lab by c"]);
}

#[test]
fn guard_chooses_among_equal_deployments() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "scripts/site.rhai",
        "fn guard(marker, update) {
             if marker.kind == \"deployment\" && update.branch != \"main\" { refuse(\"only main is deployed\") }
         }",
    );
    sandbox.commit("First", &[]);
    sandbox.git(&["tag", "v1.0.0"]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main", "v1.0.0"]);
    assert_eq!(
        pushed.said(),
        [
            "change shop COMMIT by main",
            "deployment shop 1.0.0 in prod by main",
            "release shop 1.0.0 by v1.0.0"
        ]
    );
    // If the guard refuses all of them, the journal says why.
    sandbox.git(&["tag", "v1.1.0"]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main:refs/heads/topic", "v1.1.0"]);
    assert_eq!(pushed.said(), ["release shop 1.1.0 by v1.1.0"]);
    let outcomes: Vec<_> = pushed.decisions.iter().map(|decision| text(&decision["why"])).collect();
    assert!(outcomes.contains(&"only main is deployed"), "{outcomes:?}");
}

#[test]
fn push_that_the_background_finishes_has_the_same_deployment() {
    let mut sandbox = Sandbox::new();
    let commit = sandbox.commit("First", &[]);
    sandbox.push(&["main:refs/heads/other"]).succeeded();
    // Reading 4,000 updates takes longer than this.
    sandbox.configure("[policy.limits]\ntime = \"60ms\"\n");
    let names = (0..4_000).map(|nth| format!("heads/b{nth}")).chain(["tags/v1.0.0".to_string()]);
    let updates: String = names.map(|name| format!("{} {commit} refs/{name}\n", "0".repeat(40))).collect();
    sandbox.set("GIT_PUSH_OPTION_COUNT", "1");
    sandbox.set("GIT_PUSH_OPTION_0", "deploy=prod");
    sandbox.hook(updates.as_bytes()).succeeded();
    assert_eq!(sandbox.files("inbox").len(), 1, "the hook leaves the push");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    wait_until("the push is decided", || sandbox.files("inbox").is_empty());
    let deployments: Vec<_> =
        sandbox.waiting("unassigned").into_iter().filter(|marker| marker["kind"] == "deployment").collect();
    assert_eq!(deployments.len(), 1, "{:?}", sandbox.troubles());
    assert_eq!(deployments[0]["source"]["ref_name"], "v1.0.0");
}

#[test]
fn thousands_of_refs_with_one_deployment_are_decided_at_once() {
    let sandbox = Sandbox::new();
    let commit = sandbox.commit("First", &[]);
    sandbox.push(&["main:refs/heads/other"]).succeeded();
    let update = |name: &str| format!("{} {commit} refs/{name}\n", "0".repeat(40));
    let hook = |sandbox: &mut Sandbox, refs: &[String]| {
        sandbox.set("GIT_PUSH_OPTION_COUNT", "1");
        sandbox.set("GIT_PUSH_OPTION_0", "deploy=prod");
        let ran = sandbox.hook(refs.concat().as_bytes());
        ran.succeeded();
        wait_until("the push is decided", || sandbox.files("inbox").is_empty());
        ran
    };
    let mut sandbox = sandbox;
    let mut refs: Vec<String> = (0..2_500).map(|nth| update(&format!("heads/b{nth}"))).collect();
    refs.push(update("tags/v1.0.0"));
    let ran = hook(&mut sandbox, &refs);
    let deployments: Vec<_> =
        sandbox.waiting("unassigned").into_iter().filter(|marker| marker["kind"] == "deployment").collect();
    assert_eq!(deployments.len(), 1);
    assert_eq!(deployments[0]["source"]["ref_name"], "v1.0.0");
    assert!(ran.took.as_secs() < 20, "{:?}", ran.took);
    // A push that copies a repository deploys nothing.
    let refs: Vec<String> = (0..10_001).map(|nth| update(&format!("heads/c{nth}"))).collect();
    let ran = hook(&mut sandbox, &refs);
    assert_eq!(
        ran.remote_or_own(),
        ["gitea-lightstep: no deployment: the push changes 10001 refs, and deployments are marked only for \
          pushes of up to 10000; push the ref to deploy alone"]
    );
}

#[test]
fn options_are_trimmed() {
    let sandbox = Sandbox::new();
    sandbox.commit("First", &[]);
    for (nth, option) in [
        "deploy=Prod ",
        "deploy= Prod",
        "deploy=\u{a0}Prod\u{2003}",
        " deploy =Prod\t",
        "deploy=Prod\u{3000}",
    ]
    .into_iter()
    .enumerate()
    {
        let pushed = push(&sandbox, &["-o", option, &format!("HEAD:refs/heads/b{nth}")]);
        assert_eq!(pushed.only("deployment")["environment"], "Prod", "{option:?}");
        assert_eq!(pushed.complaints(), [""; 0]);
    }
}

#[test]
fn misspelt_options_are_told_to_the_pusher() {
    let sandbox = Sandbox::new();
    for (option, meant) in
        [("Deploy=prod", "deploy"), ("deploi=prod", "deploy"), ("deploy.servce=shop", "deploy.service")]
    {
        sandbox.commit(option, &[]);
        let pushed = push(&sandbox, &["-o", option, "main", "main:refs/heads/b"]);
        assert_eq!(pushed.said(), ["change shop COMMIT by main"]);
        let key = option.split('=').next().unwrap_or_default();
        let complaint = format!("the push option `{key}` is unknown; did you mean `{meant}`?");
        assert_eq!(pushed.complaints(), [&complaint]);
        assert!(pushed.decisions.iter().any(|decision| decision["missing"] == *complaint), "in the journal");
    }
    // An option of the site's own script is not misspelt.
    sandbox.write(
        "scripts/site.rhai",
        "fn enrich(marker, update) { marker.attributes.of = update.push.options.deploys; marker }",
    );
    sandbox.commit("Last", &[]);
    let pushed = push(&sandbox, &["-o", "deploys=7", "main"]);
    assert_eq!(
        (pushed.only("change")["attributes"]["of"].as_str(), pushed.complaints()),
        (Some("7"), vec![])
    );
}

#[test]
fn option_without_a_value_costs_the_deployment_only() {
    let sandbox = Sandbox::new();
    for (options, complaint) in [
        (
            &["-o", "deploy"][..],
            "no deployment: the push option `deploy` names no environment; push with -o deploy=ENV",
        ),
        (
            &["-o", "deploy= "],
            "no deployment: the push option `deploy` names no environment; push with -o deploy=ENV",
        ),
        (
            &["-o", "deploy=prod", "-o", "deploy.service="],
            "no deployment: the push option `deploy.service` names no service; push with -o deploy.service=NAME",
        ),
    ] {
        sandbox.commit("Change", &[]);
        let pushed = push(&sandbox, &[options, &["main", "main:refs/heads/topic"]].concat());
        assert_eq!(
            (pushed.said(), pushed.complaints()),
            (vec!["change shop COMMIT by main".into()], vec![complaint])
        );
    }
    assert_eq!(sandbox.files("failed"), [""; 0]);
}

#[test]
fn different_values_of_one_option_are_refused() {
    let sandbox = Sandbox::new();
    let complaint = "no deployment: the push option `deploy` has two values, `staging` and `prod`; push once for each \
                     environment";
    for (options, complaints, deployments) in [
        (&["-o", "deploy=staging", "-o", "deploy=prod"][..], &[complaint][..], &[][..]),
        (&["-o", "deploy=prod", "-o", "deploy=prod "], &[], &["deployment shop COMMIT in prod by main"]),
        (
            &["-o", "deploy=prod", "-o", "deploy"],
            &[
                "no deployment: the push option `deploy` has two values, `prod` and nothing; push once for each \
               environment",
            ],
            &[],
        ),
        (
            &["-o", "deploy=prod", "-o", "deploy.service=a", "-o", "deploy.service=b"],
            &["no deployment: the push option `deploy.service` has two values, `a` and `b`; give one"],
            &[],
        ),
    ] {
        sandbox.commit("Change", &[]);
        let pushed = push(&sandbox, &[options, &["main"]].concat());
        let expected: Vec<_> = ["change shop COMMIT by main"].iter().chain(deployments).collect();
        assert_eq!(pushed.said().iter().collect::<Vec<_>>(), expected, "{options:?}");
        assert_eq!(pushed.complaints(), complaints);
    }
}

#[test]
fn closed_list_of_environments_refuses_typos() {
    let sandbox = Sandbox::new();
    sandbox.configure_first("environments = [\"production\", \" staging \"]", "");
    for (named, complaint) in [
        ("prodution", "this site has no environment `prodution`; did you mean `production`?"),
        ("Production", "this site has no environment `Production`; did you mean `production`?"),
        ("moon", "this site has no environment `moon`, expected one of `production`, `staging`"),
    ] {
        sandbox.commit("Change", &[]);
        let pushed = push(&sandbox, &["-o", &format!("deploy={named}"), "main"]);
        assert_eq!(pushed.said(), ["change shop COMMIT by main"]);
        assert_eq!(pushed.complaints(), [format!("no deployment: {complaint}")]);
        assert_eq!(text(&pushed.decisions[0]["outcome"]), "refused");
    }
    let pushed = push(&sandbox, &["-o", "deploy=staging", "main:refs/heads/a"]);
    assert_eq!(pushed.said(), ["deployment shop COMMIT in staging by a"]);
    // A script can make no other environment either, in `decide` or in `enrich`.
    for script in [
        "fn decide(update) { mark(#{ kind: \"deployment\", environment: \"lab\" }) }",
        "fn decide(update) { mark(#{ kind: \"deployment\", environment: \"staging\" }) }\n\
         fn enrich(marker, update) { marker.environment = \"lab\"; marker }",
    ] {
        sandbox.write("scripts/site.rhai", script);
        let pushed = push(&sandbox, &[&format!("+main:refs/heads/s{}", script.len())]);
        assert_eq!(pushed.said(), [""; 0]);
        assert_eq!(text(&pushed.decisions[0]["outcome"]), "refused");
    }
    services(
        &sandbox,
        "environments = [\"production\"]",
        &[("shop", "environments = { prodution = \"main\" }")],
    );
    assert_eq!(
        sandbox.problems(),
        [format!(
            "{}:10:18: `environments` of the site does not list `prodution`; did you mean `production`?",
            sandbox.path("config.toml").display()
        )]
    );
    sandbox.configure_first("environments = []", "");
    let problems = sandbox.problems();
    assert!(problems[0].contains("`environments` is empty"), "{problems:?}");
}

/// Creates an annotated tag with this tagger date, in git's format.
fn annotated(sandbox: &mut Sandbox, tag: &str, date: &str) {
    sandbox.set("GIT_COMMITTER_DATE", date);
    sandbox.git(&["tag", "-a", "-m", tag, tag]);
    sandbox.unset("GIT_COMMITTER_DATE");
}

/// Commits with this date as author and committer, in git's format.
fn commit_at(sandbox: &mut Sandbox, message: &str, date: &str) -> String {
    sandbox.set("GIT_COMMITTER_DATE", date);
    sandbox.set("GIT_AUTHOR_DATE", date);
    let id = sandbox.commit(message, &[]);
    sandbox.unset("GIT_COMMITTER_DATE");
    sandbox.unset("GIT_AUTHOR_DATE");
    id
}

fn is_backfill(marker: &Value) -> bool {
    marker["attributes"]["gitea_lightstep.backfill"] == true
}

fn time(marker: &Value) -> gitea_lightstep::internals::Timestamp {
    text(&marker["time"]).parse().expect("a time")
}

/// Returns a date in git's format, this many seconds before now.
fn ago(seconds: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    format!("{} +0000", now.as_secs() - seconds)
}

#[test]
fn mirrored_tags_are_dated_by_themselves_and_summed_up() {
    let mut sandbox = Sandbox::new();
    for nth in 0..30 {
        commit_at(&mut sandbox, "Old", &format!("{} +0200", 1_300_000_000 + nth * 1000));
        sandbox.git(&["tag", &format!("v1.0.{nth}")]);
    }
    sandbox.commit("Today", &[]);
    sandbox.git(&["tag", "v2.0.0"]);
    let pushed = push(&sandbox, &["--mirror"]);
    let old: Vec<_> = pushed.markers.iter().filter(|marker| is_backfill(marker)).collect();
    assert_eq!((old.len(), pushed.markers.len()), (30, 32));
    for marker in old {
        let nth: i64 = text(&marker["version"]).trim_start_matches("1.0.").parse().expect("a number");
        assert_eq!(
            (text(&marker["kind"]), time(marker).as_second()),
            ("release", 1_300_000_000 + nth * 1000)
        );
    }
    let lines = pushed.ran.remote();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("gitea-lightstep: change shop "), "{lines:?}");
    assert!(lines[1].starts_with("gitea-lightstep: release shop 2.0.0, trace "), "{lines:?}");
    assert_eq!(lines[2], "gitea-lightstep: 30 releases of old tags, each marked at the date of its tag");
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn few_old_tags_have_a_line_each() {
    let mut sandbox = Sandbox::new();
    commit_at(&mut sandbox, "Old", "1300000000 +0000");
    for nth in 0..10 {
        sandbox.git(&["tag", &format!("v1.0.{nth}")]);
    }
    let pushed = push(&sandbox, &["--tags"]);
    assert_eq!(pushed.markers.iter().filter(|marker| is_backfill(marker)).count(), 10);
    let lines = pushed.ran.remote();
    assert!(lines[0].starts_with("gitea-lightstep: release shop 1.0.0 of 2011-03-13, trace "), "{lines:?}");
    assert_eq!((lines.len(), lines[3]), (4, "gitea-lightstep: and 7 more markers"));
}

#[test]
fn dates_of_tags_are_believed_within_bounds() {
    let mut sandbox = Sandbox::new();
    sandbox.commit("Today", &[]);
    let day = 86_400;
    for (tag, date, is_old) in [
        ("v1.0.0", "1300000000 +0000".to_string(), true),
        ("v1.0.1", "1300000000 -1100".to_string(), true),
        ("v1.1.0", ago(day + 600), true),
        ("v1.2.0", ago(day - 600), false),
        ("v1.3.0", ago(60), false),
        ("v1.4.0", "@0 +0000".to_string(), false),
        ("v1.5.0", "@86400 +0000".to_string(), false),
        ("v1.6.0", "315532800 +0000".to_string(), false), // 1980
        ("v1.7.0", "4070908800 +0000".to_string(), false), // 2099
        ("v1.8.0", "473385600 +0000".to_string(), true),  // 1985
    ] {
        annotated(&mut sandbox, tag, &date);
        let pushed = push(&sandbox, &[tag]);
        let marker = pushed.only("release");
        assert_eq!(is_backfill(marker), is_old, "{tag} {date}");
        let seconds: i64 = date
            .trim_start_matches('@')
            .split(' ')
            .next()
            .and_then(|seconds| seconds.parse().ok())
            .expect("seconds");
        assert_eq!(time(marker).as_second() == seconds, is_old, "{tag} {date}");
    }
    // The date of the outermost tag counts, and then that of the commit.
    annotated(&mut sandbox, "inner", "1300000000 +0000");
    sandbox.git(&["tag", "-a", "-m", "outer", "v2.0.0", "inner"]);
    assert!(!is_backfill(push(&sandbox, &["v2.0.0"]).only("release")));
    let old = commit_at(&mut sandbox, "Old", "1300000000 +0000");
    sandbox.git(&["tag", "v3.0.0", &old]);
    assert!(is_backfill(push(&sandbox, &["v3.0.0"]).only("release")));
    sandbox.git(&["tag", "-a", "-m", "today", "v3.1.0", &old]);
    assert!(!is_backfill(push(&sandbox, &["v3.1.0"]).only("release")));
    // A branch is never history.
    assert!(!is_backfill(push(&sandbox, &["main"]).only("change")));
    sandbox.configure("[policy]\nbackfill_after = \"36500d\"\n");
    sandbox.git(&["tag", "v4.0.0", &old]);
    assert!(!is_backfill(push(&sandbox, &["v4.0.0"]).only("release")));
}

#[test]
fn deployment_of_an_old_tag_is_of_today() {
    let mut sandbox = Sandbox::new();
    commit_at(&mut sandbox, "Old", "1300000000 +0000");
    sandbox.git(&["tag", "v1.0.0"]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "v1.0.0"]);
    let (release, deployment) = (pushed.only("release"), pushed.only("deployment"));
    assert!(is_backfill(release) && !is_backfill(deployment), "{:?}", pushed.markers);
    assert!(time(deployment).as_second() > 1_700_000_000);
    // Only the deployment is remembered, and a backfilled release is not deployed by it.
    commit_at(&mut sandbox, "Next", "1300001000 +0000");
    sandbox.git(&["tag", "v1.1.0"]);
    push(&sandbox, &["v1.1.0"]);
    commit_at(&mut sandbox, "Last", "1300002000 +0000");
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main"]);
    assert_eq!(pushed.only("deployment")["attributes"]["gitea_lightstep.range.commits"], 2);
    // A script cannot make a release of today into history, or hide history.
    sandbox.write(
        "scripts/site.rhai",
        "fn enrich(marker, update) {
             if update.version == \"1.2.0\" { marker.attributes.remove(\"gitea_lightstep.backfill\"); }
             else { marker.attributes[\"gitea_lightstep.backfill\"] = true; }
             marker
         }",
    );
    sandbox.git(&["tag", "v1.2.0"]);
    assert!(is_backfill(push(&sandbox, &["v1.2.0"]).only("release")));
    sandbox.commit("Today", &[]);
    sandbox.git(&["tag", "v1.3.0"]);
    assert!(!is_backfill(push(&sandbox, &["v1.3.0"]).only("release")));
}

#[test]
fn old_releases_are_delivered_however_old() {
    let mut sandbox = Sandbox::new();
    commit_at(&mut sandbox, "Old", "1300000000 +0000");
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.deliver_to("http://127.0.0.1:9", "");
    sandbox.push(&["v1.0.0"]).succeeded();
    let _ = sandbox.binary(&["deliver"]);
    let _ = sandbox.binary(&["deliver"]);
    assert_eq!(sandbox.waiting("collector").len(), 1, "{:?}", sandbox.files("dead"));
    assert_eq!(sandbox.files("dead"), [""; 0]);
}

/// Returns how a marker says that its ref moved, and the number of commits that were taken out.
fn moved(marker: &Value) -> (&str, Option<i64>) {
    let attributes = &marker["attributes"];
    (text(&attributes["gitea_lightstep.ref.update"]), attributes["gitea_lightstep.ref.removed"].as_i64())
}

#[test]
fn rewound_branch_is_told_apart_from_a_first_push() {
    let sandbox = Sandbox::new();
    let ids: Vec<_> = (0..5).map(|nth| sandbox.commit(&format!("c{nth}"), &[])).collect();
    let of = |id: &str| format!("+{id}:refs/heads/main");
    for (id, expected) in [
        (&ids[0], ("created", None)),
        (&ids[1], ("fast_forward", None)),
        (&ids[4], ("fast_forward", None)),
        (&ids[1], ("rewound", Some(3))),
        (&ids[2], ("fast_forward", None)),
    ] {
        let pushed = push(&sandbox, &[&of(id)]);
        assert_eq!(moved(pushed.only("change")), expected, "{id}");
    }
    let pushed = push(&sandbox, &[&of(&ids[1])]);
    assert_eq!(moved(pushed.only("change")), ("rewound", Some(1)));
    let line = pushed.ran.remote()[0].to_string();
    assert!(line.contains(&format!("change shop {} rewound by 1 commit, trace ", &ids[1][..12])), "{line}");
    let log = sandbox.binary(&["log"]).stdout;
    assert!(
        log.lines().last().expect("a line").contains(&format!("{} rewound by 1 commit", &ids[1][..12])),
        "{log}"
    );
    let explained = sandbox.binary(&["explain", "acme/shop", "main"]).stdout;
    assert!(explained.contains("rewound by 1 commit ("), "{explained}");
}

#[test]
fn forced_pushes_count_the_commits_they_take_out() {
    let sandbox = Sandbox::new();
    let base = sandbox.commit("Base", &[]);
    for nth in 0..4 {
        sandbox.commit(&format!("Old {nth}"), &[]);
    }
    push(&sandbox, &["main"]);
    sandbox.git(&["reset", "-q", "--hard", &base]);
    sandbox.commit("New", &[]);
    let pushed = push(&sandbox, &["-f", "main"]);
    assert_eq!(moved(pushed.only("change")), ("forced", Some(4)));
    assert!(pushed.ran.remote()[0].contains(" forced over 4 commits, trace "), "{:?}", pushed.ran.remote());
    // An amended commit, a merge of the old one, and unrelated history.
    sandbox.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "Amended"]);
    assert_eq!(moved(push(&sandbox, &["-f", "main"]).only("change")), ("forced", Some(1)));
    sandbox.git(&["checkout", "-q", "-b", "topic", &base]);
    sandbox.commit("Topic", &[]);
    sandbox.git(&["merge", "-q", "--no-edit", "main"]);
    assert_eq!(moved(push(&sandbox, &["topic:main"]).only("change")), ("fast_forward", None));
    sandbox.git(&["checkout", "-q", "--orphan", "other"]);
    sandbox.commit("Another root", &[]);
    let pushed = push(&sandbox, &["-f", "-o", "deploy=prod", "other:main"]);
    assert_eq!(moved(pushed.only("change")), ("forced", Some(4)), "base, topic, amended and the merge");
    // The deployment knows it from the change beside it.
    assert_eq!(moved(pushed.only("deployment")), ("forced", Some(4)));
}

#[test]
fn moved_tags_and_scripts_know_the_movement_of_their_ref() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) { mark(#{ kind: if update.tag == () { \"change\" } else { \"release\" }, version: \"1\", \
         attributes: #{ said: `${update.ref_update} ${update.removed_count}` } }) }",
    );
    let first = sandbox.commit("First", &[]);
    let second = sandbox.commit("Second", &[]);
    let said = |pushed: &Pushed| -> Vec<String> {
        pushed.markers.iter().map(|marker| text(&marker["attributes"]["said"]).to_string()).collect()
    };
    sandbox.git(&["tag", "-a", "-m", "one", "v1.0.0"]);
    let pushed = push(&sandbox, &["main", "v1.0.0"]);
    assert_eq!(said(&pushed), ["created 0", "created 0"]);
    sandbox.git(&["tag", "-f", "-a", "-m", "two", "v1.0.0", &first]);
    let pushed = push(&sandbox, &["-f", "v1.0.0", &format!("{first}:main")]);
    assert_eq!(said(&pushed), ["rewound 1", "rewound 1"]);
    assert_eq!(moved(pushed.only("release")), ("rewound", Some(1)));
    assert_eq!(pushed.only("release")["attributes"]["vcs.ref.base.revision"], second, "not the tag object");
    // The same commit under a new tag object.
    sandbox.git(&["tag", "-f", "-a", "-m", "three", "v1.0.0", &first]);
    assert_eq!(moved(push(&sandbox, &["-f", "v1.0.0"]).only("release")), ("fast_forward", None));
    let base = |pushed: &Pushed| text(&pushed.markers[0]["attributes"]["vcs.ref.base.revision"]).to_string();
    // A tag of a tag, and one that becomes lightweight.
    sandbox.git(&["tag", "-a", "-m", "inner", "inner", &second]);
    sandbox.git(&["tag", "-f", "-a", "-m", "outer", "v1.0.0", "inner"]);
    assert_eq!(base(&push(&sandbox, &["-f", "v1.0.0"])), first);
    sandbox.git(&["tag", "-f", "v1.0.0", &first]);
    assert_eq!(base(&push(&sandbox, &["-f", "v1.0.0"])), second);
    // A tag of a tree has no commit, so its own ID stays.
    let tree = sandbox.git(&["rev-parse", &format!("{first}^{{tree}}")]).trim().to_string();
    sandbox.git(&["tag", "-f", "v1.0.0", &tree]);
    push(&sandbox, &["-f", "v1.0.0"]);
    sandbox.git(&["tag", "-f", "v1.0.0", &first]);
    assert_eq!(base(&push(&sandbox, &["-f", "v1.0.0"])), tree);
    sandbox.git(&["tag", "-f", "-a", "-m", "last", "v1.0.0", &second]);
    push(&sandbox, &["-f", "v1.0.0"]);
    let pushed = push(&sandbox, &[":v1.0.0"]);
    assert_eq!(base(&pushed), second, "a deleted tag");
    assert_eq!((said(&pushed), moved(&pushed.markers[0])), (vec!["deleted ".to_string()], ("deleted", None)));
}

#[test]
fn movement_is_unknown_where_history_ends() {
    let sandbox = Sandbox::new();
    let ids: Vec<_> = (0..4).map(|nth| sandbox.commit(&format!("c{nth}"), &[])).collect();
    push(&sandbox, &["main"]);
    sandbox.write("git/acme/shop.git/shallow", format!("{}\n", ids[3]));
    let stdin = format!("{} {} refs/heads/main\n", ids[0], ids[3]);
    sandbox.hook(stdin.as_bytes()).succeeded();
    assert_eq!(moved(sandbox.waiting("unassigned").last().expect("a marker")), ("", None));
    // The walk for one push is bounded, also if both ends are far apart.
    let sandbox = Sandbox::new();
    let base = sandbox.commit("Base", &[]);
    let mut stream = String::from("feature done\n");
    for (branch, from, count) in [("a", &base, 12_000), ("b", &base, 12_000)] {
        for nth in 0..count {
            let time = 1_700_000_000 + nth;
            let from = if nth == 0 { format!("from {from}\n") } else { String::new() };
            stream.push_str(&format!(
                "commit refs/heads/{branch}\ncommitter A <a@example.org> {time} +0000\ndata 1\n{branch}\n{from}\n"
            ));
        }
    }
    stream.push_str("done\n");
    let mut command = sandbox.command("git", &sandbox.bare());
    let clone = sandbox.path("clone").display().to_string();
    sandbox.git_in(&sandbox.bare(), &["fetch", "-q", &clone, "main:main"]);
    sandbox.run(command.args(["fast-import", "--quiet"]), stream.as_bytes()).succeeded();
    let [a, b] = ["a", "b"].map(|branch| sandbox.git_in(&sandbox.bare(), &["rev-parse", branch]));
    let ran = sandbox.hook(format!("{a} {b} refs/heads/main\n").as_bytes());
    assert_eq!(moved(&sandbox.waiting("unassigned")[0]), ("", None));
    assert!(ran.took.as_secs() < 10, "{:?}", ran.took);
    let ran = sandbox.hook(format!("{a} {base} refs/heads/main\n").as_bytes());
    assert_eq!(
        moved(&sandbox.waiting("unassigned")[1]),
        ("", None),
        "the walk ends before the base: {ran:?}"
    );
}

#[test]
fn failed_deployment_reads_as_failed() {
    let sandbox = Sandbox::new();
    sandbox.commit("First", &[]);
    let pushed = push(&sandbox, &["-o", "deploy=prod", "-o", "deploy.status=failed", "main:refs/heads/live"]);
    let commit = text(&pushed.only("deployment")["version"]).to_string();
    let line = pushed.ran.remote()[0].to_string();
    assert!(
        line.starts_with(&format!(
            "gitea-lightstep: deployment shop {} to prod failed, trace ",
            &commit[..12]
        )),
        "{line}"
    );
    let log = sandbox.binary(&["log"]).stdout;
    assert!(log.contains(&format!(": deployment shop {} in prod failed\n", &commit[..12])), "{log}");
    let explained = sandbox.binary(&["explain", "acme/shop", "live"]).stdout;
    assert!(
        explained.contains(&format!("deployment shop {commit} in prod failed (built-in.rhai:")),
        "{explained}"
    );
    assert_eq!(pushed.decisions[0]["markers"][0]["remark"], "failed");
    let pushed =
        push(&sandbox, &["-o", "deploy=prod", "-o", "deploy.status= succeeded", "main:refs/heads/next"]);
    assert!(!pushed.ran.remote()[0].contains("succeeded"), "{:?}", pushed.ran.remote());
}

fn number(marker: &Value, name: &str) -> Option<i64> {
    marker["attributes"][format!("gitea_lightstep.range.{name}")].as_i64()
}

fn list(marker: &Value, name: &str) -> Vec<String> {
    let values = marker["attributes"][format!("gitea_lightstep.range.{name}")].as_array();
    values.into_iter().flatten().map(|value| text(value).to_string()).collect()
}

fn first_commit(marker: &Value) -> &str {
    text(&marker["attributes"]["gitea_lightstep.range.first_commit.id"])
}

/// Deploys `main` and returns the deployment.
#[track_caller]
fn deploy(sandbox: &Sandbox) -> Value {
    push(sandbox, &["-o", "deploy=prod", "main"]).only("deployment").clone()
}

#[test]
fn commits_with_impossible_clocks_have_no_lead_time() {
    let mut sandbox = Sandbox::new();
    let base = 1_790_000_000_u64;
    commit_at(&mut sandbox, "Deployed", &format!("{base} +0000"));
    deploy(&sandbox);
    for date in ["@0 +0000", "@1 +1400", "4070908800 +0000"] {
        commit_at(&mut sandbox, "Odd", date);
        let marker = deploy(&sandbox);
        let said = ["commits", "undated", "lead_time", "imported"].map(|name| number(&marker, name));
        assert_eq!(said, [Some(1), Some(1), None, None], "{date}");
        assert_eq!(first_commit(&marker), "");
        assert_eq!(list(&marker, "authors"), ["Ann Author"], "the change has an author, whatever the date");
    }
    // Beside others, they are left out. The commit that runs may have a wrong clock itself.
    let odd = ["@0 +0000", "4070908800 +0000", "300000000 +0000"];
    commit_at(&mut sandbox, "Odd", odd[0]);
    let good = commit_at(&mut sandbox, "Good", &ago(3600));
    commit_at(&mut sandbox, "Odd", odd[1]);
    commit_at(&mut sandbox, "Odd", odd[2]);
    let marker = deploy(&sandbox);
    assert_eq!((number(&marker, "commits"), number(&marker, "undated")), (Some(4), Some(3)));
    assert_eq!(first_commit(&marker), good);
    let lead_time = number(&marker, "lead_time").expect("a lead time");
    assert!((3600..3700).contains(&lead_time), "{lead_time}");
}

#[test]
fn clocks_are_believed_up_to_a_bound() {
    let mut sandbox = Sandbox::new();
    let (year, day) = (365 * 86_400, 86_400);
    let deployed = 1_790_000_000_u64;
    let now = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        now.as_secs()
    };
    for (date, is_believed) in [
        (deployed - year, true),
        (deployed - year - 1, false),
        (deployed - 30 * day, true),
        (now() + day - 60, true),
        (now() + day + 3600, false),
    ] {
        sandbox.git(&["checkout", "-q", "--orphan", "next"]);
        commit_at(&mut sandbox, "Deployed", &format!("{deployed} +0000"));
        sandbox.git(&["branch", "-M", "main"]);
        push(&sandbox, &["-f", "-o", "deploy=prod", "main"]);
        let id = commit_at(&mut sandbox, "Next", &format!("{date} +0000"));
        let marker = deploy(&sandbox);
        assert_eq!(
            (first_commit(&marker) == id, number(&marker, "undated")),
            (is_believed, (!is_believed).then_some(1))
        );
        assert!(number(&marker, "lead_time").is_none_or(|time| time >= 0), "{marker}");
    }
}

/// Adds an unrelated history with commits of 2005 under a directory, as `git subtree add` does.
fn add_subtree(sandbox: &mut Sandbox, dir: &str, from: &str) {
    sandbox.git(&["merge", "-q", "-s", "ours", "--no-commit", "--allow-unrelated-histories", from]);
    sandbox.git(&["read-tree", &format!("--prefix={dir}/"), "-u", from]);
    sandbox.git(&["commit", "-q", "-m", &format!("Add '{dir}/' from {from}")]);
}

/// Creates a branch of an unrelated history by another author.
fn vendor(sandbox: &mut Sandbox, branch: &str, commits: u64) {
    sandbox.git(&["checkout", "-q", "--orphan", branch]);
    sandbox.git(&["rm", "-rfq", "--ignore-unmatch", "."]);
    sandbox.set("GIT_AUTHOR_NAME", "Vera Vendor");
    for nth in 0..commits {
        let message =
            format!("VEN-{nth}: of {branch}\n\nReviewed-on: https://git.example.com/v/v/pulls/{nth}");
        commit_at(sandbox, &message, &format!("{} +0000", 1_120_000_000 + nth));
    }
    sandbox.unset("GIT_AUTHOR_NAME");
    sandbox.git(&["checkout", "-q", "main"]);
}

#[test]
fn imported_history_is_counted_and_not_listed() {
    let mut sandbox = Sandbox::new();
    sandbox.commit("Deployed", &[("a", "1")]);
    deploy(&sandbox);
    vendor(&mut sandbox, "vendor", 20);
    let first = sandbox.commit("ACME-1: own", &[("a", "2")]);
    add_subtree(&mut sandbox, "vendor", "vendor");
    let marker = deploy(&sandbox);
    assert_eq!(
        ["commits", "imported", "undated"].map(|name| number(&marker, name)),
        [Some(2), Some(20), None]
    );
    assert_eq!(list(&marker, "authors"), ["Ann Author"]);
    assert_eq!(
        (list(&marker, "tickets"), list(&marker, "pull_requests")),
        (vec!["ACME-1".to_string()], vec![])
    );
    assert_eq!(first_commit(&marker), first);
    assert!(number(&marker, "lead_time").expect("a lead time") < 600);
    // Two more together with a branch of ours. One of them has its own branch.
    vendor(&mut sandbox, "second", 3);
    vendor(&mut sandbox, "third", 4);
    sandbox.git(&["checkout", "-q", "-b", "third-b", "third~2"]);
    sandbox.commit("Of the vendor, today", &[("v", "1")]);
    sandbox.git(&["checkout", "-q", "third"]);
    sandbox.git(&["merge", "-q", "--no-edit", "third-b"]);
    sandbox.git(&["checkout", "-q", "-b", "topic", "main"]);
    sandbox.commit("ACME-2: topic", &[("b", "1")]);
    sandbox.git(&["checkout", "-q", "main"]);
    add_subtree(&mut sandbox, "second", "second");
    add_subtree(&mut sandbox, "third", "third");
    sandbox.git(&["merge", "-q", "--no-edit", "topic"]);
    let marker = deploy(&sandbox);
    assert_eq!(["commits", "imported"].map(|name| number(&marker, name)), [Some(4), Some(9)]);
    assert_eq!(list(&marker, "tickets"), ["ACME-2"]);
    // A rollback takes the imports back, too.
    let back = push(&sandbox, &["-f", "-o", "deploy=prod", "main~3:main"]);
    let marker = back.only("rollback");
    assert_eq!(["commits", "imported"].map(|name| number(marker, name)), [Some(4), Some(9)]);
}

#[test]
fn unrelated_history_that_replaces_the_own_is_not_imported() {
    let mut sandbox = Sandbox::new();
    sandbox.commit("Deployed", &[("a", "1")]);
    deploy(&sandbox);
    vendor(&mut sandbox, "new", 3);
    vendor(&mut sandbox, "vendor", 5);
    sandbox.git(&["checkout", "-q", "new"]);
    add_subtree(&mut sandbox, "vendor", "vendor");
    let pushed = push(&sandbox, &["-f", "-o", "deploy=prod", "new:main"]);
    let marker = pushed.only("deployment");
    assert_eq!(text(&marker["attributes"]["gitea_lightstep.range.relation"]), "rewritten");
    assert_eq!(["commits", "imported"].map(|name| number(marker, name)), [Some(4), Some(5)]);
}

#[test]
fn imports_belong_to_the_services_that_get_them() {
    let mut sandbox = Sandbox::new();
    services(&sandbox, "", &[("pay", "paths = [\"pay/**\"]"), ("web", "paths = [\"web/**\"]")]);
    sandbox.commit("Deployed", &[("pay/a", "1"), ("web/a", "1")]);
    push(&sandbox, &["-o", "deploy=prod", "main"]);
    vendor(&mut sandbox, "vendor", 6);
    sandbox.git(&["checkout", "-q", "vendor"]);
    sandbox.commit("A file", &[("lib", "1")]);
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.commit("Pay", &[("pay/a", "2")]);
    add_subtree(&mut sandbox, "web/vendor", "vendor");
    let pushed = push(&sandbox, &["-o", "deploy=prod", "main"]);
    for (service, commits, imported) in [("pay", 1, None), ("web", 1, Some(7))] {
        let marker = pushed.markers.iter().find(|m| m["kind"] == "deployment" && m["service"] == service);
        let marker = marker.expect("a deployment");
        assert_eq!(
            ["commits", "imported"].map(|name| number(marker, name)),
            [Some(commits), imported],
            "{service}"
        );
        assert_eq!(
            list(marker, "authors").len(),
            usize::from(service == "pay"),
            "a merge has no author: {marker}"
        );
    }
}

#[test]
fn mirror_of_a_repository_with_environments_deploys_nothing() {
    let mut sandbox = Sandbox::new();
    services(&sandbox, "", &[("shop", "environments = { prod = \"v*\" }")]);
    for nth in 0..12 {
        commit_at(&mut sandbox, "Old", &format!("{} +0000", 1_300_000_000 + nth * 1000));
        sandbox.git(&["tag", &format!("v1.0.{nth}")]);
    }
    sandbox.git(&["branch", "gone"]);
    push(&sandbox, &["gone"]);
    sandbox.git(&["branch", "-D", "gone"]);
    let pushed = push(&sandbox, &["--mirror"]);
    assert_eq!(pushed.markers.iter().filter(|marker| is_backfill(marker)).count(), 12);
    assert_eq!(pushed.said().iter().filter(|said| said.starts_with("deployment")).count(), 0);
    assert_eq!(
        pushed.complaints(),
        ["12 releases of old tags, each marked at the date of its tag", SEVERAL],
        "{:?}",
        pushed.ran.remote()
    );
    // A tag alone is deployed today, however old it is.
    sandbox.git(&["tag", "v1.1.0", "v1.0.3"]);
    let pushed = push(&sandbox, &["v1.1.0"]);
    assert!(is_backfill(pushed.only("release")) && !is_backfill(pushed.only("deployment")));
}
