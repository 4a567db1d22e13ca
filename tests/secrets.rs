//! Tokens: read once per delivery, read again when a back end rejects them, and never shown.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use crate::support::{
    BINARY, Sandbox,
    recorder::{Answer, Recorder},
};

/// A command that counts its runs and prints a token with the count.
const COUNTING: &str = "#!/bin/sh\nprintf x >>\"$0.runs\"\necho \"Bearer s3cr3t-$(wc -c <\"$0.runs\")\"\n";

/// Creates a sandbox with a queued deployment, which needs two requests, and a command that prints
/// a token.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.commit("Secret", &[]);
    sandbox.push(&["-o", "deploy=prod", "main"]).succeeded();
    sandbox.executable("fetch", COUNTING);
    sandbox
}

fn fetch_for(sandbox: &Sandbox, recorder: &Recorder, more: &str) {
    let fetch = sandbox.path("fetch").display().to_string();
    let headers =
        format!("headers = {{ authorization = {{ command = [\"{fetch}\"] }}, x-team = \"shop\" }}\n{more}");
    sandbox.deliver_to(&recorder.endpoint(), &headers);
}

fn tokens(recorder: &Recorder) -> Vec<String> {
    let token =
        |request: &crate::support::recorder::Request| request.header("authorization").map(str::to_string);
    recorder.requests().iter().filter_map(token).collect()
}

#[test]
fn secret_command_runs_once_per_delivery() {
    let sandbox = sandbox();
    let recorder = Recorder::start([]);
    fetch_for(&sandbox, &recorder, "");
    sandbox.binary(&["deliver"]).succeeded();
    assert_eq!(tokens(&recorder), ["Bearer s3cr3t-1"; 2]);
    assert_eq!(fs::read_to_string(sandbox.path("fetch.runs")).expect("runs"), "x");
}

#[test]
fn rotated_token_is_read_again() {
    for status in [401, 403] {
        let sandbox = sandbox();
        let recorder = Recorder::start([Answer::status(200), Answer::status(status)]);
        fetch_for(&sandbox, &recorder, "");
        assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "2 markers delivered\n");
        assert_eq!(tokens(&recorder), ["Bearer s3cr3t-1", "Bearer s3cr3t-1", "Bearer s3cr3t-2"]);
    }
}

#[test]
fn wrong_token_is_tried_twice_and_never_shown() {
    for status in [401, 403] {
        let sandbox = sandbox();
        let echo = |nth| {
            let message = format!("{}Bearer s3cr3t-{nth} and s3cr3t-{nth}", "no ".repeat(50));
            Answer::status(status).body(message)
        };
        // First the log records with two tokens, then the span with the second and a third one.
        let recorder = Recorder::start([echo(1), echo(2), echo(2), echo(3)]);
        fetch_for(&sandbox, &recorder, "");
        let ran = sandbox.binary(&["deliver"]);
        assert_eq!(
            (ran.code, &*ran.stdout),
            (Some(1), "0 markers delivered, 2 markers refused permanently\n")
        );
        assert_eq!(tokens(&recorder), [1, 2, 2, 3].map(|nth| format!("Bearer s3cr3t-{nth}")));
        let why = sandbox.deliveries()[0]["why"].to_string();
        assert!(why.contains(&format!("HTTP {status}: no no")), "{why}");
        assert!(why.contains("no [redacted] and [redacted]"), "{why}");
        let status = sandbox.binary(&["status"]);
        for text in [sandbox.everything_written(), status.stdout, status.stderr, ran.stderr] {
            assert!(!text.contains("s3cr3t"), "{text}");
        }
    }
}

#[test]
fn request_without_a_secret_is_not_repeated() {
    let sandbox = sandbox();
    let recorder = Recorder::start([401, 401].map(Answer::status));
    sandbox.deliver_to(&recorder.endpoint(), "headers = { x-team = \"shop\" }\n");
    assert_eq!(sandbox.binary(&["deliver"]).code, Some(1));
    let paths: Vec<_> = recorder.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v1/logs", "/v1/traces"], "once each");
}

