//! Who made the changes that only a scan saw, as a scripted Gitea tells it.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    Sandbox,
    recorder::{Answer, Recorder, Request},
    spool, wait_until,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef-hush";
const REPO: &str = "/api/v1/repos/acme/shop";

fn user(login: &str, id: i64) -> Value {
    json!({ "login": login, "id": id, "email": "mail@example.org" })
}

fn release(tag: &str, title: &str) -> Value {
    json!({ "tag_name": tag, "name": title, "draft": false, "prerelease": true, "author": user("ann", 7) })
}

fn found(body: &Value) -> Answer {
    Answer::status(200).header("content-type", "application/json").body(body.to_string())
}

fn missing() -> Answer {
    Answer::status(404).body(r#"{"message":"The target couldn't be found."}"#)
}

/// A sandbox with one push and a first scan, whose scans ask the Gitea.
fn asking(gitea: &Recorder, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_secret("api-token", format!("{TOKEN}\n"));
    let url = gitea.endpoint();
    sandbox.configure(&format!(
        "[delivery]\nlinger = \"30s\"\n[gitea]\ntoken = {{ file = \"api-token\" }}\nurl = \"{url}\"\n{more}"
    ));
    sandbox.commit("First", &[("a", "1")]);
    sandbox.push(&["main"]).succeeded();
    scan(&sandbox);
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(gitea.requests().len(), 0);
    sandbox
}

fn scan(sandbox: &Sandbox) {
    let root = sandbox.path("git").display().to_string();
    sandbox.binary(&["scan", "--root", &root, "--run-user", "root"]).succeeded();
}

/// Scans, and returns the markers of what it found.
#[track_caller]
fn scanned(sandbox: &Sandbox) -> Vec<Value> {
    scan(sandbox);
    wait_until("the inbox is empty", || sandbox.files("inbox").is_empty());
    sandbox.wait_for_deliverers_to_end();
    assert_eq!(sandbox.files("postponed"), [""; 0]);
    assert_eq!(sandbox.files("dead"), [""; 0], "{:?}", sandbox.troubles());
    assert!(!sandbox.everything_written().contains(TOKEN));
    let mut markers = sandbox.waiting("unassigned");
    markers.retain(|marker| marker["attributes"]["gitea_lightstep.push.source"] == "scan");
    markers
}

fn paths(gitea: &Recorder) -> Vec<String> {
    gitea
        .requests()
        .into_iter()
        .map(|request| {
            assert_eq!(request.method, "GET");
            assert_eq!(request.header("authorization"), Some(&*format!("token {TOKEN}")));
            request.path
        })
        .collect()
}

fn tag(sandbox: &Sandbox, name: &str) {
    sandbox.git_in(&sandbox.bare(), &["tag", name, "main"]);
}

/// Asserts that a release has no person, and that the journal says why.
#[track_caller]
fn is_without(sandbox: &Sandbox, markers: &[Value], why: &str) {
    let [marker] = markers else { panic!("{markers:?}") };
    assert_eq!((&marker["title"], &marker["source"]["pusher"]), (&json!("First"), &Value::Null), "{marker}");
    assert_eq!(marker["attributes"]["gitea_lightstep.pusher.known_from"], Value::Null);
    let troubles = sandbox.troubles();
    assert!(troubles.iter().any(|trouble| trouble.contains(why)), "{troubles:?}");
}

#[test]
fn release_has_its_author_and_title() {
    let gitea = Recorder::judging(|_| found(&release("v1.2.0", "Spring")));
    let sandbox = asking(&gitea, "");
    sandbox.executable(
        "scripts/site.rhai",
        r#"fn enrich(marker, update) {
               let release = update.release;
               marker.attributes.seen = `${release.title} ${release.author.name} ${release.is_prerelease} `
                   + `${release.is_draft} ${update.push.pusher.id}`;
               marker
           }"#,
    );
    tag(&sandbox, "v1.2.0");
    let markers = scanned(&sandbox);
    let [marker] = &markers[..] else { panic!("{:?}", sandbox.decisions()) };
    assert_eq!(paths(&gitea), [format!("{REPO}/releases/tags/v1.2.0")]);
    assert_eq!((&marker["kind"], &marker["title"]), (&json!("release"), &json!("Spring")));
    assert_eq!(marker["source"]["pusher"], "ann", "{marker}");
    let attributes = &marker["attributes"];
    assert_eq!(attributes["gitea_lightstep.pusher.kind"], "user");
    assert_eq!(attributes["gitea_lightstep.pusher.known_from"], "api");
    assert_eq!(attributes["user.id"], "7");
    assert_eq!(attributes["gitea_lightstep.release.title"], "Spring");
    assert_eq!(attributes["gitea_lightstep.release.prerelease"], true);
    assert_eq!(attributes["gitea_lightstep.release.draft"], false);
    assert_eq!(attributes["seen"], "Spring ann true false 7");
    let told = sandbox.binary(&["explain", "acme/shop", "v1.2.0"]);
    assert!(told.stdout.contains("by ann (scan)"), "{told:?}");
    let log = sandbox.binary(&["log", "--pusher", "ann"]);
    assert!(log.succeeded().stdout.contains("v1.2.0"), "{log:?}");
}

