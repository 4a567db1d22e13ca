//! `install` and `uninstall` through the Git Hooks API of a scripted Gitea: they read the hook
//! first, never replace a foreign one, and send the token only in the header.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{
    Ran, Sandbox,
    recorder::{Answer, Recorder, Request},
};

const TOKEN: &str = "0123456789abcdef-hush";
const SLOT: &str = "/api/v1/repos/acme/shop/hooks/git/post-receive";

/// Content of the repository's only hook slot.
type Slot = Arc<Mutex<Option<String>>>;

/// Answers like Gitea (routers/api/v1/repo/git_hook.go).
fn gitea(slot: &Slot, request: &Request) -> Answer {
    if request.header("authorization") != Some(&format!("token {TOKEN}")) {
        return Answer::status(401).body(r#"{"message":"user does not exist"}"#);
    }
    if request.path != SLOT {
        return Answer::status(404).body(r#"{"message":"The target couldn't be found."}"#);
    }
    let mut slot = slot.lock().expect("no panic");
    match request.method.as_str() {
        "GET" => {}
        "PATCH" => {
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            *slot = Some(body["content"].as_str().expect("text").replace('\r', ""));
        }
        "DELETE" => {
            *slot = None;
            return Answer::status(204);
        }
        other => panic!("{other}"),
    }
    let hook = json!({ "name": "post-receive", "is_active": slot.is_some(), "content": slot.clone().unwrap_or_default() });
    Answer::status(200).body(hook.to_string())
}

fn run(sandbox: &Sandbox, command: &str, url: &str, more: &[&str]) -> Ran {
    sandbox.write_secret("token", format!("{TOKEN}\n"));
    let token = sandbox.path("token").display().to_string();
    let mut words = vec![command, "--through-api", url, "--token-file", &token];
    if command == "install" {
        words.extend(["--binary", "/srv/bin/gitea-lightstep"]);
    }
    if !more.contains(&"--repository") {
        words.extend(["--repository", "acme/shop"]);
    }
    words.extend(more);
    let ran = sandbox.binary(&words);
    assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN), "{}{}", ran.stdout, ran.stderr);
    ran
}

fn methods(gitea: &Recorder) -> Vec<String> {
    gitea.requests().into_iter().map(|request| request.method).collect()
}

#[test]
fn hook_slot_is_read_then_written_and_cleared() {
    let sandbox = Sandbox::new();
    let slot = Slot::default();
    let serving = slot.clone();
    let server = Recorder::judging(move |request| gitea(&serving, request));
    let url = server.endpoint();
    let content = || slot.lock().expect("no panic").clone();

    let dry = run(&sandbox, "install", &url, &["--dry-run"]);
    assert_eq!(dry.succeeded().stdout, "acme/shop: the hook would be installed\n");
    assert_eq!((methods(&server), content()), (vec!["GET".to_string()], None));

    assert_eq!(run(&sandbox, "install", &url, &[]).succeeded().stdout, "acme/shop: the hook was installed\n");
    let wrapper = content().expect("the hook");
    let expected = [
        "#!/bin/sh".to_string(),
        "# gitea-lightstep: ".to_string(),
        "# ".to_string(),
        "bin='/srv/bin/gitea-lightstep'".to_string(),
        format!("config='{}'", sandbox.path("config.toml").display()),
    ];
    for (line, expected) in wrapper.lines().zip(&expected) {
        assert!(line.starts_with(expected), "{line}");
    }
    // The second run only reads the hook.
    let before = methods(&server).len();
    let again = run(&sandbox, "install", &format!("{url}/"), &["--json"]);
    let said: Value = serde_json::from_str(&again.succeeded().stdout).expect("JSON");
    assert_eq!(said["repositories"][0], json!({ "repository": "acme/shop", "changed": false, "why": null }));
    assert_eq!(methods(&server)[before..], ["GET"]);

    assert_eq!(run(&sandbox, "uninstall", &url, &[]).succeeded().stdout, "acme/shop: the hook was removed\n");
    assert_eq!(content(), None);
    assert_eq!(
        run(&sandbox, "uninstall", &url, &[]).succeeded().stdout,
        "acme/shop: our hook is not installed\n"
    );

    // A sample and a blank hook count as empty.
    for inactive in [None, Some(" \n".to_string())] {
        slot.lock().expect("no panic").clone_from(&inactive);
        run(&sandbox, "install", &url, &[]).succeeded();
    }
    for request in server.requests() {
        let header = |name: &str| request.header(name).unwrap_or_default().to_string();
        assert_eq!(header("authorization"), format!("token {TOKEN}"));
        assert!(!request.path.contains("hush") && !String::from_utf8_lossy(&request.body).contains("hush"));
        assert!(header("user-agent").starts_with("gitea-lightstep/"));
    }
}

