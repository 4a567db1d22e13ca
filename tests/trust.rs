//! The site's rules on who may cause which markers: forged deployments are refused.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};

use crate::support::{
    Sandbox,
    recorder::{Answer, Recorder, Request},
    signed, wait_until,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef-hush";

/// A Gitea with the organisation acme: ann (7) releases, bo (8) develops, cy (9) is in no team.
#[derive(Clone, Default)]
struct Acme {
    is_down: Arc<AtomicBool>,
    ann_has_left: Arc<AtomicBool>,
}

impl Acme {
    fn start(&self) -> Recorder {
        let acme = self.clone();
        Recorder::judging(move |request| acme.answer(request))
    }

    fn answer(&self, request: &Request) -> Answer {
        if self.is_down.load(Ordering::SeqCst) {
            return Answer::status(503);
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let path = path.strip_prefix("/api/v1").expect("the API");
        let releases =
            if self.ann_has_left.load(Ordering::SeqCst) { json!([]) } else { json!([{ "id": 7 }]) };
        let body = match path {
            _ if query.contains("page=2") => json!([]),
            "/orgs/acme/members" => json!([{ "id": 7 }, { "id": 8 }, { "id": 9 }]),
            "/orgs/acme/teams" => {
                json!([{ "id": 1, "name": "Release-Managers" }, { "id": 2, "name": "developers" }])
            }
            "/teams/1/members" => releases,
            "/teams/2/members" => json!([{ "id": 7 }, { "id": 8 }]),
            "/repos/acme/shop/branch_protections" => {
                json!([{ "rule_name": "main" }, { "rule_name": "release/*" }, { "rule_name": "", "branch_name": "old" }])
            }
            "/repos/acme/shop/tag_protections" => json!([{ "id": 1, "name_pattern": "v*" }]),
            "/repos/acme/shop/pulls/5/reviews" => json!([
                review(8, "APPROVED", &json!({})),
                review(9, "REQUEST_CHANGES", &json!({})),
                review(9, "APPROVED", &json!({})),
                review(9, "COMMENT", &json!({})),
            ]),
            "/repos/acme/shop/pulls/6/reviews" => json!([
                review(8, "APPROVED", &json!({ "stale": true })),
                review(9, "APPROVED", &json!({ "official": false })),
                review(10, "APPROVED", &json!({ "dismissed": true })),
                review(11, "APPROVED", &json!({})),
                review(11, "REQUEST_CHANGES", &json!({})),
                review(12, "APPROVED", &json!({})),
                review(12, "APPROVED", &json!({})),
                { "id": 1, "user": null, "state": "APPROVED", "official": true },
            ]),
            _ => return Answer::status(404),
        };
        Answer::status(200).body(body.to_string())
    }
}

fn review(user: i64, state: &str, but: &Value) -> Value {
    let mut review = json!({ "user": { "id": user }, "state": state, "official": true });
    review.as_object_mut().expect("an object").extend(but.as_object().expect("an object").clone());
    review
}

/// A sandbox with the rules. Every push deploys, unless it says otherwise.
struct Site {
    sandbox: Sandbox,
    _gitea: Recorder,
    acme: Acme,
    pushes: usize,
}

impl Site {
    fn new(rules: &str) -> Self {
        Self::with(rules, "")
    }

    fn with(rules: &str, of_gitea: &str) -> Self {
        let acme = Acme::default();
        let gitea = acme.start();
        let sandbox = Sandbox::new();
        sandbox.write_secret("api-token", format!("{TOKEN}\n"));
        sandbox.configure(&format!(
            "{rules}\n[delivery]\nlinger = \"30s\"\n[gitea]\nurl = \"{}\"\ntoken = {{ file = \"api-token\" }}\n{of_gitea}",
            gitea.endpoint()
        ));
        Self { sandbox, _gitea: gitea, acme, pushes: 0 }
    }

    fn by(mut self, name: &str, id: &str) -> Self {
        self.set("GITEA_PUSHER_NAME", name);
        self.set("GITEA_PUSHER_ID", id);
        self
    }

    fn set(&mut self, name: &str, value: &str) {
        self.sandbox.set(name, value);
    }

    /// Pushes a commit that is deployed, and returns the decision once it is made.
    fn deploys(&mut self) -> Value {
        self.deploys_with("Change", &["main"])
    }

    fn deploys_with(&mut self, message: &str, args: &[&str]) -> Value {
        self.pushes += 1;
        self.sandbox.commit(message, &[("file", &self.pushes.to_string())]);
        self.pushed(&[&["-o", "deploy=prod"], args].concat())
    }

    /// Pushes, and returns the last decision once it is made.
    fn pushed(&mut self, args: &[&str]) -> Value {
        self.sandbox.push(args).succeeded();
        self.decided()
    }

    fn decided(&self) -> Value {
        wait_until("the inbox is empty", || self.sandbox.files("inbox").is_empty());
        self.sandbox.wait_for_deliverers_to_end();
        assert!(!self.sandbox.everything_written().contains(TOKEN));
        self.sandbox.decisions().pop().expect("a decision")
    }

    /// Gives the answers of Gitea's API another time. Without one, they are damaged.
    fn date_records(&self, time: &str) {
        for name in self.sandbox.files("access") {
            let path = self.sandbox.state().join("access").join(name);
            let record = fs::read_to_string(&path).expect("a record");
            let (json, _) = record.rsplit_once(",\"crc32\":").expect("a checksum");
            let (before, rest) = json.split_once("\"time\":\"").expect("a time");
            let (_, after) = rest.split_once('"').expect("a time");
            let json = format!("{before}\"time\":\"{time}\"{after}");
            let sum = crc32fast::hash(json.as_bytes());
            fs::write(path, format!("{json},\"crc32\":\"{sum:08x}\"}}\n")).expect("a record");
        }
    }

    fn marker(&self) -> Value {
        self.sandbox.waiting("unassigned").pop().expect("a marker")
    }
}

const DEPLOYMENTS: &str = "[[trust]]\nkinds = [\"deployment\"]\n";

fn allow(entries: &str) -> String {
    format!("{DEPLOYMENTS}allow = [{entries}]\n")
}

#[track_caller]
fn trusted(decision: &Value) {
    assert_eq!(decision["outcome"], "marked", "{decision}");
    assert!(
        decision["markers"].as_array().is_some_and(|all| all.iter().any(|of| of["kind"] == "deployment")),
        "{decision}"
    );
}

#[track_caller]
fn refused<'d>(decision: &'d Value, why: &str) -> &'d str {
    assert_eq!(decision["outcome"], "refused", "{decision}");
    let said = decision["why"].as_str().expect("text");
    assert!(said.contains(why), "{said}");
    said
}