#[test]
fn guard_refuses_the_release_of_a_person() {
    let gitea = Recorder::judging(|_| found(&release("v1.2.0", "")));
    let sandbox = asking(&gitea, "");
    sandbox.executable(
        "scripts/site.rhai",
        r#"fn guard(marker, update) { if update.push.pusher.name == "ann" { refuse("not ann") } }"#,
    );
    tag(&sandbox, "v1.2.0");
    assert_eq!(scanned(&sandbox), [Value::Null; 0]);
    assert!(sandbox.decisions().iter().any(|decision| decision.to_string().contains("not ann")));
}

#[test]
fn tag_without_a_release_is_of_who_pushed_it() {
    let gitea = Recorder::judging(|request| match request.path.as_str() {
        "/api/v1/repos/acme/shop/activities/feeds?limit=50" => found(&json!([
            { "op_type": "commit_repo", "act_user": user("eve", 9), "ref_name": "refs/heads/main" },
            { "op_type": "push_tag", "act_user": user("bo", 8), "ref_name": "refs/tags/v1.3.0" },
            { "op_type": "delete_tag", "act_user": user("bo", 8), "ref_name": "refs/tags/v1.2.0" },
            { "op_type": "push_tag", "act_user": user("cy", 3), "ref_name": "refs/tags/v1.2.0" },
        ])),
        _ => missing(),
    });
    let sandbox = asking(&gitea, "");
    tag(&sandbox, "v1.2.0");
    tag(&sandbox, "v1.3.0");
    let markers = scanned(&sandbox);
    // The newest activity on v1.2.0 is that it was deleted.
    let pushers: Vec<_> =
        markers.iter().map(|marker| (&marker["version"], &marker["source"]["pusher"])).collect();
    assert_eq!(pushers, [(&json!("1.2.0"), &Value::Null), (&json!("1.3.0"), &json!("bo"))]);
    assert_eq!(markers[1]["attributes"]["gitea_lightstep.release.title"], Value::Null);
    assert_eq!(paths(&gitea).len(), 3);
    let log = sandbox.binary(&["log", "--pusher", "bo"]);
    assert!(log.succeeded().stdout.contains("v1.3.0 by bo (scan)"), "{log:?}");
    assert!(!log.stdout.contains("v1.2.0"), "{log:?}");
    assert!(sandbox.binary(&["explain", "acme/shop", "v1.3.0"]).stdout.contains("by bo (scan)"));
}

