//! A service that the site assigns to a repository can only be marked from there, whatever names
//! other repositories use.
//!
//! The sandbox's repository is `acme/shop`, and `payments` belongs to `bank/ledger`.

use serde_json::Value;

use crate::support::{Sandbox, recorder::Recorder};

const RULES: &str = "[[service]]\nrepository = \"bank/ledger\"\nname = \"payments\"\n";
const WHY: &str = "belongs to another repository; use another name, or ask the administrator for a \
                   `[[service]]` that assigns it to this repository";
const HIDDEN: &str = "has invisible characters; remove them";

fn sandbox_with(more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.configure(&format!("{more}{RULES}"));
    sandbox.commit("Begin", &[("a", "1")]);
    sandbox
}

/// Returns the services of all markers so far, and deletes the markers.
fn services(sandbox: &Sandbox) -> Vec<String> {
    let markers = sandbox.waiting("unassigned");
    let names = markers.iter().map(|marker| marker["service"].as_str().expect("a name").to_string());
    let names = names.collect();
    let _ = std::fs::remove_dir_all(sandbox.state().join("outbox"));
    names
}

/// Pushes something that would mark `payments`, and asserts that it is refused.
#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str]) {
    let ran = sandbox.push(args);
    ran.succeeded();
    let marked = services(sandbox);
    assert!(marked.iter().all(|service| service == "shop"), "{args:?}: {marked:?}");
    let decision = sandbox.decisions().pop().expect("a decision");
    assert_eq!(decision["outcome"], "refused", "{args:?}: {decision}");
    let why = decision["why"].as_str().expect("a reason");
    assert!(why.ends_with(WHY) || why.ends_with(HIDDEN), "{args:?}: {why}");
    let report = ran.remote().into_iter().filter(|line| line.starts_with("gitea-lightstep: no marker: "));
    let report: Vec<_> = report.collect();
    assert_eq!(report, [format!("gitea-lightstep: no marker: {why}")], "{args:?}");
    assert!(!ran.stderr.contains("ledger"), "the message names the owning repository: {}", ran.stderr);
}

#[test]
fn tag_cannot_mark_a_service_of_another_repository() {
    let sandbox = sandbox_with("");
    for tag in [
        "payments@9.9.9",
        "payments/v9.9.9",
        "Payments@9.9.9",
        "PAYMENTS/9.9.9",
        "payments@1.2.3@9.9.9",
        "payments/v1.2.3/v9.9.9",
        "payments./9.9.9",
        "bank/payments@9.9.9",
        "@bank/payments@9.9.9",
        "payments\u{200b}@9.9.9",
        "pay\u{ad}ments@9.9.9",
        "payments\u{e0041}/v9.9.9",
        "payments\u{a0}@9.9.9",
        "ｐａｙｍｅｎｔｓ@9.9.9",
        "p\u{430}yments@9.9.9",
        "\u{1d429}ayments@9.9.9",
        "payments@9.9.9-rc.1+x",
        "payments-v9.9.9",
        "release/payments-9.9.9",
    ] {
        refused(&sandbox, &[&format!("HEAD:refs/tags/{tag}")]);
    }
    // Names that only contain `payments` are different services.
    for (tag, service) in [
        ("payments-ui@1.0.0", "payments-ui"),
        ("libs/payments/v1.0.0", "libs/payments"),
        ("payment@1.0.0", "payment"),
        ("v1.0.0", "shop"),
    ] {
        let ran = sandbox.push(&[&format!("HEAD:refs/tags/{tag}")]);
        assert_eq!(ran.succeeded().remote().len(), 1, "{}", ran.stderr);
        assert_eq!(services(&sandbox), [service]);
    }
}

#[test]
fn push_option_cannot_mark_a_service_of_another_repository() {
    let sandbox = sandbox_with("");
    for (nth, name) in [
        "payments",
        "Payments",
        " payments ",
        "payments@",
        "pay\u{200b}ments",
        "\"payments\"",
        "payments@prod",
    ]
    .iter()
    .enumerate()
    {
        let option = format!("deploy.service={name}");
        refused(
            &sandbox,
            &["-o", "deploy=production", "-o", &option, &format!("HEAD:refs/heads/topic-{nth}")],
        );
    }
    let ran = sandbox.push(&["-o", "deploy=production", "-o", "deploy.service=payments", "main"]);
    ran.succeeded();
    assert_eq!(services(&sandbox), ["shop"], "only the repository's own service is marked");
    assert_eq!(ran.remote().len(), 2, "{}", ran.stderr);
    // The refused deployment is not in the deployment history.
    assert_eq!(sandbox.files("deployed"), [""; 0]);
}