#[test]
fn unreadable_secret_keeps_the_marker_queued() {
    let sandbox = sandbox();
    let recorder = Recorder::start([]);
    for (script, more, why) in [
        ("#!/bin/sh\nexit 7\n", "", "the command failed with exit status: 7"),
        ("#!/bin/sh\n", "", "the secret is empty"),
        (
            "#!/bin/sh\nprintf 's3cr3t\\001'\n",
            "",
            "the secret has characters that an HTTP header cannot carry",
        ),
        ("#!/bin/sh\nwhile echo s3cr3t; do :; done\n", "", "the secret is larger than 16384 bytes"),
        ("#!/bin/sh\nexec sleep 600\n", "[delivery]\ntimeout = \"200ms\"\n", "the command timed out after "),
    ] {
        sandbox.executable("fetch", script);
        fetch_for(&sandbox, &recorder, more);
        let ran = sandbox.binary(&["deliver"]);
        assert_eq!(ran.code, Some(1), "{script}");
        assert!(ran.took < Duration::from_secs(10), "{script}: {:?}", ran.took);
        let entry = sandbox.deliveries().pop().expect("an entry");
        assert_eq!(entry["outcome"], "retried", "{script}");
        let report = entry["why"].as_str().expect("text").to_string();
        let from =
            format!("failed to read the secret from command `{}`: {why}", sandbox.path("fetch").display());
        assert!(report.starts_with(&from), "{report}");
    }
    assert_eq!(recorder.requests().len(), 0);
    assert!(!sandbox.everything_written().contains("s3cr3t"));
    sandbox.executable("fetch", COUNTING);
    fetch_for(&sandbox, &recorder, "");
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "2 markers delivered\n");
}

/// A command that starts a daemon, which keeps all inherited descriptors open.
const LEAVING: &str = "sleep 60 & echo $! >>\"$HOME/daemons\"; echo s3cr3t";

#[test]
fn daemon_of_a_secret_command_does_not_block_the_push() {
    let sandbox = Sandbox::new();
    let recorder = Recorder::start([]);
    let headers = format!("headers = {{ authorization = {{ command = ['sh', '-c', '{LEAVING}'] }} }}\n");
    sandbox.deliver_to(&recorder.endpoint(), &format!("{headers}[delivery]\nmode = \"inline\"\n"));
    sandbox.commit("Inline", &[]);
    let ran = sandbox.push(&["main"]);
    let daemons = fs::read_to_string(sandbox.path("home/daemons")).unwrap_or_default();
    daemons.lines().for_each(|daemon| sandbox.end(daemon));
    assert!(ran.succeeded().took < Duration::from_secs(10), "{:?}", ran.took);
    assert_eq!(tokens(&recorder), ["s3cr3t"]);
    assert_eq!(daemons.lines().count(), 1, "the secret command started one daemon");
}

#[test]
fn secret_command_inherits_no_descriptors_or_gitea_variables() {
    for mode in ["inline", "background"] {
        let mut sandbox = Sandbox::new();
        sandbox.set("GITEA__database__PASSWD", "hush-hush");
        sandbox.set("AWS_SECRET_ACCESS_KEY", "hush-hush");
        let recorder = Recorder::start([]);
        let script = "ls -l /proc/$$/fd >\"$HOME/fds\"; env >\"$HOME/env\"; echo s3cr3t";
        let headers = format!("headers = {{ authorization = {{ command = ['sh', '-c', '{script}'] }} }}\n");
        sandbox.deliver_to(&recorder.endpoint(), &format!("{headers}[delivery]\nmode = \"{mode}\"\n"));
        let commit = sandbox.commit("Nothing of git's", &[]);
        sandbox.git(&["push", "-q", "origin", "main:refs/heads/elsewhere"]);
        // Like git 2.54, which passes on a descriptor without close-on-exec.
        let mut hook = sandbox.command("bash", &sandbox.bare());
        hook.args(["-c", "exec 7>\"$HOME/git\" 9<&0; exec \"$0\" hook --config \"$1\"", BINARY]);
        hook.arg(sandbox.path("config.toml")).env("GIT_DIR", ".");
        let stdin = format!("{} {commit} refs/heads/main\n", "0".repeat(40));
        sandbox.run(&mut hook, stdin.as_bytes()).succeeded();
        recorder.wait_for(1);
        sandbox.wait_for_deliverers_to_end();
        let fds = fs::read_to_string(sandbox.path("home/fds")).expect("a list");
        assert!(fds.contains(" 1 -> ") && !fds.contains("home/git"), "{mode}: {fds}");
        assert!(![" 7 -> ", " 9 -> "].iter().any(|fd| fds.contains(fd)), "{mode}: {fds}");
        let env = fs::read_to_string(sandbox.path("home/env")).expect("a list");
        let names: Vec<_> =
            env.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        assert!(names.contains(&"HOME") && names.contains(&"PATH"), "{mode}: {names:?}");
        let is_daemons =
            |name: &&&str| name.starts_with("GIT") || name.starts_with("AWS") || name.starts_with("SSH");
        assert_eq!(names.iter().find(is_daemons), None, "{mode}: {names:?}");
        assert!(!env.contains("hush-hush"), "{mode}: {env}");
    }
}