#[test]
fn foreign_hook_is_not_replaced() {
    let sandbox = Sandbox::new();
    let slot = Slot::new(Mutex::new(Some("#!/bin/sh\n# gitea-lightstep is not in here\n".into())));
    let serving = slot.clone();
    let server = Recorder::judging(move |request| gitea(&serving, request));
    for command in ["install", "uninstall"] {
        let ran = run(&sandbox, command, &server.endpoint(), &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
        assert!(
            ran.stderr.contains("acme/shop: another post-receive hook is on the repository's Git Hooks page"),
            "{}",
            ran.stderr
        );
    }
    assert!(methods(&server).iter().all(|method| method == "GET"));
    assert!(slot.lock().expect("no panic").as_deref().is_some_and(|content| content.contains("not in here")));
}

#[test]
fn each_rejection_is_reported_with_cause_and_fix() {
    let sandbox = Sandbox::new();
    for (answer, why) in [
        (
            Answer::status(401).body(r#"{"message":"token hush 0123456789abcdef-hush \u001b[31m"}"#),
            "HTTP 401: Gitea rejects the token; create one with the scope write:repository",
        ),
        (
            Answer::status(403).body(r#"{"message":"must be allowed to edit Git hooks"}"#),
            "`[security] DISABLE_GIT_HOOKS = false`",
        ),
        (Answer::status(404), "HTTP 404: the token's owner cannot see a repository acme/shop, or http"),
        (
            Answer::status(302).header("location", "https://git.example.com/"),
            "the server redirects to https://git.example.com/, and redirects are not followed; use that \
             address",
        ),
        (Answer::status(500), "HTTP 500: Gitea failed; see its log"),
        (Answer::status(418).body("x".repeat(100)), "HTTP 418: unexpected response from Gitea"),
        (Answer::status(200).body("<html>"), "the response from http"),
        (Answer::status(200).body("x".repeat(2 << 20)), "failed to read the response"),
    ] {
        let status = answer.status;
        let server = Recorder::start([answer]);
        let ran = run(&sandbox, "install", &server.endpoint(), &[]);
        assert_eq!(ran.code, Some(1), "{status}");
        assert!(
            ran.stderr.starts_with("gitea-lightstep: acme/shop: ") && ran.stderr.contains(why),
            "{status}: {}",
            ran.stderr
        );
        assert!(!ran.stderr.contains('\u{1b}') && ran.stderr.lines().count() == 1, "{}", ran.stderr);
        assert_eq!(server.requests().len(), 1, "no redirect is followed and no request is repeated");
    }
    let nobody = Recorder::start([]).endpoint();
    let ran = run(&sandbox, "install", &nobody, &[]);
    assert!(ran.stderr.contains("failed to reach http://127.0.0.1"), "{}", ran.stderr);

    // Each repository is reported separately, and a failure does not stop the others.
    let slot = Slot::default();
    let server = Recorder::judging(move |request| gitea(&slot, request));
    let ran = run(
        &sandbox,
        "install",
        &server.endpoint(),
        &["--repository", "acme/a b%/", "--repository", "acme/shop"],
    );
    assert_eq!(ran.code, Some(2), "an invalid repository name is a usage error");
    let ran = run(
        &sandbox,
        "install",
        &server.endpoint(),
        &["--repository", "acme/a b%", "--repository", "acme/shop"],
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), "acme/shop: the hook was installed\n"));
    assert_eq!(server.requests()[0].path, "/api/v1/repos/acme/a%20b%25/hooks/git/post-receive");
}

#[test]
fn usage_errors_are_reported_before_any_request() {
    let sandbox = Sandbox::new();
    for url in [
        "git.example.com",
        "ftp://git.example.com",
        "https://",
        "https://ann:hush@git.example.com",
        "http://h/?token=hush",
    ] {
        let ran = run(&sandbox, "install", url, &[]);
        assert_eq!(ran.code, Some(1), "{url}");
        assert!(ran.stderr.contains("address of a Gitea"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("hush"), "{}", ran.stderr);
    }
    for words in [
        &["install", "--through-api", "http://127.0.0.1:9", "--repository", "a/b"][..],
        &["install", "--through-api", "http://127.0.0.1:9", "--token-file", "t"],
        &["install", "--token-file", "t", "--repository", "a/b"],
        &["install", "--through-api", "http://127.0.0.1:9", "--token-file", "token", "--repository", "a/b"],
        &[
            "uninstall",
            "--purge",
            "--through-api",
            "http://127.0.0.1:9",
            "--token-file",
            "t",
            "--repository",
            "a/b",
        ],
    ] {
        let ran = sandbox.binary(words);
        assert_eq!(ran.code, Some(2), "{words:?}: {}", ran.stderr);
    }
    let ran = sandbox.binary(&[
        "uninstall",
        "--through-api",
        "http://127.0.0.1:9",
        "--token-file",
        "/nonexistent",
        "--repository",
        "a/b",
    ]);
    assert!(ran.stderr.contains("failed to read the token from file `/nonexistent`"), "{}", ran.stderr);
}