#[test]
fn merged_pull_request_names_who_merged_it() {
    let gitea = Recorder::judging(|request| match request.path.strip_suffix("/pull") {
        Some(path) => {
            let commit = path.rsplit('/').next().expect("a commit");
            found(
                &json!({ "number": 12, "merged": true, "merged_by": user("ann", 7), "merge_commit_sha": commit }),
            )
        }
        None => missing(),
    });
    let sandbox = asking(&gitea, "");
    fs::remove_file(sandbox.bare().join("hooks/post-receive.d/gitea-lightstep")).expect("the wrapper");
    let commit = sandbox.commit("Second", &[("a", "2")]);
    sandbox.push(&["main"]).succeeded();
    let [marker] = &scanned(&sandbox)[..] else { panic!() };
    assert_eq!(paths(&gitea), [format!("{REPO}/commits/{commit}/pull")]);
    let attributes = &marker["attributes"];
    assert_eq!(attributes["vcs.change.id"], "12");
    assert_eq!(attributes["vcs.change.state"], "merged");
    assert_eq!(attributes["gitea_lightstep.merged_by"], "ann");
    assert_eq!((&marker["source"]["pusher"], &marker["title"]), (&json!("ann"), &json!("Second")));
}

#[test]
fn renamed_repository_is_followed_on_the_same_host_only() {
    for (location, is_followed) in [
        ("/api/v1/repos/corp/store/releases/tags/v1.2.0", true),
        ("http://127.0.0.2:1/api/v1/repos/corp/store/releases/tags/v1.2.0", false),
        ("/other/v1.2.0", false),
    ] {
        let gitea = Recorder::judging(move |request: &Request| match request.path.starts_with(REPO) {
            true => Answer::status(301).header("location", location),
            false => found(&release("v1.2.0", "Spring")),
        });
        let sandbox = asking(&gitea, "");
        tag(&sandbox, "v1.2.0");
        let markers = scanned(&sandbox);
        match is_followed {
            true => {
                assert_eq!(markers[0]["source"]["pusher"], "ann");
                assert_eq!(paths(&gitea)[1], location);
            }
            false => {
                is_without(&sandbox, &markers, "is not followed; check `url` in `[gitea]`");
                assert_eq!(paths(&gitea).len(), 1);
            }
        }
    }
}

#[test]
fn nothing_known_is_no_trouble() {
    let gitea = Recorder::judging(|_| missing());
    let sandbox = asking(&gitea, "");
    tag(&sandbox, "v1.2.0");
    let [marker] = &scanned(&sandbox)[..] else { panic!() };
    assert_eq!(marker["source"]["pusher"], Value::Null);
    assert_eq!(marker["attributes"]["gitea_lightstep.pusher.known_from"], Value::Null);
    assert_eq!(sandbox.troubles(), [""; 0]);
    assert_eq!(paths(&gitea).len(), 2);
}