#[test]
fn processes_with_secrets_do_not_dump_core() {
    let sandbox = sandbox();
    let recorder = Recorder::start([]);
    let script = "grep -i core /proc/$PPID/limits >\"$HOME/limits\"; echo s3cr3t";
    let headers = format!("headers = {{ authorization = {{ command = ['sh', '-c', '{script}'] }} }}\n");
    sandbox.deliver_to(&recorder.endpoint(), &headers);
    sandbox.binary(&["deliver"]).succeeded();
    let limits = fs::read_to_string(sandbox.path("home/limits")).expect("a line");
    let limits: Vec<_> = limits.split_whitespace().skip(4).collect();
    assert_eq!(limits, ["0", "0", "bytes"]);
}

#[test]
fn encoded_secrets_in_answers_are_redacted() {
    let token = "t0ken/with+all~\"of\\it&<more>=";
    let json = serde_json::Value::from(token).to_string();
    let json = json.trim_matches('"').to_string();
    // The token itself, then escaped, percent-encoded and base64 forms. The base64 forms also
    // encode `ann:` before the token, or `x` around it.
    for echo in [
        token.into(),
        json.clone(),
        json.replace('/', "\\/").replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003E"),
        "t0ken%2Fwith%2Ball~%22of%5Cit%26%3Cmore%3E%3D".into(),
        "t0ken%2fwith%2ball%7e%22of%5cit%26%3cmore%3e%3d".into(),
        "dDBrZW4vd2l0aCthbGx+Im9mXGl0Jjxtb3JlPj0=".into(),
        "dDBrZW4vd2l0aCthbGx-Im9mXGl0Jjxtb3JlPj0".into(),
        "YW5uOnQwa2VuL3dpdGgrYWxsfiJvZlxpdCY8bW9yZT49".into(),
        "eHQwa2VuL3dpdGgrYWxsfiJvZlxpdCY8bW9yZT49eA==".to_string(),
        "eHh0MGtlbi93aXRoK2FsbH4ib2ZcaXQmPG1vcmU+PXh4".into(),
    ] {
        let sandbox = sandbox();
        sandbox.write_secret("token", token);
        let recorder = Recorder::judging({
            let echo = echo.clone();
            move |_| Answer::status(403).body(format!("no such login: {echo}"))
        });
        sandbox.deliver_to(&recorder.endpoint(), "headers = { x-key = { file = \"token\" } }\n");
        let ran = sandbox.binary(&["deliver"]);
        let why = sandbox.deliveries().remove(0)["why"].as_str().expect("text").to_string();
        assert!(why.starts_with("HTTP 403: no such login: "), "{why}");
        assert!(why.ends_with("[redacted]"), "{echo}: {why}");
        let report = [sandbox.everything_written(), ran.stdout, ran.stderr].concat();
        assert!(!report.contains(&echo), "{echo}");
    }
}