#[test]
fn repository_scripts_cannot_mark_a_service_of_another_repository() {
    for (script, body) in [
        ("acme/shop.rhai", "fn decide(update) { mark(#{ kind: \"release\", service: \"payments\" }) }"),
        ("acme.rhai", "fn decide(update) { mark(#{ service: \"PAYMENTS\" }) }"),
        ("acme/shop.rhai", "fn enrich(marker, update) { marker.service = \"payments\"; marker }"),
        ("acme.rhai", "fn enrich(marker, update) { marker[\"service\"] = \"bank/payments\"; marker }"),
        (
            "acme/shop.rhai",
            "fn enrich(marker, update) { marker.attributes[\"service.name\"] = \"payments\"; marker }",
        ),
        ("acme/shop.rhai", "fn guard(marker, update) { #{ \"Service.Name \": [\"payments\"] } }"),
        ("acme/shop.rhai", "fn decide(update) { mark(#{ service: update.trailers.service }) }"),
        // A site script that passes on a value from the push.
        ("site.rhai", "fn decide(update) { mark(#{ service: update.push.options.of }) }"),
        ("site.rhai", "fn decide(update) { mark(#{ service: update.trailers.service }) }"),
        ("site.rhai", "fn enrich(marker, update) { marker.service = update.push.options.of; marker }"),
    ] {
        let sandbox = sandbox_with("");
        sandbox.write(&format!("scripts/{script}"), body);
        sandbox.git(&["commit", "-q", "--allow-empty", "-m", "Change\n\nService: payments"]);
        refused(&sandbox, &["-o", "of=payments", "main"]);
    }
    // A script in the Git Hooks page.
    let sandbox = sandbox_with("");
    sandbox.executable(
        "page",
        "#!/usr/local/bin/gitea-lightstep hook\nfn decide(update) { mark(#{ service: \"payments\" }) }\n",
    );
    let head = sandbox.git(&["rev-parse", "HEAD"]);
    sandbox.git(&["push", "-q", "origin", "main", "-o", "deploy="]);
    services(&sandbox);
    let config = sandbox.path("config.toml").display().to_string();
    let page = sandbox.path("page").display().to_string();
    let line = format!("{} {head} refs/heads/main\n", "0".repeat(40));
    let ran = sandbox.hook_with(&[&page, "--config", &config], line.as_bytes());
    ran.succeeded();
    assert_eq!(services(&sandbox), [""; 0]);
    assert!(ran.stderr.contains(WHY), "{}", ran.stderr);
}

#[test]
fn site_script_can_mark_any_service() {
    for body in [
        "fn decide(update) { mark(#{ service: \"payments\" }) }",
        "fn enrich(marker, update) { marker.service = \"payments\"; marker }",
    ] {
        let sandbox = sandbox_with("");
        sandbox.write("scripts/site.rhai", body);
        let ran = sandbox.push(&["main"]);
        assert_eq!(services(&sandbox), ["payments"], "{body}");
        assert!(!ran.succeeded().stderr.contains(WHY));
        // A repository's script that runs after it does not have the site's rights.
        sandbox.write(
            "scripts/acme/shop.rhai",
            "fn enrich(marker, update) { marker.service = \"x\"; marker.service = \"Payments\"; marker }",
        );
        sandbox.commit("Again", &[]);
        refused(&sandbox, &["main"]);
    }
}

#[test]
fn repository_with_the_name_of_a_service_cannot_mark_it() {
    let mut sandbox = sandbox_with("");
    sandbox.rename("git/acme/payments.git");
    for (nth, name) in ["payments", "Payments", "PAYMENTS"].iter().enumerate() {
        sandbox.set("GITEA_REPO_NAME", name);
        sandbox.commit(name, &[]);
        refused(&sandbox, &["main"]);
        refused(&sandbox, &[&format!("HEAD:refs/tags/v1.0.{nth}")]);
        refused(&sandbox, &["-o", "deploy=production", &format!("HEAD:refs/heads/topic-{nth}")]);
    }
    // With its own rule, the repository has a different service name.
    sandbox.configure(&format!(
        "{RULES}[[service]]\nrepository = \"acme/payments\"\nname = \"acme-payments\"\n"
    ));
    sandbox.commit("Named", &[]);
    sandbox.push(&["main"]).succeeded();
    assert_eq!(services(&sandbox), ["acme-payments"]);
}