#[test]
fn listed_user_is_trusted_and_others_are_refused() {
    let mut site = Site::new(&allow("\"user:ann#7\""));
    trusted(&site.deploys());
    let marker = site.marker();
    assert_eq!(marker["attributes"]["gitea_lightstep.trust"], "verified");
    assert_eq!(marker["attributes"]["gitea_lightstep.trust.by"], json!(["user:ann#7"]));
    let mut site = site.by("bo", "8");
    let said = site.deploys();
    assert_eq!(
        refused(&said, "bo"),
        "a deployment of shop to prod needs `user:ann#7` ([[trust]] in line 6 of the configuration), and this is by bo \
         (user 8)"
    );
    let replied = site.sandbox.push(&["-o", "deploy=prod", "main:refs/heads/again"]);
    assert!(
        replied.stderr.contains("no marker: a deployment of shop to prod needs `user:ann#7`"),
        "{replied:?}"
    );
    // A release is not a deployment.
    site.sandbox.git(&["tag", "v1.0.0"]);
    assert_eq!(site.pushed(&["v1.0.0"])["outcome"], "marked");
    assert_eq!(site.marker()["attributes"]["gitea_lightstep.trust"], Value::Null);
}

#[test]
fn name_of_a_renamed_user_proves_nothing() {
    // Another user took the name.
    let mut site = Site::new(&allow("\"user:ann#7\"")).by("ann", "9");
    refused(&site.deploys(), "ann (user 9)");
    // The user has another name now.
    trusted(&site.by("anna", "7").deploys());
    // A robot, or a push without Gitea.
    for id in ["-2", "0", ""] {
        refused(&Site::new(&allow("\"user:ann#7\"")).by("ann", id).deploys(), "this is by ann");
    }
    let mut site = Site::new(&allow("\"user:ann#7\""));
    site.sandbox.unset("GITEA_PUSHER");
    refused(&site.deploys(), "this is by an unknown person");
}