#[test]
fn refused_token_is_not_tried_again() {
    for (status, why) in
        [(401, "rejects the token (HTTP 401)"), (403, "does not let the token read (HTTP 403)")]
    {
        // Some servers repeat the token that they refuse.
        let gitea =
            Recorder::judging(move |_| Answer::status(status).body(format!(r#"{{"message":"{TOKEN}"}}"#)));
        let sandbox = asking(&gitea, "");
        tag(&sandbox, "v1.2.0");
        tag(&sandbox, "v1.3.0");
        scanned(&sandbox).iter().for_each(|marker| is_without(&sandbox, std::slice::from_ref(marker), why));
        assert!(sandbox.troubles().iter().any(|trouble| trouble.contains("read:repository")));
        assert_eq!(paths(&gitea).len(), 1);
        let status = sandbox.binary(&["status"]);
        assert_eq!(status.code, Some(1));
        for said in [why, "gitea api    never answered", "gitea api: the last question failed"] {
            assert!(status.stdout.contains(said), "{}", status.stdout);
        }
        let metrics = sandbox.binary(&["status", "--openmetrics"]).stdout;
        assert!(metrics.contains("\ngitea_lightstep_gitea_api_last_error_timestamp_seconds "), "{metrics}");
    }
}

#[test]
fn failing_gitea_is_asked_again_in_time() {
    let asked = AtomicUsize::new(0);
    let gitea = Recorder::judging(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::status(500),
        _ => found(&release("v1.2.0", "Spring")),
    });
    let sandbox = asking(&gitea, "");
    tag(&sandbox, "v1.2.0");
    assert_eq!(scanned(&sandbox)[0]["source"]["pusher"], "ann");
    assert_eq!(paths(&gitea).len(), 2);
    assert_eq!(sandbox.troubles(), [""; 0]);
    let status = sandbox.binary(&["status"]);
    for said in ["gitea api    answered ", "last error    ", "answers with HTTP 500"] {
        assert!(status.succeeded().stdout.contains(said), "{}", status.stdout);
    }
}

#[test]
fn gitea_that_keeps_failing_delays_a_marker_for_a_while_only() {
    let gitea = Recorder::judging(|_| Answer::status(503));
    let sandbox = asking(&gitea, "enrich_within = \"3s\"");
    tag(&sandbox, "v1.2.0");
    is_without(&sandbox, &scanned(&sandbox), "answers with HTTP 503");
    assert!((2..=4).contains(&paths(&gitea).len()), "{:?}", paths(&gitea));
}

#[test]
fn silent_gitea_delays_a_marker_for_a_while_only() {
    let gitea = Recorder::judging(|_| {
        thread::sleep(Duration::from_secs(60));
        missing()
    });
    let sandbox = asking(&gitea, "enrich_within = \"1s\"");
    tag(&sandbox, "v1.2.0");
    is_without(&sandbox, &scanned(&sandbox), "failed to reach");
}

#[test]
fn hostile_answers_do_no_harm() {
    let long = "x".repeat(1 << 20);
    let deep = "[".repeat(200_000);
    let spoilt = json!({ "tag_name": "v1.2.0", "name": format!("a\u{1b}[31m\nb\u{202e}{}\u{200b}{}", &TOKEN[..9], &TOKEN[9..]), "author": user("a\u{7}b", 7) });
    let cases: [(Vec<u8>, &str, &str); 7] = [
        (vec![b' '; 10 << 20], "more than 1 MiB", "First"),
        (deep.into_bytes(), "does not answer like Gitea's API", "First"),
        (
            json!({ "tag_name": "v1.2.0", "name": long, "author": user("ann", 7) }).to_string().into_bytes(),
            "more than 1 MiB",
            "First",
        ),
        (b"\xff\xfe{}".to_vec(), "does not answer like Gitea's API", "First"),
        (br#"{"tag_name":7}"#.to_vec(), "does not answer like Gitea's API", "First"),
        (release("v9.9.9", "Another").to_string().into_bytes(), "", "First"),
        (spoilt.to_string().into_bytes(), "", "a[31m b[redacted]"),
    ];
    for (body, why, title) in cases {
        let gitea = Recorder::judging(move |request| match request.path.contains("/releases/") {
            true => Answer::status(200).body(body.clone()),
            false => missing(),
        });
        let sandbox = asking(&gitea, "");
        tag(&sandbox, "v1.2.0");
        let [marker] = &scanned(&sandbox)[..] else { panic!() };
        assert_eq!((&marker["title"], &marker["source"]["pusher"]), (&json!(title), &Value::Null));
        let troubles = sandbox.troubles();
        assert_eq!(troubles.is_empty(), why.is_empty(), "{troubles:?}");
        assert!(troubles.iter().all(|trouble| trouble.contains(why)), "{troubles:?}");
    }
}

#[test]
fn long_titles_are_cut() {
    let gitea = Recorder::judging(|_| found(&release("v1.2.0", &"x".repeat(1_000_000))));
    let sandbox = asking(&gitea, "");
    tag(&sandbox, "v1.2.0");
    let title = scanned(&sandbox)[0]["title"].as_str().expect("text").chars().count();
    assert_eq!(title, 1024);
}

#[test]
fn many_changes_are_asked_about_up_to_a_number() {
    let gitea = Recorder::judging(|request| match request.path.rsplit_once('/') {
        Some((_, tag)) if request.path.contains("/releases/") => found(&release(tag, tag)),
        _ => missing(),
    });
    let sandbox = asking(&gitea, "");
    (10..40).for_each(|minor| tag(&sandbox, &format!("v1.{minor}.0")));
    let markers = scanned(&sandbox);
    assert_eq!(markers.len(), 30);
    assert_eq!(markers.iter().filter(|marker| marker["source"]["pusher"] == "ann").count(), 20);
    assert_eq!(paths(&gitea).len(), 20);
}

#[test]
fn pushes_are_not_asked_about() {
    let gitea = Recorder::judging(|_| missing());
    let sandbox = asking(&gitea, "");
    tag_and_push(&sandbox, "v1.2.0");
    assert_eq!(scanned(&sandbox), [Value::Null; 0]);
    sandbox.binary(&["deliver"]).succeeded_or_found();
    assert_eq!(gitea.requests().len(), 0);
}

fn tag_and_push(sandbox: &Sandbox, name: &str) {
    sandbox.git(&["tag", name]);
    sandbox.push(&[name]).succeeded();
}

#[test]
fn no_token_no_request() {
    let gitea = Recorder::judging(|_| missing());
    let sandbox = asking(&gitea, "");
    sandbox.configure_first(&format!("public_url = \"{}\"", gitea.endpoint()), "");
    tag(&sandbox, "v1.2.0");
    assert_eq!(scanned(&sandbox).len(), 1);
    assert_eq!(gitea.requests().len(), 0);
}

#[test]
fn token_of_a_variable_reaches_the_background() {
    let gitea = Recorder::judging(|_| found(&release("v1.2.0", "Spring")));
    let mut sandbox = asking(&gitea, "");
    let public = format!("public_url = \"{}/\"", gitea.endpoint());
    sandbox.configure_first(&public, "[gitea]\ntoken = { env = \"GITEA_API_TOKEN\" }\n");
    sandbox.set("GITEA_API_TOKEN", TOKEN);
    tag(&sandbox, "v1.2.0");
    assert_eq!(scanned(&sandbox)[0]["source"]["pusher"], "ann");
    assert_eq!(paths(&gitea).len(), 1);
}

#[test]
fn answers_stay_when_the_policy_fails_later() {
    let titles = Mutex::new(vec!["Later", "Spring"]);
    let gitea = Recorder::judging(move |_| {
        found(&release("v1.2.0", titles.lock().expect("no panic").pop().unwrap_or("Never")))
    });
    let sandbox = asking(&gitea, "");
    sandbox.executable("scripts/site.rhai", "fn enrich(marker, update) { throw \"broken\" }");
    tag(&sandbox, "v1.2.0");
    assert_eq!(scanned(&sandbox), [Value::Null; 0]);
    assert_eq!(sandbox.files("failed").len(), 2);
    sandbox.executable("scripts/site.rhai", "fn enrich(marker, update) { marker }");
    sandbox.binary(&["deliver"]).succeeded_or_found();
    let markers = scanned(&sandbox);
    assert_eq!(markers.len(), 1, "{:?}", sandbox.decisions());
    assert_eq!(markers[0]["title"], "Spring");
    assert_eq!(paths(&gitea).len(), 1);
}

#[test]
fn doctor_asks_with_the_token() {
    let works = Arc::new(AtomicBool::new(true));
    let gitea = Recorder::judging({
        let works = works.clone();
        move |request| match request.path.as_str() {
            _ if !works.load(Ordering::SeqCst) => Answer::status(401).body(TOKEN),
            "/api/v1/user" => found(&user("reader", 3)),
            REPO => found(&json!({ "id": 42 })),
            _ => missing(),
        }
    });
    let sandbox = asking(&gitea, "");
    let root = sandbox.path("git").display().to_string();
    let check = || {
        let ran = sandbox.binary(&["doctor", "--json", "--no-push", "--root", &root, "--run-user", "root"]);
        assert!(!ran.stdout.contains(TOKEN), "{ran:?}");
        let outcome: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let checks = outcome["checks"].as_array().expect("a list").clone();
        checks.into_iter().find(|check| check["name"] == "gitea api").expect("the check")
    };
    assert_eq!(check()["seen"], "accepts the token of reader, and reads acme/shop");
    works.store(false, Ordering::SeqCst);
    let what = check()["findings"][0]["what"].to_string();
    assert!(what.contains("rejects the token (HTTP 401)") && what.contains("read:repository"), "{what}");
}

#[test]
fn token_is_not_sent_unencrypted() {
    let gitea = Recorder::judging(|_| missing());
    let mut sandbox = asking(&gitea, "");
    sandbox.configure("[gitea]\ntoken = { file = \"api-token\" }\nurl = \"http://git.example.com\"\n");
    assert!(sandbox.problems()[0].contains("unencrypted"), "{:?}", sandbox.problems());
    // Without an address in the configuration, the last push named it.
    sandbox.configure("[gitea]\ntoken = { file = \"api-token\" }\n");
    sandbox.set("GITEA_ROOT_URL", "http://git.example.com/");
    sandbox.commit("Second", &[("a", "2")]);
    sandbox.push(&["main"]).succeeded();
    sandbox.git_in(&sandbox.bare(), &["tag", "v1.2.0", "main"]);
    let markers = scanned(&sandbox);
    assert_eq!((markers.len(), &markers[0]["source"]["pusher"]), (1, &Value::Null));
    assert!(sandbox.troubles()[0].contains("unencrypted"), "{:?}", sandbox.troubles());
}

/// Kills the decider at each of its steps. Each change is marked once, with the person whom Gitea names.
#[test]
fn killed_decider_marks_once_with_the_author() {
    let gitea = Recorder::judging(|request| {
        found(&release(request.path.rsplit('/').next().expect("a tag"), "Spring"))
    });
    let sandbox = asking(&gitea, "");
    let report = sandbox.path("report");
    let root = sandbox.path("git").display().to_string();
    let faulty = |args: &[&str], fault: &str| {
        let mut command = sandbox.command(&spool::faulty(), &sandbox.path(""));
        command.args(args).arg("--config").arg(sandbox.path("config.toml"));
        command.env("GITEA_LIGHTSTEP_FAULT", fault).env("GITEA_LIGHTSTEP_FAULT_REPORT", &report);
        sandbox.run(&mut command, b"")
    };
    let mut killed = 0;
    loop {
        let name = format!("v1.{killed}.0");
        tag(&sandbox, &name);
        // The program with faults starts no delivery.
        faulty(&["scan", "--root", &root, "--run-user", "root"], "").succeeded_or_found();
        faulty(&["deliver"], &format!("decider:kill@{}", killed + 1)).succeeded_or_found();
        let was_killed = fs::remove_file(&report).is_ok();
        sandbox.binary(&["deliver"]).succeeded_or_found();
        // A process that was killed while it wrote leaves a hidden file.
        let mut left = [sandbox.files("inbox"), sandbox.files("dead")].concat();
        left.retain(|name| !name.starts_with('.'));
        assert_eq!(left, [""; 0], "step {killed}");
        let markers = sandbox.waiting("unassigned");
        let of_tag = markers.iter().filter(|marker| marker["source"]["ref_name"] == *name);
        // A marker may wait twice, under one ID.
        let seen: BTreeSet<_> =
            of_tag.map(|of| format!("{} {} {}", of["id"], of["title"], of["source"]["pusher"])).collect();
        assert_eq!(seen.len(), 1, "step {killed}: {seen:?}");
        assert!(seen.iter().all(|marker| marker.ends_with(r#" "Spring" "ann""#)), "{seen:?}");
        if !was_killed {
            break;
        }
        killed += 1;
    }
    assert!(killed > 20, "{killed}");
}
