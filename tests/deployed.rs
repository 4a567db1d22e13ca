//! Deployment history: the last deployment of each service and environment is stored, a push that
//! is decided again gets the same answer, and git history is the fallback.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::support::{
    Sandbox,
    backend::{Backend, key},
    spool::{Ground, OUTBOX, Push, Spool},
    wait_until,
};

/// Pushes and returns the new markers, which stay in the outbox because there is no destination.
#[track_caller]
fn push(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let before = sandbox.waiting("unassigned");
    sandbox.push(args).succeeded();
    wait_until("the push is decided", || sandbox.files("inbox").is_empty());
    sandbox.waiting("unassigned").into_iter().filter(|marker| !before.contains(marker)).collect()
}

/// Pushes a deployment to a branch that is not mapped to an environment.
#[track_caller]
fn deploy(sandbox: &Sandbox, rev: &str, environment: &str, more: &[&str]) -> Value {
    let (option, refspec) = (format!("deploy={environment}"), format!("+{rev}:refs/heads/go"));
    let mut markers = push(sandbox, &[&["-o", option.as_str()], more, &[refspec.as_str()]].concat());
    assert_eq!(markers.len(), 1, "{markers:?}");
    markers.remove(0)
}

fn text<'a>(marker: &'a Value, name: &str) -> &'a str {
    marker["attributes"][name].as_str().unwrap_or_default()
}

fn relation(marker: &Value) -> &str {
    text(marker, "gitea_lightstep.range.relation")
}

fn base(marker: &Value) -> &str {
    text(marker, "vcs.ref.base.revision")
}

fn commits(sandbox: &Sandbox, count: usize) -> Vec<String> {
    (0..count).map(|nth| sandbox.commit(&format!("Number {nth}"), &[("n", &nth.to_string())])).collect()
}