#[test]
fn keys_and_tasks_are_not_the_people_whose_name_they_have() {
    for (variable, entry, other, who) in [
        ("GITEA_DEPLOY_KEY_ID", "deploy_key:3", "deploy_key:4", "deploy key 3"),
        ("GITEA_DEPLOY_KEY_ID", "deploy_key", "actions", "deploy key 3"),
        ("GITEA_ACTIONS_TASK_ID", "actions", "deploy_key", "Actions task 3"),
    ] {
        let site = |entry: &str| {
            let mut site = Site::new(&allow(&format!("\"{entry}\"")));
            site.set(variable, "3");
            site.deploys()
        };
        trusted(&site(entry));
        refused(&site(other), who);
        refused(&site("user:ann#7"), who);
        refused(&site("team:acme/release-managers"), who);
        refused(&site("command"), who);
    }
}

#[test]
fn claims_of_the_pusher_change_nothing() {
    let mut site =
        Site::new(&allow("\"user:ann#7\", \"approved:1\", \"command\", \"actions\"")).by("bo", "8");
    let message =
        "Merge pull request 'x' (#5)\n\nApproved-by: ann\nReviewed-by: ann <ann@example.org>\nPusher: ann\n";
    refused(&site.deploys_with(message, &["-o", "pusher=ann", "-o", "trust=verified", "main"]), "bo");
    let options = ["-o", "mark.kind=deployment", "-o", "deploy.id=5", "-o", "user:ann#7", "main"];
    refused(&site.deploys_with("Change", &options), "bo");
    // A tag that ann wrote, pushed by bo.
    site.sandbox.commit("Change", &[("file", "x")]);
    site.sandbox.git(&["-c", "user.name=ann", "tag", "-a", "-m", "Approved-by: ann", "v1.0.0"]);
    refused(&site.pushed(&["-o", "deploy=prod", "v1.0.0"]), "bo");
}

#[test]
fn script_of_a_repository_cannot_forge_trust() {
    let mut site = Site::new(&format!("{}otherwise = \"mark\"\n", allow("\"user:ann#7\""))).by("bo", "8");
    site.sandbox.write(
        "scripts/acme/shop.rhai",
        "fn enrich(marker, update) {\n    marker.attributes[\"gitea_lightstep.trust\"] = \"verified\";\n    \
         marker.attributes[\"gitea_lightstep.trust.by\"] = [\"user:ann#7\"];\n    marker\n}\n",
    );
    trusted(&site.deploys());
    let attributes = site.marker()["attributes"].clone();
    assert_eq!(attributes["gitea_lightstep.trust"], "unverified");
    assert_eq!(attributes["gitea_lightstep.trust.by"], Value::Null);
    // Where no rule is about the marker, nothing says that one was.
    site.sandbox.git(&["tag", "v1.0.0"]);
    site.pushed(&["v1.0.0"]);
    assert_eq!(site.marker()["attributes"]["gitea_lightstep.trust"], Value::Null);
}

#[test]
fn lookalikes_of_a_service_need_the_same_trust() {
    let rule = "[[trust]]\nservice = \"checkout\"\nenvironment = \"prod*\"\nallow = [\"user:ann#7\"]\n";
    let mut site = Site::new(rule).by("bo", "8");
    for (service, environment) in [
        ("checkout", "prod"),
        ("Checkout", "PROD-eu"),
        ("ch\u{435}ckout", "prod"),
        ("checkout@2", "production"),
    ] {
        let script = format!(
            "fn enrich(marker, update) {{ marker.service = {service:?}; marker.environment = {environment:?}; marker }}"
        );
        site.sandbox.write("scripts/acme/shop.rhai", &script);
        refused(&site.deploys(), "needs `user:ann#7`");
    }
    site.sandbox.write(
        "scripts/acme/shop.rhai",
        "fn enrich(marker, update) { marker.attributes[\"service.name\"] = \"checkout\"; marker.environment = \"prod\"; marker }",
    );
    refused(&site.deploys(), "needs `user:ann#7`");
    site.sandbox
        .write("scripts/acme/shop.rhai", "fn enrich(marker, update) { marker.service = \"cart\"; marker }");
    trusted(&site.deploys());
}