#[test]
fn repository_file_cannot_define_a_service_of_another_repository() {
    for name in ["payments", "Payments", "payments ", "bank/payments", "p\\u0430yments", "payments\\u200b"] {
        let sandbox = sandbox_with("[policy]\nrepository_services = [\"acme/*\"]\n");
        sandbox.commit("Own", &[(".gitea/lightstep.toml", &format!("[[service]]\nname = \"{name}\"\n"))]);
        let ran = sandbox.push(&["main"]);
        ran.succeeded();
        assert_eq!(services(&sandbox), ["shop"], "{name}");
        let missing = sandbox.decisions().pop().expect("a decision")["missing"].as_str().map(str::to_string);
        assert!(missing.as_ref().is_some_and(|why| why.ends_with(WHY)), "{name}: {missing:?}");
        assert!(ran.remote().iter().any(|line| line.ends_with(WHY)), "{name}: {}", ran.stderr);
    }
}

#[test]
fn every_repository_in_a_rule_can_mark_the_service() {
    let sandbox = sandbox_with("");
    sandbox.configure(&format!("{RULES}[[service]]\nrepository = \"ACME/*\"\nname = \"Payments\"\n"));
    for args in [
        &["HEAD:refs/tags/payments@9.9.9"][..],
        &["-o", "deploy=production", "-o", "deploy.service=payments", "HEAD:refs/heads/topic"],
        &["main"],
    ] {
        let ran = sandbox.push(args);
        assert!(!ran.succeeded().stderr.contains("no marker"), "{}", ran.stderr);
        let marked = services(&sandbox);
        assert!(marked.len() == 1 && marked[0].eq_ignore_ascii_case("payments"), "{args:?}: {marked:?}");
    }
}

#[test]
fn refusal_is_shown_once_per_push_and_respects_the_reply_setting() {
    let sandbox = sandbox_with("");
    for nth in 0..20 {
        sandbox.git(&["tag", &format!("payments@1.0.{nth}")]);
    }
    let ran = sandbox.push(&["--tags"]);
    assert_eq!(ran.succeeded().remote().len(), 1, "{}", ran.stderr);
    sandbox.configure(&format!("[reply]\nto_pusher = \"nothing\"\n{RULES}"));
    let ran = sandbox.push(&["HEAD:refs/tags/payments@9.9.9"]);
    assert_eq!(ran.succeeded().remote(), [""; 0]);
    assert_eq!(services(&sandbox), [""; 0]);
}

#[test]
fn refusal_is_shown_by_explain_and_try() {
    let sandbox = sandbox_with("");
    sandbox.git(&["tag", "payments@9.9.9"]);
    sandbox.push(&["main", "payments@9.9.9"]).succeeded();
    let explained = sandbox.binary(&["explain", "acme/shop", "refs/tags/payments@9.9.9"]);
    assert!(explained.stdout.contains("refused") && explained.stdout.contains(WHY), "{}", explained.stdout);
    let tried = sandbox.binary(&["try", "git/acme/shop.git", "--repository", "acme/shop"]);
    assert!(tried.stdout.contains("1 refused"), "{}{}", tried.stdout, tried.stderr);
    assert!(tried.stdout.contains("`payments` belongs to another repository"), "{}", tried.stdout);
}

#[test]
fn attributes_on_the_wire_cannot_name_another_service() {
    let recorder = Recorder::start([]);
    let sandbox = Sandbox::new();
    sandbox.deliver_to(&recorder.endpoint(), "protocol = \"http/json\"\ncompression = \"none\"\n");
    sandbox.write(
        "scripts/acme/shop.rhai",
        "fn enrich(marker, update) { marker.attributes[\"service.name\"] = \"other\"; marker }",
    );
    sandbox.commit("Begin", &[]);
    sandbox.push(&["main"]).succeeded();
    let requests = recorder.wait_for(1);
    let body: Value = serde_json::from_slice(&requests[0].body).expect("JSON");
    assert!(!body.to_string().contains("other"), "{body}");
}