#[test]
fn deployment_range_starts_at_the_last_one_of_its_service_and_environment() {
    let sandbox = Sandbox::new();
    let ids = commits(&sandbox, 4);
    let first = deploy(&sandbox, &ids[0], "production", &[]);
    assert_eq!((relation(&first), base(&first)), ("first_deployment", ""));
    for elsewhere in [
        deploy(&sandbox, &ids[1], "staging", &[]),
        deploy(&sandbox, &ids[2], "production", &["-o", "deploy.service=other"]),
    ] {
        assert_eq!(relation(&elsewhere), "first_deployment");
    }
    // A failed deployment gets a marker, but the previous one is still the base of the next.
    let failed = deploy(&sandbox, &ids[1], "production", &["-o", "deploy.status=failed"]);
    assert_eq!((relation(&failed), base(&failed)), ("ahead", ids[0].as_str()));
    let second = deploy(&sandbox, &ids[3], "production", &[]);
    assert_eq!((relation(&second), base(&second)), ("ahead", ids[0].as_str()));
    assert_eq!(second["attributes"]["gitea_lightstep.range.commits"], 3);
    assert_eq!(text(&second, "gitea_lightstep.previous.known_from"), "state");
    assert_eq!(text(&second, "gitea_lightstep.previous.version"), ids[0]);
    assert_eq!(second["attributes"]["gitea_lightstep.previous.time"], first["time"]);
    let back = deploy(&sandbox, &ids[1], "production", &[]);
    assert_eq!(
        (&back["kind"], relation(&back), base(&back)),
        (&"rollback".into(), "behind", ids[3].as_str())
    );
    assert_eq!(back["attributes"]["gitea_lightstep.range.commits"], 2);
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn broken_or_missing_deployment_history_falls_back_to_git() {
    let sandbox = Sandbox::new();
    let ids = commits(&sandbox, 6);
    let damage: [&[u8]; 4] = [b"", b"{\"repository\":", b"\xff\xfe\0", &[b'['; 200_000]];
    for (nth, damage) in damage.iter().enumerate() {
        deploy(&sandbox, &ids[nth], "lab", &[]);
        let name =
            sandbox.files("deployed").into_iter().find(|name| name.ends_with(".json")).expect("a file");
        fs::write(sandbox.state().join("deployed").join(name), damage).expect("write the damaged file");
        let marker = deploy(&sandbox, &ids[nth + 1], "lab", &[]);
        assert_eq!(relation(&marker), "first_deployment", "the branch has no history for this environment");
        let next = deploy(&sandbox, &ids[nth + 2], "lab", &[]);
        assert_eq!(base(&next), ids[nth + 1], "the history starts again");
    }
    // Without stored history, the base is the branch's old value, or the previous version tag.
    fs::remove_dir_all(sandbox.state().join("deployed")).expect("remove the deployment history");
    push(&sandbox, &[&format!("+{}:refs/heads/lab", ids[1])]);
    let by_branch = push(&sandbox, &["-o", "deploy=lab", &format!("+{}:refs/heads/lab", ids[3])]).remove(0);
    assert_eq!((relation(&by_branch), base(&by_branch)), ("ahead", ids[1].as_str()));
    assert_eq!(text(&by_branch, "gitea_lightstep.previous.known_from"), "history");
    for (tag, id) in [("v1.0.0", &ids[0]), ("v1.1.0", &ids[4])] {
        sandbox.git(&["tag", tag, id]);
    }
    push(&sandbox, &["v1.0.0"]);
    let markers = push(&sandbox, &["-o", "deploy=production", "v1.1.0"]);
    let by_tag = markers.iter().find(|marker| marker["kind"] == "deployment").expect("a deployment");
    assert_eq!((relation(by_tag), base(by_tag)), ("ahead", ids[0].as_str()));
    assert_eq!(text(by_tag, "gitea_lightstep.previous.version"), "1.0.0");
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn missing_deployed_commit_is_reported_as_lost() {
    let sandbox = Sandbox::new();
    let ids = commits(&sandbox, 2);
    deploy(&sandbox, &ids[1], "lab", &[]);
    sandbox.git(&["reset", "-q", "--hard", &ids[0]]);
    let other = sandbox.commit("Another way", &[("other", "1")]);
    sandbox.push(&["+HEAD:refs/heads/go"]).succeeded();
    sandbox.git_in(&sandbox.bare(), &["-c", "core.logAllRefUpdates=false", "gc", "-q", "--prune=now"]);
    let marker = push(&sandbox, &["-o", "deploy=lab", "HEAD:refs/heads/elsewhere"]).remove(0);
    assert_eq!((relation(&marker), base(&marker)), ("lost", ids[1].as_str()));
    assert_eq!(marker["source"]["commit"], other);
    assert!(marker["attributes"].get("gitea_lightstep.range.commits").is_none(), "{marker}");
}

#[test]
fn range_in_a_shallow_repository_is_marked_as_such() {
    let sandbox = Sandbox::new();
    let ids = commits(&sandbox, 5);
    deploy(&sandbox, &ids[0], "lab", &[]);
    sandbox.push(&["main"]).succeeded();
    fs::write(sandbox.bare().join("shallow"), format!("{}\n", ids[3])).expect("write the shallow file");
    let marker = deploy(&sandbox, &ids[4], "lab", &[]);
    assert_eq!(base(&marker), ids[0]);
    assert_eq!(marker["attributes"]["gitea_lightstep.range.is_shallow"], true, "{marker}");
    assert_eq!(
        marker["attributes"]["gitea_lightstep.range.commits"], 2,
        "the shallow commit and the commit above it"
    );
    assert_eq!(sandbox.troubles(), [""; 0]);
}

#[test]
fn slow_range_is_measured_in_the_background() {
    let sandbox = Sandbox::new();
    let first = sandbox.commit("The first", &[]);
    sandbox.configure("[policy.limits]\ntime = \"150ms\"\n[reply]\nto_pusher = \"all\"\n");
    deploy(&sandbox, &first, "lab", &[]);
    let mut stream = String::from("feature done\n");
    for nth in 0..60_000 {
        stream.push_str(
            "commit refs/heads/long\ncommitter Ann <ann@example.org> 1800000000 +0000\ndata 2\nx\n",
        );
        if nth == 0 {
            stream.push_str(&format!("from {first}\n"));
        }
    }
    stream.push_str("done\n");
    let mut import = sandbox.command("git", &sandbox.path("clone"));
    sandbox.run(import.args(["fast-import", "--quiet"]), stream.as_bytes()).succeeded();
    // Push the objects first, so that the measured push only has to walk the history.
    sandbox.push(&["long:refs/heads/elsewhere"]).succeeded();

    let before = sandbox.waiting("unassigned").len();
    let pushed = sandbox.push(&["-o", "deploy=lab", "+long:refs/heads/go"]);
    let said = pushed.succeeded().remote().join("\n");
    assert!(said.contains("the rest is decided in the background"), "{said}");
    wait_until("the push is decided", || sandbox.files("inbox").is_empty());
    let marker = sandbox.waiting("unassigned").split_off(before).remove(0);
    assert_eq!((relation(&marker), base(&marker)), ("ahead", first.as_str()));
    assert_eq!(marker["attributes"]["gitea_lightstep.range.commits"], 60_000);
    // The decision keeps the push ID of the capture, and the deployment is stored.
    let decision = sandbox.decisions().pop().expect("a decision");
    assert_eq!(decision["push"], marker["push"]);
    let back = push(
        &sandbox,
        &["-o", "deploy=lab", &format!("+{}:refs/heads/go", sandbox.git(&["rev-parse", "long~1"]))],
    );
    assert_eq!((relation(&back[0]), &back[0]["kind"]), ("behind", &"rollback".into()));
}

/// Deploys the second commit, and then the first one again with a fault in the hook.
fn there_and_back(ground: &Ground, spool: &Spool<'_>, fault: &str) -> (Push, Push, bool) {
    let typical = ground.typical(0).stdin;
    let (old, new) = typical.split_once(' ').map(|(old, rest)| (old, &rest[..40])).expect("two IDs");
    let make = |pusher: &str, from: &str, to: &str| Push {
        pusher: pusher.into(),
        stdin: format!("{from} {to} refs/heads/go\n"),
        deploy: Some("prod"),
        markers: BTreeSet::from([key(pusher, "deployment", "prod", "go", to)]),
        deployed: Vec::new(),
    };
    let (there, back) = (make("there", old, new), make("back", new, old));
    spool.hook(&there, "").was_a_good_hook();
    let ended = spool.hook(&back, fault);
    ended.was_a_good_hook();
    (there, back, ended.is_killed())
}

#[test]
fn repeated_decision_gives_the_same_markers() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let mut struck = 0;
    for step in 1.. {
        backend.forget();
        let spool = ground.spool(&format!("again-{step}"), &backend);
        let (there, back, is_killed) = there_and_back(&ground, &spool, &format!("kill@{step}"));
        let mut accepted = vec![there];
        let is_accepted = spool.has_accepted(&back);
        accepted.extend(is_accepted.then_some(back));
        // Each marker has one ID, even if it was decided several times.
        spool.holds_after_drain(&accepted);
        let journal: String = spool.files("journal").into_values().collect();
        let kinds: BTreeSet<String> = journal
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|entry| entry["record"] == "decision")
            .flat_map(|entry| entry["markers"].as_array().cloned().unwrap_or_default())
            .map(|marker| marker["kind"].to_string())
            .collect();
        let said = if is_accepted { vec!["\"deployment\"", "\"rollback\""] } else { vec!["\"deployment\""] };
        assert_eq!(kinds.iter().collect::<Vec<_>>(), said, "step {step}\n{}", spool.describe());
        spool.clear();
        if !is_killed {
            break;
        }
        struck += 1;
    }
    assert!(struck >= 15, "only {struck} steps");
}