#[test]
fn rollback_needs_the_trust_of_a_deployment() {
    let mut site = Site::new(&allow("\"user:ann#7\""));
    trusted(&site.deploys());
    let first = site.sandbox.git(&["rev-parse", "HEAD"]);
    trusted(&site.deploys());
    let mut site = site.by("bo", "8");
    let back = format!("+{first}:refs/heads/main");
    refused(&site.pushed(&["-o", "deploy=prod", &back]), "a rollback of shop to prod needs");
}

#[test]
fn each_rule_needs_something() {
    let rules = [allow("\"user:ann#7\", \"user:bo#8\""), allow("\"deploy_key\", \"user:bo#8\"")].concat();
    let mut site = Site::new(&rules);
    refused(&site.deploys(), "`deploy_key` or `user:bo#8`");
    let mut site = site.by("bo", "8");
    trusted(&site.deploys());
    assert_eq!(site.marker()["attributes"]["gitea_lightstep.trust.by"], json!(["user:bo#8"]));
    // A refusal wins over a rule that only says so.
    let rules = [allow("\"actions\""), "otherwise = \"mark\"\n".into(), allow("\"deploy_key\"")].concat();
    refused(&Site::new(&rules).deploys(), "`deploy_key`");
}

#[test]
fn members_of_a_team_are_trusted_once_gitea_has_named_them() {
    let mut site = Site::new(&allow("\"team:acme/release-managers\""));
    trusted(&site.deploys());
    assert_eq!(
        site.marker()["attributes"]["gitea_lightstep.trust.by"],
        json!(["team:acme/release-managers"])
    );
    // From now on the hook knows, and asks nobody.
    let asked = site._gitea.requests().len();
    assert!((6..=8).contains(&asked), "{asked}");
    let replied = site.sandbox.push(&["-o", "deploy=prod", "main:refs/heads/again"]);
    assert!(replied.stderr.contains("gitea-lightstep: deployment shop"), "{replied:?}");
    for (name, id) in [("bo", "8"), ("cy", "9"), ("release-managers", "12"), ("ann", "8")] {
        site = site.by(name, id);
        refused(&site.deploys(), "needs `team:acme/release-managers`");
    }
    assert_eq!(site._gitea.requests().len(), asked);
    trusted(&Site::new(&allow("\"org:ACME\"")).by("cy", "9").deploys());
    refused(&Site::new(&allow("\"org:acme\"")).by("dee", "10").deploys(), "`org:acme`");
    trusted(&Site::new(&allow("\"team:acme/DEVELOPERS\"")).by("bo", "8").deploys());
    refused(&Site::new(&allow("\"team:acme/nothing\"")).deploys(), "`team:acme/nothing`");
}

#[test]
fn missing_answers_are_not_trust() {
    let rules = allow("\"team:acme/release-managers\"");
    let mut site = Site::with(&rules, "enrich_within = \"0s\"\n");
    site.acme.is_down.store(true, Ordering::SeqCst);
    refused(&site.deploys(), "and Gitea's API did not say if one of these holds");
    assert!(site.sandbox.troubles().iter().any(|trouble| trouble.contains("answers with HTTP 503")));
    // An organisation that does not exist, or that the token's owner cannot see.
    let mut site = Site::new(&allow("\"team:other/release-managers\""));
    refused(&site.deploys(), "did not say");
    assert!(site.sandbox.troubles().iter().any(|trouble| trouble.contains("read:organization")));
    let marking = format!("{rules}otherwise = \"mark\"\n");
    let mut site = Site::with(&marking, "enrich_within = \"0s\"\n");
    site.acme.is_down.store(true, Ordering::SeqCst);
    trusted(&site.deploys());
    assert_eq!(site.marker()["attributes"]["gitea_lightstep.trust"], "unverified");
}

#[test]
fn old_answers_are_not_trust() {
    let rules = allow("\"team:acme/release-managers\"");
    let mut site = Site::with(&rules, "enrich_within = \"0s\"\nmax_age = \"1h\"\n");
    trusted(&site.deploys());
    // Gitea is asked again when the answer is too old. ann has left.
    site.date_records("2026-01-01T00:00:00Z");
    site.acme.ann_has_left.store(true, Ordering::SeqCst);
    refused(&site.deploys(), "this is by ann (user 7)");
    site.acme.ann_has_left.store(false, Ordering::SeqCst);
    refused(&site.deploys(), "this is by ann (user 7)");
    site.date_records("2026-01-01T00:00:00Z");
    site.acme.is_down.store(true, Ordering::SeqCst);
    refused(&site.deploys(), "did not say");
    // A record from the future, or a damaged one, is none.
    for spoil in ["2999-01-01T00:00:00Z", ""] {
        site.acme.is_down.store(false, Ordering::SeqCst);
        site.date_records("2026-01-01T00:00:00Z");
        trusted(&site.deploys());
        site.acme.is_down.store(true, Ordering::SeqCst);
        site.date_records(spoil);
        refused(&site.deploys(), "did not say");
    }
}