#[test]
fn token_is_sent_unencrypted_only_to_loopback() {
    let sandbox = Sandbox::new();
    sandbox.commit("Waits", &[]);
    sandbox.write_secret("token", "s3cr3t");
    let destination = |endpoint: &str, more: &str| {
        format!("[[destination]]\nname = \"c\"\nkind = \"otlp\"\nendpoint = \"{endpoint}\"\n{more}\n")
    };
    let secret = "headers = { x-team = { file = \"token\" } }";
    let http = "kind = \"http\"\nrender = \"grafana\"\nsecrets = { token = { file = \"token\" } }";
    let lightstep =
        "[lightstep]\ntoken = { file = \"token\" }\nendpoint = \"http://satellite.example.com\"\n";
    for (config, what) in [
        (destination("http://back.example.com:4318", secret), "`x-team`"),
        (destination("http://10.1.2.3:4318", secret), "`x-team`"),
        (destination("http://127.0.0.1.example.com", secret), "`x-team`"),
        (
            destination("http://back.example.com", "headers = { Authorization = \"Basic x\" }"),
            "`authorization`",
        ),
        (destination("http://back.example.com", "headers = { X-Api-Key = \"x\" }"), "`x-api-key`"),
        (
            destination(
                "http://127.0.0.1:9",
                &format!("{secret}\nproxy = \"http://proxy.example.com:3128\""),
            ),
            "`x-team`",
        ),
        (destination("http://graph.example.com", "").replace("kind = \"otlp\"", http), "`token`"),
        (lightstep.into(), "the access token"),
    ] {
        sandbox.configure(&config);
        let ran = sandbox.binary(&["check"]);
        let report =
            format!("{what} would cross the network unencrypted; use https://, or set `insecure = true` in ");
        assert_eq!(ran.code, Some(1), "{config}");
        let said = [ran.stdout, ran.stderr].concat();
        assert!(said.contains(&report), "{said}");
        let line = config.lines().position(|line| line.starts_with("endpoint")).expect("a line") + 6;
        assert!(said.contains(&format!("config.toml:{line}:")), "{line}: {said}");
        // A harmless header, HTTPS and a local address are still accepted.
        let insecure = config.replace("\nendpoint", "\ninsecure = true\nendpoint");
        sandbox.configure(&insecure);
        sandbox.binary(&["check"]).succeeded();
        sandbox.configure(&config.replace("http://", "https://"));
        sandbox.binary(&["check"]).succeeded();
    }
    for (endpoint, more) in [
        ("http://back.example.com:4318", "headers = { x-scope-orgid = \"shop\" }"),
        ("http://127.0.0.1:4318", secret),
        ("http://localhost:4318", secret),
        ("http://[::1]:4318", secret),
    ] {
        sandbox.configure(&destination(endpoint, more));
        sandbox.binary(&["check"]).succeeded();
    }
    // A push that fails with this error stays queued until the configuration is fixed.
    sandbox.configure(&destination("http://back.example.com:4318", secret));
    sandbox.push(&["main"]).succeeded();
    assert_eq!(sandbox.files("inbox").len(), 1);
    let recorder = Recorder::start([]);
    sandbox.configure(&destination(&recorder.endpoint(), secret));
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "1 marker delivered\n");
}

#[test]
fn token_file_readable_by_others_is_refused() {
    let sandbox = sandbox();
    let recorder = Recorder::start([]);
    sandbox.deliver_to(&recorder.endpoint(), "headers = { authorization = { file = \"token\" } }\n");
    let path = sandbox.path("token");
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    sandbox.write("token", "s3cr3t");
    for (bits, who) in [
        (0o644, "others may read"),
        (0o604, "others may read"),
        (0o602, "others may change"),
        (0o620, "may change"),
    ] {
        mode(bits);
        let ran = sandbox.binary(&["deliver"]);
        assert_eq!(ran.code, Some(1), "{bits:o}");
        let why = sandbox.deliveries().pop().expect("an entry")["why"].as_str().expect("text").to_string();
        assert!(why.contains(who), "{bits:o}: {why}");
        assert!(why.ends_with(&format!("(mode {bits:04o}); run `chmod 600 '{}'`", path.display())), "{why}");
        let status = sandbox.binary(&["status"]);
        assert!(status.stdout.contains(who), "{}", status.stdout);
    }
    assert_eq!(recorder.requests().len(), 0);
    // The permissions that install.sh sets: owned by root, with the group of Gitea's user.
    mode(0o640);
    assert_eq!(sandbox.binary(&["deliver"]).succeeded().stdout, "2 markers delivered\n");
    assert_eq!(tokens(&recorder), ["s3cr3t"; 2]);
}