#[test]
fn rollback_keeps_the_marker_id_of_a_deployment() {
    let (ground, backend) = (Ground::new(), Backend::start());
    let spool = ground.spool("captured", &backend);
    // The second write is that of the markers. A hook killed there leaves its push in the inbox.
    there_and_back(&ground, &spool, "torn@2");
    let marked = |memory: bool| {
        let state = spool.dir().join(format!("state-{memory}"));
        let ran = std::process::Command::new("cp").arg("-a").arg(spool.state()).arg(&state).status();
        assert!(ran.expect("start cp").success());
        if !memory {
            fs::remove_dir_all(state.join("deployed")).expect("remove the deployment history");
        }
        let aside = spool.dir().join("aside");
        fs::rename(spool.state(), &aside).expect("rename the state");
        fs::rename(&state, spool.state()).expect("restore the older state");
        backend.always_say(crate::support::backend::Say::NotNow);
        spool.deliver("").was_a_good_delivery();
        let markers: Vec<Value> = spool
            .files(OUTBOX)
            .into_values()
            .flat_map(|file| file.lines().skip(1).map(str::to_string).collect::<Vec<_>>())
            .map(|line| serde_json::from_str(&line).expect("a marker"))
            .collect();
        fs::remove_dir_all(spool.state()).expect("remove the restored copy");
        fs::rename(&aside, spool.state()).expect("rename the state back");
        let back = markers.into_iter().find(|marker| marker["source"]["pusher"] == "back");
        let back = back.expect("the marker");
        (back["kind"].as_str().expect("text").to_string(), back["id"].to_string())
    };
    let (with, without) = (marked(true), marked(false));
    assert_eq!((with.0.as_str(), without.0.as_str()), ("rollback", "deployment"));
    assert_eq!(with.1, without.1);
}

#[test]
fn unreadable_commit_omits_the_range_but_not_the_marker() {
    let mut sandbox = Sandbox::new();
    sandbox.set("GIT_PUSH_OPTION_COUNT", "1");
    sandbox.set("GIT_PUSH_OPTION_0", "deploy=prod");
    let line = format!("{} {} refs/tags/v1.0.0\n", "0".repeat(40), "1".repeat(40));
    sandbox.hook(line.as_bytes()).succeeded();
    let markers = sandbox.waiting("unassigned");
    let kinds: Vec<_> = markers.iter().map(|marker| marker["kind"].as_str().expect("text")).collect();
    assert_eq!(kinds, ["release", "deployment"]);
    let missing = sandbox.decisions()[0]["missing"].as_str().expect("text").to_string();
    assert!(
        missing.contains("the deployment's commits are unknown: failed to read object 1111"),
        "{missing}"
    );
}