#[test]
fn protected_refs_are_trusted() {
    let mut site = Site::new(&allow("\"protected\"")).by("bo", "8");
    trusted(&site.deploys());
    for branch in ["release/1.0", "old"] {
        trusted(&site.deploys_with("Change", &[&format!("main:refs/heads/{branch}")]));
    }
    for branch in ["feature", "release/2/x", "main2", "xmain"] {
        refused(&site.deploys_with("Change", &[&format!("main:refs/heads/{branch}")]), "`protected`");
    }
    site.sandbox.git(&["tag", "v1.0.0"]);
    trusted(&site.pushed(&["-o", "deploy=prod", "v1.0.0"]));
    site.sandbox.git(&["tag", "main"]);
    refused(&site.pushed(&["-o", "deploy=prod", "refs/tags/main"]), "`protected`");
}

#[test]
fn approvals_of_a_merged_pull_request_are_counted() {
    let merging = |number: &str, entry: &str| {
        let mut site = Site::new(&allow(&format!("\"{entry}\"")));
        site.set("GITEA_PUSH_TRIGGER", "pr-merge-to-base");
        site.set("GITEA_PR_ID", "501");
        if !number.is_empty() {
            site.set("GITEA_PR_INDEX", number);
        }
        site.deploys()
    };
    trusted(&merging("5", "approved:2"));
    refused(&merging("5", "approved:3"), "`approved:3`");
    // Stale, dismissed, withdrawn, not of a reviewer whose word counts, and one person twice.
    trusted(&merging("6", "approved:1"));
    refused(&merging("6", "approved:2"), "`approved:2`");
    // No such pull request, and an unknown one.
    refused(&merging("7", "approved:1"), "`approved:1`");
    refused(&merging("", "approved:1"), "`approved:1`");
    // A push that merges nothing.
    let mut site = Site::new(&allow("\"approved:1\""));
    site.set("GITEA_PR_INDEX", "5");
    site.set("GITEA_PUSH_TRIGGER", "pr-update-with-base");
    refused(&site.deploys(), "`approved:1`");
}

/// The objects were signed by the real gpg and ssh-keygen.
#[test]
fn signatures_count_only_by_listed_keys() {
    let deploys = |entry: &str, commit: &str| {
        let sandbox = signed::sandbox("sha1");
        let config = fs::read_to_string(sandbox.path("config.toml")).expect("the configuration");
        fs::write(sandbox.path("config.toml"), format!("{config}{}", allow(&format!("\"{entry}\""))))
            .expect("written");
        fs::remove_file(sandbox.path("scripts/acme/shop.rhai")).expect("the script");
        sandbox.git(&["mktree"]);
        signed::object(&sandbox, "commit", &signed::fixture("sha1/unsigned.commit"));
        let id = signed::object(&sandbox, "commit", &signed::fixture(&format!("sha1/{commit}.commit")));
        sandbox.push(&["-o", "deploy=prod", &format!("{id}:refs/heads/x")]).succeeded();
        sandbox.decisions().pop().expect("a decision")
    };
    for (entry, commit) in [
        ("signed", "ed25519"),
        ("signed", "ssh-rsa"),
        ("signed:ed25519@example.org", "ed25519"),
        ("signed:ed25519 <ed25519@example.org>", "ed25519"),
        ("signed:ann@example.org", "ssh-ed25519"),
    ] {
        trusted(&deploys(entry, commit));
    }
    for (entry, commit) in [
        ("signed", "unsigned"),
        ("signed", "unknown"),
        ("signed", "revoked"),
        ("signed", "lostkey"),
        ("signed", "expired"),
        ("signed", "weak-hash"),
        ("signed", "twice"),
        ("signed", "ssh-unknown"),
        ("signed", "ssh-namespace"),
        ("signed:rsa@example.org", "ed25519"),
        ("signed:ed25519", "ed25519"),
        ("signed:example.org", "ed25519"),
        ("signed:ben@example.org", "ssh-ed25519"),
    ] {
        refused(&deploys(entry, commit), &format!("needs `{entry}`"));
    }
}

#[test]
fn command_is_trusted_only_by_its_own_entry() {
    let marks = |entry: &str| {
        let mut site = Site::new(&allow(&format!("\"{entry}\"")));
        site.sandbox.commit("First", &[("a", "1")]);
        site.pushed(&["main"]);
        let ran = site.sandbox.binary(&["mark", "acme/shop", "--environment", "prod", "--by", "ann"]);
        (ran.code, ran.stderr)
    };
    assert_eq!(marks("command").0, Some(0));
    let (code, said) = marks("user:ann#7");
    assert_eq!(code, Some(1));
    assert!(said.contains("and this is by the command `mark`"), "{said}");
}

#[test]
fn what_only_a_scan_saw_is_not_protected_by_its_name() {
    let rule = "[[trust]]\nkinds = [\"release\"]\nallow = [\"protected\", \"user:ann#7\", \"org:acme\"]\n";
    let mut site = Site::new(rule);
    site.sandbox.commit("First", &[("a", "1")]);
    site.pushed(&["main"]);
    let root = site.sandbox.path("git").display().to_string();
    let scan = |site: &Site| {
        site.sandbox.binary(&["scan", "--root", &root, "--run-user", "root"]).succeeded();
        site.decided()
    };
    scan(&site);
    // The API of this Gitea knows neither a release nor an activity.
    site.sandbox.git_in(&site.sandbox.bare(), &["tag", "v1.0.0", "main"]);
    refused(&scan(&site), "this is by an unknown person");
}

#[test]
fn scripts_see_teams_and_their_age() {
    let mut site = Site::with("", "organisations = [\"acme\"]\n");
    site.sandbox.write(
        "scripts/site.rhai",
        "fn decide(update) {\n    let by = update.push.pusher;\n    skip(`${by.teams} ${by.is_in(\"release-managers\")} \
         ${by.is_in(\"acme/Developers\")} ${by.is_in(\"other/x\")} ${by.teams_age}`)\n}",
    );
    let said = |site: &mut Site| site.deploys()["why"].as_str().expect("text").to_string();
    assert_eq!(said(&mut site), " false false false ");
    // The delivery after the push asks.
    site.sandbox.binary(&["deliver"]).succeeded();
    let known = said(&mut site);
    assert!(known.starts_with(r#"["acme/Release-Managers", "acme/developers"] true true false "#), "{known}");
    assert!(
        known.rsplit(' ').next().is_some_and(|age| age.parse::<u64>().is_ok_and(|age| age < 600)),
        "{known}"
    );
    let mut site = site.by("cy", "9");
    assert!(said(&mut site).starts_with("[] false false false "));
    site.set("GITEA_DEPLOY_KEY_ID", "3");
    assert_eq!(said(&mut site), " false false false ");
}

#[test]
fn rules_that_cannot_work_are_errors() {
    let sandbox = Sandbox::new();
    let check = |rule: &str, more: &str| {
        sandbox.configure(&format!("{rule}\n{more}"));
        let ran = sandbox.binary(&["check"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        format!("{}{}", ran.stdout, ran.stderr)
    };
    let said = check(&allow("\"user:ann\""), "");
    assert!(said.contains("`user:ann` names no ID, and another user could take the name later"), "{said}");
    let said = check(&allow("\"team:acme/x\""), "");
    assert!(said.contains("`team:acme/x` needs Gitea's API; add a table `[gitea]`"), "{said}");
    let said = check(&allow("\"actoins\""), "");
    assert!(said.contains("did you mean `actions`?"), "{said}");
    let said = check(&allow(""), "");
    assert!(said.contains("`allow` is empty"), "{said}");
    let said = check("[[trust]]\nkinds = []\nallow = [\"actions\"]", "");
    assert!(said.contains("`kinds` is empty"), "{said}");
    let said = check(DEPLOYMENTS, "");
    assert!(said.contains("allow"), "{said}");
    assert!(fs::metadata(sandbox.path("config.toml")).is_ok());
}
